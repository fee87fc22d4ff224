"""/phone: a phone on a page, by the same code as a real one; nothing leaves this machine."""

from __future__ import annotations

import dataclasses

import time_machine
from flask.testing import FlaskClient

from circular import clock, db, settings
from sms import messages, outbox, worker
from tests.town import Town
from tests.web.conftest import read


def test_a_conversation_by_text(town: Town, client: FlaskClient) -> None:
    """Each bubble says what it costs and how it was understood."""
    code = town.listing(title="Planche sapin")["code"]
    client.post("/phone/text", data={"text": "planche"})
    response = client.post("/phone/text", data={"text": f"R {code}"})
    assert (response.status_code, response.location) == (303, "/phone#text")

    page = client.get("/phone").text
    assert "PLANCHE (1):" in page
    assert "Réservé: Planche sapin" in page
    assert "/160 GSM-7, 1 SMS" in page
    assert "reserve" in page
    assert db.value("SELECT COUNT(*) FROM outbound_message WHERE state <> 'sent' OR gateway <> 'console'") == 0


def test_a_session_on_the_keypad(town: Town, client: FlaskClient) -> None:
    """Keys and words reach the same menus; the two halves of the page are one person."""
    town.listing(title="Planche sapin")
    client.post("/phone/key", data={"dial": "1"})
    client.post("/phone/key", data={"key": "1"})
    client.post("/phone/key", data={"typed": "planche", "key": "9"})
    assert "1 Planche sapin" in read(client.get("/phone")).one("pre")["text"]
    for key in ("1", "1"):
        client.post("/phone/key", data={"key": key})
    client.post("/phone/key", data={"typed": "2"})
    client.post("/phone/key", data={"key": "1"})

    assert read(client.get("/phone")).one("pre")["text"].startswith("Réservé")
    client.post("/phone/text", data={"text": "M"})
    assert "Vos réservations" in client.get("/phone").text


def test_texts_that_come_by_themselves(town: Town, client: FlaskClient) -> None:
    """What the keypad reserves is told by SMS, and the hold that lapses too: neither is sent by a gateway that costs."""
    code = town.listing(title="Planche sapin")["code"]
    client.post("/phone/key", data={"dial": "1"})
    for typed in (code, "1", "2", "1"):
        client.post("/phone/key", data={"typed": typed})
    assert "Réservé" in read(client.get("/phone")).one("pre")["text"]
    assert outbox.tell_notices() == 1
    with time_machine.travel(clock.later(30 * 86_400)):
        worker.chores("worker-test")
        assert outbox.tell_notices()

        found = db.rows("SELECT DISTINCT gateway FROM outbound_message")
        assert found == [("console",)]
        assert not messages.claim("africastalking", "worker-test", 10)
    assert "Planche sapin" in client.get("/phone").text


def test_two_browsers_are_two_phones(town: Town, client: FlaskClient) -> None:
    """What one texts the other does not see; another phone starts afresh."""
    client.post("/phone/text", data={"text": "bonjour"})
    other = client.application.test_client()
    assert "bonjour" not in other.get("/phone").text
    assert "bonjour" in client.get("/phone").text

    client.post("/phone/new")
    assert "bonjour" not in client.get("/phone").text


def test_not_for_everybody(town: Town, client: FlaskClient) -> None:
    """In production the page is for staff who are signed in."""
    settings.use(dataclasses.replace(settings.get(), mode="production"))

    assert client.get("/phone").location == "/desk/login"
    assert client.post("/phone/text", data={"text": "bois"}).status_code == 303
    assert db.value("SELECT COUNT(*) FROM inbound_message") == 0


def test_nothing_odd_breaks_it(town: Town, client: FlaskClient) -> None:
    """Empty, long and strange input gets a page."""
    for path, data in (
        ("/phone/text", {}), ("/phone/text", {"text": "\0🌴" * 900}), ("/phone/key", {}), ("/phone/key", {"typed": "*" * 99}),
        ("/phone/key", {"dial": "1", "typed": "x"}),
    ):  # fmt: skip
        assert client.post(path, data=data).status_code == 303
    assert client.get("/phone").status_code == 200
    assert client.post("/phone/text", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403

"""What comes in is stored once and answered once; what the rules silence stays silent."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from circular import db
from circular import settings as configuration
from sms import dialogue, inbox, segments
from tests.sms.conversation import text
from tests.town import JOSEPH, Town

URL = "/sms/africastalking/demo/inbound"


def _form(**fields: str) -> dict[str, str]:
    return {"id": "a", "from": "+596696000001", "to": "40404", "text": "bois", "date": "2026-11-23 14:00:00", **fields}


def _replies() -> list[str]:
    return [row[0] for row in db.rows("SELECT text FROM outbound_message ORDER BY id")]


def test_a_message_delivered_three_times(town: Town, client: FlaskClient) -> None:
    """One reservation, one answer, whatever the number of deliveries, even with other words."""
    code = town.listing(quantity=5)["code"]

    for words in (f"R {code}", f"R {code}", "STOP"):
        assert client.post(URL, data=_form(id="same", text=words)).status_code == 200
        inbox.handle_pending()

    assert len(_replies()) == 1
    assert town.available(code) == 4


def test_a_message_without_an_id(town: Town, client: FlaskClient) -> None:
    """The same words at the same time from the same phone are one message; a minute later they are another."""
    code = town.listing(quantity=5)["code"]

    for date in ("2026-11-23 14:00:00", "2026-11-23 14:00:00", "2026-11-23 14:01:00"):
        client.post(URL, data=_form(id="", text=f"R {code}", date=date))
    while inbox.handle_pending():
        pass

    assert town.available(code) == 3


def test_answers_of_one_person_come_in_order(town: Town, client: FlaskClient) -> None:
    """Two messages stored together are answered in the order in which they came."""
    code = town.listing(quantity=5)["code"]
    client.post(URL, data=_form(id="1", text=f"R {code} 2"))
    client.post(URL, data=_form(id="2", text="M"))

    while inbox.handle_pending():
        pass

    first, second = _replies()
    assert first.startswith("Réservé") and second.startswith("Vos réservations")


@pytest.mark.parametrize(
    ("sender", "reason"),
    [
        ("Orange", "unanswerable_sender"), ("40404", "unanswerable_sender"), ("+12125550123", "prefix_not_allowed"),
        ("+596596501234", "unanswerable_sender"), ("*384#", "unanswerable_sender"), ("+442071838750", "unanswerable_sender"),
    ],
)  # fmt: skip
def test_senders_that_are_never_answered(town: Town, client: FlaskClient, sender: str, reason: str) -> None:
    """A name, a short code, a fixed line, a foreign number: stored, and silence."""
    assert client.post(URL, data=_form(**{"from": sender})).status_code == 200

    inbox.handle_pending()

    assert _replies() == []
    assert db.rows("SELECT state, reason FROM inbound_message") == [("ignored", reason)]


def test_a_flood_is_told_once(town: Town, client: FlaskClient) -> None:
    """Twenty answers in ten minutes, then one word about it, then silence; other people are served."""
    heard = [text(client, "bois") for _ in range(25)]

    assert all(heard[:20])
    assert heard[20] and heard[20].startswith("Beaucoup de messages")
    assert heard[21:] == [None] * 4
    assert text(client, "bois", JOSEPH)


def test_stop_wins_over_what_waits_to_be_sent(town: Town, client: FlaskClient) -> None:
    """After STOP nothing that waited goes out, but for the one confirmation."""
    text(client, "bois")

    text(client, "STOP")

    states = db.rows("SELECT state FROM outbound_message ORDER BY id")
    assert states == [("cancelled",), ("queued",)]


def test_a_message_that_breaks_the_program(town: Town, client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bug on one message leaves nothing half-done, is tried again, and holds up nobody else."""
    code = town.listing(quantity=5)["code"]
    real = dialogue.VERBS["reserve"]

    def broken(turn: dialogue.Turn, **args: object) -> None:
        real(turn, **args)
        raise RuntimeError("a bug")

    monkeypatch.setitem(dialogue.VERBS, "reserve", broken)
    client.post(URL, data=_form(id="bad", text=f"R {code}"))
    client.post(URL, data=_form(id="good", text="bois", **{"from": JOSEPH}))
    while inbox.handle_pending():
        pass
    assert len(_replies()) == 1
    assert town.available(code) == 5

    monkeypatch.setitem(dialogue.VERBS, "reserve", real)
    db.run("UPDATE inbound_message SET next_attempt_at = 0")
    inbox.handle_pending()
    assert len(_replies()) == 2
    assert town.available(code) == 4


def test_a_message_that_breaks_again_and_again(
    town: Town, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the end the person is asked to say it otherwise."""

    def broken(_turn: dialogue.Turn, **_args: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setitem(dialogue.VERBS, "find", broken)
    client.post(URL, data=_form(text="bois"))
    for _ in range(inbox.GIVE_UP):
        inbox.handle_pending()
        db.run("UPDATE inbound_message SET next_attempt_at = 0")

    assert [reply.split(":")[0] for reply in _replies()] == ["Pas compris"]
    assert db.rows("SELECT state FROM inbound_message") == [("failed",)]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(words=st.one_of(
    st.text(max_size=40),
    st.text(alphabet="RrAaMmSsLlHhXx0123456789 .,?*'\"()²①٣\0\ud800\u202e", max_size=20),
    st.sampled_from(
        ["x" * 10_000, "\0", "R 1²", "R １２３４５", "NEAR(", "a AND", "-bois", "bois*", "💥" * 300, "R " + "9" * 400,
         "1 0,5", "a\u19b0b"]
    ),
))  # fmt: skip
def test_whatever_arrives(words: str, client_with_stock: FlaskClient) -> None:
    """One helpful reply of one segment, or a stated silence; never an error, never lost."""
    with db.database.atomic() as undo:
        words = words.encode("utf-8", "surrogatepass").decode("utf-8", "replace")
        reply = text(client_with_stock, words)
        state = db.row("SELECT state FROM inbound_message ORDER BY id DESC LIMIT 1")
        undo.rollback()
    assert state == ("handled",), ascii(words)
    assert reply and segments.septets(reply) is not None
    assert segments.measure(reply).segments == 1


@pytest.fixture
def client_with_stock(town: Town, client: FlaskClient) -> FlaskClient:
    town.listing(title="Planche " + "très " * 30)
    return client


@pytest.mark.parametrize(
    "path", ["/sms/africastalking/wrong/inbound", "/sms/nobody/demo/inbound", "/sms/africastalking//inbound"]
)
def test_a_wrong_secret_looks_like_no_page(client: FlaskClient, path: str) -> None:
    """404, and nothing is stored."""
    assert client.post(path, data=_form()).status_code == 404
    assert db.value("SELECT COUNT(*) FROM inbound_message") == 0


def test_nobody_plays_the_provider_in_production(client: FlaskClient) -> None:
    """The console's webhook is for the demo alone."""
    production = {"CIRCULAR_MODE": "production", "SECRET_KEY": "k" * 20, "SMS_WEBHOOK_SECRET": "s" * 20,
                  "SMS_GATEWAY": "africastalking", "AFRICASTALKING_API_KEY": "k"}  # fmt: skip
    client.application.config["CIRCULAR"] = configuration.load(production)

    assert client.post(f"/sms/console/{'s' * 20}/inbound", data=_form()).status_code == 404
    assert client.post(f"/sms/africastalking/{'s' * 20}/inbound", data=_form()).status_code == 200


def test_a_form_that_no_provider_sends(client: FlaskClient) -> None:
    """No sender: 400."""
    assert client.post(URL, data={"text": "bois"}).status_code == 400
    assert client.post(URL, data="nonsense", content_type="application/json").status_code == 400


def test_a_body_larger_than_any_message(client: FlaskClient) -> None:
    """413, and nothing is stored."""
    assert client.post(URL, data=_form(text="x" * 300_000)).status_code == 413


def test_the_provider_was_told_stop(town: Town, client: FlaskClient) -> None:
    """The opt-out form is the same as STOP."""
    form = {"senderId": "40404", "phoneNumber": "+596696000001"}

    assert client.post("/sms/africastalking/demo/optout", data=form).status_code == 200

    assert text(client, "bois") is None


@pytest.mark.parametrize("character", ["💥", "漢", "é", "x"])
def test_ten_thousand_characters(town: Town, client: FlaskClient, character: str) -> None:
    """Of any alphabet: 200, and one helpful reply."""
    assert text(client, character * 10_000)


def test_start_and_stop_in_turn(town: Town, client: FlaskClient) -> None:
    """Neither START alone nor STOP and START in turn buys endless replies."""
    heard = [text(client, "START", JOSEPH) for _ in range(60)]
    assert sum(reply is not None for reply in heard) == inbox.FLOOD_LIMIT + 1

    heard = [text(client, words) for _ in range(40) for words in ("STOP", "START")]
    # the word about the flood and the answer to the last STOP come on top
    assert sum(reply is not None for reply in heard) <= 2 * inbox.FLOOD_LIMIT + 2
    assert db.value("SELECT opted_out_at FROM person WHERE phone = '+596696000001'")

"""An Android phone: sent once whatever happens on the way, heard once whatever it repeats, and nobody else heard."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from flask.testing import FlaskClient

from circular import db, settings
from sms import inbox
from sms.gateways.android import SKEW, Android
from sms.gateways.base import Accepted, Failed, Outcome, Outgoing, Retry, Unknown
from tests.fake_android import HEALTH, USERNAME, FakeAndroid, signed
from tests.fake_provider import FakeProvider, Handler
from tests.sms.gateways.case import FIXTURES, PHONE
from tests.town import FABIOLA, Town

PASSWORD, KEY = "a-password-that-nobody-may-see", "a-signing-key"
TEXT = Outgoing("12", PHONE, "Réservé ! Code 7391")
TAKEN = Accepted(TEXT.key, None)


@pytest.fixture
def phone() -> Iterator[FakeAndroid]:
    """A phone that works until it is told otherwise."""
    with FakeAndroid(PASSWORD, KEY) as running:
        yield running


def gateway_to(url: str, patience: float = 5.0, **more: str) -> Android:
    """A gateway that waits `patience` seconds for an answer."""
    account = {"username": USERNAME, "password": PASSWORD, "signing_key": KEY, **more}
    return Android(url=url, timeout=(patience, patience), **account)


# --- out --------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("mode", "outcome", "messages"),
    [
        ("ok", TAKEN, 1),
        ("400", Failed("400 the phone refuses the text"), 0),
        ("401", Retry("401 the phone refuses the user name, the password or the address", after=300.0), 0),
        ("404", Retry("404 the phone refuses the user name, the password or the address", after=300.0), 0),
        ("429", Retry("the phone answered with an error: 429"), 0),
        ("500", Retry("the phone answered with an error: 500"), 0),
        ("broken", Retry("the phone answered with an error: 500"), 1),
        ("redirect", Retry("the phone answered with an error: 302"), 0),
        ("garbage", Retry("the answer is not the phone's"), 0),
        ("list", Retry("the answer is not the phone's"), 0),
        ("deep", Retry("the answer is not the phone's"), 0),
        ("other", Retry("the answer is not the phone's"), 0),
        *[(mode, TAKEN, 1) for mode in HEALTH],
        ("slow", Unknown("no answer in time"), 1),
        ("hang", Unknown("no answer in time"), 1),
        ("reset", Unknown("connection cut"), 1),
        ("cut", Unknown("connection cut"), 1),
        ("half", Unknown("answer cut: ChunkedEncodingError"), 1),
        ("down", Retry("no connection: refused, unreachable or no such host"), 0),
    ],
)
def test_send_in_every_mode(phone: FakeAndroid, mode: str, outcome: Outcome, messages: int) -> None:
    """Whatever the phone did with it, the text handed over again is taken, and sent once."""
    phone.mode = mode
    patience = 0.2 if outcome == Unknown("no answer in time") else 5.0

    assert gateway_to(phone.url, patience).send(TEXT) == outcome

    assert len(phone.messages) == messages
    assert not any(word in repr(outcome) for word in (PASSWORD, "696123456", "7391"))
    phone.mode = "ok"
    assert gateway_to(phone.url).send(TEXT) == TAKEN
    assert phone.messages == [{"id": TEXT.key, "to": PHONE, "text": TEXT.text}]


def test_every_mode_is_tried() -> None:
    """A mode that is added to the phone gets an outcome here."""
    marks = test_send_in_every_mode.pytestmark  # type: ignore[attr-defined]  # pytest hangs it there
    assert {values[0] for values in marks[0].args[1]} == set(FakeAndroid.modes)


def test_send_an_old_number_with_another_text(phone: FakeAndroid) -> None:
    """A database that was restored counts from where it was; the phone remembers, and takes the new text for new."""
    gateway = gateway_to(phone.url)
    gateway.send(TEXT)

    assert gateway.send(Outgoing(TEXT.reference, PHONE, "another")) != TAKEN

    assert [message["text"] for message in phone.messages] == [TEXT.text, "another"]


@pytest.mark.parametrize(
    "message",
    [
        *[Outgoing("1", to, "x") for to in ("40404", "Orange", "0696123456", f"{PHONE}\n", "+٥٩٦٦٩٦١٢٣٤٥٦")],
        Outgoing("1", PHONE, ""),
    ],
)
def test_send_what_cannot_be_sent(phone: FakeAndroid, message: Outgoing) -> None:
    """No number or no words: the phone is not even asked."""
    assert isinstance(gateway_to(phone.url).send(message), Failed)
    assert phone.requests == 0


@pytest.mark.parametrize(
    ("url", "password", "kind"),
    [
        ("https://{host}", PASSWORD, Retry),
        ("http://", PASSWORD, Retry),
        ("pigeon://{host}", PASSWORD, Retry),
        ("http://[{host}", PASSWORD, Retry | Unknown),
        ("http://{host}", "another", Retry),
        ("http://{host}", "mot de passe: é€\n", Retry),
    ],
    ids=["no TLS there", "no host", "no such scheme", "no address", "wrong password", "odd password"],
)
def test_send_with_wrong_settings(phone: FakeAndroid, url: str, password: str, kind: Any) -> None:
    """Nothing was taken, and the reason does not tell the password."""
    host = phone.url.removeprefix("http://")

    outcome = gateway_to(url.format(host=host), password=password).send(TEXT)

    assert isinstance(outcome, kind)
    assert password not in outcome.reason
    assert phone.messages == []


def test_an_odd_password(phone: FakeAndroid) -> None:
    """Accents, signs of money and colons are read as they are."""
    phone.password = "mot de passe: é€"

    assert gateway_to(phone.url, password="mot de passe: é€").send(TEXT) == TAKEN


def test_a_proxy_of_the_office_is_not_asked(phone: FakeAndroid, monkeypatch: pytest.MonkeyPatch) -> None:
    """A phone is beside us, whatever the way to the world."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")

    assert gateway_to(phone.url).send(TEXT) == TAKEN
    assert gateway_to(phone.url).health() == ""


@pytest.mark.parametrize(
    ("mode", "said"),
    [
        ("ok", ""),
        ("failing", "the phone sent none of its last 3 texts"),
        ("unlucky", ""),  # two numbers that nobody can reach
        ("offline", ""),  # the internet is gone, and this is what a phone is for
        ("down", "the phone does not answer: ConnectionError"),
    ],
)
def test_health(phone: FakeAndroid, mode: str, said: str) -> None:
    """Whether it answers, and sends."""
    phone.mode = mode

    assert gateway_to(phone.url + "/").health() == said


@pytest.mark.parametrize("body", ["<html>", "[]", "{}", '{"checks": []}', '{"checks": {"messages:failed": 1}}'])
def test_health_of_something_else(body: str) -> None:
    """Whatever answers there is not the app."""

    class Portal(Handler):
        def get(self) -> None:
            self.reply(200, body)

    class Elsewhere(FakeProvider):
        handler = Portal

    with Elsewhere() as elsewhere:
        assert gateway_to(elsewhere.url).health().startswith("the phone does not answer: ")


def test_requests_is_not_imported_by_receiving() -> None:
    """A process that only receives does not pay for it."""
    code = (
        "import sys; from circular.settings import Settings; from sms import gateways; from sms.gateways.base import *;"
        "gateway = gateways.build(Settings(), 'android')\n"
        "try: gateway.parse_inbound(Knock(form={}))\n"
        "except NotTheProviderError: sys.exit('requests' in sys.modules)"
    )

    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=30).returncode == 0


# --- in ---------------------------------------------------------------------------------------------------------------
@pytest.fixture
def door(town: Town, client: FlaskClient, database_url: str) -> FlaskClient:
    """Our site, with the phone's key."""
    chosen = settings.load({"DATABASE_URL": database_url, "ANDROID_SIGNING_KEY": KEY, "BACKGROUND": "false"})
    client.application.config["CIRCULAR"] = chosen
    return client


def received(text: str, event_id: str = "1", at: str = "2026-11-27T17:04:45.000-04:00") -> bytes:
    """An event, as the phone writes it."""
    payload = {"messageId": "a80532bb", "sender": FABIOLA, "message": text, "receivedAt": at}
    return json.dumps({"id": event_id, "event": "sms:received", "payload": payload}, ensure_ascii=False).encode()


def knock(door: FlaskClient, body: bytes, path: str = "inbound", **headers: str) -> int:
    """The status that the phone gets."""
    given = headers or signed(KEY, body)
    return door.post(f"/sms/android/demo/{path}", data=body, headers=given, content_type="application/json").status_code


@pytest.mark.parametrize("path", ["inbound", "receipt"])
def test_a_message_is_heard_at_either_address(door: FlaskClient, path: str) -> None:
    """The phone has one address for each event; whoever sets it up cannot give it a wrong one."""
    assert knock(door, received("Chèche bwa 🌴"), path) == 200

    assert inbox.handle_pending() == 1
    assert db.rows("SELECT gateway, sender, text FROM inbound_message") == [("android", FABIOLA, "Chèche bwa 🌴")]


def test_a_message_that_the_phone_tells_twice(door: FlaskClient) -> None:
    """Another event id, the same message (capcom6/android-sms-gateway#288); a second later it is another one."""
    for event_id in ("1", "2"):
        assert knock(door, received("R 41271", event_id)) == 200
    assert knock(door, received("R 41271", "3", "2026-11-27T21:04:45.000+00:00")) == 200  # it travelled meanwhile
    assert knock(door, received("R 41271", "4", "2026-11-27T17:04:46.000-04:00")) == 200

    assert db.value("SELECT COUNT(*) FROM inbound_message") == 2


@pytest.mark.parametrize("path", ["inbound", "receipt"])
@pytest.mark.parametrize("name", ["sent", "delivered", "failed"])
def test_a_receipt_is_heard_at_either_address(door: FlaskClient, name: str, path: str) -> None:
    """And never taken for a message."""
    assert knock(door, (FIXTURES / "android" / f"{name}.json").read_bytes(), path) == 200

    assert db.rows("SELECT gateway, provider_id, status FROM delivery_receipt") == [
        ("android", "12-8a6738e89d5c", name)
    ]
    assert db.rows("SELECT * FROM inbound_message") == []


def test_other_events_are_taken_and_forgotten(door: FlaskClient) -> None:
    """A heartbeat that is refused would be repeated for hours."""
    assert knock(door, (FIXTURES / "android" / "ping.json").read_bytes()) == 200

    assert db.rows("SELECT * FROM inbound_message") == db.rows("SELECT * FROM delivery_receipt") == []


@pytest.mark.parametrize("path", ["inbound", "receipt"])
def test_somebody_who_is_not_the_phone(door: FlaskClient, path: str, caplog: pytest.LogCaptureFixture) -> None:
    """Without the signature there is no such page, as with a wrong secret; our log says why."""
    body = received("R 41271")
    wrong = door.post(f"/sms/android/wrong/{path}", data=body, headers=signed(KEY, body))
    for headers in ({"x-timestamp": "1"}, signed("another", body), signed(KEY, body + b" ")):
        answer = door.post(f"/sms/android/demo/{path}", data=body, headers=headers)
        assert (answer.status_code, answer.data) == (wrong.status_code, wrong.data) == (404, wrong.data)

    assert db.rows("SELECT * FROM inbound_message") == []
    assert "signature" in caplog.text and FABIOLA[4:] not in caplog.text


def test_a_signature_is_worth_five_minutes(door: FlaskClient, caplog: pytest.LogCaptureFixture) -> None:
    """Either way, and a clock that is wrong can be found in the log."""
    now = datetime.now(UTC)
    body = received("R 41271")
    with time_machine.travel(now, tick=False):
        for seconds, status in ((-SKEW - 2, 404), (SKEW + 2, 404), (-SKEW + 2, 200), (SKEW - 2, 200)):
            assert knock(door, body, **signed(KEY, body, now + timedelta(seconds=seconds))) == status

    assert "seconds from our time" in caplog.text


def test_without_a_key_nobody_is_the_phone(town: Town, client: FlaskClient) -> None:
    """A site that has no phone does not take an empty key for one."""
    body = received("R 41271")

    assert client.post("/sms/android/demo/inbound", data=body, headers=signed("", body)).status_code == 404


def test_what_the_phone_signed_and_nobody_can_read(door: FlaskClient) -> None:
    """400, which names what is missing."""
    for body in (b"", b"[]", received("x").replace(FABIOLA.encode(), b"")):
        assert knock(door, body) == 400

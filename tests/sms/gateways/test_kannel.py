"""Kannel's smsbox, pretended, failing in every way that it and networks do. The real one: tests/gateways_real."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta

import pytest
from flask.testing import FlaskClient

from circular import db
from circular.settings import Settings
from sms import gateways
from sms.gateways.base import Accepted, Failed, Outcome, Outgoing, Retry, Unknown
from sms.gateways.kannel import Kannel
from tests.fake_kannel import MODES, USERNAME, FakeKannel
from tests.sms.gateways.case import FIXTURES, PHONE, SECRET
from tests.sms.post import Post, states, write
from tests.town import FABIOLA, JOSEPH

TEXT = Outgoing("12", PHONE, "Réservé: CODE 7391")
TAKEN = Accepted(TEXT.key, None)
RECEIPTS = "https://reemploi.example.org/sms/kannel/s3cr3t/receipt"
FIELDS = Retry("400 Kannel wants other settings: a sender, an address for receipts", after=300.0)
REFUSED = Failed("400 Kannel refuses the number or the text")


@pytest.fixture
def provider() -> Iterator[FakeKannel]:
    """An smsbox that works until it is told otherwise."""
    with FakeKannel(SECRET) as running:
        yield running


def gateway_to(url: str, patience: float = 5.0, **more: str) -> Kannel:
    """An account that waits `patience` seconds for an answer."""
    account = {"url": url, "username": USERNAME, "password": SECRET, "receipts": RECEIPTS, **more}
    return Kannel(**account, timeout=(patience, patience))


@pytest.mark.parametrize(
    ("mode", "outcome", "taken"),
    [
        ("ok", TAKEN, 1),
        ("queued", TAKEN, 1),
        ("immediate", TAKEN, 1),
        ("half", TAKEN, 1),
        ("odd", Unknown("taken, in words that are not Kannel's"), 1),
        ("nothing", Unknown("taken, in words that are not Kannel's"), 1),
        ("slow", Unknown("no answer of Kannel's in time"), 1),
        ("hang", Unknown("no answer of Kannel's in time"), 1),
        ("reset", Unknown("connection cut"), 1),
        ("cut", Unknown("connection cut"), 1),
        ("number", REFUSED, 0),
        ("charset", REFUSED, 0),
        ("sender", FIELDS, 0),
        ("dlr", FIELDS, 0),
        ("route", Retry("403 Kannel has no route to this number", after=300.0, everybody=False), 0),
        ("busy", Retry("503 no answer of Kannel's"), 0),
        ("failed", Retry("500 no answer of Kannel's"), 0),
        ("portal", Retry("200 no answer of Kannel's"), 0),
        ("redirect", Retry("302 no answer of Kannel's"), 0),
        ("elsewhere", Retry("404 what answers is not Kannel's sendsms", after=300.0), 0),
        ("not_http", Retry("what answers is not Kannel", after=300.0), 0),
        ("down", Retry("no connection to Kannel: ConnectionRefusedError"), 0),
    ],
)
def test_send_in_every_mode(provider: FakeKannel, mode: str, outcome: Outcome, taken: int) -> None:
    """Retry only what was certainly not taken; what may have been taken is unknown."""
    provider.mode = mode
    patience = 0.2 if mode in ("slow", "hang") else 5.0

    assert gateway_to(provider.url, patience).send(TEXT) == outcome

    assert len(provider.messages) == taken
    assert provider.requests <= 1, "no retry hides below"


def test_every_mode_is_tried() -> None:
    """A mode that is added to the provider gets an outcome here."""
    marks = test_send_in_every_mode.pytestmark  # type: ignore[attr-defined]  # pytest hangs it there
    assert {values[0] for values in marks[0].args[1]} == set(MODES)


def test_send_what_kannel_reads(provider: FakeKannel) -> None:
    """Text, number, sender and account; receipts of the end alone, under our own key."""
    gateway_to(provider.url, sender="40404").send(TEXT)

    (message,) = provider.messages
    assert message | {
        "text": "Réservé: CODE 7391", "to": PHONE, "from": "40404", "coding": "0", "username": USERNAME,
        "password": SECRET, "dlr-mask": "19", "dlr-url": f"{RECEIPTS}?id={TEXT.key}&status=%d&answer=%A",
        "content-type": "text/plain; charset=UTF-8",
    } == message  # fmt: skip


def test_send_without_sender_leaves_it_to_kannel(provider: FakeKannel) -> None:
    """No sender is no field: `global-sender` counts."""
    gateway_to(provider.url).send(TEXT)

    assert "from" not in provider.messages[0]


@pytest.mark.parametrize(
    ("text", "coding"), [("é è {[€]}", "0"), ("ê", "2"), ("\t", "2"), ("’", "2"), ("🙂", "2"), ("", "0")]
)
def test_coding_is_chosen_here(provider: FakeKannel, text: str, coding: str) -> None:
    """Kannel would send `?` for what is not in GSM 03.38."""
    gateway_to(provider.url).send(Outgoing("12", PHONE, text))

    assert (provider.messages[0]["text"], provider.messages[0]["coding"]) == (text, coding)


def test_text_that_kannel_would_cut_off_is_not_sent(provider: FakeKannel) -> None:
    """Ten segments pass; an eleventh would be lost without a word."""
    gateway = gateway_to(provider.url)

    assert isinstance(gateway.send(Outgoing("12", PHONE, "x" * 1530)), Accepted)
    assert gateway.send(Outgoing("12", PHONE, "x" * 1531)) == Failed("the text is longer than 10 segments")
    assert provider.requests == 1


def test_no_percent_sign_of_ours_in_the_address_of_receipts(provider: FakeKannel) -> None:
    """It is Kannel's own there, and would eat the letters behind it."""
    gateway_to(provider.url).send(Outgoing("a+b é%d", PHONE, "x"))

    address = provider.messages[0]["dlr-url"]
    assert re.fullmatch(r"[a-z0-9-]+&status=%d&answer=%A", address.removeprefix(f"{RECEIPTS}?id="))


def test_send_to_no_number_asks_nobody(provider: FakeKannel) -> None:
    """A short code or a word is refused here; two numbers in one would be two texts."""
    for to in ("40404", "Orange", "0696123456", "+596696123456\n", "+٥٩٦٦٩٦١٢٣٤٥٦", f"{PHONE} {FABIOLA}"):
        outcome = gateway_to(provider.url).send(Outgoing("1", to, "x"))
        assert outcome == Failed("the recipient is no international number")
    assert provider.requests == 0


def test_wrong_account_is_for_a_person(provider: FakeKannel) -> None:
    """Nobody's text passes until somebody mends it."""
    outcome = gateway_to(provider.url, password="another").send(TEXT)

    assert outcome == Retry("403 Kannel refuses the user name, the password or our address", after=300.0)


@pytest.mark.parametrize("password", ["a pass+word & 100% é", "€", "p@ss:w/o?r#d"])
def test_password_of_any_letters(password: str) -> None:
    """As the bytes that stand in Kannel's configuration."""
    with FakeKannel(password) as provider:
        assert gateway_to(provider.url, password=password).send(TEXT) == TAKEN


@pytest.mark.parametrize(
    ("url", "more"),
    [
        ("https://{host}", {}),
        ("http://", {}),
        ("http://{host}0000", {}),
        ("http://127.0.0.1:port", {}),
        ("http://" + "a" * 70 + ".example", {}),
        ("http://[::1", {}),
        ("http://{host}", {"password": f"{SECRET}\n"}),
        ("http://{host}", {"username": "\udcff\n"}),
        ("http://{host}", {"sender": "\ud800"}),
    ],
)
def test_send_that_cannot_begin(provider: FakeKannel, url: str, more: dict[str, str]) -> None:
    """Nothing left this machine: try again, and say why without the password."""
    gateway = gateway_to(url.format(host=provider.url.removeprefix("http://")), **more)

    outcome = gateway.send(TEXT)

    assert isinstance(outcome, Retry)
    assert SECRET not in outcome.reason
    assert provider.messages == []
    assert SECRET not in gateway.health()


def test_send_when_nobody_takes_the_connection() -> None:
    """A host that does not even say no: the queue of a listener that never accepts is full."""
    with socket.socket() as deaf, socket.socket() as first, socket.socket() as second:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        for waiting in (first, second):
            waiting.setblocking(False)
            waiting.connect_ex(deaf.getsockname())

        outcome = gateway_to(f"http://127.0.0.1:{deaf.getsockname()[1]}", patience=0.2).send(TEXT)

    assert outcome == Retry("no connection to Kannel: TimeoutError")


@pytest.mark.parametrize(
    ("mode", "said"),
    [
        ("ok", ""),
        ("busy", "503 no answer of Kannel's"),
        ("elsewhere", "404 what answers is not Kannel's sendsms"),
        ("portal", "200 no answer of Kannel's"),
        ("not_http", "what answers is not Kannel"),
        ("down", "no connection to Kannel: ConnectionRefusedError"),
    ],
)
def test_health(provider: FakeKannel, mode: str, said: str) -> None:
    """What is wrong, found out without sending anything."""
    provider.mode = mode

    assert gateway_to(provider.url).health() == said
    assert provider.messages == []


def test_health_with_a_wrong_password(provider: FakeKannel) -> None:
    """The account is looked at before the number that is missing."""
    assert "refuses the user name" in gateway_to(provider.url, password="another").health()


@pytest.mark.parametrize(
    ("settings", "address"),
    [
        ({}, "http://127.0.0.1:8000/sms/kannel/demo/receipt"),
        ({"host": "10.0.0.7", "port": 80, "sms_webhook_secret": "s3"}, "http://10.0.0.7:80/sms/kannel/s3/receipt"),
        ({"public_url": "https://reemploi.example.org/"}, "https://reemploi.example.org/sms/kannel/demo/receipt"),
    ],
)
def test_address_of_receipts(provider: FakeKannel, settings: dict[str, str | int], address: str) -> None:
    """PUBLIC_URL, or this machine, where Kannel is unless somebody says otherwise."""
    chosen = Settings(kannel_url=provider.url, kannel_username=USERNAME, kannel_password=SECRET, **settings)  # type: ignore[arg-type]

    gateways.build(chosen, "kannel").send(TEXT)

    assert provider.messages[0]["dlr-url"] == f"{address}?id={TEXT.key}&status=%d&answer=%A"


def test_http_client_alone_is_needed() -> None:
    """Neither `requests` nor an SDK is loaded: `http.client` is there anyway, and says whether a request had left."""
    code = (
        "import sys; from circular.settings import Settings; from sms import gateways;"
        "from sms.gateways.base import Outgoing;"
        "gateways.build(Settings(kannel_url='http://127.0.0.1:1'), 'kannel').send(Outgoing('1', '+596696123456', 'x'));"
        "sys.exit('africastalking' in sys.modules or 'requests' in sys.modules)"
    )

    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=30).returncode == 0


# --- through the webhook ----------------------------------------------------------------------------------------------
def recorded(name: str) -> str:
    """A recorded query."""
    return (FIXTURES / "kannel" / name).read_text().strip()


def test_inbound_is_stored_once_however_often_it_comes(client: FlaskClient) -> None:
    """smsbox comes again under the same id; only 200 with nothing in it ends that."""
    for _ in range(3):
        answer = client.get(f"/sms/kannel/demo/inbound?{recorded('inbound-ucs2.query')}")
        assert (answer.status_code, answer.data) == (200, b"")

    assert db.rows("SELECT gateway, text FROM inbound_message") == [("kannel", "ça alors, tôle ? 🙂")]


def told(client: FlaskClient, provider: FakeKannel, number: int, name: str) -> None:
    """A recorded receipt comes to the address that the text's request gave."""
    address = provider.messages[number]["dlr-url"].removeprefix(RECEIPTS).split("&")[0]
    rest = recorded(name).partition("&")[2]
    answer = client.get(f"/sms/kannel/demo/receipt{address}&{rest}")
    assert (answer.status_code, answer.data) == (200, b"")


def test_receipts_find_their_texts(client: FlaskClient, provider: FakeKannel) -> None:
    """Out of order, for two texts; what is settled stays."""
    post = Post(gateway_to(provider.url))
    for phone in (FABIOLA, JOSEPH):
        write("x", phone=phone)
        post.round()

    told(client, provider, 1, "receipt-undelivered.query")
    told(client, provider, 1, "receipt-taken.query")
    told(client, provider, 0, "receipt-delivered.query")
    told(client, provider, 0, "receipt-rejected.query")

    assert db.rows("SELECT state, reason FROM outbound_message ORDER BY id") == [
        ("delivered", ""),
        ("failed", "UNDELIV 001"),
    ]


def test_receipt_for_an_answer_that_was_lost(client: FlaskClient, provider: FakeKannel) -> None:
    """Kannel took the text and could not say so: its receipt does, and the text is not sent again."""
    provider.mode = "cut"
    post = Post(gateway_to(provider.url))
    write("x")
    post.round()
    assert states() == ["unknown"]

    told(client, provider, 0, "receipt-delivered.query")
    provider.mode = "ok"
    post.round(after=timedelta(minutes=10))

    assert states() == ["delivered"]
    assert len(provider.messages) == 1

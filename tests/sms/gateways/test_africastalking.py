"""Africa's Talking through its real SDK, against a server that fails in every way that the provider and networks do."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from sms.gateways.africastalking import AfricasTalking
from sms.gateways.base import Accepted, Failed, Outcome, Outgoing, Retry, Unknown
from tests.fake_africastalking import MODES, FakeAfricasTalking

FIXTURES = Path(__file__).parents[3] / "fixtures" / "gateways" / "africastalking"
SECRET = "a-key-that-nobody-may-see"
TEXT = Outgoing("12", "+596696123456", "Réservé ! Code 7391")
TAKEN = Accepted("ATXid_00000001", "EUR 0.0500")


@pytest.fixture
def provider() -> Iterator[FakeAfricasTalking]:
    """A provider that works until it is told otherwise."""
    with FakeAfricasTalking() as running:
        yield running


def gateway_to(url: str, patience: float = 5.0, **more: str) -> AfricasTalking:
    """An account that waits `patience` seconds for an answer."""
    account = {"username": "sandbox", "api_key": SECRET, "api_url": url, **more}
    return AfricasTalking(**account, timeout=(patience, patience))


@pytest.mark.parametrize(
    ("mode", "outcome", "messages"),
    [
        ("ok", TAKEN, 1),
        ("charset", TAKEN, 1),
        ("401", Retry("the provider refuses the user name or the key", after=300.0), 0),
        ("429", Retry("the provider answered with an error"), 0),
        ("500", Retry("the provider answered with an error"), 0),
        ("garbage", Retry("no answer of the provider's: JSONDecodeError"), 0),
        ("redirect", Retry("no answer of the provider's: TooManyRedirects"), 0),
        ("empty_recipients", Retry("the answer names no recipient"), 0),
        ("insufficient", Retry("405 InsufficientBalance", after=300.0), 0),
        ("invalid_sender", Retry("402 InvalidSenderId", after=300.0), 0),
        ("no_balance", Retry("405 InsufficientBalance", after=300.0), 0),
        ("rejected", Failed("403 InvalidPhoneNumber"), 0),
        ("blacklist", Failed("406 UserInBlacklist", opt_out=True), 0),
        ("gateway_error", Retry("501 GatewayError", everybody=False), 0),
        ("unheard_of", Retry("the answer has a status that we do not know", everybody=False), 0),
        ("slow", Unknown("no answer in time"), 1),
        ("hang", Unknown("no answer in time"), 1),
        ("reset", Unknown("connection cut"), 1),
        ("cut", Unknown("connection cut"), 1),
        ("half", Unknown("answer cut: ChunkedEncodingError"), 1),
        ("down", Retry("no connection: refused, unreachable or no such host"), 0),
    ],
)
def test_send_in_every_mode(provider: FakeAfricasTalking, mode: str, outcome: Outcome, messages: int) -> None:
    """Retry only what was certainly not taken; what may have been taken is unknown."""
    provider.mode = mode
    patience = 0.2 if outcome == Unknown("no answer in time") else 5.0

    assert gateway_to(provider.url, patience).send(TEXT) == outcome

    assert len(provider.messages) == messages
    assert not any(word in repr(outcome) for word in (SECRET, "696123456", "7391"))


def test_every_mode_is_tried() -> None:
    """A mode that is added to the provider gets an outcome here."""
    marks = test_send_in_every_mode.pytestmark  # type: ignore[attr-defined]  # pytest hangs it there
    assert {values[0] for values in marks[0].args[1]} == set(MODES)


def test_send_to_a_slow_provider_with_patience(provider: FakeAfricasTalking) -> None:
    """Slow is not broken."""
    provider.mode, provider.seconds = "slow", 0.1

    assert gateway_to(provider.url).send(TEXT) == TAKEN


def test_send_when_the_host_has_no_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """The internet is gone, and names with it: nothing was sent."""

    def no_such_host(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", no_such_host)

    assert gateway_to("http://provider.invalid").send(TEXT) == Retry(
        "no connection: refused, unreachable or no such host"
    )


def test_send_when_nobody_takes_the_connection() -> None:
    """A host that does not even say no: the queue of a listener that never accepts is full."""
    with socket.socket() as deaf, socket.socket() as first, socket.socket() as second:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        for waiting in (first, second):
            waiting.setblocking(False)
            waiting.connect_ex(deaf.getsockname())

        outcome = gateway_to(f"http://127.0.0.1:{deaf.getsockname()[1]}", patience=0.2).send(TEXT)

    assert outcome == Retry("no connection: ConnectTimeout")


def test_send_asks_once(provider: FakeAfricasTalking) -> None:
    """No retry hides in the SDK or below it."""
    provider.mode = "cut"

    gateway_to(provider.url).send(TEXT)

    assert provider.requests == 1


def test_send_what_the_provider_reads(provider: FakeAfricasTalking) -> None:
    """Account, key, number, text and sender arrive as they are."""
    gateway_to(provider.url + "/", username="circular", sender="TROC").send(TEXT)

    assert provider.messages == [
        {
            "id": "ATXid_00000001",
            "username": "circular",
            "to": "+596696123456",
            "from": "TROC",
            "text": "Réservé ! Code 7391",
            "api_key": SECRET,
        }
    ]


def test_send_without_sender_leaves_it_to_the_provider(provider: FakeAfricasTalking) -> None:
    """No sender is no field, not an empty one."""
    gateway_to(provider.url).send(TEXT)

    assert provider.messages[0]["from"] == ""


def test_send_to_no_number_asks_nobody(provider: FakeAfricasTalking) -> None:
    """A short code or a word is refused here, without its name in the reason."""
    for to in ("40404", "Orange", "0696123456", "+596696123456\n", "+٥٩٦٦٩٦١٢٣٤٥٦"):
        assert gateway_to(provider.url).send(Outgoing("1", to, "x")) == Failed(
            "the recipient is no international number"
        )
    assert provider.requests == 0


@pytest.mark.parametrize(
    ("url", "api_key"),
    [
        ("https://{host}", SECRET),
        ("http://", SECRET),
        ("pigeon://{host}", SECRET),
        ("http://{host}", f"{SECRET}\n"),
    ],
    ids=["no TLS there", "no host", "no such scheme", "a key with a line break"],
)
def test_send_that_cannot_begin(provider: FakeAfricasTalking, url: str, api_key: str) -> None:
    """Nothing left this machine: try again, and say why without the key."""
    host = provider.url.removeprefix("http://")

    outcome = gateway_to(url.format(host=host), api_key=api_key).send(TEXT)

    assert isinstance(outcome, Retry)
    assert SECRET not in outcome.reason
    assert provider.messages == []


def test_send_with_a_key_that_no_header_holds(provider: FakeAfricasTalking) -> None:
    """The SDK's own faults do not get out either."""
    outcome = gateway_to(provider.url, api_key=f"{SECRET}€").send(TEXT)

    assert outcome == Unknown("the SDK broke off: UnicodeEncodeError")


def test_send_by_several_threads_and_accounts(provider: FakeAfricasTalking) -> None:
    """Accounts do not mix: nothing is kept in the SDK's module."""
    accounts = [gateway_to(provider.url, username=f"account-{n}") for n in range(4)]
    threads = [threading.Thread(target=account.send, args=(TEXT,)) for account in accounts for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    names = [message["username"] for message in provider.messages]
    assert sorted(names) == sorted(f"account-{n}" for n in range(4) for _ in range(5))


@pytest.mark.parametrize(
    ("name", "outcome"),
    [
        ("send-ok.json", Accepted("ATXid_0123456789abcdef0123456789abcdef", "EUR 0.0500")),
        ("send-insufficient.json", Retry("405 InsufficientBalance", after=300.0)),
        ("send-rejected.json", Failed("403 InvalidPhoneNumber")),
    ],
)
def test_send_recorded_answer(provider: FakeAfricasTalking, name: str, outcome: Outcome) -> None:
    """The recorded bodies mean what their names say."""
    provider.answer = (FIXTURES / name).read_text()

    assert gateway_to(provider.url).send(TEXT) == outcome


def answer(**recipient: object) -> str:
    """A 201 about one recipient."""
    return json.dumps({"SMSMessageData": {"Message": "Sent to 1/1", "Recipients": [recipient]}})


@pytest.mark.parametrize(
    ("body", "outcome"),
    [
        *[(answer(statusCode=code, messageId="a"), Accepted("a", None)) for code in (100, 101, 102, "101")],
        *[(answer(statusCode=code, messageId="None"), Failed) for code in (401, 403, 404, 406, 407, 409)],
        *[(answer(statusCode=code, messageId="None"), Retry) for code in (405, 500, 501, 502, 999, "?", None)],
        (answer(status="Success", messageId="a", cost="KES 0.8000"), Accepted("a", "KES 0.8000")),
        (answer(status="Sent", messageId="None", cost=0), Accepted(None, None)),
        (answer(statusCode=403, status="Success"), Failed),
        (answer(), Retry),
        ('{"SMSMessageData": {"Recipients": ["+596696123456"]}}', Retry),
        ('{"SMSMessageData": {"Recipients": {}, "Message": ["InvalidSenderId"]}}', Retry),
        ('{"SMSMessageData": []}', Retry),
        ("{}", Retry),
        ("[]", Retry),
        ("null", Retry),
        ("", Retry),
    ],
)
@pytest.mark.parametrize("content_type", ["application/json", "application/json; charset=utf-8"])
def test_send_any_answer(
    provider: FakeAfricasTalking, body: str, content_type: str, outcome: Outcome | type[Outcome]
) -> None:
    """Every documented code has its outcome; what is not understood is tried again; a charset changes nothing."""
    provider.answer, provider.content_type = body, content_type

    came = gateway_to(provider.url).send(TEXT)

    assert (type(came) is outcome) if isinstance(outcome, type) else (came == outcome)
    assert "696123456" not in repr(came)


def test_send_deep_answer(provider: FakeAfricasTalking) -> None:
    """An answer made to break a parser breaks nothing."""
    provider.answer, provider.content_type = "[" * 100_000, "text/html"

    assert gateway_to(provider.url).send(TEXT) == Retry("the answer is not JSON")


@pytest.mark.parametrize(
    ("username", "url"),
    [
        ("sandbox", "https://api.sandbox.africastalking.com/version1"),
        ("circular", "https://api.africastalking.com/version1"),
    ],
)
def test_address_without_setting_is_the_sdks_own(username: str, url: str) -> None:
    """No AFRICASTALKING_API_URL: the provider's hosts, by the user name. (Private: nothing may be sent there.)"""
    assert AfricasTalking(username=username, api_key=SECRET)._service()._baseUrl == url


def test_sdk_is_not_imported_by_receiving() -> None:
    """A process that only receives does not pay for the SDK."""
    code = (
        "import sys; from circular.settings import Settings; from sms import gateways; from sms.gateways.base import Knock;"
        "gateways.build(Settings(), 'africastalking').parse_inbound(Knock(form={'from': '+596696123456'}));"
        "sys.exit('africastalking' in sys.modules or 'requests' in sys.modules)"
    )

    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=30).returncode == 0


def test_provider_by_hand_changes_mode_and_comes_back(provider: FakeAfricasTalking) -> None:
    """What the README tells to try by hand: a mode by POST, an outage that ends, the list of messages."""

    def post(**form: str) -> None:
        data = urllib.parse.urlencode(form).encode()
        with urllib.request.urlopen(f"{provider.url}/mode", data, timeout=2) as response:
            assert response.status == 200

    post(mode="429")
    assert gateway_to(provider.url).send(TEXT) == Retry("the provider answered with an error")

    post(mode="down", seconds="0.2")
    assert provider.back.wait(2)
    assert gateway_to(provider.url).send(TEXT) == TAKEN
    with urllib.request.urlopen(f"{provider.url}/messages", timeout=2) as response:
        assert [message["id"] for message in json.load(response)] == ["ATXid_00000001"]

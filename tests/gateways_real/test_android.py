"""From a handset to an answer and its receipt through a phone: the app's real client sets it up, the server really runs.

The phone itself is pretended (`tests/fake_android.py`): the app runs on Android alone.
"""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Iterator, Sequence

import pytest
from android_sms_gateway import client, domain
from android_sms_gateway.enums import ProcessState, WebhookEvent
from android_sms_gateway.errors import APIError, BadRequestError, UnauthorizedError

from sms import segments
from tests.fake_android import USERNAME, FakeAndroid
from tests.gateways_real.processes import until
from tests.gateways_real.server import CODE, SECRET, Server
from tests.town import FABIOLA

PASSWORD, KEY = "a password é", "a-signing-key"
SLOW = 180.0  # seconds for several texts at a phone's pace
EVENTS = (WebhookEvent.SMS_RECEIVED, WebhookEvent.SMS_SENT, WebhookEvent.SMS_DELIVERED, WebhookEvent.SMS_FAILED)


@pytest.fixture
def phone() -> Iterator[FakeAndroid]:
    """A phone that nobody has set up yet."""
    with FakeAndroid(PASSWORD, KEY) as running:
        yield running


@pytest.fixture
def app(phone: FakeAndroid) -> Iterator[client.APIClient]:
    """The app's own client."""
    with client.APIClient(USERNAME, PASSWORD, base_url=phone.url) as asking:
        yield asking


def set_up(
    phone: FakeAndroid,
    app: client.APIClient,
    server: Server,
    path: str = "inbound",
    events: Sequence[WebhookEvent] = EVENTS,
) -> None:
    """What docs/gateways.md tells a person to do: one address for every event, and Circular's settings."""
    url = f"{server.url}/sms/android/{SECRET}/{path}"
    for event in events:
        app.create_webhook(domain.Webhook(id=None, url=url, event=event))
    server.start(SMS_GATEWAY="android", ANDROID_URL=phone.url, ANDROID_USERNAME=USERNAME, ANDROID_PASSWORD=PASSWORD,
                 ANDROID_SIGNING_KEY=KEY)  # fmt: skip


def states(server: Server) -> list[tuple[str, str]]:
    """In what states the texts are, and why."""
    return server.rows("SELECT DISTINCT state, reason FROM outbound_message")


# --- all is well ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("path", ["inbound", "receipt"])
def test_search_reserve_and_receipts(phone: FakeAndroid, app: client.APIClient, server: Server, path: str) -> None:
    """BOIS, then R, each told twice by the phone: two answers of one segment, one hold, and both delivered."""
    set_up(phone, app, server, path)
    phone.hear(FABIOLA, "BOIS", times=2)
    until(lambda: len(phone.messages) == 1, SLOW)
    phone.hear(FABIOLA, f"R {CODE} 3", times=2)
    until(lambda: len(phone.messages) == 2, SLOW)
    until(lambda: states(server) == [("delivered", "")], SLOW)

    listed, reserved = phone.messages
    pin = re.search(r"CODE (\d{4})", reserved["text"])
    assert CODE in listed["text"] and pin and "(3)" in reserved["text"]
    assert {message["to"] for message in phone.messages} == {FABIOLA}
    assert [segments.measure(message["text"]).segments for message in phone.messages] == [1, 1]
    assert server.rows("SELECT quantity, pickup_code FROM reservation") == [(3000, pin[1])]
    assert app.get_state(reserved["id"]).state == ProcessState.Delivered
    assert set(phone.tries) == {200}


@pytest.mark.parametrize("words", ["Chèche tòl épi bwa à 10 € {vit}", "ça alors, tôle ? 🙂 ’œuf’", "ê" * 300])
def test_inbound_as_it_was_written(phone: FakeAndroid, app: client.APIClient, server: Server, words: str) -> None:
    """The signature is over UTF-8, and nothing is lost in it."""
    set_up(phone, app, server)
    phone.hear(FABIOLA, words)

    assert server.rows("SELECT sender, text FROM inbound_message") == [(FABIOLA, words)]


def test_the_stand_in_is_what_the_client_expects(phone: FakeAndroid, app: client.APIClient) -> None:
    """A repeated id, a wrong password, an address that Android would not call: as the app refuses them."""
    text = domain.Message(id="1", phone_numbers=[FABIOLA], text_message=domain.TextMessage("x"))
    assert app.send(text).state in set(ProcessState)
    with pytest.raises(APIError) as caught:
        app.send(text)
    assert caught.value.status_code == 409
    with pytest.raises(BadRequestError):
        app.create_webhook(domain.Webhook(id=None, url="http://192.168.1.2/", event=WebhookEvent.SMS_RECEIVED))
    with client.APIClient(USERNAME, "wrong", base_url=phone.url) as stranger, pytest.raises(UnauthorizedError):
        stranger.get_webhooks()
    assert app.health_check().status.value == "pass"


# --- something is broken ----------------------------------------------------------------------------------------------
def test_what_the_phone_cannot_deliver(phone: FakeAndroid, app: client.APIClient, server: Server) -> None:
    """A number without service: failed, and staff see why."""
    set_up(phone, app, server)
    phone.hear("+596696000099", "BOIS")

    until(lambda: states(server) == [("failed", "RESULT_ERROR_NO_SERVICE")], SLOW)


def test_somebody_else_on_the_network(phone: FakeAndroid, app: client.APIClient, server: Server) -> None:
    """Whoever knows the address but not the key finds no page there, and nothing is stored."""
    set_up(phone, app, server)
    phone.signing_key, phone.pause = "another key", 0.0
    phone.hear(FABIOLA, f"R {CODE}")

    assert set(phone.tries) == {404}
    assert server.rows("SELECT 1 FROM inbound_message") == []


def test_phone_that_says_no_and_sends_all_the_same(phone: FakeAndroid, app: client.APIClient, server: Server) -> None:
    """It took the text and answered 500: the text is handed over again, and sent once."""
    set_up(phone, app, server)
    phone.mode = "broken"
    phone.hear(FABIOLA, "BOIS")

    until(lambda: states(server) == [("delivered", "")], SLOW)
    assert len(phone.messages) == 1


def test_phone_that_falls_silent(phone: FakeAndroid, app: client.APIClient, server: Server) -> None:
    """It took the text and never said so, nor tells what became of it: handed over again, it is sent once."""
    set_up(phone, app, server, events=EVENTS[:1])
    phone.mode = "hang"
    phone.hear(FABIOLA, "BOIS")
    until(lambda: phone.messages, SLOW)

    phone.mode = "ok"

    until(lambda: states(server) == [("sent", "")], SLOW)
    assert len(phone.messages) == 1
    assert server.rows("SELECT 1 FROM outbound_message WHERE attempts > 1")


def test_phone_away_for_a_while(phone: FakeAndroid, app: client.APIClient, server: Server) -> None:
    """No phone when the answer was ready: it waits with us, and goes out once."""
    set_up(phone, app, server)
    phone.mode = "down"
    phone.released.clear()  # it is its network that is away: it has a message to tell
    phone.hear(FABIOLA, "BOIS")
    until(lambda: server.rows("SELECT 1 FROM outbound_message WHERE state = 'queued' AND attempts > 0"), SLOW)

    phone.mode = "ok"

    until(lambda: states(server) == [("delivered", "")], SLOW)
    assert len(phone.messages) == 1


def test_server_killed_in_the_middle(phone: FakeAndroid, app: client.APIClient, server: Server) -> None:
    """kill -9 with a crowd's texts half answered: each stored once, each answered once, whatever the phone repeats."""
    crowd = [f"+59669600{number:04d}" for number in range(100, 106)]
    set_up(phone, app, server)
    telling = [threading.Thread(target=phone.hear, args=(to, f"R {CODE}"), kwargs={"times": 2}) for to in crowd]
    for thread in telling:
        thread.start()
    for table in ("inbound_message", "reservation", "outbound_message"):
        until(lambda table=table: server.rows(f"SELECT 1 FROM {table}"))  # type: ignore[misc]
        server.kill()
        server.start()
    until(lambda: phone.messages, SLOW)
    server.kill()
    server.start()
    for thread in telling:
        thread.join()

    until(lambda: states(server) == [("delivered", "")] and len(phone.messages) >= len(crowd), SLOW)
    assert Counter(message["to"] for message in phone.messages) == dict.fromkeys(crowd, 1)
    assert server.rows("SELECT count(*), count(DISTINCT sender) FROM inbound_message") == [(len(crowd),) * 2]
    assert server.rows("SELECT count(*), count(DISTINCT person_id) FROM reservation") == [(len(crowd),) * 2]

"""From a row to the provider and back, through the real SDK against a real local provider."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
import time_machine
from flask.testing import FlaskClient
from peewee import OperationalError

from circular import alerts, catalog, db, notices, people, reservations
from circular.people import Actor
from sms import messages, outbox, worker
from sms.gateways.africastalking import AfricasTalking
from sms.gateways.base import Inbound, Inbox, Outcome, Outgoing, Retry
from sms.gateways.console import Console
from tests.fake_africastalking import FakeAfricasTalking
from tests.sms.conversation import text
from tests.town import FABIOLA, JOSEPH, MIRTHA, Town


class Provider(FakeAfricasTalking):
    """Tells when a message has arrived."""

    def __init__(self) -> None:
        super().__init__()
        self.arrived = threading.Event()

    def take(self, form: dict[str, str], api_key: str) -> str:
        taken = super().take(form, api_key)
        self.arrived.set()
        return taken


@pytest.fixture(autouse=True)
def _a_working_day() -> Iterator[None]:
    """A Tuesday, ten in the morning in Martinique: nothing waits for better hours unless a test says so."""
    with time_machine.travel(datetime(2026, 11, 24, 14, tzinfo=UTC), tick=True):
        yield


@pytest.fixture
def provider() -> Iterator[Provider]:
    with Provider() as running:
        yield running


class Post:
    """A sender whose rounds a test turns by hand, its clock moved instead of waited for."""

    def __init__(self, provider: Provider) -> None:
        self.provider = provider
        gateway = AfricasTalking(username="sandbox", api_key="k", api_url=provider.url, sender="", timeout=(0.5, 0.5))
        self.wake = threading.Event()
        self.sender = outbox.Sender(gateway, "worker-test", self.wake)

    def round(self, after: timedelta = timedelta(0)) -> list[str]:
        """Send all that may be sent now (or `after` from now); what the provider has accepted so far."""
        with time_machine.travel(datetime.now(UTC) + after, tick=True):
            outbox.tell_notices()
            while self.sender.tick() or self.sender.busy:
                if self.sender.busy:
                    self.wake.wait(5)
                    self.wake.clear()
        return [message["text"] for message in self.provider.messages]


@pytest.fixture
def post(provider: Provider) -> Iterator[Post]:
    one = Post(provider)
    yield one
    one.sender.close()


def _states() -> list[str]:
    return [row[0] for row in db.rows("SELECT state FROM outbound_message ORDER BY id")]


def test_an_answer_reaches_the_provider(town: Town, client: FlaskClient, post: Post) -> None:
    """The text, the number, and a receipt that closes it."""
    said = text(client, "bois")

    assert post.round() == [said]
    assert post.provider.messages[0]["to"] == FABIOLA
    assert _states() == ["sent"]
    provider_id = db.value("SELECT provider_id FROM outbound_message")
    for status in ("Sent", "Success", "Sent", "NobodyKnows"):
        client.post("/sms/africastalking/demo/receipt", data={"id": provider_id, "status": status})
    assert _states() == ["delivered"]


@pytest.mark.parametrize("mode", ["500", "429", "401", "garbage", "gateway_error", "insufficient", "empty_recipients"])
def test_a_provider_that_refuses_for_now(town: Town, client: FlaskClient, post: Post, mode: str) -> None:
    """Nothing is lost: it is tried again with back-off until it goes."""
    said = text(client, "bois")
    post.provider.mode = mode
    assert post.round() == []
    assert post.round(timedelta(seconds=30)) == []
    assert _states() == ["queued"]

    post.provider.mode = "ok"
    assert post.round(timedelta(minutes=20)) == [said]
    assert _states() == ["sent"]


def test_a_provider_that_is_down(town: Town, client: FlaskClient, post: Post) -> None:
    """An hour of backlog goes out afterwards, each person's answers in order."""
    said = [text(client, words, phone) for words in ("bois", "porte", "0") for phone in (FABIOLA, JOSEPH)]
    post.provider.mode = "500"
    for minutes in (0, 2, 20, 59):
        post.round(timedelta(minutes=minutes))

    post.provider.mode = "ok"
    post.round(timedelta(minutes=61))

    sent = [(message["to"], message["text"]) for message in post.provider.messages]
    assert len(sent) == 6
    assert [words for phone, words in sent if phone == FABIOLA] == said[0::2]
    assert [words for phone, words in sent if phone == JOSEPH] == said[1::2]


def test_a_timeout_is_unknown_and_an_answer_goes_once_more(town: Town, client: FlaskClient, post: Post) -> None:
    """After two minutes an answer is sent again, once, and then never more."""
    said = text(client, "bois")
    post.provider.mode = "hang"  # takes the message, and never says so
    assert post.round() == [said]
    assert _states() == ["unknown"]
    assert post.round(timedelta(minutes=1)) == [said]

    assert post.round(timedelta(minutes=2, seconds=1)) == [said, said]
    post.provider.mode = "ok"
    assert post.round(timedelta(hours=1)) == [said, said]
    assert _states() == ["unknown"]


def test_what_is_no_longer_true_is_not_sent(town: Town, post: Post) -> None:
    """A reminder of what was given up or prolonged while it waited, an alert of what is all taken; the others go."""
    given_up, prolonged, kept = (town.reserve(town.person(), town.listing(title=f"Lot {n}")["code"]) for n in range(3))
    alerts.add(town.person(JOSEPH).person_id or 0, {"q": "girafe"}, "a")
    giraffe = town.listing(title="Girafe", quantity=1)["code"]
    until = reservations.moment(kept, "expires_at")
    assert until
    with time_machine.travel(until - timedelta(hours=5)):
        assert reservations.remind() == 3
        while alerts.sweep():
            pass
        assert outbox.tell_notices() == 4
        reservations.cancel(town.person(), given_up["reference"])
        reservations.extend(town.person(), prolonged["reference"], "more")
        town.reserve(town.person(MIRTHA), giraffe)
    post.round(until - timedelta(hours=5) - datetime.now(UTC))

    sent = [message["text"] for message in post.provider.messages if "Rappel" in message["text"]]
    assert len(sent) == 1
    assert kept["pickup_code"] in sent[0]
    gone = db.rows("SELECT recipient, state FROM outbound_message WHERE reason = 'no_longer_true' ORDER BY id")
    assert gone == [(FABIOLA, "cancelled"), (FABIOLA, "cancelled"), (JOSEPH, "cancelled")]


def test_a_timeout_of_what_nobody_asked_for(town: Town, post: Post) -> None:
    """A notice that may have gone out is not sent again."""
    made = town.reserve(town.person(), town.listing()["code"], 1)
    reservations.cancel(town.staff, made["reference"])
    post.provider.mode = "hang"
    assert len(post.round()) == 1

    post.provider.mode = "ok"
    assert len(post.round(timedelta(minutes=10))) == 1
    assert _states() == ["unknown"]


def test_a_refusal_for_good(town: Town, client: FlaskClient, post: Post) -> None:
    """A rejected number is not tried again; a black list opts the person out."""
    text(client, "bois")
    post.provider.mode = "rejected"
    post.round()
    text(client, "bois", JOSEPH)
    post.provider.mode = "blacklist"
    post.round()

    assert _states() == ["failed", "failed"]
    assert people.is_opted_out(town.person(JOSEPH).person_id or 0)
    assert not people.is_opted_out(town.person(FABIOLA).person_id or 0)


def test_a_receipt_before_our_own_note(town: Town, client: FlaskClient, post: Post) -> None:
    """Receipts may overtake: what came early counts once the message is noted as sent."""
    text(client, "bois")
    client.post("/sms/africastalking/demo/receipt", data={"id": "ATXid_early", "status": "Success"})
    (claimed,) = messages.claim("africastalking", "worker-test", 1)

    with db.transaction():
        messages.mark_sent(claimed.id, "africastalking", "ATXid_early", None)

    assert _states() == ["delivered"]


def test_what_a_dead_worker_had_in_hand(town: Town, client: FlaskClient, post: Post) -> None:
    """Another worker finds it by the name that death let go of, and sends it."""
    said = text(client, "bois")
    messages.claim("africastalking", "worker-7", 1)
    assert post.round() == []

    worker.chores("worker-test")

    assert post.round() == [said]


def test_what_a_living_worker_has_in_hand(town: Town, client: FlaskClient, post: Post) -> None:
    """Nobody sends what somebody alive is sending."""
    text(client, "bois")
    messages.claim("africastalking", "worker-8", 1)
    alive = db.ProcessLock("worker-8")
    assert alive.acquire()

    worker.chores("worker-test")

    assert post.round() == []
    alive.release()


def test_notices_become_texts_in_their_persons_language(town: Town, post: Post) -> None:
    """A reservation by the API sends its code by SMS; an expiry is told; somebody without a phone is not."""
    person = town.person()
    people.choose_language(person.person_id or 0, "en")
    by_api = Actor(person.person_id, "builder", "api")
    made = town.reserve(by_api, town.listing()["code"], 1)
    town.reserve(town.builder(), made["listing"], 1)

    (said,) = post.round()

    assert made["pickup_code"] in said and said.startswith("Reserved")


def test_the_worker_does_it_all(town: Town, client: FlaskClient, provider: Provider, database_url: str) -> None:
    """The thread that the server runs: from the webhook to the provider, nobody turning anything by hand."""
    from circular import settings

    settings.use(
        settings.load(
            {
                "DATABASE_URL": database_url,
                "SMS_GATEWAY": "africastalking",
                "AFRICASTALKING_API_KEY": "k",
                "AFRICASTALKING_API_URL": provider.url,
            }
        )
    )
    running = worker.start()
    form = {"id": "w1", "from": FABIOLA, "to": "40404", "text": "bonjour", "date": ""}
    assert client.post("/sms/africastalking/demo/inbound", data=form).status_code == 200

    assert provider.arrived.wait(10)

    running.stop()
    running.thread.join(10)
    assert provider.messages[0]["text"].startswith("Bonjour, ici Réemploi Lamentin")
    assert _states() == ["sent"]


def test_a_terminal_s_conversation_holds_nobody_up(town: Town, client: FlaskClient, post: Post) -> None:
    """A text pinned to the console, left behind by `flask sms try`, never stands before a real one."""
    person = town.person()
    with db.transaction():
        messages.queue(person.person_id or 0, FABIOLA, "left behind", messages.ANSWER, "fr", gateway="console")

    said = text(client, "bois")

    assert post.round() == [said]


def test_another_gateway_sends_what_the_first_could_not(town: Town, client: FlaskClient, post: Post) -> None:
    """What waits is nobody's in particular: when the town changes its gateway, the new one sends it."""
    text(client, "bois")
    post.provider.mode = "500"
    post.round()

    with time_machine.travel(datetime.now(UTC) + timedelta(hours=1)):
        claimed = messages.claim("console", "worker-9", 1)

    assert len(claimed) == 1


def test_a_gateway_that_raises(town: Town, client: FlaskClient, post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its promise broken, the text may have gone: it is unknown, and the others go on."""

    def broken(_message: object) -> None:
        raise RuntimeError("a bug")

    text(client, "bois")
    monkeypatch.setattr(post.sender.gateway, "send", broken)
    post.round()
    monkeypatch.undo()
    said = text(client, "bois", JOSEPH)

    assert post.round() == [said]
    assert _states() == ["unknown", "sent"]


def test_numbers_that_cannot_be_reached_hold_up_nobody(town: Town, client: FlaskClient, post: Post) -> None:
    """What the provider refuses for one recipient alone is that one's affair: the others get their answers at once."""
    unreachable = [f"+5966960001{n:02}" for n in range(3)]
    real = post.sender.gateway.send

    def send(message: Outgoing) -> Outcome:
        return Retry("502 RejectedByGateway", everybody=False) if message.to in unreachable else real(message)

    post.sender.gateway.send = send  # type: ignore[method-assign]
    for phone in unreachable:
        text(client, "bois", phone)
    post.round()
    said = text(client, "bois")

    assert post.round() == [said]


@pytest.mark.parametrize("how", ["retry", "unknown", "death"])
def test_stop_while_a_text_is_in_hand(town: Town, client: FlaskClient, post: Post, how: str) -> None:
    """What was being sent when STOP came is not sent again; the confirmation is all that goes."""
    text(client, "bois")
    (claimed,) = messages.claim("africastalking", "worker-5", 1)
    said = text(client, "STOP")

    if how == "retry":
        messages.mark_for_retry(claimed, "500", 0)
    elif how == "unknown":
        messages.mark_unknown(claimed, "africastalking", "timeout")
    else:
        messages.give_back("worker-5")

    assert post.round(timedelta(minutes=5)) == [said]
    assert _states() == ["cancelled", "sent"]


@pytest.mark.parametrize("how", ["retry", "unknown", "death"])
def test_erased_while_a_text_is_in_hand(town: Town, client: FlaskClient, post: Post, how: str) -> None:
    """What the provider did not take is not sent to somebody who is nobody any more; the last word is."""
    text(client, "bois")
    (claimed,) = messages.claim("africastalking", "worker-5", 1)
    text(client, "EFFACE")
    said = text(client, "OUI")

    if how == "retry":
        messages.mark_for_retry(claimed, "500", 0)
    elif how == "unknown":
        messages.mark_unknown(claimed, "africastalking", "timeout")
    else:
        messages.give_back("worker-5")

    assert post.round(timedelta(minutes=5)) == [said]


def test_a_notice_without_words(town: Town, post: Post) -> None:
    """It is logged and let go; those behind it are told."""
    person = town.person().person_id or 0
    with db.transaction():
        notices.tell(person, "of_another_version")
        notices.tell(person, "withdrawn", title="Porte")

    assert len(post.round()) == 1


def test_a_notice_that_the_database_broke_off(town: Town, post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    """A deadlock or a lost connection loses no text: it is told in the next round."""
    with db.transaction():
        notices.tell(town.person().person_id or 0, "withdrawn", title="Porte")

    def broken(*_args: object, **_facts: object) -> bool:
        raise OperationalError("deadlock detected")

    with monkeypatch.context() as patch:
        patch.setattr(messages, "queue", broken)
        with pytest.raises(OperationalError):
            outbox.tell_notices()
    assert len(post.round()) == 1


def test_a_chore_that_breaks(town: Town, client: FlaskClient, post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    """The others are done: a dead worker's text goes out, a lapsed hold is told, the next listing's queue moves on."""

    def broken(*_args: object) -> int:
        raise ValueError("odd row")

    town.reserve(town.person(FABIOLA), town.listing()["code"])
    text(client, "bois")
    assert messages.claim("africastalking", "worker-5", 1)
    for chore in ((reservations, "remind"), (alerts, "sweep"), (catalog, "reindex_some")):
        monkeypatch.setattr(*chore, broken)
    with time_machine.travel(datetime(2026, 12, 22, 14, tzinfo=UTC), tick=False):
        worker.chores("worker-test")

    assert _states() == ["queued"]
    assert db.value("SELECT COUNT(*) FROM notice WHERE kind = 'expired'") == 1


def test_a_gateway_that_cannot_be_asked(town: Town, client: FlaskClient) -> None:
    """Whatever goes wrong where texts are fetched, the other gateways are asked, and what came is answered."""

    class Odd(Console):
        def collect(self, inbox: Inbox) -> int:
            raise ValueError("half a file")

    class Good(Console):
        def collect(self, inbox: Inbox) -> int:
            inbox.message(Inbound("c1", JOSEPH, "", "bois", None))
            return 1

    running = worker.Worker()
    running._gateways = [Odd(), Good()]
    messages.store_inbound("africastalking", Inbound("a1", FABIOLA, "", "bois", None))
    for _ in range(2):
        running.step()
    running.sender.close()
    running._lock.release()
    assert db.rows("SELECT external_id, state FROM inbound_message ORDER BY id") == [
        ("a1", "handled"),
        ("c1", "handled"),
    ]


def test_a_worker_knows_when_its_name_is_lost(town: Town, engine: str, request: pytest.FixtureRequest) -> None:
    """PostgreSQL lets go of the name when its server restarts: the worker notices, and takes it again."""
    lock = db.ProcessLock("worker-6")
    assert lock.acquire() and lock.held()
    if engine == "postgresql":
        with psycopg.connect(request.getfixturevalue("postgres").url("postgres"), autocommit=True) as admin:
            admin.execute("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'")
        assert not lock.held()
        lock.release()
        assert lock.acquire() and lock.held()
    lock.release()
    assert not lock.held()

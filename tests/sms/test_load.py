"""Much at once, and what breaks in the middle of it: nothing is lost, nothing is answered twice, everybody reads in order."""

from __future__ import annotations

import itertools
import os
import random
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
import time_machine
from flask import Flask

from circular import db, people, settings
from sms import gateways, messages, outbox, worker
from sms.gateways.base import Outcome, Outgoing
from tests.sms.ledger import Ledger
from tests.sms.post import MORNING, Line, Post, states
from tests.town import Town

PEOPLE, EACH = 125, 16  # 2,000 messages; nobody writes more than the twenty in ten minutes that are answered
WORDS = ("bois", "R {code}", "M", "0", "porte", "H", "1", "S")


@pytest.fixture
def _a_working_day() -> Iterator[None]:
    with time_machine.travel(MORNING, tick=True):
        yield


class Sink(Line):
    """A line that tells when it has sent so many texts."""

    def __init__(self, wanted: int) -> None:
        super().__init__(per_second=100_000)
        self.full = threading.Event()
        self._wanted = wanted

    def send(self, message: Outgoing) -> Outcome:
        outcome = super().send(message)
        if len(self.handed) >= self._wanted:
            self.full.set()
        return outcome


def together(work: Callable[[int], None], threads: int) -> None:
    """Run `work` in several threads, each with a connection of its own; the first error is raised."""
    errors: list[BaseException] = []

    def run(number: int) -> None:
        try:
            db.connect()
            work(number)
        except BaseException as error:
            errors.append(error)
        finally:
            db.close()

    running = [threading.Thread(target=run, args=(number,)) for number in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    if errors:
        raise errors[0]


def test_two_thousand_messages_at_once(town: Town, app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    """An alert just went out. A third of the messages come twice, in any order, by four threads; two workers answer.

    Each is stored and answered once, each person reads the answers in the order in which their messages came.
    """
    code = town.listing(quantity=1000)["code"]
    phones = [f"+59669600{n:04}" for n in range(PEOPLE)]
    forms = [
        {"id": f"burst-{phone}-{n}", "from": phone, "to": "40404", "date": "2026-11-24 14:00:00",
         "text": WORDS[(n + len(phone)) % len(WORDS)].format(code=code)}
        for phone in phones for n in range(EACH)
    ]  # fmt: skip
    deliveries = forms + forms[::3]
    random.Random(7).shuffle(deliveries)
    line = Sink(len(forms))
    monkeypatch.setitem(gateways.GATEWAYS, "console", lambda _settings: line)
    answered: Counter[int] = Counter()

    def knock(number: int) -> None:
        client = app.test_client()
        for form in deliveries[number::4]:
            answered[client.post("/sms/africastalking/demo/inbound", data=form).status_code] += 1

    workers = [worker.start(), worker.start()]
    together(knock, 4)
    assert line.full.wait(120)
    for one in workers:
        one.stop()
        one.thread.join(20)

    assert answered == {200: len(deliveries)}
    assert db.rows("SELECT state, COUNT(*) FROM inbound_message GROUP BY state") == [("handled", len(forms))]
    assert db.value("SELECT COUNT(DISTINCT in_reply_to) FROM outbound_message WHERE state = 'sent'") == len(forms)
    assert len(line.read) == len(forms)
    asked = dict(db.rows("SELECT id, in_reply_to FROM outbound_message"))
    order = [
        (to, asked[int(reference.split("-")[0])]) for reference, (to, _) in zip(line.handed, line.read, strict=True)
    ]
    for _, own in itertools.groupby(sorted(order, key=lambda pair: pair[0]), key=lambda pair: pair[0]):
        numbers = [number for _, number in own]
        assert numbers == sorted(numbers)


@pytest.mark.usefixtures("_a_working_day")
def test_an_hour_without_a_provider(town: Town) -> None:
    """Four hundred texts for forty people wait; once it is back each is sent once, in order for each person."""
    line = Line()
    line.mode = "refusing"
    post = Post(line)
    for n in range(10):
        _queue(range(40), f"{n}")
        post.rounds(360 * n, 360 * n + 60, 360 * n + 180)
    assert line.read == []

    line.mode = "ok"
    post.rounds(3700, 3780, 3900)

    assert states() == ["sent"] * 400
    _check_order(line.read, 40, 10)


KILLED = """
import sys
from circular import db, settings
from sms import gateways, worker
from tests.sms.ledger import Pen
settings.use(settings.load({"DATABASE_URL": sys.argv[1]}))
db.open_database(sys.argv[1])
gateways.GATEWAYS["console"] = lambda _settings: Pen(int(sys.argv[2]))
worker.Worker().run()
"""


def test_kill_while_sending(town: Town, database_url: str) -> None:
    """The worker is killed twice while the provider has texts in hand and has not said so.

    No text is lost and everybody reads in order. Where the provider sends a reference once none arrives twice; elsewhere
    those alone that were in hand when it died.
    """
    _queue(range(30), "0", "1", "2", "3", "4")
    db.close()
    with Ledger(150) as ledger:
        for at in (20, 90, 0):
            ledger.hold(at)
            child = subprocess.Popen(
                [sys.executable, "-c", KILLED, database_url, str(ledger.port)],
                cwd=settings.ROOT, env={**os.environ, "PYTHONPATH": str(settings.ROOT)},
            )  # fmt: skip
            with child:
                reached = (ledger.holding if at else ledger.complete).wait(60)
                child.send_signal(signal.SIGKILL)
            ledger.release()
            assert reached

    db.connect()
    assert len({reference for reference, _, _ in ledger.known}) == len(ledger.known) == 150
    _check_order([(to, text) for _, to, text in ledger.known], 30, 5)
    assert len(ledger.handed) - 150 <= 2 * outbox.HANDS


@pytest.mark.usefixtures("_a_working_day")
def test_nobody_takes_a_place_twice(town: Town) -> None:
    """Four workers look at once for the next place of a modem: one of them gets it, each time."""
    _queue(range(8), "text")
    line = Line(per_second=8 / 60)
    posts = [Post(line, worker=f"worker-{n}") for n in range(4)]
    ready = threading.Barrier(4)

    def look(number: int) -> None:
        ready.wait(30)
        posts[number].sender.tick()

    for place in range(1, 5):
        with time_machine.travel(MORNING + timedelta(seconds=8 * place), tick=False):
            together(look, 4)
            for post in posts:
                post.round()
        assert len(line.handed) == place


@pytest.mark.usefixtures("_a_working_day")
def test_receipts_in_a_heap(town: Town, app: Flask) -> None:
    """An hour late, all at once, out of order, repeated, with words nobody knows: each text ends where it should."""
    _queue(range(60), "text")
    line = Line("africastalking")
    Post(line).round()
    ids = [row[0] for row in db.rows("SELECT provider_id FROM outbound_message ORDER BY id")]
    heap = [{"id": one, "status": status} for one in ids for status in ("Sent", "Buffered", "Teleported", "Success")]
    heap += [{"id": one, "status": "Success"} for one in ids] + [{"id": "nobody's", "status": "Success"}] * 9
    random.Random(7).shuffle(heap)

    def knock(number: int) -> None:
        client = app.test_client()
        for form in heap[number::4]:
            assert client.post("/sms/africastalking/demo/receipt", data=form).status_code == 200

    with time_machine.travel(MORNING + timedelta(hours=1), tick=True):
        together(knock, 4)

    assert states() == ["delivered"] * 60
    assert db.value("SELECT COUNT(*) FROM delivery_receipt") == len(heap)


def _queue(numbers: range, *texts: str) -> None:
    """The same texts for several people, in order."""
    with db.transaction():
        for text in texts:
            for n in numbers:
                phone = f"+59669600{n:04}"
                messages.queue(people.ensure(phone), phone, text, messages.ANSWER, "fr")


def _check_order(read: list[tuple[str, str]], persons: int, each: int) -> None:
    """Every person has read 0, 1, 2… once."""
    texts: dict[str, list[str]] = {}
    for to, text in read:
        texts.setdefault(to, []).append(text)
    assert texts == {f"+59669600{n:04}": [str(text) for text in range(each)] for n in range(persons)}

"""Background work: handle what came in, tell notices, send, note what lapsed. One thread of the server by default, a
process of its own (`flask sms deliver`) when a town grows; any number of them share the rows.
"""

from __future__ import annotations

import itertools
import logging
import threading
import time
from collections.abc import Callable

from circular import (
    alerts,
    catalog,
    clock,
    db,
    draws,
    idempotency,
    limits,
    personal,
    reservations,
    settings,
    sign_in,
    waitlist,
)
from sms import gateways, inbox, messages, outbox, ussd, ways

IDLE = 0.5  # seconds between looks at the rows when nobody woke us: other processes cannot wake us
CHORES = 20.0  # seconds between looks for lapsed holds and for workers that died
JUMP = 300.0  # seconds by which the clock on the wall may leave the steady one between two rounds
SETTLING = 600.0  # seconds after such a jump in which nothing lapses nor is forgotten: a slip is put right by then
COLLECT = 1.0  # seconds between looks at gateways that do not knock
FORGETTING = 3600.0  # seconds between looks for what was kept for its time
REPEATS_KEPT = 48 * 3_600_000  # milliseconds that the first answer to an Idempotency-Key is kept
log = logging.getLogger(__name__)
wake = threading.Event()


class Worker:
    """One worker. Its name is a lock that dies with it, so that what it had claimed can be told to be orphaned."""

    def __init__(self) -> None:
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self.run, name="worker", daemon=True)
        self._lock = _free_slot()
        self._chores_at = 0.0
        self._forgetting_at = 0.0
        self._name_checked_at = 0.0
        self._collected_at = 0.0
        self._ahead = time.time() - time.monotonic()
        self._settled_at = 0.0
        self._out_of_reach: set[str] = set()
        self._gateways = [gateways.build(settings.get(), name) for name in ways.order()]
        first, *others = self._gateways
        self.sender = outbox.Sender(first, self._lock.name, wake, fallbacks=others)

    def run(self) -> None:
        """Work until `stop`; whatever breaks is logged, the connection is opened again, and work goes on."""
        orphans_seen_to = False
        while not self.stopped.is_set():
            try:
                db.connect()
                self._keep_name()
                if not orphans_seen_to:
                    messages.give_back(self._lock.name)  # we hold the name: whoever had it before is dead
                    orphans_seen_to = True
                if self.step() == 0:
                    wake.wait(IDLE)
                    wake.clear()
            except Exception as error:  # a worker that stops loses nothing, but nobody gets an answer
                log.exception("background work broke off")
                db.drop_broken_connection(error)
                self.stopped.wait(1.0)
        self.sender.close()
        self._lock.release()
        db.close()

    def _keep_name(self) -> None:
        """Make sure, once a second, that the name is still ours; take it again when the database's server restarted.

        Raises: RuntimeError when another worker has it by now: nothing is claimed under a name that is not ours.
        """
        if time.monotonic() < self._name_checked_at + 1:
            return
        if not self._lock.held():
            self._lock.release()
            if not self._lock.acquire():
                raise RuntimeError(f"{self._lock.name} is held by another worker")
        self._name_checked_at = time.monotonic()

    def step(self) -> int:
        """One round; how much there was to do."""
        done = inbox.handle_pending() + outbox.tell_notices() + self.sender.tick() + self._collect()
        if self._clock_has_jumped():
            return done
        if time.monotonic() >= self._chores_at:
            self._chores_at = time.monotonic() + CHORES
            done += chores(self._lock.name)
        if time.monotonic() >= self._forgetting_at:
            forgotten = forget_old()
            self._forgetting_at = 0.0 if forgotten else time.monotonic() + FORGETTING  # in batches, work in between
            done += forgotten
        return done

    def _clock_has_jumped(self) -> bool:
        """True for a while after the clock on the wall was set by more than JUMP: what lapses by a wrong clock is lost for
        good, what lapses some minutes late is not.
        """
        ahead = time.time() - time.monotonic()
        jump, self._ahead = ahead - self._ahead, ahead
        if abs(jump) > JUMP:
            log.error("the clock jumped by %.0f seconds: nothing lapses for %.0f seconds", jump, SETTLING)
            self._settled_at = time.monotonic() + SETTLING
        return time.monotonic() < self._settled_at

    def _collect(self) -> int:
        """Fetch what waits at gateways that do not knock; how much it was."""
        if time.monotonic() < self._collected_at + COLLECT:
            return 0
        self._collected_at = time.monotonic()
        done = 0
        for gateway in self._gateways:
            try:
                done += gateway.collect(messages.GatewayInbox(gateway.name))
            except Exception as error:  # what waits there is fetched when it is back; said once
                if db.passing(error):
                    raise
                if gateway.name not in self._out_of_reach:
                    foreseen = isinstance(error, OSError)
                    what = type(error).__name__
                    log.error(
                        "%s: nothing can be fetched: %s", gateway.name, what, exc_info=None if foreseen else error
                    )
                self._out_of_reach.add(gateway.name)
            else:
                self._out_of_reach.discard(gateway.name)
        return done

    def stop(self) -> None:
        """Ask the worker to finish what is in flight and end."""
        self.stopped.set()
        wake.set()


def chores(own_name: str) -> int:
    """What no request waits for: texts of the dead, holds and offers that lapsed, draws, reminders, alerts, words to index.

    One that breaks off is logged, and keeps none of the others from being done.
    """

    def give_back() -> int:
        return _give_back(own_name)

    done = 0
    each: tuple[Callable[[], int], ...] = (
        give_back, reservations.expire, reservations.remind, draws.sweep, waitlist.sweep, alerts.sweep,
        catalog.reindex_some, _tidy,
    )  # fmt: skip
    for chore in each:
        try:
            db.connect()
            done += chore()
        except Exception as error:  # the next round does it
            log.exception("%s broke off", chore.__qualname__)
            db.drop_broken_connection(error)
    db.connect()
    return done


def _give_back(own_name: str) -> int:
    done = 0
    for name in messages.claimants() - {own_name}:
        other = db.ProcessLock(name)
        if other.acquire():
            done += messages.give_back(name)
            other.release()
    return done


def _tidy() -> int:
    with db.transaction():
        limits.forget()
        idempotency.forget(REPEATS_KEPT)
        messages.forget_sent()
        messages.blank_codes()
        sign_in.forget()
    return 0


def forget_old() -> int:
    """What README says is kept for a time, when its time is over; how much of it went, a batch at most."""
    days = settings.get().messages_kept_days
    with db.transaction():
        sessions = ussd.forget(db.to_ms(clock.now()) - days * messages.DAY)
    return sessions + personal.forget_old() + messages.forget_old(days)


def _free_slot() -> db.ProcessLock:
    for n in itertools.count(1):
        lock = db.ProcessLock(f"worker-{n}")
        if lock.acquire():
            return lock
    raise AssertionError("unreachable")


def start() -> Worker:
    """A worker in a thread of this process."""
    worker = Worker()
    worker.thread.start()
    return worker

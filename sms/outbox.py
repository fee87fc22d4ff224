"""From rows to requests: notices become texts, texts are claimed, sent by a gateway and marked.

The row is the truth. One text at a time is in the hands of a recipient, so answers arrive in order. What the provider
refuses for now waits with back-off; while it is down, one text at a time tries the way.
"""

from __future__ import annotations

import logging
import random
import threading
from concurrent.futures import Future, ThreadPoolExecutor

from circular import clock, db, notices, people, settings
from sms import messages, replies, screens
from sms.gateways.base import Accepted, Failed, Gateway, Outcome, Outgoing, Retry, Unknown

ASKING = ("offer",)  # notices that OUI and NON answer: whatever was asked before is not what they mean
LONGEST_PAUSE = 60.0  # seconds between two tries while a provider is down
ASKED = ("reserved", "sign_in")  # notices that somebody waits for
log = logging.getLogger(__name__)


# --- notices into words -----------------------------------------------------------------------------------------------
def tell_notices(limit: int = 50) -> int:
    """Write the texts of notices that nobody has told yet; how many notices were dealt with."""
    with db.transaction():
        if not db.try_name("notices"):  # another worker tells: two would tell one person's out of order
            return 0
        batch = notices.untold(limit)
        for notice in batch:
            try:
                with db.transaction():
                    _tell(notice)
            except Exception:  # one notice without words holds nobody up; it is logged and let go
                log.exception("notice %s could not be told", notice.id)
            notices.mark_told(notice.id)
    return len(batch)


def _tell(notice: notices.Untold) -> None:
    person = db.row("SELECT phone, opted_out_at FROM person WHERE id = ?", notice.person_id)
    if person and person[0] and person[1] is None and person[0].startswith(settings.get().sms_allowed_prefixes):
        language = people.language(notice.person_id, settings.get().default_locale)
        kind = messages.ANSWER if notice.kind in ASKED else messages.NOTICE
        if notice.kind in ASKING:
            messages.close_question(notice.person_id)
        messages.queue(notice.person_id, person[0], _words(notice, language), kind, language, notice_id=notice.id)


def _words(notice: notices.Untold, language: str) -> str:
    return replies.render(notice.kind, language, **screens.said(screens.of_notice(notice.facts), language))


# --- texts into requests ----------------------------------------------------------------------------------------------
class Sender:
    """Sends what waits, several texts at a time, each recipient's in order. `tick` never blocks on the provider."""

    def __init__(self, gateway: Gateway, worker: str, wake: threading.Event, hands: int = 4) -> None:
        self.gateway = gateway
        self.worker = worker
        self._wake = wake
        self._hands = hands
        self._pool = ThreadPoolExecutor(hands, thread_name_prefix="sms")
        self._flying: dict[Future[Outcome], messages.Claimed] = {}
        self._failures = 0  # in a row: how long to wait, no more; what waits is in the rows
        self._paused_until = clock.now()

    @property
    def busy(self) -> bool:
        """True while a text is in the provider's hands."""
        return bool(self._flying)

    def tick(self) -> int:
        """Mark what came back and claim more; how many texts were claimed or marked."""
        done = [future for future in self._flying if future.done()]
        if done:
            with db.transaction():
                for future in done:
                    self._settle(self._flying[future], _outcome(future))
            for future in done:  # only now: had the marks been lost, the next round would make them again
                del self._flying[future]
        free = self._hands - len(self._flying)
        if self._failures:
            free = 0 if self._flying or clock.now() < self._paused_until else 1
        claimed = messages.claim(self.gateway.name, self.worker, free) if free else []
        for message in claimed:
            future = self._pool.submit(self.gateway.send, Outgoing(str(message.id), message.recipient, message.text))
            self._flying[future] = message
            future.add_done_callback(lambda _future: self._wake.set())
        return len(done) + len(claimed)

    def close(self) -> None:
        """Wait for what is in flight and mark it."""
        self._pool.shutdown(wait=True)
        with db.transaction():
            for future, message in self._flying.items():
                self._settle(message, _outcome(future))
        self._flying.clear()

    def _settle(self, message: messages.Claimed, outcome: Outcome) -> None:
        age_ms = db.to_ms(clock.now()) - message.created_at
        if isinstance(outcome, Accepted):
            messages.mark_sent(message.id, self.gateway.name, outcome.provider_id, outcome.cost)
        elif isinstance(outcome, Unknown):
            messages.mark_unknown(message, outcome.reason)
        elif isinstance(outcome, Failed) or age_ms > messages.GIVE_UP_AFTER.total_seconds() * 1000:
            messages.mark_failed(message.id, outcome.reason)
            if isinstance(outcome, Failed) and outcome.opt_out:
                people.opt_out_phone(message.recipient)
        else:
            log.warning("%s: %s; trying again", self.gateway.name, outcome.reason)
            if outcome.everybody:
                self._pause(outcome)
                messages.mark_for_retry(message.id, outcome.reason, _seconds(outcome, self._failures))
                return
            messages.mark_for_retry(message.id, outcome.reason, _seconds(outcome, message.attempts + 1))
        self._failures = 0

    def _pause(self, outcome: Retry) -> None:
        self._failures += 1
        self._paused_until = clock.later(_seconds(outcome, self._failures))


def _seconds(outcome: Retry, failures: int) -> float:
    """1, 2, 4… up to LONGEST_PAUSE with a little chance in it, so that processes do not knock together."""
    wait = outcome.after if outcome.after is not None else min(LONGEST_PAUSE, 2.0 ** min(failures - 1, 10))
    return wait * random.uniform(0.8, 1.2)  # noqa: S311 - spreads tries, guards nothing


def _outcome(future: Future[Outcome]) -> Outcome:
    """What a gateway answered. One that raises, against its promise, may have sent: nobody knows."""
    error = future.exception()
    if error is not None:
        log.error("a gateway broke its promise never to raise", exc_info=error)
        return Unknown(type(error).__name__)
    return future.result()

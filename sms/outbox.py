"""From rows to requests: notices become texts, texts are claimed, sent by a gateway and marked.

The row is the truth. One text at a time is in the hands of a recipient, so answers arrive in order. What a gateway refuses
for now waits with back-off. While it is down the next one sends, and one text at a time tries the way back (`ways`). Now
and then each gateway is asked how it is: where it can tell, it is taken out of the way before texts wait in it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import NamedTuple

from circular import clock, db, notices, people, settings
from sms import conversation, messages, replies, screens, ways
from sms.gateways.base import Accepted, Failed, Gateway, Outcome, Outgoing, Retry, Unknown

# What a notice is to its reader, where it is not simply news: the answer to something they did, or a question to them.
KINDS = {
    **dict.fromkeys(("reserved", "kit_reserved", "entered", "entered_queue", "drawn"), messages.ANSWER),
    **dict.fromkeys(("picked_up", "partly_picked_up"), messages.ANSWER),
    "sign_in": messages.LAST,  # STOP is about news, and nobody else can let them in
    "offer": messages.OFFER,
}
RESERVED = ("reserved", "kit_reserved")
HANDS = 16  # texts in the hands of a gateway at once: at half a second each, 32 a second
FIRST_WAIT, LONGEST_WAIT = 15.0, 3600.0  # seconds before a number that the provider does not reach is tried again
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
            except Exception as error:  # one notice without words holds nobody up; it is logged and let go
                if db.passing(error):  # nothing wrong with the notice: the next round tells it
                    raise
                log.exception("notice %s could not be told", notice.id)
            notices.mark_told(notice.id)
    return len(batch)


def _tell(notice: notices.Untold) -> None:
    phone, opted_out = people.reach(notice.person_id)
    kind = KINDS.get(notice.kind, messages.NOTICE)
    wanted = not opted_out or kind == messages.LAST
    if phone and wanted and phone.startswith(settings.get().sms_allowed_prefixes):
        language = people.language(notice.person_id, settings.get().default_locale)
        messages.queue(
            notice.person_id, phone, _words(notice, language), kind, language,
            notice_id=notice.id, gateway=messages.pinned(phone), good_until=notice.facts.get("expires_at"),
        )  # fmt: skip
        # After the text, as in `inbox`: two that lock one person's rows in opposite orders wait for each other.
        if kind == messages.OFFER:  # OUI and NON answer it: whatever was asked before is not what they mean
            messages.close_question(notice.person_id)


def _words(notice: notices.Untold, language: str) -> str:
    key = conversation.reserved_key(notice.facts) if notice.kind in RESERVED else notice.kind
    return replies.render(key, language, **screens.said(screens.of_notice(notice.facts), language))


# --- texts into requests ----------------------------------------------------------------------------------------------
class Flight(NamedTuple):
    """A text on its way by a gateway. `tries` the way back: the gateway was failing."""

    gateway: Gateway
    message: messages.Claimed
    tries: bool


class Sender:
    """Sends what waits, several texts at a time, each recipient's in order. `tick` never blocks on a provider.

    `gateway` sends; `fallbacks` take over, in this order, while it is down.
    """

    def __init__(
        self,
        gateway: Gateway,
        worker: str,
        wake: threading.Event,
        hands: int = HANDS,
        fallbacks: Sequence[Gateway] = (),
    ) -> None:
        self.gateway = gateway
        self.worker = worker
        self._order = (gateway, *fallbacks)
        self._wake = wake
        self._hands = hands
        self._pool = ThreadPoolExecutor(hands + 2 * len(self._order), thread_name_prefix="sms")
        self._flying: dict[Future[Outcome], Flight] = {}
        self._asked: dict[Future[str], Gateway] = {}  # how they are
        self._asked_at: datetime | None = None
        self._ill: set[str] = set()
        self._known = False

    @property
    def busy(self) -> bool:
        """True while a text is in a provider's hands."""
        return bool(self._flying)

    def tick(self) -> int:
        """Mark what came back and claim more, in one transaction; how many texts were claimed or marked."""
        if not self._known:
            ways.register([gateway.name for gateway in self._order])
            self._known = True
        done = [future for future in self._flying if future.done()]
        ill = self._look()
        if not done and not ill and not self._anything():
            return 0  # nobody's turn is taken and nothing is written while there is nothing to do
        with db.transaction():
            ways.take_turn(self.gateway.name)
            for name, reason in ill:
                now = db.to_ms(clock.now())
                ways.fails(name, reason, now, wait=ways.LONGEST_PAUSE, taken=False, beside=len(self._order) > 1)
            self._settle([(self._flying[future], _outcome(future)) for future in done])
            claimed = self._claim(done)
        for future in done:  # only now: had the marks been lost, the next round would make them again
            del self._flying[future]
        for flight in claimed:
            future = self._pool.submit(_send, flight)
            self._flying[future] = flight
            future.add_done_callback(lambda _future: self._wake.set())
        return len(done) + len(claimed)

    def close(self) -> None:
        """Wait for what is in flight and mark it."""
        self._pool.shutdown(wait=True)
        if self._flying:
            with db.transaction():
                ways.take_turn(self.gateway.name)
                self._settle([(flight, _outcome(future)) for future, flight in self._flying.items()])
        self._flying.clear()

    def _look(self) -> list[tuple[str, str]]:
        """Ask the gateways that are not down, now and then, how they are; those that say twice that they are ill, and why."""
        now = clock.now()
        if self._asked_at is None or not timedelta(0) <= now - self._asked_at < timedelta(seconds=ways.LOOK):
            self._asked_at = now
            busy, states = list(self._asked.values()), ways.read()
            for gateway in self._order:
                if gateway not in busy and states[gateway.name].down_since is None:
                    self._asked[self._pool.submit(ways.health, gateway)] = gateway
        found = []
        for future in [future for future in self._asked if future.done()]:
            gateway, wrong = self._asked.pop(future), future.result()
            if wrong and gateway.name in self._ill:
                found.append((gateway.name, wrong))
            (self._ill.add if wrong else self._ill.discard)(gateway.name)
        return found

    # --- claiming -----------------------------------------------------------------------------------------------------
    def _open(self, landed: Sequence[Future[Outcome]] = ()) -> Iterator[tuple[Gateway, int, ways.State]]:
        """The gateways that may be handed a text now, and how many: the first that works, and whatever stands before it
        and is down, when its time to be tried has come.
        """
        now = db.to_ms(clock.now())
        states = ways.read()
        for gateway in self._order:
            state = states.get(gateway.name, ways.State())
            flying = sum(one.gateway is gateway for future, one in self._flying.items() if future not in landed)
            room = ways.places(state.next_at, now, gateway.capabilities.messages_per_second)
            if not state.failures:
                yield gateway, min(self._hands - flying, room), state
                return
            if not flying and ways.may_try(state, now):
                yield gateway, min(1, room), state
            if state.down_since is None:
                return  # it may have been a moment's trouble: nobody else is asked yet

    def _anything(self) -> bool:
        return any(room > 0 and messages.due(way.name, idempotent=_once(way)) for way, room, _ in self._open())

    def _claim(self, landed: Sequence[Future[Outcome]]) -> list[Flight]:
        claimed: list[Flight] = []
        for gateway, room, state in list(self._open(landed)):
            found = messages.claim(gateway.name, self.worker, room, idempotent=_once(gateway)) if room > 0 else []
            if found:
                per_second = gateway.capabilities.messages_per_second
                ways.hand_over(gateway.name, ways.after(state.next_at, found[0].claimed_at, per_second, len(found)))
                if state.failures:
                    ways.trying(gateway.name)
            claimed += [Flight(gateway, message, bool(state.failures)) for message in found]
        return claimed

    # --- marking ------------------------------------------------------------------------------------------------------
    def _settle(self, landed: Sequence[tuple[Flight, Outcome]]) -> None:
        """Mark the texts that came back, and what their gateways are worth."""
        before = ways.read()
        for gateway in self._order:
            own = [(flight, outcome) for flight, outcome in landed if flight.gateway is gateway]
            bad = [(flight, outcome) for flight, outcome in own if _blames(outcome)]
            if len(bad) < len(own):
                ways.works(gateway.name)
            elif bad:
                flight, outcome = bad[0]
                _blame(gateway.name, flight.message.claimed_at, outcome, beside=self._another(gateway, before))
        after = ways.read()
        for flight, outcome in landed:
            down = after[flight.gateway.name].down_since is not None
            self._mark(flight, outcome, elsewhere=down and self._another(flight.gateway, after))

    def _another(self, gateway: Gateway, states: dict[str, ways.State]) -> bool:
        """Whether a gateway other than this one works."""
        return any(other is not gateway and not states[other.name].failures for other in self._order)

    def _mark(self, flight: Flight, outcome: Outcome, *, elsewhere: bool) -> None:
        """Mark one text. `elsewhere`: another gateway sends now, so that what this one did not take need not wait."""
        gateway, message, _ = flight
        tries, age = message.attempts + 1, clock.now() - db.from_ms(message.created_at)
        if isinstance(outcome, Accepted):
            messages.mark_sent(message.id, gateway.name, outcome.provider_id, outcome.cost)
            return
        if isinstance(outcome, Unknown):
            surely = _once(gateway) and age <= messages.OUTAGE_GIVE_UP_AFTER
            again = ways.pause(tries, ways.LONGEST_PAUSE) if surely else None
            messages.mark_unknown(message, gateway.name, outcome.reason, seconds=again)
            return
        ways.refund(message.day, message.segments)
        if isinstance(outcome, Failed):
            messages.mark_failed(message, outcome.reason)
            if outcome.opt_out:
                people.opt_out_phone(message.recipient)
            return
        if age > (messages.OUTAGE_GIVE_UP_AFTER if outcome.everybody else messages.GIVE_UP_AFTER):
            messages.mark_failed(message, outcome.reason)
            return
        log.warning("%s: %s; trying again", gateway.name, outcome.reason)
        if outcome.everybody:
            wait = 0.0 if elsewhere else ways.pause(tries, ways.LONGEST_PAUSE)
        else:
            wait = outcome.after or ways.pause(tries, LONGEST_WAIT, FIRST_WAIT)
        messages.mark_for_retry(message, outcome.reason, wait)


def _once(gateway: Gateway) -> bool:
    """Whether a gateway sends a reference once, however often it is handed over."""
    return gateway.capabilities.idempotent_id


def _blames(outcome: Outcome) -> bool:
    """Whether an outcome speaks against the gateway: no other text would have passed, or nobody knows."""
    return isinstance(outcome, Unknown) or (isinstance(outcome, Retry) and outcome.everybody)


def _blame(gateway: str, since: int, outcome: Outcome, *, beside: bool) -> None:
    assert isinstance(outcome, Retry | Unknown)
    wait = outcome.after if isinstance(outcome, Retry) else None
    ways.fails(gateway, outcome.reason, since, wait=wait, taken=isinstance(outcome, Unknown), beside=beside)


def _send(flight: Flight) -> Outcome:
    """Hand a text over. A gateway that was failing is first asked how it is: where it can tell, no text is risked."""
    if flight.tries:
        wrong = ways.health(flight.gateway)
        if wrong:
            return Retry(wrong)
    message = flight.message
    return flight.gateway.send(Outgoing(message.reference, message.recipient, message.text))


def _outcome(future: Future[Outcome]) -> Outcome:
    """What a gateway answered. One that raises, against its promise, may have sent: nobody knows."""
    error = future.exception()
    if error is not None:
        log.error("a gateway broke its promise never to raise", exc_info=error)
        return Unknown(type(error).__name__)
    return future.result()

"""Any sequence of booking, waiting, taking, closing and time on a room and the machines in it, hour by hour.

What is promised is counted with pencil and paper from the rows; nobody is passed by, nothing is promised twice.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any, NamedTuple

from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, rule

from circular import clock, consequences, db, reservations, slots, waitlist
from circular.errors import Refusal
from tests.machines import START, TownMachine, run_machine

FIRST = START + timedelta(days=1)  # the first of the hours that people want
HOUR = timedelta(hours=1)
MILLI = 1000
WHO, WHICH, BEGIN, LONG, MANY = (
    st.integers(0, 2), st.integers(0, 1), st.integers(0, 1), st.integers(1, 2), st.integers(1, 2),
)  # fmt: skip


class Wait(NamedTuple):
    """A row of the queue."""

    id: int
    person: int
    listing: int
    start: int
    end: int
    units: int
    offered: bool
    until: int | None
    aside: bool


class Machine(TownMachine):
    """A room, and two saws that stand in it: whoever has the room has the saws, and who has one of them has the room."""

    def __init__(self) -> None:
        super().__init__()
        self.closed: list[tuple[str, str]] = []

    @initialize()
    def begin(self) -> None:
        self.people = [self.town.person(f"+5966960000{n:02}") for n in range(4)]
        saws = {"kind": "machine", "title": "Scies", "category": "machine-bois", "quantity": 2}
        room = {"kind": "room", "title": "Salle", "category": "salle", "quantity": 1}
        both = [self.town.listing(**values) for values in (saws, room)]
        self.codes = [one["code"] for one in both]
        self.ids = [one["id"] for one in both]
        self.many = {self.ids[0]: 2 * MILLI, self.ids[1]: MILLI}
        slots.set_rules(self.town.staff, self.codes[0], {"parent": self.codes[1]})
        for who in (2, 3):  # so that most wishes have to wait
            for begin in (0, 1):
                slot, person = self.slot(begin, 1), self.people[who]
                reservations.reserve(person, person.person_id or 0, self.codes[0], 1, self.name(), slot=slot)
        self.before = self.queue()

    # --- by pencil and paper ---
    def queue(self) -> list[Wait]:
        found = db.rows(
            "SELECT id, person_id, listing_id, starts_at, ends_at, quantity, state, offer_expires_at, suspended_at "
            "FROM waiting WHERE state IN ('waiting', 'offered') ORDER BY id"
        )
        return [Wait(*row[:6], row[6] == "offered", row[7], row[8] is not None) for row in found]

    def unbooked(self, listing: int, start: int, end: int, offers: list[Wait]) -> int:
        """What is left of a listing at its fullest hour, once what is booked, closed and in `offers` is taken off."""
        everything = self.many[listing]
        taken = [
            (since, until, units if one == listing else everything)
            for one, since, until, units in db.rows(
                "SELECT listing_id, starts_at, ends_at, quantity FROM reservation WHERE state IN ('held', 'prepared')"
            )
        ]
        taken += [(since, until, everything) for since, until in db.rows("SELECT starts_at, ends_at FROM slot_block")]
        taken += [(one.start, one.end, one.units if one.listing == listing else everything) for one in offers]
        hours = range(start, end, 3_600_000)
        return max(0, everything - max(sum(u for s, e, u in taken if s <= hour < e) for hour in hours))

    def servable(self, start: int) -> bool:
        """Whether an offer could be read before it is too late."""
        return start > db.to_ms(clock.waking(self.now, "America/Martinique"))

    def fits(self, one: Wait, offers: list[Wait]) -> bool:
        return one.units <= self.unbooked(one.listing, one.start, one.end, offers)

    def kept(self, person: int, listing: int, slot: slots.Slot) -> list[Wait]:
        """What a person must leave to others of a slot."""
        counts = [
            one for one in self.queue()
            if one.offered or (not one.aside and self.servable(one.start) and self.fits(one, []))
        ]  # fmt: skip
        lapsed = db.to_ms(self.now)
        own = [one for one in counts if one.person == person and not (one.offered and (one.until or 0) <= lapsed)]
        here = [
            one for one in own if one.listing == listing and one.start <= slot.starts_at and slot.ends_at <= one.end
        ]
        others = [one for one in counts if one not in own]
        if any(one.offered for one in here):
            return [one for one in others if one.offered]
        return [one for one in others if one.offered or not here or one.id < min(mine.id for mine in here)]

    # --- what people do ---
    def slot(self, begin: int, long: int) -> slots.Slot:
        start = FIRST + begin * HOUR
        return slots.Slot(db.to_ms(start), db.to_ms(start + long * HOUR))

    @rule(who=WHO, which=WHICH, begin=BEGIN, long=LONG, many=MANY)
    def want(self, who: int, which: int, begin: int, long: int, many: int) -> None:
        """Book, or else wait."""
        person, slot, listing = self.people[who], self.slot(begin, long), self.ids[which]
        ident = person.person_id or 0
        waits = [
            one for one in self.queue()
            if (one.person, one.listing) == (ident, listing) and one.start < slot.ends_at and slot.starts_at < one.end
        ]  # fmt: skip
        own = db.value(
            "SELECT 1 FROM reservation WHERE person_id = ? AND listing_id = ? AND starts_at < ? AND ends_at > ? "
            "AND state = 'held' AND expires_at > ?",
            ident, listing, slot.ends_at, slot.starts_at, db.to_ms(self.now),
        )  # fmt: skip
        room = self.unbooked(listing, *slot, self.kept(ident, listing, slot))
        late = slot.starts_at < db.to_ms(self.now)
        try:
            reservations.reserve(person, ident, self.codes[which], many, self.name(), slot=slot)
        except Refusal as refusal:
            assert refusal.code == ("slot_in_past" if late else "slot_taken")
            assert late or room < many * MILLI
        else:
            assert not late and many * MILLI <= room
            return
        try:
            waitlist.join(person, ident, self.codes[which], many, self.name(), slot=slot)
        except Refusal as refusal:
            gone = "slot_in_past" if late else "too_soon" if slot.starts_at == db.to_ms(self.now) else ""
            expected = gone or ("above_maximum" if many * MILLI > self.many[listing] else "too_many_waits")
            assert refusal.code == ("already_booked" if own else expected)
        else:
            assert not own and (waits or not late)

    @rule(pick=st.integers(0, 9), by_staff=st.booleans())
    def give_up(self, pick: int, by_staff: bool) -> None:
        live = db.rows("SELECT reference FROM reservation WHERE state = 'held' AND expires_at > ? ORDER BY id",
                       db.to_ms(self.now))  # fmt: skip
        if live:
            act = reservations.give_back if by_staff else reservations.cancel
            act(self.town.staff, live[pick % len(live)][0])

    @rule(who=WHO)
    def take(self, who: int) -> None:
        """An offer that is open can always be taken."""
        ident = self.people[who].person_id or 0
        open_ = [
            one for one in self.queue() if one.person == ident and one.offered and (one.until or 0) > db.to_ms(self.now)
        ]
        try:
            made = waitlist.take(self.people[who], ident, self.name())
        except Refusal as refusal:
            assert refusal.code == "offer_lapsed" and not open_
        else:
            assert bool(made) == bool(open_)

    @rule(who=WHO)
    def pass_offer(self, who: int) -> None:
        waitlist.pass_offer(self.people[who].person_id or 0)

    @rule(pick=st.integers(0, 9), verb=st.sampled_from([waitlist.leave, waitlist.suspend, waitlist.resume]))
    def turn(self, pick: int, verb: Callable[..., Any]) -> None:
        """A place in the queue is given up, set aside or taken up again."""
        rows = db.rows("SELECT reference, person_id FROM waiting WHERE state IN ('waiting', 'offered') ORDER BY id")
        if rows:
            reference, ident = rows[pick % len(rows)]
            verb(next(one for one in self.people if one.person_id == ident), reference)

    @rule(which=WHICH, begin=BEGIN, long=LONG)
    def close(self, which: int, begin: int, long: int) -> None:
        made = consequences.close_slot(self.town.staff, self.codes[which], self.slot(begin, long), "panne")
        self.closed.append((self.codes[which], made["reference"]))

    @rule(pick=st.integers(0, 9))
    def open_again(self, pick: int) -> None:
        if self.closed:
            consequences.open_slot(self.town.staff, *self.closed.pop(pick % len(self.closed)))

    @rule(minutes=st.sampled_from([30, 60, 150, 600]))
    def wait(self, minutes: int) -> None:
        self.now += timedelta(minutes=minutes)
        self.clock.move_to(self.now, tick=False)
        reservations.expire()
        waitlist.sweep()

    # --- what is always so ---
    @invariant()
    def nothing_is_promised_twice(self) -> None:
        offers = [one for one in self.queue() if one.offered]
        for one in offers:
            assert self.fits(one, [other for other in offers if other != one])
            assert (one.until or 0) <= one.start
        for start, end in (self.slot(hour, 1) for hour in range(3)):
            assert sum(one.start < end and one.end > start for one in offers) <= 1

    @invariant()
    def nobody_is_passed_by(self) -> None:
        """Whoever waits in vain is told so, and who could have what they wait for has an offer."""
        queue = self.queue()
        offers = [one for one in queue if one.offered]
        before = {one.id: one for one in self.before}
        for one in queue:
            here = [other for other in offers if other.start < one.end and one.start < other.end]
            if one.offered:
                if one.id in before and not before[one.id].offered:  # a new offer: nobody before could have had it
                    for first in queue:
                        overlap = first.listing == one.listing and first.start < one.end and one.start < first.end
                        waits = not first.offered and not first.aside and self.servable(first.start)
                        if overlap and first.id < one.id and waits:
                            others = [other for other in offers if other != one]
                            open_ = any(other.start < first.end and first.start < other.end for other in others)
                            assert open_ or not self.fits(first, [other for other in offers if other != one])
            elif not one.aside and not here and self.servable(one.start):
                slot = slots.Slot(one.start, one.end)
                assert one.units > self.unbooked(
                    one.listing, one.start, one.end, self.kept(one.person, one.listing, slot)
                )
        self.before = queue


def test_nobody_is_passed_by(another_town: Callable[..., None]) -> None:
    """Whatever people and staff do with a room and what stands in it."""

    def fresh() -> Machine:
        another_town(RESIDENT_MAX_HOLDS="100")
        return Machine()

    run_machine(fresh, examples=100)

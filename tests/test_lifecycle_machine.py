"""Any sequence of everything: the waitlist's machine, with more time, draws, an hour of a saw, kits and a clock that jumps.

The model stays simple: stock, holds with their ends, a queue with at most one offer, who has the saw at which hour, and who
waits for which.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule

from circular import clock, consequences, db, draws, kits, projects, reservations, slots, waitlist
from circular.errors import Refusal
from tests import test_waitlist_machine as waiting
from tests.fatal import halves
from tests.machines import START, run_machine
from tests.town import ADMIN

HOUR = timedelta(hours=1)
FOREVER = datetime.max.replace(tzinfo=UTC)  # until when something is held that lies ready
PLANKS = 2  # of the listing that a kit takes, beside an hour of the saw
HOURS = [START + timedelta(days=1, hours=n) for n in range(4)]  # of the saw: Tuesday from 10:00


class Machine(waiting.Machine):
    """`booked`: the bookings of the saw that count, [person, begin, facts]; `extended`: who had more time already;
    `line`: who waits for the saw, [person, begin, offered until or None, set aside], in their order.
    """

    @initialize(stock=st.integers(1, 6))
    def begin(self, stock: int) -> None:
        super().begin(stock)
        saw = {"kind": "machine", "title": "Scie", "category": "machine-bois", "quantity": 1}
        self.saw = self.town.listing(**saw)["code"]
        needs = [{"category": "bois-planche", "quantity": PLANKS, "unit": "piece"},
                 {"category": "machine-bois", "quantity": 1, "unit": "piece"}]  # fmt: skip
        self.bench = projects.add(ADMIN, {"title": "Banc", "needs": needs})["code"]
        self.booked: list[tuple[Any, Any, Any]] = []
        self.extended: set[str] = set()
        self.line: list[list[Any]] = []

    # --- the model: what lapsed is ended for good once its place was given away ---
    def settle(self) -> None:
        self.holds = [hold for hold in self.holds if hold[2] > self.now]

    def serve(self) -> None:
        offered = [one for one in self.queue if one[2]]
        super().serve()
        if [one for one in self.queue if one[2]] != offered:
            self.settle()

    def hold(self, person: Any, made: Any, quantity: int) -> None:
        self.settle()
        super().hold(person, made, quantity)

    # --- more time ---
    @rule(pick=st.integers(0, 9))
    def extend(self, pick: int) -> None:
        if not self.holds:
            return
        person, quantity, until, made = self.holds[pick % len(self.holds)]
        reference = made["reference"]
        try:
            found = reservations.extend(person, reference, self.name())
        except Refusal as refusal:
            assert refusal.code == ("expired" if until <= self.now else "already_extended")
            assert until <= self.now or reference in self.extended
            return
        later = reservations.moment(found, "expires_at")
        assert later is not None and until > self.now and reference not in self.extended
        self.extended.add(reference)
        if until != FOREVER:
            assert later > until
            self.holds[pick % len(self.holds)] = (person, quantity, later, made)

    # --- ready, missed, given up ---
    @rule(pick=st.integers(0, 9))
    def prepare(self, pick: int) -> None:
        if not self.holds:
            return
        person, quantity, until, made = self.holds[pick % len(self.holds)]
        try:
            reservations.prepare(self.town.staff, made["reference"])
        except Refusal as refusal:
            assert refusal.code == "expired" and until <= self.now
            return
        assert until > self.now
        self.holds[pick % len(self.holds)] = (person, quantity, FOREVER, made)

    @rule(pick=st.integers(0, 9))
    def miss(self, pick: int) -> None:
        """Nobody came, whether it lay ready, was held or had lapsed."""
        if not self.holds:
            return
        hold = self.holds[pick % len(self.holds)]
        assert reservations.no_show(self.town.staff, hold[3]["reference"])["state"] == "no_show"
        self.holds.remove(hold)
        self.serve()

    @rule(quantity=st.integers(1, 9))
    def count_by_force(self, quantity: int) -> None:
        """Less is there than was promised: offers go first, then the newest holds, then what lies ready."""
        promised = self.stock - self.free() + sum(wanted for _, wanted, until in self.queue if until)
        change = {"quantity": quantity}
        consequences.revise_listing(self.town.staff, self.code, change, None, force=True, reason="inventaire")
        if quantity < promised:
            for one in self.queue:
                one[2] = None
            live = [hold for hold in self.holds if hold[2] > self.now]
            for hold in sorted(live, key=lambda hold: (hold[2] == FOREVER, -hold[3]["id"])):
                if sum(other[1] for other in self.holds if other[2] > self.now) > quantity:
                    self.holds.remove(hold)
        self.settle()
        self.stock = quantity
        self.serve()

    # --- draws ---
    @precondition(lambda self: self.stock and not self.queue and self.free() == self.stock)
    @rule(
        allocation=st.sampled_from(["draw", "queue"]),
        wanted=st.lists(st.tuples(st.integers(0, 4), st.integers(1, 4)), min_size=1, max_size=6),
        leaves=st.booleans(),
    )
    def give_out(self, allocation: str, wanted: list[tuple[int, int]], leaves: bool) -> None:
        """A window from beginning to end: nothing passes it by, and what comes of it is what was committed to."""
        draws.plan(ADMIN, self.code, {"allocation": allocation, "closes_at": self.now + HOUR})
        tickets: dict[str, tuple[Any, int]] = {}
        for who, quantity in wanted:
            person = self.people[who]
            entered = any(one == person for one, _ in tickets.values())
            try:
                made = draws.ask(person, person.person_id or 0, self.code, quantity, self.name())
            except Refusal as refusal:
                assert refusal.code == ("sold_out" if quantity > self.stock else "already_entered")
                assert quantity > self.stock or entered
                continue
            assert not entered
            tickets[made["ticket"]] = (person, quantity)
        if leaves and tickets:
            ticket, (person, _) = tickets.popitem()
            assert draws.leave(person.person_id or 0, self.code)
            assert ticket not in [one["ticket"] for one in draws.entries(draws.of_listing(self.code)["id"])]
        self.now += HOUR
        self.clock.move_to(self.now, tick=False)
        assert draws.sweep() == 1
        found = draws.published(draws.of_listing(self.code))
        assert draws.check(found) == []
        order = [one["id"] for one in found["entries"]]
        arrived = [*tickets]
        by_lot = sorted(arrived, key=lambda one: draws.digest(found["seed"] + one))
        assert order == (by_lot if allocation == "draw" else arrived)
        self._check_winners([tickets[one] for one in order], [one["outcome"] for one in found["entries"]])

        if (
            allocation == "draw"
        ):  # what the lot decided may not decide what Hypothesis tries next: it could not repeat it
            self._give_all_back()

    def _give_all_back(self) -> None:
        for person, _, _ in self.queue:
            for one in waitlist.mine(person.person_id or 0):
                if one["listing"] == self.code:
                    waitlist.leave(person, one["reference"])
        for person, _, until, made in self.holds:
            if until > self.now:
                reservations.cancel(person, made["reference"])
        self.queue = []
        self.holds = [hold for hold in self.holds if hold[2] <= self.now]

    def _check_winners(self, order: list[tuple[Any, int]], outcomes: list[str]) -> None:
        lost = []
        for (person, quantity), outcome in zip(order, outcomes, strict=True):
            if quantity > self.free():
                assert outcome == "lost"
                lost.append((person, quantity))
            else:  # nobody holds anything of this listing, and there is no other: no limit bars anybody
                assert outcome == "won"
                made = reservations.mine(person.person_id or 0)[-1]
                until = reservations.moment(made, "expires_at")
                assert until is not None
                self.settle()
                self.holds.append((person, quantity, until, made))
        self.queue = [[person, quantity, None] for person, quantity in lost]

    # --- an hour of the saw ---
    def taken(self, begin: Any) -> bool:
        return any(other == begin for _, other, _ in self.booked)

    def servable(self, begin: Any) -> bool:
        """Whether an offer of an hour could be read before it begins, and taken."""
        return bool(
            clock.waking(self.now, "America/Martinique") < begin and self.now <= begin <= self.now + timedelta(days=60)
        )

    def kept(self, person: Any, begin: Any) -> bool:
        """Whether an hour that nobody has booked is kept for somebody else."""
        rows = [one for one in self.line if one[1] == begin and not one[3] and (one[2] or self.servable(begin))]
        own = [one for one in rows if one[0] == person and not (one[2] and one[2] <= self.now)]
        if own and own[0][2]:
            return False
        others = [n for n, one in enumerate(rows) if one not in own and (one[2] or not own or n < rows.index(own[0]))]
        return bool(others)

    def can_book(self, person: Any, begin: Any) -> bool:
        soon = self.now <= begin <= self.now + timedelta(days=60)
        return soon and not self.taken(begin) and not self.kept(person, begin)

    def serve_saw(self) -> None:
        self.line = [one for one in self.line if one[1] > self.now]
        for begin in HOURS:
            here = [one for one in self.line if one[1] == begin and not one[3] and (one[2] or self.servable(begin))]
            if here and not self.taken(begin) and not any(one[2] for one in here):
                here[0][2] = min(clock.after_waking(self.now, 2, "America/Martinique"), begin)

    def book_saw(self, person: Any, begin: Any, made: Any) -> None:
        self.booked.append((person, begin, made))
        self.line = [one for one in self.line if not (one[0] == person and one[1] == begin)]
        self.serve_saw()

    @staticmethod
    def slot(begin: Any) -> slots.Slot:
        return slots.Slot(db.to_ms(begin), db.to_ms(begin + HOUR))

    def hours_of(self, person: Any) -> int:
        return sum(one[0] == person and one[1] + HOUR > self.now for one in self.booked)

    @rule(who=st.integers(0, 4), pick=st.integers(0, 3))
    def book(self, who: int, pick: int) -> None:
        person, begin = self.people[who], HOURS[pick]
        allowed = self.can_book(person, begin) and self.hours_of(person) < 3
        try:
            made = reservations.reserve(
                person, person.person_id or 0, self.saw, None, self.name(), slot=self.slot(begin)
            )
        except Refusal as refusal:
            assert not allowed, refusal.code
            assert refusal.code in ("slot_in_past", "too_far", "slot_taken", "too_many_reservations")
            return
        assert allowed
        self.book_saw(person, begin, made)

    @rule(pick=st.integers(0, 9), by_staff=st.booleans())
    def give_up_the_saw(self, pick: int, by_staff: bool) -> None:
        if not self.booked:
            return
        one = person, begin, made = self.booked[pick % len(self.booked)]
        actor = self.town.staff if by_staff else person
        try:
            reservations.cancel(actor, made["reference"])
        except Refusal as refusal:
            late = begin - 2 * HOUR <= self.now
            assert refusal.code in ("too_late", "expired", "already_ended") and (late or begin + HOUR <= self.now)
            return
        self.booked.remove(one)
        self.serve_saw()

    @rule(pick=st.integers(0, 9), to=st.integers(0, 3))
    def move_the_saw(self, pick: int, to: int) -> None:
        """The staff give somebody another hour, as far as nobody else has it or waits for it."""
        if not self.booked:
            return
        one = person, begin, made = self.booked[pick % len(self.booked)]
        other = HOURS[to]
        ended = begin + HOUR <= self.now
        allowed = not ended and other >= self.now and (
            other == begin or (not self.taken(other) and not self.kept(person, other))
        )  # fmt: skip
        try:
            moved = reservations.move(self.town.staff, made["reference"], self.slot(other), self.name())
        except Refusal as refusal:
            assert not allowed, refusal.code
            assert refusal.code in ("already_ended", "slot_in_past", "slot_taken")
            return
        assert allowed
        self.booked.remove(one)
        self.book_saw(person, other, moved)

    @rule(who=st.integers(0, 4), pick=st.integers(0, 3))
    def wait_for_the_saw(self, who: int, pick: int) -> None:
        person, begin = self.people[who], HOURS[pick]
        known = next((one for one in self.line if one[0] == person and one[1] == begin), None)
        try:
            waitlist.join(person, person.person_id or 0, self.saw, None, self.name(), slot=self.slot(begin))
        except Refusal as refusal:
            if any(one[0] == person and one[1] == begin and begin + HOUR > self.now for one in self.booked):
                assert refusal.code == "already_booked"
                return
            soon = self.now < begin <= self.now + timedelta(days=60)
            late = "slot_in_past" if begin < self.now else "too_soon" if begin == self.now else "too_far"
            assert known is None and refusal.code == ("still_available" if soon else late)
            assert not soon or self.can_book(person, begin)
            return
        if known is None:
            assert not self.can_book(person, begin)
            self.line.append([person, begin, None, False])
        elif known[3]:
            known[3] = False
            self.serve_saw()

    @rule(pick=st.integers(0, 9), leaves=st.booleans())
    def set_aside(self, pick: int, leaves: bool) -> None:
        """A place in the line of the saw is given up, or keeps its rank without offers."""
        if not self.line:
            return
        one = self.line[pick % len(self.line)]
        mine = waitlist.mine(one[0].person_id or 0)
        (found,) = [wait for wait in mine if wait["starts_at"] == db.to_ms(one[1])]
        if leaves:
            waitlist.leave(one[0], found["reference"])
            self.line.remove(one)
        elif one[3]:
            return
        else:
            waitlist.suspend(one[0], found["reference"])
            one[2:] = [None, True]
        self.serve_saw()

    def last_offer(self, person: Any) -> Any:
        """The hour of the saw that is what somebody was offered last, or None; what they are offered is the model's."""
        live = waitlist.offers_of(person.person_id or 0)
        hours = [one[1] for one in self.line if one[0] == person and one[2] and one[2] > self.now]
        planks = self.offer(person)
        assert sorted(one["starts_at"] or 0 for one in live) == sorted(
            [*map(db.to_ms, hours), *([0] if planks else [])]
        )
        return db.from_ms(live[0]["starts_at"]) if live and live[0]["starts_at"] else None

    @rule(who=st.integers(0, 4))
    def take(self, who: int) -> None:
        person = self.people[who]
        begin = self.last_offer(person)
        if begin is None:
            if self.offer(person):
                super().take(who)
            return
        try:
            made = waitlist.take(person, person.person_id or 0, self.name())
        except Refusal as refusal:
            assert refusal.code in ("too_many_reservations", "too_far")
            assert self.hours_of(person) >= 3 or begin > self.now + timedelta(days=60)
            return
        assert made and made["starts_at"] == db.to_ms(begin)
        self.book_saw(person, begin, made)

    @rule(who=st.integers(0, 4))
    def pass_offer(self, who: int) -> None:
        person = self.people[who]
        begin = self.last_offer(person)
        if begin is None:
            super().pass_offer(who)
            return
        assert waitlist.pass_offer(person.person_id or 0)
        self.line = [one for one in self.line if not (one[0] == person and one[1] == begin)]
        self.serve_saw()

    @rule(who=st.integers(0, 4), pick=st.integers(0, 3), hands_full=st.booleans())
    def build(self, who: int, pick: int, hands_full: bool) -> None:
        """A kit: planks and an hour of the saw together, or nothing at all. With their hands full somebody gets the hour and
        not the planks: that is nothing."""
        if hands_full:
            self.count_again(9)
            for _ in range(3):
                self.reserve(who, 1)
        person, begin = self.people[who], HOURS[pick]
        hours = self.hours_of(person)
        lots = sum(holder == person and until > self.now for holder, _, until, _ in self.holds)
        allowed = self.available() >= PLANKS and self.can_book(person, begin) and hours < 3 and lots < 3
        slot = {"starts_at": begin.isoformat(), "ends_at": (begin + HOUR).isoformat()}
        try:
            made = kits.reserve(person, person.person_id or 0, self.bench, self.name(), slot=slot)
        except Refusal as refusal:
            assert not allowed, refusal.code
            expected = {"not_buildable"} if self.available() < PLANKS else {"slot_in_past", "too_far", "slot_taken"}
            assert refusal.code in expected or (refusal.code == "too_many_reservations" and max(hours, lots) >= 3)
            return
        assert allowed and len({one["pickup_code"] for one in made}) == 1
        planks, saw = sorted(made, key=lambda one: one["starts_at"] is not None)
        assert (planks["listing"], saw["listing"], len(made)) == (self.code, self.saw, 2)
        self.hold(person, planks, PLANKS)
        self.book_saw(person, begin, saw)

    # --- time ---
    def set_clock(self, minutes: int) -> None:
        self.now += timedelta(minutes=minutes)
        self.clock.move_to(self.now, tick=False)

    @rule(minutes=st.sampled_from([-20_000, -1440, 60, 20_000, 5_000_000]))
    def jump(self, minutes: int) -> None:
        """The clock is set, back or ahead, and nobody sweeps meanwhile."""
        self.set_clock(minutes)

    @rule(minutes=st.sampled_from([60, 20_000, 5_000_000]), who=st.integers(0, 4), quantity=st.integers(1, 6))
    def slip(self, minutes: int, who: int, quantity: int) -> None:
        """Somebody reserves while the clock is ahead; then it is put right."""
        self.set_clock(minutes)
        self.reserve(who, quantity)
        self.set_clock(-minutes)

    @rule(minutes=st.sampled_from([30, 60, 120, 600, 1440, 20_000]), sweep=st.booleans())
    def wait(self, minutes: int, sweep: bool) -> None:
        self.now += timedelta(minutes=minutes)
        self.clock.move_to(self.now, tick=False)
        if sweep:
            while reservations.expire():
                pass
            self.settle()
            self.booked = [one for one in self.booked if one[1] + HOUR > self.now]
            waitlist.sweep()
            self.queue = [one for one in self.queue if not (one[2] and one[2] <= self.now)]
            self.serve()
            self.line = [one for one in self.line if not (one[2] and one[2] <= self.now)]
            self.serve_saw()

    @rule(quantity=st.integers(1, 9))
    def count_again(self, quantity: int) -> None:
        promised = self.stock - self.free() + sum(wanted for _, wanted, until in self.queue if until)
        try:
            consequences.revise_listing(self.town.staff, self.code, {"quantity": quantity}, None)
        except Refusal as refusal:
            assert refusal.code == "held_for_others" and quantity < promised
            return
        assert quantity >= promised
        self.settle()
        self.stock = quantity
        self.serve()

    # --- what is always so ---
    @invariant()
    def nothing_is_half_done(self) -> None:
        assert halves() == []

    @invariant()
    def an_hour_of_the_saw_is_one_persons(self) -> None:
        found = db.rows(
            "SELECT person_id, starts_at FROM reservation WHERE starts_at IS NOT NULL AND state = 'held' ORDER BY id"
        )
        assert sorted(found) == sorted((person.person_id, db.to_ms(begin)) for person, begin, _ in self.booked)

    @invariant()
    def the_line_for_the_saw_is_the_models(self) -> None:
        found = db.rows(
            "SELECT person_id, starts_at, offer_expires_at, state, suspended_at FROM waiting "
            "WHERE state IN ('waiting', 'offered') AND starts_at IS NOT NULL ORDER BY id"
        )
        assert [
            (person, begin, until if state == "offered" else None, aside is not None)
            for person, begin, until, state, aside in found
        ] == [
            (person.person_id, db.to_ms(begin), until and db.to_ms(until), aside)
            for person, begin, until, aside in self.line
        ]


def test_everything_agrees_with_the_model(another_town: Callable[..., None]) -> None:
    """Whatever people, staff, lots and clocks do, nothing is promised twice, lost or done by half."""

    def fresh() -> Machine:
        another_town(NO_SHOW_LIMIT="0")
        return Machine()

    run_machine(fresh)

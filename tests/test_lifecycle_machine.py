"""Any sequence of everything: the waitlist's machine, with more time, draws, an hour of a saw and a clock that jumps.

The model stays simple: stock, holds with their ends, a queue with at most one offer, who has the saw at which hour.
"""

from __future__ import annotations

import shutil
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule, run_state_machine_as_test

from circular import db, draws, reservations, slots, waitlist
from circular import settings as configuration
from circular.errors import Refusal
from tests import test_waitlist_machine as waiting
from tests.fatal import halves
from tests.town import ADMIN

HOUR = timedelta(hours=1)
HOURS = [waiting.START + timedelta(days=1, hours=n) for n in range(4)]  # of the saw: Tuesday from 10:00


class Machine(waiting.Machine):
    """`booked`: the bookings of the saw that count, [person, begin, facts]; `extended`: who had more time already."""

    @initialize(stock=st.integers(1, 6))
    def begin(self, stock: int) -> None:
        super().begin(stock)
        saw = {"kind": "machine", "title": "Scie", "category": "machine-bois", "quantity": 1}
        self.saw = self.town.listing(**saw)["code"]
        self.booked: list[tuple[Any, Any, Any]] = []
        self.extended: set[str] = set()

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
        assert later is not None and later > until > self.now and reference not in self.extended
        self.extended.add(reference)
        self.holds[pick % len(self.holds)] = (person, quantity, later, made)

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

    @rule(who=st.integers(0, 4), pick=st.integers(0, 3))
    def book(self, who: int, pick: int) -> None:
        person, begin = self.people[who], HOURS[pick]
        slot = slots.Slot(db.to_ms(begin), db.to_ms(begin + HOUR))
        mine = sum(one[0] == person and one[1] + HOUR > self.now for one in self.booked)
        allowed = begin >= self.now and begin <= self.now + timedelta(days=60) and not self.taken(begin) and mine < 3
        try:
            made = reservations.reserve(person, person.person_id or 0, self.saw, None, self.name(), slot=slot)
        except Refusal as refusal:
            assert not allowed, refusal.code
            assert refusal.code in ("slot_in_past", "too_far", "slot_taken", "too_many_reservations")
            return
        assert allowed
        self.booked.append((person, begin, made))

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

    @rule(quantity=st.integers(1, 9))
    def count_again(self, quantity: int) -> None:
        promised = self.stock - self.free() + sum(wanted for _, wanted, until in self.queue if until)
        try:
            reservations.revise_listing(self.town.staff, self.code, {"quantity": quantity}, None)
        except Refusal as refusal:
            assert refusal.code == "quantity_below_reserved" and quantity < promised
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
        assert found == [(person.person_id, db.to_ms(begin)) for person, begin, _ in self.booked]


def test_everything_agrees_with_the_model(
    engine: str, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Whatever people, staff, lots and clocks do, nothing is promised twice, lost or done by half."""
    numbers = iter(range(10**6))

    def fresh() -> Machine:
        db.close()
        if engine == "sqlite":
            path = tmp_path_factory.mktemp("lifecycle") / "town.db"
            shutil.copy(request.getfixturevalue("sqlite_template"), path)
            url = f"sqlite:///{path}"
        else:
            server = request.getfixturevalue("postgres")
            url = server.create(f"lifecycle_{next(numbers)}", request.getfixturevalue("postgres_template"))
        configuration.use(configuration.load({"DATABASE_URL": url}))
        db.open_database(url)
        db.connect()
        return Machine()

    run_state_machine_as_test(
        fresh,
        settings=settings(
            max_examples=40,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            database=None,
        ),
    )
    db.close()

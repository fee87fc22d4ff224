"""Any sequence of reserving, waiting, taking, passing, leaving, counting and time: the queue agrees with a model."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, rule

from circular import catalog, clock, consequences, db, queries, reservations, waitlist
from circular.errors import Refusal
from circular.people import Actor
from tests.machines import TownMachine, run_machine

PHONES = [f"+5966960000{n:02}" for n in range(5)]
ENDS = ("taken", "passed", "lapsed", "left", "closed")


class Machine(TownMachine):
    """The model: stock, holds [person, quantity, until, facts] and a queue [person, quantity, offered until or None]."""

    @initialize(stock=st.integers(1, 6))
    def begin(self, stock: int) -> None:
        self.people = [self.town.person(phone) for phone in PHONES]
        self.code = self.town.listing(quantity=stock)["code"]
        self.stock = stock
        self.holds: list[tuple[Actor, int, datetime, Any]] = []
        self.queue: list[list[Any]] = []

    # --- the model ---
    def free(self) -> int:
        return self.stock - sum(quantity for _, quantity, until, _ in self.holds if until > self.now)

    def available(self) -> int:
        free = self.free()
        return max(0, free - sum(wanted for _, wanted, until in self.queue if until or wanted <= free))

    def offer(self, person: Actor) -> list[Any] | None:
        live = (one for one in self.queue if one[0] == person and one[2] and one[2] > self.now)
        return next(live, None)

    def serve(self) -> None:
        if any(until for _, _, until in self.queue):
            return
        for one in self.queue:
            if one[1] <= self.free():
                one[2] = clock.after_waking(self.now, 2, "America/Martinique")
                return

    def hold(self, person: Actor, made: Any, quantity: int) -> None:
        until = reservations.moment(made, "expires_at")
        assert until is not None
        self.holds.append((person, quantity, until, made))
        self.queue = [one for one in self.queue if not (one[0] == person and (one[2] or one[1] <= quantity))]
        self.serve()

    # --- what people do ---
    @rule(who=st.integers(0, 4), quantity=st.integers(1, 7))
    def reserve(self, who: int, quantity: int) -> None:
        person = self.people[who]
        offer = self.offer(person)
        room = self.available() + (offer[1] if offer else 0)
        limit = sum(1 for holder, _, until, _ in self.holds if holder == person and until > self.now) >= 3
        try:
            made = self.town.reserve(person, self.code, quantity, self.name())
        except Refusal as refusal:
            assert refusal.code == ("sold_out" if quantity > room else "too_many_reservations")
            assert quantity > room or limit
            return
        assert quantity <= room and not limit
        self.hold(person, made, quantity)

    @rule(pick=st.integers(0, 9))
    def cancel(self, pick: int) -> None:
        live = [hold for hold in self.holds if hold[2] > self.now]
        if live:
            hold = live[pick % len(live)]
            reservations.cancel(hold[0], hold[3]["reference"])
            self.holds.remove(hold)
            self.serve()

    @rule(pick=st.integers(0, 9), part=st.integers(1, 6))
    def pick_up(self, pick: int, part: int) -> None:
        live = [hold for hold in self.holds if hold[2] > self.now]
        if live:
            hold = live[pick % len(live)]
            part = min(part, hold[1])
            reservations.pick_up(self.town.staff, hold[3]["reference"], hold[3]["pickup_code"], part)
            self.holds.remove(hold)
            self.stock -= part
            self.serve()

    @rule(who=st.integers(0, 4), quantity=st.integers(1, 7))
    def join(self, who: int, quantity: int) -> None:
        person = self.people[who]
        known = next((one for one in self.queue if one[0] == person), None)
        same = known is not None and (known[2] is not None or known[1] == quantity)  # an offer stays what it is
        try:
            joined = waitlist.join(person, person.person_id or 0, self.code, quantity, self.name())
        except Refusal as refusal:
            assert refusal.code == "still_available" and not same and quantity <= self.available()
            return
        assert same or quantity > self.available()
        if known is not None:
            known[1] = known[1] if same else quantity
        else:
            self.queue.append([person, quantity, None])
            assert joined["rank"] == len(self.queue)

    @rule(who=st.integers(0, 4))
    def take(self, who: int) -> None:
        person = self.people[who]
        offer = self.offer(person)
        limit = sum(1 for holder, _, until, _ in self.holds if holder == person and until > self.now) >= 3
        try:
            made = waitlist.take(person, person.person_id or 0, self.name())
        except Refusal as refusal:
            assert refusal.code == ("too_many_reservations" if offer else "offer_lapsed")
            assert limit or not offer
            return
        assert (made is not None) == (offer is not None)
        if made and offer:
            self.hold(person, made, offer[1])

    @rule(who=st.integers(0, 4))
    def pass_offer(self, who: int) -> None:
        offer = self.offer(self.people[who])
        assert (waitlist.pass_offer(self.people[who].person_id or 0) is not None) == (offer is not None)
        if offer:
            self.queue.remove(offer)
            self.serve()

    @rule(who=st.integers(0, 4))
    def leave(self, who: int) -> None:
        for waiting in waitlist.mine(self.people[who].person_id or 0):
            if waiting["listing"] != self.code:
                continue
            waitlist.leave(self.people[who], waiting["reference"])
            self.queue = [one for one in self.queue if one[0] != self.people[who]]
            self.serve()

    @rule(quantity=st.integers(1, 9))
    def count_again(self, quantity: int) -> None:
        promised = self.stock - self.free() + sum(wanted for _, wanted, until in self.queue if until)
        try:
            consequences.revise_listing(self.town.staff, self.code, {"quantity": quantity}, None)
        except Refusal as refusal:
            assert refusal.code == "held_for_others" and quantity < promised
            return
        assert quantity >= promised
        self.stock = quantity
        self.serve()

    @rule(minutes=st.sampled_from([30, 60, 120, 600, 1440, 20_000]), sweep=st.booleans())
    def wait(self, minutes: int, sweep: bool) -> None:
        self.now += timedelta(minutes=minutes)
        self.clock.move_to(self.now, tick=False)
        if sweep:
            reservations.expire()
            waitlist.sweep()
            self.queue = [one for one in self.queue if not (one[2] and one[2] <= self.now)]
            self.serve()

    # --- what is always so ---
    @invariant()
    def the_queue_is_the_models(self) -> None:
        found = db.rows(
            "SELECT person_id, quantity, state, offer_expires_at FROM waiting "
            "WHERE state IN ('waiting', 'offered') AND starts_at IS NULL ORDER BY id"
        )
        assert [(person, catalog.amount(quantity)) for person, quantity, _, _ in found] == [
            (person.person_id, quantity) for person, quantity, _ in self.queue
        ]
        assert [until if state == "offered" else None for _, _, state, until in found] == [
            until and db.to_ms(until) for _, _, until in self.queue
        ]
        assert sum(state == "offered" for _, _, state, _ in found) <= 1

    @invariant()
    def available_is_what_nobody_was_promised(self) -> None:
        assert self.town.available(self.code) == self.available() >= 0
        offered = sum(wanted for _, wanted, until in self.queue if until)
        assert self.free() >= offered
        listed = queries.find(queries.Query(q="planche", min_quantity=1)).items
        assert [catalog.amount(one["available"]) for one in listed] == ([self.available()] if self.available() else [])


def test_the_waitlist_agrees_with_the_model(another_town: Callable[..., None]) -> None:
    """In order, one offer at a time, nobody passed by, nothing promised twice, whatever people do."""

    def fresh() -> Machine:
        another_town()
        return Machine()

    run_machine(fresh)

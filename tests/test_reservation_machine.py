"""Any sequence of publishing, reserving, cancelling, handing over, revising and waiting: the database agrees with a model."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    consumes,
    initialize,
    invariant,
    rule,
)

from circular import catalog, reservations
from circular.errors import Refusal
from circular.people import Actor
from tests.machines import TownMachine, run_machine

PHONES = [f"+5966960000{n:02}" for n in range(4)]


class Machine(TownMachine):
    """The model: stock on hand by listing, and who holds what until when."""

    holds = Bundle("holds")

    def __init__(self) -> None:
        super().__init__()
        self.stock: dict[str, int] = {}
        self.live: dict[str, tuple[str, str, int, datetime]] = {}

    @initialize()
    def people(self) -> None:
        self.people = [self.town.person(phone) for phone in PHONES]

    def held(self, code: str) -> int:
        return sum(n for listing, _, n, until in self.live.values() if listing == code and until > self.now)

    def holds_of(self, person: Actor) -> int:
        key = str(person.person_id)
        return sum(1 for _, holder, _, until in self.live.values() if holder == key and until > self.now)

    @rule(quantity=st.integers(1, 6))
    def publish(self, quantity: int) -> None:
        if len(self.stock) < 3:
            self.stock[self.town.listing(quantity=quantity)["code"]] = quantity

    @rule(target=holds, pick=st.integers(0, 2), who=st.integers(0, 3), quantity=st.integers(1, 7), repeat=st.booleans())
    def reserve(self, pick: int, who: int, quantity: int, repeat: bool) -> Any:
        if not self.stock:
            return None
        code, person = list(self.stock)[pick % len(self.stock)], self.people[who]
        origin = self.name()
        allowed = self.holds_of(person) < 3 and self.held(code) + quantity <= self.stock[code]
        try:
            made = self.town.reserve(person, code, quantity, origin)
        except Refusal as refusal:
            assert not allowed and refusal.code in ("sold_out", "too_many_reservations")
            return None
        assert allowed
        until = reservations.moment(made, "expires_at")
        assert until is not None
        self.live[made["reference"]] = (code, str(person.person_id), quantity, until)
        if repeat:
            assert self.town.reserve(person, code, quantity, origin)["reference"] == made["reference"]
        return made

    @rule(made=consumes(holds))
    def cancel(self, made: Any) -> None:
        if made is None:
            return
        person = next(p for p in self.people if p.person_id == made["person_id"])
        alive = made["reference"] in self.live and self.live[made["reference"]][3] > self.now
        try:
            reservations.cancel(person, made["reference"])
            assert alive
        except Refusal as refusal:
            assert not alive and refusal.code in ("expired", "already_ended")
        self.live.pop(made["reference"], None)

    @rule(made=holds, part=st.integers(1, 7))
    def pick_up(self, made: Any, part: int) -> None:
        if made is None or made["reference"] not in self.live:
            return
        code, _, quantity, until = self.live[made["reference"]]
        try:
            handed = reservations.pick_up(self.town.staff, made["reference"], made["pickup_code"], part)
        except Refusal as refusal:
            assert refusal.code == ("expired" if until <= self.now else "more_than_reserved")
            return
        assert until > self.now and part <= quantity
        assert handed["state"] == ("picked_up" if part == quantity else "partly_picked_up")
        self.stock[code] -= part
        del self.live[made["reference"]]

    @rule(pick=st.integers(0, 2), quantity=st.integers(1, 8))
    def count_again(self, pick: int, quantity: int) -> None:
        if not self.stock:
            return
        code = list(self.stock)[pick % len(self.stock)]
        try:
            catalog.revise(self.town.staff, code, {"quantity": quantity}, None)
        except Refusal as refusal:
            assert refusal.code == "held_for_others" and quantity < self.held(code)
            return
        assert quantity >= self.held(code)
        self.stock[code] = quantity

    @rule(days=st.integers(1, 9), sweep=st.booleans())
    def wait(self, days: int, sweep: bool) -> None:
        self.now += timedelta(days=days)
        self.clock.move_to(self.now, tick=False)
        if sweep:
            reservations.expire()

    @invariant()
    def available_is_stock_less_holds(self) -> None:
        for code, quantity in self.stock.items():
            assert self.town.available(code) == quantity - self.held(code)


def test_reservations_agree_with_the_model(another_town: Callable[..., None]) -> None:
    """Stock is never negative, never lost and never sold twice, whatever people do."""

    def fresh() -> Machine:
        another_town()
        return Machine()

    run_machine(fresh, steps=30)

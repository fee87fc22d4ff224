"""kill -9 at every statement of every verb: whole or not at all, and the same request again finishes it, once.

Fault points, not luck: the verb runs in a process that dies before its 1st, 2nd, 3rd… statement, until it lives.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import pytest
import time_machine
from flask.testing import FlaskClient

from circular import catalog, clock, consequences, db, draws, places, reservations, slots, waitlist
from circular.people import Actor
from sms import inbox, messages
from sms.gateways.base import Inbound
from tests.fatal import halves, killed_before
from tests.town import ADMIN, Town

MONDAY = datetime(2026, 11, 23, 14, 0, tzinfo=UTC)
LATER = timedelta(days=30)  # by then every hold has lapsed


class Scene(NamedTuple):
    """What a verb is about to do: `act`, which a retry repeats, and what is so once it is done."""

    act: Callable[[], object]
    done: Callable[[], bool]


class Stage:
    """A town in which each fault point finds people and a listing of its own."""

    def __init__(self, town: Town, clock: time_machine.Coordinates) -> None:
        self.town, self.clock = town, clock
        self.number = 0

    def set(self, quantity: int = 2) -> None:
        """A new listing, three new people."""
        self.number += 1
        self.code = str(self.town.listing(quantity=quantity)["code"])
        self.one, self.two, self.three = (self.town.person(f"+59669{n}00{self.number:04}") for n in (60, 61, 62))
        self.name = f"kill:{self.number}"

    def hold(self, who: Actor, quantity: int = 1) -> str:
        return str(self.town.reserve(who, self.code, quantity)["reference"])

    def state(self, reference: str) -> str:
        return str(reservations.get(ADMIN, reference)["state"])

    def wait(self, who: Actor) -> str:
        joined = waitlist.join(who, ident(who), self.code, 1, f"{self.name}:{who.person_id}")
        return str(joined["reference"])

    def waits(self, reference: str) -> str:
        return str(waitlist.get(ADMIN, reference)["state"])

    def queue(self) -> tuple[str, list[str]]:
        """Everything held by one, two others wait: the hold, and their places."""
        self.set(quantity=1)
        held = self.hold(self.one)
        return held, [self.wait(self.two), self.wait(self.three)]

    def window(self) -> None:
        self.set(quantity=1)
        draws.plan(ADMIN, self.code, {"allocation": "draw", "closes_at": db.from_ms(now()) + timedelta(hours=1)})


def now() -> int:
    return db.to_ms(datetime.now(UTC))


def ident(who: Actor) -> int:
    assert who.person_id is not None
    return who.person_id


# --- what each verb does ----------------------------------------------------------------------------------------------
def reserving(stage: Stage) -> Scene:
    stage.set()
    return Scene(
        lambda: stage.town.reserve(stage.one, stage.code, 2, stage.name), lambda: stage.town.available(stage.code) == 0
    )


def cancelling(stage: Stage) -> Scene:
    held, (first, _) = stage.queue()
    return Scene(
        lambda: reservations.cancel(stage.one, held),
        lambda: (stage.state(held), stage.waits(first)) == ("cancelled", "offered"),
    )


def extending(stage: Stage) -> Scene:
    stage.set()
    held = stage.hold(stage.one)
    before = reservations.get(stage.one, held)["expires_at"]
    return Scene(
        lambda: reservations.extend(stage.one, held, stage.name),
        lambda: reservations.get(stage.one, held)["expires_at"] > before,
    )


def handing_over(stage: Stage) -> Scene:
    stage.set()
    held = stage.hold(stage.one, 2)
    pin = reservations.get(stage.one, held)["pickup_code"]
    return Scene(
        lambda: reservations.pick_up(stage.town.staff, held, pin),
        lambda: stage.state(held) == "picked_up" and catalog.get(stage.code)["quantity"] == 0,
    )


def handing_over_a_part(stage: Stage) -> Scene:
    stage.set()
    held, first = stage.hold(stage.one, 2), stage.wait(stage.two)
    pin = reservations.get(stage.one, held)["pickup_code"]
    return Scene(
        lambda: reservations.pick_up(stage.town.staff, held, pin, 1),
        lambda: (stage.state(held), stage.waits(first)) == ("partly_picked_up", "offered"),
    )


def lapsing(stage: Stage) -> Scene:
    held, _ = stage.queue()
    stage.clock.shift(LATER)
    return Scene(reservations.expire, lambda: bool(db.value("SELECT 1 FROM reservation WHERE reference = ? AND "
                                                            "state = 'expired'", held)))  # fmt: skip


def withdrawing(stage: Stage) -> Scene:
    held, waits = stage.queue()
    return Scene(
        lambda: consequences.withdraw_listing(ADMIN, stage.code),
        lambda: [stage.state(held), *map(stage.waits, waits)] == ["cancelled", "closed", "closed"],
    )


def joining(stage: Stage) -> Scene:
    stage.set(quantity=1)
    stage.hold(stage.one)
    return Scene(lambda: stage.wait(stage.two), lambda: len(waitlist.mine(ident(stage.two))) == 1)


def leaving(stage: Stage) -> Scene:
    held, (first, second) = stage.queue()
    reservations.cancel(stage.one, held)
    return Scene(
        lambda: waitlist.leave(stage.two, first),
        lambda: (stage.waits(first), stage.waits(second)) == ("left", "offered"),
    )


def taking(stage: Stage) -> Scene:
    held, (first, _) = stage.queue()
    reservations.cancel(stage.one, held)
    return Scene(
        lambda: waitlist.take(stage.two, ident(stage.two), stage.name),
        lambda: stage.waits(first) == "taken" and len(reservations.mine(ident(stage.two))) == 1,
    )


def passing(stage: Stage) -> Scene:
    held, (first, second) = stage.queue()
    reservations.cancel(stage.one, held)
    return Scene(
        lambda: waitlist.pass_offer(ident(stage.two)),
        lambda: (stage.waits(first), stage.waits(second)) == ("passed", "offered"),
    )


def sweeping(stage: Stage) -> Scene:
    held, (first, second) = stage.queue()
    reservations.cancel(stage.one, held)
    stage.clock.shift(timedelta(days=2))
    return Scene(waitlist.sweep, lambda: (stage.waits(first), stage.waits(second)) == ("lapsed", "offered"))


def entering(stage: Stage) -> Scene:
    stage.window()
    return Scene(
        lambda: draws.ask(stage.one, ident(stage.one), stage.code, 1, stage.name),
        lambda: draws.of_listing(stage.code)["entries"] == 1,
    )


def drawing(stage: Stage) -> Scene:
    stage.window()
    for who in (stage.one, stage.two, stage.three):
        draws.ask(who, ident(who), stage.code, 1, f"{stage.name}:{who.person_id}")
    stage.clock.shift(timedelta(hours=1))
    draw = draws.of_listing(stage.code)
    order = [one["ticket"] for one in draws.in_order("draw", draw["seed"], draws.entries(draw["id"]))]

    def done() -> bool:
        found = draws.published(draws.get(draw["reference"]))
        return (
            found["state"] == "drawn" and draws.check(found) == [] and [one["id"] for one in found["entries"]] == order
        )

    return Scene(draws.sweep, done)


def answering(stage: Stage) -> Scene:
    stage.set()
    phone = f"+596696{900000 + stage.number}"
    messages.store_inbound("africastalking", Inbound(stage.name, phone, "40404", f"R {stage.code}", None))
    number = messages.inbound_id("africastalking", stage.name)

    def done() -> bool:
        answers = db.rows("SELECT text FROM outbound_message WHERE in_reply_to = ?", number)
        return len(answers) == 1 and answers[0][0].startswith("Réservé") and stage.town.available(stage.code) == 1

    return Scene(inbox.handle_pending, done)


def preparing(stage: Stage) -> Scene:
    stage.set()
    held = stage.hold(stage.one)
    return Scene(lambda: reservations.prepare(stage.town.staff, held), lambda: stage.state(held) == "prepared")


def missing(stage: Stage) -> Scene:
    held, (first, _) = stage.queue()
    return Scene(
        lambda: reservations.no_show(stage.town.staff, held),
        lambda: (stage.state(held), stage.waits(first)) == ("no_show", "offered"),
    )


def handing_to_another(stage: Stage) -> Scene:
    stage.set()
    held, other = stage.hold(stage.one), stage.hold(stage.two)
    pin = reservations.get(stage.two, other)["pickup_code"]

    def act() -> None:
        if stage.state(held) == "held":  # who looks again sees that it is done
            reservations.pick_up(stage.town.staff, held, pin, force=True, reason="erreur")

    return Scene(act, lambda: stage.state(held) == "cancelled" and catalog.get(stage.code)["quantity"] == 1000)


def counting_less(stage: Stage) -> Scene:
    stage.set()
    stage.hold(stage.one)
    held, change = stage.hold(stage.two), {"quantity": 1}
    first = stage.wait(stage.three)
    return Scene(
        lambda: consequences.revise_listing(ADMIN, stage.code, change, None, force=True, reason="vide"),
        lambda: (stage.state(held), stage.waits(first)) == ("cancelled", "waiting"),
    )


def closing(stage: Stage) -> Scene:
    for one in places.closures("la-sphere"):
        places.reopen(ADMIN, "la-sphere", one["reference"])
    for hold in reservations.find(ADMIN, reservations.Filter(state="held")):
        reservations.cancel(ADMIN, hold["reference"])
    stage.set()
    held = stage.hold(stage.one)
    before = reservations.get(stage.one, held)["expires_at"]
    day = clock.local(db.from_ms(before), "America/Martinique").date().isoformat()
    days = {"from": day, "to": day}
    return Scene(
        lambda: consequences.close_place(stage.town.staff, "la-sphere", days),
        lambda: reservations.get(stage.one, held)["expires_at"] > before,
    )


def setting_aside(stage: Stage) -> Scene:
    held, (first, second) = stage.queue()
    reservations.cancel(stage.one, held)
    return Scene(lambda: waitlist.suspend(stage.two, first), lambda: stage.waits(second) == "offered")


def forgiving(stage: Stage) -> Scene:
    stage.set()
    held = stage.hold(stage.one)
    reservations.no_show(stage.town.staff, held)
    return Scene(
        lambda: reservations.forgive(stage.town.staff, held), lambda: reservations.strikes(ident(stage.one)) == 0
    )


def saw(stage: Stage) -> tuple[slots.Slot, slots.Slot]:
    """A machine, and two hours of it tomorrow."""
    stage.set()
    stage.code = str(stage.town.listing(kind="machine", category="machine-bois", quantity=1)["code"])
    begin = now() + 24 * 3_600_000
    return slots.Slot(begin, begin + 3_600_000), slots.Slot(begin + 3_600_000, begin + 7_200_000)


def booked(stage: Stage, reference: str) -> Any:
    return reservations.get(ADMIN, reference)["starts_at"]


def booking(stage: Stage) -> Scene:
    slot, _ = saw(stage)
    return Scene(
        lambda: reservations.reserve(stage.one, ident(stage.one), stage.code, None, stage.name, slot=slot),
        lambda: len(reservations.mine(ident(stage.one))) == 1,
    )


def moving(stage: Stage) -> Scene:
    slot, other = saw(stage)
    made = reservations.reserve(stage.one, ident(stage.one), stage.code, None, stage.name, slot=slot)["reference"]
    return Scene(
        lambda: reservations.move(stage.one, made, other, f"{stage.name}:move"),
        lambda: bool(booked(stage, made) == other.starts_at),
    )


def giving_back(stage: Stage) -> Scene:
    slot, _ = saw(stage)
    made = reservations.reserve(stage.one, ident(stage.one), stage.code, None, stage.name, slot=slot)
    reservations.pick_up(stage.town.staff, made["reference"], made["pickup_code"])
    return Scene(
        lambda: reservations.give_back(stage.town.staff, made["reference"]),
        lambda: stage.state(made["reference"]) == "given_back",
    )


def line_for_the_saw(stage: Stage) -> tuple[slots.Slot, str, list[str]]:
    """An hour that one has booked and two others wait for: the slot, the booking, their places."""
    slot, _ = saw(stage)
    held = reservations.reserve(stage.one, ident(stage.one), stage.code, None, f"{stage.name}:held", slot=slot)
    waits = [
        str(waitlist.join(who, ident(who), stage.code, None, f"{stage.name}:{who.person_id}", slot=slot)["reference"])
        for who in (stage.two, stage.three)
    ]
    return slot, held["reference"], waits


def giving_the_saw_up(stage: Stage) -> Scene:
    _, held, (first, second) = line_for_the_saw(stage)
    return Scene(
        lambda: reservations.cancel(stage.one, held),
        lambda: (stage.state(held), stage.waits(first), stage.waits(second)) == ("cancelled", "offered", "waiting"),
    )


def waiting_for_the_saw(stage: Stage) -> Scene:
    slot, _ = saw(stage)
    reservations.reserve(stage.one, ident(stage.one), stage.code, None, f"{stage.name}:held", slot=slot)
    return Scene(
        lambda: waitlist.join(stage.two, ident(stage.two), stage.code, None, stage.name, slot=slot),
        lambda: len(waitlist.mine(ident(stage.two))) == 1,
    )


def taking_the_saw(stage: Stage) -> Scene:
    slot, held, (first, _) = line_for_the_saw(stage)
    reservations.cancel(stage.one, held)
    return Scene(
        lambda: waitlist.take(stage.two, ident(stage.two), stage.name),
        lambda: stage.waits(first) == "taken" and reservations.mine(ident(stage.two))[0]["starts_at"] == slot.starts_at,
    )


def closing_the_saw(stage: Stage) -> Scene:
    slot, held, (first, _) = line_for_the_saw(stage)
    reservations.cancel(stage.one, held)

    def act() -> None:
        if not slots.blocks(stage.code):
            consequences.close_slot(ADMIN, stage.code, slot, "lame")

    return Scene(act, lambda: len(slots.blocks(stage.code)) == 1 and stage.waits(first) == "waiting")


def sweeping_the_saw(stage: Stage) -> Scene:
    stage.clock.move_to(MONDAY)  # tomorrow it is open
    _, held, (first, second) = line_for_the_saw(stage)
    reservations.cancel(stage.one, held)
    stage.clock.shift(timedelta(hours=26))
    return Scene(waitlist.sweep, lambda: (stage.waits(first), stage.waits(second)) == ("lapsed", "closed"))


VERBS = (
    giving_the_saw_up, waiting_for_the_saw, taking_the_saw, closing_the_saw, sweeping_the_saw,
    preparing, missing, forgiving, booking, moving, giving_back,
    reserving, cancelling, extending, handing_over, handing_over_a_part, lapsing, withdrawing, joining, leaving, taking,
    passing, sweeping, entering, drawing, answering,
    handing_to_another, counting_less, closing, setting_aside,
)  # fmt: skip


@pytest.fixture
def stage(town: Town) -> Iterator[Stage]:
    with time_machine.travel(MONDAY, tick=False) as clock:
        yield Stage(town, clock)


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.__name__)
def test_kill_at_every_statement(stage: Stage, verb: Callable[[Stage], Scene]) -> None:
    """Nothing half-done, nothing acknowledged lost, stock never negative; and whoever asks again gets it, once."""
    for point in range(200):
        scene = verb(stage)
        assert not scene.done()

        died = killed_before(point, scene.act)

        assert halves() == []
        whole = scene.done()
        assert whole or died, "acknowledged, and lost"
        scene.act()
        assert scene.done() and halves() == []
        if not died:
            break
    assert not died and point > 5


def test_a_verb_of_two_transactions_is_found_out(stage: Stage) -> None:
    """The check itself: what is cancelled in one transaction and logged in another is seen half-done."""
    found = set()
    for point in range(20):
        stage.set()
        held = stage.hold(stage.one)

        def careless(held: str = held) -> None:
            query = "UPDATE reservation SET state = 'cancelled', ended_at = 1 WHERE reference = ?"
            with db.transaction():
                db.run(query, held)
            with db.transaction():
                reservations.log(reservations.get(ADMIN, held)["id"], stage.one, "cancel")

        died = killed_before(point, careless)
        found.update(halves())
        if not died:
            break
    assert found == {"an end without its line in the log"}


def test_nothing_acknowledged_is_lost_when_the_disk_is_full(
    town: Town, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What cannot be stored is not acknowledged: the provider is told to come again."""
    from peewee import OperationalError

    def full(*_args: object, **_kwargs: object) -> None:
        raise OperationalError("database or disk is full")

    monkeypatch.setattr(messages, "store_inbound", full)
    form = {"id": "1", "from": "+596696000001", "to": "1", "text": "bois", "date": ""}

    assert client.post("/sms/africastalking/demo/inbound", data=form).status_code == 503

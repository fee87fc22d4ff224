"""Time that misbehaves: a clock that jumps, a server that was down for an hour over everything that was to happen."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine

from circular import consequences, db, reservations, waitlist
from circular.errors import Refusal
from sms import messages, outbox, worker
from tests.fatal import halves
from tests.town import FABIOLA, JOSEPH, MIRTHA, Town

MONDAY = datetime(2026, 11, 23, 14, 0, tzinfo=UTC)
DECADE, YEARS = timedelta(days=3650), timedelta(days=730)


@pytest.fixture
def clock() -> Iterator[time_machine.Coordinates]:
    """Monday 10:00 in Martinique."""
    with time_machine.travel(MONDAY, tick=False) as found:
        yield found


@pytest.fixture
def working(town: Town, clock: Any) -> Iterator[worker.Worker]:
    """The background work, a round at a time."""
    one = worker.Worker()
    yield one
    one.sender.close()
    one._lock.release()


def told(phone: str) -> list[str]:
    query = "SELECT n.kind FROM notice n JOIN person p ON p.id = n.person_id WHERE p.phone = ? ORDER BY n.id"
    return [kind for (kind,) in db.rows(query, phone)]


def test_a_slip_of_the_clock_ends_nothing(town: Town, clock: Any, working: worker.Worker) -> None:
    """Ten years ahead for some minutes: holds, offers and what is kept are as they were when it is put right."""
    held = town.reserve(town.person(), town.listing()["code"])
    taken = town.listing(quantity=1)["code"]
    other = town.reserve(town.person(JOSEPH), taken)
    waitlist.join(town.person(MIRTHA), town.person(MIRTHA).person_id or 0, taken, 1, "wait")
    reservations.cancel(town.person(JOSEPH), other["reference"])
    messages.store_inbound("console", messages.Inbound("1", FABIOLA, "", "bois", None))
    working.step()
    before = told(FABIOLA) + told(MIRTHA)

    clock.shift(DECADE)
    for _ in range(3):
        working.step()
    assert working._clock_has_jumped()
    clock.shift(-DECADE)
    working.step()

    assert [one["reference"] for one in reservations.mine(town.person().person_id or 0)] == [held["reference"]]
    assert waitlist.offers_of(town.person(MIRTHA).person_id or 0)
    assert told(FABIOLA) + told(MIRTHA) == before
    assert db.value("SELECT text FROM inbound_message") == "bois"


def test_a_clock_that_was_put_right_for_good(
    town: Town, clock: Any, working: worker.Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine without a clock of its own starts in the past: once the right time has settled, what is due happens."""
    town.reserve(town.person(), town.listing()["code"])
    working.step()
    clock.shift(timedelta(days=30))
    working.step()
    assert told(FABIOLA) == []

    monkeypatch.setattr(working, "_settled_at", 0.0)  # ten minutes later, by the steady clock
    monkeypatch.setattr(working, "_chores_at", 0.0)
    working.step()

    assert told(FABIOLA) == ["expired"]


def test_what_was_given_to_another_does_not_come_to_life_again(town: Town, clock: Any) -> None:
    """A hold lapses and nobody notes it; somebody else takes the thing; the clock goes back: one of them has it."""
    code = town.listing(quantity=1)["code"]
    first = town.reserve(town.person(), code)
    clock.shift(timedelta(days=20))
    second = town.reserve(town.person(JOSEPH), code)
    clock.shift(timedelta(days=-20))

    assert town.available(code) == 0 and halves() == []
    assert reservations.get(town.staff, first["reference"])["state"] == "expired" and told(FABIOLA) == ["expired"]
    reservations.pick_up(town.staff, second["reference"], second["pickup_code"])
    with pytest.raises(Refusal) as caught:
        reservations.pick_up(town.staff, first["reference"], first["pickup_code"])
    assert caught.value.code == "expired"


@pytest.mark.parametrize("seed", range(3))
def test_fifty_jumps(town: Town, clock: Any, seed: int) -> None:
    """From two years back to ten years ahead, between whatever people do: each hold ends once, nothing is promised twice."""
    choose = random.Random(seed)
    codes = [town.listing(quantity=2)["code"] for _ in range(2)]
    crowd = [town.person(f"+59669600{n:04}") for n in range(4)]
    for n in range(50):
        who, code = choose.choice(crowd), choose.choice(codes)
        own = reservations.mine(who.person_id or 0)
        acts = [
            lambda who=who, code=code, n=n: town.reserve(who, code, 1, f"jump:{n}"),
            lambda who=who, code=code, n=n: waitlist.join(who, who.person_id or 0, code, 1, f"jump:{n}"),
            lambda who=who, n=n: waitlist.take(who, who.person_id or 0, f"jump:{n}"),
            lambda own=own, who=who: own and reservations.cancel(who, own[0]["reference"]),
            lambda code=code, n=n: consequences.revise_listing(town.staff, code, {"quantity": 1 + n % 3}, None),
            lambda: worker.chores("worker-test"),
        ]
        with contextlib.suppress(Refusal):
            choose.choice(acts)()
        clock.move_to(MONDAY + choose.uniform(-1, 5) * YEARS)
        assert halves() == [], n
        assert min(town.available(code) for code in codes) >= 0


def test_an_hour_of_downtime_over_everything(town: Town, clock: Any) -> None:
    """What was due meanwhile is done once at the start, told once, and nobody's time has run while nobody could answer."""
    code = town.listing(quantity=1)["code"]
    held = town.reserve(town.person(), code)
    waitlist.join(town.person(JOSEPH), town.person(JOSEPH).person_id or 0, code, 1, "wait:1")
    end = db.from_ms(held["expires_at"])
    clock.move_to(end - timedelta(minutes=30))  # the server goes down, and is up an hour later

    clock.shift(timedelta(hours=1))
    with pytest.raises(Refusal):
        reservations.extend(town.person(), held["reference"], "late")
    with pytest.raises(Refusal):
        town.reserve(town.person(MIRTHA), code)
    for _ in range(3):
        worker.chores("worker-test")
        while outbox.tell_notices():
            pass

    assert told(FABIOLA) == ["expired"] and told(JOSEPH) == ["offer"] and halves() == []
    offer = next(iter(waitlist.offers_of(town.person(JOSEPH).person_id or 0)), None)
    assert offer is not None
    assert db.from_ms(offer["offer_expires_at"]) >= end + timedelta(minutes=30) + timedelta(hours=2)
    assert db.value("SELECT COUNT(*) FROM outbound_message WHERE recipient = ?", FABIOLA) == 1
    made = waitlist.take(town.person(JOSEPH), town.person(JOSEPH).person_id or 0, "take")
    assert made and town.available(code) == 0

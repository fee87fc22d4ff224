"""The rules of waiting, on both engines."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from hypothesis import given
from hypothesis import strategies as st

from circular import catalog, clock, consequences, db, notices, people, queries, reservations, waitlist
from circular.people import Actor
from tests.test_reservations import refused
from tests.town import ADMIN, JOSEPH, MIRTHA, Town

MONDAY = datetime(2026, 11, 23, 14, 0, tzinfo=UTC)  # 10:00 in Martinique
MARTINIQUE = "America/Martinique"


def wait(who: Actor, code: str, quantity: object = None, origin: str = "") -> dict[str, Any]:
    """Join a queue for oneself."""
    assert who.person_id is not None
    return waitlist.join(who, who.person_id, code, quantity, origin or f"test:{who.person_id}:{code}:{quantity}")


def take(who: Actor, origin: str = "") -> dict[str, Any] | None:
    assert who.person_id is not None
    return waitlist.take(who, who.person_id, origin or f"take:{who.person_id}:{clock.now()}")


def told(kind: str) -> list[notices.Untold]:
    """The notices of a kind that nobody has told yet."""
    return [notice for notice in notices.untold(100) if notice.kind == kind]


def two_waiting(town: Town) -> tuple[dict[str, Any], Actor, Actor]:
    """The reservation of all of a lot, and two who wait for it, in order."""
    code = town.listing(quantity=1)["code"]
    held = town.reserve(town.person(), code)
    first, second = town.person(JOSEPH), town.person(MIRTHA)
    for who in (first, second):
        wait(who, code)
    return held, first, second


def states() -> list[str]:
    return [row[0] for row in db.rows("SELECT state FROM waiting ORDER BY id")]


def test_what_is_cancelled_is_offered_to_the_first(town: Town) -> None:
    """At once, to one person, and to nobody else meanwhile."""
    code = town.listing(quantity=1)["code"]
    holder, first, second = town.person(), town.person(JOSEPH), town.person(MIRTHA)
    held = town.reserve(holder, code)
    assert wait(first, code)["rank"] == 1
    assert wait(second, code)["rank"] == 2

    reservations.cancel(holder, held["reference"])

    assert [notice.person_id for notice in told("offer")] == [first.person_id]
    assert town.available(code) == 0
    assert queries.find(queries.Query(q="planche", min_quantity=1)).items == []
    with refused("sold_out"):
        town.reserve(holder, code)
    assert take(second) is None
    made = take(first, "ok")
    assert made and made["state"] == "held"
    assert take(first, "ok") == made  # the same line again
    assert take(first) is None
    assert states() == ["taken", "waiting"]


def test_an_offer_is_taken_by_reserving(town: Town) -> None:
    """R 41271, the web form and the API answer an offer as OUI does."""
    code = town.listing(quantity=1)["code"]
    held = town.reserve(town.person(), code)
    waiting = wait(town.person(JOSEPH), code)
    reservations.cancel(town.person(), held["reference"])

    town.reserve(town.person(JOSEPH), code, 1)

    assert waitlist.get(town.person(JOSEPH), waiting["reference"])["state"] == "taken"


def test_an_offer_that_nobody_takes(town: Town) -> None:
    """After two waking hours it is the next one's; who answers later is told so."""
    code = town.listing(quantity=1)["code"]
    with time_machine.travel(MONDAY, tick=False) as traveller:
        held = town.reserve(town.person(), code)
        first, second = town.person(JOSEPH), town.person(MIRTHA)
        wait(first, code)
        wait(second, code)
        reservations.cancel(town.person(), held["reference"])
        traveller.shift(timedelta(hours=2) - timedelta(milliseconds=1))
        assert waitlist.sweep() == 0

        traveller.shift(timedelta(milliseconds=1))
        with refused("offer_lapsed"):
            take(first)
        assert town.available(code) == 0  # nobody comes in between
        assert waitlist.sweep() == 1

        with refused("offer_lapsed"):
            take(first)
        assert [notice.person_id for notice in told("offer_lapsed")] == [first.person_id]
        assert take(second)
        assert states() == ["lapsed", "taken"]


def test_a_listing_that_breaks_the_sweep(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is wrong with one listing, the others' queues move on."""
    odd, good = (town.listing(quantity=1)["code"] for _ in range(2))
    settle = waitlist._settle

    def broken(code: str) -> None:
        if code == odd:
            raise ValueError("odd row")
        settle(code)

    with time_machine.travel(MONDAY, tick=False) as traveller:
        for code in (odd, good):
            held = town.reserve(town.person(), code)
            wait(town.person(JOSEPH), code)
            reservations.cancel(town.person(), held["reference"])
        traveller.shift(timedelta(hours=2))
        monkeypatch.setattr(waitlist, "_settle", broken)
        waitlist.sweep()

    assert states() == ["offered", "lapsed"]


def test_an_offer_that_is_passed(town: Town) -> None:
    """NON leaves it to the next one; with nobody left it is everybody's."""
    held, first, second = two_waiting(town)
    code = held["listing"]
    reservations.cancel(town.person(), held["reference"])
    assert first.person_id and second.person_id

    passed = waitlist.pass_offer(first.person_id)

    assert passed and passed["title"] == "Planche sapin 200x20"
    assert waitlist.pass_offer(first.person_id) is None
    assert waitlist.pass_offer(second.person_id)
    assert town.available(code) == 1
    assert states() == ["passed", "passed"]


def free_by(what: str, town: Town, code: str, held: dict[str, Any], traveller: time_machine.Traveller) -> None:
    """One of the ways in which something comes free."""
    if what == "cancel":
        reservations.cancel(town.person(), held["reference"])
    elif what == "expiry":
        traveller.shift(timedelta(days=20))
        reservations.expire()
        assert town.available(code) == 0  # kept for them before anybody has swept
        waitlist.sweep()
    elif what == "partial pick-up":
        reservations.pick_up(town.staff, held["reference"], held["pickup_code"], 1)
    elif what == "no-show":
        reservations.prepare(town.staff, held["reference"])
        reservations.no_show(town.staff, held["reference"])
    elif what == "lapsed, then a no-show":
        traveller.shift(timedelta(days=20))
        reservations.no_show(town.staff, held["reference"])
    elif what == "another has it":
        other = town.reserve(town.person("+596696000009"), town.listing()["code"])
        reservations.pick_up(town.staff, held["reference"], other["pickup_code"], 1, force=True, reason="erreur")
    elif what == "more stock":
        consequences.revise_listing(town.staff, code, {"quantity": 4}, None)
    elif what == "a file":
        with db.transaction():
            catalog.put(ADMIN, {"kind": "material", "title": "Planche", "category": "bois-planche", "quantity": 5,
                                "unit": "piece", "place": "la-sphere"}, None, code)  # fmt: skip
        assert town.available(code) == 1
        waitlist.sweep()


@pytest.mark.parametrize(
    "what",
    [
        "cancel", "expiry", "no-show", "lapsed, then a no-show", "partial pick-up", "another has it", "more stock", "a file",
    ],
)  # fmt: skip
def test_whatever_makes_it_free(town: Town, what: str) -> None:
    """The queue hears of it, not of events: availability is what counts."""
    code = town.listing(quantity=2)["code"]
    with time_machine.travel(MONDAY, tick=False) as traveller:
        held = town.reserve(town.person(), code, 2)
        wait(town.person(JOSEPH), code)
        wait(town.person(MIRTHA), code)

        free_by(what, town, code, held, traveller)

        assert [notice.person_id for notice in told("offer")] == [town.person(JOSEPH).person_id]


def test_who_wants_much_holds_nobody_up(town: Town) -> None:
    """The first for whom it is enough gets the offer; the others keep their ranks, and their share of what comes free."""
    code = town.listing(quantity=10)["code"]
    holds = [town.reserve(town.person(), code, quantity) for quantity in (2, 3, 5)]
    much, little = town.person(JOSEPH), town.person(MIRTHA)
    wait(much, code, 6)
    wait(little, code, 2)

    reservations.cancel(town.person(), holds[0]["reference"])
    assert [notice.person_id for notice in told("offer")] == [little.person_id]
    reservations.cancel(town.person(), holds[2]["reference"])

    # 7 are free: 2 offered, 6 wanted by somebody who was there before anybody who comes now.
    assert town.available(code) == 0
    made = take(little)
    assert made and catalog.amount(made["quantity"]) == 2
    assert town.available(code) == 5  # not enough for the other one: whoever comes may have them
    with refused("sold_out"):
        town.reserve(town.person("+596696000009"), code, 6)
    reservations.cancel(little, made["reference"])
    assert [notice.person_id for notice in told("offer")] == [little.person_id, much.person_id]


def test_nobody_passes_those_who_wait(town: Town) -> None:
    """One offer at a time, but what is there for the others of the queue is not given to newcomers."""
    code = town.listing(quantity=3)["code"]
    held = town.reserve(town.person(), code, 3)
    wait(town.person(JOSEPH), code)
    wait(town.person(MIRTHA), code)

    reservations.cancel(town.person(), held["reference"])

    assert states() == ["offered", "waiting"]
    assert town.available(code) == 1
    with refused("sold_out"):
        town.reserve(town.person(), code, 2)
    town.reserve(town.person(), code, 1)
    assert take(town.person(JOSEPH))
    assert states() == ["taken", "offered"]
    assert take(town.person(MIRTHA))
    assert town.available(code) == 0


def test_whoever_got_it_otherwise_waits_no_more(town: Town) -> None:
    """Behind an open offer there was some left: reserving as much as one waits for ends the waiting, less does not."""
    code = town.listing(quantity=9)["code"]
    holds = [town.reserve(town.person(), code, 3) for _ in range(3)]
    for phone, quantity in ((JOSEPH, 1), (MIRTHA, 2)):
        wait(town.person(phone), code, quantity)
    for held in holds:
        reservations.cancel(town.person(), held["reference"])

    town.reserve(town.person(MIRTHA), code, 1)
    assert states() == ["offered", "waiting"]
    town.reserve(town.person(MIRTHA), code, 2)
    assert states() == ["offered", "taken"]


def test_waiting_for_what_is_there(town: Town) -> None:
    """Reserve it instead; wait for more than there is."""
    code = town.listing(quantity=3)["code"]

    with refused("still_available") as caught:
        wait(town.person(), code, 3)

    assert caught.value.facts["available"] == 3
    assert wait(town.person(), code, 4)["state"] == "waiting"


def test_waiting_twice(town: Town) -> None:
    """The same line, or another one: the same place in the queue."""
    code = town.listing(quantity=1)["code"]
    town.reserve(town.person(), code)

    first = wait(town.person(JOSEPH), code, origin="a")

    assert wait(town.person(JOSEPH), code, origin="a")["reference"] == first["reference"]
    assert wait(town.person(JOSEPH), code, 2, origin="b")["reference"] == first["reference"]
    assert states() == ["waiting"]


def test_waiting_for_another_quantity(town: Town) -> None:
    """At the same rank; an offer stays what it is, and what is there by now need not be waited for."""
    code = town.listing(quantity=3)["code"]
    holder, first, second = town.person(), town.person(JOSEPH), town.person(MIRTHA)
    held = town.reserve(holder, code, 3)
    wait(first, code, 2)
    wait(second, code, 2)

    more = wait(first, code, 4)
    assert (more["rank"], more["quantity"], waitlist.exceeds(more)) == (1, 4000, True)
    assert wait(first, code)["quantity"] == 4000  # asking again for nothing in particular
    fewer = wait(first, code, 3)
    assert (fewer["rank"], fewer["quantity"], waitlist.exceeds(fewer)) == (1, 3000, False)

    reservations.cancel(holder, held["reference"])
    assert wait(first, code, 1)["quantity"] == 3000  # offered
    waitlist.pass_offer(first.person_id or 0)  # the second is offered two, one is left
    with refused("still_available"):
        wait(first, code, 1)


def test_waiting_where_nobody_can(town: Town) -> None:
    """What cannot be reserved cannot be waited for, each with its reason."""
    machine = town.listing(kind="machine", category="machine-bois", quantity=1)["code"]
    over = town.listing(available_until="2020-01-01")["code"]

    for code, refusal in ((machine, "not_reservable"), (over, "no_longer_available"), ("41272", "bad_code"),
                          ("41271", "no_such_listing")):  # fmt: skip
        with refused(refusal):
            wait(town.person(), code)
    with refused("quantity_not_positive"):
        wait(town.person(), town.listing()["code"], 0)


def test_too_many_queues(town: Town) -> None:
    """Ten at a time; one that is left makes room."""
    waits = []
    for n in range(waitlist.MOST_WAITS + 1):
        code = town.listing(title=f"Lot {n}", quantity=1)["code"]
        if n < waitlist.MOST_WAITS:
            waits.append(wait(town.person(), code, 2))

    with refused("too_many_waits") as caught:
        wait(town.person(), code, 2)
    waitlist.leave(town.person(), waits[0]["reference"])

    assert caught.value.facts == {"limit": waitlist.MOST_WAITS}
    assert wait(town.person(), code, 2)["rank"] == 1


def test_leaving(town: Town) -> None:
    """Ranks move up; an offer that is left is the next one's; twice changes nothing; nobody leaves for another."""
    code = town.listing(quantity=1)["code"]
    held = town.reserve(town.person(), code)
    first, second = wait(town.person(JOSEPH), code), wait(town.person(MIRTHA), code)
    with refused("no_such_wait"):
        waitlist.leave(town.person(MIRTHA), first["reference"])
    with refused("no_such_wait"):
        waitlist.leave(town.other_staff, first["reference"])
    reservations.cancel(town.person(), held["reference"])

    for _ in range(2):
        waitlist.leave(town.person(JOSEPH), first["reference"])

    moved = waitlist.get(town.person(MIRTHA), second["reference"])
    assert (moved["state"], moved["rank"]) == ("offered", 1)
    waitlist.leave(town.staff, second["reference"])
    assert town.available(code) == 1
    assert waitlist.mine(town.person(MIRTHA).person_id or 0) == []


def test_no_offer_reaches_whoever_said_stop(town: Town) -> None:
    """They leave the queue when their turn comes, and the next one gets it."""
    held, first, _ = two_waiting(town)
    assert first.person_id
    with db.transaction():
        people.opt_out(first.person_id)

    reservations.cancel(town.person(), held["reference"])

    assert states() == ["left", "offered"]


def test_an_offer_to_whoever_says_stop(town: Town) -> None:
    """It goes on to the next one at once: nobody waits for an answer that cannot come."""
    held, first, second = two_waiting(town)
    reservations.cancel(town.person(), held["reference"])
    assert states() == ["offered", "waiting"]

    with db.transaction():
        people.opt_out(first.person_id or 0)
    waitlist.sweep()

    assert states() == ["left", "offered"]
    assert [notice.person_id for notice in told("offer")][-1] == second.person_id
    assert told("offer_lapsed") == []


def test_a_limit_is_checked_when_an_offer_is_taken(town: Town) -> None:
    """Three holds at most: the offer stands until it lapses, and is taken when one of them is given up."""
    code = town.listing(quantity=1)["code"]
    held = town.reserve(town.person(), code)
    other = town.listing(title="Brique", quantity=9)["code"]
    first = town.person(JOSEPH)
    wait(first, code)
    holds = [town.reserve(first, other) for _ in range(3)]
    reservations.cancel(town.person(), held["reference"])

    with refused("too_many_reservations"):
        take(first)
    reservations.cancel(first, holds[0]["reference"])

    assert take(first)


@pytest.mark.parametrize("how", ["withdrawn", "asbestos", "too late"])
def test_a_listing_that_is_over(town: Town, how: str) -> None:
    """Nobody waits for it any more, offered or not, and each of them is told."""
    with time_machine.travel(MONDAY, tick=False) as traveller:
        code = town.listing(quantity=1, available_until="2026-12-24")["code"]
        held = town.reserve(town.person(), code)
        for phone in (JOSEPH, MIRTHA):
            wait(town.person(phone), code)
        if how == "withdrawn":
            reservations.cancel(town.person(), held["reference"])
            consequences.withdraw_listing(town.staff, code)
        elif how == "asbestos":
            hazards = [{"kind": "asbestos", "state": "declared"}]
            consequences.revise_listing(town.staff, code, {"status": "draft", "hazards": hazards}, None)
        else:
            traveller.shift(timedelta(days=40))
            waitlist.sweep()

        assert states() == ["closed", "closed"]
        assert len(told("wait_closed")) == 2
        assert len(told("offer")) == (1 if how == "withdrawn" else 0)
        assert waitlist.sweep() == 0


def test_what_is_offered_cannot_be_counted_away(town: Town) -> None:
    """Staff count what was promised, and what is only waited for binds nobody but its unit."""
    code = town.listing(quantity=3)["code"]
    held = town.reserve(town.person(), code, 3)
    wait(town.person(JOSEPH), code, 2)
    wait(town.person(MIRTHA), code, 3)
    reservations.cancel(town.person(), held["reference"])

    with refused("held_for_others") as caught:
        catalog.revise(town.staff, code, {"quantity": 1}, None)
    with refused("invalid"):
        catalog.revise(town.staff, code, {"unit": "m"}, None)
    catalog.revise(town.staff, code, {"quantity": 2}, None)

    assert caught.value.facts["reserved"] == 2
    assert take(town.person(JOSEPH))


def test_a_draft_is_offered_to_nobody(town: Town) -> None:
    """Until it is published again."""
    code = town.listing(quantity=1)["code"]
    held = town.reserve(town.person(), code)
    wait(town.person(JOSEPH), code)
    consequences.revise_listing(town.staff, code, {"status": "draft"}, None)
    reservations.cancel(town.person(), held["reference"])
    assert states() == ["waiting"] and waitlist.sweep() == 0

    consequences.revise_listing(town.staff, code, {"status": "published"}, None)

    assert states() == ["offered"]


def test_two_offers_to_one_person(town: Town) -> None:
    """OUI answers the one that came last, then the other."""
    codes = [town.listing(title=title, quantity=1)["code"] for title in ("Porte", "Volet")]
    holds = [town.reserve(town.person(), code) for code in codes]
    for code in codes:
        wait(town.person(JOSEPH), code)
    with time_machine.travel(MONDAY, tick=False) as traveller:
        for held in holds:
            reservations.cancel(town.person(), held["reference"])
            traveller.shift(60)

        made = [take(town.person(JOSEPH), f"oui:{n}") for n in range(3)]

    assert [one and one["listing"] for one in made] == [codes[1], codes[0], None]


def test_staff_put_somebody_in_a_queue(town: Town) -> None:
    """Who did it, and by which door, is kept."""
    code = town.listing(quantity=1)["code"]
    town.reserve(town.person(), code)
    person_id = town.person(JOSEPH).person_id
    assert person_id

    waitlist.join(town.staff, person_id, code, None, "call")

    assert db.rows("SELECT person_id, role, door FROM waiting") == [(person_id, "staff", "api")]


# --- waking hours -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("made", "until"),
    [
        ("2026-11-23T10:00", "2026-11-23T12:00"),
        ("2026-11-23T18:00", "2026-11-23T20:00"),
        ("2026-11-23T19:30", "2026-11-24T09:30"),
        ("2026-11-23T20:00", "2026-11-24T10:00"),
        ("2026-11-24T03:00", "2026-11-24T10:00"),
        ("2026-11-28T19:00", "2026-11-30T09:00"),  # Saturday evening to Monday
        ("2026-11-29T12:00", "2026-11-30T10:00"),  # on a Sunday nothing that nobody asked for is sent
    ],
)
def test_an_offer_counts_waking_hours(town: Town, made: str, until: str) -> None:
    """From 8:00 to 20:00, not on Sundays: an offer made at night waits for the morning, and its clock with it."""
    code = town.listing(quantity=1)["code"]
    held = town.reserve(town.person(), code)
    wait(town.person(JOSEPH), code)

    with time_machine.travel(f"{made}:00-04:00", tick=False):
        reservations.cancel(town.person(), held["reference"])

    expires_at = db.value("SELECT offer_expires_at FROM waiting")
    assert clock.local(db.from_ms(expires_at), MARTINIQUE).isoformat().startswith(until)


@given(st.integers(0, 14 * 24 * 4), st.integers(1, 60))
def test_waking_hours_are_counted_one_by_one(start: int, quarters: int) -> None:
    """So many waking quarters of an hour lie before the end, wherever one starts."""
    moment = MONDAY + timedelta(minutes=15 * start)

    end = clock.after_waking(moment, quarters / 4, MARTINIQUE)

    while quarters:
        here = clock.local(moment, MARTINIQUE)
        quarters -= 8 <= here.hour < 20 and here.isoweekday() != 7
        moment += timedelta(minutes=15)
    assert moment == end

"""Waiting for a time that is taken: a session that is full, an hour of a machine, a room and what stands in it."""

from __future__ import annotations

import functools
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from flask.testing import FlaskClient

from circular import catalog, consequences, db, notices, personal, reservations, slots, waitlist
from circular.people import Actor
from tests.api.test_listings import problem
from tests.machines import at_once
from tests.test_reservations import refused
from tests.test_slots import at, book, machine, said
from tests.test_waitlist import states, told
from tests.town import ADMIN, FABIOLA, JOSEPH, MIRTHA, Town

MONDAY = datetime(2026, 11, 23, 14, 0, tzinfo=UTC)  # 10:00 in Martinique
URL = "/api/v1/waitlist"


@pytest.fixture(autouse=True)
def traveller() -> Any:
    """It is Monday morning."""
    with time_machine.travel(MONDAY, tick=False) as clock:
        yield clock


def wait(town: Town, code: str, slot: slots.Slot, phone: str = JOSEPH, **more: Any) -> dict[str, Any]:
    """A place in the queue of somebody."""
    who = town.person(phone)
    return waitlist.join(who, who.person_id or 0, code, more.get("quantity"), f"{phone}{code}{slot}{more}", slot=slot)


def take(town: Town, phone: str = JOSEPH) -> dict[str, Any] | None:
    who = town.person(phone)
    return waitlist.take(who, who.person_id or 0, f"take:{phone}:{db.value('SELECT MAX(id) FROM waiting')}")


def test_what_is_given_up_is_offered_in_order(town: Town) -> None:
    """To one at a time, kept from everybody else, and taken for that very slot."""
    code = machine(town)
    held = book(town, code, at(3))
    assert [wait(town, code, at(3), phone)["rank"] for phone in (JOSEPH, MIRTHA)] == [1, 2]

    reservations.cancel(town.person(), held["reference"])

    assert [(one.person_id, one.facts["slot_at"]) for one in told("offer")] == [
        (town.person(JOSEPH).person_id, at(3).starts_at)
    ]
    with refused("slot_taken"):
        book(town, code, at(3), quantity=1)
    assert at(3).starts_at not in [one.starts_at for one in slots.free(catalog.get(code), *at(0, 8))]
    assert take(town, MIRTHA) is None
    made = take(town)
    assert made and (made["starts_at"], made["ends_at"]) == at(3)
    assert states() == ["taken", "waiting"]


def test_each_session_has_its_own_queue(town: Town) -> None:
    """Who waits for Wednesday keeps nobody from Thursday, nor the reverse; one person may wait for both, once each."""
    code = machine(town, kind="workshop", category="atelier", quantity=2, opening_hours="We,Th 18:00-20:00")
    sessions = [slots.Slot(*one[:2]) for one in slots.free(catalog.get(code), *at(0, 24 * 7))]
    held = [book(town, code, session, phone) for session in sessions for phone in (FABIOLA, MIRTHA)]
    assert [wait(town, code, session)["rank"] for session in sessions] == [1, 1]
    assert wait(town, code, sessions[0], quantity=1)["rank"] == 1

    reservations.cancel(town.person(MIRTHA), held[1]["reference"])
    reservations.cancel(town.person(MIRTHA), held[3]["reference"])

    assert states() == ["offered", "offered"]
    assert sorted(one.facts["slot_at"] for one in told("offer")) == [session.starts_at for session in sessions]


def test_whatever_frees_a_time_serves_its_queue(town: Town) -> None:
    """Moved, missed, brought back, opened again, more units: each is offered at once."""
    code, staff = machine(town), town.staff
    first = book(town, code, at(24))
    wait(town, code, at(24))
    reservations.move(town.person(), first["reference"], at(25), "move")
    assert states() == ["offered"]
    book(town, code, at(24), JOSEPH)

    wait(town, code, at(25), MIRTHA)
    reservations.no_show(staff, first["reference"])
    assert states()[-1] == "offered"
    made = take(town, MIRTHA)
    assert made

    wait(town, code, at(25), FABIOLA)
    reservations.give_back(staff, made["reference"])
    assert states()[-1] == "offered"
    assert take(town, FABIOLA)

    block = consequences.close_slot(staff, code, at(26), "lame")
    wait(town, code, at(26))
    consequences.open_slot(staff, code, block["reference"])
    assert states()[-1] == "offered"

    wait(town, code, at(25), MIRTHA)
    consequences.revise_listing(staff, code, {"quantity": 2}, None)
    assert states()[-1] == "offered"


def test_hours_that_a_file_changes(town: Town, traveller: Any) -> None:
    """What can be booked only since then is offered by the sweep; what is no slot any more is waited for no more."""
    code = machine(town, opening_hours="Mo-Su 09:00-17:00")
    for hour in (24, 25):
        book(town, code, at(hour))
        wait(town, code, at(hour))
    db.run("UPDATE reservation SET state = 'given_back'")  # by no verb
    assert waitlist.sweep() > 0
    assert states() == ["offered", "offered"]
    assert waitlist.sweep() == 0

    db.run("UPDATE listing SET opening_hours = 'Mo-Su 15:00-17:00' WHERE code = ?", code)
    assert waitlist.sweep() > 0
    assert states() == ["closed", "closed"]
    assert len(told("wait_closed")) == 2


def test_a_room_and_what_stands_in_it(town: Town) -> None:
    """Who waits for a machine is served when its room is given up; an offer of the one keeps the other from everybody."""
    room, saw = machine(town, kind="room", title="Atelier", category="salle"), machine(town)
    slots.set_rules(town.staff, saw, {"parent": room})
    held = book(town, room, at(3))
    wait(town, saw, at(3))
    wait(town, room, at(3))
    wait(town, room, at(3), MIRTHA)

    reservations.cancel(town.person(), held["reference"])

    assert states().count("offered") == 1  # the room's or the saw's, not both, be it to one person
    for code in (room, saw):
        with refused("slot_taken"):
            book(town, code, at(3), quantity=1)
    assert take(town)
    assert states().count("offered") == 0
    assert told("offer_gone") == []  # who had the other was not told that it is gone: they have what they chose


def test_a_room_that_is_taken_back_frees_its_saw(town: Town) -> None:
    """At once: the room was offered for two hours, and the saw is closed for the second."""
    saw = machine(town)
    room = machine(town, kind="room", title="Atelier", category="salle")
    slots.set_rules(town.staff, saw, {"parent": room})
    held = book(town, saw, at(3))
    wait(town, room, slots.Slot(at(3).starts_at, at(4).ends_at), MIRTHA)
    reservations.cancel(town.person(), held["reference"])
    wait(town, saw, at(3))
    assert states() == ["offered", "waiting"]

    consequences.close_slot(town.staff, saw, at(4), "lame")

    assert states() == ["waiting", "offered"]


def test_maintenance_takes_an_offer_back(town: Town) -> None:
    """Its person keeps their rank, and has it again once the time is open."""
    code = machine(town)
    held = book(town, code, at(3))
    wait(town, code, at(3))
    reservations.cancel(town.person(), held["reference"])

    block = consequences.close_slot(town.staff, code, at(3), "lame")
    assert states() == ["waiting"]
    assert [one.facts["slot_at"] for one in told("offer_gone")] == [at(3).starts_at]
    assert take(town) is None
    assert slots.full(catalog.get(code), *at(0, 8)) == []  # nobody is shown that they could wait for it
    consequences.open_slot(town.staff, code, block["reference"])
    assert states() == ["offered"]


def test_an_offer_ends_before_the_slot_can_no_longer_be_booked(town: Town, traveller: Any) -> None:
    """Then those who waited for it are told, set aside or not, once."""
    code = machine(town)
    slots.set_rules(town.staff, code, {"notice_minutes": 60})
    held = book(town, code, at(4))
    first = wait(town, code, at(4))
    wait(town, code, at(4), MIRTHA)
    waitlist.suspend(town.person(MIRTHA), waitlist.mine(town.person(MIRTHA).person_id or 0)[0]["reference"])
    traveller.shift(timedelta(hours=2))
    reservations.cancel(town.person(), held["reference"], late=True)
    until = waitlist.get(town.person(JOSEPH), first["reference"])["offer_expires_at"]
    assert until == at(3).starts_at  # an hour before it begins, though two waking hours have not passed

    traveller.shift(timedelta(hours=1))
    with refused("offer_lapsed"):
        take(town)
    assert waitlist.sweep() == 1
    assert states() == ["lapsed", "closed"]
    assert [one.person_id for one in told("offer_lapsed")] == [town.person(JOSEPH).person_id]
    assert [one.person_id for one in told("wait_in_vain")] == [town.person(MIRTHA).person_id]
    assert waitlist.sweep() == 0


def test_what_cannot_be_waited_for(town: Town) -> None:
    """What is free, past, closed or beyond one's rules; a lot by the slot, a machine without one."""
    code, lot = machine(town), town.listing(quantity=1)["code"]
    with refused("still_available"):
        wait(town, code, at(3))
    book(town, code, at(3))
    book(town, code, at(4), MIRTHA)
    for slot, refusal in ((at(-1), "slot_in_past"), (at(9), "outside_hours"), (at(3.5), "not_on_grid")):
        with refused(refusal):
            wait(town, code, slot)
    with refused("not_reservable"):
        waitlist.join(town.person(), 1, code, None, "no slot")
    with refused("slot_not_allowed"):
        wait(town, lot, at(3))
    slots.set_rules(town.staff, code, {"training": "scie"})
    with refused("training_required"):
        wait(town, code, at(3))
    slots.set_rules(town.staff, code, {"training": "", "quota_minutes": 30})
    with refused("quota_exceeded"):
        wait(town, code, at(3))
    assert states() == []


def test_whoever_has_it_does_not_wait_for_it(town: Town) -> None:
    """Nor for more than there is, nor twice for one time."""
    code = machine(town)
    book(town, code, at(3, 2))
    with refused("already_booked"):
        wait(town, code, at(4), FABIOLA)
    with refused("above_maximum"):
        wait(town, code, at(3), quantity=2)
    first = wait(town, code, at(3))
    assert wait(town, code, at(3, 2))["reference"] == first["reference"]
    slots.set_rules(town.staff, code, {"notice_minutes": 600})
    with refused("too_soon"):
        waitlist.join(town.staff, town.person(MIRTHA).person_id or 0, code, None, "staff", slot=at(3))


def test_who_cannot_book_it_is_passed_over(town: Town) -> None:
    """A training that ran out, a quota that is used up: the next one is asked, and the first keeps their rank."""
    code = machine(town)
    held = book(town, code, at(24))
    wait(town, code, at(24))
    wait(town, code, at(24), MIRTHA)
    book(town, code, at(26), JOSEPH)
    slots.set_rules(town.staff, code, {"quota_minutes": 60})

    reservations.cancel(town.staff, held["reference"])

    assert states() == ["waiting", "offered"]
    assert take(town, MIRTHA)


def test_what_nobody_can_have_is_kept_for_nobody(town: Town) -> None:
    """A room that is not shown any more does not keep what stands in it."""
    room, saw = machine(town, kind="room", title="Atelier", category="salle"), machine(town)
    slots.set_rules(town.staff, saw, {"parent": room})
    held = book(town, room, at(24))
    wait(town, room, at(24))
    consequences.revise_listing(town.staff, room, {"status": "draft"}, None)
    reservations.cancel(town.staff, held["reference"])

    assert book(town, saw, at(24))["state"] == "held"


def test_steps_that_change(town: Town) -> None:
    """An hour that is no slot any more is offered to nobody; those who waited for it are told."""
    code = machine(town)
    held = book(town, code, at(24))
    wait(town, code, at(24))
    slots.set_rules(town.staff, code, {"step_minutes": 120})
    reservations.cancel(town.staff, held["reference"])
    assert states() == ["closed"]
    assert len(told("wait_closed")) == 1
    assert told("offer") == []


def test_nobody_is_asked_in_their_sleep(town: Town, traveller: Any) -> None:
    """What comes free at night and begins before a text may leave is anybody's."""
    code = machine(town, opening_hours="Mo-Su 07:00-17:00")
    slot = at(21)  # Tuesday at 7
    held = book(town, code, slot)
    wait(town, code, slot)
    traveller.shift(timedelta(hours=12))
    reservations.cancel(town.staff, held["reference"])

    assert told("offer") == []
    assert book(town, code, slot, MIRTHA)["state"] == "held"
    traveller.shift(timedelta(hours=9))
    waitlist.sweep()
    assert len(told("wait_in_vain")) == 1


def test_an_hour_of_two_that_are_waited_for(town: Town) -> None:
    """Whoever books one of them still waits for both."""
    code = machine(town)
    book(town, code, at(25))
    wait(town, code, at(24, 2))
    book(town, code, at(24), JOSEPH)
    assert states() == ["waiting"]


def test_a_place_that_closes(town: Town) -> None:
    """Those who wait for a time at which it does not open any more are told, without having to wait for that time."""
    code = machine(town)
    book(town, code, at(24))
    wait(town, code, at(24))
    consequences.close_place(town.staff, "la-sphere", {"from": "2026-11-24", "to": "2026-11-24"})
    waitlist.sweep()
    assert states() == ["closed"]
    assert len(told("wait_closed")) == 1


def test_changing_and_booking_wait_in_no_ring(town: Town, database_url: str) -> None:
    """A machine is described anew while it is booked, and somebody waits for its room: nothing breaks off."""
    room, saw = machine(town, kind="room", title="Atelier", category="salle"), machine(town)
    slots.set_rules(town.staff, saw, {"parent": room})
    book(town, room, at(24))
    wait(town, room, at(24))
    who = town.person(MIRTHA)

    def change() -> str:
        for n in range(15):
            consequences.revise_listing(town.staff, saw, {"description": f"{n}"}, None)
        return "changed"

    def use() -> str:
        for n in range(15):
            made = reservations.reserve(who, who.person_id or 0, saw, None, f"ring:{n}", slot=at(26))
            reservations.cancel(town.staff, made["reference"])
        return "used"

    assert at_once(change, use) == ["changed", "used"]


def test_whoever_was_offered_a_time_is_shown_it(town: Town) -> None:
    """It is free to them, and theirs to book by any door; what they wait for beside it stays as it is."""
    code = machine(town)
    held = book(town, code, at(3))
    book(town, code, at(4), MIRTHA)
    wait(town, code, at(3))
    wait(town, code, at(4))
    reservations.cancel(town.person(), held["reference"])
    me = town.person(JOSEPH).person_id

    free = slots.free(catalog.get(code), at(3).starts_at, at(4).starts_at, person_id=me)
    assert [one[:2] for one in free] == [at(3)]
    book(town, code, at(3), JOSEPH)
    assert states() == ["taken", "waiting"]


def test_a_listing_that_is_withdrawn_or_changes_its_kind(town: Town) -> None:
    """Nobody waits for what is over; and a machine that somebody waits for stays one."""
    code = machine(town)
    book(town, code, at(3))
    wait(town, code, at(3))
    with refused("invalid"):
        consequences.revise_listing(town.staff, code, {"kind": "tool"}, None)
    consequences.withdraw_listing(ADMIN, code)
    assert states() == ["closed"]
    assert [one.facts["slot_at"] for one in told("wait_closed")] == [at(3).starts_at]


def test_waiting_by_the_api(town: Town, client: FlaskClient) -> None:
    """The times that are taken, a place in the queue of one, an offer, and the booking that takes it."""
    code, who = machine(town), town.token("builder")
    held = book(town, code, at(2))
    path = f"/api/v1/listings/{code}/availability?from=2026-11-23T14:00:00Z&to=2026-11-24T00:00:00Z&taken=true"
    taken = client.get(path).json["items"]
    assert taken == [{"starts_at": "2026-11-23T16:00:00Z", "ends_at": "2026-11-23T17:00:00Z", "quantity": 0}]
    slot = {name: taken[0][name] for name in ("starts_at", "ends_at")}

    made = client.post(URL, json={"listing": code, "slot": slot}, headers=who)

    assert made.status_code == 201, made.text
    assert (made.json["slot"], made.json["rank"], made.json["state"]) == (slot, 1, "waiting")
    problem(client.post(URL, json={"listing": code, "slot": said(at(3))}, headers=who), 409, "still_available")
    problem(client.post(URL, json={"listing": code, "slot": {"starts_at": "soon"}}, headers=who), 422, "invalid")
    reservations.cancel(town.person(), held["reference"], late=True)
    assert client.get(f"{URL}/{made.json['id']}", headers=who).json["state"] == "offered"
    body = {"listing": code, "slot": slot}
    problem(client.post("/api/v1/reservations", json=body, headers=town.token("builder")), 409, "slot_taken")
    assert client.post("/api/v1/reservations", json=body, headers=who).status_code == 201
    assert client.get(f"{URL}/{made.json['id']}", headers=who).json["state"] == "taken"


def test_personal_data(town: Town) -> None:
    """What somebody waits for is theirs to read, and goes with them: the next one has the offer."""
    code = machine(town)
    held = book(town, code, at(3))
    wait(town, code, at(3))
    wait(town, code, at(3), MIRTHA)
    me = town.person(JOSEPH)
    (exported,) = waitlist.export(me.person_id or 0)
    assert (exported["starts_at"], exported["ends_at"]) == at(3)
    reservations.cancel(town.person(), held["reference"])

    with db.transaction():
        personal.erase(me)

    assert states() == ["offered"]


def test_one_offer_however_many_come(town: Town, database_url: str) -> None:
    """Eight at once: who waits takes it, newcomers book and wait, the room is asked for, it is swept: one has the hour."""
    room, saw = machine(town, kind="room", title="Atelier", category="salle"), machine(town)
    slots.set_rules(town.staff, saw, {"parent": room})
    held = book(town, saw, at(24))
    wait(town, saw, at(24))
    people = [town.person(f"+5966980000{n:02}") for n in range(8)]
    first = town.person(JOSEPH)

    def act(n: int, who: Actor) -> str:
        ident, name = who.person_id or 0, f"race:{n}"
        if n == 0:
            reservations.cancel(town.staff, held["reference"])
            return "cancelled"
        if n == 1:
            made = waitlist.take(first, first.person_id or 0, name)
            return "taken" if made else "too early"
        if n in (2, 3):
            waitlist.join(who, ident, room if n == 3 else saw, None, name, slot=at(24))
            return "waits"
        if n == 4:
            waitlist.sweep()
            return "swept"
        reservations.reserve(who, ident, room if n % 2 else saw, None, name, slot=at(24))
        return "booked"

    results = at_once(*(functools.partial(db.retrying, functools.partial(act, n, who)) for n, who in enumerate(people)))

    assert sorted({"taken", "too early"}.intersection(results)) in (["taken"], ["too early"])
    assert sorted(one for one in results if one not in ("taken", "too early")) == [
        "cancelled", "slot_taken", "slot_taken", "slot_taken", "swept", "waits", "waits",
    ]  # fmt: skip
    assert notices.untold(99)
    made = waitlist.take(first, first.person_id or 0, "in the end") if "too early" in results else None
    assert db.rows("SELECT person_id FROM reservation WHERE state = 'held'") == [(first.person_id,)]
    assert ("taken" in results) == (made is None)

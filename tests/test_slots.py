"""Slots: what is free, who gets it, what stands in the way; against a simple model, and in races."""

from __future__ import annotations

import functools
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from circular import catalog, db, notices, reservations, slots
from circular.people import Actor
from tests.api.test_listings import problem
from tests.machines import at_once
from tests.test_reservations import refused
from tests.town import FABIOLA, JOSEPH, MIRTHA, Town

MONDAY = datetime(2026, 11, 23, 14, 0, tzinfo=UTC)  # 10:00 in Martinique, where nothing changes in summer
HOUR = 3_600_000
URL = "/api/v1/reservations"


@pytest.fixture(autouse=True)
def traveller() -> Any:
    """It is Monday morning."""
    with time_machine.travel(MONDAY, tick=False) as clock:
        yield clock


def machine(town: Town, **fields: Any) -> str:
    """A machine of La Sphère, open from 9 to 17, but for Sundays."""
    given = {"kind": "machine", "title": "Scie", "category": "machine-bois", "quantity": 1, **fields}
    return str(town.listing(**given)["code"])


def at(hours: float, long: float = 1) -> slots.Slot:
    """A slot so many hours after the Monday."""
    start = db.to_ms(MONDAY + timedelta(hours=hours))
    return slots.Slot(start, start + round(long * HOUR))


def said(slot: slots.Slot) -> dict[str, str]:
    """A slot as the API writes it."""
    return {name: db.from_ms(moment).isoformat() for name, moment in slot._asdict().items()}


def book(town: Town, code: str, slot: slots.Slot, phone: str = FABIOLA, **more: Any) -> dict[str, Any]:
    """A reservation of somebody."""
    who = town.person(phone)
    return reservations.reserve(
        who, who.person_id or 0, code, more.get("quantity"), f"{phone}{code}{slot}{more}", slot=slot
    )


def test_from_what_is_free_to_given_back(town: Town, client: FlaskClient) -> None:
    """Availability, a booking, the same slot refused with the next free ones, hand-over, back again."""
    code, headers, staff = machine(town), town.token("builder"), town.token("staff", "la-sphere")
    path = f"/api/v1/listings/{code}/availability?from=2026-11-23T00:00:00Z&to=2026-11-24T00:00:00Z"
    first = client.get(path).json["items"]
    assert first[0] == {"starts_at": "2026-11-23T14:00:00Z", "ends_at": "2026-11-23T15:00:00Z", "quantity": 1}
    assert len(first) == 7

    body = {"listing": code, "slot": first[2] | {}}
    body["slot"].pop("quantity")
    made = client.post(URL, json=body, headers=headers)
    assert made.status_code == 201, made.text
    assert made.json["slot"] == body["slot"]
    taken = problem(client.post(URL, json=body, headers=town.token("builder")), 409, "slot_taken")
    assert taken["next"][0]["starts_at"] == "2026-11-23T17:00:00Z"
    assert len(client.get(path).json["items"]) == 6
    assert client.get(f"/api/v1/listings/{code}").json["available"] == 1

    pin = {"pickup_code": made.json["pickup_code"]}
    assert client.post(f"{URL}/{made.json['id']}/pick-up", json=pin, headers=staff).json["state"] == "picked_up"
    assert client.get(f"/api/v1/listings/{code}").json["quantity"] == 1
    assert client.post(f"{URL}/{made.json['id']}/give-back", headers=staff).json["state"] == "given_back"
    assert len(client.get(path).json["items"]) == 7


@pytest.mark.parametrize(
    ("rules", "slot", "code"),
    [
        ({}, at(-1), "slot_in_past"),
        ({}, at(9), "outside_hours"),
        ({}, at(5.5), "not_on_grid"),
        ({}, at(2, 0.5), "not_on_grid"),
        ({}, at(2, -1), "not_on_grid"),
        ({}, at(2, 5), "too_long"),
        ({"notice_minutes": 180}, at(2), "too_soon"),
        ({"horizon_days": 3}, at(24 * 4), "too_far"),
        ({"training": "scie"}, at(2), "training_required"),
        ({"quota_minutes": 60}, at(2, 2), "quota_exceeded"),
    ],
)
def test_rules(town: Town, rules: dict[str, Any], slot: slots.Slot, code: str) -> None:
    """Each refusal, by its rule."""
    listing = machine(town)
    slots.set_rules(town.staff, listing, rules)

    with refused(code):
        book(town, listing, slot)


def test_what_staff_may(town: Town, client: FlaskClient) -> None:
    """Rules and trainings are theirs alone; they are not bound by notice themselves."""
    code, staff = machine(town), town.token("staff", "la-sphere")
    other = town.token("staff", "trois-lieu")
    path = f"/api/v1/listings/{code}/rules"
    problem(client.put(path, json={"notice_minutes": 600}, headers=other), 403, "not_your_place")
    rules = {"notice_minutes": 600, "training": "scie"}
    assert client.put(path, json=rules, headers=staff).json["training"] == "scie"
    assert client.get(path).json["notice_minutes"] == 600
    problem(client.put(path, json={"step_minutes": -1}, headers=staff), 422, "invalid")
    problem(client.put(path, json={"parent": "99999"}, headers=staff), 422, "invalid")

    body = {"listing": code, "slot": said(at(2)), "phone": FABIOLA}
    assert client.post(URL, json=body, headers=staff).status_code == 201
    with refused("too_soon"):
        book(town, code, at(3), JOSEPH)
    slots.set_rules(town.staff, code, {"notice_minutes": 0})
    with refused("training_required"):
        book(town, code, at(3), JOSEPH)
    trained = client.post(
        "/api/v1/trainings", json={"phone": JOSEPH, "training": "scie", "until": "2026-12-01"}, headers=staff
    )
    assert trained.status_code == 201, trained.text
    assert book(town, code, at(3), JOSEPH)["state"] == "held"


def test_a_material_has_no_slots(town: Town, client: FlaskClient) -> None:
    """Nor has a machine anything but slots."""
    code = town.listing()["code"]

    problem(client.get(f"/api/v1/listings/{code}/availability"), 409, "slot_not_allowed")
    problem(
        client.post(URL, json={"listing": code, "slot": said(at(2))}, headers=town.token("builder")),
        409,
        "slot_not_allowed",
    )
    problem(client.post(URL, json={"listing": machine(town)}, headers=town.token("builder")), 409, "not_reservable")
    said_wrong = {"listing": machine(town), "slot": {"starts_at": "soon"}}
    problem(client.post(URL, json=said_wrong, headers=town.token("builder")), 422, "invalid")


def test_a_time_that_ends_before_it_starts(town: Town, client: FlaskClient) -> None:
    """Each field that is wrong is named."""
    code, start, end = machine(town), "2026-11-24T14:00:00Z", "2026-11-24T13:00:00Z"

    path = f"/api/v1/listings/{code}/availability?from={start}&to={end}"
    assert list(problem(client.get(path), 422, "invalid")["errors"]) == ["to"]
    body = {"listing": code, "slot": {"starts_at": start, "ends_at": end}}
    assert list(problem(client.post(URL, json=body, headers=town.token("builder")), 422, "invalid")["errors"]) == [
        "ends_at"
    ]


def test_a_room_and_its_machine_block_each_other(town: Town) -> None:
    """Both ways; what is beside them stays free."""
    room = machine(town, kind="room", title="Atelier", category="salle")
    saw, press = machine(town), machine(town, title="Presse")
    for child in (saw, press):
        slots.set_rules(town.staff, child, {"parent": room})

    book(town, saw, at(1))
    with refused("slot_taken"):
        book(town, room, at(1), JOSEPH)
    book(town, press, at(1), JOSEPH)
    book(town, room, at(2), MIRTHA)
    with refused("slot_taken"):
        book(town, saw, at(2))


def test_a_pause_between_two(town: Town) -> None:
    """Before and after what is taken; back to back without one."""
    code = machine(town)
    book(town, code, at(2))
    book(town, code, at(3), JOSEPH)
    slots.set_rules(town.staff, code, {"buffer_minutes": 30})

    with refused("slot_taken"):
        book(town, code, at(1), MIRTHA)
    assert [one.starts_at for one in slots.free(catalog.get(code), *at(0, 8))][:2] == [at(0).starts_at, at(5).starts_at]


def test_workshop_sessions(town: Town) -> None:
    """Its opening hours are its sessions, its quantity the places."""
    code = machine(town, kind="workshop", category="atelier", quantity=2, opening_hours="We 18:00-20:00")
    session = slots.free(catalog.get(code), *at(0, 24 * 7))
    assert [(one.ends_at - one.starts_at) // HOUR for one in session] == [2]

    slot = slots.Slot(*session[0][:2])
    for phone in (FABIOLA, JOSEPH):
        book(town, code, slot, phone)
    with refused("slot_taken"):
        book(town, code, slot, MIRTHA)
    with refused("not_on_grid"):
        book(town, code, slots.Slot(slot.starts_at, slot.starts_at + HOUR), MIRTHA)


def test_maintenance_tells_whoever_booked(town: Town, client: FlaskClient) -> None:
    """Their slot is given up by the place; the time cannot be booked until it is opened again."""
    code, staff = machine(town), town.token("staff", "la-sphere")
    made = book(town, code, at(26))

    blocked = client.post(f"/api/v1/listings/{code}/blocks", json={**said(at(24, 5)), "reason": "lame"}, headers=staff)
    assert blocked.status_code == 201, blocked.text
    assert reservations.get(town.person(), made["reference"])["state"] == "cancelled"
    assert [(notice.kind, notice.facts["words"]) for notice in notices.untold(9)] == [("cancelled_why", "lame")]
    with refused("slot_taken"):
        book(town, code, at(26), JOSEPH)
    path = f"/api/v1/listings/{code}/blocks/{blocked.json['id']}"
    assert [one["id"] for one in client.get(f"/api/v1/listings/{code}/blocks").json["items"]] == [blocked.json["id"]]
    assert client.delete(path, headers=staff).status_code == 204
    problem(client.delete(path, headers=staff), 404, "no_such_block")
    assert book(town, code, at(26), JOSEPH)["state"] == "held"


def test_move_and_cancel_until_the_deadline(town: Town, client: FlaskClient, traveller: Any) -> None:
    """By its person before, by staff at any time; the same key moves once."""
    code = machine(town)
    made = book(town, code, at(26))
    headers = town.token("builder", phone=FABIOLA)
    path = f"{URL}/{made['reference']}/move"

    moved = client.post(path, json={"slot": said(at(27))}, headers={**headers, "Idempotency-Key": "a"})
    assert (moved.status_code, moved.json["slot"]["starts_at"]) == (200, "2026-11-24T17:00:00Z")
    assert (
        client.post(path, json={"slot": said(at(27))}, headers={**headers, "Idempotency-Key": "a"}).json == moved.json
    )
    traveller.shift(timedelta(hours=25, minutes=30))
    problem(client.post(path, json={"slot": said(at(28))}, headers=headers), 409, "too_late")
    problem(client.post(f"{URL}/{made['reference']}/cancel", headers=headers), 409, "too_late")
    staff = town.token("staff", "la-sphere")
    assert (
        client.post(path, json={"slot": said(at(28))}, headers=staff).json["slot"]["starts_at"]
        == "2026-11-24T18:00:00Z"
    )
    assert [notice.kind for notice in notices.untold(9)] == ["slot_moved"]


def test_reminder_and_end(town: Town, traveller: Any) -> None:
    """The day before; when it is over, it counts as brought back and nobody is told."""
    made = book(town, machine(town), at(50))
    traveller.shift(timedelta(hours=27))
    assert (reservations.remind(), reservations.remind()) == (1, 0)
    assert [notice.kind for notice in notices.untold(9)] == ["slot_reminder"]
    traveller.shift(timedelta(hours=48))
    assert reservations.get(town.person(), made["reference"])["state"] == "given_back"
    reservations.expire()
    assert len(notices.untold(9)) == 1


def test_slots_are_counted_apart(town: Town) -> None:
    """Three of them beside three lots."""
    code = machine(town)
    for n in range(3):
        book(town, code, at(n))
        town.reserve(town.person(), town.listing()["code"])
    with refused("too_many_reservations"):
        book(town, code, at(4))


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    units=st.integers(1, 3),
    wishes=st.lists(st.tuples(st.integers(0, 6), st.integers(1, 3), st.integers(1, 2), st.booleans()), max_size=14),
)
def test_never_more_than_there_is(town: Town, units: int, wishes: list[tuple[int, int, int, bool]]) -> None:
    """Hour by hour, against a list of what is taken."""
    with db.database.atomic() as undo:
        code = machine(town, quantity=units)
        hours = [0] * 12
        made: list[tuple[dict[str, Any], int, int, int]] = []
        admin = Actor(None, "admin", "api")
        for n, (start, long, wanted, cancel) in enumerate(wishes):
            fits = start + long <= 7 and all(hours[hour] + wanted <= units for hour in range(start, start + long))
            who = town.person(f"+5966970000{n:02}")
            try:
                one = reservations.reserve(who, who.person_id or 0, code, wanted, f"w{n}", slot=at(start, long))
            except Exception as error:
                assert not fits, (start, long, wanted, error)
            else:
                assert fits
                made.append((one, start, long, wanted))
                for hour in range(start, start + long):
                    hours[hour] += wanted
            if cancel and made:
                one, since, lasting, some = made.pop(0)
                reservations.cancel(admin, one["reference"])
                for hour in range(since, since + lasting):
                    hours[hour] -= some
        free = {one.starts_at: one.units // 1000 for one in slots.free(catalog.get(code), *at(0, 7))}
        undo.rollback()

    assert free == {at(hour).starts_at: units - hours[hour] for hour in range(7) if hours[hour] < units}


def test_one_winner(town: Town, database_url: str) -> None:
    """Eight at once on the last slot of a machine, and of the room that it stands in: one gets it, nobody waits in a ring."""
    room, saw = machine(town, kind="room", title="Atelier", category="salle"), machine(town)
    slots.set_rules(town.staff, saw, {"parent": room})
    people = [town.person(f"+5966980000{n:02}") for n in range(8)]

    def act(n: int) -> str:
        who, code = people[n], saw if n % 2 else room
        db.retrying(lambda: reservations.reserve(who, who.person_id or 0, code, None, f"race{n}", slot=at(3)))
        return "won"

    results = at_once(*(functools.partial(act, n) for n in range(len(people))))

    assert sorted(results) == ["slot_taken"] * 7 + ["won"]

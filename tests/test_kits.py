"""Kits: what can be built from what there is, and everything for it reserved together, or nothing."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
import time_machine
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given
from hypothesis import settings as tries
from hypothesis import strategies as st

from circular import catalog, db, kits, people, personal, projects, reservations
from circular.errors import Refusal
from circular.people import Actor
from tests.api.test_listings import problem
from tests.sms.conversation import text
from tests.town import ADMIN, FABIOLA, JOSEPH, Town

PROJECTS = "/api/v1/projects"
BENCH = [("bois-palette", 3, "piece"), ("quincaillerie-vis", 0.5, "kg")]


def project(*needs: tuple[str, float, str], **fields: Any) -> str:
    """A project that takes `needs`; its code."""
    wanted = [{"category": category, "quantity": quantity, "unit": unit} for category, quantity, unit in needs]
    return str(projects.add(ADMIN, {"title": "Banc en palettes", **fields, "needs": wanted})["code"])


def pallets(town: Town, quantity: float = 10, **fields: Any) -> str:
    return str(town.listing(title="Palette", category="bois-palette", quantity=quantity, **fields)["code"])


def screws(town: Town, quantity: float = 2, **fields: Any) -> str:
    lot = {"title": "Vis", "category": "quincaillerie-vis", "quantity": quantity, "unit": "kg"}
    return str(town.listing(**{**lot, **fields})["code"])


def reserve(who: Actor, code: str, origin: str = "test:kit") -> list[dict[str, Any]]:
    assert who.person_id is not None
    return kits.reserve(who, who.person_id, code, origin)


# --- what can be built ------------------------------------------------------------------------------------------------
def test_feasibility(town: Town, client: FlaskClient) -> None:
    """What is needed beside what there is, and which listings give it."""
    wood, iron = pallets(town, 10), screws(town, 2)
    code = project(*BENCH)

    found = client.get(f"{PROJECTS}/{code}/feasibility").json

    assert found["buildable"] is True
    assert [
        (need["category"], need["quantity"], need["available"], need["missing"], need["listings"])
        for need in found["needs"]
    ] == [("bois-palette", 3, 10, 0, [wood]), ("quincaillerie-vis", 0.5, 2, 0, [iron])]
    assert found["needs"][1]["shares"] == [{"listing": iron, "title": "Vis", "quantity": 0.5, "place": "la-sphere"}]


def test_what_is_missing(town: Town, client: FlaskClient) -> None:
    """How much of it, and what there is of it all the same. Nothing counts that is reserved, not there yet, or no longer."""
    wood = pallets(town, 2)
    town.reserve(town.person(), pallets(town, 1))
    pallets(town, 9, available_from="2099-01-01")
    pallets(town, 9, available_until="2020-01-01")
    pallets(town, 9, status="draft")
    pallets(town, 9, unit="m")
    screws(town)
    code = project(*BENCH)

    found = client.get(f"{PROJECTS}/{code}/feasibility").json

    assert found["buildable"] is False
    first, second = found["needs"]
    assert (first["available"], first["missing"], first["listings"]) == (2, 1, [wood])
    assert second["missing"] == 0


def test_a_wider_category_is_served_by_what_is_below_it(town: Town) -> None:
    """Three pieces of wood of any kind, and one lot that two needs share is counted once."""
    wood = pallets(town, 4)

    assert kits.feasibility(project(("bois", 3, "piece")))["buildable"]
    assert kits.feasibility(project(("bois", 2, "piece"), ("bois-palette", 2, "piece")))["buildable"]
    short = kits.feasibility(project(("bois", 2, "piece"), ("bois-palette", 3, "piece")))
    assert (short["buildable"], sum(need["missing"] for need in short["needs"])) == (False, 1000)
    assert {share.lot.code for need in short["needs"] for share in need["shares"]} == {wood}


def test_a_machine_is_to_be_there(town: Town, client: FlaskClient) -> None:
    """A need of a machine says which one, and that it is booked."""
    pallets(town)
    code = project(("bois-palette", 1, "piece"), ("machine-bois", 1, "piece"))
    assert kits.feasibility(code)["buildable"] is False
    saw = town.listing(title="Scie", kind="machine", category="machine-bois", quantity=1)["code"]

    found = client.get(f"{PROJECTS}/{code}/feasibility").json

    assert found["buildable"] is True
    assert [(need["booked"], need["listings"]) for need in found["needs"]][1] == (True, [saw])


def test_one_place_rather_than_two(town: Town, client: FlaskClient) -> None:
    """One journey is less than two, even for more listings; then fewer listings are."""
    pallets(town, 10)
    there = [pallets(town, 2, place="trois-lieu"), pallets(town, 1, place="trois-lieu")]
    iron = screws(town, place="trois-lieu")
    code = project(*BENCH)

    found = client.get(f"{PROJECTS}/{code}/feasibility").json["needs"]

    assert (sorted(found[0]["listings"]), found[1]["listings"]) == (sorted(there), [iron])
    here = client.get(f"{PROJECTS}/{code}/feasibility?place=la-sphere").json
    assert [need["missing"] for need in here["needs"]] == [0, 0.5]
    problem(client.get(f"{PROJECTS}/{code}/feasibility?place=none"), 404, "no_such_place")
    screws(town)
    one_each = client.get(f"{PROJECTS}/{code}/feasibility").json["needs"]
    assert [len(need["listings"]) for need in one_each] == [1, 1]


def test_what_must_be_taken_is_taken(town: Town) -> None:
    """Screws come by the half kilo: a project that needs 0.7 takes one, and the smallest lot that will do."""
    iron = screws(town, 2, min_quantity=0.5, step_quantity=0.5)
    screws(town, 9, min_quantity=4)
    code = project(("quincaillerie-vis", 0.7, "kg"))

    made = reserve(town.person(), code)

    assert [(part["listing"], part["quantity"]) for part in made] == [(iron, 1000)]


def test_projects_that_can_be_built(town: Town, client: FlaskClient) -> None:
    """`buildable` tells them apart, page by page."""
    pallets(town, 3)
    ready = [project(("bois-palette", n, "piece"), title=f"Banc {name}")
             for n, name in ((1, "haut"), (2, "bas"), (3, "rond"))]  # fmt: skip
    not_ready = project(("bois-palette", 4, "piece"), title="Banc long")
    project(title="Rien")

    first = client.get(f"{PROJECTS}?buildable=true&limit=2").json
    second = client.get(first["next"]).json

    assert [one["code"] for one in first["items"] + second["items"]] == ready
    assert second["next"] is None
    assert not_ready in [one["code"] for one in client.get(f"{PROJECTS}?buildable=false").json["items"]]
    assert [one["code"] for one in client.get(f"{PROJECTS}?buildable=true&q=banc+bas").json["items"]] == [ready[1]]
    problem(client.get(f"{PROJECTS}?buildable=perhaps"), 422, "invalid")


# --- reserving --------------------------------------------------------------------------------------------------------
def test_a_kit_is_reserved_at_once(town: Town, client: FlaskClient) -> None:
    """One reservation for each listing, one pickup code, and one text to its person."""
    wood, iron = pallets(town, 10), screws(town, 2)
    code = project(*BENCH)

    made = client.post(f"{PROJECTS}/{code}/reserve", json={"phone": FABIOLA}, headers=town.token("staff", "la-sphere"))

    assert made.status_code == 201, made.text
    parts = made.json["reservations"]
    assert [(part["listing"], part["quantity"]) for part in parts] == [(wood, 3), (iron, 0.5)]
    assert len({part["pickup_code"] for part in parts}) == len({part["kit"] for part in parts}) == 1
    assert all(part["phone"] == FABIOLA and part["state"] == "held" for part in parts)
    assert (town.available(wood), town.available(iron)) == (7, 1.5)
    assert db.rows("SELECT kind FROM notice") == [("kit_reserved",)]


def test_nothing_at_all_when_something_is_missing(town: Town, client: FlaskClient) -> None:
    """409 with what is missing; what was there stays free."""
    wood = pallets(town, 10)
    code = project(*BENCH)

    said = problem(
        client.post(f"{PROJECTS}/{code}/reserve", json={}, headers=town.token("builder")), 409, "not_buildable"
    )

    assert [(need["category"], need["missing"]) for need in said["needs"]] == [
        ("bois-palette", 0),
        ("quincaillerie-vis", 0.5),
    ]
    assert town.available(wood) == 10
    assert db.value("SELECT COUNT(*) FROM kit") == 0


def test_a_repeat_with_the_same_key(town: Town, client: FlaskClient) -> None:
    """The first answer again, and nothing is taken twice; by the noun too, once the first answer is forgotten."""
    wood, _ = pallets(town, 10), screws(town)
    code = project(*BENCH)
    builder = {**town.token("builder"), "Idempotency-Key": "kit"}

    first = client.post(f"{PROJECTS}/{code}/reserve", json={}, headers=builder)
    again = client.post(f"{PROJECTS}/{code}/reserve", json={}, headers=builder)
    with db.transaction():
        db.run("DELETE FROM repeat")
    later = client.post(f"{PROJECTS}/{code}/reserve", json={}, headers=builder)

    assert (first.status_code, again.status_code, later.status_code) == (201, 201, 201)
    assert first.json == again.json == later.json
    assert town.available(wood) == 7


def test_a_kit_is_one_hold(town: Town) -> None:
    """Two lots and a kit of two are three holds: the most of a resident. A fourth is refused whole."""
    who = town.person()
    pallets(town, 10), screws(town, 5)
    code = project(*BENCH)
    town.reserve(who, town.listing()["code"])
    kit = reserve(who, code, "test:1")
    town.reserve(who, town.listing()["code"])

    with pytest.raises(Refusal, match="too_many_reservations"):
        reserve(who, code, "test:2")
    with pytest.raises(Refusal, match="too_many_reservations"):
        town.reserve(who, town.listing()["code"])
    reservations.cancel(who, kit[0]["reference"])
    with pytest.raises(Refusal, match="too_many_reservations"):  # a part of it is still held
        town.reserve(who, town.listing()["code"])
    kits.cancel(who, kit[0]["kit_id"])
    assert len(reserve(who, code, "test:3")) == 2


def test_cancelling_one_leaves_the_others(town: Town) -> None:
    """Whoever has screws at home gives those back alone."""
    who, wood, iron = town.person(), pallets(town), screws(town)
    made = reserve(who, project(*BENCH))

    reservations.cancel(who, made[1]["reference"])

    assert [part["state"] for part in kits.parts(made[0]["kit_id"])] == ["held", "cancelled"]
    assert (town.available(wood), town.available(iron)) == (7, 2)


def test_others_who_act_for_nobody_are_refused(town: Town, client: FlaskClient) -> None:
    """A builder may not reserve for a phone; nobody may without a token; what is no project is told."""
    code = project(*BENCH)

    problem(client.post(f"{PROJECTS}/{code}/reserve", json={}), 401, "no_token")
    headers = town.token("builder")
    problem(
        client.post(f"{PROJECTS}/{code}/reserve", json={"phone": JOSEPH}, headers=headers), 403, "phone_not_allowed"
    )
    problem(client.post(f"{PROJECTS}/99999999/reserve", json={}, headers=headers), 404, "no_such_project")
    problem(client.get(f"{PROJECTS}/99999999/feasibility"), 404, "no_such_project")


def test_a_machine_is_told_with_the_kit_and_not_booked_by_it(town: Town, client: FlaskClient) -> None:
    """The materials are held, and the answer says how to ask for the machine: one at the place of the materials."""
    pallets(town)
    town.listing(title="Scie", kind="machine", category="machine-bois", quantity=1, place="trois-lieu")
    saw = town.listing(title="Scie", kind="machine", category="machine-bois", quantity=1)["code"]
    code = project(("bois-palette", 1, "piece"), ("machine-bois", 1, "piece"))

    said = text(client, f"R {code}")

    assert said is not None and f"Machine: R {saw}." in said
    assert len(kits.parts(1)) == 1


def test_a_slot_that_cannot_be_had_takes_nothing(town: Town, client: FlaskClient) -> None:
    """With a slot, all or nothing: materials do not stay held when the machine cannot be booked, or when there is none."""
    wood = pallets(town)
    town.listing(title="Scie", kind="machine", category="machine-bois", quantity=1)
    both = project(("bois-palette", 1, "piece"), ("machine-bois", 1, "piece"))
    alone = project(("machine-bois", 1, "piece"))
    body = {"slot": {"starts_at": "2099-01-05T13:00:00Z", "ends_at": "2099-01-05T14:00:00Z"}}
    headers = town.token("builder")

    problem(client.post(f"{PROJECTS}/{both}/reserve", json=body, headers=headers), 409, "too_far")
    problem(client.post(f"{PROJECTS}/{alone}/reserve", json={}, headers=headers), 409, "not_reservable")
    said = problem(
        client.post(f"{PROJECTS}/{project(('bois', 1, 'piece'))}/reserve", json=body, headers=headers), 422, "invalid"
    )

    assert "slot" in said["errors"]
    assert town.available(wood) == 10


def test_a_kit_is_reminded_of_and_lapses_in_one_text(town: Town) -> None:
    """Each part is a reservation; its person hears once of all of it, under the project's name."""
    pallets(town), screws(town)
    who = town.person()
    with time_machine.travel(datetime(2026, 11, 23, 14, 0, tzinfo=UTC), tick=False) as clock:
        code = project(*BENCH)
        made = reserve(who, code)
        clock.move_to(db.from_ms(made[0]["expires_at"] - 3_600_000))
        assert (reservations.remind(), reservations.remind()) == (2, 0)
        clock.shift(2 * 3600)
        assert (reservations.expire(), reservations.expire()) == (2, 0)

    told = [(kind, json.loads(facts)) for kind, facts in db.rows("SELECT kind, facts FROM notice ORDER BY id")]
    assert [(kind, facts["title"]) for kind, facts in told] == [
        ("reminder", "Banc en palettes"),
        ("expired", "Banc en palettes"),
    ]
    assert told[0][1]["pickup_code"] == made[0]["pickup_code"]
    assert told[1][1]["code"] == code


def test_more_time_for_a_kit(town: Town, client: FlaskClient) -> None:
    """`PLUS` and its code: all of it, once."""
    pallets(town), screws(town)
    said = text(client, f"R {project(*BENCH)}") or ""
    pin = said.split("CODE ")[1][:4]
    before = [part["expires_at"] for part in kits.parts(1)]

    assert (text(client, f"PLUS {pin}") or "").startswith("D'accord: Banc en palettes gardé jusqu'à")
    assert all(part["expires_at"] > was for part, was in zip(kits.parts(1), before, strict=True))
    assert "Déjà prolongée" in (text(client, f"PLUS {pin}") or "")


def test_more_time_for_a_kit_with_a_machine(town: Town) -> None:
    """The materials are held longer, and the machine is booked as it was."""
    pallets(town)
    town.listing(title="Scie", kind="machine", category="machine-bois", quantity=1)
    code, who = project(("bois-palette", 1, "piece"), ("machine-bois", 1, "piece")), town.person()
    assert who.person_id is not None
    with time_machine.travel(datetime(2026, 11, 23, 14, 0, tzinfo=UTC), tick=False):
        slot = {"starts_at": "2026-11-25T13:00:00Z", "ends_at": "2026-11-25T14:00:00Z"}
        made = {one["title"]: one for one in kits.reserve(who, who.person_id, code, "test:kit", slot=slot)}
        kits.extend(who, made["Scie"]["kit_id"], "test:more")
        after = {one["title"]: one for one in kits.parts(made["Scie"]["kit_id"])}

    longer = [title for title in after if after[title]["expires_at"] > made[title]["expires_at"]]
    assert sorted(after) == ["Palette", "Scie"] and longer == ["Palette"]


def test_materials_are_held_until_their_machine_is_booked(town: Town) -> None:
    """Longer than a hold lasts, where its hour is later; one text names the hour."""
    pallets(town)
    town.listing(title="Scie", kind="machine", category="machine-bois", quantity=1)
    code, who = project(("bois-palette", 1, "piece"), ("machine-bois", 1, "piece")), town.person()
    with time_machine.travel(datetime(2026, 11, 23, 14, 0, tzinfo=UTC), tick=False):
        slot = {"starts_at": "2026-12-15T13:00:00Z", "ends_at": "2026-12-15T14:00:00Z"}
        made = kits.reserve(who, who.person_id or 0, code, "test:kit", slot=slot)

    assert {one["expires_at"] for one in made} == {db.to_ms(datetime(2026, 12, 15, 14, 0, tzinfo=UTC))}
    kit = reservations.together(made)[0]
    assert (kit["count"], kit["starts_at"], kit["slot_at"]) == (
        1,
        None,
        db.to_ms(datetime(2026, 12, 15, 13, 0, tzinfo=UTC)),
    )


def test_who_is_forgotten_holds_no_kit(town: Town) -> None:
    """EFFACE frees every part of it."""
    wood, iron = pallets(town), screws(town)
    who = town.person()
    reserve(who, project(*BENCH))

    personal.erase(who)

    assert (town.available(wood), town.available(iron)) == (10, 2)


# --- properties -------------------------------------------------------------------------------------------------------
LOTS = st.lists(
    st.tuples(
        st.sampled_from(["bois-palette", "bois-planche", "quincaillerie-vis"]),
        st.integers(1, 12),  # quantity
        st.integers(1, 4),  # minimum
        st.integers(1, 3),  # step
        st.integers(1, 4),  # place
    ),
    max_size=8,
)
NEEDS = st.lists(
    st.tuples(st.sampled_from(["bois", "bois-palette", "bois-planche", "quincaillerie-vis"]), st.integers(1, 15)),
    min_size=1,
    max_size=3,
    unique_by=lambda need: need[0],
)


class Shelf:
    """Lots without a database."""

    def __init__(self, lots: list[tuple[str, int, int, int, int]]) -> None:
        self.found = [
            (
                category,
                kits.Lot(n, f"l{n}", category, "material", place, place, f"p{place}", f"P{place}", most, least, step),
            )
            for n, (category, most, least, step, place) in enumerate(lots, 1)
        ]

    def lots(self, need: dict[str, Any]) -> list[kits.Lot]:
        category = need["category"]
        wanted = [lot for own, lot in self.found if own == category or (category == "bois" and own.startswith("bois-"))]
        return [lot for lot in wanted if lot.most() > 0]


@given(LOTS, NEEDS)
def test_a_plan_keeps_every_rule(lots: list[tuple[str, int, int, int, int]], asked: list[tuple[str, int]]) -> None:
    """Each need gets enough; of each lot no more is taken than there is, and only as it is sold; the accounts agree."""
    shelf = Shelf(lots)
    needs = [{"category": category, "quantity": quantity, "unit": "piece"} for category, quantity in asked]

    plan = kits._plan(needs, shelf)  # type: ignore[arg-type]

    accounts = kits._accounts(needs, shelf, plan)  # type: ignore[arg-type]
    if plan is None:
        return
    for need, shares, account in zip(needs, plan.shares, accounts, strict=True):
        assert sum(share.quantity for share in shares) >= need["quantity"]
        assert {share.lot for share in shares} <= set(shelf.lots(need))
        assert account["missing"] == 0
    for share in plan.total().values():
        lot = share.lot
        assert lot.minimum <= share.quantity <= lot.available
        assert share.quantity % lot.step == 0 or (share.quantity - lot.minimum) % lot.step == 0
    assert list(plan.total()) == sorted(plan.total())


@given(LOTS, st.integers(1, 15))
def test_one_need_is_planned_whenever_it_can_be_and_from_as_few_places_as_can_be(
    lots: list[tuple[str, int, int, int, int]], quantity: int
) -> None:
    """Compared with every set of places there is."""
    shelf = Shelf(lots)
    need = {"category": "bois", "quantity": quantity, "unit": "piece"}
    room: dict[int, int] = {}
    for lot in shelf.lots(need):
        room[lot.place_id] = room.get(lot.place_id, 0) + lot.most()
    biggest = sorted(room.values(), reverse=True)
    fewest = next((n for n in range(1, len(biggest) + 1) if sum(biggest[:n]) >= quantity), None)

    plan = kits._plan([need], shelf)  # type: ignore[arg-type]

    assert (plan is None) == (fewest is None)
    if plan is not None:
        assert len({share.lot.place_id for share in plan.shares[0]}) == fewest


@tries(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    lots=st.lists(st.tuples(st.integers(1, 6), st.integers(1, 3), st.integers(1, 3)), min_size=1, max_size=5),
    quantity=st.integers(1, 12),
)
def test_what_can_be_built_can_be_reserved(town: Town, lots: list[tuple[int, int, int]], quantity: int) -> None:
    """The plan and the rules of reserving agree: buildable means reserved, and the stock follows; else nothing moves."""
    with db.transaction():
        db.run("UPDATE listing SET status = 'withdrawn'")
        who = Actor(people.ensure(FABIOLA), "resident", "sms")
    codes = [pallets(town, most, min_quantity=min(least, most), step_quantity=step) for most, least, step in lots]
    code = project(("bois-palette", quantity, "piece"))
    buildable = kits.feasibility(code)["buildable"]

    try:
        made = reserve(who, code, f"test:{code}")
    except Refusal as refusal:
        assert (refusal.code, buildable) == ("not_buildable", False)
        made = []

    assert bool(made) == buildable
    taken = {part["listing"]: part["quantity"] for part in made}
    for listing, (most, _, _) in zip(codes, lots, strict=True):
        assert catalog.get(listing)["available"] == most * 1000 - taken.get(listing, 0)
    if made:
        kits.cancel(who, made[0]["kit_id"])

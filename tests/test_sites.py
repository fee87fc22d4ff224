"""Sites: materials known before the building comes down, who may have how much of them, and what a changed day means."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
import time_machine
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given
from hypothesis import settings as tries
from hypothesis import strategies as st

from circular import catalog, db, kits, people, places, projects, queries, reservations, sites, waitlist
from circular.errors import Refusal
from circular.people import Actor
from sms import outbox
from tests.api.test_listings import problem
from tests.sms.conversation import text
from tests.town import ADMIN, FABIOLA, JOSEPH, MIRTHA, Town

MONDAY = datetime(2026, 11, 23, 14, 0, tzinfo=UTC)  # 10:00 in Martinique
SITES = "/api/v1/sites"
DAY = "2026-12-14"  # a Monday


def open_site(**fields: Any) -> str:
    """A building that comes down in December, whose materials are handed over there."""
    site = {"kind": "deconstruction", "name": "Ancien gymnase", "address": "Rue du Stade", "commune": "97213",
            "available_from": DAY, "opening_hours": "Mo-Fr 07:00-12:00", "code": "gymnase"}  # fmt: skip
    return str(places.open_site(ADMIN, {**site, **fields})["code"])


def move(day: str | None) -> dict[str, Any]:
    return sites.revise(ADMIN, "gymnase", {"available_from": day}, None)


def told() -> list[tuple[str, str]]:
    """Who was told what by SMS."""
    while outbox.tell_notices():
        pass
    return db.rows("SELECT recipient, text FROM outbound_message WHERE notice_id IS NOT NULL ORDER BY id")


def local_day(milliseconds: int | None) -> str:
    assert milliseconds is not None
    return db.from_ms(milliseconds - 4 * 3_600_000).date().isoformat()


@pytest.fixture(autouse=True)
def _monday() -> Any:
    with time_machine.travel(MONDAY, tick=False) as clock:
        yield clock


# --- known before it comes down ---------------------------------------------------------------------------------------
def test_a_site_is_searched_by_its_name(town: Town) -> None:
    """By the one that it has now."""
    open_site()
    town.listing(title="Poutre acier", category="metal", site="gymnase")

    def found(q: str) -> list[str]:
        return [one["title"] for one in queries.find(queries.query({"q": q})).items]

    assert found("gymnase") == found("poutre gymnase") == ["Poutre acier"]
    sites.revise(ADMIN, "gymnase", {"name": "Ancien hôpital"}, None)
    assert (found("gymnase"), found("hopital")) == ([], ["Poutre acier"])


def test_a_site_and_its_listings(town: Town, client: FlaskClient) -> None:
    """Staff open a site; a lot without a day of its own has the site's, and the site shows what comes out of it."""
    staff = town.token("staff", "la-sphere")
    body = {"kind": "deconstruction", "name": "Gymnase", "available_from": DAY, "opening_hours": "Mo-Fr 07:00-12:00"}
    made = client.post(SITES, json=body, headers=staff)
    assert (made.status_code, made.json["code"]) == (201, "gymnase")
    assert made.json["available_from"] == "2026-12-14T04:00:00Z"

    door = client.post("/api/v1/listings", headers=staff, json={
        "kind": "material", "title": "Porte", "category": "menuiserie-porte", "quantity": 5, "unit": "piece",
        "place": "la-sphere", "site": "gymnase"})  # fmt: skip

    assert door.json["available_from"] == "2026-12-14T04:00:00Z"
    town.listing(title="Ailleurs")
    found = client.get(f"{SITES}/gymnase/listings").json
    assert ([one["code"] for one in found["items"]], found["next"]) == ([door.json["code"]], None)
    problem(client.get(f"{SITES}/none/listings"), 404, "no_such_site")
    problem(client.post(SITES, json={**body, "opening_hours": "when we like"}, headers=staff), 422, "invalid")
    problem(client.post(SITES, json=body, headers=staff), 409, "code_taken")


def test_it_is_handed_over_at_the_site(town: Town, client: FlaskClient) -> None:
    """The texts and the page name the site and its hours; the hold ends when the site closes, counted from its day."""
    code = town.listing(title="Porte pleine", site=open_site(), quantity=5)["code"]

    said = text(client, f"R {code} 2")
    hours = text(client, "H")
    page = client.get(f"/l/{code}").text

    assert said is not None and hours is not None
    assert "Ancien gymnase, du lun 14/12 au mer 23/12 12h, pas avant" in said
    assert hours.startswith("Ancien gymnase, Rue du Stade: lun-ven 7h-12h.")
    assert "Rue du Stade" in page and "lun-ven 7h-12h" in page and 'href="/s/gymnase"' in page


def test_without_hours_of_its_own_its_place_hands_over(town: Town, client: FlaskClient) -> None:
    """A site that only names where things come from changes nothing."""
    code = town.listing(site=open_site(opening_hours=""), quantity=5)["code"]

    said = text(client, f"R {code} 2")

    assert said is not None and "La Sphère, du lun 14/12 au mar 22/12 17h" in said


def test_the_page_of_a_site(town: Town, client: FlaskClient) -> None:
    """Where, when, and what comes out of it; the list of places leads there."""
    code = town.listing(title="Porte pleine", site=open_site(), quantity=5)["code"]
    town.listing(title="Ailleurs")

    page = client.get("/s/gymnase").text

    for words in ("Ancien gymnase", "Rue du Stade", "lundi 14 décembre", f'href="/l/{code}"', "Porte pleine"):
        assert words in page
    assert "Ailleurs" not in page
    assert 'href="/s/gymnase"' in client.get("/lieux").text
    assert client.get("/s/none").status_code == 404


# --- a changed day ----------------------------------------------------------------------------------------------------
def test_a_changed_day_moves_the_listings_and_is_told(town: Town, client: FlaskClient) -> None:
    """Who holds some is told the new days and may leave by `A`; who waits keeps their rank; what is there stays there."""
    lot = town.listing(title="Porte pleine", site=open_site(), quantity=2)["code"]
    there = town.listing(title="Volets", site="gymnase", available_from="2026-11-01")["code"]
    own_day = town.listing(title="Evier", site="gymnase", available_from="2026-12-01")["code"]
    second = town.listing(title="Poutre", site="gymnase", available_from="2026-12-21")["code"]
    elsewhere = town.listing(title="Ailleurs", available_from=DAY)["code"]
    held = town.reserve(town.person(FABIOLA), lot, 2)
    gone = town.reserve(town.person(MIRTHA), there)
    waiting = town.person(JOSEPH)
    waitlist.join(waiting, waiting.person_id or 0, lot, 1, "test:wait")
    read = client.get(f"{SITES}/gymnase")

    said = client.patch(
        f"{SITES}/gymnase", json={"available_from": "2027-01-11"},
        headers={**town.token("staff", "la-sphere"), "If-Match": read.headers["ETag"]},
    )  # fmt: skip

    problem(said, 403, "not_your_place")  # an admin opened it
    said = client.patch(
        f"{SITES}/gymnase", json={"available_from": "2027-01-11"},
        headers={**town.token("admin"), "If-Match": read.headers["ETag"]},
    )  # fmt: skip
    assert (said.status_code, said.json["available_from"]) == (200, "2027-01-11T04:00:00Z")
    days = {code: local_day(catalog.get(code)["available_from"]) for code in (lot, there, own_day, second, elsewhere)}
    assert days == {lot: "2027-01-11", there: "2026-11-01", own_day: "2027-01-11",
                    second: "2027-01-18", elsewhere: DAY}  # fmt: skip
    assert told() == [
        (JOSEPH, "La date change: Porte pleine se prend dès lun 11/01. Vous gardez votre place dans la file. 0 = aide"),
        (FABIOLA, f"Date changée: Porte pleine se prend du lun 11/01 au mer 20/01 12h. CODE {held['pickup_code']}, Ancien "
                  f"gymnase. Cela ne va plus? A {held['pickup_code']} = annuler, sans pénalité"),
    ]  # fmt: skip
    assert reservations.get(town.person(MIRTHA), gone["reference"])["expires_at"] == gone["expires_at"]
    assert (text(client, f"A {held['pickup_code']}") or "").startswith("Annulé: Porte pleine.")
    assert [event["verb"] for event in reservations.events(held["id"])] == ["reserve", "move", "cancel"]


def test_a_day_changed_twice(town: Town) -> None:
    """Each change is told, in order; the hold ends as the last one says; the same day again is no news."""
    lot = town.listing(site=open_site(), quantity=2)["code"]
    who = town.person()
    held = town.reserve(who, lot)

    move("2027-01-11")
    later = reservations.get(who, held["reference"])
    move("2027-01-11")
    move("2026-12-21")
    sooner = reservations.get(who, held["reference"])
    move(DAY)

    days = [re_text.split(" du ")[1].split(" au ")[0] for _, re_text in told()]
    assert days == ["lun 11/01", "lun 21/12", "lun 14/12"]
    assert local_day(later["expires_at"]) == "2027-01-20"
    assert local_day(sooner["expires_at"]) == "2026-12-31"  # not on Christmas Day
    assert reservations.get(who, held["reference"])["expires_at"] == held["expires_at"]


def test_a_day_that_slips_when_it_has_come(town: Town, _monday: Any) -> None:
    """The building still stands on its day: its lots move all the same, and a hold that runs gets its days again."""
    lot = town.listing(site=open_site(), quantity=2, available_until="2026-12-30")["code"]
    who = town.person()
    held = town.reserve(who, lot)
    _monday.move_to(datetime(2026, 12, 15, 14, 0, tzinfo=UTC))

    move("2027-02-01")

    found = reservations.get(who, held["reference"])
    assert (found["state"], local_day(found["expires_at"])) == ("held", "2027-02-10")
    assert local_day(catalog.get(lot)["available_until"]) == "2027-02-17"  # as long as it had
    assert len(told()) == 1


def test_a_day_that_is_taken_away(town: Town) -> None:
    """It is there now: the hold counts from today."""
    lot = town.listing(site=open_site(), quantity=2)["code"]
    held = town.reserve(town.person(), lot)

    move(None)

    assert catalog.get(lot)["available_from"] is None
    found = reservations.get(town.person(), held["reference"])
    assert local_day(found["expires_at"]) == "2026-12-02"
    ((_, said),) = told()
    assert "du lun 23/11 au mer 02/12 12h" in said


def test_a_listing_s_own_day_is_told_as_well(town: Town, client: FlaskClient) -> None:
    """PATCH of the listing alone."""
    lot = town.listing(available_from=DAY)["code"]
    town.reserve(town.person(), lot)
    headers = {**town.token("staff", "la-sphere"), "If-Match": "*"}

    client.patch(f"/api/v1/listings/{lot}", json={"available_from": "2027-01-11"}, headers=headers)
    client.patch(f"/api/v1/listings/{lot}", json={"title": "Planche"}, headers=headers)

    ((_, said),) = told()
    assert "du lun 11/01 au mar 19/01 17h" in said


def test_a_kit_is_told_once(town: Town) -> None:
    """Two lots of one kit move: one text, under the project's name."""
    site = open_site(available_from="2026-11-20")
    for title, category in (("Palette", "bois-palette"), ("Planche", "bois-planche")):
        town.listing(title=title, category=category, site=site, available_from="2026-11-20")
    needs = "bois-palette:3:piece|bois-planche:1:piece"
    who = town.person()
    made = kits.reserve(who, who.person_id or 0, projects.add(ADMIN, {"title": "Banc", "needs": needs})["code"], "t")
    assert {part["place_name"] for part in made} == {"Ancien gymnase"}

    move("2027-01-11")

    ((_, said),) = told()
    assert said.startswith("Date changée: Banc se prend du lun 11/01")


def test_an_import_does_not_move_a_site_back(town: Town) -> None:
    """A file that still has the old day changes neither the site's nor its listings', and nobody is told."""
    site = open_site()
    values = {"kind": "material", "title": "Porte", "category": "menuiserie-porte", "quantity": "5", "unit": "piece",
              "place": "la-sphere", "site": site, "available_from": DAY, "resident_share": "20"}  # fmt: skip
    with db.transaction():
        catalog.put(ADMIN, values, "door")
    code = db.value("SELECT code FROM listing WHERE external_id = 'door'")
    move("2027-01-11")

    with db.transaction():
        outcome = catalog.put(ADMIN, values, "door")
        del values["resident_share"]
        again = catalog.put(ADMIN, values, "door")
        places.put_site("gymnase", {"kind": "deconstruction", "name": "Ancien gymnase", "available_from": DAY})

    assert (outcome, again) == ("unchanged", "unchanged")
    assert local_day(catalog.get(code)["available_from"]) == "2027-01-11"
    assert catalog.get(code)["resident_share"] == 20
    assert local_day(places.get_site("gymnase")["available_from"]) == "2027-01-11"
    assert places.get_site("gymnase")["opening_hours"] == "Mo-Fr 07:00-12:00"


# --- builders and residents -------------------------------------------------------------------------------------------
def test_a_builder_takes_a_lot_of_it_or_none(town: Town, client: FlaskClient) -> None:
    """Small quantities are for residents: 409 with the smallest that a builder may have; by SMS too, for who is one."""
    code = town.listing(quantity=100, builder_min_quantity=20)["code"]
    builder = town.token("builder", phone=JOSEPH)
    url = "/api/v1/reservations"

    said = problem(
        client.post(url, json={"listing": code, "quantity": 19}, headers=builder), 409, "below_builder_minimum"
    )

    assert (said["minimum"], said["unit"]) == (20, "piece")
    assert client.post(url, json={"listing": code, "quantity": 20}, headers=builder).status_code == 201
    assert (text(client, f"R {code} 2", JOSEPH) or "").startswith(
        "Planche sapin 200x20: pour une entreprise, au moins 20"
    )
    assert (text(client, f"R {code} 2", FABIOLA) or "").startswith("Réservé")


def test_a_share_is_kept_for_residents(town: Town, client: FlaskClient, _monday: Any) -> None:
    """Of 100, builders may have 70 until the day before it is there; what residents got is theirs besides."""
    code = town.listing(quantity=100, resident_share=30, available_from=DAY)["code"]
    builder, resident = town.builder(), town.person()
    town.reserve(resident, code, 10)
    town.reserve(builder, code, 60)

    with pytest.raises(Refusal) as refused:
        town.reserve(builder, code, 11)

    assert refused.value.code == "kept_for_residents"
    assert (refused.value.facts["available"], refused.value.facts["share"]) == (10, 30)
    town.reserve(builder, code, 10)
    _monday.move_to(datetime(2026, 12, 14, 4, 0, 1, tzinfo=UTC))
    town.reserve(builder, code, 20)
    assert town.available(code) == 0


def test_a_listing_s_page_says_what_firms_may_have(town: Town, client: FlaskClient) -> None:
    """The rule is public, with its last day."""
    code = town.listing(quantity=100, resident_share=30, builder_min_quantity=20, available_from=DAY)["code"]

    page = client.get(f"/l/{code}").text

    assert "au moins 20 pièces; 30 % sont gardés pour les habitants jusqu&#39;au dimanche 13 décembre" in page


def test_a_share_has_a_day_of_its_own(town: Town, _monday: Any) -> None:
    """`resident_share_until`: through that day, whatever the day of the lot."""
    code = town.listing(quantity=10, resident_share=50, resident_share_until="2026-11-25", available_from=DAY)["code"]
    builder = town.builder()
    with pytest.raises(Refusal, match="kept_for_residents"):
        town.reserve(builder, code, 6)
    _monday.move_to(datetime(2026, 11, 26, 4, 0, 0, tzinfo=UTC))
    town.reserve(builder, code, 6)


def test_who_builds_for_a_living_waits_for_what_they_may_have(town: Town) -> None:
    """A place in the queue for what is kept for residents would hold them up."""
    code = town.listing(quantity=10, resident_share=50, builder_min_quantity=3)["code"]
    town.reserve(town.person(), code, 10)
    builder = town.builder()
    assert builder.person_id is not None

    with pytest.raises(Refusal, match="kept_for_residents"):
        waitlist.join(builder, builder.person_id, code, 6, "test:1")
    with pytest.raises(Refusal, match="below_builder_minimum"):
        waitlist.join(builder, builder.person_id, code, 2, "test:2")
    assert waitlist.join(builder, builder.person_id, code, 5, "test:3")["state"] == "waiting"


def test_a_builder_s_kit_keeps_to_the_shares(town: Town) -> None:
    """Planned with what they may have: the smallest lot for builders, and another listing for the rest."""
    town.listing(title="A", category="bois-palette", quantity=10, resident_share=80)
    free = town.listing(title="B", category="bois-palette", quantity=4, place="trois-lieu")["code"]
    code = projects.add(ADMIN, {"title": "Banc", "needs": "bois-palette:4:piece"})["code"]
    builder = town.builder()

    made = kits.reserve(builder, builder.person_id or 0, code, "test:kit")

    assert [part["listing"] for part in made] == [free]
    with pytest.raises(Refusal, match="not_buildable"):
        kits.reserve(builder, builder.person_id or 0, code, "test:again")


@tries(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    quantity=st.integers(1, 20),
    share=st.integers(0, 100),
    minimum=st.none() | st.integers(1, 6),
    moves=st.lists(
        st.tuples(st.sampled_from(["builder", "resident", "collect", "cancel"]), st.integers(1, 8)), max_size=12
    ),
)
def test_shares_and_minimums_hold_whatever_happens(
    town: Town, quantity: int, share: int, minimum: int | None, moves: list[tuple[str, int]]
) -> None:
    """Builders never have more than their share in all, nor less than their minimum at once; residents meet neither rule."""
    with db.transaction():
        resident = Actor(people.ensure(FABIOLA), "admin", "api")
    builder = town.builder()
    code = town.listing(quantity=quantity, resident_share=share, builder_min_quantity=minimum)["code"]
    most = quantity - -(-quantity * share // 100)
    had = {"builder": 0, "resident": 0}
    held: list[tuple[str, dict[str, Any]]] = []
    for verb, amount in moves:
        if verb in had:
            who = builder if verb == "builder" else resident
            free = quantity - sum(had.values())
            allowed = amount <= free
            if verb == "builder":
                allowed = allowed and amount >= (minimum or 1) and had["builder"] + amount <= most
            try:
                held.append((verb, town.reserve(who, code, amount)))
            except Refusal as refusal:
                assert not allowed, refusal.code
            else:
                assert allowed
                had[verb] += amount
        elif held:
            whose, made = held.pop()
            if verb == "collect":
                reservations.pick_up(ADMIN, made["reference"], made["pickup_code"])
            else:
                reservations.cancel(ADMIN, made["reference"])
                had[whose] -= made["quantity"] // 1000
    assert had["builder"] <= most
    assert town.available(code) == quantity - sum(had.values())
    for _, made in held:
        reservations.cancel(ADMIN, made["reference"])

"""Closed days, holidays and hours of one day decide until when things are held, and when machines are free."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import time_machine
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st

from circular import clock, db, kits, notices, places, projects, reservations, settings, slots
from sms import outbox, worker
from tests.api.test_listings import problem
from tests.town import FABIOLA, JOSEPH, Town

MONDAY = datetime(2026, 11, 23, 14, 0, tzinfo=UTC)  # 10:00 in Martinique
CLOSURES, RESERVATIONS = "/api/v1/places/la-sphere/closures", "/api/v1/reservations"
HERE = ZoneInfo("America/Martinique")


@pytest.fixture(autouse=True)
def traveller() -> Any:
    """It is Monday morning."""
    with time_machine.travel(MONDAY, tick=False) as clock:
        yield clock


def days(hours: str, first: datetime, many: int, country: str = "FR") -> list[str]:
    """The first opening days from a local day on."""
    found = places.closings(hours, first.astimezone(HERE), "America/Martinique", country)
    return [next(found)[0].isoformat()[5:] for _ in range(many)]


def close(client: FlaskClient, staff: dict[str, str], first: str, last: str, **more: str) -> Any:
    """Close La Sphère; what was answered."""
    return client.post(CLOSURES, json={"from": first, "to": last, **more}, headers=staff)


def told() -> list[tuple[int, str]]:
    """Who is told what."""
    return [(notice.person_id, notice.kind) for notice in notices.untold(50)]


@pytest.mark.parametrize(
    ("hours", "country", "open_on"),
    [
        ("Mo-Sa 09:00-17:00", "FR", ["12-24", "12-26", "12-28"]),
        ("Mo-Sa 09:00-17:00; PH 10:00-12:00", "FR", ["12-24", "12-25", "12-26"]),
        ("24/7", "FR", ["12-24", "12-25", "12-26"]),
        ("Mo-Sa 09:00-17:00", "SN", ["12-24", "12-25", "12-26"]),  # a country whose holidays nobody has
        ("Mo-Sa 09:00-17:00;; 2026 Dec 25 10:00-12:00", "FR", ["12-24", "12-25", "12-26"]),
        ("24/7;; 2026 Dec 25-2026 Dec 26 off", "FR", ["12-24", "12-27", "12-28"]),
    ],
)
def test_holidays(town: Town, hours: str, country: str, open_on: list[str]) -> None:
    """Nobody comes on Christmas Day, unless the hours speak of holidays, or mean every day."""
    assert days(hours, datetime(2026, 12, 24, tzinfo=HERE), 3, country) == open_on


def test_the_abolition_of_slavery_is_martinique_s_own(town: Town) -> None:
    """22 May is a holiday there (and no other territory's); opening-hours-py knows France's eleven alone."""
    eve = datetime(2026, 5, 21, 12, tzinfo=HERE)  # a Thursday
    assert days("Mo-Sa 09:00-17:00", eve, 2) == ["05-21", "05-23"]
    assert days("Mo-Sa 09:00-17:00; PH 10:00-12:00", eve, 3) == ["05-21", "05-22", "05-23"]
    assert days("24/7; PH off", eve, 2) == ["05-21", "05-23"]
    found = places.closings("Mo-Sa 09:00-17:00", eve, "America/Guadeloupe", "FR")
    assert [next(found)[0].day for _ in range(6)] == [21, 22, 23, 26, 28, 29]  # 25: Whit Monday; 27: Guadeloupe's own


@given(st.dates(date(2026, 1, 1), date(2030, 1, 1)), st.integers(1, 12))
def test_a_hold_never_lapses_on_a_closed_day(day: date, many: int) -> None:
    """Whatever the day and the number of opening days, it lapses when the place closes on an open one, so many days on."""
    hours = "Mo-Sa 09:00-17:00"
    start = datetime.combine(day, datetime.min.time(), HERE) + timedelta(hours=12)
    until = places.nth_closing(hours, start, many).astimezone(HERE)
    opened = [until.date() for since, until in places.openings(hours, start, until) if since.date() > day]

    assert (until.hour, until.minute) == (17, 0) and until.weekday() < 6
    assert len(opened) == many and opened[-1] == until.date()


def test_closed_for_some_days(town: Town, client: FlaskClient) -> None:
    """What would lapse then is kept until the next opening; what lapses before or after, and what lies ready, is not."""
    staff = town.token("staff", "la-sphere")
    before, within = (town.reserve(town.person(who), town.listing()["code"]) for who in (FABIOLA, JOSEPH))
    reservations.extend(town.staff, within["reference"], "x:1")  # until Thursday 3 December
    ready = town.reserve(town.person(), town.listing()["code"])
    reservations.extend(town.staff, ready["reference"], "x:2")
    reservations.prepare(town.staff, ready["reference"])
    ends = {one: town_expiry(client, staff, one) for one in (before["reference"], ready["reference"])}
    notices_before = len(told())

    made = close(client, staff, "2026-12-02", "2026-12-05", reason="inventaire, 0696 12 34 56")
    assert made.status_code == 201, made.text

    assert {one: town_expiry(client, staff, one) for one in ends} == ends
    assert town_expiry(client, staff, within["reference"]) == "2026-12-07T21:00:00Z"
    assert told()[notices_before:] == [(within["person_id"], "held_longer")]
    log = client.get(f"{RESERVATIONS}/{within['reference']}", headers=staff).json["events"][-1]
    assert (log["verb"], log["acted_by"], log["expires_at"]) == ("close", "staff", "2026-12-07T21:00:00Z")
    assert log["reason"] == "inventaire, …"
    assert reservations.strikes(within["person_id"]) == 0


def town_expiry(client: FlaskClient, staff: dict[str, str], reference: str) -> str:
    """Until when something is held, as the API says it."""
    return str(client.get(f"{RESERVATIONS}/{reference}", headers=staff).json["expires_at"])


def test_closures_that_follow_one_another(town: Town, client: FlaskClient) -> None:
    """A second one that takes the new day moves it again; with other hours that day, nothing moves."""
    staff = town.token("staff", "la-sphere")
    made = town.reserve(town.person(), town.listing()["code"])["reference"]  # until Tuesday 1 December
    assert town_expiry(client, staff, made) == "2026-12-01T21:00:00Z"

    close(client, staff, "2026-12-01", "2026-12-01", hours="09:00-12:00")
    assert town_expiry(client, staff, made) == "2026-12-01T21:00:00Z"
    close(client, staff, "2026-12-01", "2026-12-01")
    assert town_expiry(client, staff, made) == "2026-12-02T21:00:00Z"
    close(client, staff, "2026-12-02", "2026-12-24")
    assert town_expiry(client, staff, made) == "2026-12-26T21:00:00Z"  # the 25th is Christmas Day
    fresh = town.reserve(town.person(JOSEPH), town.listing()["code"])["reference"]
    assert town_expiry(client, staff, fresh) == "2026-12-26T21:00:00Z"  # the seventh, after 24 to 28 and 30 November


def test_a_kit_is_told_once(town: Town, client: FlaskClient) -> None:
    """Two lots of one project: one text, whose day is the earliest."""
    staff = town.token("staff", "la-sphere")
    with db.transaction():
        projects.put({"title": "Banc", "needs": "bois-planche:1:piece|bois-palette:1:piece"}, "B1")
    town.listing()
    town.listing(title="Palette", category="bois-palette")
    who = town.person()
    kits.reserve(who, who.person_id or 0, projects.find("banc")[0]["code"], "kit:1")

    close(client, staff, "2026-12-01", "2026-12-01")

    assert told() == [(who.person_id, "held_longer")]
    outbox.tell_notices()
    assert "La Sphère ferme ces jours-là: Banc vous attend jusqu'à mer 02/12 17h" in str(
        db.value("SELECT text FROM outbound_message")
    )


def test_what_is_booked_then(town: Town, client: FlaskClient) -> None:
    """An hour of a machine on a closed day is given up without a strike, its person told why; nobody can book one then."""
    staff = town.token("staff", "la-sphere")
    own = town.listing(kind="machine", category="machine-bois", quantity=1, opening_hours="Mo-Fr 08:00-20:00")
    start = datetime(2026, 11, 25, 18, 0, tzinfo=UTC)  # Wednesday, 14:00
    afternoon = slots.Slot(db.to_ms(start), db.to_ms(start + timedelta(hours=1)))
    morning = slots.Slot(*(moment - 4 * 3_600_000 for moment in afternoon))
    who = town.person()
    booked = [
        reservations.reserve(who, who.person_id or 0, own["code"], None, f"slot:{n}", slot=slot)["reference"]
        for n, slot in enumerate((morning, afternoon))
    ]

    close(client, staff, "2026-11-25", "2026-11-25", hours="08:00-12:00", reason="formation")

    states = [client.get(f"{RESERVATIONS}/{one}", headers=staff).json["state"] for one in booked]
    assert states == ["held", "cancelled"]
    outbox.tell_notices()
    text = str(db.value("SELECT text FROM outbound_message"))
    assert "La Sphère a annulé votre réservation" in text and "formation" in text
    wanted = {"starts_at": "2026-11-25T18:00:00Z", "ends_at": "2026-11-25T19:00:00Z"}
    answer = client.post(RESERVATIONS, json={"listing": own["code"], "slot": wanted}, headers=town.token("builder"))
    assert problem(answer, 409, "outside_hours")["hours"] == "Mo-Fr 08:00-20:00"


def test_at_the_site_it_is_handed_over_all_the_same(town: Town, client: FlaskClient) -> None:
    """A place that closes does not close the building whose lots are handed over there."""
    staff = town.token("staff", "la-sphere")
    client.post(
        "/api/v1/sites",
        json={"code": "gymnase", "kind": "deconstruction", "name": "Gymnase", "opening_hours": "Mo-Fr 07:00-12:00"},
        headers=staff,
    )
    made = town.reserve(town.person(), town.listing(site="gymnase")["code"])["reference"]
    before = town_expiry(client, staff, made)

    close(client, staff, "2026-11-24", "2026-12-31")

    assert town_expiry(client, staff, made) == before and told() == []


def test_who_closes_what(town: Town, client: FlaskClient) -> None:
    """Its staff, from a day to a later one that is not over; everybody sees the closed days, and they can be taken back."""
    staff = town.token("staff", "la-sphere")
    problem(close(client, town.token("staff", "trois-lieu"), "2026-12-01", "2026-12-02"), 403, "not_your_place")
    problem(close(client, town.token("builder"), "2026-12-01", "2026-12-02"), 403, "wrong_role")
    for first, last, wrong in (
        ("2026-12-02", "2026-12-01", {"to"}),
        ("2026-11-01", "2026-11-22", {"to"}),
        ("2026-12-01", "2029-12-01", {"to"}),
        ("demain", "2026-12-01", {"from"}),
    ):
        assert problem(close(client, staff, first, last), 422, "invalid")["errors"].keys() == wrong
    odd = close(client, staff, "2026-12-01", "2026-12-01", hours="09:00-12:00; Mo off")
    assert problem(odd, 422, "invalid")["errors"].keys() == {"hours"}

    key = {**staff, "Idempotency-Key": "k"}
    first, again = (close(client, key, "2026-12-24", "2026-12-26", reason="fêtes").json for _ in range(2))
    assert first == again and len(client.get(CLOSURES).json["items"]) == 1
    assert "Fermé du jeudi 24 décembre au samedi 26 décembre" in client.get("/lieux").text
    assert client.delete(f"{CLOSURES}/{first['id']}", headers=staff).status_code == 204
    assert client.get(CLOSURES).json["items"] == [] and "Fermé" not in client.get("/lieux").text


def test_closed_while_the_clock_jumps(town: Town, client: FlaskClient, traveller: time_machine.Coordinates) -> None:
    """An hour of downtime over the old expiry ends nothing that was moved; the new one ends it, once."""
    staff = town.token("staff", "la-sphere")
    made = town.reserve(town.person(), town.listing()["code"])
    close(client, staff, "2026-12-01", "2026-12-01")
    old = db.from_ms(made["expires_at"])
    outbox.tell_notices()

    traveller.move_to(old - timedelta(minutes=30))
    traveller.shift(timedelta(hours=1))
    worker.chores("worker-test")
    assert client.get(f"{RESERVATIONS}/{made['reference']}", headers=staff).json["state"] == "held"
    traveller.shift(timedelta(days=1))
    for _ in range(2):
        worker.chores("worker-test")
    assert client.get(f"{RESERVATIONS}/{made['reference']}", headers=staff).json["state"] == "expired"
    assert [kind for _, kind in told()].count("expired") == 1
    assert clock.now() > old and settings.get().no_show_limit == 3

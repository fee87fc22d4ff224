"""Calendar feeds, read by another library than the one that writes them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
import time_machine
import vobject
from flask.testing import FlaskClient

from circular import db, personal, reservations
from tests.api.test_listings import problem
from tests.test_slots import at, book, machine, said
from tests.town import FABIOLA, JOSEPH, Town

MONDAY = datetime(2026, 11, 23, 14, 0, tzinfo=UTC)
URL = "/api/v1/calendars"


@pytest.fixture(autouse=True)
def traveller() -> Any:
    """It is Monday morning."""
    with time_machine.travel(MONDAY, tick=False) as clock:
        yield clock


def events(client: FlaskClient, url: str) -> list[tuple[str, datetime, datetime, str]]:
    """What a calendar program shows of a feed."""
    answer = client.get(urlsplit(url).path)
    assert (answer.status_code, answer.mimetype) == (200, "text/calendar")
    assert FABIOLA.removeprefix("+") not in answer.text
    return [
        (event.summary.value, event.dtstart.value, event.dtend.value, event.location.value)
        for event in vobject.readOne(answer.text).contents.get("vevent", [])
    ]


def test_feeds_of_a_machine_a_place_and_a_person(town: Town, client: FlaskClient) -> None:
    """Booked slots, closed times and what is held, each where it belongs; given up, it is gone."""
    code, staff = machine(town), town.token("staff", "la-sphere")
    mine, theirs = book(town, code, at(26)), book(town, code, at(27), JOSEPH)
    town.reserve(town.person(), town.listing(title="Planche sapin")["code"])
    client.post(f"/api/v1/listings/{code}/blocks", json={**said(at(50)), "reason": "lame"}, headers=staff)
    urls = {
        name: client.post(URL, json=asked, headers=headers).json["url"]
        for name, asked, headers in (
            ("listing", {"listing": code}, staff), ("place", {"place": "la-sphere"}, staff),
            ("person", {}, town.token("builder", phone=FABIOLA)),
        )
    }  # fmt: skip

    start = MONDAY + timedelta(hours=26)
    first = ("Scie", start, start + timedelta(hours=1), "La Sphère")
    assert events(client, urls["listing"])[0] == first
    assert [one[0] for one in events(client, urls["listing"])] == ["Scie", "Scie", "Scie: lame"]
    assert [one[0] for one in events(client, urls["place"])] == ["Scie", "Scie", "Planche sapin", "Scie: lame"]
    assert [one[0] for one in events(client, urls["person"])] == ["Scie", "Planche sapin"]
    reservations.cancel(town.staff, mine["reference"])
    assert [one[0] for one in events(client, urls["person"])] == ["Planche sapin"]
    assert theirs["state"] == "held"


def test_an_address_is_secret_and_ends(town: Town, client: FlaskClient) -> None:
    """Only its hash is kept; other staff make none; its maker ends it, and being erased does."""
    code, staff = machine(town), town.token("staff", "la-sphere")
    problem(client.post(URL, json={"listing": code}, headers=town.token("staff", "trois-lieu")), 403, "not_your_place")
    problem(client.post(URL, json={"place": "la-sphere"}, headers=town.token("builder")), 403, "wrong_role")
    made = client.post(URL, json={"listing": code}, headers=staff).json
    secret = made["url"].rsplit("/", 1)[1].removesuffix(".ics")
    assert db.value("SELECT COUNT(*) FROM calendar_feed WHERE secret = ?", secret) == 0

    problem(client.delete(f"{URL}/{made['id']}", headers=town.token("builder")), 404, "no_such_calendar")
    assert client.delete(f"{URL}/{made['id']}", headers=staff).status_code == 204
    assert client.get(f"/cal/{secret}.ics").status_code == 404
    own = client.post(URL, json={}, headers=town.token("builder", phone=FABIOLA)).json["url"]
    personal.erase(town.person())
    assert client.get(urlsplit(own).path).status_code == 404

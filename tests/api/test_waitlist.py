"""The waitlist by the API."""

from __future__ import annotations

from datetime import UTC, datetime

import time_machine
from flask.testing import FlaskClient

from circular import reservations
from tests.api.test_listings import problem
from tests.town import FABIOLA, Town

URL = "/api/v1/waitlist"
MONDAY = datetime(2026, 11, 23, 14, 0, tzinfo=UTC)


def test_waiting_and_taking(town: Town, client: FlaskClient) -> None:
    """Join, see one's rank, be offered what comes free, reserve it while nobody else can."""
    first, second = town.token("builder"), town.token("builder")
    code = town.listing(quantity=2.5, unit="m2", min_quantity=2.5)["code"]
    held = town.reserve(town.person(), code)

    made = client.post(URL, json={"listing": code, "quantity": 2.5}, headers=first)
    behind = client.post(URL, json={"listing": code}, headers=second)

    assert made.status_code == 201, made.text
    assert made.headers["Location"] == f"{URL}/{made.json['id']}"
    assert {name: made.json[name] for name in ("listing", "quantity", "unit", "rank", "state", "offered_until", "place")} == {
        "listing": code, "quantity": 2.5, "unit": "m2", "rank": 1, "state": "waiting", "offered_until": None,
        "place": "la-sphere",
    }  # fmt: skip
    assert "phone" not in made.json
    assert behind.json["rank"] == 2
    with time_machine.travel(MONDAY, tick=False):
        reservations.cancel(town.person(), held["reference"])
        offered = client.get(f"{URL}/{made.json['id']}", headers=first).json
        assert (offered["state"], offered["offered_until"]) == ("offered", "2026-11-23T16:00:00Z")
        assert client.get(f"/api/v1/listings/{code}").json["available"] == 0
        refused = client.post("/api/v1/reservations", json={"listing": code}, headers=second)
        assert problem(refused, 409, "sold_out")["available"] == 0
        taken = client.post("/api/v1/reservations", json={"listing": code}, headers=first)
    assert taken.status_code == 201, taken.text
    assert client.get(f"{URL}/{made.json['id']}", headers=first).json["state"] == "taken"


def test_leaving(town: Town, client: FlaskClient) -> None:
    """204, twice; the offer goes to the next one."""
    first, second = town.token("builder"), town.token("builder")
    code = town.listing(quantity=1)["code"]
    held = town.reserve(town.person(), code)
    ids = [client.post(URL, json={"listing": code}, headers=who).json["id"] for who in (first, second)]
    reservations.cancel(town.person(), held["reference"])

    problem(client.delete(f"{URL}/{ids[0]}", headers=second), 404, "no_such_wait")
    for _ in range(2):
        assert client.delete(f"{URL}/{ids[0]}", headers=first).status_code == 204

    moved = client.get(f"{URL}/{ids[1]}", headers=second).json
    assert (moved["state"], moved["rank"]) == ("offered", 1)
    assert client.get(f"{URL}/{ids[0]}", headers=first).json["rank"] is None
    problem(client.get(f"{URL}/nothing", headers=first), 404, "no_such_wait")


def test_whose_list(town: Town, client: FlaskClient) -> None:
    """One's own; for staff, that of their place with phones; an admin sees all; filters and pages."""
    staff, other = town.token("staff", "la-sphere"), town.token("staff", "trois-lieu")
    code = town.listing(quantity=1)["code"]
    town.reserve(town.person("+596696000009"), code)
    builder = town.token("builder")
    client.post(URL, json={"listing": code}, headers=builder)

    acted = client.post(URL, json={"listing": code, "phone": "0696 00 00 01"}, headers=staff)

    assert (acted.status_code, acted.json["phone"], acted.json["rank"]) == (201, FABIOLA, 2)
    problem(client.post(URL, json={"listing": code, "phone": FABIOLA}, headers=builder), 403, "phone_not_allowed")
    problem(client.get(URL), 401, "no_token")

    def ids(query: str, who: dict[str, str]) -> list[int]:
        return [one["rank"] for one in client.get(f"{URL}{query}", headers=who).json["items"]]

    assert ids("", builder) == [1]
    assert ids("", staff) == ids("", town.token("admin")) == [2, 1]
    assert ids("", other) == []
    assert ids(f"?listing={code}&state=waiting", staff) == [2, 1]
    assert ids("?state=offered", staff) == []
    page = client.get(f"{URL}?limit=1", headers=staff).json
    assert [one["rank"] for one in client.get(page["next"], headers=staff).json["items"]] == [1]
    assert client.get(f"{URL}?limit=2", headers=staff).json["next"] is None  # there are two
    problem(client.get(f"{URL}?state=girafe", headers=staff), 422, "invalid")


def test_a_repeat_with_the_same_key(town: Town, client: FlaskClient) -> None:
    """The first answer again; another body is refused."""
    builder = {**town.token("builder"), "Idempotency-Key": "abc"}
    code = town.listing(quantity=1)["code"]
    town.reserve(town.person(), code)

    first = client.post(URL, json={"listing": code}, headers=builder)
    again = client.post(URL, json={"listing": code}, headers=builder)

    assert (first.status_code, again.status_code, first.json) == (201, 201, again.json)
    problem(client.post(URL, json={"listing": code, "quantity": 2}, headers=builder), 422, "idempotency_key_reused")


def test_refusals(town: Town, client: FlaskClient) -> None:
    """Each with its code and what to do."""
    builder = town.token("builder")
    code = town.listing(quantity=3)["code"]

    said = problem(client.post(URL, json={"listing": code}, headers=builder), 409, "still_available")
    assert said["available"] == 3
    problem(client.post(URL, json={"listing": "41272"}, headers=builder), 404, "no_such_listing")
    problem(client.post(URL, json={"listing": code, "quantity": 0}, headers=builder), 422, "quantity_not_positive")
    problem(client.post(URL, json={}, headers=builder), 422, "invalid")

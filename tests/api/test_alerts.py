"""Alerts by the API."""

from __future__ import annotations

from datetime import UTC, datetime

import time_machine
from flask.testing import FlaskClient

from circular import alerts, notices
from tests.api.test_listings import problem
from tests.town import FABIOLA, Town

URL = "/api/v1/alerts"
MONDAY = datetime(2026, 11, 23, 14, 0, tzinfo=UTC)


def test_an_alert_from_beginning_to_end(town: Town, client: FlaskClient) -> None:
    """Saved, listed, told of once, ended."""
    resident = town.token("builder", phone=FABIOLA)
    with time_machine.travel(MONDAY, tick=False):
        asked = {"q": "Planche", "category": "bois", "min_quantity": 2}
        made = client.post(URL, json=asked, headers=resident)
        assert made.status_code == 201, made.text
        assert made.headers["Location"] == f"{URL}/{made.json['id']}"
        assert made.json == {
            "id": made.json["id"], **asked, "kind": None, "place": None, "commune": None, "condition": None, "near": None,
            "radius_km": None, "created_at": "2026-11-23T14:00:00Z", "ends_at": "2027-01-22T14:00:00Z", "told_on": None,
        }  # fmt: skip
        code = town.listing(quantity=2)["code"]
        alerts.sweep()

        assert [notice.facts["code"] for notice in notices.untold(9)] == [code]
        assert client.get(f"{URL}/{made.json['id']}", headers=resident).json["told_on"] == "2026-11-23"
        assert [one["id"] for one in client.get(URL, headers=resident).json["items"]] == [made.json["id"]]
        assert client.delete(f"{URL}/{made.json['id']}", headers=resident).status_code == 204
        problem(client.delete(f"{URL}/{made.json['id']}", headers=resident), 404, "no_such_alert")
        assert client.get(URL, headers=resident).json == {"items": [], "next": None}


def test_alerts_are_private(town: Town, client: FlaskClient) -> None:
    """Nobody sees or ends another's, staff neither; staff save one for somebody who calls."""
    staff, builder = town.token("staff", "la-sphere"), town.token("builder")
    made = client.post(URL, json={"q": "tole", "phone": FABIOLA}, headers=staff)
    assert made.status_code == 201, made.text

    problem(client.post(URL, json={"q": "tole", "phone": FABIOLA}, headers=builder), 403, "phone_not_allowed")
    problem(client.get(URL), 401, "no_token")
    for who in (staff, builder):
        assert client.get(URL, headers=who).json["items"] == []
        problem(client.get(f"{URL}/{made.json['id']}", headers=who), 404, "no_such_alert")
        problem(client.delete(f"{URL}/{made.json['id']}", headers=who), 404, "no_such_alert")
        assert client.delete(URL, headers=who).status_code == 204
    owner = town.token("builder", phone=FABIOLA)
    assert len(client.get(URL, headers=owner).json["items"]) == 1
    assert client.delete(URL, headers=owner).status_code == 204
    assert client.get(URL, headers=owner).json["items"] == []


def test_a_repeat_with_the_same_key(town: Town, client: FlaskClient) -> None:
    """One alert, the first answer again."""
    builder = {**town.token("builder"), "Idempotency-Key": "abc"}

    first, again = (client.post(URL, json={"q": "tole"}, headers=builder) for _ in range(2))

    assert (first.status_code, again.status_code, first.json) == (201, 201, again.json)


def test_refusals(town: Town, client: FlaskClient) -> None:
    """Each with its code; wrong fields by name."""
    builder = town.token("builder")

    problem(client.post(URL, json={}, headers=builder), 422, "alert_too_wide")
    said = problem(client.post(URL, json={"category": "girafe", "near": "x"}, headers=builder), 422, "invalid")
    assert set(said["errors"]) == {"category", "near"}
    for n in range(alerts.MOST_ALERTS):
        client.post(URL, json={"q": f"mot{n}"}, headers=builder)
    assert problem(client.post(URL, json={"q": "mot"}, headers=builder), 409, "too_many_alerts")["limit"] == 10

"""From held to its end: ready, missed, forgiven, closed days; who did what is in the log."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from flask.testing import FlaskClient

from circular import notices, reservations
from tests.api.test_listings import problem
from tests.town import FABIOLA, Town

MONDAY = datetime(2026, 11, 23, 14, 0, tzinfo=UTC)
URL = "/api/v1/reservations"


@pytest.fixture(autouse=True)
def traveller() -> Any:
    """It is Monday morning."""
    with time_machine.travel(MONDAY, tick=False) as clock:
        yield clock


def told() -> list[str]:
    """What there is to tell, by kind."""
    return [notice.kind for notice in notices.untold(50)]


def test_prepared_does_not_lapse(town: Town, client: FlaskClient, traveller: Any) -> None:
    """Its person is told once; it is still theirs in a month."""
    staff, code = town.token("staff", "la-sphere"), town.listing()["code"]
    made = town.reserve(town.person(), code)
    path = f"{URL}/{made['reference']}"

    assert client.post(f"{path}/prepare", headers=staff).json["state"] == "prepared"
    assert client.post(f"{path}/prepare", headers=staff).json["state"] == "prepared"
    problem(client.post(f"{path}/prepare", headers=town.token("staff", "trois-lieu")), 404, "no_such_reservation")
    problem(client.post(f"{path}/prepare", headers=town.token("builder", phone=FABIOLA)), 403, "wrong_role")
    traveller.shift(timedelta(days=30))
    reservations.expire()
    assert client.get(path, headers=staff).json["state"] == "prepared"
    assert told() == ["prepared"]
    pin = {"pickup_code": made["pickup_code"]}
    assert client.post(f"{path}/pick-up", json=pin, headers=staff).json["state"] == "picked_up"
    problem(client.post(f"{path}/prepare", headers=staff), 409, "already_ended")


def test_who_missed_three_needs_a_yes(town: Town, client: FlaskClient, traveller: Any) -> None:
    """Never a ban: it is held, and the place agrees; forgiven ones and old ones do not count."""
    staff, resident = town.token("staff", "la-sphere"), town.token("builder", phone=FABIOLA)
    missed = []
    for _ in range(3):
        made = town.reserve(town.person(), town.listing()["code"])
        path = f"{URL}/{made['reference']}"
        missed.append(path)
        assert (
            client.post(f"{path}/no-show", json={"reason": "fermeture, 0696 12 34 56"}, headers=staff).json["state"]
            == "no_show"
        )
    assert town.available(town.listing()["code"])
    code = town.listing()["code"]

    asked = client.post(URL, json={"listing": code}, headers=resident).json
    assert (asked["state"], asked["needs_approval"]) == ("held", True)
    pin = {"pickup_code": asked["pickup_code"]}
    problem(client.post(f"{URL}/{asked['id']}/pick-up", json=pin, headers=staff), 409, "needs_approval")
    problem(client.post(f"{URL}/{asked['id']}/prepare", headers=staff), 409, "needs_approval")
    assert client.post(f"{URL}/{asked['id']}/approve", headers=staff).json["needs_approval"] is False
    assert client.post(f"{URL}/{asked['id']}/pick-up", json=pin, headers=staff).json["state"] == "picked_up"

    assert client.post(f"{missed[0]}/appeal", json={"reason": "malade"}, headers=resident).status_code == 200
    log = client.get(missed[0], headers=staff).json["events"]
    assert [(one["verb"], one["role"]) for one in log] == [
        ("reserve", "resident"),
        ("no_show", "staff"),
        ("appeal", "builder"),
    ]
    assert log[1]["reason"] == "fermeture, …"
    assert "events" not in client.get(missed[0], headers=resident).json
    assert client.post(f"{missed[0]}/forgive", headers=staff).json["forgiven"] is True
    again = client.post(URL, json={"listing": town.listing()["code"]}, headers=resident).json
    assert again["needs_approval"] is False
    problem(client.post(f"{URL}/{again['id']}/forgive", headers=staff), 409, "not_a_no_show")
    problem(client.post(f"{URL}/{again['id']}/appeal", json={}, headers=resident), 409, "not_a_no_show")
    made = client.post(f"{URL}/{again['id']}/no-show", json={}, headers=staff).json
    assert made["state"] == "no_show"
    traveller.shift(timedelta(days=190))
    assert reservations.strikes(town.person().person_id or 0) == 0


def test_by_sms_the_answer_says_that_the_place_agrees_first(town: Town, client: FlaskClient) -> None:
    """In plain words, with the code."""
    from tests.sms.conversation import text

    for _ in range(3):
        reservations.no_show(town.staff, town.reserve(town.person(), town.listing()["code"])["reference"])
    code = town.listing(title="Planche")["code"]

    said = text(client, f"R {code}") or ""

    assert "doit d'abord dire oui" in said


def test_closed_days(town: Town, client: FlaskClient) -> None:
    """What would lapse then is held until it opens again, with a word; new holds do not count them."""
    staff = town.token("staff", "la-sphere")
    made = town.reserve(town.person(), town.listing()["code"])
    path = "/api/v1/places/la-sphere/closures"
    assert reservations.moment(made, "expires_at") == datetime(2026, 12, 1, 21, 0, tzinfo=UTC)

    closed = client.post(path, json={"from": "2026-11-30", "to": "2026-12-06", "reason": "inventaire"}, headers=staff)
    assert closed.status_code == 201, closed.text
    after = reservations.get(town.person(), made["reference"])
    assert reservations.moment(after, "expires_at") == datetime(2026, 12, 7, 21, 0, tzinfo=UTC)
    assert told() == ["held_longer"]
    later = town.reserve(town.person(), town.listing()["code"])
    assert reservations.moment(later, "expires_at") == datetime(2026, 12, 8, 21, 0, tzinfo=UTC)

    problem(client.post(path, json={"from": "2026-12-06", "to": "2026-12-01"}, headers=staff), 422, "invalid")
    problem(client.post(path, json={"from": "soon", "to": "2026-12-01"}, headers=staff), 422, "invalid")
    other = town.token("staff", "trois-lieu")
    problem(client.post(path, json={"from": "2026-12-06", "to": "2026-12-07"}, headers=other), 403, "not_your_place")
    known = client.get(path).json["items"]
    assert [(one["from"], one["reason"]) for one in known] == [("2026-11-30", "inventaire")]
    assert client.delete(f"{path}/{known[0]['id']}", headers=staff).status_code == 204
    problem(client.delete(f"{path}/{known[0]['id']}", headers=staff), 404, "no_such_closure")
    last = town.reserve(town.person(), town.listing()["code"])
    assert reservations.moment(last, "expires_at") == datetime(2026, 12, 1, 21, 0, tzinfo=UTC)

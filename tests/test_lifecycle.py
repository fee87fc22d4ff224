"""From held to its end: ready, missed, forgiven, closed days; who did what is in the log."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from flask.testing import FlaskClient

from circular import db, kits, notices, projects, reservations, settings, waitlist
from sms import outbox
from tests.api.test_listings import problem
from tests.sms.conversation import text
from tests.town import FABIOLA, JOSEPH, MIRTHA, Town

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


def miss(town: Town, who: str = FABIOLA, **listing: Any) -> str:
    """A reservation that nobody collected."""
    made = town.reserve(town.person(who), town.listing(**listing)["code"])
    return str(reservations.no_show(town.staff, made["reference"])["reference"])


def test_the_place_says_no_and_why(town: Town, client: FlaskClient) -> None:
    """What it refuses is free again; its person reads why, and the log has it. What lapses unanswered is no strike."""
    staff, code = town.token("staff", "la-sphere"), town.listing(quantity=1)["code"]
    for _ in range(3):
        miss(town)
    made = town.reserve(town.person(), code)
    path = f"{URL}/{made['reference']}"
    assert [one["id"] for one in client.get(f"{URL}?needs_approval=true", headers=staff).json["items"]] == [
        made["reference"]
    ]
    assert client.get(path, headers=staff).json["no_shows"] == 3
    assert "no_shows" not in client.get(path, headers=town.token("builder", phone=FABIOLA)).json

    assert problem(client.post(f"{path}/refuse", json={}, headers=staff), 422, "invalid")["errors"].keys() == {"reason"}
    problem(client.post(f"{path}/no-show", json={}, headers=staff), 409, "needs_approval")
    for _ in range(2):
        refused = client.post(f"{path}/refuse", json={"reason": "déjà promis à l'école"}, headers=staff).json
        assert (refused["state"], refused["needs_approval"]) == ("cancelled", False)
    problem(client.post(f"{path}/approve", headers=staff), 409, "already_ended")

    assert town.available(code) == 1
    event = client.get(path, headers=staff).json["events"][-1]
    assert (event["verb"], event["acted_by"], event["reason"]) == ("refuse", "staff", "déjà promis à l'école")
    assert told()[-3:] == ["no_show", "no_show_limit", "refused"]
    words = texts(FABIOLA)
    assert words[-1].startswith("Désolé, La Sphère ne peut pas vous garder Planche sapin 200x20. Raison: déjà promis")
    assert "Déjà 3 absences: la prochaine fois, le lieu dira oui ou non" in words[-2]


def test_a_yes_that_comes_late_gives_as_long_as_anybody_has(town: Town, client: FlaskClient, traveller: Any) -> None:
    """Its person did not lose the days in which the place had not answered."""
    staff = town.token("staff", "la-sphere")
    for _ in range(3):
        miss(town)
    made = town.reserve(town.person(), town.listing()["code"])
    traveller.shift(timedelta(days=5))
    agreed = client.post(f"{URL}/{made['reference']}/approve", headers=staff).json

    fresh = town.reserve(town.person(JOSEPH), town.listing()["code"])
    assert agreed["expires_at"] == client.get(f"{URL}/{fresh['reference']}", headers=staff).json["expires_at"]


def test_a_settable_limit(town: Town) -> None:
    """One is enough where the town says so, none ever where it says 0."""
    for limit, asked in ((1, "asked"), (0, "")):
        settings.use(dataclasses.replace(settings.get(), no_show_limit=limit))
        miss(town)
        assert town.reserve(town.person(), town.listing()["code"])["approval"] == asked


def test_strikes_fade_by_the_calendar(town: Town, traveller: Any) -> None:
    """Six months to the day; what had lapsed counts from when it lapsed, not from when somebody noted it."""
    miss(town)
    held = town.reserve(town.person(), town.listing()["code"])
    traveller.move_to(datetime(2027, 1, 11, 14, 0, tzinfo=UTC))
    reservations.no_show(town.staff, held["reference"])  # it lapsed on 1 December
    person = town.person().person_id or 0

    traveller.move_to(datetime(2027, 5, 23, 13, 59, tzinfo=UTC))
    assert reservations.strikes(person) == 2
    traveller.move_to(datetime(2027, 5, 23, 14, 1, tzinfo=UTC))
    assert reservations.strikes(person) == 1
    traveller.move_to(datetime(2027, 6, 1, 21, 1, tzinfo=UTC))
    assert reservations.strikes(person) == 0


def test_a_kit_that_nobody_collected_is_one(town: Town, client: FlaskClient) -> None:
    """Of two lots reserved together its person is told once, it counts once, and once it is forgiven."""
    with db.transaction():
        projects.put({"title": "Banc", "needs": "bois-planche:1:piece|bois-palette:1:piece"}, "B1")
    town.listing()
    town.listing(title="Palette", category="bois-palette")
    who = town.person()
    parts = kits.reserve(who, who.person_id or 0, projects.find("banc")[0]["code"], "kit:1")

    for part in parts:
        reservations.no_show(town.staff, part["reference"])
    assert len(parts) == 2 and told() == ["no_show"]
    assert reservations.strikes(who.person_id or 0) == 1
    reservations.forgive(town.staff, parts[0]["reference"])
    assert reservations.strikes(who.person_id or 0) == 0 and told() == ["no_show", "forgiven"]


def test_asking_to_be_called_is_an_appeal(town: Town, client: FlaskClient) -> None:
    """RAPPEL after a no-show: the place sees it as an appeal, in the words texted before, and may forgive."""
    staff = town.token("staff", "la-sphere")
    missed = miss(town)
    other = miss(town, JOSEPH)

    text(client, "voiture en panne 0696 12 34 56")
    text(client, "RAPPEL")

    appealed = client.get(f"{URL}?appealed=true", headers=staff).json["items"]
    assert [(one["id"], one["appealed"]) for one in appealed] == [(missed, True)]
    assert not client.get(f"{URL}/{other}", headers=staff).json["appealed"]
    events = [one for one in client.get(f"{URL}/{missed}", headers=staff).json["events"] if one["verb"] == "appeal"]
    assert [(one["role"], one["door"], one["acted_by"]) for one in events] == [("resident", "sms", None)]
    assert "56" not in events[0]["reason"]
    client.post(f"{URL}/{missed}/forgive", json={"reason": "panne"}, headers=staff)
    assert client.get(f"{URL}?appealed=true", headers=staff).json["items"] == []
    assert "ne compte plus votre absence" in texts(FABIOLA)[-1]


def test_who_did_what_by_which_door(town: Town, client: FlaskClient) -> None:
    """Staff who act for somebody are in the log as such, and no phone number is; whoever reads it works there."""
    staff = town.token("staff", "la-sphere", JOSEPH)
    code = town.listing()["code"]
    made = client.post(URL, json={"listing": code, "quantity": 2, "phone": FABIOLA}, headers=staff).json
    path = f"{URL}/{made['id']}"
    client.post(f"{path}/extend", headers=staff)
    client.post(f"{path}/prepare", headers=staff)
    pin = text(client, "M") and made["pickup_code"]
    text(client, f"A {pin}")

    log = client.get(path, headers=staff).json["events"]
    assert [(one["verb"], one["acted_by"], one["role"], one["door"]) for one in log] == [
        ("reserve", "staff", "staff", "api"),
        ("extend", "staff", "staff", "api"),
        ("prepare", "staff", "staff", "api"),
        ("cancel", None, "resident", "sms"),
    ]
    assert log[0]["quantity"] == 2 and log[1]["expires_at"] > log[1]["at"]
    assert len({one["who"] for one in log[:3]}) == 1 and log[0]["who"] and log[3]["who"] is None
    assert "696" not in str(log)
    for headers in (town.token("resident", phone=FABIOLA), town.token("staff", "trois-lieu")):
        assert "events" not in (client.get(path, headers=headers).json or {})


def test_what_is_held_for_others_is_not_handed_over(town: Town, client: FlaskClient) -> None:
    """With the code of another reservation staff are told; by force, with a reason, they may, and its person hears why."""
    staff, code = town.token("staff", "la-sphere"), town.listing(title="Porte", quantity=3)["code"]
    mine = town.reserve(town.person(), code, 2)
    theirs = town.reserve(town.person(JOSEPH), town.listing(title="Vis")["code"])
    path = f"{URL}/{mine['reference']}/pick-up"
    body: dict[str, Any] = {"pickup_code": theirs["pickup_code"]}

    said = problem(client.post(path, json=body, headers=staff), 409, "held_for_others")
    assert (said["listing"], said["reserved"], said["people"]) == (code, 2, 1)
    assert (said["theirs"]["id"], said["theirs"]["title"]) == (theirs["reference"], "Vis")
    body["force"] = True
    assert problem(client.post(path, json=body, headers=staff), 422, "invalid")["errors"].keys() == {"reason"}
    nobody = "1000" if "1000" not in (mine["pickup_code"], theirs["pickup_code"]) else "1001"
    wrong = {"pickup_code": nobody, "force": True, "reason": "x"}
    problem(client.post(path, json=wrong, headers=staff), 409, "wrong_pickup_code")

    handed = client.post(path, json={**body, "reason": "confondu au guichet"}, headers=staff).json

    assert (handed["state"], handed["picked_quantity"]) == ("cancelled", 0)
    assert (town.available(code), client.get(f"/api/v1/listings/{code}").json["quantity"]) == (1, 1)
    assert client.get(f"{URL}/{theirs['reference']}", headers=staff).json["state"] == "held"
    event = client.get(f"{URL}/{mine['reference']}", headers=staff).json["events"][-1]
    assert (event["verb"], event["quantity"], event["reason"]) == ("give_up", 2, "confondu au guichet")
    assert "Porte (2) n'est plus à La Sphère: confondu" in texts(FABIOLA)[-1]
    assert reservations.strikes(town.person().person_id or 0) == 0


def test_a_code_of_another_is_a_guess_as_well(town: Town, client: FlaskClient) -> None:
    """Five of them, and the place takes no code for a while: nobody walks through codes to learn whose they are."""
    staff, code = town.token("staff", "la-sphere"), town.listing()["code"]
    mine, theirs = (town.reserve(town.person(who), code) for who in (FABIOLA, JOSEPH))
    path = f"{URL}/{mine['reference']}/pick-up"
    for _ in range(reservations.WRONG_CODES):
        problem(client.post(path, json={"pickup_code": theirs["pickup_code"]}, headers=staff), 409, "held_for_others")
    problem(client.post(path, json={"pickup_code": mine["pickup_code"]}, headers=staff), 429, "too_many_attempts")


def test_less_than_is_held(town: Town, client: FlaskClient) -> None:
    """A count below what is held is refused with facts; by force the newest go first, what lies ready last, all told."""
    staff, code = town.token("staff", "la-sphere"), str(town.listing(title="Porte", quantity=6)["code"])
    old, ready, new = (
        town.reserve(town.person(who), code, quantity) for who, quantity in ((FABIOLA, 2), (JOSEPH, 2), (MIRTHA, 1))
    )
    reservations.prepare(town.staff, ready["reference"])
    waiter = town.person("+596696000009")
    waitlist.join(waiter, waiter.person_id or 0, code, 2, "wait:1")
    path, match = f"/api/v1/listings/{code}", {**staff, "If-Match": "*"}
    assert client.patch(path, json={"quantity": 7}, headers=match).status_code == 200  # two are free: they are offered

    said = problem(client.patch(path, json={"quantity": 4}, headers=match), 409, "held_for_others")
    assert (said["reserved"], said["people"], said["listing"]) == (7, 4, code)
    problem(client.patch(path, json={"quantity": 4, "force": True}, headers=match), 422, "invalid")
    forced = client.patch(path, json={"quantity": 3, "force": True, "reason": "dégât des eaux"}, headers=match)

    assert (forced.status_code, forced.json["quantity"], forced.json["available"]) == (200, 3, 1)
    states = [client.get(f"{URL}/{one['reference']}", headers=staff).json["state"] for one in (old, ready, new)]
    assert states == ["cancelled", "prepared", "cancelled"]
    assert waitlist.find(town.staff, waitlist.Filter())[0]["state"] == "waiting"
    assert "Vous gardez votre place" in texts("+596696000009")[-1]
    assert all("des eaux" in texts(who)[-1] for who in (FABIOLA, MIRTHA))


def texts(phone: str) -> list[str]:
    """What was texted to somebody, the oldest first."""
    while outbox.tell_notices():
        pass
    return [row[0] for row in db.rows("SELECT text FROM outbound_message WHERE recipient = ? ORDER BY id", phone)]


def test_by_sms_the_answer_says_that_the_place_agrees_first(town: Town, client: FlaskClient) -> None:
    """In plain words, with the code."""
    for _ in range(3):
        reservations.no_show(town.staff, town.reserve(town.person(), town.listing()["code"])["reference"])
    code = town.listing(title="Planche")["code"]

    said = text(client, f"R {code}") or ""

    assert "doit d'abord dire oui" in said
    pin = said.split("A ")[-1][:4]
    assert text(client, pin) == said  # not that it can be fetched


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

"""Draws: fair whatever the door and the moment, rechecked by anybody, done once however often it is interrupted."""

from __future__ import annotations

import json
import re
import subprocess
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st

from circular import (
    catalog,
    consequences,
    db,
    draws,
    kits,
    people,
    personal,
    projects,
    reservations,
    settings,
    waitlist,
)
from circular.people import Actor
from sms import outbox
from tests.api.test_listings import problem
from tests.sms.conversation import text
from tests.test_reservations import refused
from tests.town import ADMIN, FABIOLA, JOSEPH, MIRTHA, Town

MONDAY = datetime(2026, 11, 23, 14, 0, tzinfo=UTC)
PHONES = [f"+59669600{n:04}" for n in range(1, 40)]
DOCUMENT = (settings.ROOT / "docs" / "draws.md").read_text("utf-8")


@pytest.fixture
def traveller() -> Any:
    """Monday 10:00 in Martinique; `traveller.shift` moves on."""
    with time_machine.travel(MONDAY, tick=False) as found:
        yield found


def window(town: Town, allocation: str = "draw", hours: int = 2, **listing: Any) -> str:
    """A listing whose window is open for so many hours; its code."""
    code = str(town.listing(**{"quantity": 3, **listing})["code"])
    draws.plan(town.staff, code, {"allocation": allocation, "closes_at": MONDAY + timedelta(hours=hours)})
    return code


def enter(town: Town, phone: str, code: str, quantity: object = None, door: str = "sms") -> dict[str, Any]:
    """Ask for oneself."""
    person_id = town.person(phone).person_id
    assert person_id is not None
    return draws.ask(Actor(person_id, "resident", door), person_id, code, quantity, f"{door}:{phone}:{code}:{quantity}")


def finish(traveller: Any, hours: int = 2) -> None:
    """The window closes, and the background work draws."""
    traveller.shift(timedelta(hours=hours))
    while draws.sweep():
        pass


def told(phone: str) -> list[str]:
    """The kinds of what a person was told, oldest first."""
    query = "SELECT n.kind FROM notice n JOIN person p ON p.id = n.person_id WHERE p.phone = ? ORDER BY n.id"
    return [kind for (kind,) in db.rows(query, phone)]


# --- the rule ---------------------------------------------------------------------------------------------------------
def test_a_draw_from_the_first_request_to_the_last_text(town: Town, client: FlaskClient, traveller: Any) -> None:
    """By SMS, USSD, page and API alike; committed to before, published after; losers wait in the order drawn."""
    code = window(town)
    before = client.get(f"/api/v1/listings/{code}/draw").json
    assert (before["state"], before["seed"], before["entries"], before["count"]) == ("open", None, [], 0)
    assert client.get(f"/api/v1/listings/{code}").json["allocation"] == "draw"
    assert (text(client, f"R {code} 2") or "").startswith("Inscrit au tirage du lun 23/11 12h: Planche")
    token = town.token("builder", phone=JOSEPH)
    key = {"Idempotency-Key": "one", **token}
    made = [client.post("/api/v1/reservations", json={"listing": code, "quantity": 1}, headers=key) for _ in range(2)]
    assert [one.status_code for one in made] == [202, 202] and made[0].json == made[1].json
    assert client.get(made[0].headers["Location"], headers=token).json == made[0].json
    page = client.post(f"/l/{code}/reserve", data={"tel": MIRTHA, "quantity": "2", "form": "x" * 20})
    assert page.status_code == 200 and "Votre billet" in page.text
    ussd = client.post(
        "/sms/africastalking/demo/ussd",
        data={"sessionId": "s", "serviceCode": "*1#", "phoneNumber": PHONES[9], "text": f"{code}*1*1*1"},
    )
    assert ussd.text.startswith("END Inscrit"), ussd.text
    assert catalog.get(code)["available"] == 3000
    problem(client.get("/api/v1/draws/nothing"), 404, "no_such_draw")

    finish(traveller)

    after = client.get(f"/api/v1/draws/{before['id']}").json
    assert draws.check(after) == [] and after["commitment"] == before["commitment"] == draws.digest(after["seed"])
    assert (after["state"], after["stock"], after["count"], len(after["entries"])) == ("drawn", 3, 4, 4)
    outcomes = {one["id"]: one["outcome"] for one in after["entries"]}
    lost = [ticket for ticket, outcome in outcomes.items() if outcome == "lost"]
    won = sum(one["quantity"] for one in after["entries"] if one["outcome"] == "won")
    assert town.available(code) == 3 - won and won in (2, 3) and lost
    waiting = waitlist.find(ADMIN, waitlist.filter_of({"listing": code}))
    assert [one["rank"] for one in reversed(waiting)] == [*range(1, len(lost) + 1)]
    own = client.get(made[0].headers["Location"], headers=token).json
    assert own["state"] == outcomes[own["id"]] and own["rank"] in (1, 2, 3, 4)
    while outbox.tell_notices():
        pass
    for phone in (FABIOLA, JOSEPH, MIRTHA, PHONES[9]):
        assert told(phone)[-1] in ("drawn", "not_drawn")
    assert client.get(f"/api/v1/listings/{code}").json["allocation"] == "first_come"
    assert not any(phone[4:] in json.dumps(after) for phone in (FABIOLA, JOSEPH, MIRTHA))


def test_asking_again_is_the_same_request(town: Town, client: FlaskClient, traveller: Any) -> None:
    """The form sent twice, before and after the draw, and an answer that was lost: one entry, one reservation."""
    code = window(town)
    first = enter(town, FABIOLA, code)

    assert enter(town, FABIOLA, code)["ticket"] == first["ticket"]
    finish(traveller)
    again = enter(town, FABIOLA, code)

    assert again["state"] == "held" and town.available(code) == 2
    assert enter(town, FABIOLA, code)["reference"] == again["reference"]


def test_several_requests_of_a_person_count_once(town: Town, client: FlaskClient, traveller: Any) -> None:
    """By whatever door; after withdrawing one may ask for something else."""
    code = window(town)
    entered = enter(town, FABIOLA, code)
    with refused("already_entered"):
        enter(town, FABIOLA, code, 2, "web")
    with pytest.raises(draws.Refusal) as caught:
        draws.withdraw(town.person(JOSEPH), entered["ticket"])
    assert caught.value.code == "no_such_entry"

    for _ in range(2):
        draws.withdraw(town.person(), entered["ticket"])
    enter(town, FABIOLA, code, 2, "web")

    assert draws.of_listing(code)["entries"] == 1
    finish(traveller)
    assert [one["quantity"] for one in reservations.mine(town.person().person_id or 0)] == [2000]
    with refused("window_closed"):
        draws.withdraw(town.person(), draws.entries(draws.of_listing(code)["id"])[0]["ticket"])


def test_a_queue_serves_in_order_of_arrival(town: Town, client: FlaskClient, traveller: Any) -> None:
    """What is not enough for one is the next one's; nobody has more than the most for one person."""
    code = str(town.listing(quantity=3)["code"])
    rule = {"allocation": "queue", "closes_at": MONDAY + timedelta(hours=2), "max_per_person": 2}
    draws.plan(town.staff, code, rule)
    with refused("above_maximum"):
        enter(town, PHONES[0], code, 3)
    for n, quantity in enumerate((2, 2, 1, 1)):
        enter(town, PHONES[n], code, quantity)
    finish(traveller)

    found = draws.published(draws.of_listing(code))

    assert [one["outcome"] for one in found["entries"]] == ["won", "lost", "won", "lost"] and draws.check(found) == []
    assert [one["rank"] for one in (*waitlist.mine(town.person(PHONES[1]).person_id or 0),)] == [1]
    assert [one["rank"] for one in (*waitlist.mine(town.person(PHONES[3]).person_id or 0),)] == [2]


def test_limits_are_checked_again_at_the_draw(town: Town, client: FlaskClient, traveller: Any) -> None:
    """Who holds three by then, or said STOP, takes nothing, and it goes to the next."""
    code = window(town, quantity=1)
    enter(town, FABIOLA, code)
    enter(town, JOSEPH, code)
    for _ in range(3):
        town.reserve(town.person(), town.listing()["code"])
    people.opt_out_phone(JOSEPH)
    finish(traveller)

    found = draws.entries(draws.of_listing(code)["id"])

    assert {(one["state"], one["reason"]) for one in found} == {
        ("barred", "too_many_reservations"), ("barred", "opted_out")
    }  # fmt: skip
    assert told(FABIOLA)[-1] == "drawn_in_vain" and town.available(code) == 1
    assert draws.check(draws.published(draws.of_listing(code))) == []


def test_staff_ask_for_somebody(town: Town, client: FlaskClient, traveller: Any) -> None:
    """They do not jump the queue, and the log says who acted."""
    code = window(town)
    staff = town.token("staff", "la-sphere")
    body = {"listing": code, "quantity": 1, "phone": MIRTHA}
    assert client.post("/api/v1/reservations", json=body, headers=staff).status_code == 202
    finish(traveller)

    (held,) = reservations.mine(town.person(MIRTHA).person_id or 0)
    (event,) = reservations.events(held["id"])

    assert (event["role"], event["door"]) == ("staff", "draw") and event["person_id"] != held["person_id"]


def test_nothing_passes_the_window_by(town: Town, client: FlaskClient, traveller: Any) -> None:
    """Before, while and after it is open nobody reserves nor waits aside."""
    code = str(town.listing()["code"])
    opens, closes = MONDAY + timedelta(hours=1), MONDAY + timedelta(hours=2)
    draws.plan(town.staff, code, {"allocation": "draw", "opens_at": opens, "closes_at": closes})
    with db.transaction():
        projects.put({"title": "Banc", "needs": "bois-planche:1:piece"}, "B")
    project = str(projects.find("banc")[0]["code"])
    for expected in ("not_open_yet", "entries_only", "window_closed"):
        with refused(expected):
            town.reserve(town.person(), code)
        with refused(expected):
            waitlist.join(town.person(), town.person().person_id or 0, code, 10**6, f"w:{expected}")
        if expected != "entries_only":
            page = client.get(f"/l/{code}").text
            assert 'name="tel"' not in page and "tirage" in page
        traveller.shift(timedelta(hours=1))
    assert kits.feasibility(project)["needs"][0]["available"] == 0
    assert (text(client, f"R {code}") or "").endswith("Les inscrits ont le résultat par SMS. 0 = aide")


def test_planning(town: Town, client: FlaskClient, traveller: Any) -> None:
    """By the staff of the place, before anybody was promised anything, and until it opens."""
    code = str(town.listing()["code"])
    path, staff = f"/api/v1/listings/{code}/draw", town.token("staff", "la-sphere")
    good = {"allocation": "draw", "opens_at": "2026-11-24T12:00:00Z", "closes_at": "2026-11-25"}
    problem(client.get(path), 404, "no_such_draw")
    problem(client.put(path, json=good), 401, "no_token")
    problem(client.put(path, json=good, headers=town.token("builder")), 403, "wrong_role")
    problem(client.put(path, json=good, headers=town.token("staff", "trois-lieu")), 403, "not_your_place")
    for change, field in (
        ({"allocation": "best_friend"}, "allocation"), ({"closes_at": None}, "closes_at"),
        ({"closes_at": "2026-11-24T11:00:00Z"}, "closes_at"), ({"closes_at": "2027-11-24"}, "closes_at"),
        ({"max_per_person": 0.5}, "max_per_person"), ({"opens_at": "soon"}, "opens_at"),
    ):  # fmt: skip
        said = problem(client.put(path, json={**good, **change}, headers=staff), 422, "invalid")
        assert list(said["errors"]) == [field]
    planned = client.put(path, json=good, headers=staff).json
    changed = client.put(path, json={**good, "allocation": "queue"}, headers=staff).json
    assert (planned["state"], planned["id"]) == ("announced", changed["id"]) and changed["allocation"] == "queue"
    assert client.put(path, json={"allocation": "first_come"}, headers=staff).status_code == 204
    assert client.get(path).json["state"] == "cancelled"
    town.reserve(town.person(), code)
    said = problem(client.put(path, json=good, headers=staff), 422, "invalid")
    assert list(said["errors"]) == ["allocation"]
    other = window(town)
    problem(client.put(f"/api/v1/listings/{other}/draw", json=good, headers=staff), 409, "window_open")


def test_a_listing_that_is_over_is_not_drawn(town: Town, client: FlaskClient, traveller: Any) -> None:
    """Withdrawn, or found dangerous, while people enter: they are told at once, and nothing is given out."""
    gone, late = window(town), window(town, available_until=MONDAY + timedelta(hours=1))
    for code in (gone, late):
        enter(town, FABIOLA, code)
    consequences.withdraw_listing(ADMIN, gone)
    assert draws.of_listing(late)["state"] == "open" and told(FABIOLA) == ["wait_closed"]
    finish(traveller)

    assert draws.of_listing(late)["state"] == "cancelled" and told(FABIOLA) == ["wait_closed"] * 2
    assert reservations.mine(town.person().person_id or 0) == []


def test_an_hour_of_downtime_changes_nothing(town: Town, client: FlaskClient, traveller: Any) -> None:
    """Whenever the server comes back, and however often it draws: nobody enters late, and it is drawn once."""
    code = window(town)
    for phone in PHONES[:6]:
        enter(town, phone, code)
    traveller.shift(timedelta(hours=4))
    with refused("window_closed"):
        enter(town, PHONES[7], code)
    for _ in range(3):
        draws.sweep()

    found = draws.published(draws.of_listing(code))
    assert draws.check(found) == [] and sum(one["outcome"] == "won" for one in found["entries"]) == 3
    assert draws.sweep() == 0 and town.available(code) == 0


def test_who_is_forgotten_takes_part_no_more(town: Town, client: FlaskClient, traveller: Any) -> None:
    """Before the draw the entry goes; after it, it is nobody's, and the draw can still be rechecked."""
    code, other = window(town), window(town)
    for phone in (FABIOLA, JOSEPH):
        enter(town, phone, code)
    entered = enter(town, FABIOLA, other)
    assert [one["ticket"] for one in personal.export(town.person())["draws"]][-1] == entered["ticket"]
    personal.erase(town.person())
    assert draws.of_listing(other)["entries"] == 0
    finish(traveller)
    personal.erase(town.person(JOSEPH))

    found = draws.published(draws.of_listing(code))

    assert draws.check(found) == [] and [one["outcome"] for one in found["entries"]] == ["won"]
    assert db.value("SELECT COUNT(*) FROM entry WHERE person_id <> 0") == 0
    with db.transaction():
        assert draws.forget(1) == 0


# --- rechecking -------------------------------------------------------------------------------------------------------
def drawn(seed: str, stock: int, wanted: dict[str, int]) -> dict[str, Any]:
    """A draw as it would be published."""
    left, found = stock, []
    for ticket in sorted(wanted, key=lambda ticket: draws.digest(seed + ticket)):
        won = wanted[ticket] <= left
        left -= wanted[ticket] if won else 0
        found.append({"id": ticket, "quantity": wanted[ticket], "outcome": "won" if won else "lost"})
    return {"state": "drawn", "allocation": "draw", "seed": seed, "commitment": draws.digest(seed), "stock": stock,
            "entries": found}  # fmt: skip


@given(
    st.from_regex("[0-9a-f]{64}", fullmatch=True), st.integers(1, 9),
    st.dictionaries(st.text(draws.ALPHABET, min_size=8, max_size=8), st.integers(1, 4), min_size=2, max_size=9), st.data(),
)  # fmt: skip
def test_whatever_is_tampered_with_shows(seed: str, stock: int, wanted: dict[str, int], data: st.DataObject) -> None:
    """Another seed, another order, another outcome, an entry put in twice."""
    right = drawn(seed, stock, wanted)
    assert draws.check(right) == []
    entries = right["entries"]
    n = data.draw(st.integers(0, len(entries) - 2))
    swapped = [*entries]
    swapped[n], swapped[n + 1] = swapped[n + 1], swapped[n]
    flipped = [{**one, "outcome": "lost" if one["outcome"] == "won" else "won"} if one is entries[n] else one
               for one in entries]  # fmt: skip

    for wrong in (
        {**right, "seed": draws.digest(seed)}, {**right, "seed": None}, {**right, "state": "open"},
        {**right, "entries": swapped}, {**right, "entries": flipped}, {**right, "entries": [*entries, entries[n]]},
        {"entries": []}, [], "draw",
    ):  # fmt: skip
        assert draws.check(wrong) != []  # type: ignore[arg-type]


def test_the_lot_is_fair() -> None:
    """Over many seeds each of five entries comes first about as often: no place in the list, no ticket is better."""
    tickets = [{"ticket": ticket} for ticket in ("22222222", "ZZZZZZZZ", "K7M2P9QX", "AAAAAAAA", "AAAAAAAB")]
    rounds = 4000
    first = [draws.in_order("draw", draws.digest(f"seed {n}"), tickets)[0]["ticket"] for n in range(rounds)]
    expected = rounds / len(tickets)

    chi2 = sum((first.count(one["ticket"]) - expected) ** 2 / expected for one in tickets)

    assert (
        chi2 < 18.5
    )  # 4 degrees of freedom: one fair lot in a thousand is beyond, and these seeds are always the same


def test_the_worked_example_is_true(_app: Flask, tmp_path: Any) -> None:
    """The file of docs/draws.md is right by `flask draw verify`, and every line done by hand gives what it shows."""
    published = re.search(r"<!-- draw -->\n```json\n(.+?)```", DOCUMENT, re.S)
    by_hand = re.search(r"<!-- by hand -->\n```console\n(.+?)```", DOCUMENT, re.S)
    assert published and by_hand
    file = tmp_path / "draw.json"
    file.write_text(published[1])
    runner = _app.test_cli_runner()

    said = runner.invoke(args=["draw", "verify", str(file)])

    assert said.exit_code == 0 and said.output in DOCUMENT
    lines = by_hand[1].splitlines()
    ran = [subprocess.run(["bash", "-c", line[2:]], capture_output=True, text=True, check=True).stdout.strip()
           for line in lines[::2]]  # fmt: skip
    assert ran == lines[1::2] and ran[1:] == sorted(ran[1:])
    example = json.loads(published[1])
    assert [one["id"] in line for one, line in zip(example["entries"], lines[2::2], strict=True)] == [True] * 4
    file.write_text(published[1].replace('"won"', '"lost"', 1))
    tampered = runner.invoke(args=["draw", "verify", str(file)])
    assert tampered.exit_code == 1 and "is said to have lost; it won" in str(tampered.output)
    assert runner.invoke(args=["draw", "verify", str(settings.ROOT / "README.md")]).exit_code == 1

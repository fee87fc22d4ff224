"""`/desk/reservations`: what the staff of a place do about what is held there, without JavaScript."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from circular import clock, i18n, people, places, reservations
from tests.sms.conversation import MONDAY
from tests.town import FABIOLA, JOSEPH, MIRTHA, Town
from tests.web.conftest import read

DESK = "/desk/reservations"


@pytest.fixture(autouse=True)
def traveller() -> Any:
    """It is Monday morning."""
    with time_machine.travel(MONDAY, tick=False) as found:
        yield found


@pytest.fixture
def desk(town: Town, client: FlaskClient) -> FlaskClient:
    """The browser of somebody who has signed in at La Sphère."""
    return sign_in(town, client, "la-sphere")


def sign_in(town: Town, client: FlaskClient, place: str) -> FlaskClient:
    people.issue_token("staff", places.get_place(place)["id"], MIRTHA)
    person = town.person(MIRTHA).person_id or 0
    client.set_cookie("desk", people.issue_session(person, clock.later(3600)))
    return client


def send(desk: FlaskClient, made: Any, verb: str, **typed: str) -> TestResponse:
    """Send the form of a reservation, and see what comes next."""
    return desk.post(f"{DESK}/{made['reference']}/{verb}", data=typed, follow_redirects=True)


def offered(desk: FlaskClient, made: Any) -> set[str]:
    """What can be done about a reservation, by the page's forms."""
    pattern = rf"{DESK}/{made['reference']}/([a-z-]+)"
    return set(re.findall(pattern, desk.get(f"{DESK}?q={made['pickup_code']}").text))


def state(town: Town, made: Any) -> str:
    return str(reservations.get(town.staff, made["reference"])["state"])


def test_from_held_to_handed_over(town: Town, desk: FlaskClient) -> None:
    """Found by its code, made ready, handed over in part; what was done is said, and the log knows who did it."""
    code = town.listing(title="Porte", quantity=5)["code"]
    made = town.reserve(town.person(), code, 3)
    other = town.reserve(town.person(JOSEPH), town.listing(title="Vis")["code"])

    found = read(desk.get(f"{DESK}?q={made['pickup_code'][:2]} {made['pickup_code'][2:]}"))
    assert (
        "Porte" in found.html
        and "Vis" not in found.html
        and made["pickup_code"] not in found.one("ul", class_="list")["text"]
    )
    assert "Porte" in desk.get(f"{DESK}?q={code}").text
    everything = desk.get(DESK).text
    assert "Porte" in everything and "Vis" in everything
    assert offered(desk, made) == {"hand-over", "prepare", "extend", "cancel"}

    assert "C&#39;est fait : Porte, préparée" in send(desk, made, "prepare").text
    assert offered(desk, made) == {"hand-over", "cancel", "no-show"}
    said = send(desk, made, "hand-over", pickup_code=made["pickup_code"], quantity="2")
    assert "C&#39;est fait : Porte, retirée en partie" in said.text
    assert offered(desk, made) == set()
    assert town.available(code) == 3
    assert state(town, other) == "held"
    log = reservations.log_of(town.staff, made["reference"])
    assert [(one["verb"], one["acted_by"], one["door"]) for one in log[1:]] == [
        ("prepare", "staff", "web"),
        ("pick_up", "staff", "web"),
    ]
    assert log[1]["who"] == log[2]["who"] == str(town.person(MIRTHA).person_id)


def test_what_is_refused_is_said_there(town: Town, desk: FlaskClient) -> None:
    """A wrong code, somebody else's, too much: the page says what is wrong, with its status, and nothing has changed."""
    made = town.reserve(town.person(), town.listing(title="Porte", quantity=5)["code"], 3)
    other = town.reserve(town.person(JOSEPH), town.listing(title="Vis")["code"])
    pin = made["pickup_code"]

    for typed, status, words in (
        ({"pickup_code": other["pickup_code"]}, 409, "Gardé pour quelqu’un d’autre : Porte (3 pièces)"),
        ({"pickup_code": "12"}, 409, "Ce code de retrait est faux"),
        ({"pickup_code": pin, "quantity": "4"}, 409, "Seulement 3 réservés"),
        ({"pickup_code": pin, "quantity": "deux"}, 422, "doit dépasser zéro"),
    ):
        answer = send(desk, made, "hand-over", **typed)
        alert = read(answer).one("p", class_="err")
        assert answer.status_code == status and words.replace("’", "'") in alert["text"], alert["text"]
    assert state(town, made) == "held"
    assert send(desk, made, "explode").status_code == 404
    foreign = desk.post(f"{DESK}/{made['reference']}/prepare", headers={"Sec-Fetch-Site": "cross-site"})
    assert foreign.status_code == 403 and state(town, made) == "held"


def test_held_for_somebody_else(town: Town, desk: FlaskClient) -> None:
    """What is held for another is handed over knowingly alone: by a second form that says why, which is in the log."""
    made = town.reserve(town.person(), town.listing(title="Porte", quantity=5)["code"], 3)
    other = town.reserve(town.person(JOSEPH), town.listing(title="Vis")["code"])

    asked = read(send(desk, made, "hand-over", pickup_code=other["pickup_code"], quantity="2"))
    alert = asked.one("p", class_="err")["text"]
    assert "Porte (3 pièces)" in alert and f"Vis (n° {other['listing']})" in alert
    form = asked.one("form", action=f"{DESK}/{made['reference']}/hand-over-anyway")
    buttons = {one["text"] for one in asked.all("button")}
    assert "Remettre" in buttons and "Le retirer à cette personne et le remettre" in buttons
    assert asked.one("input", id="why")["required"] is not None and JOSEPH not in alert + form["text"]
    typed = {name: asked.one("input", type="hidden", name=name)["value"] for name in ("pickup_code", "quantity")}

    refused = send(desk, made, "hand-over-anyway", **typed, reason=" ")
    assert refused.status_code == 422 and state(town, made) == "held"
    wrong = send(desk, made, "hand-over-anyway", pickup_code="12", reason="erreur")
    assert wrong.status_code == 409 and state(town, made) == "held"
    done = send(desk, made, "hand-over-anyway", **typed, reason="confondu")
    assert "C&#39;est fait : Porte, annulée" in done.text

    assert state(town, other) == "held"
    last = reservations.log_of(town.staff, made["reference"])[-1]
    assert (last["verb"], last["door"], last["who"]) == ("give_up", "web", str(town.person(MIRTHA).person_id))
    assert last["facts"] == {"quantity": 2000, "handed_to": other["reference"], "reason": "confondu"}


def test_more_time_cancelled_with_a_reason(town: Town, desk: FlaskClient) -> None:
    """A form that is sent twice gives two days once; the person reads why theirs was cancelled."""
    made = town.reserve(town.person(), town.listing(title="Porte")["code"])
    form = read(desk.get(DESK)).all("input", name="form")[0]["value"]
    for _ in range(2):
        send(desk, made, "extend", form=form)
    extended = reservations.get(town.staff, made["reference"])["expires_at"]
    assert extended - made["expires_at"] == 2 * 86_400_000

    send(desk, made, "cancel", reason="elle est cassée")
    assert state(town, made) == "cancelled"
    assert "cassée" in str(reservations.log_of(town.staff, made["reference"])[-1]["facts"]["reason"])


def test_nobody_came(town: Town, desk: FlaskClient, traveller: time_machine.Coordinates) -> None:
    """What has lapsed is still shown for some days: a no-show; its person appeals, and the place forgives."""
    made = town.reserve(town.person(), town.listing(title="Porte")["code"])
    assert "no-show" not in offered(desk, made)  # they may still come
    traveller.move_to(clock.now() + timedelta(days=9))
    sign_in(town, desk, "la-sphere")
    assert offered(desk, made) == {"no-show"}
    assert "Porte" in desk.get(DESK).text

    send(desk, made, "no-show")
    assert state(town, made) == "no_show"
    reservations.appeal(town.person(), made["reference"], "j'étais malade")
    page = desk.get(DESK).text
    assert "Ce que dit la personne : j&#39;étais malade" in page
    send(desk, made, "forgive", reason="malade")
    assert reservations.strikes(made["person_id"]) == 0
    assert offered(desk, made) == set() and "Porte" not in read(desk.get(DESK)).one("ul", class_="list")["text"]


def test_who_needs_a_yes(town: Town, desk: FlaskClient) -> None:
    """They come first, with how many were missed; yes and no are one form each, no needs its reason."""
    for _ in range(3):
        held = town.reserve(town.person(), town.listing()["code"])
        reservations.no_show(town.staff, held["reference"])
    town.reserve(town.person(JOSEPH), town.listing(title="Vis")["code"])
    asked = [town.reserve(town.person(), town.listing(title=title)["code"]) for title in ("Porte", "Tuile")]

    page = read(desk.get(DESK))
    assert [one["text"] for one in page.all("a") if one.get("href", "").startswith("/l/")] == ["Porte", "Tuile", "Vis"]
    assert "Absences récentes : 3" in page.html
    assert offered(desk, asked[0]) == {"approve", "refuse"}
    assert send(desk, asked[0], "refuse").status_code == 422
    send(desk, asked[0], "refuse", reason="trop demandé")
    send(desk, asked[1], "approve")
    assert [state(town, one) for one in asked] == ["cancelled", "held"]
    assert reservations.get(town.staff, asked[1]["reference"])["approval"] == "given"


def test_only_its_staff(town: Town, client: FlaskClient) -> None:
    """Another place's staff see and do nothing there; nobody does without signing in."""
    made = town.reserve(town.person(), town.listing(title="Porte")["code"])
    assert client.get(DESK).location == "/desk/login"
    assert client.post(f"{DESK}/{made['reference']}/prepare").location == "/desk/login"

    desk = sign_in(town, client, "trois-lieu")
    assert "Porte" not in desk.get(DESK).text and "Porte" not in desk.get(f"{DESK}?q={made['pickup_code']}").text
    assert send(desk, made, "prepare").status_code == 404
    assert state(town, made) == "held"


def test_many(town: Town, desk: FlaskClient) -> None:
    """Page by page, each once; odd addresses are the first page."""
    titles = [f"Lot {n:02}" for n in range(23)]
    for n, title in enumerate(titles):
        town.reserve(town.person(f"+59669600{n:04}"), town.listing(title=title)["code"])
    first = read(desk.get(DESK))
    second = read(desk.get(first.one("a", rel="next")["href"]))
    shown = [one["text"] for page in (first, second) for one in page.all("a") if one.get("href", "").startswith("/l/")]
    assert sorted(shown) == titles
    assert not second.all("a", rel="next")
    assert read(desk.get(f"{DESK}?page=x")).html.count("/hand-over") == 20
    assert "Rien trouvé" in desk.get(f"{DESK}?q=girafe").text


@pytest.mark.parametrize("language", i18n.LANGUAGES)
def test_every_field_has_its_name(town: Town, desk: FlaskClient, language: str) -> None:
    """Each input is labelled, ids are not repeated, no script; in every language."""
    for n in range(3):
        town.reserve(town.person(FABIOLA), town.listing(title=f"Porte {n}")["code"])
    page = read(desk.get(f"{DESK}?lang={language}"))
    inputs = [one for one in page.all("input") if one.get("type") != "hidden"]
    labels = {one["for"] for one in page.all("label")}
    ids = [one["id"] for one in page.elements if "id" in one]
    assert inputs and {one["id"] for one in inputs} <= labels
    assert len(ids) == len(set(ids)) and not page.all("script")

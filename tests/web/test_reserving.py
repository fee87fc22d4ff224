"""Reserving on a page: two fields, no account, once however often it is sent."""

from __future__ import annotations

import dataclasses
import re

import pytest
from flask.testing import FlaskClient

from circular import catalog, db, notices, people, projects, queries, reservations, settings
from tests.town import ADMIN, FABIOLA, Town
from tests.web.conftest import read, reserve


def test_reserve_holds_and_shows_the_code_in_the_demo(town: Town, client: FlaskClient) -> None:
    """The demonstration shows the code that a phone would get, until when, where, and how to give it up."""
    code = town.listing()["code"]

    response = reserve(client, code)
    page = read(response)

    pin = page.one(class_="pin")["text"]
    (made,) = reservations.mine(town.person(FABIOLA).person_id or 0)
    assert response.status_code == 200
    assert (made["pickup_code"], made["quantity"]) == (pin, 3000)
    for words in ("Gardé pour vous jusqu'au", "17h", "La Sphère", f"A {pin}"):
        assert words in page.one("main")["text"]
    assert town.available(code) == 7


def test_reserve_shows_no_code_in_production(town: Town, production: FlaskClient) -> None:
    """The code goes to the phone alone, in the language of the page."""
    code = town.listing()["code"]

    page = read(reserve(production, code, headers={"Accept-Language": "pt"}))

    (made,) = reservations.mine(town.person(FABIOLA).person_id or 0)
    assert not page.all(class_="pin")
    # The place's number may hold its digits.
    assert not re.search(rf"(?<!\d){made['pickup_code']}(?!\d)", page.one("main")["text"])
    assert "chega por SMS" in page.one("main")["text"]
    assert db.value("SELECT COUNT(*) FROM notice WHERE person_id = ?", made["person_id"]) == 1
    assert people.language(made["person_id"], "fr") == "pt"


def test_reserve_twice_by_one_form_reserves_once(town: Town, client: FlaskClient) -> None:
    """Sending a form again, by impatience or by reload, shows the first confirmation."""
    code = town.listing()["code"]
    form = read(client.get(f"/l/{code}")).one("input", name="form")["value"]

    first, second = (read(reserve(client, code, form=form)) for _ in range(2))
    third = read(reserve(client, code))

    assert first.one(class_="pin")["text"] == second.one(class_="pin")["text"] != third.one(class_="pin")["text"]
    assert town.available(code) == 4


def test_wait_for_what_is_all_reserved(town: Town, client: FlaskClient) -> None:
    """The phone hears of its rank by SMS, and what comes free is offered to it; the page tells nobody where it stands."""
    code = town.listing(quantity=1)["code"]
    held = town.reserve(town.person(), code, 1)
    page = read(client.get(f"/l/{code}"))
    typed = {"form": page.one("input", name="form")["value"], "quantity": "1", "tel": "0696 00 00 02"}

    answers = [client.post(f"/l/{code}/wait", data=typed) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [200, 200]
    assert "Votre demande est notée" in read(answers[0]).one("main")["text"]
    assert f"W {code} STOP" in read(answers[0]).one("main")["text"]
    assert [notice.kind for notice in notices.untold(9)][-1:] == ["waiting"]
    reservations.cancel(town.person(), held["reference"])
    assert client.post(f"/l/{code}/wait", data=typed).data == answers[0].data
    assert [notice.kind for notice in notices.untold(9)][-2:] == ["waiting", "offer"]
    refused = client.post(f"/l/{code}/wait", data={**typed, "quantity": "viel"})
    assert refused.status_code == 422
    assert "dépasser zéro" in read(refused).one(id="wrong")["text"]


def test_wait_for_a_session_that_is_full(town: Town, client: FlaskClient) -> None:
    """Times that are taken stand in the list apart, and one of them chosen is waited for; in every language."""
    code = town.listing(kind="workshop", title="Atelier", category="atelier", quantity=1)["code"]
    first = read(client.get(f"/l/{code}")).all("option")[0]["value"]
    form = read(client.get(f"/l/{code}")).one("input", name="form")["value"]
    assert (
        client.post(f"/l/{code}/reserve", data={"form": form, "slot": first, "tel": "0696 00 00 02"}).status_code == 200
    )

    late = client.post(f"/l/{code}/reserve", data={"form": form, "slot": first, "tel": "0696 00 00 03"})
    page = read(late)

    assert late.status_code == 409
    chosen = next(option for option in page.all("option") if "selected" in option)
    assert chosen["value"] == f"wait:{first}"
    waiting = client.post(f"/l/{code}/reserve", data={"form": form, "slot": chosen["value"], "tel": "0696 00 00 03"})
    assert waiting.status_code == 200
    assert "Votre demande est notée" in read(waiting).one("main")["text"]
    assert db.value("SELECT starts_at FROM waiting") == int(first.partition("-")[0])
    for language in ("en", "es", "pt", "gcf", "ht"):
        assert client.get(f"/l/{code}?lang={language}").status_code == 200


@pytest.mark.parametrize(
    ("changes", "status", "field", "words"),
    [
        ({"tel": "0596 50 00 00"}, 422, "tel", "numéro de mobile"),
        ({"tel": ""}, 422, "tel", "numéro de mobile"),
        ({"quantity": "11"}, 409, "quantity", "Il n'en reste que 10"),
        ({"quantity": "beaucoup"}, 422, "quantity", "dépasser zéro"),
        ({"quantity": "2,5"}, 422, "quantity", "L'unité est : pièce"),
    ],
)
def test_reserve_refused_keeps_what_was_typed(
    changes: dict[str, str], status: int, field: str, words: str, town: Town, client: FlaskClient
) -> None:
    """The page comes back with the fields as they were, and says where and what to put right."""
    code = town.listing()["code"]
    typed = {"quantity": "4", "tel": "0696 00 00 01", **changes}

    response = reserve(client, code, **typed)
    page = read(response)

    assert response.status_code == status
    alert = page.one(role="alert")
    assert words in alert["text"]
    assert page.all("a", href=f"#{field}")
    assert page.one("title")["text"].startswith("Erreur :")
    assert page.one("input", id=field)["aria-invalid"] == "true"
    assert [page.one("input", name=name)["value"] for name in ("quantity", "tel")] == [typed["quantity"], typed["tel"]]
    assert town.available(code) == 10


def test_reserve_when_the_last_is_gone(town: Town, client: FlaskClient) -> None:
    """Somebody was faster: said plainly, and what is left to do is to wait."""
    code = town.listing(quantity=3)["code"]
    form = read(client.get(f"/l/{code}")).one("input", name="form")["value"]
    town.reserve(town.person(), code, 3)

    response = client.post(f"/l/{code}/reserve", data={"form": form, "quantity": "3", "tel": "0696 00 00 02"})

    assert response.status_code == 409
    assert "Il n'en reste que 0" in read(response).one(role="alert")["text"]
    assert [form["action"] for form in read(response).all("form", method="post")] == [f"/l/{code}/wait"]
    assert "Il n'en reste" not in read(response).one("form", method="post")["text"]


def test_reserve_for_somebody_who_said_stop(town: Town, client: FlaskClient) -> None:
    """No SMS could bring them the code: refused."""
    code = town.listing()["code"]
    with db.transaction():
        people.opt_out(people.ensure(FABIOLA))

    response = reserve(client, code)

    assert response.status_code == 409
    assert "STOP" in read(response).one(role="alert")["text"]
    assert town.available(code) == 10


@pytest.mark.parametrize(
    "headers",
    [{"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://elsewhere.example"}, {"Origin": "null"}],
)
def test_reserve_from_another_site_is_refused(headers: dict[str, str], town: Town, client: FlaskClient) -> None:
    """Another site's page cannot reserve in a visitor's name."""
    code = town.listing()["code"]

    response = reserve(client, code, headers=headers)

    assert response.status_code == 403
    assert "autre site" in read(response).one("h1")["text"]
    assert town.available(code) == 10


@pytest.mark.parametrize("headers", [{"Sec-Fetch-Site": "same-origin"}, {"Origin": "http://localhost"}, {}])
def test_reserve_from_our_own_page(headers: dict[str, str], town: Town, client: FlaskClient) -> None:
    """Browsers that name where they come from, and those that do not."""
    assert reserve(client, town.listing()["code"], headers=headers).status_code == 200


def test_reserve_too_often_from_one_address(town: Town, client: FlaskClient) -> None:
    """One address reserves so many times an hour."""
    settings.use(dataclasses.replace(settings.get(), web_reservations_per_hour=2))
    code = town.listing()["code"]

    statuses = [reserve(client, code, quantity="1").status_code for _ in range(2)]
    response = reserve(client, code, quantity="1")

    assert (statuses, response.status_code) == ([200, 200], 429)
    assert int(response.headers["Retry-After"]) <= 3600
    assert "Trop de demandes" in read(response).one(role="alert")["text"]


@pytest.mark.parametrize("code", ["41271", "12345"])
def test_reserve_unknown_listing(code: str, client: FlaskClient) -> None:
    """A wrong number is a page that says so."""
    response = client.post(f"/l/{code}/reserve", data={"quantity": "1", "tel": "0696 00 00 01"})

    assert response.status_code == 404
    assert code in read(response).one("h1")["text"]


def bench(town: Town) -> str:
    """A bench that today's stock builds, from two places; its number."""
    town.listing(title="Palette Europe", category="bois-palette", quantity=10)
    town.listing(title="Vis inox", category="quincaillerie-vis", quantity=2, unit="kg", place="trois-lieu")
    needs = [
        {"category": "bois-palette", "quantity": 3, "unit": "piece"},
        {"category": "quincaillerie-vis", "quantity": 0.5, "unit": "kg"},
    ]
    return str(projects.add(ADMIN, {"title": "Banc", "needs": needs})["code"])


def test_a_project_shows_where_its_materials_are_and_reserves_them(town: Town, client: FlaskClient) -> None:
    """Needs beside the stock; one field; then the code, what was reserved and each place. Sent twice, it is one kit."""
    code = bench(town)
    page = read(client.get(f"/p/{code}"))
    for words in ("Tout est là aujourd'hui", "Palette Europe, 3 pièces, La Sphère", "Vis inox, 0,5 kg, Le Trois Lieu"):
        assert words in page.one("main")["text"]
    sent = {"form": page.one("input", name="form")["value"], "tel": "0696 00 00 01"}

    done, again = (read(client.post(f"/p/{code}/reserve", data=sent)) for _ in range(2))

    held = reservations.mine(town.person(FABIOLA).person_id or 0)
    assert [one["pickup_code"] for one in held] == [done.one(class_="pin")["text"]] * 2
    for words in ("Palette Europe · 3 pièces, La Sphère", "Vis inox · 0,5 kg", "Gardé pour vous", "mar-ven 8h-13h"):
        assert words in done.one("main")["text"]
    assert done.one(class_="pin")["text"] == again.one(class_="pin")["text"]
    assert db.rows("SELECT kind FROM notice") == [("kit_reserved",)]


def test_a_project_refused_keeps_what_was_typed(town: Town, client: FlaskClient) -> None:
    """A wrong number is told at its field; what went meanwhile is told above, and there is no form left."""
    code = bench(town)

    wrong = client.post(f"/p/{code}/reserve", data={"tel": "0596 50 00 00"})
    for lot in ("Palette", "Vis"):
        found = queries.find(queries.query({"q": lot})).items[0]
        town.reserve(town.person(), found["code"], catalog.amount(found["available"]))
    gone = client.post(f"/p/{code}/reserve", data={"tel": "0696 00 00 02"})

    assert (wrong.status_code, gone.status_code) == (422, 409)
    assert read(wrong).one("input", id="tel")["value"] == "0596 50 00 00"
    assert "numéro de mobile" in read(wrong).one(role="alert")["text"]
    assert "voyez ce qui manque" in read(gone).one(role="alert")["text"]
    assert "manque 3 pièces" in read(gone).one("main")["text"]
    assert not read(gone).all("form", method="post")


def test_projects_that_can_be_built_come_first(town: Town, client: FlaskClient) -> None:
    """And say so."""
    first = projects.add(ADMIN, {"title": "Cabane", "needs": "bois-poutre:4:piece"})["code"]
    code = bench(town)

    page = read(client.get("/projets"))

    assert [link["href"] for link in page.all("a") if link["href"].startswith("/p/")] == [f"/p/{code}", f"/p/{first}"]
    assert page.one("main")["text"].count("Tout est là aujourd'hui") == 1

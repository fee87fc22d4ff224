"""Facets: what a list can be narrowed to, how many each choice leaves; and every filter, by the API and on the page."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import pytest
from flask.testing import FlaskClient

from circular import facets, reservations
from tests.town import Town
from tests.web.conftest import read

ASKED_BY = {"price": "free"}
SAID = {"free": "true", "paid": "false", "now": "true"}


@pytest.fixture
def stock(town: Town) -> dict[str, str]:
    """Codes by title of a small, varied stock."""
    things: list[dict[str, Any]] = [
        {"title": "Planche A", "quantity": 3, "price_cents": 250},
        {"title": "Planche B", "condition": "to_repair", "place": "trois-lieu", "available_from": "2099-01-01"},
        {"title": "Planche C", "category": "bois-poutre", "quantity": 40, "available_until": "2099-02-01"},
        {"title": "Porte D", "category": "menuiserie-porte", "condition": "as_new", "price_cents": 9900},
        {"title": "Scie à bois E", "kind": "machine", "category": "machine-bois", "quantity": 1, "place": "trois-lieu"},
    ]
    return {thing["title"]: town.listing(**thing)["code"] for thing in things}


def _ask(client: FlaskClient, **wanted: object) -> Any:
    response = client.get(f"/api/v1/listings?{urlencode({'limit': 100, **wanted})}")
    assert response.status_code == 200, response.json
    return response.json


def _counts(answer: Any) -> dict[str, dict[str, int]]:
    assert not any(one["more"] for found in answer["facets"].values() for one in found)
    return {name: {one["value"]: one["count"] for one in found} for name, found in answer["facets"].items()}


def test_every_facet_is_counted(town: Town, client: FlaskClient, stock: dict[str, str]) -> None:
    """Of all that is published: in the town's order, places and communes by number and with their names."""
    town.reserve(town.person(), stock["Planche A"], 3)

    answer = _ask(client, facets="true", limit=1)

    assert _counts(answer) == {
        "kind": {"material": 4, "machine": 1},
        "category": {"bois": 3, "menuiserie": 1, "machine": 1},
        "place": {"la-sphere": 3, "trois-lieu": 2},
        "commune": {"97213": 3, "97209": 2},
        "condition": {"as_new": 1, "good": 3, "to_repair": 1},
        "price": {"free": 3, "paid": 2},
        "available": {"now": 3},  # one is all reserved, one comes later
    }
    assert [one["name"] for one in answer["facets"]["place"]] == ["La Sphère", "Le Trois Lieu"]
    assert answer["facets"]["commune"][0]["name"] == "Le Lamentin"


@pytest.mark.parametrize(
    "asked", [{}, {"q": "planche"}, {"category": "bois"}, {"q": "bois", "free": "true"}, {"available": "true"},
              {"near": "14.6154,-61.003", "radius_km": 2}, {"min_quantity": 5}, {"q": "10 planches"},
              {"price_max_cents": 250}, {"available_on": "2099-01-15"}, {"free": "false", "commune": "Le Lamentin"}]
)  # fmt: skip
def test_a_choice_leaves_as_many_as_it_says(
    town: Town, client: FlaskClient, stock: dict[str, str], asked: dict[str, Any]
) -> None:
    """Whatever is asked for: following a choice finds what its count promised."""
    answer = _ask(client, facets="true", **asked)

    assert sum(_counts(answer)["kind"].values()) == len(answer["items"]) > 0
    for facet, found in _counts(answer).items():
        for value, number in found.items():
            narrowed = {ASKED_BY.get(facet, facet): SAID.get(value, value)}
            assert len(_ask(client, **{**asked, **narrowed})["items"]) == number, (facet, value)


def test_below_a_category_its_own(client: FlaskClient, stock: dict[str, str]) -> None:
    """Families first; of a family, what is below it; of a leaf, nothing."""
    assert _counts(_ask(client, facets="1", category="bois"))["category"] == {"bois-planche": 2, "bois-poutre": 1}
    assert _counts(_ask(client, facets="1", category="bois-poutre"))["category"] == {}


def test_nothing_found_nothing_counted(client: FlaskClient, stock: dict[str, str]) -> None:
    """And nothing is counted that nobody asked for."""
    assert _counts(_ask(client, q="zzzz", facets="true")) == {name: {} for name in facets.FACETS}
    assert "facets" not in _ask(client, q="planche") and "facets" not in _ask(client, facets="false")


def test_counts_are_capped(town: Town, client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where much is found, the newest are counted and it is said that there may be more; rare choices are not lost."""
    monkeypatch.setattr(facets, "MOST", 20)
    town.listing(title="Planche à outils", kind="tool", condition="parts", category="machine")
    for number in range(30):
        town.listing(title=f"Planche {number}", condition="good" if number % 4 else "to_repair", price_cents=100)

    for asked in ({}, {"q": "planche"}):
        found = _ask(client, facets="true", **asked)["facets"]
        said = {name: [(one["value"], one["count"], one["more"]) for one in counts] for name, counts in found.items()}
        assert said["kind"] == [("material", 20, True), ("tool", 1, False)]
        assert said["condition"] == [("good", 15, True), ("to_repair", 5, True), ("parts", 1, False)]
        assert said["category"] == [("bois", 20, True), ("machine", 1, False)]
        assert said["price"] == [("free", 1, False), ("paid", 20, True)]


FILTERS = {
    "kind=machine": "E", "kind=tool": "", "category=bois": "CBA", "category=bois-poutre": "C", "place=trois-lieu": "EB",
    "commune=97213": "DCA", "commune=le+lamentin": "DCA", "condition=to_repair": "B", "min_quantity=20": "C",
    "free=true": "ECB", "free=false": "DA", "price_max_cents=250": "ECBA", "price_max_cents=0": "ECB",
    "available=true": "EDCA", "available_on=2098-12-31": "EDCA", "available_on=2099-02-02": "EDBA",
    "near=14.6041,-61.0734&radius_km=1": "EB", "near=14.6154,-61.003&radius_km=0.1": "DCA", "lang=ht": "EDCBA",
    "q=planche&free=false": "A", "kind=material&condition=good&place=la-sphere&free=true": "C",
}  # fmt: skip


@pytest.mark.parametrize(("asked", "expected"), FILTERS.items())
def test_every_filter(client: FlaskClient, stock: dict[str, str], asked: str, expected: str) -> None:
    """By the API and on the page, the same listings."""
    items = client.get(f"/api/v1/listings?{asked}").json["items"]
    page = read(client.get(f"/?{asked}"))

    assert "".join(sorted(one["title"][-1] for one in items)) == "".join(sorted(expected))
    titles = [link["text"] for link in page.all("a") if link["href"].startswith("/l/")]
    assert sorted(title[-1] for title in titles) == sorted(expected)


@pytest.mark.parametrize(
    ("asked", "field"),
    [("kind=car", "kind"), ("category=licorne", "category"), ("place=nowhere", "place"), ("commune=Paris", "commune"),
     ("near=here", "near"), ("near=1,2&radius_km=far", "radius_km"), ("condition=nice", "condition"),
     ("min_quantity=many", "min_quantity"), ("available_on=tomorrow", "available_on"), ("free=perhaps", "free"),
     ("price_max_cents=-1", "price_max_cents"), ("price_max_cents=1.5", "price_max_cents"), ("available=x", "available")],
)  # fmt: skip
def test_a_wrong_filter_is_named(client: FlaskClient, asked: str, field: str) -> None:
    """By field, by the API; and above the page's form, which keeps it."""
    refused = client.get(f"/api/v1/listings?{asked}")
    page = client.get(f"/?{asked}")

    assert (refused.status_code, list(refused.json["errors"])) == (422, [field])
    assert page.status_code == 422
    assert read(page).one(role="alert")["text"].strip()


def test_facets_that_are_no_facets(client: FlaskClient) -> None:
    """`facets` is true or false."""
    refused = client.get("/api/v1/listings?facets=kind")

    assert (refused.status_code, list(refused.json["errors"])) == (422, ["facets"])


def test_the_page_narrows_by_links(town: Town, client: FlaskClient, stock: dict[str, str]) -> None:
    """Each choice is a link with its count; what was chosen can be undone; what parts nothing is not offered."""
    page = read(client.get("/?q=bois"))
    (narrow,) = [one for one in page.all("details") if "Affiner" in one["text"]]
    assert "Machine" in narrow["text"] and "Commune" in narrow["text"]
    (link,) = [one for one in page.all("a") if "kind=machine" in one["href"]]

    narrowed = read(client.get(link["href"]))

    assert [one["text"] for one in narrowed.all("a") if one["href"].startswith("/l/")] == ["Scie à bois E"]
    assert not [one for one in narrowed.all("details") if "Affiner" in one["text"]]
    (undo,) = [one for one in narrowed.all("a") if one["text"].startswith("Enlever")]
    assert undo["href"] == "/?q=bois"
    assert narrowed.one("input", type="hidden")["value"] == "machine"  # another search stays among machines


def test_the_start_offers_categories_only(client: FlaskClient, stock: dict[str, str]) -> None:
    """Nothing was asked yet: nothing to narrow down."""
    assert "Affiner" not in client.get("/").text


def test_a_list_that_holds_nothing_now(town: Town, client: FlaskClient) -> None:
    """All reserved: it is found, but not among what can be reserved now; when it is let go, it is."""
    code = town.listing(title="Planche", quantity=2)["code"]
    made = town.reserve(town.person(), code, 2)
    assert len(_ask(client, q="planche")["items"]) == 1
    assert _ask(client, q="planche", available="true")["items"] == []

    reservations.cancel(town.person(), made["reference"])

    assert len(_ask(client, q="planche", available="true")["items"]) == 1

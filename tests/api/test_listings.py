"""Listings by the API, as a program outside sees them."""

from __future__ import annotations

import io
from typing import Any

import pytest
from flask.testing import FlaskClient

from circular import catalog
from circular.api import writing
from tests.town import Town

URL = "/api/v1/listings"
PLANK = {
    "kind": "material", "title": "Planche sapin 200x20", "category": "bois-planche", "quantity": 12, "unit": "piece",
    "place": "la-sphere",
}  # fmt: skip


def problem(response: Any, status: int, code: str) -> dict[str, Any]:
    assert response.status_code == status, response.text
    assert response.content_type == "application/problem+json"
    assert response.json["code"] == code and response.json["status"] == status
    return dict(response.json)


def test_publish_read_revise_withdraw(town: Town, client: FlaskClient) -> None:
    """The life of a listing."""
    staff = town.token("staff", "la-sphere")

    made = client.post(URL, json={**PLANK, "dimensions": {"length_mm": 2000}, "mass_kg": 3.5}, headers=staff)
    assert made.status_code == 201
    code = made.json["code"]
    assert made.headers["Location"] == f"{URL}/{code}"

    read = client.get(f"{URL}/{code}")
    assert (read.json["available"], read.json["condition"], read.json["mass_kg"]) == (12, "good", 3.5)
    assert read.json["co2e_kg"] is not None

    revised = client.patch(f"{URL}/{code}", json={"quantity": 9}, headers={**staff, "If-Match": read.headers["ETag"]})
    assert (revised.status_code, revised.json["quantity"]) == (200, 9)
    assert revised.headers["ETag"] != read.headers["ETag"]

    assert client.delete(f"{URL}/{code}", headers=staff).status_code == 204
    assert client.delete(f"{URL}/{code}", headers=staff).status_code == 204
    problem(client.get(f"{URL}/{code}"), 404, "no_such_listing")
    assert client.get(f"{URL}/{code}", headers=staff).json["status"] == "withdrawn"


@pytest.mark.parametrize("kind", ["material", "tool", "machine", "room", "workshop"])
def test_publish_every_kind(town: Town, client: FlaskClient, kind: str) -> None:
    """All five are listed and found."""
    made = client.post(URL, json={**PLANK, "kind": kind}, headers=town.token("admin"))

    assert made.status_code == 201
    assert [item["kind"] for item in client.get(f"{URL}?kind={kind}").json["items"]] == [kind]


def test_patch_needs_to_know_what_it_changes(town: Town, client: FlaskClient) -> None:
    """428 without If-Match, 412 when somebody else was faster."""
    staff = town.token("staff", "la-sphere")
    code = town.listing()["code"]
    etag = client.get(f"{URL}/{code}").headers["ETag"]

    problem(client.patch(f"{URL}/{code}", json={"quantity": 3}, headers=staff), 428, "precondition_required")
    assert client.patch(f"{URL}/{code}", json={"quantity": 3}, headers={**staff, "If-Match": etag}).status_code == 200
    problem(client.patch(f"{URL}/{code}", json={"quantity": 4}, headers={**staff, "If-Match": etag}), 412, "stale")
    problem(client.patch(f"{URL}/{code}", json={}, headers={**staff, "If-Match": 'W/"1"'}), 412, "stale")
    assert client.get(f"{URL}/{code}").json["quantity"] == 3


def test_everything_wrong_is_said_at_once(town: Town, client: FlaskClient) -> None:
    """One error a field, in the reader's language, naming the remedy."""
    body = {"kind": "bike", "title": "x" * 201, "category": "nope", "quantity": 1.5, "unit": "piece", "place": "la-sphere",
            "condition": "??", "price_cents": -1, "lat": 91, "hazards": ["plague"], "opening_hours": "Lundi 9h"}  # fmt: skip
    staff = town.token("staff", "la-sphere")

    said = problem(client.post(URL, json=body, headers={**staff, "Accept-Language": "fr"}), 422, "invalid")

    assert set(said["errors"]) == {
        "kind", "title", "category", "quantity", "condition", "price_cents", "lat", "hazards", "opening_hours",
    }  # fmt: skip
    assert "200" in said["errors"]["title"][0]
    english = problem(client.post(URL, json=body, headers={**staff, "Accept-Language": "en"}), 422, "invalid")
    assert english["errors"]["quantity"] == ["A whole number is needed for this unit."]
    assert said["errors"]["quantity"] != english["errors"]["quantity"]


def test_unknown_and_missing_fields(town: Town, client: FlaskClient) -> None:
    """A field that is not known is refused by name; so is a missing one."""
    said = problem(client.post(URL, json={"colour": "red"}, headers=town.token("admin")), 422, "invalid")

    assert set(said["errors"]) == {"colour"}
    said = problem(client.post(URL, json={}, headers=town.token("admin")), 422, "invalid")
    assert set(said["errors"]) == {"kind", "title", "category", "quantity", "unit", "place"}


@pytest.mark.parametrize(
    ("body", "content_type", "status", "code"),
    [
        (b"{", "application/json", 400, "bad_json"),
        (b"kind=material", "application/x-www-form-urlencoded", 415, "wrong_content_type"),
        (b'{"title": "' + b"x" * 70_000 + b'"}', "application/json", 413, "too_large"),
        (b"[]", "application/json", 422, "invalid"),
        (b'"x"', "application/json", 422, "invalid"),
    ],
)
def test_bodies_that_are_no_listing(
    town: Town, client: FlaskClient, body: bytes, content_type: str, status: int, code: str
) -> None:
    """Each with its own refusal, never a 500."""
    response = client.post(URL, data=body, content_type=content_type, headers=town.token("admin"))

    problem(response, status, code)


def test_who_may_publish(town: Town, client: FlaskClient) -> None:
    """401 without a token or with a wrong one, 403 for a builder or another place's staff, yes for an admin."""
    problem(client.post(URL, json=PLANK), 401, "no_token")
    refused = client.post(URL, json=PLANK, headers={"Authorization": "Bearer nope"})
    assert refused.headers["WWW-Authenticate"] == "Bearer"
    problem(refused, 401, "bad_token")
    problem(client.post(URL, json=PLANK, headers={"Authorization": "Basic eDp5"}), 401, "no_token")
    problem(client.post(URL, json=PLANK, headers=town.token("builder")), 403, "wrong_role")
    problem(client.post(URL, json=PLANK, headers=town.token("staff", "trois-lieu")), 403, "not_your_place")
    assert client.post(URL, json=PLANK, headers=town.token("admin")).status_code == 201


def test_another_place_s_listing(town: Town, client: FlaskClient) -> None:
    """It may be read by everybody, and changed by its own staff alone."""
    code = town.listing()["code"]
    other = town.token("staff", "trois-lieu")

    problem(client.patch(f"{URL}/{code}", json={}, headers={**other, "If-Match": "*"}), 403, "not_your_place")
    problem(client.delete(f"{URL}/{code}", headers=other), 403, "not_your_place")
    draft = town.listing(status="draft")["code"]
    problem(client.get(f"{URL}/{draft}", headers=other), 404, "no_such_listing")


def test_another_place_s_draft(town: Town, client: FlaskClient) -> None:
    """What is not published exists for the staff of its place alone, whatever others try on it."""
    code = town.listing(status="draft")["code"]
    stranger, own = town.token("staff", "trois-lieu"), town.token("staff", "la-sphere")

    problem(client.get(f"{URL}/{code}", headers=stranger), 404, "no_such_listing")
    revised = client.patch(f"{URL}/{code}", json={"title": "x"}, headers={**stranger, "If-Match": "*"})
    problem(revised, 404, "no_such_listing")
    problem(client.delete(f"{URL}/{code}", headers=stranger), 404, "no_such_listing")
    assert client.delete(f"{URL}/{code}", headers=own).status_code == 204


def test_a_repeat_with_the_same_key(town: Town, client: FlaskClient) -> None:
    """The first answer again, 201; another body under the same key is refused; a failed try keeps nothing."""
    staff = {**town.token("staff", "la-sphere"), "Idempotency-Key": "k1"}

    problem(client.post(URL, json={**PLANK, "quantity": 0}, headers=staff), 422, "invalid")
    first = client.post(URL, json=PLANK, headers=staff)
    again = client.post(URL, json=PLANK, headers=staff)

    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json == again.json
    assert len(client.get(URL).json["items"]) == 1
    problem(client.post(URL, json={**PLANK, "quantity": 3}, headers=staff), 422, "idempotency_key_reused")
    assert client.post(URL, json=PLANK, headers={**town.token("admin"), "Idempotency-Key": "k1"}).json != first.json


def test_search(town: Town, client: FlaskClient) -> None:
    """Words in any order, accents or none, plural or not, another language; filters narrow."""
    town.listing(title="Tôle ondulée galvanisée 2 m", category="metal-tole", unit="piece")
    town.listing(title="Porte isoplane", category="menuiserie-porte", place="trois-lieu", condition="as_new")
    town.listing(title="Planche sapin")

    def titles(query: str) -> list[str]:
        response = client.get(f"{URL}?{query}")
        assert response.status_code == 200, response.text
        return [item["title"] for item in response.json["items"]]

    for words in ("tole", "Tôles", "galvanisee tole", "ondul"):
        assert titles(f"q={words}") == ["Tôle ondulée galvanisée 2 m"], words
    assert titles("q=door") == titles("q=puerta") == titles("q=porta") == ["Porte isoplane"]
    assert titles("q=%22") == titles("q=NEAR(") == titles("q=*") == titles("q=-") == []
    assert titles("category=menuiserie-porte") == ["Porte isoplane"]
    assert titles("category=bois") == ["Planche sapin"]
    assert (
        titles("place=trois-lieu") == titles("commune=97209") == titles("commune=fort de france") == ["Porte isoplane"]
    )
    assert titles("condition=as_new") == ["Porte isoplane"]
    assert titles("min_quantity=11") == []
    assert titles("near=14.6154,-61.003&radius_km=1") == ["Planche sapin", "Tôle ondulée galvanisée 2 m"]
    assert titles("available_on=2026-12-24&limit=1") == ["Planche sapin"]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("kind=bike", "kind"), ("category=nope", "category"), ("place=nope", "place"), ("commune=75056", "commune"),
        ("near=here", "near"), ("near=91,0", "near"), ("limit=0", "limit"), ("limit=101", "limit"), ("limit=x", "limit"),
        ("min_quantity=-1", "min_quantity"), ("available_on=tomorrow", "available_on"), ("radius_km=0", "radius_km"),
        ("colour=red", "colour"), ("condition=bad", "condition"),
    ],
)  # fmt: skip
def test_search_with_a_wrong_filter(client: FlaskClient, query: str, field: str) -> None:
    """A wrong filter is named; never everything shown instead."""
    assert set(problem(client.get(f"{URL}?{query}"), 422, "invalid")["errors"]) == {field}


def test_pages(town: Town, client: FlaskClient) -> None:
    """Following `next` shows each listing once, while others are being published."""
    codes = [town.listing(title=f"Planche {n}")["code"] for n in range(7)]
    seen: list[str] = []
    path: str | None = f"{URL}?q=planche&limit=3"
    while path:
        page = client.get(path).json
        seen += [item["code"] for item in page["items"]]
        path = page["next"]
        town.listing(title="Planche nouvelle")

    assert seen == codes[::-1]
    problem(client.get(f"{URL}?cursor=damaged"), 422, "bad_cursor")


def test_the_last_page_says_so(town: Town, client: FlaskClient) -> None:
    """A page that ends with the last thing has no next one."""
    admin = town.token("admin")
    for n in range(2):
        client.post("/api/v1/sites", json={"kind": "friche", "name": f"Friche {n}"}, headers=admin)
        client.post("/api/v1/projects", json={"title": f"Banc {n}"}, headers=admin)
        town.reserve(town.person(), town.listing()["code"])

    for name in ("places", "sites", "projects", "reservations"):
        first = client.get(f"/api/v1/{name}?limit=1", headers=admin).json
        last = client.get(first["next"], headers=admin).json
        whole = client.get(f"/api/v1/{name}?limit=2", headers=admin).json
        assert [len(first["items"]), len(last["items"]), last["next"]] == [1, 1, None], name
        assert (whole["items"], whole["next"]) == (first["items"] + last["items"], None), name


def test_import(town: Town, client: FlaskClient) -> None:
    """A dry run says what a real run would do and writes nothing; good rows pass without the bad ones."""
    staff = town.token("staff", "la-sphere")
    table = (
        "external_id,kind,title,category,quantity,unit,place\n"
        "1,material,Porte,menuiserie-porte,3,piece,la-sphere\n"
        "2,material,Demi,menuiserie-porte,0.5,piece,la-sphere\n"
    )

    def post(query: str) -> Any:
        return client.post(
            f"{URL}/import{query}", data={"file": (io.BytesIO(table.encode()), "lot.csv")}, headers=staff
        )

    dry = post("?dry_run=true")
    assert dry.status_code == 200, dry.text
    assert (dry.json["created"], [(e["row"], e["column"]) for e in dry.json["errors"]]) == (1, [(3, "quantity")])
    assert client.get(URL).json["items"] == []
    assert post("").json["created"] == 1
    assert post("").json["unchanged"] == 1
    problem(client.post(f"{URL}/import", json={}, headers=staff), 415, "wrong_content_type")
    problem(client.post(f"{URL}/import", data={"file": (io.BytesIO(b""), "x")}), 401, "no_token")


def test_405_says_what_is_allowed(client: FlaskClient) -> None:
    """RFC 9110: Allow."""
    response = client.put(URL, json={})

    problem(response, 405, "wrong_method")
    assert "GET" in response.headers["Allow"]


def test_unknown_address(client: FlaskClient) -> None:
    """A problem, not a page."""
    problem(client.get("/api/v1/nothing"), 404, "no_such_page")


def test_the_town_s_own_number(town: Town, client: FlaskClient) -> None:
    """It is kept, so that an import finds the lot again; it is one lot's alone and stays."""
    staff = town.token("staff", "la-sphere")

    made = client.post(URL, json={**PLANK, "external_id": "X1"}, headers=staff)

    assert made.json["external_id"] == "X1"
    twice = problem(client.post(URL, json={**PLANK, "external_id": "X1"}, headers=staff), 422, "invalid")
    assert set(twice["errors"]) == {"external_id"}
    path, any_revision = f"{URL}/{made.json['code']}", {**staff, "If-Match": "*"}
    assert client.patch(path, json={"external_id": "X1"}, headers=any_revision).status_code == 200
    problem(client.patch(path, json={"external_id": "X2"}, headers=any_revision), 422, "invalid")


def test_a_token_that_was_lost(town: Town, client: FlaskClient) -> None:
    """Revoked, it is worth nothing; nobody else's is touched."""
    from circular import people

    lost, kept = town.token("admin"), town.token("admin")

    assert people.revoke_token(lost["Authorization"].split()[1])
    assert not people.revoke_token(lost["Authorization"].split()[1])

    problem(client.post(URL, json=PLANK, headers=lost), 401, "bad_token")
    assert client.post(URL, json=PLANK, headers=kept).status_code == 201


def test_each_field_of_a_row_is_written_under_its_name() -> None:
    """Lists are written by position: a column that is put in between would shift the others."""
    kinds = catalog.Row.__annotations__
    row = catalog.Row(
        **{name: name if "str" in str(kind) else 1000 * n for n, (name, kind) in enumerate(kinds.items(), 1)}
    )

    (written,) = writing.listings([row._replace(hazards="[]", dimensions="{}", category="")], {})

    names = set(catalog.Row._fields) & written.keys() - {"hazards", "dimensions", "category"}
    assert len(names) > 25
    for name in names:
        value = getattr(row, name)
        may_be = [value] if isinstance(value, str) else [value, value // 1000, writing.at(value)]
        assert written[name] in may_be, name
    assert (written["lat"], written["lon"]) == (row.latitude, row.longitude)

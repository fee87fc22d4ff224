"""Requests that nobody sane sends: each gets an answer in the door's own words, never a 500."""

from __future__ import annotations

import io
import itertools

import pytest
from flask.testing import FlaskClient

from tests.town import Town

ODD = ["%00", "9" * 400, "41271%0a", "%F0%9F%92%A9", "..%2f..", "'--", "%FF%FE", "a" * 3000, "١٢٣٤٥", "-1", "1e9"]
PATHS = [
    "/api/v1/listings/{}", "/api/v1/reservations/{}", "/api/v1/projects/{}", "/api/v1/places/{}", "/api/v1/sites/{}",
    "/api/v1/projects/{}/feasibility", "/api/v1/projects/{}/reserve", "/api/v1/sites/{}/listings", "/s/{}", "/p/{}/reserve",
    "/l/{}", "/p/{}", "/sms/africastalking/{}/inbound", "/sms/{}/demo/inbound", "/api/v1/docs/assets/{}", "/{}",
]  # fmt: skip
QUERIES = [
    "/api/v1/listings?q={}", "/api/v1/listings?cursor={}", "/api/v1/listings?near={}", "/api/v1/listings?commune={}",
    "/api/v1/listings?min_quantity={}", "/api/v1/listings?available_on={}", "/api/v1/listings?limit={}",
    "/api/v1/projects?q={}", "/api/v1/projects?buildable=true&cursor={}",
    "/api/v1/projects?buildable=true&place={}", "/api/v1/places?cursor={}", "/api/v1/reservations?pickup_code={}",
    "/api/v1/reservations?cursor={}",
    "/?q={}", "/?cursor={}", "/?lang={}", "/?category={}", "/lieux?cursor={}", "/projets?limit={}",
]  # fmt: skip


def test_odd_addresses(town: Town, client: FlaskClient) -> None:
    """Every route, with every odd value, by every verb."""
    headers = town.token("admin")
    for path, odd, verb in itertools.product(
        [*PATHS, *QUERIES], ODD, ("get", "post", "patch", "delete", "head", "options")
    ):
        if verb == "get" or "?" not in path:
            response = getattr(client, verb)(path.format(odd), headers=headers)
            assert response.status_code < 500, (verb, path, odd)


@pytest.mark.parametrize("odd", ["\x00", "é" * 10, "x" * 5000, "'; DROP TABLE repeat", '"1"', "W/", "*", " "])
def test_odd_headers(town: Town, client: FlaskClient, odd: str) -> None:
    """Keys, tags, languages and tokens that are none."""
    code = town.listing()["code"]
    for name in (
        "Idempotency-Key",
        "If-Match",
        "Accept-Language",
        "Authorization",
        "Origin",
        "Sec-Fetch-Site",
        "Cookie",
    ):
        headers = {**town.token("admin"), name: odd}
        for response in (
            client.post("/api/v1/reservations", json={"listing": code}, headers=headers),
            client.patch(f"/api/v1/listings/{code}", json={"title": "x"}, headers=headers),
            client.post(
                f"/l/{code}/reserve", data={"tel": "0696000001", "quantity": odd, "form": odd}, headers=headers
            ),
            client.get("/?lang=xx", headers=headers),
        ):
            assert response.status_code < 500, (name, odd, response.text[:200])


@pytest.mark.parametrize(
    "odd", [None, True, [], {}, "", "\0", -1, 1e308, 10**30, "NaN", "\ud800", [1] * 1000, {"a": {"b": []}}]
)
def test_odd_bodies(town: Town, client: FlaskClient, odd: object) -> None:
    """Each field of each body, with each odd value."""
    headers = town.token("admin")
    plank = {
        "kind": "material", "title": "Planche", "category": "bois-planche", "quantity": 3, "unit": "piece",
        "place": "la-sphere",
    }  # fmt: skip
    fields = (
        "kind title description category condition quantity unit min_quantity step_quantity place site lat lon price_cents "
        "currency hazards dimensions mass_kg available_from available_until opening_hours lang status external_id "
        "builder_min_quantity resident_share resident_share_until"
    ).split()
    for field in fields:
        response = client.post("/api/v1/listings", json={**plank, field: odd}, headers=headers)
        assert response.status_code in (201, 422, 403), (field, odd, response.text[:300])
    for field in ("listing", "quantity", "phone"):
        body = {"listing": "10008", "quantity": 1, field: odd}
        assert client.post("/api/v1/reservations", json=body, headers=headers).status_code < 500, (field, odd)
    for path, field in (("projects", "needs"), ("projects", "title"), ("sites", "code"), ("sites", "kind"),
                        ("sites", "available_from"), ("sites", "opening_hours")):  # fmt: skip
        body = {"title": "Banc", "kind": "friche", "name": "Friche", field: odd}
        assert client.post(f"/api/v1/{path}", json=body, headers=headers).status_code < 500, (path, field, odd)


@pytest.mark.parametrize(
    "content", [b"", b"\0\0", b"a,b\n1,2", b"PK\x03\x04junk", b"\xff\xfe" + "title\n".encode("utf-16-le"), b'"' * 999]
)
def test_odd_files(town: Town, client: FlaskClient, content: bytes) -> None:
    """A file that is none is refused, not broken on."""
    response = client.post(
        "/api/v1/listings/import", data={"file": (io.BytesIO(content), "x.csv")}, headers=town.token("admin")
    )
    assert response.status_code == 422, response.text


def test_json_nested_without_end(town: Town, client: FlaskClient) -> None:
    """Sixty thousand brackets are no JSON."""
    response = client.post(
        "/api/v1/listings", data="[" * 60_000, content_type="application/json", headers=town.token("admin")
    )
    assert (response.status_code, response.json["code"]) == (400, "bad_json")

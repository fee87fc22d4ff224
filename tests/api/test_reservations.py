"""Reservations by the API."""

from __future__ import annotations

from datetime import UTC, datetime

import time_machine
from flask.testing import FlaskClient

from tests.api.test_listings import problem
from tests.town import FABIOLA, Town

URL = "/api/v1/reservations"


def test_a_builder_reserves_sees_and_cancels(town: Town, client: FlaskClient) -> None:
    """The contract's fields, and the stock follows."""
    builder = town.token("builder")
    code = town.listing(quantity=30, unit="m2")["code"]

    made = client.post(URL, json={"listing": code, "quantity": 12.5}, headers=builder)

    assert made.status_code == 201, made.text
    assert {"id", "pickup_code", "listing", "quantity", "state", "expires_at", "place"} <= set(made.json)
    assert (made.json["state"], made.json["quantity"], made.json["place"]) == ("held", 12.5, "la-sphere")
    assert "phone" not in made.json
    assert client.get(f"/api/v1/listings/{code}").json["available"] == 17.5
    assert [r["id"] for r in client.get(f"{URL}?state=held", headers=builder).json["items"]] == [made.json["id"]]
    gone = client.post(f"{URL}/{made.json['id']}/cancel", headers=builder)
    assert (gone.status_code, gone.json["state"]) == (200, "cancelled")
    assert client.get(f"/api/v1/listings/{code}").json["available"] == 30


def test_sold_out(town: Town, client: FlaskClient) -> None:
    """409 with what is left."""
    code = town.listing(quantity=2)["code"]

    said = problem(
        client.post(URL, json={"listing": code, "quantity": 3}, headers=town.token("builder")), 409, "sold_out"
    )

    assert said["available"] == 2


def test_no_such_listing(town: Town, client: FlaskClient) -> None:
    """404 under one code; a slip of the finger is told beside it."""
    builder = town.token("builder")

    unknown = client.post(URL, json={"listing": "10008", "quantity": 3}, headers=builder)
    slip = client.post(URL, json={"listing": "10009", "quantity": 3}, headers=builder)

    assert "mistyped" not in problem(unknown, 404, "no_such_listing")
    assert problem(slip, 404, "no_such_listing")["mistyped"] is True
    assert slip.json["detail"] != unknown.json["detail"].replace("10008", "10009")


def test_a_stranger_s_body_is_not_read(client: FlaskClient) -> None:
    """401 comes before what is wrong with the body."""
    problem(client.post(URL, json={}), 401, "no_token")
    problem(client.post(f"{URL}/none/pick-up", data="{", content_type="application/json"), 401, "no_token")
    problem(client.patch("/api/v1/places/la-sphere", json={"colour": "red"}), 401, "no_token")


def test_a_repeat_with_the_same_key(town: Town, client: FlaskClient) -> None:
    """One reservation, the first answer again; a sold-out try may win later under the same key."""
    builder = {**town.token("builder"), "Idempotency-Key": "abc"}
    code = town.listing(quantity=2)["code"]
    holder = town.reserve(town.person(), code, 2)
    problem(client.post(URL, json={"listing": code, "quantity": 2}, headers=builder), 409, "sold_out")
    from circular import reservations

    reservations.cancel(town.person(), holder["reference"])

    first = client.post(URL, json={"listing": code, "quantity": 2}, headers=builder)
    again = client.post(URL, json={"listing": code, "quantity": 2}, headers=builder)

    assert (first.status_code, again.status_code, first.json) == (201, 201, again.json)
    problem(client.post(URL, json={"listing": code, "quantity": 1}, headers=builder), 422, "idempotency_key_reused")


def test_staff_act_for_somebody_and_hand_over(town: Town, client: FlaskClient) -> None:
    """The phone is shown to the staff of the place; the code opens the hand-over, in part."""
    staff = town.token("staff", "la-sphere")
    code = town.listing(quantity=10)["code"]

    made = client.post(URL, json={"listing": code, "quantity": 5, "phone": "0696 00 00 01"}, headers=staff)
    assert (made.status_code, made.json["phone"]) == (201, FABIOLA)
    path = f"{URL}/{made.json['id']}"
    problem(client.post(f"{path}/pick-up", json={"pickup_code": "0000"}, headers=staff), 409, "wrong_pickup_code")
    handed = client.post(
        f"{path}/pick-up", json={"pickup_code": made.json["pickup_code"], "quantity": 2}, headers=staff
    )

    assert (handed.status_code, handed.json["state"], handed.json["picked_quantity"]) == (200, "partly_picked_up", 2)
    assert client.get(f"/api/v1/listings/{code}").json["available"] == 8
    by_code = client.get(f"{URL}?pickup_code={made.json['pickup_code']}&listing={code}", headers=staff).json["items"]
    assert [r["id"] for r in by_code] == [made.json["id"]]


def test_a_reservation_is_private(town: Town, client: FlaskClient) -> None:
    """Somebody else's does not exist; a builder may not act for a phone."""
    code = town.listing()["code"]
    made = client.post(URL, json={"listing": code}, headers=town.token("builder")).json

    for who in (town.token("builder"), town.token("staff", "trois-lieu")):
        problem(client.get(f"{URL}/{made['id']}", headers=who), 404, "no_such_reservation")
        problem(client.post(f"{URL}/{made['id']}/cancel", headers=who), 404, "no_such_reservation")
    problem(client.get(URL), 401, "no_token")
    refused = client.post(URL, json={"listing": code, "phone": FABIOLA}, headers=town.token("builder"))
    problem(refused, 403, "phone_not_allowed")
    proof = {"pickup_code": made["pickup_code"]}
    refused = client.post(f"{URL}/{made['id']}/pick-up", json=proof, headers=town.token("builder"))
    problem(refused, 403, "wrong_role")


def test_reserve_with_a_bad_phone(town: Town, client: FlaskClient) -> None:
    """A fixed line gets no SMS."""
    code = town.listing()["code"]

    refused = client.post(
        URL, json={"listing": code, "phone": "0596 50 12 34"}, headers=town.token("staff", "la-sphere")
    )

    problem(refused, 422, "bad_phone")


def test_too_many_writes(town: Town, client: FlaskClient) -> None:
    """429 with Retry-After, counted in the database."""
    from circular import settings

    client.application.config["CIRCULAR"] = settings.load(
        {"DATABASE_URL": settings.get().database_url, "WRITES_PER_MINUTE": "2"}
    )
    builder = town.token("builder")
    code = town.listing()["code"]
    outcomes = [client.post(URL, json={"listing": code}, headers=builder) for _ in range(4)]

    assert [response.status_code for response in outcomes[:2]] == [201, 201]
    assert outcomes[-1].status_code == 429 and int(outcomes[-1].headers["Retry-After"]) <= 60


def test_slots_are_not_known_yet(town: Town, client: FlaskClient) -> None:
    """Unknown fields are refused rather than ignored; a machine is not carried away."""
    code = town.listing(kind="machine", category="machine-bois", quantity=1)["code"]

    problem(client.post(URL, json={"listing": code, "slot": {}}, headers=town.token("builder")), 422, "invalid")
    problem(client.post(URL, json={"listing": code}, headers=town.token("builder")), 409, "not_reservable")


def test_a_key_used_again_after_its_answer_was_forgotten(town: Town, client: FlaskClient) -> None:
    """For another request it is another reservation, never the old one under a 201."""
    from circular import db, idempotency

    builder = {**town.token("builder"), "Idempotency-Key": "cmd-1"}
    first, second = town.listing(title="Porte")["code"], town.listing(title="Volet")["code"]
    client.post(URL, json={"listing": first}, headers=builder)
    with db.transaction():
        idempotency.forget(-1000)

    again = client.post(URL, json={"listing": second, "quantity": 5}, headers=builder).json

    assert (again["listing"], again["quantity"]) == (second, 5)


def test_more_time(town: Town, client: FlaskClient) -> None:
    """Two opening days: once for its person, as often as they see fit for the staff; a repeated key extends once."""
    builder, staff = town.token("builder"), town.token("staff", "la-sphere")
    with time_machine.travel(datetime(2026, 11, 23, 14, 0, tzinfo=UTC), tick=False):
        made = client.post(URL, json={"listing": town.listing()["code"]}, headers=builder).json
        path = f"{URL}/{made['id']}/extend"

        first = client.post(path, headers={**builder, "Idempotency-Key": "x"})
        repeated = client.post(path, headers={**builder, "Idempotency-Key": "x"})
        said = problem(client.post(path, headers=builder), 409, "already_extended")
        by_staff = [client.post(path, headers=staff).json["expires_at"] for _ in range(2)]

    assert made["expires_at"] == "2026-12-01T21:00:00Z"
    assert (first.status_code, first.json["expires_at"]) == (200, "2026-12-03T21:00:00Z")
    assert repeated.json == first.json
    assert said["expires_at"] == "2026-12-03T21:00:00Z"
    assert by_staff == ["2026-12-05T21:00:00Z", "2026-12-08T21:00:00Z"]  # not on a Sunday
    problem(client.post(path, headers=town.token("builder")), 404, "no_such_reservation")
    client.post(f"{URL}/{made['id']}/cancel", headers=staff)
    problem(client.post(path, headers=staff), 409, "already_ended")

"""JSON of facts: from the nouns' units (thousandths, milliseconds, grams) to the contract's."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import urlencode

import orjson
from flask import Response, request

from circular import alerts, catalog, clock, db, facets, queries, search
from circular.checks import read_number
from circular.people import Actor


def respond(body: Any, status: int = 200, *, revision: int | None = None, location: str | None = None) -> Response:
    """A JSON response. `revision` becomes its ETag; availability is never cached, so nothing is."""
    response = Response(orjson.dumps(body), status, {"Cache-Control": "no-store"}, content_type="application/json")
    if revision is not None:
        response.headers["ETag"] = f'"{revision}"'
    if location is not None:
        response.headers["Location"] = location
    return response


def page(items: list[dict[str, Any]], cursor: str | int | None, **beside: Any) -> Response:
    """A page of a list; `cursor` is where the next one starts, `beside` what else there is to say."""
    path = None
    if cursor is not None:
        given = {name: value for name, value in request.args.items() if name != "cursor"}
        path = f"{request.path}?{urlencode({**given, 'cursor': cursor})}"
    return respond({"items": items, "next": path, **beside})


def found(page: queries.Page) -> dict[str, Any]:
    """What a search made of the words, as far as there is something to say."""
    wish = page.wish
    said = {
        "corrected": [{"typed": typed, "used": used} for typed, used in wish.corrected],
        "did_you_mean": wish.did_you_mean,
        "left_out": list(page.relaxed) or (["words"] if page.items and page.mode == search.ANY else []),
        "nearest": page.nearest,
    }
    return {name: value for name, value in said.items() if value}


def counted(found: Mapping[str, list[facets.Count]]) -> dict[str, Any]:
    """What a list can be narrowed to."""
    return {
        name: [
            {"value": one.value, **({"name": one.name} if one.name else {}), "count": one.number, "more": one.more}
            for one in counts
        ]
        for name, counts in found.items()
    }


def keyset(found: list[dict[str, Any]], limit: int, write: Callable[[dict[str, Any]], dict[str, Any]]) -> Response:
    """A page of rows asked for with one more than `limit`: only that one proves that there is a next page."""
    return page([write(facts) for facts in found[:limit]], found[limit - 1]["id"] if len(found) > limit else None)


@functools.lru_cache(maxsize=4096)  # most listings of a page were made and revised at the same moments
def at(milliseconds: int | None) -> str | None:
    """Milliseconds since 1970 as RFC 3339."""
    return None if milliseconds is None else clock.rfc3339(db.from_ms(milliseconds))


_ROW = operator.itemgetter(*catalog.Row._fields)


def listing(facts: Mapping[str, Any]) -> dict[str, Any]:
    """A listing as the contract has it, from its facts."""
    return _listing(_ROW(facts), facts["hazards"], facts["dimensions"], facts["co2e_kg"])


def listings(rows: Iterable[catalog.Row], tree: catalog.Tree) -> list[dict[str, Any]]:
    """Listings of a list as the contract has them, straight from their rows."""
    unpacked, co2e_kg = catalog.unpacked, catalog.co2e_kg
    return [
        _listing(
            row,
            unpacked(row.hazards),
            unpacked(row.dimensions),
            co2e_kg(row.mass_g, row.quantity, tree.get(row.category)),
        )
        for row in rows
    ]


LISTINGS = catalog.Reading(catalog.ROW, listings)


def _listing(row: tuple[Any, ...], hazards: Any, dimensions: Any, co2e_kg: float | None) -> dict[str, Any]:
    """Written once for a listing and for lists, where what is done for each of 33 fields is done twenty times; the names
    stand in the order of `catalog.Row`.
    """
    (
        _, code, external_id, kind, title, description, category, condition, quantity, unit, available, min_quantity,
        step_quantity, price_cents, currency, _, _, mass_g, latitude, longitude, available_from, available_until,
        opening_hours, builder_min_quantity, resident_share, resident_share_until, lang, status, allocation, created_at,
        updated_at, place, site,
    ) = row  # fmt: skip
    amount = catalog.amount
    return {
        "code": code,
        "kind": kind,
        "title": title,
        "description": description,
        "category": category,
        "condition": condition,
        "quantity": amount(quantity),
        "unit": unit,
        "available": amount(max(0, available)),
        "place": place,
        "site": site,
        "lat": latitude,
        "lon": longitude,
        "price_cents": price_cents,
        "currency": currency,
        "photos": [],
        "hazards": hazards,
        "dimensions": dimensions,
        "mass_kg": None if mass_g is None else amount(mass_g),
        "co2e_kg": co2e_kg,
        "available_from": None if available_from is None else at(available_from),
        "available_until": None if available_until is None else at(available_until),
        "opening_hours": opening_hours,
        "min_quantity": amount(min_quantity),
        "step_quantity": amount(step_quantity),
        "allocation": allocation,
        "builder_min_quantity": builder_min_quantity and amount(builder_min_quantity),
        "resident_share": resident_share,
        "resident_share_until": None if resident_share_until is None else at(resident_share_until),
        "lang": lang,
        "status": status,
        "external_id": external_id,
        "created_at": at(created_at),
        "updated_at": at(updated_at),
    }


def slot(facts: Mapping[str, Any]) -> dict[str, Any]:
    """A time as the contract has it."""
    return {"starts_at": at(facts["starts_at"]), "ends_at": at(facts["ends_at"])}


def reservation(facts: Mapping[str, Any], who: Actor) -> dict[str, Any]:
    """A reservation as the contract has it; the phone number only for the staff of its place."""
    written = {
        "id": facts["reference"],
        "pickup_code": facts["pickup_code"],
        "listing": facts["listing"],
        "title": facts["title"],
        "quantity": catalog.amount(facts["quantity"]),
        "picked_quantity": catalog.amount(facts["picked_quantity"]),
        "unit": facts["unit"],
        "state": facts["state"],
        "place": facts["place"],
        "site": facts["site"],
        "available_from": at(facts["available_from"]),
        "kit": facts["kit"],
        "created_at": at(facts["created_at"]),
        "expires_at": at(facts["expires_at"]),
        "ended_at": at(facts["ended_at"]),
        "slot": None if facts["starts_at"] is None else slot(facts),
        "needs_approval": facts["approval"] == "asked",
        "forgiven": facts["forgiven_at"] is not None,
        "appealed": facts["appealed_at"] is not None,
    }
    if who.works_at(facts["place_id"]):
        written["phone"] = facts["phone"]
    return written


def event(facts: Mapping[str, Any], unit: str) -> dict[str, Any]:
    """What was done to a reservation of a listing in `unit`, by whom, by which door, when and why; no phone number."""
    names = ("verb", "role", "door", "acted_by", "who")
    more = facts["facts"]
    said = {"at": at(facts["at"]), **{name: facts[name] for name in names}, "reason": more.get("reason")}
    if "quantity" in more:
        said.update(quantity=catalog.amount(more["quantity"]), unit=unit)
    if "expires_at" in more:
        said["expires_at"] = at(more["expires_at"])
    return said


def entry(facts: Mapping[str, Any]) -> dict[str, Any]:
    """What somebody entered for; `id` is the ticket by which it is drawn and published."""
    return {
        "id": facts["ticket"],
        "draw": facts["draw"],
        "listing": facts["listing"],
        "title": facts["title"],
        "quantity": catalog.amount(facts["quantity"]),
        "unit": facts["unit"],
        "state": facts["state"],
        "rank": facts["rank"],
        "reason": facts["reason"] or None,
        "draws_at": at(facts["closes_at"]),
        "created_at": at(facts["created_at"]),
        "ended_at": at(facts["ended_at"]),
    }


def waiting(facts: Mapping[str, Any], who: Actor) -> dict[str, Any]:
    """A place in a queue; the phone number only for the staff of the listing's place."""
    written = {
        "id": facts["reference"],
        "listing": facts["listing"],
        "title": facts["title"],
        "quantity": catalog.amount(facts["quantity"]),
        "unit": facts["unit"],
        "slot": None if facts["starts_at"] is None else slot(facts),
        "rank": facts["rank"],
        "state": facts["state"],
        "offered_until": at(facts["offer_expires_at"]),
        "place": facts["place"],
        "created_at": at(facts["created_at"]),
        "ended_at": at(facts["ended_at"]),
    }
    if who.works_at(facts["place_id"]):
        written["phone"] = facts["phone"]
    return written


def alert(facts: Mapping[str, Any]) -> dict[str, Any]:
    """A saved search, each of its fields (null: not asked for)."""
    numbers = {name: read_number(facts["asked"].get(name, "")) for name in ("radius_km", "min_quantity")}
    return {
        "id": facts["reference"],
        **{name: facts["asked"].get(name) for name in alerts.ASKED},
        **{name: None if number is None else float(number) for name, number in numbers.items()},
        "created_at": at(facts["created_at"]),
        "ends_at": at(facts["ends_at"]),
        "told_on": facts["told_on"] or None,
    }


def place(facts: Mapping[str, Any]) -> dict[str, Any]:
    """A place, public facts only."""
    names = (
        "code", "name", "label", "typology", "address", "postcode", "commune", "commune_name", "opening_hours", "services",
        "phone", "website", "summary", "source",
    )  # fmt: skip
    return {**{name: facts[name] for name in names}, "lat": facts["latitude"], "lon": facts["longitude"]}


def site(facts: Mapping[str, Any]) -> dict[str, Any]:
    """A site."""
    names = (
        "code", "kind", "name", "commune", "address", "starts_on", "ends_on", "owner", "description", "source", "place",
        "opening_hours",
    )  # fmt: skip
    return {
        **{name: facts[name] for name in names},
        "available_from": at(facts["available_from"]),
        "lat": facts["latitude"],
        "lon": facts["longitude"],
    }


def project(facts: Mapping[str, Any]) -> dict[str, Any]:
    """A project with its needs."""
    names = ("code", "title", "description", "place", "difficulty", "duration_minutes", "lang")
    needs = [{**need, "quantity": catalog.amount(need["quantity"])} for need in facts["needs"]]
    return {**{name: facts[name] for name in names}, "needs": needs}


def feasibility(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Whether a project can be built, and from what."""
    return {
        "project": facts["project"]["code"],
        "buildable": facts["buildable"],
        "needs": [feasible_need(need) for need in facts["needs"]],
    }


def feasible_need(need: Mapping[str, Any]) -> dict[str, Any]:
    """A need beside what there is of it."""
    return {
        **{name: need[name] for name in ("category", "unit", "booked")},
        **{name: catalog.amount(need[name]) for name in ("quantity", "available", "missing")},
        "listings": [share.lot.code for share in need["shares"]],
        "shares": [
            {
                "listing": share.lot.code,
                "title": share.lot.title,
                "quantity": catalog.amount(share.quantity),
                "place": share.lot.place,
            }
            for share in need["shares"]
        ],
    }


def callback(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Somebody who waits for a call: for the staff of their place alone."""
    names = ("place", "phone", "name", "language", "words")
    times = {name: at(facts[name]) for name in ("created_at", "done_at")}
    return {"id": facts["reference"], **{name: facts[name] for name in names}, **times}


def gift(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Something offered: for the staff of its place alone."""
    names = ("code", "title", "unit", "category", "status", "place", "text", "phone", "name", "language")
    return {
        **{name: facts[name] for name in names},
        "quantity": catalog.amount(facts["quantity"]),
        "created_at": at(facts["created_at"]),
    }


def synonym(facts: Mapping[str, Any]) -> dict[str, Any]:
    """A word and its meaning."""
    return {"word": facts["word"], "means": facts["means"], "created_at": at(facts["created_at"])}

"""Files out: listings, places, projects and reservations as CSV (RFC 4180), read page by page however many there are.

Listings and projects have the columns that the importers read: a file that came out goes back in and changes nothing.
No phone number of a person and no pickup code leaves by here.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Mapping
from typing import IO, Any

from circular import catalog, clock, db, places, projects, reservations
from circular.imports import listings as listing_files
from circular.imports import others as other_files
from circular.imports import places as place_files
from circular.imports.tables import guard
from circular.people import Actor
from circular.text import shorten

PAGE = 500
KINDS = ("listings", "places", "projects", "reservations")
TOWN = Actor(None, "admin", "cli")
RESERVATION_COLUMNS = (
    "id", "listing", "title", "quantity", "picked_quantity", "unit", "state", "place", "created_at", "expires_at",
    "ended_at",
)  # fmt: skip

Row = dict[str, object]


def export(kind: str, stream: IO[str]) -> None:
    """Write every thing of a kind (one of KINDS) to a text stream that leaves CR LF as it is.

    Cells that a spreadsheet would run as a formula get a leading ', which the importers take off again.
    Raises: KeyError for another kind.
    """
    columns, rows = EXPORTS[kind]
    writer = csv.writer(stream)
    writer.writerow(columns)
    for row in rows():
        writer.writerow([_cell(row.get(column)) for column in columns])


def _cell(value: object) -> str:
    return "" if value is None else guard(str(value))


def _paged(read: Callable[[int, int], list[dict[str, Any]]]) -> Iterator[dict[str, Any]]:
    """Everything that `read(after, limit)` gives by keyset over ids."""
    after = 0
    while page := read(after, PAGE):
        yield from page
        after = page[-1]["id"]


def _listings() -> Iterator[Row]:
    for listing in _paged(catalog.stored):
        quantities = {name: catalog.amount(listing[name]) for name in ("quantity", "min_quantity", "step_quantity")}
        yield {
            **listing,
            **quantities,
            "hazards": "|".join(f"{hazard['kind']}:{hazard['state']}" for hazard in listing["hazards"]),
            "dimensions": " ".join(f"{name}={millimetres}" for name, millimetres in listing["dimensions"].items()),
            "mass_kg": None if listing["mass_g"] is None else catalog.amount(listing["mass_g"]),
            "lat": listing["latitude"],
            "lon": listing["longitude"],
            "available_from": _at(listing, "available_from"),
            "available_until": _at(listing, "available_until"),
            "builder_min_quantity": listing["builder_min_quantity"] and catalog.amount(listing["builder_min_quantity"]),
            "resident_share_until": _at(listing, "resident_share_until"),
        }


def _places() -> Iterator[Row]:
    """As the mednum standard 1.0.2 has them. What it wants and we do not know is left to be seen, not made up."""
    for place in _paged(places.find_places):
        yield {
            "id": place["code"],
            "pivot": place["pivot"] or place_files.UNKNOWN_PIVOT,
            "nom": place["name"],
            "commune": place["commune_name"],
            "code_postal": place["postcode"],
            "code_insee": place["commune"],
            "adresse": place["address"],
            "latitude": place["latitude"],
            "longitude": place["longitude"],
            "typologie": place["typology"],
            "telephone": place["phone"],
            "site_web": place["website"],
            "horaires": place["opening_hours"],
            "presentation_resume": shorten(place["summary"], place_files.RESUME_LIMIT),
            "source": place["source"],
            "date_maj": db.from_ms(place["updated_at"]).date().isoformat(),
            "services": "|".join(place["services"]),
            "autres_formations_labels": place["label"],
        }


def _projects() -> Iterator[Row]:
    for project in _paged(lambda after, limit: projects.find("", after, limit)):
        needs = (f"{need['category']}:{catalog.amount(need['quantity'])}:{need['unit']}" for need in project["needs"])
        yield {**project, "needs": "|".join(needs)}


def _reservations() -> Iterator[Row]:
    """Newest first."""
    for found in _paged(lambda after, limit: reservations.find(TOWN, reservations.Filter(after=after, limit=limit))):
        yield {
            **found,
            "id": found["reference"],
            "quantity": catalog.amount(found["quantity"]),
            "picked_quantity": catalog.amount(found["picked_quantity"]),
            "created_at": _at(found, "created_at"),
            "expires_at": _at(found, "expires_at"),
            "ended_at": _at(found, "ended_at"),
        }


def _at(facts: Mapping[str, Any], name: str) -> str | None:
    """A time of some facts as RFC 3339, or None."""
    return None if facts[name] is None else clock.rfc3339(db.from_ms(facts[name]))


EXPORTS: dict[str, tuple[tuple[str, ...], Callable[[], Iterator[Row]]]] = {
    "listings": (listing_files.COLUMNS, _listings),
    "places": (place_files.COLUMNS, _places),
    "projects": (other_files.PROJECT_COLUMNS, _projects),
    "reservations": (RESERVATION_COLUMNS, _reservations),
}

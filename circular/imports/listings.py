"""Listings from a file: columns named as the listing's fields."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import IO

from circular import catalog
from circular.errors import FieldErrors
from circular.imports.damage import is_damaged
from circular.imports.loading import Cells, Identity, load
from circular.imports.report import Report
from circular.imports.tables import read_table
from circular.people import Actor

REQUIRED = ("kind", "title", "category", "quantity", "unit", "place")
FIELDS = (
    "kind", "title", "description", "category", "condition", "quantity", "unit", "min_quantity", "step_quantity", "place",
    "site", "price_cents", "currency", "hazards", "dimensions", "mass_kg", "available_from", "available_until",
    "opening_hours", "builder_min_quantity", "resident_share", "resident_share_until", "lang", "lat", "lon", "status",
)  # fmt: skip
COLUMNS = ("external_id", "code", *FIELDS)  # what an export holds
ALIASES = {"latitude": "lat", "longitude": "lon"}
COMPUTED = ("available", "photos", "co2e_kg", "created_at", "updated_at")  # in what the API writes; not read back
EXTERNAL_ID_LIMIT = 120


def import_listings(
    actor: Actor, stream: IO[bytes], *, dry_run: bool = False, progress: Callable[[int, int], None] | None = None
) -> Report:
    """Add the listings of a CSV or XLSX, or bring those with the same `external_id` (of their place) or `code` up to date.

    Each batch of rows is a transaction of its own; call outside of any. `progress` hears how many rows of how many are done.
    Raises: Refusal("wrong_role" | "unreadable_file" | "missing_columns").
    """
    actor.require("staff")
    table = read_table(stream, REQUIRED)
    fields = {column: ALIASES.get(column, column) for column in table.columns}
    fields = {column: field for column, field in fields.items() if field in FIELDS}

    def put(cells: Cells) -> str:
        _check(cells)
        values = {field: cells[column] for column, field in fields.items()}
        return catalog.put(actor, values, cells.get("external_id") or None, cells.get("code") or None)

    return load(
        table,
        put,
        _identity,
        known={*COLUMNS, *ALIASES, *COMPUTED},
        columns={field: column for column, field in fields.items()},
        dry_run=dry_run,
        progress=progress,
        apart=contextlib.nullcontext,
        together=lambda batch: catalog.bulk(
            [(cells["place"], cells["external_id"]) for cells in batch if cells.get("external_id")]
        ),
    )


def _check(cells: Cells) -> None:
    """What only a file can have wrong. Raises: Refusal("invalid")."""
    errors = FieldErrors()
    if len(cells.get("external_id", "")) > EXTERNAL_ID_LIMIT:
        errors.add("external_id", "too_long", limit=EXTERNAL_ID_LIMIT)
    for name in ("title", "description"):
        if is_damaged(cells.get(name, "")):
            errors.add(name, "mojibake")
    errors.refuse()


def _identity(cells: Cells) -> Identity | None:
    if cells.get("external_id"):
        return Identity("external_id", (cells["place"], cells["external_id"]))
    return Identity("code", cells["code"]) if cells.get("code") else None

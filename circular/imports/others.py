"""Rules of slots, projects, sites, communes, categories from files; and the whole of a town from a folder (`flask seed`)."""

from __future__ import annotations

import functools
import json
import pathlib
import re
from collections.abc import Callable, Mapping
from typing import IO, Any

from circular import catalog, categories, places, projects, settings, slots
from circular.checks import MISSING, Fields, read_number
from circular.errors import FieldErrors, Refusal
from circular.imports.listings import import_listings
from circular.imports.loading import Cells, Identity, load
from circular.imports.places import import_places
from circular.imports.report import Report
from circular.imports.tables import read_table
from circular.people import Actor

PROJECT_COLUMNS = (
    "external_id", "code", "title", "description", "place", "difficulty", "duration_minutes", "lang", "needs",
)  # fmt: skip
SITE_COLUMNS = (
    "code", "kind", "name", "commune", "address", "latitude", "longitude", "starts_on", "ends_on", "owner", "description",
    "source", "available_from", "opening_hours",
)  # fmt: skip
COMMUNE_REQUIRED = ("insee", "name", "postcodes", "latitude", "longitude", "population")
COMMUNE_COLUMNS = (*COMMUNE_REQUIRED, "also")
CATEGORY_COLUMNS = (
    "code", "parent", "unit", *settings.LANGUAGES, "unverified", "waste_code", "co2e_kg_per_kg", "co2e_source",
)  # fmt: skip
RULE_COLUMNS = (
    "place", "external_id", "parent", "step_minutes", "longest_minutes", "notice_minutes", "horizon_days",
    "buffer_minutes", "quota_minutes", "cancel_minutes", "training",
)  # fmt: skip
POINT = {"lat": "latitude", "lon": "longitude"}
LABEL_LIMIT = 80


def _by(column: str) -> Callable[[Cells], Identity | None]:
    return lambda cells: Identity(column, cells[column]) if cells.get(column) else None


# --- projects ---------------------------------------------------------------------------------------------------------
def import_projects(stream: IO[bytes], *, dry_run: bool = False) -> Report:
    """Add projects or bring those with the same `external_id` or `code` up to date.

    `needs` is written `bois-planche:3:piece|quincaillerie-vis:0.5:kg`.
    Raises: Refusal("unreadable_file" | "missing_columns").
    """
    table = read_table(stream, ("title", "needs"))

    def identity(cells: Cells) -> Identity | None:
        return _by("external_id")(cells) or _by("code")(cells)

    return load(table, _put_project, identity, known=PROJECT_COLUMNS, dry_run=dry_run)


def _put_project(cells: Cells) -> str:
    values = dict(cells)
    external_id, code = values.pop("external_id", "") or None, values.pop("code", "") or None
    if code is not None:
        errors = FieldErrors()
        if not catalog.is_code(code):
            errors.add("code", "bad_code")
        elif catalog.code_in_use(code) and not _is_project(code):
            errors.add("code", "code_taken")
        errors.refuse()
    return projects.put(values, external_id, code)


def _is_project(code: str) -> bool:
    try:
        projects.get(code)
    except Refusal:
        return False
    return True


# --- sites ------------------------------------------------------------------------------------------------------------
def import_sites(stream: IO[bytes], *, dry_run: bool = False) -> Report:
    """Add sites or bring them up to date; `commune` is an INSEE code.

    Raises: Refusal("unreadable_file" | "missing_columns").
    """
    table = read_table(stream, ("code", "kind", "name"))
    return load(table, _put_site, _by("code"), known=SITE_COLUMNS, columns=POINT, dry_run=dry_run)


def _put_site(cells: Cells) -> str:
    fields = Fields(cells)
    _check_code(fields)
    fields.errors.refuse()
    return places.put_site(cells["code"], _with_point(cells))


def _with_point(cells: Cells) -> dict[str, str]:
    return {**cells, "lat": cells.get("latitude", ""), "lon": cells.get("longitude", "")}


def _check_code(fields: Fields, name: str = "code") -> None:
    fields.text(name, 40, required=True)
    if name in fields.clean and not places.CODE.fullmatch(fields.clean[name]):
        fields.errors.add(name, "pattern", pattern=places.CODE.pattern)


# --- communes ---------------------------------------------------------------------------------------------------------
def import_communes(stream: IO[bytes], *, dry_run: bool = False) -> Report:
    """Add communes or bring them up to date; `postcodes` joined by |, and so are the other names in `also`.

    Raises: Refusal("unreadable_file" | "missing_columns").
    """
    table = read_table(stream, COMMUNE_REQUIRED)
    known = {commune["insee"]: commune for commune in places.communes()}
    return load(
        table,
        functools.partial(_put_commune, known),
        _by("insee"),
        known=COMMUNE_COLUMNS,
        columns=POINT,
        dry_run=dry_run,
    )


def _put_commune(known: Mapping[str, dict[str, Any]], cells: Cells) -> str:
    fields = Fields(_with_point(cells))
    for name in ("lat", "lon", "population"):
        fields.raw(name, required=True)
    fields.coordinates()
    fields.whole("population")
    fields.text("name", 60, required=True)
    for name, pattern in (("insee", "[0-9]{5}"), ("postcodes", r"[0-9]{5}(\|[0-9]{5})*")):
        fields.text(name, 60, required=True)
        if name in fields.clean and not re.fullmatch(pattern, fields.clean[name]):
            fields.errors.add(name, "pattern", pattern=pattern)
    fields.text("also", 200)
    clean = {"also": "", **fields.done()}
    stored = known.get(clean["insee"])
    if stored == {**clean, **{name: places.names(clean[name]) for name in ("postcodes", "also")}}:
        return "unchanged"
    places.put_commune(clean)
    return "updated" if stored else "created"


# --- categories -------------------------------------------------------------------------------------------------------
def import_categories(stream: IO[bytes], *, dry_run: bool = False) -> Report:
    """Add categories or bring them up to date, in the file's order; a parent stands before its children.

    Columns `fr` … `pt` are labels (an empty one falls back to French), `unverified` languages joined by |.
    Raises: Refusal("unreadable_file" | "missing_columns").
    """
    table = read_table(stream, ("code", "parent", "unit", "fr"))
    order: list[str] = []
    return load(table, functools.partial(_put_category, order), _by("code"), known=CATEGORY_COLUMNS, dry_run=dry_run)


def _put_category(order: list[str], cells: Cells) -> str:
    """`order` gathers the codes of the rows so far: a dry run rolls them back, and their children still need them."""
    fields = Fields(cells)
    _check_code(fields)
    fields.text("parent", 40)
    parent = fields.clean.get("parent")
    if parent and parent not in order and not categories.exists(parent):
        fields.errors.add("parent", "unknown_category", value=parent)
    fields.choice("unit", catalog.UNITS, required=True)
    for language in settings.LANGUAGES:
        fields.text(language, LABEL_LIMIT, required=language == "fr")
    labels = {language: fields.clean.pop(language, "") for language in settings.LANGUAGES}
    fields.text("unverified", 60)
    if not {*fields.clean.get("unverified", "").split("|")} <= {"", *settings.LANGUAGES}:
        fields.errors.add("unverified", "unknown_choice", choices=", ".join(settings.LANGUAGES))
    fields.text("waste_code", 20)
    _check_factor(fields)
    fields.text("co2e_source", 200)
    clean = fields.done()
    if clean["code"] not in order:
        order.append(clean["code"])
    clean["labels"] = json.dumps({key: label for key, label in labels.items() if label}, ensure_ascii=False)
    return categories.put({**clean, "position": order.index(clean["code"])})


def _check_factor(fields: Fields) -> None:
    """`co2e_kg_per_kg`, zero or more, or empty: not known."""
    value = fields.raw("co2e_kg_per_kg")
    if value is MISSING:
        return
    number = read_number(value)
    if number is None:
        fields.errors.add("co2e_kg_per_kg", "not_a_number")
    elif number < 0:
        fields.errors.add("co2e_kg_per_kg", "not_negative")
    else:
        fields.clean["co2e_kg_per_kg"] = float(number)


# --- slots ------------------------------------------------------------------------------------------------------------
def import_rules(actor: Actor, stream: IO[bytes], *, dry_run: bool = False) -> Report:
    """Set how listings are booked for a time; `external_id` and `parent` are what `place` calls them.

    Raises: Refusal("wrong_role" | "unreadable_file" | "missing_columns").
    """
    actor.require("staff")
    table = read_table(stream, ("place", "external_id"))

    def identity(cells: Cells) -> Identity:
        return Identity("external_id", (cells["place"], cells["external_id"]))

    return load(table, functools.partial(slots.put_rules, actor), identity, known=RULE_COLUMNS, dry_run=dry_run)


# --- a town -----------------------------------------------------------------------------------------------------------
def seed(folder: pathlib.Path) -> dict[str, Report]:
    """Load communes, categories, places, sites, listings, their rules and projects from the CSVs of a folder, in this
    order.

    Wrong rows are in the reports. Raises: FileNotFoundError, Refusal("unreadable_file" | "missing_columns").
    """
    town = Actor(None, "admin", "cli")
    importers: dict[str, Callable[[IO[bytes]], Report]] = {
        "communes": import_communes,
        "categories": import_categories,
        "places": import_places,
        "sites": import_sites,
        "listings": functools.partial(import_listings, town),
        "rules": functools.partial(import_rules, town),
        "projects": import_projects,
    }
    reports = {}
    for name, load_file in importers.items():
        with (folder / f"{name}.csv").open("rb") as file:
            reports[name] = load_file(file)
    return reports

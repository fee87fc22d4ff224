"""The catalogue: listings of materials, tools, machines, rooms and workshops.

Quantities are thousandths of the listing's unit inside (`milli`), masses grams, times milliseconds since 1970 UTC.
A listing's facts are a dict with the contract's field names; doors write them in their own form.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

import orjson
from peewee import BigAutoField, BigIntegerField, FloatField, IntegerField, TextField
from stdnum import damm

from circular import categories, clock, db, measures, places, ranges, search, settings, vocabulary
from circular.checks import MILLI, MISSING, Fields, read_number
from circular.errors import FieldErrors, Refusal
from circular.people import Actor
from circular.text import analyse

KINDS = ("material", "tool", "machine", "room", "workshop")
BOOKED = KINDS[1:]  # for a time (slots.py)
CONDITIONS = ("as_new", "good", "to_repair", "parts")
UNITS = ("piece", "m", "m2", "m3", "kg", "t", "lot")
WHOLE_UNITS = ("piece", "lot")
STATUSES = ("draft", "published", "withdrawn")
HAZARDS = ("asbestos", "lead", "termites", "treated_wood", "sharp", "dust")
HAZARD_STATES = ("tested_clear", "none_declared", "unknown", "suspected", "declared")
DIMENSIONS = ("length_mm", "width_mm", "height_mm", "thickness_mm", "diameter_mm")
TITLE_LIMIT = 200
EXTERNAL_ID_LIMIT = 120
T = TypeVar("T")
FIRST_NUMBER = 1000  # so that a code has 5 digits or more: a bare number is never ambiguous


class Counter(db.Table):
    """The last number given, by name: `code` of listings and projects, `categories` for their changes."""

    name = TextField(primary_key=True)
    last = BigIntegerField()


class Listing(db.Table):
    """One lot. `version` is the lock that a reservation takes by writing it; `revision` counts what staff changed."""

    id = BigAutoField()
    code = TextField(unique=True)
    external_id = TextField(null=True)
    place_id = BigIntegerField()
    site_id = BigIntegerField(null=True)
    kind = TextField()
    title = TextField()
    description = TextField()
    category = TextField()
    condition = TextField()
    quantity = BigIntegerField()
    imported_quantity = BigIntegerField(null=True)  # what the last import said, so that importing it again adds nothing
    unit = TextField()
    min_quantity = BigIntegerField()
    step_quantity = BigIntegerField()
    price_cents = BigIntegerField()
    currency = TextField()
    hazards = TextField()
    dimensions = TextField()
    mass_g = BigIntegerField(null=True)
    latitude = FloatField(null=True)
    longitude = FloatField(null=True)
    available_from = BigIntegerField(null=True)
    available_until = BigIntegerField(null=True)
    opening_hours = TextField()
    builder_min_quantity = BigIntegerField(null=True)
    resident_share = IntegerField(default=0)  # percent kept for residents
    resident_share_until = BigIntegerField(null=True)  # None: until `available_from`, if there is one
    lang = TextField()
    status = TextField()
    allocation = TextField(default="first_come")  # how it is given out now (draws.py)
    title_terms = TextField()
    terms = TextField()
    version = BigIntegerField(default=0)
    revision = IntegerField(default=1)
    created_at = db.UtcDateTimeField()
    updated_at = db.UtcDateTimeField()


class FreshListing(db.Table):
    """A listing that was published and that no saved search has looked at yet (alerts.py takes them from here)."""

    listing_id = BigIntegerField(primary_key=True)
    published_at = db.UtcDateTimeField()


# --- availability -----------------------------------------------------------------------------------------------------
# A live reservation: prepared, or held and not yet lapsed. A lapsed hold stops counting by itself (the parameter is the
# present in milliseconds), so no timer is needed for correctness.
LIVE = "r.state IN ('held', 'prepared') AND (r.state = 'prepared' OR r.expires_at > ?)"
RESERVED = (
    f"CAST(COALESCE((SELECT SUM(r.quantity) FROM reservation r WHERE r.listing_id = l.id AND r.starts_at IS NULL "
    f"AND {LIVE}), 0) AS BIGINT)"
)
FREE = f"(l.quantity - {RESERVED})"
# What is free goes to those who wait for it (waitlist.py) before anybody else, as far as there is enough for each of them:
# it is kept for them as soon as it is free, whenever the offer is written. A live offer is kept until it is ended.
QUEUED = "w.state IN ('waiting', 'offered')"
KEPT = (
    f"CAST(COALESCE((SELECT SUM(w.quantity) FROM waiting w WHERE w.listing_id = l.id AND w.starts_at IS NULL AND {QUEUED} "
    f"AND (w.state = 'offered' OR (w.suspended_at IS NULL AND w.quantity <= {FREE}))), 0) AS BIGINT)"
)
AVAILABLE = f"({FREE} - {KEPT})"  # to anybody; its parameters: the present, twice

LATITUDE = "COALESCE(l.latitude, s.latitude, p.latitude)"
LONGITUDE = "COALESCE(l.longitude, s.longitude, p.longitude)"


class Row(NamedTuple):
    """A listing as a query of ROW brings it: what a list is put in order by, and what it shows."""

    id: int
    code: str
    external_id: str | None
    kind: str
    title: str
    description: str
    category: str
    condition: str
    quantity: int
    unit: str
    available: int  # less than nothing where more is reserved than there is
    min_quantity: int
    step_quantity: int
    price_cents: int
    currency: str
    hazards: str  # JSON, as `dimensions`
    dimensions: str
    mass_g: int | None
    latitude: float | None
    longitude: float | None
    available_from: int | None
    available_until: int | None
    opening_hours: str
    builder_min_quantity: int | None
    resident_share: int
    resident_share_until: int | None
    lang: str
    status: str
    allocation: str
    created_at: int
    updated_at: int
    place: str
    site: str | None


_ELSEWHERE = {
    "available": AVAILABLE, "latitude": LATITUDE, "longitude": LONGITUDE, "place": "p.code", "site": "s.code",
}  # fmt: skip
ROW = ", ".join(f"{_ELSEWHERE.get(name, f'l.{name}')} AS {name}" for name in Row._fields)  # its parameters: AVAILABLE's
# What a listing's facts hold besides.
_MORE = {
    "version": "l.version", "revision": "l.revision", "place_id": "l.place_id", "place_phone": "p.phone",
    "place_name": places.WHERE_NAME, "place_hours": places.WHERE_HOURS,
}  # fmt: skip
COLUMNS = ", ".join([ROW, *(f"{column} AS {name}" for name, column in _MORE.items())])
_NAMES = (*Row._fields, *_MORE)
JOINS = "JOIN place p ON p.id = l.place_id LEFT JOIN site s ON s.id = l.site_id"


# --- codes ------------------------------------------------------------------------------------------------------------
def next_code() -> str:
    """The next free number with its Damm check digit: listings and projects share one number space."""
    shared = _bulk.get()
    if shared is not None:
        return shared.codes.next()
    while True:
        number = db.value("UPDATE counter SET last = last + 1 WHERE name = 'code' RETURNING last")
        if number is None:
            db.insert_once(Counter, name="code", last=FIRST_NUMBER - 1)
            continue
        code = _with_check_digit(number)
        if not code_in_use(code):
            return code


def _with_check_digit(number: int) -> str:
    return f"{number}{damm.calc_check_digit(str(number))}"


def code_in_use(code: str) -> bool:
    shared = _bulk.get()
    return (shared is not None and code in shared.codes.given) or bool(_used((code,)))


def _used(codes: Sequence[str]) -> set[str]:
    """Those of the codes that a listing or a project has."""
    marks = ", ".join("?" * len(codes))
    query = (
        f"SELECT code FROM listing WHERE code IN ({marks}) UNION ALL SELECT code FROM project WHERE code IN ({marks})"
    )
    return {str(code) for (code,) in db.rows(query, *codes, *codes)}


def code_of(listing_id: int) -> str:
    """The code of a listing by its id."""
    return str(db.value("SELECT code FROM listing WHERE id = ?", listing_id))


def code_named(place: str, external_id: str) -> str | None:
    """The code of the listing to which a place gave this `external_id`."""
    query = "SELECT l.code FROM listing l JOIN place p ON p.id = l.place_id WHERE p.code = ? AND l.external_id = ?"
    found = db.value(query, place, external_id)
    return None if found is None else str(found)


def is_code(text: str) -> bool:
    """True for 5 to 18 digits whose last is the Damm check digit (`stdnum.damm`)."""
    return bool(re.fullmatch(r"[0-9]{5,18}", text)) and bool(damm.is_valid(text))


# --- reading ----------------------------------------------------------------------------------------------------------
class Fresh(NamedTuple):
    """A listing that was published: when, and every word that finds it."""

    id: int
    published_at: int
    words: str


def take_fresh(limit: int) -> list[Fresh]:
    """Listings published since they were last taken, the first `limit`. What went off the catalogue is passed over.

    Call inside a transaction, one at a time.
    """
    taken = db.rows(
        "DELETE FROM fresh_listing WHERE listing_id IN (SELECT listing_id FROM fresh_listing ORDER BY listing_id LIMIT ?) "
        "RETURNING listing_id, published_at",
        limit,
    )
    words = "SELECT title_terms || ' ' || terms FROM listing WHERE id = ? AND status = 'published'"
    found = [(*row, db.value(words, row[0])) for row in sorted(taken)]
    return [Fresh(*row) for row in found if row[-1] is not None]


Tree = categories.Tree


class Reading(NamedTuple):
    """How listings are read from the tables: `columns` (ROW, and what may follow it), and what is made of their rows."""

    columns: str
    read: Callable[[Iterable[Row], Tree], list[dict[str, Any]]]


def facts_of(rows: Iterable[tuple[Any, ...]], tree: Tree | None = None) -> list[dict[str, Any]]:
    """Rows of COLUMNS as facts."""
    known = categories.tree() if tree is None else tree
    found = [dict(zip(_NAMES, row, strict=True)) for row in rows]
    for listing in found:
        listing["available"] = max(0, listing["available"])
        listing["hazards"] = unpacked(listing["hazards"])
        listing["dimensions"] = unpacked(listing["dimensions"])
        listing["co2e_kg"] = co2e_kg(listing["mass_g"], listing["quantity"], known.get(listing["category"]))
    return found


FACTS = Reading(COLUMNS, facts_of)


def rows_of(found: Iterable[tuple[Any, ...]]) -> list[Row]:
    """What a query of ROW, or of more, brings. `Row._make` would count and take three times as long."""
    return [tuple.__new__(Row, row) for row in found]


def unpacked(text: str) -> Any:
    """Hazards or dimensions from their JSON, of which most listings have none."""
    return [] if text == "[]" else {} if text == "{}" else orjson.loads(text)


def get(code: str, actor: Actor | None = None) -> dict[str, Any]:
    """One listing: a published one for everybody, any for the staff of its place.

    Raises: Refusal("bad_code" | "no_such_listing").
    """
    found = _get(code)
    if found is None or (found["status"] != "published" and not (actor and actor.works_at(found["place_id"]))):
        known = re.fullmatch(r"[0-9]{5,18}", code) and not damm.is_valid(code)
        raise Refusal("bad_code" if known else "no_such_listing", code=code)
    return found


def _get(code: str) -> dict[str, Any] | None:
    now = clock.now_ms()
    found = db.row(f"SELECT {COLUMNS} FROM listing l {JOINS} WHERE l.code = ?", now, now, code)
    return None if found is None else facts_of([found])[0]


def free(listing_id: int) -> int:
    """Thousandths of a listing that nobody has reserved: for those who wait first, then for anybody."""
    return int(db.value(f"SELECT {FREE} FROM listing l WHERE l.id = ?", clock.now_ms(), listing_id) or 0)


def offered_to(listing_id: int, person_id: int) -> int:
    """Thousandths of a listing that are offered at this moment to a person who waited: nobody else can have them."""
    now = clock.now_ms()
    offered = db.value(
        "SELECT quantity FROM waiting WHERE listing_id = ? AND person_id = ? AND state = 'offered' "
        "AND starts_at IS NULL AND offer_expires_at > ?",
        listing_id, person_id, now,
    )  # fmt: skip
    return 0 if offered is None else max(0, min(offered, free(listing_id)))


def for_builders(listing: Mapping[str, Any]) -> tuple[int, int]:
    """Thousandths of a listing that somebody who builds for a living must take at least, and may take at most.

    Of all there was, what was picked up included, a share is kept for residents until its day. The most is what builders
    may still have of the rest, also while somebody else holds it.
    """
    minimum = max(listing["min_quantity"], listing["builder_min_quantity"] or 0)
    now = db.to_ms(clock.now())
    until = listing["resident_share_until"] or listing["available_from"]
    if not listing["resident_share"] or (until is not None and until <= now):
        return minimum, int(listing["quantity"])
    by_builders = "EXISTS (SELECT 1 FROM token t WHERE t.person_id = r.person_id AND t.role = 'builder')"
    collected, theirs = db.row(
        f"SELECT COALESCE(SUM(r.picked_quantity), 0), COALESCE(SUM(CASE WHEN {by_builders} THEN r.picked_quantity END), 0) "
        "FROM reservation r WHERE r.listing_id = ? AND r.picked_quantity > 0",
        listing["id"],
    ) or (0, 0)
    held = db.value(
        f"SELECT COALESCE(SUM(r.quantity), 0) FROM reservation r WHERE r.listing_id = ? AND {LIVE} AND {by_builders}",
        listing["id"], now,
    )  # fmt: skip
    kept = -(-(listing["quantity"] + int(collected)) * listing["resident_share"] // 100)
    most = listing["quantity"] + int(collected) - kept - int(theirs) - int(held)
    return minimum, max(0, most)


def stored(after: int = 0, limit: int = 500) -> list[dict[str, Any]]:
    """Listings as they were written, drafts too, from the one after id `after`: what a file can bring back.

    Their own coordinates, not those of the place; without what was withdrawn or is used up (quantity 0).
    """
    query = (
        "SELECT l.*, p.code AS place, s.code AS site FROM listing l JOIN place p ON p.id = l.place_id "
        "LEFT JOIN site s ON s.id = l.site_id "
        "WHERE l.id > ? AND l.status <> 'withdrawn' AND l.quantity > 0 ORDER BY l.id LIMIT ?"
    )
    found = db.dicts(query, after, limit)
    for listing in found:
        listing["hazards"] = json.loads(listing["hazards"])
        listing["dimensions"] = json.loads(listing["dimensions"])
    return found


def co2e_kg(mass_g: int | None, quantity: int, category: categories.Facts | None) -> float | None:
    """Upper bound of the CO2e (kg) that making a lot anew would emit: mass x the category's sourced factor.

    None when the mass or the factor is not known: never guessed.
    """
    if mass_g is None or category is None or category.co2e_kg_per_kg is None:
        return None
    mass_kg: float = mass_g / 1000 * quantity / MILLI
    return round(mass_kg * category.co2e_kg_per_kg, 1)


# --- writing ----------------------------------------------------------------------------------------------------------
def check(values: Mapping[str, Any], *, partial: bool = False, unit: str = "") -> dict[str, Any]:
    """Clean fields of a listing; `unit` is the present one in a revision. Raises: Refusal("invalid" | "hazard")."""
    timezone = settings.get().timezone
    fields = Fields(values, partial=partial)
    fields.choice("kind", KINDS, required=True)
    fields.text("title", TITLE_LIMIT, required=True)
    fields.text("description", 2000)
    fields.text("category", 40, required=True)
    category = fields.clean.get("category")
    if category and category not in _tree():
        fields.errors.add("category", "unknown_category", value=category)
    fields.choice("condition", CONDITIONS, default="good")
    fields.choice("unit", UNITS, required=True)
    whole = fields.clean.get("unit", unit) in WHOLE_UNITS
    fields.milli("quantity", whole=whole, required=True)
    smallest = MILLI if whole else 1
    fields.milli("min_quantity", whole=whole, default=smallest)
    fields.milli("step_quantity", whole=whole, default=smallest)
    fields.whole("price_cents", default=0)
    fields.text("currency", 3, default="EUR")
    if not re.fullmatch(r"[A-Za-z]{3}", fields.clean.get("currency", "EUR")):
        fields.errors.add("currency", "currency")
    fields.milli("builder_min_quantity", whole=whole, default=None)
    fields.whole("resident_share", most=100, default=0)
    fields.moment("resident_share_until", timezone, end_of_day=True)
    _check_hazards(fields)
    _check_dimensions(fields)
    _check_mass(fields)
    fields.coordinates()
    fields.moment("available_from", timezone)
    fields.moment("available_until", timezone, end_of_day=True)
    if (fields.clean.get("available_until") or 2**62) < (fields.clean.get("available_from") or 0):
        fields.errors.add("available_until", "end_before_start")
    places.check_opening_hours(fields)
    fields.choice("lang", settings.LANGUAGES, default="fr")
    fields.choice("status", ("draft", "published"), default="published")
    for name, table in (("place", "place"), ("site", "site")):
        _check_reference(fields, name, table)
    return fields.done()


def _check_reference(fields: Fields, name: str, table: str) -> None:
    fields.text(name, 40, required=name == "place", default=None)
    if name not in fields.clean:
        return
    code = fields.clean.pop(name)
    found = None if code is None else _id_of(table, code)
    fields.clean[f"{name}_id"] = found
    if code is not None and found is None:
        fields.errors.add(name, f"unknown_{name}", value=code)


def _id_of(table: str, code: str) -> int | None:
    """The number of a place or site."""
    found: int | None = _recall((table, code), lambda: db.value(f"SELECT id FROM {table} WHERE code = ?", code))
    return found


def _check_hazards(fields: Fields) -> None:
    """Hazards as objects {kind, state}, or text: `asbestos` (declared), `asbestos:suspected|lead:declared`."""
    value = fields.raw("hazards", "[]")
    if not isinstance(value, str | list | tuple):
        if "hazards" not in fields.clean and value is not MISSING:
            fields.errors.add("hazards", "hazard", kinds=", ".join(HAZARDS), states=", ".join(HAZARD_STATES))
        return
    entries = value.split("|") if isinstance(value, str) else value
    hazards = []
    for entry in entries:
        kind, state = _read_hazard(entry)
        if kind not in HAZARDS or state not in HAZARD_STATES:
            fields.errors.add("hazards", "hazard", kinds=", ".join(HAZARDS), states=", ".join(HAZARD_STATES))
            return
        hazards.append({"kind": kind, "state": state})
    fields.clean["hazards"] = json.dumps(hazards)


def _read_hazard(entry: object) -> tuple[str, str]:
    if isinstance(entry, Mapping):
        kind, state = entry.get("kind", entry.get("type", "")), entry.get("state", entry.get("status", "declared"))
    else:
        kind, _, state = str(entry).partition(":")
    return str(kind).strip().lower(), str(state).strip().lower() or "declared"


def _check_dimensions(fields: Fields) -> None:
    """Dimensions as an object, or text `length_mm=2000 width_mm=200`."""
    value = fields.raw("dimensions", "{}")
    if isinstance(value, str):
        value = dict(pair.partition("=")[::2] for pair in value.replace(";", " ").split())
    if value is MISSING:
        return
    if not isinstance(value, Mapping):
        fields.errors.add("dimensions", "dimensions", names=", ".join(DIMENSIONS))
        return
    dimensions: dict[str, int] = {}
    for name, given in value.items():
        number = read_number(given)
        if name not in DIMENSIONS or number is None or number != int(number) or not 0 < number < 10**6:
            fields.errors.add("dimensions", "dimensions", names=", ".join(DIMENSIONS))
            return
        dimensions[name] = int(number)
    fields.clean["dimensions"] = json.dumps(dimensions)


def _check_mass(fields: Fields) -> None:
    """`mass_kg`, the mass of one unit, kept in grams."""
    present = "mass_kg" in fields.values
    fields.milli("mass_kg", whole=False)
    if present or not fields.partial:
        fields.clean["mass_g"] = fields.clean.pop("mass_kg", None)


def blocking_hazard(hazards: list[dict[str, str]]) -> bool:
    """Asbestos or lead, declared or suspected: nobody may take it (design/domain.md §9, publish gate)."""
    return any(
        hazard["kind"] in ("asbestos", "lead") and hazard["state"] in ("suspected", "declared") for hazard in hazards
    )


def publish(actor: Actor, values: Mapping[str, Any]) -> dict[str, Any]:
    """Add a listing, by the staff of its place; published at once unless `status` is draft.

    Raises: Refusal("wrong_role" | "not_your_place" | "invalid" | "hazard" | "code_taken").
    """
    actor.require("staff")
    clean = check(values)
    external_id = _check_external_id(values)
    if not actor.works_at(clean["place_id"]):
        raise Refusal("not_your_place", place=values.get("place"))
    if clean["available_from"] is None:
        clean["available_from"] = _day_of_site(clean["site_id"])
    with db.transaction():
        query = "SELECT 1 FROM listing WHERE place_id = ? AND external_id = ?"
        if external_id and db.value(query, clean["place_id"], external_id):
            errors = FieldErrors()
            errors.add("external_id", "code_taken")
            errors.refuse()
        return _must(_insert(clean, None, external_id))


def _site_has_day(site_id: int) -> bool:
    return db.value("SELECT available_from FROM site WHERE id = ?", site_id) is not None


def _day_of_site(site_id: int | None) -> int | None:
    """When the materials of a site can be fetched, while that is to come."""
    found: int | None = db.value("SELECT available_from FROM site WHERE id = ?", site_id) if site_id else None
    return found if found is not None and found > db.to_ms(clock.now()) else None


def propose(values: Mapping[str, Any]) -> dict[str, Any]:
    """Add a draft that somebody who does not work here offers: nobody else sees it until staff publish it.

    Call inside a transaction. Raises: Refusal("invalid").
    """
    return _must(_insert(check({**values, "status": "draft"}), None, None))


def scrap(code: str, title: str) -> None:
    """Withdraw a draft of which nothing may be kept but its number: `title` replaces its words. Inside a transaction."""
    lock(code)
    _rewrite(_must(code), {"status": "withdrawn", "title": title, "description": ""})


def _check_smallest(listing: Mapping[str, Any], errors: FieldErrors) -> None:
    """Minimum and step must suit the unit, and the minimum the quantity that there is."""
    whole = listing["unit"] in WHOLE_UNITS
    for name in ("min_quantity", "step_quantity", "builder_min_quantity"):
        if whole and (listing[name] or 0) % MILLI:
            errors.add(name, "whole_number")
    if listing["min_quantity"] > listing["quantity"] and listing["status"] != "withdrawn":
        errors.add("min_quantity", "too_big", limit=amount(listing["quantity"]))


def _check_external_id(values: Mapping[str, Any]) -> str | None:
    """The town's own number of a listing, or None. Raises: Refusal("invalid")."""
    fields = Fields({"external_id": values.get("external_id")})
    fields.text("external_id", EXTERNAL_ID_LIMIT, default=None)
    found: str | None = fields.done()["external_id"]
    return found


def _insert(clean: dict[str, Any], code: str | None, external_id: str | None) -> str:
    """Insert a checked listing and index it; its code. Call inside a transaction."""
    _gate(clean)
    errors = FieldErrors()
    _check_smallest(clean, errors)
    if code is not None and not is_code(code):
        errors.add("code", "bad_code")
    elif code is not None and code_in_use(code):
        errors.add("code", "code_taken")
    errors.refuse()
    now = clock.now_ms()
    terms = _terms(clean)
    row = {
        **clean,
        "code": code or next_code(),
        "external_id": external_id,
        "title_terms": terms[0],
        "terms": terms[1],
        "version": 0,
        "revision": 1,
        "created_at": now,
        "updated_at": now,
    }
    shared = _bulk.get()
    if shared is None:
        _write_rows([row])
        return str(row["code"])
    shared.rows.append(row)
    shared.codes.given.add(row["code"])
    shared.waiting.add((row["place_id"], external_id))
    return str(row["code"])


def _write_rows(rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows of the same columns, all in one statement, and index them."""
    names, marks = ", ".join(rows[0]), f"({', '.join('?' * len(rows[0]))})"
    written = db.rows(
        f"INSERT INTO listing ({names}) VALUES {', '.join([marks] * len(rows))} RETURNING id, code",
        *(row[name] for row in rows for name in rows[0]),
    )
    terms = {row["code"]: (row["title_terms"], row["terms"]) for row in rows}
    for listing_id, code in sorted(written):
        _index(listing_id, None, terms[code])


def _gate(listing: Mapping[str, Any]) -> None:
    if listing["status"] == "published" and blocking_hazard(orjson.loads(listing["hazards"])):
        raise Refusal("hazard")


def _terms(listing: Mapping[str, Any]) -> tuple[str, str]:
    """The tokens of the title (its words, what they name, what the listing is), and those of everything else; none unless
    published.
    """
    if listing["status"] != "published":
        return "", ""
    place_id, language = listing["place_id"], listing["lang"]
    category, lexicon = _tree().get(listing["category"]), _recall("lexicon", vocabulary.lexicon)
    sort = tuple(listing[name] for name in ("category", "kind", "condition", "unit"))
    title, description = analyse(listing["title"]), analyse(listing["description"])
    named = lexicon.mentioned(title, language, foreign=True)
    has = lexicon.counted(title, named)
    named = [term for term in named if term not in has]
    described = [*lexicon.mentioned(description, language), *has]
    filed = category.filed if category else frozenset()
    parts = {title[term.start] for term in has}
    said = [*map(search.word, title), *(lexicon.mention[one] for one in lexicon.meaning(title, named, language))]
    titled = [
        *said,
        *map(search.titled, dict.fromkeys(word for word in said if word not in parts)),
        *map(search.titled, measures.sections_of(listing["title"])),
        *map(search.begun, title[:1]),
        *(lexicon.head[one] for one in lexicon.heads(named, filed, language)),
        *(lexicon.inner[one] for one in lexicon.inside(title, named, language)),
    ]
    dimensions = orjson.loads(listing["dimensions"])
    longest = search.longest(listing["title"], dimensions)
    seats = measures.seats_of(listing["title"]) if listing["kind"] != "material" else 0
    others = [
        *dict.fromkeys(map(search.word, description)),
        *(lexicon.told[one] for one in lexicon.meaning(description, described, language)),
        *_recall(("place terms", place_id), lambda: _place_terms(place_id)),
        *(
            _recall(("site terms", listing["site_id"]), lambda: _site_terms(listing["site_id"]))
            if listing["site_id"]
            else ()
        ),
        _recall(("sort terms", *sort), lambda: _sort_terms(category, *sort)),
        *map(search.size, dict.fromkeys(search.sizes_of(listing["title"], dimensions))),
        *([ranges.length(longest)] if longest else ()),
        *([ranges.seats(seats)] if seats else ()),
        ranges.quantity(listing["quantity"]),
        ranges.price(listing["price_cents"]),
        *_squares(listing),
    ]
    if not listing["price_cents"]:
        others.append(search.facet("g", "free"))
    return " ".join(titled), " ".join(others)


def _squares(listing: Mapping[str, Any]) -> list[str]:
    """The tokens of where a listing is: itself, else its site, else its place, as LATITUDE and LONGITUDE say."""
    site_id, place_id = listing["site_id"], listing["place_id"]
    found = _recall(("point", site_id, place_id), lambda: places.point_of(place_id, site_id)) or (None, None)
    own = (listing["latitude"], listing["longitude"])
    latitude, longitude = (here if here is not None else there for here, there in zip(own, found, strict=True))
    return [] if latitude is None or longitude is None else ranges.squares(latitude, longitude)


def _sort_terms(facts: categories.Facts | None, category: str, kind: str, condition: str, unit: str) -> str:
    """The words of a category, and a facet token for each sort that a listing is of."""
    filed = facts.terms if facts else search.facet("c", category)
    return " ".join((filed, search.facet("k", kind), search.facet("s", condition), search.facet("u", unit)))


def _place_terms(place_id: int) -> list[str]:
    """The words of a place and of its commune, and a facet token for each."""
    name, commune, insee = db.row(
        "SELECT p.name, c.name, c.insee FROM place p LEFT JOIN commune c ON c.insee = p.commune WHERE p.id = ?",
        place_id,
    ) or ("", "", "")
    return [
        *map(search.word, analyse(f"{name} {commune or ''}")),
        search.facet("p", place_id),
        search.facet("m", insee or ""),
    ]


def _site_terms(site_id: int) -> list[str]:
    """The words of the site that a listing comes from: `ancien hôpital`."""
    return list(map(search.word, analyse(db.value("SELECT name FROM site WHERE id = ?", site_id) or "")))


_Change = tuple[int, tuple[str, str] | None, tuple[str, str]]  # listing, its words in the index before and after


# --- many at once -----------------------------------------------------------------------------------------------------
class _Codes:
    """The numbers that a batch gives: the counter is read once, which locks it until the batch commits, and written once."""

    def __init__(self) -> None:
        self.given: set[str] = set()
        self._last: int | None = None
        self._free: list[str] = []  # those of the next numbers that nothing has, the next one last

    def next(self) -> str:
        """The next free code."""
        while not self._free:
            if self._last is None:
                db.insert_once(Counter, name="code", last=FIRST_NUMBER - 1)
                self._last = int(db.value("UPDATE counter SET last = last WHERE name = 'code' RETURNING last"))
            codes = [_with_check_digit(self._last + n) for n in range(1, BLOCK + 1)]
            self._last += BLOCK
            used = _used(codes) | self.given
            self._free = [code for code in reversed(codes) if code not in used]
        return self._free.pop()

    def close(self) -> None:
        """Write the counter: what was not given is free for others."""
        if self._last is not None:
            last = int(self._free[-1][:-1]) - 1 if self._free else self._last
            db.run("UPDATE counter SET last = ? WHERE name = 'code'", last)


@dataclass
class _Bulk:
    """What the puts of a batch share: what they looked up, the rows that wait for the table and the words for the index."""

    recalled: dict[object, Any] = field(default_factory=dict)
    named: dict[tuple[int, str], dict[str, Any] | None] = field(default_factory=dict)  # by place and external_id
    codes: _Codes = field(default_factory=_Codes)
    rows: list[dict[str, Any]] = field(default_factory=list)
    waiting: set[tuple[int, str | None]] = field(default_factory=set)  # whose rows these are
    words: list[_Change] = field(default_factory=list)

    def write(self) -> None:
        """Write the rows that wait."""
        for start in range(0, len(self.rows), BLOCK):
            _write_rows(self.rows[start : start + BLOCK])
        self.rows.clear()
        self.named = {name: found for name, found in self.named.items() if name not in self.waiting}
        self.waiting.clear()


BLOCK = 100  # rows of one statement; codes that are looked up together
_bulk: ContextVar[_Bulk | None] = ContextVar("bulk", default=None)


@contextlib.contextmanager
def bulk(names: Iterable[tuple[str, str]] = ()) -> Iterator[None]:
    """Many `put`s inside one transaction: references are looked up once, and so are the listings of `names` (place,
    external_id); rows and words are written at the end, together.

    A row costs 2 statements instead of 8, most of which peewee takes longer to hand on than the engine to execute; and
    FTS5 writes a segment at every savepoint that follows a change. Measured: 1,300 rows/s with one savepoint a row, 6,000
    with words at the end, 10,000 so.
    """
    shared = _Bulk()
    token = _bulk.set(shared)
    try:
        _recall_named(shared, names)
        yield
        shared.write()
        shared.codes.close()
    finally:
        _bulk.reset(token)
    _write_index(shared.words)


def _recall_named(shared: _Bulk, names: Iterable[tuple[str, str]]) -> None:
    wanted: dict[str, list[str]] = {}
    for place, external_id in names:
        wanted.setdefault(place, []).append(external_id)
    for place, external_ids in wanted.items():
        place_id = _id_of("place", place)
        if place_id is not None:
            query = (
                f"SELECT * FROM listing WHERE place_id = ? AND external_id IN ({', '.join('?' * len(external_ids))})"
            )
            shared.named.update({(place_id, external_id): None for external_id in external_ids})
            for found in db.dicts(query, place_id, *external_ids):
                shared.named[place_id, found["external_id"]] = found


def _find_named(place_id: int, external_id: str) -> dict[str, Any] | None:
    """The listing of a place with an `external_id`, as it is stored."""
    shared = _bulk.get()
    if shared is not None:
        if (place_id, external_id) in shared.waiting:
            shared.write()
        elif (place_id, external_id) in shared.named:
            return shared.named[place_id, external_id]
    query = "SELECT * FROM listing WHERE place_id = ? AND external_id = ?"
    return next(iter(db.dicts(query, place_id, external_id)), None)


def _recall(key: object, read: Callable[[], T]) -> T:
    """What `read` gives; inside `bulk`, what it gave for the same key."""
    shared = _bulk.get()
    if shared is None:
        return read()
    if key not in shared.recalled:
        shared.recalled[key] = read()
    return shared.recalled[key]  # type: ignore[no-any-return]


def _tree() -> Mapping[str, categories.Facts]:
    return _recall("categories", categories.tree)


def _index(listing_id: int, old: tuple[str, str] | None, new: tuple[str, str]) -> None:
    """Bring the index up to date: the last step of a write, so that no refusal follows it."""
    shared = _bulk.get()
    if shared is None:
        _write_index([(listing_id, old, new)])
    else:
        shared.words.append((listing_id, old, new))


def _write_index(changes: list[_Change]) -> None:
    """Write words to the index, and note which listings were published: only those have words."""
    known = vocabulary.lexicon().meanings
    strange: dict[str, None] = {}
    for listing_id, old, new in changes:
        search.put(listing_id, old, new)
        strange.update(dict.fromkeys(word for word in new[0].split() if word not in known))
    search.note_words(list(strange))
    fresh = [listing_id for listing_id, old, new in changes if new[1] and not (old and old[1])]
    if fresh:
        rows, now = ", ".join(["(?, ?)"] * len(fresh)), clock.now_ms()
        params = (param for listing_id in fresh for param in (listing_id, now))
        db.run(f"INSERT INTO fresh_listing (listing_id, published_at) VALUES {rows} ON CONFLICT DO NOTHING", *params)


def _must(code: str) -> dict[str, Any]:
    found = _get(code)
    assert found is not None
    return found


def lock(code: str) -> None:
    """Take a listing's lock by writing it, first of all: measured, reading first sold 12 of 10 on PostgreSQL.

    Raises: Refusal("bad_code" | "no_such_listing").
    """
    if not db.run("UPDATE listing SET version = version + 1 WHERE code = ?", code):
        known = re.fullmatch(r"[0-9]{5,18}", code) and not damm.is_valid(code)
        raise Refusal("bad_code" if known else "no_such_listing", code=code)


def lock_all(listing_ids: Iterable[int]) -> None:
    """Take the locks of several listings, by id: whoever takes them in one order never waits for another in a ring."""
    for listing_id in sorted(set(listing_ids)):
        db.run("UPDATE listing SET version = version + 1 WHERE id = ?", listing_id)


def _take(actor: Actor, code: str) -> dict[str, Any]:
    """Lock a listing that the staff of its place want to change. One that is not published exists for them alone.

    Raises: Refusal("bad_code" | "no_such_listing" | "not_your_place").
    """
    lock(code)
    found = get(code, actor)
    actor.require_place(found["place_id"], found["place"])
    return found


def revise(actor: Actor, code: str, changes: Mapping[str, Any], revision: int | None) -> dict[str, Any]:
    """Change fields of a listing, by the staff of its place; `revision` is the one that was read (None: any).

    Raises: Refusal("no_such_listing" | "wrong_role" | "not_your_place" | "withdrawn" | "stale" | "invalid" | "hazard" |
    "held_for_others").
    """
    actor.require("staff")
    with db.transaction():
        found = _take(actor, code)
        if found["status"] == "withdrawn":
            raise Refusal("withdrawn")
        if revision is not None and revision != found["revision"]:
            raise Refusal("stale")
        if "external_id" in changes and _check_external_id(changes) != found["external_id"]:
            errors = FieldErrors()
            errors.add("external_id", "fixed")
            errors.refuse()
        clean = check(changes, partial=True, unit=found["unit"])
        if "place_id" in clean and not actor.works_at(clean["place_id"]):
            raise Refusal("not_your_place", place=changes.get("place"))
        _rewrite(found, clean)
        return _must(code)


def _rewrite(found: dict[str, Any], clean: dict[str, Any]) -> None:
    """Write checked changes on a locked listing and index it again."""
    promised = _promised(found["id"])
    if clean.get("quantity", found["quantity"]) < promised:
        raise Refusal(
            "held_for_others", listing=found["code"], title=found["title"], reserved=amount(promised), unit=found["unit"],
            people=_holders(found["id"]),
        )  # fmt: skip
    if clean.get("unit", found["unit"]) in WHOLE_UNITS and clean.get("quantity", found["quantity"]) % MILLI:
        errors = FieldErrors()
        errors.add("quantity", "whole_number")
        errors.refuse()
    stored = db.dicts("SELECT * FROM listing WHERE id = ?", found["id"])[0]
    after = {**stored, **clean}
    errors = FieldErrors()
    for column, name in (("unit", "unit"), ("kind", "kind"), ("place_id", "place")):
        if promised and after[column] != stored[column]:  # somebody was promised so many m2, at that place
            errors.add(name, "fixed_while_reserved")
    others = [name for name in ("unit", "kind") if after[name] != stored[name]]
    if others and db.value(f"SELECT 1 FROM waiting w WHERE w.listing_id = ? AND {QUEUED} LIMIT 1", found["id"]):
        for name in others:
            errors.add(name, "fixed_while_reserved")
    if {"unit", "min_quantity", "step_quantity", "builder_min_quantity"} & set(clean):
        _check_smallest(after, errors)
    errors.refuse()
    _gate(after)
    terms = _terms(after)
    changes = {**clean, "title_terms": terms[0], "terms": terms[1], "updated_at": clock.now_ms()}
    assignments = ", ".join(f"{name} = ?" for name in changes)
    old = (stored["title_terms"], stored["terms"])
    db.run(f"UPDATE listing SET revision = revision + 1, {assignments} WHERE id = ?", *changes.values(), found["id"])
    _index(found["id"], old, terms)


def _promised(listing_id: int) -> int:
    """Thousandths that are reserved, or offered to somebody who waited: no count goes below them."""
    offered = (
        "COALESCE((SELECT w.quantity FROM waiting w WHERE w.listing_id = l.id AND w.state = 'offered' "
        "AND w.starts_at IS NULL), 0)"
    )
    return int(db.value(f"SELECT {RESERVED} + {offered} FROM listing l WHERE l.id = ?", clock.now_ms(), listing_id))


def _holders(listing_id: int) -> int:
    """How many people hold some of a listing, or are offered some."""
    return int(
        db.value(
            "SELECT COUNT(DISTINCT person_id) FROM (SELECT r.person_id FROM reservation r WHERE r.listing_id = ? "
            f"AND r.starts_at IS NULL AND {LIVE} UNION ALL SELECT w.person_id FROM waiting w WHERE w.listing_id = ? "
            "AND w.state = 'offered') AS held",
            listing_id, clock.now_ms(), listing_id,
        )
    )  # fmt: skip


def revise_place(actor: Actor, code: str, changes: Mapping[str, Any], revision: int | None) -> dict[str, Any]:
    """Change fields of a place; its listings are then found by its new name, commune and position.

    Raises as places.revise_place.
    """
    with db.transaction():
        found = places.revise_place(actor, code, changes, revision)
        if {"name", "commune", "lat", "lon"} & set(changes):
            reindex("place", int(found["id"]))
        return found


def allocate(listing_id: int, allocation: str) -> None:
    """Note how a listing is given out from now on: a new revision of it. Called with its lock."""
    db.run(
        "UPDATE listing SET allocation = ?, revision = revision + 1, updated_at = ? WHERE id = ? AND allocation <> ?",
        allocation, clock.now_ms(), listing_id, allocation,
    )  # fmt: skip


def reindex(table: str, number: int) -> None:
    """Write the search words of a place's or a site's published listings anew: where it is, and a place's name and commune,
    were copied when each was.
    """
    with db.transaction(), bulk():
        for listing in _locked({"place": "place_id = ?", "site": "site_id = ?"}[table], number):
            _index_anew(listing)


TERMS = 8  # counts up whenever `_terms` says something else of a listing than before


def renew_terms() -> bool:
    """Note which terms listings have; False when they have these already, else they must be written anew."""
    with db.transaction():
        return db.note("terms", TERMS)


def reindex_all() -> None:
    """Have the search words of every listing written anew, batch by batch (`reindex_some`), the newest first: after names
    of categories or communes changed, or the vocabulary. Until then they are found as they were.
    """
    with db.transaction():
        db.note(search.REINDEX, db.value("SELECT COALESCE(MAX(id), 0) FROM listing"))


def reindex_some(limit: int = 500) -> int:
    """Write the search words of the next listings of `reindex_all` anew: how many; 0 when none is left."""
    if not db.value("SELECT last FROM counter WHERE name = ?", search.REINDEX):
        return 0
    with db.transaction(), bulk():
        last = db.value("UPDATE counter SET last = last WHERE name = ? RETURNING last", search.REINDEX)
        found = _locked("id <= ? ORDER BY id DESC LIMIT ?", last, limit)
        for listing in found:
            _index_anew(listing)
        after = min(listing["id"] for listing in found) - 1 if len(found) == limit else 0
        db.run("UPDATE counter SET last = ? WHERE name = ?", after, search.REINDEX)
    return len(found)


def _locked(condition: str, *params: object) -> list[dict[str, Any]]:
    """Published listings, locked by writing them: nobody revises what is about to be indexed."""
    chosen = f"SELECT id FROM listing WHERE status = 'published' AND {condition}"
    return db.dicts(f"UPDATE listing SET version = version + 1 WHERE id IN ({chosen}) RETURNING *", *params)


def _index_anew(listing: Mapping[str, Any]) -> None:
    terms = _terms(listing)
    if terms != (listing["title_terms"], listing["terms"]):
        db.run("UPDATE listing SET title_terms = ?, terms = ? WHERE id = ?", *terms, listing["id"])
        _index(listing["id"], (listing["title_terms"], listing["terms"]), terms)


def of_site(site_id: int, after: int = 0, limit: int = 50) -> list[dict[str, Any]]:
    """The published listings of a site, oldest first."""
    now = db.to_ms(clock.now())
    query = (
        f"SELECT {COLUMNS} FROM listing l {JOINS} "
        "WHERE l.site_id = ? AND l.status = 'published' AND l.id > ? ORDER BY l.id LIMIT ?"
    )
    return facts_of(db.rows(query, now, now, site_id, after, limit))


def move_with_site(site_id: int, before: int | None, day: int | None) -> list[tuple[dict[str, Any], int | None]]:
    """Give a site's new day to its listings that have the old one or are not there yet; each, with what it had.

    What comes down so many days after the site's day still does. One whose time would be over before then has as long as
    it had. Inside a transaction; takes their locks by id.
    """
    now = db.to_ms(clock.now())
    moved = []
    for (listing_id,) in db.rows("SELECT id FROM listing WHERE site_id = ? ORDER BY id", site_id):
        db.run("UPDATE listing SET version = version + 1 WHERE id = ?", listing_id)
        code, had, until, status = db.row(
            "SELECT code, available_from, available_until, status FROM listing WHERE id = ?", listing_id
        ) or ("", None, None, "")
        if status == "withdrawn" or had is None or (had != before and had <= now):
            continue
        behind = 0 if before is None else max(0, had - before)  # what comes down later keeps its distance
        new = had if day is None and behind else None if day is None else day + behind
        if new == had:
            continue
        longer = new - had if until is not None and new is not None and until < new else 0
        db.run(
            "UPDATE listing SET available_from = ?, available_until = available_until + ?, revision = revision + 1, "
            "updated_at = ? WHERE id = ?",
            new, longer, now, listing_id,
        )  # fmt: skip
        moved.append((_must(code), had))
    return moved


def withdraw(actor: Actor, code: str) -> dict[str, Any] | None:
    """Take a listing off the catalogue, by the staff of its place: the listing, or None when it was off already.

    Who held some of it is the affair of `consequences.withdraw_listing`. Call inside a transaction.
    Raises: Refusal("no_such_listing" | "wrong_role" | "not_your_place").
    """
    actor.require("staff")
    found = _take(actor, code)
    if found["status"] == "withdrawn":
        return None
    _rewrite(found, {"status": "withdrawn"})
    return found


def put(actor: Actor, values: Mapping[str, Any], external_id: str | None, code: str | None = None) -> str:
    """Add a listing from a file, or bring the one with this `external_id` (of this place) or `code` up to date.

    A quantity that the last import said already is no news: what has been given away since stays given away. Another
    one is a new count.
    Returns "created", "updated" or "unchanged". Call inside a transaction, and for many inside `bulk`. Raises as `publish`
    and `revise` do, and leaves nothing behind then.
    """
    actor.require("staff")
    clean = check(values)
    if not actor.works_at(clean["place_id"]):
        raise Refusal("not_your_place", place=values.get("place"))
    found = None
    if external_id:
        found = _find_named(clean["place_id"], external_id)
    elif code:
        found = next(iter(db.dicts("SELECT * FROM listing WHERE code = ?", code)), None)
    if found is None:
        _insert({**clean, "imported_quantity": clean["quantity"]}, code, external_id)
        return "created"
    if not actor.works_at(found["place_id"]):
        raise Refusal("not_your_place", place=values.get("place"))
    if clean["quantity"] == found["imported_quantity"]:
        del clean["quantity"]
    for name in ("builder_min_quantity", "resident_share", "resident_share_until"):
        if name not in values:  # a file without these columns says nothing about them
            del clean[name]
    if clean["site_id"] and clean["site_id"] == found["site_id"] and _site_has_day(clean["site_id"]):
        del clean["available_from"]  # the site's day moves it, and those whom it concerns are told
    if found["status"] == "withdrawn" or all(found[name] == value for name, value in clean.items()):
        return "unchanged"
    if "quantity" in clean:
        clean["imported_quantity"] = clean["quantity"]
    with db.transaction():
        lock(found["code"])
        _rewrite(_must(found["code"]), clean)
    return "updated"


# --- amounts ----------------------------------------------------------------------------------------------------------
def amount(milli: int) -> int | float:
    """Thousandths as a JSON number: 12000 -> 12, 2500 -> 2.5."""
    return milli // MILLI if milli % MILLI == 0 else milli / MILLI


def milli_of(value: object, unit: str) -> int:
    """A quantity in a listing's unit, in thousandths.

    Raises: Refusal("quantity_not_positive" | "whole_number_needed").
    """
    number = read_number(value)
    if number is None or not 0 < number <= 10**9 or number * MILLI != int(number * MILLI):
        raise Refusal("quantity_not_positive")
    if unit in WHOLE_UNITS and number != int(number):
        raise Refusal("whole_number_needed", unit=unit)
    return int(number * MILLI)

"""The catalogue: listings of materials, tools, machines, rooms and workshops, and their categories.

Quantities are thousandths of the listing's unit inside (`milli`), masses grams, times milliseconds since 1970 UTC.
A listing's facts are a dict with the contract's field names; doors write them in their own form.
"""

from __future__ import annotations

import contextlib
import functools
import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

import orjson
from peewee import BigAutoField, BigIntegerField, FloatField, IntegerField, TextField
from stdnum import damm

from circular import clock, db, places, search, settings
from circular.checks import MILLI, MISSING, Fields, read_number
from circular.errors import FieldErrors, Refusal
from circular.people import Actor
from circular.text import analyse

KINDS = ("material", "tool", "machine", "room", "workshop")
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


class Category(db.Table):
    """What a thing is, in a tree over the PEMD and REP families. Labels: JSON by language."""

    code = TextField(primary_key=True)
    parent = TextField(default="")
    unit = TextField()
    labels = TextField()
    unverified = TextField(default="")  # languages whose label no native reader has checked, joined by |
    waste_code = TextField(default="")
    co2e_kg_per_kg = FloatField(null=True)
    co2e_source = TextField(default="")
    position = IntegerField(default=0)


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
    f"CAST(COALESCE((SELECT SUM(r.quantity) FROM reservation r WHERE r.listing_id = l.id AND {LIVE}), 0) AS BIGINT)"
)
FREE = f"(l.quantity - {RESERVED})"
# What is free goes to those who wait for it (waitlist.py) before anybody else, as far as there is enough for each of them:
# it is kept for them as soon as it is free, whenever the offer is written. A live offer is kept until it is ended.
QUEUED = "w.state IN ('waiting', 'offered')"
KEPT = (
    f"CAST(COALESCE((SELECT SUM(w.quantity) FROM waiting w WHERE w.listing_id = l.id AND {QUEUED} "
    f"AND (w.state = 'offered' OR w.quantity <= {FREE})), 0) AS BIGINT)"
)
AVAILABLE = f"({FREE} - {KEPT})"  # to anybody; its parameters: the present, twice

LATITUDE = "COALESCE(l.latitude, s.latitude, p.latitude)"
LONGITUDE = "COALESCE(l.longitude, s.longitude, p.longitude)"
COLUMNS = (
    "l.id, l.code, l.external_id, l.kind, l.title, l.description, l.category, l.condition, l.quantity, l.unit, "
    "l.min_quantity, l.step_quantity, l.price_cents, l.currency, l.hazards, l.dimensions, l.mass_g, "
    f"{LATITUDE} AS latitude, {LONGITUDE} AS longitude, "
    "l.available_from, l.available_until, l.opening_hours, l.lang, l.status, l.allocation, l.version, l.revision, "
    "l.created_at, l.updated_at, l.place_id, p.code AS place, p.name AS place_name, p.phone AS place_phone, "
    "p.opening_hours AS place_hours, s.code AS site"
)
JOINS = "JOIN place p ON p.id = l.place_id LEFT JOIN site s ON s.id = l.site_id"


# --- codes ------------------------------------------------------------------------------------------------------------
def next_code() -> str:
    """The next free number with its Damm check digit: listings and projects share one number space."""
    while True:
        number = db.value("UPDATE counter SET last = last + 1 WHERE name = 'code' RETURNING last")
        if number is None:
            db.insert_once(Counter, name="code", last=FIRST_NUMBER - 1)
            continue
        code = f"{number}{damm.calc_check_digit(str(number))}"
        if not code_in_use(code):
            return code


def code_in_use(code: str) -> bool:
    query = "SELECT 1 FROM listing WHERE code = ? UNION ALL SELECT 1 FROM project WHERE code = ?"
    return db.value(query, code, code) is not None


def is_code(text: str) -> bool:
    """True for 5 to 18 digits whose last is the Damm check digit (`stdnum.damm`)."""
    return bool(re.fullmatch(r"[0-9]{5,18}", text)) and bool(damm.is_valid(text))


# --- categories -------------------------------------------------------------------------------------------------------
def put_category(values: Mapping[str, Any]) -> str:
    """Add a category or correct it: "created", "updated" or "unchanged". Call inside a transaction."""
    found = db.dicts("SELECT * FROM category WHERE code = ?", values["code"])
    if found and all(found[0][name] == value for name, value in values.items()):
        return "unchanged"
    db.run("DELETE FROM category WHERE code = ?", values["code"])
    Category.insert(**values).execute()
    db.insert_once(Counter, name="categories", last=0)
    db.run("UPDATE counter SET last = last + 1 WHERE name = 'categories'")
    return "updated" if found else "created"


def categories() -> list[dict[str, Any]]:
    """Every category in the town's order, labels by language."""
    found = db.dicts(
        "SELECT code, parent, unit, labels, unverified, waste_code, co2e_kg_per_kg, co2e_source FROM category "
        "ORDER BY position, code"
    )
    for category in found:
        category["labels"] = json.loads(category["labels"])
        category["unverified"] = [language for language in category["unverified"].split("|") if language]
        category["parent"] = category["parent"] or None
    return found


def category_exists(code: str) -> bool:
    """True when `code` is a category."""
    return _category(code) is not None


class _CategoryFacts(NamedTuple):
    terms: str  # the words of its labels and of its parents', and a facet token for each
    labels: tuple[frozenset[str], ...]  # the words of each of its own labels
    depth: int  # 1 for a family
    co2e_kg_per_kg: float | None


def _category(code: str) -> _CategoryFacts | None:
    return _categories().get(code)


def _categories() -> dict[str, _CategoryFacts]:
    version = _recall("categories", lambda: db.value("SELECT last FROM counter WHERE name = 'categories'"))
    return _category_tree(version, id(db.database.obj))


@functools.lru_cache(maxsize=2)
def _category_tree(_version: int | None, _database: int) -> dict[str, _CategoryFacts]:
    """Facts by category, read again in every process when one was added or corrected."""
    found = {category["code"]: category for category in categories()}
    tree = {}
    for code, category in found.items():
        lineage, parent = [code], category["parent"]
        while parent and parent in found and parent not in lineage:
            lineage.append(parent)
            parent = found[parent]["parent"]
        labels = " ".join(label for ancestor in lineage for label in found[ancestor]["labels"].values())
        terms = [*dict.fromkeys(analyse(labels)), *(search.facet("c", ancestor) for ancestor in lineage)]
        own = tuple(frozenset(analyse(label)) for label in category["labels"].values())
        tree[code] = _CategoryFacts(" ".join(terms), own, len(lineage), category["co2e_kg_per_kg"])
    return tree


def guess_category(text: str) -> str | None:
    """The category that a text names: most of its words in the labels (of the parents too), then a label said whole, then
    the word that comes first, then the narrower; None when no label has a word of it.
    """
    words = search.words(text)
    best, guess = (0, False, 0, 0), None
    for code, category in _categories().items():
        named = [n for n, word in enumerate(words) if any(word in label for label in category.labels)]
        if named:
            terms = set(category.terms.split())
            whole = any(label <= set(words) for label in category.labels)
            rank = (sum(word in terms for word in words), whole, -named[0], category.depth)
            if rank > best:
                best, guess = rank, code
    return guess


# --- reading ----------------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """What somebody looks for. `min_quantity` is in thousandths; `available_on` in milliseconds since 1970."""

    q: str = ""
    kind: str = ""
    category: str = ""
    place: str = ""
    commune: str = ""
    condition: str = ""
    min_quantity: int = 0
    available_on: int | None = None
    near: tuple[float, float] | None = None
    radius_km: float = 10.0
    limit: int = 20
    cursor: str = ""


def query(values: Mapping[str, Any]) -> Query:
    """A query from what a person typed or a link says. Raises: Refusal("invalid") naming each wrong field."""
    fields = Fields({name: value for name, value in values.items() if value not in (None, "")}, partial=True)
    fields.text("q", 200)
    fields.choice("kind", KINDS)
    fields.choice("condition", CONDITIONS)
    fields.text("category", 40)
    if fields.clean.get("category") and not category_exists(fields.clean["category"]):
        fields.errors.add("category", "unknown_category", value=fields.clean["category"])
    fields.text("place", 40)
    if fields.clean.get("place") and db.value("SELECT 1 FROM place WHERE code = ?", fields.clean["place"]) is None:
        fields.errors.add("place", "unknown_place", value=fields.clean["place"])
    fields.text("commune", 60)
    if fields.clean.get("commune"):
        found = places.find_commune(fields.clean["commune"])
        if found is None:
            fields.errors.add("commune", "unknown_commune", value=fields.clean["commune"])
        fields.clean["commune"] = found or ""
    fields.milli("min_quantity", whole=False)
    fields.moment("available_on", settings.get().timezone)
    fields.whole("limit", most=100)
    if fields.clean.get("limit") == 0:
        fields.errors.add("limit", "positive")
    fields.text("cursor", 300)
    _check_near(fields)
    return Query(**fields.done())


def _check_near(fields: Fields) -> None:
    if "near" in fields.values:
        numbers = [read_number(part) for part in str(fields.values["near"]).split(",")]
        if len(numbers) == 2 and numbers[0] is not None and numbers[1] is not None:
            latitude, longitude = float(numbers[0]), float(numbers[1])
            if abs(latitude) <= 90 and abs(longitude) <= 180:
                fields.clean["near"] = (latitude, longitude)
        if "near" not in fields.clean:
            fields.errors.add("near", "near")
    fields.milli("radius_km", whole=False)
    if "radius_km" in fields.clean:
        fields.clean["radius_km"] /= MILLI


class Page(NamedTuple):
    """Listings in order, and where the next page starts (None when this is the last)."""

    items: list[dict[str, Any]]
    next: str | None
    mode: str = search.EXACT


def find(query: Query) -> Page:
    """Published listings that match, title matches first, newest first. Raises: Refusal("bad_cursor")."""
    words = search.words(query.q)
    if query.q.strip() and not words:
        return Page([], None)  # only signs: nothing is called that
    facets = _facets(query)
    start = search.decode_cursor(query.cursor) if query.cursor else None
    modes = (start.mode,) if start else (search.EXACT, search.PREFIX, search.ANY)
    for mode in modes:
        found: list[dict[str, Any]] = []
        in_title = True
        for in_title in (True, False) if words else (True,):
            if start and start.in_title != in_title and not in_title:
                after = None
            elif start and in_title and not start.in_title:
                continue
            else:
                after = start.last_id if start else None
            match = search.match(words, facets, mode, in_title)
            found += _walk(match, query, after, query.limit + 1 - len(found), in_title)
            if len(found) > query.limit:
                break
        if found or not words or (len(words) == 1 and mode == search.PREFIX):
            break
    more = None
    if len(found) > query.limit:
        last = found[query.limit - 1]
        more = search.Cursor(mode, last["in_title"], last["id"]).encode()
    return Page(found[: query.limit], more, mode)


def count(query: Query, page: Page, most: int = 99) -> str:
    """How many listings a first page's query finds in all: "12", or "99+" (counting stops there, so that it stays flat)."""
    if page.next is None and not query.cursor:
        return str(len(page.items))
    words, found = search.words(query.q), 0
    for in_title in (True, False) if words else (True,):
        match = search.match(words, _facets(query), page.mode, in_title)
        sql, params = _statement("1 AS one", match, query, None)
        found += db.value(f"SELECT COUNT(*) FROM ({sql} LIMIT ?) AS counted", *params, most + 1 - found)
    return str(found) if found <= most else f"{most}+"


def tokens(query: Query) -> list[str]:
    """What a listing must hold to match a query exactly: its words, and one token for each facet.

    Nothing when no word and no facet is asked for, or a name made of signs alone, which nothing has.
    """
    words = search.words(query.q)
    return [] if query.q.strip() and not words else [*words, *_facets(query)]


def frequency(token: str, most: int = 1000) -> int:
    """How many published listings hold a word or a facet's token, counted up to `most`."""
    found = 0
    for in_title in (True, False):
        match = search.match([token], [], search.EXACT, in_title)
        sql = f"SELECT 1 AS one FROM {match.source} WHERE {match.condition} LIMIT ?"
        found += db.value(f"SELECT COUNT(*) FROM ({sql}) AS counted", *match.params, most - found)
    return found


def match_of(query: Query, listing_id: int) -> dict[str, Any] | None:
    """The listing of an id if it matches a query exactly, else the newest published after it that does; None if none."""
    words = search.words(query.q)
    for condition, order in (("=", "ASC"), (">", "DESC")):
        best: dict[str, Any] | None = None
        for in_title in (True, False) if words else (True,):
            match = search.match(words, _facets(query), search.EXACT, in_title)
            narrowed = match._replace(
                condition=f"{match.condition} AND {match.order} {condition} ?", params=(*match.params, listing_id)
            )
            sql, params = _statement(f"{COLUMNS}, {AVAILABLE} AS available", narrowed, query, None)
            now = clock.now_ms()
            found = db.dicts(f"{sql} ORDER BY {match.order} {order} LIMIT 1", now, now, *params)
            if found and (best is None or found[0]["id"] > best["id"]):
                best = found[0]
        if best is not None:
            return _facts([best])[0]
    return None


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


def _facets(query: Query) -> list[str]:
    facets = []
    for kind, value in (("k", query.kind), ("c", query.category), ("m", query.commune), ("s", query.condition)):
        if value:
            facets.append(search.facet(kind, value))
    if query.place:
        facets.append(search.facet("p", db.value("SELECT id FROM place WHERE code = ?", query.place) or "none"))
    return facets


def _walk(match: search.Match, query: Query, after: int | None, limit: int, in_title: bool) -> list[dict[str, Any]]:
    sql, params = _statement(f"{COLUMNS}, {AVAILABLE} AS available", match, query, after)
    now = clock.now_ms()
    return _facts(db.dicts(f"{sql} ORDER BY {match.order} DESC LIMIT ?", now, now, *params, limit), in_title)


def _statement(columns: str, match: search.Match, query: Query, after: int | None) -> tuple[str, list[object]]:
    """A query for the listings of a match that pass the filters which no facet token tells, and its parameters."""
    now = clock.now_ms()
    conditions, params = [match.condition], list(match.params)
    if after is not None:
        conditions.append(f"{match.order} < ?")
        params.append(after)
    if query.min_quantity:
        conditions.append(f"{AVAILABLE} >= ?")
        params += [now, now, query.min_quantity]
    if query.available_on is not None:
        conditions.append("(l.available_from IS NULL OR l.available_from <= ?)")
        conditions.append("(l.available_until IS NULL OR l.available_until >= ?)")
        params += [query.available_on, query.available_on]
    if query.near:
        latitude, longitude = query.near
        # Equirectangular distance: within 0.1 % of the great circle at the size of an island (Earth radius 6,371 km).
        north, east = f"({LATITUDE} - ?)", f"({LONGITUDE} - ?)"
        conditions.append(f"({north} * {north} + {east} * {east} * ?) <= ?")
        squeeze = math.cos(math.radians(latitude)) ** 2
        degrees = query.radius_km / 111.195
        params += [latitude, latitude, longitude, longitude, squeeze, degrees * degrees]
    return f"SELECT {columns} FROM {match.source} {JOINS} WHERE {' AND '.join(conditions)}", params


def _facts(found: list[dict[str, Any]], in_title: bool = True) -> list[dict[str, Any]]:
    tree = _categories()
    for listing in found:
        listing["available"] = max(0, listing["available"])
        listing["hazards"] = orjson.loads(listing["hazards"]) if listing["hazards"] != "[]" else []
        listing["dimensions"] = orjson.loads(listing["dimensions"]) if listing["dimensions"] != "{}" else {}
        listing["co2e_kg"] = _co2e_kg(listing, tree.get(listing["category"]))
        listing["in_title"] = in_title
    return found


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
    found = db.dicts(
        f"SELECT {COLUMNS}, {AVAILABLE} AS available FROM listing l {JOINS} WHERE l.code = ?", now, now, code
    )
    return _facts(found)[0] if found else None


def free(listing_id: int) -> int:
    """Thousandths of a listing that nobody has reserved: for those who wait first, then for anybody."""
    return int(db.value(f"SELECT {FREE} FROM listing l WHERE l.id = ?", clock.now_ms(), listing_id) or 0)


def offered_to(listing_id: int, person_id: int) -> int:
    """Thousandths of a listing that are offered at this moment to a person who waited: nobody else can have them."""
    now = clock.now_ms()
    offered = db.value(
        "SELECT quantity FROM waiting WHERE listing_id = ? AND person_id = ? AND state = 'offered' "
        "AND offer_expires_at > ?",
        listing_id, person_id, now,
    )  # fmt: skip
    return 0 if offered is None else max(0, min(offered, free(listing_id)))


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


def _co2e_kg(listing: Mapping[str, Any], category: _CategoryFacts | None) -> float | None:
    """Upper bound of the CO2e (kg) that making this lot anew would emit: mass x the category's sourced factor.

    None when the mass or the factor is not known: never guessed.
    """
    if listing["mass_g"] is None or category is None or category.co2e_kg_per_kg is None:
        return None
    mass_kg: float = listing["mass_g"] / 1000 * listing["quantity"] / MILLI
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
    if category and _category(category) is None:
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
    query = f"SELECT id FROM {table} WHERE code = ?"
    found = None if code is None else _recall((table, code), lambda: db.value(query, code))
    fields.clean[f"{name}_id"] = found
    if code is not None and found is None:
        fields.errors.add(name, f"unknown_{name}", value=code)


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
    with db.transaction():
        query = "SELECT 1 FROM listing WHERE place_id = ? AND external_id = ?"
        if external_id and db.value(query, clean["place_id"], external_id):
            errors = FieldErrors()
            errors.add("external_id", "code_taken")
            errors.refuse()
        return _must(_insert(clean, None, external_id))


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
    for name in ("min_quantity", "step_quantity"):
        if whole and listing[name] % MILLI:
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
    names = ", ".join(row)
    listing_id = db.value(
        f"INSERT INTO listing ({names}) VALUES ({', '.join('?' * len(row))}) RETURNING id", *row.values()
    )
    _index(listing_id, None, terms)
    return str(row["code"])


def _gate(listing: Mapping[str, Any]) -> None:
    if listing["status"] == "published" and blocking_hazard(json.loads(listing["hazards"])):
        raise Refusal("hazard")


def _terms(listing: Mapping[str, Any]) -> tuple[str, str]:
    """The words of the title, and those of everything else with one token for each facet; none unless published."""
    if listing["status"] != "published":
        return "", ""
    place_id = listing["place_id"]
    category = _category(listing["category"])
    words = [
        *dict.fromkeys(analyse(listing["description"])),
        *_recall(("place terms", place_id), lambda: _place_terms(place_id)),
        category.terms if category else search.facet("c", listing["category"]),
        search.facet("k", listing["kind"]),
        search.facet("s", listing["condition"]),
    ]
    return " ".join(analyse(listing["title"])), " ".join(words)


def _place_terms(place_id: int) -> list[str]:
    """The words of a place and of its commune, and a facet token for each."""
    name, commune, insee = db.row(
        "SELECT p.name, c.name, c.insee FROM place p LEFT JOIN commune c ON c.insee = p.commune WHERE p.id = ?",
        place_id,
    ) or ("", "", "")
    return [*analyse(f"{name} {commune or ''}"), search.facet("p", place_id), search.facet("m", insee or "")]


_Change = tuple[int, tuple[str, str] | None, tuple[str, str]]  # listing, its words in the index before and after


# --- many at once -----------------------------------------------------------------------------------------------------
@dataclass
class _Bulk:
    """What the puts of a batch share: what they looked up, and the words that wait for the index."""

    recalled: dict[object, Any] = field(default_factory=dict)
    words: list[_Change] = field(default_factory=list)


_bulk: ContextVar[_Bulk | None] = ContextVar("bulk", default=None)


@contextlib.contextmanager
def bulk() -> Iterator[None]:
    """Many `put`s inside one transaction: references are looked up once, and words reach the index at the end, together.

    FTS5 writes a segment at every savepoint that follows a change: with one savepoint a row, that and the merging of the
    segments took two fifths of the time (1,300 rows/s instead of 2,200).
    """
    shared = _Bulk()
    token = _bulk.set(shared)
    try:
        yield
    finally:
        _bulk.reset(token)
    _write_index(shared.words)


def _recall(key: object, read: Callable[[], T]) -> T:
    """What `read` gives; inside `bulk`, what it gave for the same key."""
    shared = _bulk.get()
    if shared is None:
        return read()
    if key not in shared.recalled:
        shared.recalled[key] = read()
    return shared.recalled[key]  # type: ignore[no-any-return]


def _index(listing_id: int, old: tuple[str, str] | None, new: tuple[str, str]) -> None:
    """Bring the index up to date: the last step of a write, so that no refusal follows it."""
    shared = _bulk.get()
    if shared is None:
        _write_index([(listing_id, old, new)])
    else:
        shared.words.append((listing_id, old, new))


def _write_index(changes: list[_Change]) -> None:
    """Write words to the index, and note which listings were published: only those have words."""
    for listing_id, old, new in changes:
        search.put(listing_id, old, new)
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
    "quantity_below_reserved").
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
        raise Refusal("quantity_below_reserved", reserved=amount(promised))
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
    if after["unit"] != stored["unit"] and db.value(
        f"SELECT 1 FROM waiting w WHERE w.listing_id = ? AND {QUEUED} LIMIT 1", found["id"]
    ):
        errors.add("unit", "fixed_while_reserved")
    if {"unit", "min_quantity", "step_quantity"} & set(clean):
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
    offered = "COALESCE((SELECT w.quantity FROM waiting w WHERE w.listing_id = l.id AND w.state = 'offered'), 0)"
    return int(db.value(f"SELECT {RESERVED} + {offered} FROM listing l WHERE l.id = ?", clock.now_ms(), listing_id))


def revise_place(actor: Actor, code: str, changes: Mapping[str, Any], revision: int | None) -> dict[str, Any]:
    """Change fields of a place; its listings are then found by its new name and commune. Raises as places.revise_place."""
    with db.transaction():
        found = places.revise_place(actor, code, changes, revision)
        if {"name", "commune"} & set(changes):
            reindex(int(found["id"]))
        return found


def allocate(listing_id: int, allocation: str) -> None:
    """Note how a listing is given out from now on: a new revision of it. Called with its lock."""
    db.run(
        "UPDATE listing SET allocation = ?, revision = revision + 1, updated_at = ? WHERE id = ? AND allocation <> ?",
        allocation, clock.now_ms(), listing_id, allocation,
    )  # fmt: skip


def reindex(place_id: int | None = None) -> int:
    """Write the search words of published listings anew (of one place, or all): how many. After a place or a category was
    renamed: their words were copied when each listing was published.
    """
    with db.transaction(), bulk():
        condition = "" if place_id is None else "AND place_id = ?"
        found = db.dicts(
            f"SELECT * FROM listing WHERE status = 'published' {condition} ORDER BY id",
            *(() if place_id is None else (place_id,)),
        )
        for listing in found:
            terms = _terms(listing)
            db.run("UPDATE listing SET title_terms = ?, terms = ? WHERE id = ?", *terms, listing["id"])
            _index(listing["id"], (listing["title_terms"], listing["terms"]), terms)
    return len(found)


def withdraw(actor: Actor, code: str) -> dict[str, Any] | None:
    """Take a listing off the catalogue, by the staff of its place: the listing, or None when it was off already.

    Who held some of it is the affair of `reservations.withdraw_listing`. Call inside a transaction.
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
    and `revise` do.
    """
    actor.require("staff")
    clean = check(values)
    if not actor.works_at(clean["place_id"]):
        raise Refusal("not_your_place", place=values.get("place"))
    found = None
    if external_id:
        query = "SELECT * FROM listing WHERE place_id = ? AND external_id = ?"
        found = next(iter(db.dicts(query, clean["place_id"], external_id)), None)
    elif code:
        found = next(iter(db.dicts("SELECT * FROM listing WHERE code = ?", code)), None)
    if found is None:
        _insert({**clean, "imported_quantity": clean["quantity"]}, code, external_id)
        return "created"
    if not actor.works_at(found["place_id"]):
        raise Refusal("not_your_place", place=values.get("place"))
    if clean["quantity"] == found["imported_quantity"]:
        del clean["quantity"]
    if found["status"] == "withdrawn" or all(found[name] == value for name, value in clean.items()):
        return "unchanged"
    if "quantity" in clean:
        clean["imported_quantity"] = clean["quantity"]
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

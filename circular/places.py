"""Places (tiers-lieux), sites (deconstruction, friche) and communes: where things are, and when one can come."""

from __future__ import annotations

import functools
import json
import re
import secrets
import zoneinfo
from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

import opening_hours
from peewee import BigAutoField, BigIntegerField, FloatField, IntegerField, TextField

from circular import clock, db, settings
from circular.checks import Fields
from circular.errors import FieldErrors, Refusal
from circular.people import Actor
from circular.text import fold

NAMES = "places"  # the counter of changes: a search knows every name of a place and of a commune
SITE_KINDS = ("deconstruction", "friche")
CODE = re.compile(r"[a-z0-9][a-z0-9-]{1,39}")


class Commune(db.Table):
    """A commune by INSEE code. Mind: INSEE 97213 is Le Lamentin, postcode 97213 is Gros-Morne."""

    insee = TextField(primary_key=True)
    name = TextField()
    postcodes = TextField()  # joined by |
    latitude = FloatField()
    longitude = FloatField()
    population = IntegerField()
    also = TextField(default="")  # what else people call it, joined by |


class Place(db.Table):
    """A tiers-lieu: a fab lab, a maison de quartier, an association… `opening_hours` is OSM syntax, local wall time."""

    id = BigAutoField()
    code = TextField(unique=True)
    name = TextField()
    label = TextField(default="")
    typology = TextField(default="")
    address = TextField(default="")
    postcode = TextField(default="")
    commune = TextField(default="")
    latitude = FloatField(null=True)
    longitude = FloatField(null=True)
    opening_hours = TextField(default="")
    closed = TextField(default="")  # rules of its closed days, to follow its hours
    services = TextField(default="[]")
    phone = TextField(default="")
    website = TextField(default="")
    summary = TextField(default="")
    pivot = TextField(default="")
    source = TextField(default="")
    revision = IntegerField(default=1)
    created_at = db.UtcDateTimeField()
    updated_at = db.UtcDateTimeField()


class Site(db.Table):
    """A building that comes down (deconstruction) or a wasteland to reuse (friche). Dates are ISO days."""

    id = BigAutoField()
    code = TextField(unique=True)
    kind = TextField()
    name = TextField()
    commune = TextField(default="")
    address = TextField(default="")
    latitude = FloatField(null=True)
    longitude = FloatField(null=True)
    starts_on = TextField(null=True)
    ends_on = TextField(null=True)
    owner = TextField(default="")
    description = TextField(default="")
    source = TextField(default="")
    place_id = BigIntegerField(null=True)
    available_from = BigIntegerField(null=True)  # when its materials can be fetched, in milliseconds since 1970
    opening_hours = TextField(default="")  # of the hand-over at the site; none: at the listing's place
    revision = IntegerField(default=1)
    created_at = db.UtcDateTimeField()
    updated_at = db.UtcDateTimeField()


# Where a listing is handed over: at its site `s` when that has hours of its own, else at its place `p`.
AT_SITE = "COALESCE(s.opening_hours, '') <> ''"
WHERE_NAME = f"CASE WHEN {AT_SITE} THEN s.name ELSE p.name END"
WHERE_HOURS = f"CASE WHEN {AT_SITE} THEN s.opening_hours ELSE p.opening_hours || p.closed END"


# --- communes ---------------------------------------------------------------------------------------------------------
def communes() -> list[dict[str, Any]]:
    """Every commune, by INSEE code."""
    found = db.dicts("SELECT insee, name, postcodes, latitude, longitude, population, also FROM commune ORDER BY insee")
    return [{**commune, **{name: names(commune[name]) for name in ("postcodes", "also")}} for commune in found]


def names(joined: str) -> list[str]:
    """What is joined by |."""
    return [name for name in joined.split("|") if name]


def points() -> list[tuple[int, str, float | None, float | None]]:
    """Id, name, latitude and longitude of every place, oldest first."""
    return db.rows("SELECT id, name, latitude, longitude FROM place ORDER BY id")


def point_of(place_id: int, site_id: int | None = None) -> tuple[float, float] | None:
    """Latitude and longitude of a site, else of its place; None when nobody wrote them."""
    query = (
        "SELECT COALESCE(s.latitude, p.latitude), COALESCE(s.longitude, p.longitude) FROM place p "
        "LEFT JOIN site s ON s.id = ? WHERE p.id = ?"
    )
    found = db.row(query, site_id, place_id)
    return found if found and None not in found else None


def id_of(code: str) -> int | None:
    """The number of a place by its code; None when there is none."""
    found: int | None = db.value("SELECT id FROM place WHERE code = ?", code)
    return found


def paging(values: Mapping[str, Any]) -> tuple[int, int]:
    """(id after which a page starts, its length) from `cursor` and `limit`. Raises: Refusal("invalid" | "bad_cursor")."""
    fields = Fields(values, partial=True)
    fields.whole("limit", most=100)
    if fields.clean.get("limit") == 0:
        fields.errors.add("limit", "positive")
    clean = fields.done()
    cursor = str(values.get("cursor", "0"))
    if not (cursor.isascii() and cursor.isdigit() and len(cursor) < 19):
        raise Refusal("bad_cursor")
    return int(cursor), clean.get("limit", 20)


def put_commune(values: Mapping[str, Any]) -> None:
    """Add a commune or correct it."""
    fields = {
        name: values[name] for name in ("insee", "name", "postcodes", "latitude", "longitude", "population", "also")
    }
    db.run("DELETE FROM commune WHERE insee = ?", fields["insee"])
    Commune.insert(**fields).execute()
    db.count_up(NAMES)


def find_commune(text: str) -> str | None:
    """INSEE code of a commune given by its code or one of its names (accents, case and the article do not matter)."""
    wanted = _bare_name(text)
    for insee, name, also in db.rows("SELECT insee, name, also FROM commune"):
        if text == insee or wanted in map(_bare_name, (name, *names(also))):
            return str(insee)
    return None


def _bare_name(text: str) -> str:
    return re.sub(r"^(le|la|les|l) ", "", re.sub(r"[^a-z0-9]+", " ", fold(text)).strip())


# --- places -----------------------------------------------------------------------------------------------------------
PLACE_COLUMNS = (
    "p.id, p.code, p.name, p.label, p.typology, p.address, p.postcode, p.commune, c.name AS commune_name, p.latitude, "
    "p.longitude, p.opening_hours, p.services, p.phone, p.website, p.summary, p.pivot, p.source, p.revision, "
    "p.created_at, p.updated_at"
)
PLACE_FROM = "FROM place p LEFT JOIN commune c ON c.insee = p.commune"


def get_place(code: str) -> dict[str, Any]:
    """One place. Raises: Refusal("no_such_place")."""
    found = db.dicts(f"SELECT {PLACE_COLUMNS} {PLACE_FROM} WHERE p.code = ?", code)
    if not found:
        raise Refusal("no_such_place", code=code)
    return _place(found[0])


def by_id(place_id: int | None) -> dict[str, Any] | None:
    """One place by our own number of it, or None."""
    found = db.dicts(f"SELECT {PLACE_COLUMNS} {PLACE_FROM} WHERE p.id = ?", place_id)
    return _place(found[0]) if found else None


def find_places(after: int = 0, limit: int = 50) -> list[dict[str, Any]]:
    """Places by age, from the one after id `after`."""
    query = f"SELECT {PLACE_COLUMNS} {PLACE_FROM} WHERE p.id > ? ORDER BY p.id LIMIT ?"
    return [_place(place) for place in db.dicts(query, after, limit)]


def names_of(table: str, codes: Collection[str]) -> dict[str, str]:
    """Names of places or of communes by their codes; `table` is "place" or "commune"."""
    key = {"place": "code", "commune": "insee"}[table]
    query = f"SELECT {key}, name FROM {table} WHERE {key} IN ({', '.join('?' * len(codes))})"
    return dict(db.rows(query, *codes)) if codes else {}


def named(words: str) -> dict[str, Any] | None:
    """The one place whose name holds every word of a text, articles aside; None when none or several do."""
    asked = set(fold(words).split())
    found = [place for place in find_places() if asked and asked <= set(fold(place["name"]).replace("'", " ").split())]
    return found[0] if len(found) == 1 else None


def _place(found: dict[str, Any]) -> dict[str, Any]:
    found["services"] = json.loads(found["services"])
    return found


def check_place(values: Mapping[str, Any], *, partial: bool = False) -> dict[str, Any]:
    """Clean fields of a place. Raises: Refusal("invalid")."""
    fields = Fields(values, partial=partial)
    fields.text("name", 120, required=True)
    for name, limit in (("label", 120), ("typology", 120), ("address", 200), ("postcode", 10), ("phone", 20)):
        fields.text(name, limit)
    for name, limit in (("website", 300), ("summary", 500), ("pivot", 20), ("source", 200)):
        fields.text(name, limit)
    _check_commune(fields)
    fields.coordinates()
    check_opening_hours(fields)
    services = fields.raw("services", "[]")
    if isinstance(services, list | tuple):
        fields.clean["services"] = json.dumps([str(service)[:120] for service in services], ensure_ascii=False)
    return fields.done()


def check_opening_hours(fields: Fields) -> None:
    """`opening_hours` must be OSM syntax (read by opening-hours-py), or empty."""
    fields.text("opening_hours", 300)
    text = fields.clean.get("opening_hours")
    if text and not opening_hours.validate(text):
        del fields.clean["opening_hours"]
        fields.errors.add("opening_hours", "opening_hours")


def _check_commune(fields: Fields) -> None:
    fields.text("commune", 5)
    insee = fields.clean.get("commune")
    if insee and db.value("SELECT 1 FROM commune WHERE insee = ?", insee) is None:
        fields.errors.add("commune", "unknown_commune", value=insee)


def put_place(code: str, values: Mapping[str, Any]) -> str:
    """Add a place or bring it up to date: "created", "updated" or "unchanged". Raises: Refusal("invalid")."""
    clean = check_place(values)
    found = db.dicts("SELECT * FROM place WHERE code = ?", code)
    now = clock.now()
    if not found:
        _check_code(code)
        Place.insert(code=code, created_at=now, updated_at=now, **clean).execute()
        db.count_up(NAMES)
        return "created"
    if all(found[0][name] == value for name, value in clean.items()):
        return "unchanged"
    Place.update(revision=Place.revision + 1, updated_at=now, **clean).where(Place.code == code).execute()
    db.count_up(NAMES)
    return "updated"


def _check_code(code: str) -> None:
    errors = FieldErrors()
    if not CODE.fullmatch(code):
        errors.add("code", "pattern", pattern=CODE.pattern)
    errors.refuse()


def revise_place(actor: Actor, code: str, changes: Mapping[str, Any], revision: int | None) -> dict[str, Any]:
    """Change fields of a place, by its staff; `revision` is the one that was read (None: any).

    Raises: Refusal("no_such_place" | "wrong_role" | "not_your_place" | "invalid" | "stale").
    """
    with db.transaction():
        found = get_place(code)
        actor.require_place(found["id"], code)
        revise("place", found["id"], revision, check_place(changes, partial=True))
        db.count_up(NAMES)
        return get_place(code)


def revise(table: str, row_id: int, revision: int | None, changes: Mapping[str, Any]) -> None:
    """Write `changes` on a row that is still at `revision`. Raises: Refusal("stale")."""
    assignments = "".join(f", {name} = ?" for name in changes)
    touched = db.run(
        f"UPDATE {table} SET revision = revision + 1, updated_at = ?{assignments} "
        "WHERE id = ? AND (CAST(? AS INTEGER) IS NULL OR revision = ?)",
        db.to_ms(clock.now()),
        *changes.values(),
        row_id,
        revision,
        revision,
    )
    if not touched:
        raise Refusal("stale")


# --- sites ------------------------------------------------------------------------------------------------------------
SITE_COLUMNS = (
    "s.id, s.code, s.kind, s.name, s.commune, s.address, s.latitude, s.longitude, s.starts_on, s.ends_on, s.owner, "
    "s.description, s.source, s.available_from, s.opening_hours, s.place_id, p.code AS place, c.name AS commune_name, "
    "s.revision, s.created_at, s.updated_at"
)
SITE_FROM = "FROM site s LEFT JOIN place p ON p.id = s.place_id LEFT JOIN commune c ON c.insee = s.commune"


def get_site(code: str) -> dict[str, Any]:
    """One site. Raises: Refusal("no_such_site")."""
    found = db.dicts(f"SELECT {SITE_COLUMNS} {SITE_FROM} WHERE s.code = ?", code)
    if not found:
        raise Refusal("no_such_site", code=code)
    return found[0]


def find_sites(after: int = 0, limit: int = 50) -> list[dict[str, Any]]:
    """Sites by age, from the one after id `after`."""
    return db.dicts(f"SELECT {SITE_COLUMNS} {SITE_FROM} WHERE s.id > ? ORDER BY s.id LIMIT ?", after, limit)


def check_site(values: Mapping[str, Any], *, partial: bool = False) -> dict[str, Any]:
    """Clean fields of a site; its code cannot be revised. Raises: Refusal("invalid")."""
    fields = Fields(values, partial=partial)
    if partial and "code" in values:
        fields.errors.add("code", "fixed")
    fields.choice("kind", SITE_KINDS, required=True)
    fields.text("name", 120, required=True)
    for name, limit in (("address", 200), ("owner", 120), ("description", 1000), ("source", 300)):
        fields.text(name, limit)
    _check_commune(fields)
    fields.coordinates()
    fields.day("starts_on")
    fields.day("ends_on")
    fields.moment("available_from", settings.get().timezone)
    check_opening_hours(fields)
    if (fields.clean.get("ends_on") or "9") < (fields.clean.get("starts_on") or "0"):
        fields.errors.add("ends_on", "end_before_start")
    return fields.done()


def open_site(actor: Actor, values: Mapping[str, Any]) -> dict[str, Any]:
    """Add a site, by staff (it becomes their place's) or an admin. Without a `code`, one is made from the name.

    Raises: Refusal("wrong_role" | "invalid" | "code_taken").
    """
    actor.require("staff")
    clean = check_site(values)
    code = str(values.get("code") or slug(clean["name"])[:32])
    _check_code(code)
    with db.transaction():
        now = clock.now()
        inserted = db.insert_once(Site, code=code, place_id=actor.place_id, created_at=now, updated_at=now, **clean)
        if not inserted:
            raise Refusal("code_taken", code=code)
        return get_site(code)


def put_site(code: str, values: Mapping[str, Any]) -> str:
    """Add a site or bring it up to date, from a file: "created", "updated" or "unchanged". Raises: Refusal("invalid")."""
    clean = check_site(values)
    found = db.dicts("SELECT * FROM site WHERE code = ?", code)
    now = clock.now()
    if found:
        del clean["available_from"]  # a changed day must be told to those whom it concerns: `sites.revise` does
        if "opening_hours" not in values:
            del clean["opening_hours"]
    if not found:
        Site.insert(code=code, created_at=now, updated_at=now, **clean).execute()
        return "created"
    if all(found[0][name] == value for name, value in clean.items()):
        return "unchanged"
    Site.update(revision=Site.revision + 1, updated_at=now, **clean).where(Site.code == code).execute()
    return "updated"


def revise_site(actor: Actor, code: str, changes: Mapping[str, Any], revision: int | None) -> dict[str, Any]:
    """Change fields of a site, by the staff of its place or an admin. What that means for its listings, `sites` knows.

    Raises: Refusal("no_such_site" | "wrong_role" | "not_your_place" | "invalid" | "stale").
    """
    with db.transaction():
        found = get_site(code)
        actor.require_place(found["place_id"], found["place"] or code)
        revise("site", found["id"], revision, check_site(changes, partial=True))
        return get_site(code)


def where(place: str, site: str | None) -> dict[str, Any]:
    """Where a listing of a place and a site is handed over, as a place: at a site that has hours, by the place's people."""
    found = get_place(place)
    if site is not None:
        there = get_site(site)
        if there["opening_hours"]:
            names = ("name", "address", "commune_name", "opening_hours", "latitude", "longitude")
            return {**found, "label": "", "postcode": "", **{name: there[name] for name in names}}
    return found


# --- closed days ------------------------------------------------------------------------------------------------------
TIMES = re.compile(
    r"([01]\d|2[0-3]):[0-5]\d-([01]\d|2[0-4]):[0-5]\d(,([01]\d|2[0-3]):[0-5]\d-([01]\d|2[0-4]):[0-5]\d)*"
)
SINGLE_DAYS = ";;"  # what follows it in a place's hours are its closures and other exceptions, day by day
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class Closure(db.Table):
    """Days on which a place is closed, or open at other `hours`: ISO, both included."""

    id = BigAutoField()
    reference = TextField(unique=True)
    place_id = BigIntegerField()
    first_day = TextField()
    last_day = TextField()
    reason = TextField()
    hours = TextField(default="")  # as OpenStreetMap writes times, `09:00-12:00`; empty: closed
    created_at = db.UtcDateTimeField()


def closures(code: str) -> list[dict[str, Any]]:
    """The closed days of a place that are not over. Raises: Refusal("no_such_place")."""
    return db.dicts(
        "SELECT reference, first_day, last_day, reason, hours FROM closure WHERE place_id = ? AND last_day >= ? "
        "ORDER BY first_day, id",
        get_place(code)["id"], _today(),
    )  # fmt: skip


def closed_on(places: Iterable[Mapping[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """The closures of some places that are not over, by the place's code."""
    codes = {place["id"]: place["code"] for place in places}
    query = (
        f"SELECT place_id, first_day, last_day, reason, hours FROM closure WHERE place_id IN ({_marks(codes)}) "
        "AND last_day >= ? ORDER BY first_day, id"
    )
    found: dict[str, list[dict[str, Any]]] = {}
    for one in db.dicts(query, *codes, _today()) if codes else []:
        found.setdefault(codes[one["place_id"]], []).append(one)
    return found


def _marks(values: Collection[object]) -> str:
    return ", ".join("?" * len(values))


def close(actor: Actor, code: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Close a place from a day to another, by its staff, or open it at other hours. What that means for holds and slots
    is the affair of `consequences.close_place`. Inside a transaction.

    Raises: Refusal("no_such_place" | "wrong_role" | "not_your_place" | "invalid").
    """
    place = get_place(code)
    actor.require_place(place["id"], code)
    fields = Fields(values)
    for name in ("from", "to"):
        fields.raw(name, required=True)
        fields.day(name)
    fields.text("reason", 120)
    fields.text("hours", 60)
    clean = {"reason": "", "hours": "", **fields.clean}
    if clean["hours"] and not TIMES.fullmatch(clean["hours"]):
        fields.errors.add("hours", "opening_hours")
    if clean.get("from") and clean.get("to"):
        first, last = date.fromisoformat(clean["from"]), date.fromisoformat(clean["to"])
        if last < first:
            fields.errors.add("to", "end_before_start")
        elif last.isoformat() < _today():
            fields.errors.add("to", "day_over")
        elif last - first > LONGEST_CLOSURE:
            fields.errors.add("to", "too_far", days=LONGEST_CLOSURE.days)
    fields.done()
    made = {"reference": secrets.token_hex(8), "first_day": clean["from"], "last_day": clean["to"],
            "reason": clean["reason"], "hours": clean["hours"]}  # fmt: skip
    db.run(
        "INSERT INTO closure (reference, first_day, last_day, reason, hours, place_id, created_at) "
        "VALUES (?, ?, ?, ?, ?, ?, ?)",
        *made.values(), place["id"], clock.now_ms(),
    )  # fmt: skip
    _write_closed(place["id"])
    return made


LONGEST_CLOSURE = timedelta(days=366)  # a place that closes for longer has no hours any more


def reopen(actor: Actor, code: str, reference: str) -> None:
    """A closure ends; whoever was given more time keeps it. Raises: as `close`, and Refusal("no_such_closure")."""
    with db.transaction():
        place = get_place(code)
        actor.require_place(place["id"], code)
        if not db.run("DELETE FROM closure WHERE reference = ? AND place_id = ?", reference, place["id"]):
            raise Refusal("no_such_closure")
        _write_closed(place["id"])


def _today() -> str:
    return clock.local(clock.now(), settings.get().timezone).date().isoformat()


def _write_closed(place_id: int) -> None:
    """The closed days as rules of OpenStreetMap: a later rule wins over the hours before it."""
    days = db.rows(
        "SELECT first_day, last_day, hours FROM closure WHERE place_id = ? AND last_day >= ? ORDER BY first_day, id",
        place_id, _today(),
    )  # fmt: skip
    rules = "; ".join(f"{_osm_days(first, last)} {hours or 'off'}" for first, last, hours in days)
    db.run("UPDATE place SET closed = ? WHERE id = ?", f"{SINGLE_DAYS} {rules}" if rules else "", place_id)


def _osm_days(first: str, last: str) -> str:
    days = [date.fromisoformat(day) for day in dict.fromkeys((first, last))]
    return "-".join(f"{day.year} {_MONTHS[day.month - 1]} {day.day:02}" for day in days)


def usual(hours: str) -> str:
    """A place's hours of every week, without its single days."""
    return hours.partition(SINGLE_DAYS)[0]


def own_hours(listing: Mapping[str, Any]) -> str:
    """When a listing can be used: at hours of its own, if it has some, but never on a day on which its place is closed."""
    own, place = listing["opening_hours"], str(listing["place_hours"])
    return f"{own}{place[len(usual(place)) :]}" if own else place


def slug(name: str) -> str:
    """`Ancien hôpital` -> `ancien-hopital`: a code that can be typed."""
    return re.sub(r"[^a-z0-9]+", "-", fold(name)).strip("-") or "x"


# --- opening hours ----------------------------------------------------------------------------------------------------
# Public holidays of one territory alone: the abolition of slavery (Code du travail, L3422-2). opening-hours-py 2.1 knows
# France's eleven and no MQ, GP, GF or RE; and `PH` in hours means these as well.
ABOLITION = {"America/Martinique": "May 22", "America/Guadeloupe": "May 27", "America/Cayenne": "Jun 10",
             "Indian/Reunion": "Dec 20", "Indian/Mayotte": "Apr 27"}  # fmt: skip


@functools.lru_cache(maxsize=256)
def _expression(hours: str, timezone: str, country: str) -> opening_hours.OpeningHours:
    """Hours that can be asked. Public holidays are closed unless the hours speak of them, or mean every day (`24/7`)."""
    usually, _, single = hours.partition(SINGLE_DAYS)
    rules = [usually]
    local = ABOLITION.get(timezone) if country == "FR" else None
    if "PH" not in usually and "24/7" not in usually:
        rules.append("PH off")
        rules += [f"{local} off"] if local else []
    elif local:
        rules += [f"{local}{times}" for times in re.findall(r"(?:^|;)\s*(?:\w\w,)*PH(?:,\w\w)*( [^;|]+)", usually)]
    rules += [single] if single else []
    text = "; ".join(rules)
    return opening_hours.OpeningHours(text, timezone=zoneinfo.ZoneInfo(timezone), country=_with_holidays(country))


def _or_default(hours: str) -> str:
    """Hours, DEFAULT_OPENING_HOURS where there are none but on single days."""
    usually, mark, single = hours.partition(SINGLE_DAYS)
    return f"{usually.strip() or settings.get().default_opening_hours}{mark}{single}"


@functools.cache
def _with_holidays(country: str) -> str | None:
    """The country, or None when the library has no public holidays of it (Senegal, say): then none closes a place."""
    try:
        opening_hours.OpeningHours("24/7", country=country)
    except Exception:  # its errors are the extension module's own
        return None
    return country


def closings(hours: str, start: datetime, timezone: str, country: str) -> Iterator[tuple[date, datetime]]:
    """Opening days (local dates) from `start` on, each with its last closing time (aware): what is open past midnight
    belongs to the day on which it opened. Stops after a year without an opening.
    """
    day: date | None = None
    closing = start
    horizon = start + timedelta(days=366)
    for opens, closes, state, _comment in _expression(_or_default(hours), timezone, country).intervals(start, horizon):
        if state != opening_hours.State.OPEN:
            continue
        if closes - opens > timedelta(days=1):  # "24/7": cut it into days
            if day is not None and day != opens.date():
                yield day, closing
            day, closing = opens.date(), opens
            while (midnight := datetime.combine(day + timedelta(days=1), datetime.min.time(), opens.tzinfo)) < closes:
                yield day, midnight - timedelta.resolution
                day, closing = midnight.date(), closes
            continue
        if day is not None and opens.date() != day:
            yield day, closing
        day, closing = opens.date(), closes
    if day is not None:
        yield day, closing


def openings(hours: str, start: datetime, end: datetime) -> Iterator[tuple[datetime, datetime]]:
    """When a place with these hours is open between two moments, in whole openings; `24/7` is cut into local days."""
    chosen = settings.get()
    zone, day = zoneinfo.ZoneInfo(chosen.timezone), timedelta(days=1)
    first = start.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0)
    known = _expression(_or_default(hours), chosen.timezone, chosen.country)
    for opens, closes, state, _comment in known.intervals(first, end.astimezone(zone) + day):
        if state != opening_hours.State.OPEN:
            continue
        since = opens
        while closes - since > day and since < end:
            midnight = datetime.combine(since.date() + day, datetime.min.time(), zone)
            if midnight > start:
                yield since, midnight
            since = midnight
        if closes > start and since < end:
            yield since, closes


def nth_closing(hours: str, start: datetime, days: int) -> datetime:
    """Closing time (UTC) of the `days`-th opening day after the local day of `start`: today never counts, so that
    somebody always has that many whole opening days. Places without hours have DEFAULT_OPENING_HOURS.
    """
    chosen = settings.get()
    day = clock.local(start, chosen.timezone).date()
    return _nth_closing(_or_default(hours), day, days, chosen.timezone, chosen.country)


@functools.lru_cache(maxsize=1024)
def _nth_closing(hours: str, day: date, days: int, timezone: str, country: str) -> datetime:
    tomorrow = datetime.combine(day + timedelta(days=1), datetime.min.time(), zoneinfo.ZoneInfo(timezone))
    count = 0
    for opening_day, closing in closings(hours, tomorrow, timezone, country):
        count += opening_day > day
        if count == days:
            return closing.astimezone(UTC)
    return (tomorrow + timedelta(days=days)).astimezone(UTC)  # never open within a year: calendar days

"""A query, and the listings that fit it in order: what was meant first, then what can be reserved now, then the nearer,
then the newest.

What was typed becomes a wish (wishes.py); it and the filters become expressions of the index (search.py), from what fits
best to what only mentions it; the listings of each are read window by window, so that nothing is ever sorted that is not
shown. Filters that no token tells exactly are compared on the rows that are left.
"""

from __future__ import annotations

import collections
import itertools
import math
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from circular import catalog, categories, clock, db, measures, places, ranges, search, settings, wishes
from circular.checks import MILLI, Fields, read_number
from circular.text import analyse


class Query(NamedTuple):
    """What somebody looks for. `min_quantity` is in thousandths; `available_on` in milliseconds since 1970."""

    q: str = ""
    kind: str = ""
    booked: bool = False  # what is booked for a time alone, of whichever kind
    category: str = ""
    place: str = ""
    commune: str = ""
    condition: str = ""
    min_quantity: int = 0
    price_max_cents: int | None = None
    free: bool | None = None  # False: what costs something
    available: bool = False  # some of it can be reserved now
    available_on: int | None = None
    near: tuple[float, float] | None = None
    radius_km: float = 10.0
    home: tuple[float, float] | None = None  # what is nearer goes first, all else alike; narrows nothing
    limit: int = 20
    cursor: str = ""
    facets: bool = False  # count them too (facets.py)


def query(values: Mapping[str, Any], home: tuple[float, float] | None = None) -> Query:
    """A query from what a person typed or a link says, and where they are known to be.

    Raises: Refusal("invalid") naming each wrong field.
    """
    fields = Fields({name: value for name, value in values.items() if value not in (None, "")}, partial=True)
    for name, read in _READ.items():
        if name in fields.values:
            read(fields)
    return Query(**fields.done(), home=home)


def _read_category(fields: Fields) -> None:
    fields.text("category", 40)
    if fields.clean.get("category") and not categories.exists(fields.clean["category"]):
        fields.errors.add("category", "unknown_category", value=fields.clean["category"])


def _read_place(fields: Fields) -> None:
    fields.text("place", 40)
    if fields.clean.get("place") and places.id_of(fields.clean["place"]) is None:
        fields.errors.add("place", "unknown_place", value=fields.clean["place"])


def _read_commune(fields: Fields) -> None:
    fields.text("commune", 60)
    if fields.clean.get("commune"):
        found = places.find_commune(fields.clean["commune"])
        if found is None:
            fields.errors.add("commune", "unknown_commune", value=fields.clean["commune"])
        fields.clean["commune"] = found or ""


def _read_limit(fields: Fields) -> None:
    fields.whole("limit", most=100)
    if fields.clean.get("limit") == 0:
        fields.errors.add("limit", "positive")


def _read_near(fields: Fields) -> None:
    numbers = [read_number(part) for part in str(fields.values["near"]).split(",")]
    if len(numbers) == 2 and numbers[0] is not None and numbers[1] is not None:
        latitude, longitude = float(numbers[0]), float(numbers[1])
        if abs(latitude) <= 90 and abs(longitude) <= 180:
            fields.clean["near"] = (latitude, longitude)
    if "near" not in fields.clean:
        fields.errors.add("near", "near")


def _read_radius(fields: Fields) -> None:
    fields.milli("radius_km", whole=False)
    if "radius_km" in fields.clean:
        fields.clean["radius_km"] /= MILLI


# How each field of a query is read; most queries have two or three.
_READ: dict[str, Callable[[Fields], None]] = {
    "q": lambda fields: fields.text("q", 200),
    "kind": lambda fields: fields.choice("kind", catalog.KINDS),
    "condition": lambda fields: fields.choice("condition", catalog.CONDITIONS),
    "category": _read_category,
    "place": _read_place,
    "commune": _read_commune,
    "min_quantity": lambda fields: fields.milli("min_quantity", whole=False),
    "price_max_cents": lambda fields: fields.whole("price_max_cents", default=None),
    "free": lambda fields: fields.flag("free"),
    "available": lambda fields: fields.flag("available"),
    "facets": lambda fields: fields.flag("facets"),
    "available_on": lambda fields: fields.moment("available_on", settings.get().timezone),
    "limit": _read_limit,
    "cursor": lambda fields: fields.text("cursor", 1500),
    "near": _read_near,
    "radius_km": _read_radius,
}


class Page(NamedTuple):
    """Listings in order, where the next page starts (None when this is the last), and what the search made of the words.

    `mode` is `exact` when each holds all that was asked for. `relaxed` names what had to be left out so that something is
    found: `place`, `quantity`, `size`, `price`, `words`. `nearest` is what may do instead when nothing is found.
    """

    items: list[dict[str, Any]]
    next: str | None
    mode: str = search.EXACT
    relaxed: tuple[str, ...] = ()
    wish: wishes.Wish = wishes.Wish()
    nearest: tuple[dict[str, Any], ...] = ()
    rung: int = 0
    code: str = ""  # the number that was asked for, when nothing else was


class _Asked(NamedTuple):
    """A query as it is put to the index: what is wanted, without what was left out, and how to order what fits."""

    query: Query
    units: tuple[wishes.Unit, ...]
    least: int  # how much of a listing must be what is wanted (wishes.tiers)
    narrowed: str  # expression of facets and sizes
    amount: measures.Amount | None
    looked_at: int  # newest listings of a tier that are looked at for as many; 0: all
    near: tuple[float, float] | None
    sizes: tuple[tuple[int, ...], ...]  # to come near to, where none has them
    span: measures.Span | None  # the nearer to it go first
    sized: bool  # and none else, nor what has other sizes
    ways: tuple[tuple[int, ...], ...]  # to read the sizes that it has
    words: frozenset[str]  # what says more of them goes first
    without: str  # expression of what is not wanted
    broad: bool  # in the town's order of categories
    tree: catalog.Tree
    columns: str  # of what fits


WINDOW = 40  # listings that are put in order together, newest first from window to window
LOOKED_AT = 500  # of those with about as many as somebody wants: 1 ms at most, even if most of them are reserved
NEAREST = 3
LEAST_WORD = 3  # letters of a word that a title may have been meant by


def find(query: Query, reading: catalog.Reading = catalog.FACTS) -> Page:
    """Published listings that match: what fits best, then what can be reserved now, then the nearer, then the newest.

    They are their facts, or what else `reading` makes of their rows.
    Raises: Refusal("bad_cursor").
    """
    counters = db.counters()
    if (code := _CODE.fullmatch(query.q)) and (named := _coded(query, code[1], reading, categories.tree(counters))):
        return Page(named, None, code=code[1])
    wish, tree = wishes.read(query.q, counters), categories.tree(counters)
    if wish.said and wish.empty:  # only signs and little words, or words that nothing here has
        return Page([], None, wish=wish)
    start = search.decode_cursor(query.cursor) if query.cursor else None
    rungs = _rungs(wish)
    found: list[_Part] = []
    in_vain: set[tuple[object, ...]] = set()
    rung = 0
    left_out: tuple[str, ...] = ()
    for rung, left_out in enumerate(rungs):
        if start is not None and rung != start.rung:
            continue
        asked = _asked(query, wish, left_out, tree, reading.columns)
        wanted = (asked.units, asked.least, asked.narrowed, asked.amount)
        if wanted in in_vain:  # `2m` is a size or a quantity: what is left out may ask the same again
            continue
        found = list(_walk(asked, start, query.limit + 1))
        if found:
            break
        in_vain.add(wanted)
    rows = [row for part in found for row in part.rows]
    more = _cursor(found, query.limit, rung).encode() if len(rows) > query.limit else None
    del rows[query.limit :]
    names = [name.partition(":")[0] for name in left_out]
    if wish.either:
        names = _of_one_number(names, wish)
    passed_over = (*names, *wish.passed_over)
    relaxed = tuple(dict.fromkeys(passed_over)) if found else ()
    fits = not relaxed and not wish.ignored and (not rows or _fits(wish, rows[0].id))
    nearest = () if rows or start else tuple(_nearest(query, wish, tree, reading))
    items = reading.read(rows, tree)
    return Page(items, more, search.EXACT if fits else search.ANY, relaxed, wish, nearest, rung)


def _of_one_number(names: list[str], wish: wishes.Wish) -> list[str]:
    """What was left out, when one number says a size or a quantity: what it was read as first, if either."""
    if wish.by_metre:
        return [name for name in names if name != "size"] if "size" in names else [n for n in names if n != "quantity"]
    return [name for name in names if name != "quantity"]


# How people give a listing's number: `41271`, `#41271`, `code 41271`, `ref. 41271`, `R 41271`.
_CODE = re.compile(
    r"\s*(?:(?:code|ref|r|no?|num[eé]ro|annonce|listing|anuncio)\b[.:]?|[#№]|n°)?\s*(\d{5,9})\s*", re.IGNORECASE
)


def _coded(query: Query, code: str, reading: catalog.Reading, tree: catalog.Tree) -> list[dict[str, Any]]:
    """The listing that somebody asks for by its number, which texts and labels tell, if it passes the filters."""
    sql, params = _statement(reading.columns, _of_code(code), query, None)
    now = clock.now_ms()
    rows, filters = catalog.rows_of(db.rows(sql, now, now, *params)), search.all_of(_narrowing(query))
    return reading.read([row for row in rows if not filters or _is_among(filters, row.id)], tree)


def _of_code(code: str) -> search.Match:
    return search.Match("listing l", "l.code = ? AND l.status = 'published'", (code,), "l.id")


def speaks_of(listing: Mapping[str, Any], words: str, unit: str = "") -> bool:
    """Whether words, and a unit, may be said of a listing: no thing or quality that the vocabulary knows, and that it has
    not, is among them. What the vocabulary does not know may be somebody's name.
    """
    if unit not in ("", listing["unit"]):
        return False
    known = tuple(unit for unit in wishes.read(words).units if unit.concepts and not unit.guessed)
    return not known or _holds(known, listing["id"])


def _fits(wish: wishes.Wish, listing_id: int) -> bool:
    """True when a listing has the qualities too, which only rank."""
    return all(unit.is_thing for unit in wish.units) or _holds(wish.units, listing_id)


def _holds(units: tuple[wishes.Unit, ...], listing_id: int) -> bool:
    return _is_among(search.all_of(unit.within() for unit in units), listing_id)


def _is_among(expression: str, listing_id: int) -> bool:
    match = search.matching(expression)
    query = f"SELECT 1 FROM {match.source} WHERE {match.condition} AND {match.order} = ?"
    return db.value(query, *match.params, listing_id) is not None


_LOOSELY = ":loosely"


def _rungs(wish: wishes.Wish) -> list[tuple[str, ...]]:
    """What to leave out, the least first: nothing; the place, the quantity, the size or the price; all of them; words."""
    asked = {"place": wish.spot, "quantity": wish.amount, "size": wish.sized, "price": wish.price is not None}
    hard = [name for name, wanted in asked.items() if wanted]
    rungs: list[tuple[str, ...]] = [(), *((one,) for one in hard)]
    if len(hard) > 1:
        rungs += [tuple(two) for two in itertools.combinations(hard, 2)] if len(hard) > 2 else []
        rungs.append(tuple(hard))
    if not wish.units:
        return rungs[:1]
    units = wishes.apart(wish.units)
    things = [n for n, unit in enumerate(units) if unit.is_thing] or list(range(len(units)))  # the rest only ranks
    kept = [n for n in things if not units[n].guessed] or things
    if len(things) == 1 and units[things[0]].is_object:  # what only speaks of it, beside its title
        rungs += [(*left, f"words{_LOOSELY}") for left in ((), tuple(hard)) if left or not hard]
    if len(things) > 1:
        order = sorted(
            things,
            key=lambda n: (n in kept, bool(units[n].concepts), units[n].is_object, not units[n].is_substance, -n),
        )
        for n in order:
            others = [units[one] for one in things if one != n]
            substance = all(one.is_substance for one in others) and units[n].concepts and not units[n].is_substance
            if kept != [n] and not substance:  # whatever else is of wood is no table
                rungs += [(*left, f"words:{n}") for left in ((), tuple(hard)) if left or not hard]
        rungs.append((*hard, f"words:{','.join(str(n) for n in things if n not in kept)},"))
    return rungs


def _asked(
    query: Query, wish: wishes.Wish, left_out: tuple[str, ...], tree: catalog.Tree, columns: str = catalog.ROW
) -> _Asked:
    if "price" not in left_out:
        query = _priced(query, wish)
    units, facets = wish.units, _narrowing(query)
    near = query.near or query.home
    words = next((name.removeprefix("words") for name in left_out if name.startswith("words")), "")
    loosely, words = words == _LOOSELY, words.strip(":")
    if words and not loosely:
        left = {int(n) for n in words.split(",") if n}
        units = tuple(
            unit._replace(is_thing=False) if n in left else unit  # a substance still ranks
            for n, unit in enumerate(wishes.apart(units)) if n not in left or unit.is_substance
        )  # fmt: skip
    if words.endswith(","):  # any of them will do
        units = (wishes.either(units), *(unit for unit in units if not unit.is_thing))
    if wish.spot is not None:
        if "place" in left_out:
            near = query.near or wish.spot.point or query.home
        else:
            facets.append(search.any_of(search.has(token) for token in wish.spot.tokens))
    sized, counted = wish.asks(left_out)
    if sized:
        behind = wish.span is not None and db.counters().get(search.REINDEX)  # some listings have no such token yet
        facets.append(wishes.in_size(wish._replace(span=None) if behind else wish))
    amount = wish.amount if counted else None
    if amount is not None:
        facets.append(_so_many(amount))
    nearing = () if sized or (amount is not None and amount.unit) else wish.sizes
    least = wishes.LOOSE if loosely else wishes.least_of(sized=sized, counted=amount is not None)
    broad = not query.category and all(unit.spans(tree.families) for unit in units if unit.is_thing)
    narrowed = search.all_of(facets) if facets else ""
    looked_at = 0 if amount is None else LOOKED_AT
    typed = frozenset(word for word in analyse(query.q) if len(word) > LEAST_WORD) if " " in query.q else frozenset()
    return _Asked(
        query, units, least, narrowed, amount, looked_at, near, nearing, wish.span, sized, wish.sizes if sized else (),
        typed if len(typed) > 1 else frozenset(), wishes.refused(wish), broad, tree, columns,
    )  # fmt: skip


def _so_many(amount: measures.Amount) -> str:
    """What has so much of it, and what may have, by the steps of quantities."""
    return search.any_of(
        search.all_of([
            *([search.has(search.facet("u", unit))] if unit else []), *_narrowing(Query(min_quantity=amount.in_unit(unit)))
        ])
        for unit in amount.units
    )  # fmt: skip


def _tiers(asked: _Asked) -> tuple[str, ...]:
    within = asked.span is not None and asked.sized and not asked.span.seated
    by_name = not asked.sizes and (asked.span is None or within)  # the nearest size goes before the very word
    return wishes.tiers(asked.units, asked.tree.families, asked.least, by_name=by_name)


def _priced(query: Query, wish: wishes.Wish) -> Query:
    """The query at the price, too, that its words name."""
    most = [cents for cents in (query.price_max_cents, wish.price) if cents is not None]
    return query._replace(price_max_cents=min(most)) if most else query


class _Part(NamedTuple):
    """Listings in order from a window of a tier, after those of it that an earlier page has shown."""

    rows: list[catalog.Row]
    tier: int
    top: int
    shown: tuple[int, ...]


def _cursor(parts: list[_Part], number: int, rung: int) -> search.Cursor:
    """Where a list goes on after the `number`th of its listings."""
    for part in parts:
        if number <= len(part.rows):
            break
        number -= len(part.rows)
    ids = [row.id for row in part.rows]
    shown, top = {*part.shown, *ids[:number]}, part.top
    for one in sorted((*part.shown, *ids), reverse=True):
        if one not in shown:
            break
        shown.discard(one)
        top = one
    return search.Cursor(rung, part.tier, top, tuple(sorted(shown, reverse=True)))


def _walk(asked: _Asked, start: search.Cursor | None, wanted: int) -> Iterator[_Part]:
    """Listings in order, tier by tier and window by window, until there are as many as are wanted, or more."""
    nested = _tiers(asked)
    first = start.tier if start is not None else _first(asked, nested)
    seen: set[int] = set()
    for tier in range(first, len(nested)):
        expression = _narrowed(asked, nested[tier])
        if start is not None and tier:  # of an earlier page, nobody remembers what was in the tiers before
            expression = search.but_not(expression, _narrowed(asked, nested[tier - 1]))
        top, shown = (start.top, start.shown) if start is not None and tier == start.tier else (0, ())
        while wanted > 0:
            rows, full, lowest = _window(asked, expression, top, {*shown, *seen}, wanted)
            if rows:
                wanted -= len(rows)
                yield _Part(rows, tier, top, shown)
            seen.update(shown, (row.id for row in rows))
            if not full:
                break
            top, shown = lowest, ()


def _first(asked: _Asked, nested: tuple[str, ...]) -> int:
    """The first tier that may have listings. Where several things are asked for, most often none has all of them: to find
    none, an engine reads all that match either, so it is asked once, not in every tier.
    """
    if sum(unit.is_thing for unit in asked.units) > 1:
        for tier in range(len(nested) - 1, -1, -1):
            if not search.fits_any(_narrowed(asked, nested[tier])):
                return tier + 1
    return 0


def _window(
    asked: _Asked, expression: str, top: int, passed: set[int], wanted: int
) -> tuple[list[catalog.Row], bool, int]:
    """The next listings of a tier below an id, in order, without those passed; whether there may be more below them, and
    below which id.

    They are WINDOW, or as many as are wanted when these stand in order by themselves: in most searches.
    """
    ordered = asked.broad or asked.near or asked.sizes or asked.span or asked.ways or asked.words
    size = WINDOW if ordered else min(wanted, WINDOW)
    now = clock.now_ms()
    while True:
        found = _read(asked, expression, top, size + len(passed))
        late = {one.id for one in found if not _is_ready(one, now)}
        full = len(found) == size + len(passed)
        if not full or size == WINDOW or not late:
            break
        size = WINDOW
    lowest = found[-1].id if found else 0
    if asked.sized:
        found = [one for one in found if _is_of_size(asked, one)]
    if passed:
        found = [one for one in found if one.id not in passed]
    if ordered or late:
        found.sort(key=lambda one: (*_rank(asked, one), one.id in late, _distance(asked, one), -one.id))
    return found, full, lowest


def _is_ready(listing: catalog.Row, now: int) -> bool:
    """True when somebody can reserve some of it today."""
    return (
        max(0, listing.available) >= listing.min_quantity
        and (listing.available_from or 0) <= now
        and (listing.available_until or now) >= now
    )


def _rank(asked: _Asked, listing: catalog.Row) -> tuple[float, ...]:
    """What goes before in a window: the nearer size, then the category, where a word spans several."""
    category = asked.tree.get(listing.category)
    return (
        _miss(asked.span, listing) if asked.span else 0,
        search.standing(asked.ways, listing.title, catalog.unpacked(listing.dimensions)) if asked.ways else 0,
        -len(asked.words.intersection(analyse(listing.title))) if asked.words else 0,
        search.mismatch(asked.sizes, listing.title, catalog.unpacked(listing.dimensions)) if asked.sizes else 0,
        category.position if asked.broad and category else 0,
    )


def _is_of_size(asked: _Asked, listing: catalog.Row) -> bool:
    """True when a listing is of the sizes asked for, or within their range: the index knows steps, and no size twice."""
    if asked.span and _miss(asked.span, listing) >= 1:
        return False
    several = asked.ways and len(asked.ways[0]) > 1
    return not several or search.is_of_size(asked.ways, listing.title, catalog.unpacked(listing.dimensions))


def _miss(span: measures.Span, listing: catalog.Row) -> float:
    return span.miss(listing.title, catalog.unpacked(listing.dimensions))


def _distance(asked: _Asked, listing: catalog.Row) -> float:
    """Kilometres from where it is asked, to 100 m; 0 when nobody knows."""
    if asked.near is None or listing.latitude is None or listing.longitude is None:
        return 0.0
    squeeze = math.cos(math.radians(asked.near[0]))
    north, east = listing.latitude - asked.near[0], (listing.longitude - asked.near[1]) * squeeze
    return round(math.hypot(north, east) * ranges.KM_OF_A_DEGREE, 1)


def _read(asked: _Asked, expression: str, top: int, limit: int) -> list[catalog.Row]:
    now = clock.now_ms()

    def fetch(match: search.Match, most: int) -> list[tuple[Any, ...]]:
        sql, params = _statement(asked.columns, match, asked.query, asked.amount)
        return db.rows(f"{sql} ORDER BY {match.order} DESC LIMIT ?", now, now, *params, most)

    return catalog.rows_of(search.newest(expression, fetch, limit, asked.looked_at, top or 2**62))


def _nearest(query: Query, wish: wishes.Wish, tree: catalog.Tree, reading: catalog.Reading) -> list[dict[str, Any]]:
    """What may do instead of what nothing here is: something broader, else what is filed in the same place."""
    facets = _narrowing(query)
    for expression in wishes.instead(wish):
        asked = _Asked(
            query=query, units=(), least=wishes.SPOKEN, narrowed=search.all_of([*facets, expression]), amount=None,
            looked_at=0, near=query.near or query.home, sizes=(), span=None, sized=False, ways=(),
            words=frozenset(), without="", broad=False, tree=tree, columns=reading.columns,
        )  # fmt: skip
        found = [row for part in _walk(asked, None, NEAREST) for row in part.rows]
        if found:
            return reading.read(found[:NEAREST], tree)
    return []


def count(query: Query, page: Page, most: int = 99) -> str:
    """How many listings a first page's query finds in all: "12", or "99+" (counting stops there, so that it stays flat)."""
    if page.next is None and not query.cursor:
        return str(len(page.items))
    found = how_many(query, page, most + 1)
    return str(found) if found <= most else f"{most}+"


def how_many(query: Query, page: Page, most: int) -> int:
    """How many listings a query finds, read as that of a page was; counted up to `most`."""
    asked = _asked(query, page.wish, _rungs(page.wish)[page.rung], categories.tree())

    def fetch(match: search.Match, limit: int) -> list[tuple[Any, ...]]:
        sql, params = _statement("1 AS one", match, asked.query, asked.amount)
        return db.rows(f"{sql} LIMIT ?", *params, limit)

    return len(search.newest(_anywhere(asked), fetch, most, asked.looked_at))


def _anywhere(asked: _Asked) -> str:
    return _narrowed(asked, _tiers(asked)[-1])


def _narrowed(asked: _Asked, tier: str) -> str:
    """What fits a tier, and all else that is asked for."""
    return _but_refused(search.all_of([tier, asked.narrowed]), asked.without)


def _but_refused(expression: str, refused: str) -> str:
    return search.but_not(expression, refused) if refused else expression


class Sort(NamedTuple):
    """What a listing is of, to be counted. `now`: some can be reserved; `fits`: it passes the filters that no token tells."""

    kind: str
    category: str
    condition: str
    place: str
    commune: str
    priced: bool
    now: bool
    fits: bool


def tally(query: Query, page: Page, most: int) -> Mapping[Sort, int]:
    """How many of each sort are among the newest `most` listings of what a page's query finds.

    Grouped here: an engine sorts them for that (5.5 ms for 2,000 listings, 3 so).
    """
    asked = _asked(query, page.wish, _rungs(page.wish)[page.rung], categories.tree())
    conditions, params = _conditions(asked.query, asked.amount)
    reservable, present = _reservable()

    def fetch(match: search.Match, limit: int) -> list[tuple[Any, ...]]:
        return db.rows(
            f"SELECT l.kind, l.category, l.condition, p.code, p.commune, l.price_cents > 0, ({reservable}), "
            f"({' AND '.join(conditions) or 'TRUE'}) FROM {match.source} {catalog.JOINS} WHERE {match.condition} LIMIT ?",
            *present, *params, *match.params, limit,
        )  # fmt: skip

    found = fetch(_of_code(page.code), 1) if page.code else search.newest(_anywhere(asked), fetch, most, most)
    return {Sort(*sort): number for sort, number in collections.Counter(found).items()}


def tokens(query: Query) -> list[str]:
    """What a listing must hold to match a query exactly: one token for each facet, each thing and each size, or several
    joined by | when any of them will do.

    Nothing when nothing is asked for, or only signs and little words, which name nothing.
    """
    wish = wishes.read(query.q)
    return [] if wish.said and wish.empty and not wish.ignored else _tokens(wish, query)


def _tokens(wish: wishes.Wish, query: Query) -> list[str]:
    return [*(wishes.tokens(wish, categories.tree().families) if wish.said else ()), *_facets(query)]


def match_of(query: Query, listing_id: int) -> dict[str, Any] | None:
    """The listing of an id if it matches a query exactly, else the newest published after it that does; None if none."""
    wish = wishes.read(query.q)
    query = _priced(query, wish)
    amount = wish.amount if wish.asks()[1] else None
    held = [search.any_of(search.has(one) for one in token.split("|")) for token in _tokens(wish, query)]
    sized = [wishes.in_size(wish)] if wish.asks()[0] else []  # several sizes are of one way to read them
    match = search.matching(_but_refused(search.all_of([*held, *sized]), wishes.refused(wish)))
    for condition, order in (("=", "ASC"), (">", "DESC")):
        narrowed = match._replace(
            condition=f"{match.condition} AND {match.order} {condition} ?", params=(*match.params, listing_id)
        )
        sql, params = _statement(catalog.COLUMNS, narrowed, query, amount)
        now = clock.now_ms()
        found = db.row(f"{sql} ORDER BY {match.order} {order} LIMIT 1", now, now, *params)
        for listing in catalog.facts_of([found]) if found is not None else ():
            if not wish.span or wish.span.miss(listing["title"], listing["dimensions"]) < 1:
                return listing
    return None


def _facets(query: Query) -> list[str]:
    facets = []
    for kind, value in (("k", query.kind), ("c", query.category), ("m", query.commune), ("s", query.condition)):
        if value:
            facets.append(search.facet(kind, value))
    if query.free:
        facets.append(search.facet("g", "free"))
    if query.place:
        facets.append(search.facet("p", places.id_of(query.place) or "none"))
    return facets


def _narrowing(query: Query) -> list[str]:
    """Expressions that what fits the filters of a query has: all of it and, for ranges, somewhat more."""
    ranged = [
        ranges.at_least(query.min_quantity),
        ranges.not_free() if query.free is False else [],
        [] if query.price_max_cents is None else ranges.at_most(query.price_max_cents),
        ranges.around(*query.near, query.radius_km) if query.near else [],
    ]
    if any(ranged) and db.counters().get(search.REINDEX):  # some listings have no such tokens yet: they are read
        ranged = []
    kinds = [search.facet("k", kind) for kind in catalog.BOOKED] if query.booked else []
    return [
        search.any_of(map(search.has, tokens))
        for tokens in (kinds, *([one] for one in _facets(query)), *ranged)
        if tokens
    ]


def _statement(
    columns: str, match: search.Match, query: Query, amount: measures.Amount | None
) -> tuple[str, list[object]]:
    """A query for the listings of a match that pass the filters which no facet token tells, and its parameters."""
    conditions, params = [match.condition], list(match.params)
    more, values = _conditions(query, amount)
    sql = f"SELECT {columns} FROM {match.source} {catalog.JOINS} WHERE {' AND '.join(conditions + more)}"
    return sql, params + values


def _conditions(query: Query, amount: measures.Amount | None) -> tuple[list[str], list[object]]:
    """The filters that no token tells, and their parameters."""
    conditions: list[str] = []
    params: list[object] = []
    least = [[("", query.min_quantity)]] if query.min_quantity else []
    least += [[(unit, amount.in_unit(unit)) for unit in amount.units]] if amount is not None else []
    for alternatives in least:
        now = clock.now_ms()
        enough = f"l.quantity >= ? AND {catalog.AVAILABLE} >= ?"  # the cheap one first
        conditions.append(
            f"({' OR '.join(f'l.unit = ? AND {enough}' if unit else enough for unit, _ in alternatives)})"
        )
        for unit, milli in alternatives:
            params += [*([unit] if unit else []), milli, now, now, milli]
    if query.available:
        reservable, present = _reservable()
        conditions.append(reservable)
        params += present
    if query.free is False:
        conditions.append("l.price_cents > 0")
    if query.price_max_cents is not None:
        conditions.append("l.price_cents <= ?")
        params.append(query.price_max_cents)
    if query.available_on is not None:
        conditions.append("(l.available_from IS NULL OR l.available_from <= ?)")
        conditions.append("(l.available_until IS NULL OR l.available_until >= ?)")
        params += [query.available_on, query.available_on]
    if query.near:
        latitude, longitude = query.near
        # Equirectangular distance: within 0.1 % of the great circle at the size of an island (Earth radius 6,371 km).
        north, east = f"({catalog.LATITUDE} - ?)", f"({catalog.LONGITUDE} - ?)"
        conditions.append(f"({north} * {north} + {east} * {east} * ?) <= ?")
        squeeze = math.cos(math.radians(latitude)) ** 2
        degrees = query.radius_km / ranges.KM_OF_A_DEGREE
        params += [latitude, latitude, longitude, longitude, squeeze, degrees * degrees]
    return conditions, params


def _reservable() -> tuple[str, list[object]]:
    """The condition that somebody can reserve some of a listing now, and its parameters. `_is_ready` says the same."""
    now = clock.now_ms()
    condition = (
        "(l.available_from IS NULL OR l.available_from <= ?) AND (l.available_until IS NULL OR l.available_until >= ?) "
        f"AND l.quantity >= l.min_quantity AND {catalog.AVAILABLE} >= l.min_quantity"
    )
    return condition, [now, now, now, now]

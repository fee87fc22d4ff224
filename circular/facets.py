"""Facets: of all that a search finds, how many are of each kind, category, place…: what a list can be narrowed to.

Counted are the newest `MOST` listings that a search finds, in one statement: what that costs does not grow with the
catalogue (1.7 ms, at 10k and at 1M listings). Beyond so many, a number is what there is at least. Of the lists that are
short and closed (kinds, conditions, price, families), those that none of the newest is of are then counted one by one by
their token, so that no choice is missing: what is rare costs little (0.03 ms).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from circular import catalog, categories, places, queries

MOST = 1000  # listings that are counted
FACETS = ("kind", "category", "place", "commune", "condition", "price", "available")
FREE, PAID, NOW = "free", "paid", "now"
# Fields of a query that no token tells, and what they are when nothing is asked.
UNTOLD: dict[str, Any] = {
    "min_quantity": 0, "price_max_cents": None, "available": False, "available_on": None, "near": None,
}  # fmt: skip


class Count(NamedTuple):
    """How many of what a search finds have a value: `number`, or with `more` at least so many."""

    value: str
    number: int
    more: bool
    name: str = ""  # of a place or commune


def count(query: queries.Query, page: queries.Page) -> dict[str, list[Count]]:
    """For the query of a page: by kind, category (families; below the one asked for, those under it), place, commune,
    condition, price and what can be reserved now. Kinds, conditions and categories come in the town's order, places and
    communes by number.
    """
    if not page.items:
        return {name: [] for name in FACETS}
    sorts = queries.tally(query, page, MOST)
    more = sum(sorts.values()) >= MOST
    below = _below(query.category)
    numbers: dict[str, dict[str, int]] = {name: {} for name in FACETS}
    for sort, number in sorts.items():
        if sort.fits:
            for name, value in zip(FACETS, _values(sort, below), strict=True):
                if value:
                    numbers[name][value] = numbers[name].get(value, 0) + number
    few = _missing(numbers, query, page, below) if more else {}
    orders: dict[str, Iterable[str]] = {
        "kind": catalog.KINDS, "category": dict.fromkeys(below.values()), "condition": catalog.CONDITIONS,
        "price": (FREE, PAID),
    }  # fmt: skip
    counted = {}
    for name, found in numbers.items():
        names = places.names_of(name, found) if name in ("place", "commune") else {}
        counted[name] = [
            Count(value, number, number >= MOST or (more and value in found), names.get(value, ""))
            for value in orders.get(name, sorted(found, key=lambda one: (-found[one], one)))
            if (number := found.get(value) or few.get((name, value), 0))
        ]
    return counted


def _values(sort: queries.Sort, below: Mapping[str, str]) -> tuple[str | None, ...]:
    """What a sort of listings counts for in each of FACETS."""
    price, now = PAID if sort.priced else FREE, NOW if sort.now else None
    return sort.kind, below.get(sort.category), sort.place, sort.commune, sort.condition, price, now


def _below(category: str) -> dict[str, str]:
    """For each category, the choice under which it falls: a family, or what is right below the one asked for."""
    parents = {one["code"]: one["parent"] or "" for one in categories.every()}
    found = {}
    for code in parents:
        step, seen = code, {code}
        while (parent := parents.get(step, "")) != category and parent and parent not in seen:
            seen.add(parent)
            step = parent
        if parents.get(step, "") == category:
            found[code] = step
    return found


def _missing(
    numbers: Mapping[str, Mapping[str, int]], query: queries.Query, page: queries.Page, below: Mapping[str, str]
) -> dict[tuple[str, str], int]:
    """How many are of each choice that none of the newest is of. Only where tokens alone tell what a search finds: to find
    few among many by anything else, all are read.
    """
    if query.free is False or query._replace(**UNTOLD) != query:
        return {}
    choices: dict[str, Iterable[str]] = {
        "kind": () if query.kind else catalog.KINDS,
        "condition": () if query.condition else catalog.CONDITIONS,
        "category": dict.fromkeys(below.values()),
        "price": () if query.free else (FREE,),
    }
    found = {}
    for name, values in choices.items():
        for value in values:
            if value not in numbers[name]:
                narrowed: dict[str, Any] = {"free": True} if name == "price" else {name: value}
                found[name, value] = queries.how_many(query._replace(**narrowed), page, MOST)
    return found

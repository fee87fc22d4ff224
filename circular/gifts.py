"""Gifts: what somebody offers becomes a draft listing that the staff of a place complete, publish or withdraw.

What was written is kept with the giver, for whoever calls them; the draft itself names nobody.
"""

from __future__ import annotations

import re
from typing import Any

from peewee import BigAutoField, BigIntegerField, TextField

from circular import catalog, categories, clock, db, i18n, logs, people, reservations
from circular.checks import Fields
from circular.errors import Refusal
from circular.people import Actor
from circular.text import clean

MOST_A_DAY = 5  # gifts of one person in 24 hours
TEXT_LIMIT = 480  # characters, as a message has
# Where what no label names goes; a list of categories without it gets it with the first such gift.
OTHERS = {
    "code": "divers",
    "unit": "piece",
    "labels": '{"fr": "Divers", "en": "Other", "es": "Varios", "pt": "Diversos"}',
    "position": 10_000,
}
TITLE = "-"  # of a draft of which nothing can be said, or may be said any more
# `20 tole 2m`, `20 x tole`, `5 m2 de carrelage`: how many, of what unit, and what. `200x20` is a size.
_COUNTED = re.compile(
    r"(\d{1,9}(?:[.,]\d{1,3})?)(?![\d.,])(?!x\d)\s*(?:x\s|(m2|m3|m²|m³|m|kg|t|lots?)\s)?\s*(?:de\s|d['’])?(.*\S)", re.I
)
_UNITS = {"m²": "m2", "m³": "m3", "lots": "lot"}


class Gift(db.Table):
    """Who offers a draft listing, in their own words."""

    id = BigAutoField()
    person_id = BigIntegerField()
    listing_id = BigIntegerField(unique=True)
    text = TextField()
    origin = TextField(unique=True)
    created_at = db.UtcDateTimeField()


COLUMNS = (
    "g.id, g.person_id, g.text, g.created_at, l.code, l.title, l.quantity, l.unit, l.category, l.status, l.revision, "
    "l.place_id, p.code AS place, h.phone, h.name, COALESCE(h.language, h.shown_language) AS language"
)
SOURCE = (
    "FROM gift g JOIN listing l ON l.id = g.listing_id JOIN place p ON p.id = l.place_id "
    "JOIN person h ON h.id = g.person_id"
)


def give(person_id: int, words: str, quantity: object, origin: str, unit: str = "") -> dict[str, Any]:
    """Note what a person offers as a draft at the place that knows them.

    Without a `quantity` the words may start with one. A number that makes no sense is 1: staff read the words.
    `origin` names the line or form that offers: a retry of it gives once.
    Raises: Refusal("too_many_gifts" | "no_such_place").
    """
    with db.transaction():
        people.lock(person_id)
        known = db.dicts(f"SELECT {COLUMNS} {SOURCE} WHERE g.origin = ?", origin)
        if known:
            return known[0]
        desk = reservations.desk_of(person_id)
        if desk is None:
            raise Refusal("no_such_place", code="")
        since = _now() - 86_400_000
        given = db.value("SELECT COUNT(*) FROM gift WHERE person_id = ? AND created_at > ?", person_id, since)
        if given >= MOST_A_DAY:
            raise Refusal("too_many_gifts", limit=MOST_A_DAY, phone=desk["phone"])
        draft = catalog.propose(_draft(words, quantity, unit) | {"place": desk["code"]})
        text = words if quantity is None else f"{quantity} {unit} {words}"
        db.run(
            "INSERT INTO gift (person_id, listing_id, text, origin, created_at) VALUES (?, ?, ?, ?, ?)",
            person_id, draft["id"], clean(re.sub(" +", " ", text), TEXT_LIMIT), origin, _now(),
        )  # fmt: skip
        return db.dicts(f"SELECT {COLUMNS} {SOURCE} WHERE g.origin = ?", origin)[0]


def _draft(words: str, quantity: object, unit: str) -> dict[str, Any]:
    """The fields of a listing that somebody's words describe. A phone number in them stays out of it."""
    title = clean(words, TEXT_LIMIT)
    counted = _COUNTED.fullmatch(title) if quantity is None else None
    if counted:
        quantity, unit, title = counted[1], counted[2] or "", counted[3]
    unit = _UNITS.get(unit.lower(), unit.lower())
    unit = unit if unit in catalog.UNITS else "piece"
    try:
        catalog.milli_of(quantity, unit)
    except Refusal:
        quantity = 1
    title = clean(logs.mask(title), catalog.TITLE_LIMIT)
    return {
        "kind": "material",
        "title": title[:1].upper() + title[1:] or TITLE,
        "category": categories.guess(title) or _others(),
        "quantity": quantity,
        "unit": unit,
        "lang": i18n.current(),
    }


def _others() -> str:
    code = str(OTHERS["code"])
    if not categories.exists(code):
        categories.put(OTHERS)
    return code


def find(actor: Actor, status: str = "", after: int = 0, limit: int = 20) -> list[dict[str, Any]]:
    """What was offered to the place where one works (an admin: to any), newest first, before id `after`; of listings that
    are `status` when one is given. Publishing one is revising its listing.

    Raises: Refusal("wrong_role" | "invalid").
    """
    actor.require("staff")
    fields = Fields({"status": status} if status else {}, partial=True)
    fields.choice("status", catalog.STATUSES)
    fields.done()
    return db.dicts(
        f"SELECT {COLUMNS} {SOURCE} WHERE (? = 0 OR g.id < ?) AND (? = 1 OR l.place_id = ?) AND (? = '' OR l.status = ?) "
        "ORDER BY g.id DESC LIMIT ?",
        after, after, int(actor.role == "admin"), actor.place_id, status, status, limit,
    )  # fmt: skip


def export(person_id: int) -> list[dict[str, Any]]:
    """What a person offered; times are milliseconds since 1970."""
    query = f"SELECT g.text, l.code AS listing, l.status, p.code AS place, g.created_at {SOURCE} WHERE g.person_id = ?"
    return db.dicts(f"{query} ORDER BY g.id", person_id)


def erase(person_id: int) -> None:
    """This person offered nothing: drafts go with their words; what staff published is the place's. Inside a transaction."""
    query = f"SELECT l.code {SOURCE} WHERE g.person_id = ? AND l.status = 'draft' ORDER BY l.id"
    for (code,) in db.rows(query, person_id):
        catalog.scrap(code, TITLE)
    db.run("DELETE FROM gift WHERE person_id = ?", person_id)


def forget(days: int) -> int:
    """Forget who offered what more than `days` ago, in which words, a batch at most; how many. Inside a transaction."""
    return db.prune("gift", "id", "created_at < ?", _now() - days * 86_400_000)


def _now() -> int:
    return db.to_ms(clock.now())

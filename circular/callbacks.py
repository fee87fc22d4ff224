"""Callbacks: somebody asks for a human, the staff of their place call them. One open request a person."""

from __future__ import annotations

import secrets
from typing import Any

from peewee import BigAutoField, BigIntegerField, TextField

from circular import clock, db, people, reservations
from circular.errors import Refusal
from circular.people import Actor
from circular.text import clean

WORDS_LIMIT = 160  # characters kept of what somebody could not find or say


class Callback(db.Table):
    """Somebody waits for a call. Without a place (a town that has none yet) only an admin sees it."""

    id = BigAutoField()
    reference = TextField(unique=True)  # what doors show: random, so that nobody can walk through them
    person_id = BigIntegerField()
    place_id = BigIntegerField(null=True)
    words = TextField(default="")
    origin = TextField(unique=True)
    created_at = db.UtcDateTimeField()
    done_at = BigIntegerField(null=True)
    done_by = BigIntegerField(null=True)


COLUMNS = (
    "c.id, c.reference, c.person_id, c.place_id, c.words, c.created_at, c.done_at, p.code AS place, p.phone AS place_phone, "
    "p.opening_hours AS place_hours, h.phone, h.name, COALESCE(h.language, h.shown_language) AS language"
)
SOURCE = "FROM callback c JOIN person h ON h.id = c.person_id LEFT JOIN place p ON p.id = c.place_id"


def ask(person_id: int, words: str, origin: str) -> dict[str, Any]:
    """Note that a person wants to be called, about `words`. While a request is open, asking again returns it.

    `origin` names the line or form that asks: a retry of it asks once.
    """
    with db.transaction():
        people.lock(person_id)
        condition = "c.origin = ? OR (c.person_id = ? AND c.done_at IS NULL)"
        known = db.dicts(f"SELECT {COLUMNS} {SOURCE} WHERE {condition} ORDER BY c.id DESC LIMIT 1", origin, person_id)
        if known:
            return known[0]
        place = reservations.desk_of(person_id)
        reference = secrets.token_hex(10)
        db.run(
            "INSERT INTO callback (reference, person_id, place_id, words, origin, created_at) VALUES (?, ?, ?, ?, ?, ?)",
            reference, person_id, place and place["id"], clean(words, WORDS_LIMIT), origin, _now(),
        )  # fmt: skip
        return _get(reference)


def open_for(actor: Actor, after: int = 0, limit: int = 20) -> list[dict[str, Any]]:
    """Who waits for a call from the place where one works (an admin: from any), the longest first, after id `after`.

    Raises: Refusal("wrong_role").
    """
    actor.require("staff")
    everywhere = int(actor.role == "admin")
    return db.dicts(
        f"SELECT {COLUMNS} {SOURCE} WHERE c.done_at IS NULL AND c.id > ? AND (? = 1 OR c.place_id = ?) ORDER BY c.id LIMIT ?",
        after, everywhere, actor.place_id, limit,
    )  # fmt: skip


def done(actor: Actor, reference: str) -> dict[str, Any]:
    """Somebody was called, by the staff of the place. Twice changes nothing.

    Raises: Refusal("wrong_role" | "no_such_callback"), the latter also for another place's: it is private.
    """
    actor.require("staff")
    with db.transaction():
        db.run(
            "UPDATE callback SET done_at = ?, done_by = ? WHERE reference = ? AND done_at IS NULL "
            "AND (? = 1 OR place_id = ?)",
            _now(), actor.person_id, reference, int(actor.role == "admin"), actor.place_id,
        )  # fmt: skip
        found = _get(reference)
        if not actor.works_at(found["place_id"]):
            raise Refusal("no_such_callback")
        return found


def _get(reference: str) -> dict[str, Any]:
    found = db.dicts(f"SELECT {COLUMNS} {SOURCE} WHERE c.reference = ?", reference)
    if not found:
        raise Refusal("no_such_callback")
    return found[0]


def export(person_id: int) -> list[dict[str, Any]]:
    """When a person asked for a call, and about what; times are milliseconds since 1970."""
    query = "SELECT c.words, c.created_at, c.done_at, p.code AS place FROM callback c LEFT JOIN place p ON p.id = c.place_id"
    return db.dicts(f"{query} WHERE c.person_id = ? ORDER BY c.id", person_id)


def erase(person_id: int) -> None:
    """A person never asked. Inside a transaction."""
    db.run("DELETE FROM callback WHERE person_id = ?", person_id)


def forget(days: int) -> int:
    """Drop the requests that were seen to more than `days` ago, a batch at most; how many. Inside a transaction."""
    return db.prune("callback", "id", "done_at < ?", _now() - days * 86_400_000)


def _now() -> int:
    return db.to_ms(clock.now())

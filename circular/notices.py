"""What the domain has to tell somebody: whom, what, facts; no words and no channel. A door turns it into words."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from peewee import BigAutoField, ForeignKeyField, TextField

from circular import clock, db
from circular.people import Person

SPENT = '{"spent": true}'  # facts that are worth nothing any more


class Notice(db.Table):
    """Something to tell `person`, written in the transaction that made it true."""

    id = BigAutoField()
    person = ForeignKeyField(Person)
    kind = TextField()
    facts = TextField()
    created_at = db.UtcDateTimeField()
    told_at = db.UtcDateTimeField(null=True)


OF_KIND = "EXISTS (SELECT 1 FROM notice n WHERE n.id = {row}.notice_id AND n.kind = ?)"  # a row is about such a notice


class Untold(NamedTuple):
    id: int
    person_id: int
    kind: str
    facts: dict[str, Any]


def tell(person_id: int, kind: str, **facts: object) -> None:
    """Note something to tell a person. `facts` must be JSON; times are milliseconds since 1970."""
    db.run(
        "INSERT INTO notice (person_id, kind, facts, created_at) VALUES (?, ?, ?, ?)",
        person_id,
        kind,
        json.dumps(facts),
        clock.now_ms(),
    )


def untold(limit: int) -> list[Untold]:
    """The oldest notices that no door has told yet, locked until the end of the transaction where rows are shared."""
    found = db.rows(
        "SELECT id, person_id, kind, facts FROM notice WHERE told_at IS NULL ORDER BY id LIMIT ?" + db.skip_locked(),
        limit,
    )
    return [Untold(id_, person_id, kind, json.loads(facts)) for id_, person_id, kind, facts in found]


def mark_told(notice_id: int) -> None:
    """A door has taken charge of this notice."""
    db.run("UPDATE notice SET told_at = ? WHERE id = ?", clock.now_ms(), notice_id)


def spend(person_id: int, kind: str) -> None:
    """Blank what was told, or is to be told, to a person, of a kind that is worth nothing from now on. In a transaction."""
    query = (
        "UPDATE notice SET facts = ?, told_at = COALESCE(told_at, ?) WHERE person_id = ? AND kind = ? AND facts <> '{}'"
    )
    db.run(query, SPENT, clock.now_ms(), person_id, kind)


def take_spent(kind: str, before: int, limit: int = 500) -> list[int]:
    """The notices of a kind that were spent, or written before a moment (milliseconds): each once, blank from now on, so that
    a door can blank its words of them too. In a transaction.
    """
    query = (
        "SELECT id FROM notice WHERE kind = ? AND facts <> '{}' AND (facts = ? OR created_at < ?) ORDER BY id LIMIT ?"
    )
    found = [int(row[0]) for row in db.rows(query, kind, SPENT, before, limit)]
    for notice_id in found:
        query = "UPDATE notice SET facts = '{}', told_at = COALESCE(told_at, ?) WHERE id = ?"
        db.run(query, clock.now_ms(), notice_id)
    return found


def erase(person_id: int) -> None:
    """Nothing was ever told, nor is to be told, to a person. Inside a transaction."""
    db.run("DELETE FROM notice WHERE person_id = ?", person_id)


def forget(days: int) -> int:
    """Drop what was told more than `days` ago, a batch at most; how many went. Inside a transaction."""
    return db.prune("notice", "id", "told_at < ?", clock.now_ms() - days * 86_400_000)

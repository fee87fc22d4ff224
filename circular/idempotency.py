"""The first answer to a write that may be repeated, kept in the transaction of its effect.

Only what took effect is kept (a 409 sold out is not, so that a later try may win). The same key with another body is
refused; while the first request runs, PostgreSQL answers `in_progress`, and SQLite lets the second wait its turn and
gives it the first answer.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

from peewee import TextField

from circular import clock, db, limits
from circular.errors import Refusal


class Repeat(db.Table):
    """`key` = who and their Idempotency-Key; `fingerprint` = SHA-256 of the request; `answer` = the first answer, JSON."""

    key = TextField(primary_key=True)
    fingerprint = TextField()
    answer = TextField()
    created_at = db.UtcDateTimeField()


def once(
    person_id: int | None, key: str | None, request: Any, writes_per_minute: int, act: Callable[[], dict[str, Any]]
) -> dict[str, Any]:
    """Do `act` (which returns a JSON object) once for a person's `key`; a repeat gets the first answer.

    Without a key, just do it. Counts towards the person's writes per minute.
    Raises: Refusal("idempotency_key_reused" | "in_progress" | "too_many_requests") and whatever `act` raises.
    """

    def attempt() -> dict[str, Any]:
        with db.transaction():
            if key is None:
                answer = act()
                limits.take(f"writes:{person_id}", writes_per_minute, 60)
                return answer
            name = f"{person_id}:{key}"
            fingerprint = hashlib.sha256(json.dumps(request, sort_keys=True, default=str).encode()).hexdigest()
            first = db.row("SELECT fingerprint, answer FROM repeat WHERE key = ?", name)
            if first is None and not db.try_name(name):
                raise Refusal("in_progress")
            # Read again: the first request may have ended between the reading and the taking of the name.
            first = first or db.row("SELECT fingerprint, answer FROM repeat WHERE key = ?", name)
            if first is not None:
                if first[0] != fingerprint:
                    raise Refusal("idempotency_key_reused")
                return dict(json.loads(first[1]))
            answer = act()
            # Counted last: the counter's row is everybody's who writes by this token, so it is locked as briefly as can be.
            limits.take(f"writes:{person_id}", writes_per_minute, 60)
            db.run(
                "INSERT INTO repeat (key, fingerprint, answer, created_at) VALUES (?, ?, ?, ?)",
                name,
                fingerprint,
                json.dumps(answer),
                db.to_ms(clock.now()),
            )
            return answer

    return db.retrying(attempt)


def forget_mentions(text: str) -> int:
    """Drop the answers that hold `text` (the number of somebody who is forgotten); how many went."""
    return db.run("DELETE FROM repeat WHERE answer LIKE ?", f"%{text}%")


def forget(older_than_ms: int) -> int:
    """Drop the answers given more than `older_than_ms` milliseconds ago; how many went."""
    return db.run("DELETE FROM repeat WHERE created_at < ?", db.to_ms(clock.now()) - older_than_ms)

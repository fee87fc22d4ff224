"""How often something may happen: counters in the database, so that every process counts the same events."""

from __future__ import annotations

from peewee import BigIntegerField, CompositeKey, IntegerField, TextField

from circular import clock, db
from circular.errors import Refusal


class Tally(db.Table):
    """Events named `name` in the window that starts at `window_start` (seconds since 1970)."""

    name = TextField()
    window_start = BigIntegerField()
    count = IntegerField()

    class Meta:
        primary_key = CompositeKey("name", "window_start")


def count(name: str, seconds: int) -> int:
    """Note one event and return how many there were in the running window of `seconds`. Call inside a transaction."""
    start = clock.now_ms() // 1000 // seconds * seconds
    return int(
        db.value(
            "INSERT INTO tally (name, window_start, count) VALUES (?, ?, 1) ON CONFLICT (name, window_start) "
            "DO UPDATE SET count = tally.count + 1 RETURNING count",
            name,
            start,
        )
    )


def seen(name: str, seconds: int) -> int:
    """How many events there were in the running window, without noting one."""
    start = clock.now_ms() // 1000 // seconds * seconds
    return int(db.value("SELECT count FROM tally WHERE name = ? AND window_start = ?", name, start) or 0)


def take(name: str, limit: int, seconds: int) -> None:
    """Note one event. Raises: Refusal("too_many_requests") beyond `limit` in the window of `seconds`."""
    if count(name, seconds) > limit:
        raise Refusal("too_many_requests", retry_after=remaining(seconds))


def remaining(seconds: int) -> int:
    """Seconds until the running window of `seconds` ends."""
    return seconds - clock.now_ms() // 1000 % seconds


def forget(before_seconds: int = 86_400) -> int:
    """Drop the counters older than `before_seconds`; how many went."""
    return db.run("DELETE FROM tally WHERE window_start < ?", clock.now_ms() // 1000 - before_seconds)

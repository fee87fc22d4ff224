"""What people looked for and did not find: words counted by day, door and language, never by person.

Staff see which words to add as synonyms, and what the town lacks.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from peewee import CompositeKey, IntegerField, TextField

from circular import clock, db, i18n, settings
from circular.checks import Fields
from circular.people import Actor
from circular.text import analyse, fold

WORDS_LIMIT = 60  # characters
MOST_WORDS = 500  # different words counted in a day by one door; what comes after counts as OTHERS
MOST_SEARCHES = 20_000  # counted in a day by one door: each is a write
OTHERS = ""
KEPT_DAYS = 90
_NUMBER_DIGITS = 5  # as many may be part of a phone number, or of a code
log = logging.getLogger(__name__)


class Unfound(db.Table):
    """How often words found nothing on a (local) day."""

    day = TextField()
    door = TextField()
    language = TextField()
    words = TextField()
    count = IntegerField()

    class Meta:
        primary_key = CompositeKey("day", "door", "language", "words")


def note(words: str, door: str) -> None:
    """Count a search that found nothing, in the language of the running message or request. Inside a transaction."""
    kept = _kept(words)
    if not kept:
        return
    day = _day()
    different, total = db.row(
        "SELECT COUNT(*), COALESCE(SUM(count), 0) FROM unfound WHERE day = ? AND door = ?", day, door
    ) or (0, 0)
    if total >= MOST_SEARCHES:
        return
    if different >= MOST_WORDS and not db.value(
        "SELECT 1 FROM unfound WHERE day = ? AND door = ? AND language = ? AND words = ?",
        day,
        door,
        i18n.current(),
        kept,
    ):
        kept = OTHERS
    db.run(
        "INSERT INTO unfound (day, door, language, words, count) VALUES (?, ?, ?, ?, 1) "
        "ON CONFLICT (day, door, language, words) DO UPDATE SET count = unfound.count + 1",
        day, door, i18n.current(), kept,
    )  # fmt: skip


def note_apart(words: str, door: str) -> None:
    """The same for a search that writes nothing else: it is answered, whatever becomes of its count."""
    try:
        with db.transaction():
            note(words, door)
    except Exception as error:  # a full disk, a busy database: people still read
        log.warning("a search that found nothing was not counted: %s", type(error).__name__)
        db.drop_broken_connection(error)


def _kept(words: str) -> str:
    """Folded words without what may be a phone number: `Tôle 0696 12 34 56` -> `tole`."""
    found = re.findall(r"[^\W_]+", fold(words))
    digits = sum(c.isdigit() for word in found for c in word)
    if digits >= _NUMBER_DIGITS:
        found = [word for word in found if not any(c.isdigit() for c in word)]
    return " ".join(found)[:WORDS_LIMIT].rstrip()


def top(actor: Actor, wanted: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What found nothing most often in the last `days` (30), `limit` (20) at most, without what are synonyms by now.

    Raises: Refusal("wrong_role" | "invalid").
    """
    actor.require("staff")
    fields = Fields(wanted, partial=True)
    fields.whole("days", most=KEPT_DAYS)
    fields.whole("limit", most=100)
    for name in ("days", "limit"):
        if fields.clean.get(name) == 0:
            fields.errors.add(name, "positive")
    clean = {"days": 30, "limit": 20, **fields.done()}
    found: dict[str, dict[str, Any]] = {}
    for words, door, language, last_day, count in db.rows(
        "SELECT words, door, language, MAX(day), SUM(count) FROM unfound WHERE day > ? AND words <> ? "
        "GROUP BY words, door, language ORDER BY words",
        _day(clean["days"]),
        OTHERS,
    ):
        one = found.setdefault(words, {"words": words, "count": 0, "last_day": "", "doors": set(), "languages": set()})
        one["count"] += int(count)
        one["last_day"] = max(one["last_day"], last_day)
        one["doors"].add(door)
        one["languages"].add(language)
    known = {word for (word,) in db.rows("SELECT word FROM synonym")}
    open_ = [one for one in found.values() if not known & set(analyse(one["words"]))]
    for one in open_:
        one.update(doors=sorted(one["doors"]), languages=sorted(one["languages"]))
    return sorted(open_, key=lambda one: (-one["count"], one["words"]))[: clean["limit"]]


def forget() -> int:
    """Drop the counts of more than KEPT_DAYS ago; how many went. Inside a transaction."""
    return db.run("DELETE FROM unfound WHERE day <= ?", _day(KEPT_DAYS))


def _day(before: int = 0) -> str:
    """The local day, `before` days ago."""
    today = clock.local(clock.now(), settings.get().timezone).date()
    return (today - timedelta(days=before)).isoformat()

"""What people looked for and did not find: words counted by day, door and language, never by person.

Staff see which words to add as synonyms, and what the town lacks.
"""

from __future__ import annotations

import itertools
import logging
import re
from collections import defaultdict
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
LOOKED_AT = 100  # words read at once: as many as a page may have
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
    since, known = _day(clean["days"]), {word for (word,) in db.rows("SELECT word FROM synonym")}
    found: list[dict[str, Any]] = []
    for looked in itertools.count(0, LOOKED_AT):
        batch = db.rows(
            "SELECT words, SUM(count), MAX(day) FROM unfound WHERE day > ? AND words <> ? GROUP BY words "
            "ORDER BY SUM(count) DESC, words LIMIT ? OFFSET ?",
            since, OTHERS, LOOKED_AT, looked,
        )  # fmt: skip
        for words, count, last_day in batch:
            if not known & set(analyse(words)):
                found.append({"words": words, "count": int(count), "last_day": last_day})
        if len(batch) < LOOKED_AT or len(found) >= clean["limit"]:
            break
    found = sorted(found, key=lambda one: (-one["count"], one["words"]))[: clean["limit"]]
    doors, languages = _where([one["words"] for one in found], since)
    return [
        {**one, "doors": sorted(doors[one["words"]]), "languages": sorted(languages[one["words"]])} for one in found
    ]


def _where(words: list[str], since: str) -> tuple[dict[str, set[str]], dict[str, set[str]]]:
    """By which doors and in which languages each of these (LOOKED_AT at most) was looked for."""
    doors, languages = defaultdict[str, set[str]](set), defaultdict[str, set[str]](set)
    marks = ", ".join("?" * LOOKED_AT)
    query = f"SELECT DISTINCT words, door, language FROM unfound WHERE day > ? AND words IN ({marks})"
    for one, door, language in db.rows(query, since, *words, *[OTHERS] * (LOOKED_AT - len(words))):
        doors[one].add(door)
        languages[one].add(language)
    return doors, languages


def forget() -> int:
    """Drop the counts of more than KEPT_DAYS ago; how many went. Inside a transaction."""
    return db.run("DELETE FROM unfound WHERE day <= ?", _day(KEPT_DAYS))


def _day(before: int = 0) -> str:
    """The local day, `before` days ago."""
    today = clock.local(clock.now(), settings.get().timezone).date()
    return (today - timedelta(days=before)).isoformat()

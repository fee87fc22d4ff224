"""A day and an hour as people write them: `ven 14h`, `demain 9h30`, `fri 2pm`, `27/11 14:00`, in six languages."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import NamedTuple

from circular.text import fold

# By what a word begins with, the longest first: Monday is 0. French and Spanish share `mar` (Tuesday).
_DAYS = {
    "lun": 0, "lendi": 0, "mon": 0, "seg": 0, "mar": 1, "mad": 1, "tue": 1, "ter": 1, "mer": 2, "mek": 2, "wed": 2, "mie": 2,
    "qua": 2, "jeu": 3, "jed": 3, "thu": 3, "jue": 3, "qui": 3, "ven": 4, "van": 4, "fri": 4, "vie": 4, "sex": 4, "sam": 5,
    "sat": 5, "sab": 5, "sanm": 5, "dim": 6, "sun": 6, "dom": 6,
}  # fmt: skip
_TODAY = frozenset("aujourdhui auj today hoy hoje jodi jodia".split())
_TOMORROW = frozenset("demain dem tomorrow manana amanha denmen demen dimen".split())
_DATE = re.compile(r"(?<![\d:/])(\d{1,2})/(\d{1,2})(?![\d:/])")
_HOUR = re.compile(r"(?<![\d/:])(\d{1,2})\s*(?:(h|:)\s*(\d{2})?|(am|pm))(?![\w:])")
_BARE = re.compile(r"(?<![\d/:])(\d{1,2})(?![\d/:])")


class When(NamedTuple):
    """A moment that words name: aware, local; `exact` with its hour, else the day's beginning."""

    at: datetime
    exact: bool


def read(words: str, now: datetime) -> When | None:
    """What words say of a time, seen from `now` (local, aware); None when they name no day and no hour."""
    text = fold(words).replace("'", "")
    day, text = _day(text, now)
    minutes = _minutes(text, bare=day is not None)
    if day is None and minutes is None:
        return None
    start = (day or now).replace(hour=0, minute=0, second=0, microsecond=0)
    if minutes is None:
        return When(max(start, now), exact=False)
    at = start + timedelta(minutes=minutes)
    return When(at + timedelta(days=1) if day is None and at < now else at, exact=True)


def _day(text: str, now: datetime) -> tuple[datetime | None, str]:
    if found := _DATE.search(text):
        for year in (now.year, now.year + 1):
            try:
                day = now.replace(year=year, month=int(found[2]), day=int(found[1]))
            except ValueError:
                return None, text
            if day.date() >= now.date():
                return day, text[: found.start()] + " " + text[found.end() :]
    for word in text.split():
        rest = text.replace(word, " ", 1)
        if word in _TODAY:
            return now, rest
        if word in _TOMORROW:
            return now + timedelta(days=1), rest
        begins = next((name for name in sorted(_DAYS, key=len, reverse=True) if word.startswith(name)), None)
        if begins:
            return now + timedelta(days=(_DAYS[begins] - now.weekday()) % 7), rest
    return None, text


def _minutes(text: str, *, bare: bool) -> int | None:
    """Minutes since midnight; a number alone is an hour after a day alone."""
    if found := _HOUR.search(text):
        hour, minute = int(found[1]), int(found[3] or 0)
        if found[4]:
            hour = hour % 12 + (12 if found[4] == "pm" else 0)
    elif bare and (found := _BARE.search(text)):
        hour, minute = int(found[1]), 0
    else:
        return None
    return 60 * hour + minute if hour < 24 and minute < 60 else None

"""A day and an hour as people write them: `ven 14h`, `demain 9h30`, `fri 2pm`, `27/11 14:00`, in six languages."""

from __future__ import annotations

import contextlib
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
_PAST = frozenset("hier yesterday ayer ontem".split())
_DATE = re.compile(r"(?<![\d:/])(\d{1,2})/(\d{1,2})(?![\d:/])")
_MONTHS = (
    "janvier jan janv january enero janeiro janvye", "fevrier fev fevr february feb febrero fevereiro fevriye",
    "mars march marzo marco", "avril avr april apr abril", "mai may mayo maio", "juin june junio junho",
    "juillet juil july julio julho jiye", "aout august aug agosto", "septembre sept september septiembre setembro septanm",
    "octobre oct october octubre outubro oktob", "novembre nov november noviembre novembro novanm",
    "decembre dec december diciembre dezembro desanm",
)  # fmt: skip
MONTH_OF = {name: month for month, names in enumerate(_MONTHS, 1) for name in names.split()}
_SPELT = re.compile(rf"(?<![\d:/])(\d{{1,2}})(?:er)?\s+(?:de\s+)?({'|'.join(MONTH_OF)})(?!\w)")
# `11 è`, `11 zè`: Creole hours, where nothing but a part of the day follows: elsewhere `e` is "and".
_HOUR = re.compile(r"(?<![\d/:])(\d{1,2})\s*(?:(h|:|z?e(?=$| d| maten| apre| aswe| swe))\s*(\d{2})?|(am|pm))(?![\w:])")
_HOURS = re.compile(r"(?<![\d/:])\d{1,2}\s*(?:heures?|hours?|horas?)(?!\w)")
_BARE = re.compile(r"(?<![\d/:])(\d{1,2})(?![\d/:])")


class When(NamedTuple):
    """A moment that words name: aware, local; `exact` with its hour, else the day's beginning.

    Of two hours (`9h-11h`, `15h 2 heures`, `10 e 11`), which nobody can take at once, it is the first, and not exact.
    """

    at: datetime
    exact: bool


def read(words: str, now: datetime) -> When | None:
    """What words say of a time, seen from `now` (local, aware). None when they name no day and no hour; and when the day is
    past or in no calendar, so that no other is taken in its place.
    """
    text = _SPELT.sub(lambda found: f"{found[1]}/{MONTH_OF[found[2]]}", fold(words).replace("'", ""))
    if _PAST.intersection(text.split()):
        return None
    if found := _DATE.search(text):
        day = _next(int(found[1]), int(found[2]), now)
        if day is None:
            return None
        text = f"{text[: found.start()]} {text[found.end() :]}"
    else:
        day, text = _day(text, now)
    minutes = _minutes(text, bare=day is not None)
    if day is None and minutes is None:
        return None
    start = (day or now).replace(hour=0, minute=0, second=0, microsecond=0)
    if minutes is None:
        return When(max(start, now), exact=False)
    at = start + timedelta(minutes=minutes)
    hours = len(_HOUR.findall(text)) + len(_HOURS.findall(text)) or len(_BARE.findall(text))
    return When(at + timedelta(days=1) if day is None and at < now else at, exact=hours < 2)


def _next(day: int, month: int, now: datetime) -> datetime | None:
    """The next day of that date, this year or next; None when neither has one."""
    for year in (now.year, now.year + 1):
        with contextlib.suppress(ValueError):
            found = now.replace(year=year, month=month, day=day)
            if found.date() >= now.date():
                return found
    return None


def _day(text: str, now: datetime) -> tuple[datetime | None, str]:
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

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
# Whole names alone contradict a date: more words begin like a day (`merci`).
_WEEKDAYS = {
    **{name: day for name, day in _DAYS.items() if len(name) == 3},
    **{name: day for day, names in enumerate((
        "lundi lendi monday lunes segunda", "mardi madi tuesday martes terca", "mercredi mekredi wednesday miercoles quarta",
        "jeudi jedi thursday jueves quinta", "vendredi vandredi friday viernes sexta", "samedi samdi saturday sabado",
        "dimanche dimanch sunday domingo",
    )) for name in names.split()},
}  # fmt: skip
_TODAY = frozenset("aujourdhui auj today hoy hoje jodi jodia".split())
_TOMORROW = frozenset("demain dem tomorrow manana amanha denmen demen dimen".split())
_PAST = frozenset("hier yesterday ayer ontem".split())
# Patterns are text: compiled when somebody names a time, and no server waits for that at its start.
_DATE = r"(?<![\d:/])(\d{1,2})/(\d{1,2})(?:/(\d{4}|\d{2}))?(?![\d:/])"
_MONTHS = (
    "janvier jan janv january enero janeiro janvye", "fevrier fev fevr february feb febrero fevereiro fevriye",
    "mars march marzo marco", "avril avr april apr abril", "mai may mayo maio", "juin june junio junho",
    "juillet juil july julio julho jiye", "aout august aug agosto", "septembre sept september septiembre setembro septanm",
    "octobre oct october octubre outubro oktob", "novembre nov november noviembre novembro novanm",
    "decembre dec december diciembre dezembro desanm",
)  # fmt: skip
MONTH_OF = {name: month for month, names in enumerate(_MONTHS, 1) for name in names.split()}
_SPELT = rf"(?<![\d:/])(\d{{1,2}})(?:er)?\s+(?:de\s+)?({'|'.join(MONTH_OF)})(?!\w)"
# `11 è`, `11 zè`: Creole hours, where nothing but a part of the day follows: elsewhere `e` is "and".
_HOUR = (
    r"(?<![\d/:])(\d{1,2})\s*(?:(h|:|z?e(?=$|(?: di?)? (?:maten|midi|apre|aswe|swe|swa)))\s*(\d{2})?|(am|pm))(?![\w:])"
)
_HOURS = r"(?<![\d/:])(\d{1,2})\s*(?:heures?|hours?|horas?)(?!\w)"
_SAID = r"(?<![\d/:])(\d{1,2})\s*(?:heures?|hours?|horas?)\s*(\d\d)?(?!\w)"  # `14 heures 30`
_HALF = r"\b(?:demie?|edmi|dmi|half|quart|quarter|media|meia)\b"  # an hour and a half: which, is asked
_BARE = r"(?<![\d/:])(\d{1,2})(?![\d/:])"


class When(NamedTuple):
    """A moment that words name: aware, local; `exact` with its hour, else the day's beginning. `until`: of two hours
    (`9h-11h`), or of an hour and how long (`15h 2 heures`).
    """

    at: datetime
    exact: bool
    until: datetime | None = None


class NoSuchTime(Exception):
    """A day or an hour is named that is past, in no calendar, or another weekday than is said: nothing is taken for it."""


def read(words: str, now: datetime) -> When | None:
    """What words say of a time, seen from `now` (local, aware); None when they name no day and no hour. An hour that is past
    today is tomorrow's; of a weekday, next week's; of a date, nobody's.

    Raises: NoSuchTime.
    """
    text = re.sub(_SPELT, lambda found: f"{found[1]}/{MONTH_OF[found[2]]}", fold(words).replace("'", ""))
    if _PAST.intersection(text.split()):
        raise NoSuchTime
    if not re.search(_HOUR, text):
        text = re.sub(_SAID, r"\1h\2", text, count=1)
    dated = _dated(text, now)
    day, text = dated or _named(text, now)
    hours = [_minutes_of(found) for found in re.finditer(_HOUR, text)]
    bare = [60 * int(found[1]) for found in re.finditer(_BARE, text)] if day is not None and not hours else []
    if day is None and not hours:
        return None
    start = (day or now).replace(hour=0, minute=0, second=0, microsecond=0)
    if start.date() < now.date() or any(minutes >= DAY for minutes in (*hours, *bare[:1])):
        raise NoSuchTime
    if not (hours or bare):
        return When(max(start, now), exact=False)
    at = start + timedelta(minutes=(hours or bare)[0])
    if at < now:
        if dated or _TODAY.intersection(text.split()):
            raise NoSuchTime
        at += timedelta(days=1 if day is None else 7)
    lasts = [60 * int(found[1]) for found in re.finditer(_HOURS, text)]
    exact, until = _until(at, hours, lasts) if hours else (len(bare) < 2, None)
    return When(at, exact and not re.search(_HALF, text), until)


DAY = 24 * 60  # minutes


def _until(at: datetime, hours: list[int], lasts: list[int]) -> tuple[bool, datetime | None]:
    """Whether one time is meant, and until when: `9h 12h`, `9h 3h`, `9h 3 heures`."""
    if len(hours) + len(lasts) > 2:
        return False, None
    if lasts:
        return True, at + timedelta(minutes=lasts[0])
    if len(hours) == 2:
        return True, at + timedelta(minutes=hours[1] - hours[0] if hours[1] > hours[0] else hours[1])
    return True, None


def _dated(text: str, now: datetime) -> tuple[datetime, str] | None:
    """The day of a date, and the text; None without one. A date of some weeks ago is past, not next year's."""
    found = re.search(_DATE, text)
    if found is None:
        return None
    day, month, year = (int(part) if part else 0 for part in found.groups())
    years = [year + 2000 if year < 100 else year] if year else [now.year, now.year + 1]
    for one in years:
        with contextlib.suppress(ValueError):
            at = now.replace(year=one, month=month, day=day)
            if year or at.date() >= now.date() or at > now - LATELY:
                rest = f"{text[: found.start()]} {text[found.end() :]}"
                if any(_WEEKDAYS[word] != at.weekday() for word in rest.split() if word in _WEEKDAYS):
                    raise NoSuchTime
                return at, rest
    raise NoSuchTime


LATELY = timedelta(days=92)


def _named(text: str, now: datetime) -> tuple[datetime | None, str]:
    """The day that a word names, and the text; the first one."""
    for word in text.split():
        if word in _TODAY:
            return now, text
        if word in _TOMORROW:
            return now + timedelta(days=1), text.replace(word, " ", 1)
        begins = next((name for name in sorted(_DAYS, key=len, reverse=True) if word.startswith(name)), None)
        if begins:
            return now + timedelta(days=(_DAYS[begins] - now.weekday()) % 7), text.replace(word, " ", 1)
    return None, text


def _minutes_of(found: re.Match[str]) -> int:
    """Minutes since midnight; too many where there is no such hour."""
    hour, minute = int(found[1]), int(found[3] or 0)
    if found[4]:
        hour = hour % 12 + (12 if found[4] == "pm" else 0)
    return 60 * hour + minute if minute < 60 else DAY

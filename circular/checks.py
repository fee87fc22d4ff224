"""Reading the fields of a noun: JSON values and the text of a CSV cell go through the same checks, once, in the noun.

A `Fields` gathers what is wrong by field (`FieldErrors`) and what is right in `clean`, in the units of the database:
quantities as thousandths, times as milliseconds since 1970 UTC, masses as grams.
"""

from __future__ import annotations

import re
import zoneinfo
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, time
from decimal import Decimal, InvalidOperation
from typing import Any

from circular import db
from circular.errors import FieldErrors
from circular.text import clean

MILLI = 1000
MOST_MILLI = 10**12  # a thousand million units: above it a number is a slip, and sums stay far from 2^63
MISSING = object()
YES, NO = ("true", "1", "yes"), ("false", "0", "no")
LAST_YEAR = 2200  # later is a slip, and dates are added to: hours of opening end in the year 9999


class Fields:
    """The fields of one thing. With `partial`, absent fields are left alone (a revision); else they get defaults."""

    def __init__(self, values: Mapping[str, Any], *, partial: bool = False) -> None:
        self.values = values
        self.partial = partial
        self.errors = FieldErrors()
        self.clean: dict[str, Any] = {}

    def raw(self, name: str, default: Any = None, *, required: bool = False) -> Any:
        """The given value, the default, or a note that one is needed; `MISSING` means: leave the field alone."""
        value = self.values.get(name, MISSING)
        if isinstance(value, str):
            value = value.strip()
        given = value is not MISSING and value is not None and value != ""
        if given:
            return value
        if self.partial and value is MISSING:
            return MISSING
        if required:
            self.errors.add(name, "required")
            return MISSING
        self.clean[name] = default
        return MISSING

    def text(self, name: str, limit: int, *, required: bool = False, default: str | None = "") -> None:
        """Plain text of at most `limit` characters."""
        value = self.raw(name, default, required=required)
        if value is MISSING:
            return
        text = clean(str(value), limit + 1)
        if not text and required:
            self.errors.add(name, "required")
        elif len(text) > limit:
            self.errors.add(name, "too_long", limit=limit)
        else:
            self.clean[name] = text

    def choice(self, name: str, choices: Iterable[str], *, default: str | None = None, required: bool = False) -> None:
        """One of `choices`; case does not matter."""
        value = self.raw(name, default, required=required)
        if value is MISSING:
            return
        options = tuple(choices)
        if str(value).lower() in options:
            self.clean[name] = str(value).lower()
        else:
            self.errors.add(name, "unknown_choice", choices=", ".join(options))

    def whole(self, name: str, *, most: int = 10**9, default: int | None = None) -> None:
        """A whole number from 0 to `most`."""
        value = self.raw(name, default)
        if value is MISSING:
            return
        number = read_number(value)
        if number is None:
            self.errors.add(name, "not_a_number")
        elif number < 0:
            self.errors.add(name, "not_negative")
        elif number > most:
            self.errors.add(name, "too_big", limit=most)
        elif number != number.to_integral_value():
            self.errors.add(name, "whole_number")
        else:
            self.clean[name] = int(number)

    def flag(self, name: str) -> None:
        """`true` or `false`, also as 1 or 0, yes or no."""
        value = self.raw(name)
        if value is MISSING:
            return
        said = str(value).lower()
        if said in YES or said in NO:
            self.clean[name] = said in YES
        else:
            self.errors.add(name, "unknown_choice", choices="true, false")

    def milli(self, name: str, *, whole: bool, required: bool = False, default: int | None = None) -> None:
        """A quantity above zero with three decimals at most (none when `whole`), kept in thousandths."""
        value = self.raw(name, default, required=required)
        if value is MISSING:
            return
        number = read_number(value)
        if number is None:
            self.errors.add(name, "not_a_number")
        elif number <= 0 or number * MILLI != (number * MILLI).to_integral_value():
            self.errors.add(name, "positive")
        elif number * MILLI > MOST_MILLI:
            self.errors.add(name, "too_big", limit=MOST_MILLI // MILLI)
        elif whole and number != number.to_integral_value():
            self.errors.add(name, "whole_number")
        else:
            self.clean[name] = int(number * MILLI)

    def coordinates(self) -> None:
        """`lat` and `lon` in degrees (WGS 84); columns `latitude` and `longitude`."""
        for name, column, limit in (("lat", "latitude", 90), ("lon", "longitude", 180)):
            value = self.raw(name)
            if value is MISSING:
                if name in self.clean:
                    self.clean[column] = self.clean.pop(name)
                continue
            number = read_number(value)
            if number is None or abs(number) > limit:
                self.errors.add(name, column)
            else:
                self.clean[column] = float(number)

    def day(self, name: str) -> None:
        """A date, kept as ISO text."""
        value = self.raw(name)
        if value is MISSING:
            return
        try:
            self.clean[name] = date.fromisoformat(str(value)[:10]).isoformat()
        except ValueError:
            self.errors.add(name, "not_a_date")

    def moment(self, name: str, timezone: str, *, end_of_day: bool = False) -> None:
        """An RFC 3339 time, or a date (its first or last moment in `timezone`), kept in milliseconds since 1970."""
        value = self.raw(name)
        if value is MISSING:
            return
        moment = read_moment(value, timezone, end_of_day=end_of_day)
        if moment is None:
            self.errors.add(name, "not_a_date")
        else:
            self.clean[name] = db.to_ms(moment)

    def done(self) -> dict[str, Any]:
        """The clean fields. Raises: Refusal("invalid") with everything that was wrong."""
        self.errors.refuse()
        return self.clean


def read_number(value: Any) -> Decimal | None:
    """A finite decimal from a JSON number or from text such as `12`, `2.5`, `2,5` or `1 234,5`; else None."""
    if isinstance(value, bool):
        return None
    try:
        number = Decimal(repr(value) if isinstance(value, float) else _plain(str(value)))
    except (InvalidOperation, ValueError):
        return None
    return number if number.is_finite() and abs(number) < Decimal(10) ** 15 else None


def _plain(text: str) -> str:
    text = re.sub(r"[\s\u00a0\u202f]", "", text)
    if not re.fullmatch(r"[+-]?[0-9.,]*([eE][+-]?[0-9]{1,3})?", text):
        raise ValueError(text)
    return text.replace(",", ".") if text.count(",") == 1 and "." not in text else text


def read_moment(value: Any, timezone: str, *, end_of_day: bool = False) -> datetime | None:
    """An aware UTC datetime from an aware datetime, RFC 3339 text, or a date in `timezone`; else None."""
    if isinstance(value, datetime):
        return value.astimezone(UTC) if value.tzinfo else None
    if not str(value)[:4].isdigit() or not 1970 <= int(str(value)[:4]) <= LAST_YEAR:
        return None
    zone = zoneinfo.ZoneInfo(timezone)
    try:
        if len(str(value)) == 10:
            edge = time(23, 59, 59) if end_of_day else time(0)
            return datetime.combine(date.fromisoformat(str(value)), edge, zone).astimezone(UTC)
        moment = datetime.fromisoformat(str(value))
    except (ValueError, OverflowError):
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(UTC)

"""The skins: a `Screen` becomes one SMS. Words are the catalogue's, values are said in the reader's language."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, NamedTuple

from circular import db, i18n, settings
from circular.checks import MILLI
from sms import replies
from sms.conversation import Day, Facts, Hours, Phone, Price, Quantity, Screen, Text, Time, Value


class Shown(NamedTuple):
    """A text, and what numbers mean once it was read (None: as before)."""

    text: str
    choices: list[list[Any]] | None


def as_sms(screen: Screen, language: str) -> Shown:
    """One segment. The lines of a list are numbered in their words; of what can be done next, a menu's alone is."""
    language = screen.language or language
    facts = said(screen.facts, language)
    if screen.rows:
        rows = [said(row.facts, language) for row in screen.rows]
        text = replies.render_list(screen.key, screen.row_key, language, rows, **facts)
        return Shown(text, [list(row.command[:2]) for row in screen.rows])
    text = replies.render(screen.key, language, **facts)
    if screen.key in MENUS:
        return Shown(text, [list(option.command[:2]) for option in screen.options])
    return Shown(text, None)


MENUS = ("menu", "language_menu")  # their texts number their options


def said(facts: Facts, language: str) -> dict[str, str]:
    """Facts as people read them."""
    return {name: say(value, language) for name, value in facts.items()}


def say(value: Value, language: str) -> str:
    """One value in a language, ready for a text."""
    match value:
        case Quantity(milli, unit):
            return replies.quantity(Decimal(milli) / MILLI, unit, language)
        case Price(cents, currency):
            return i18n.format_money(cents, currency, language) if cents else replies.render("price_free", language)
        case Day(ms):
            return i18n.format_day(db.from_ms(ms), language, settings.get().timezone)
        case Time(ms):
            return i18n.format_time(db.from_ms(ms), language, settings.get().timezone)
        case Hours(osm):
            return replies.hours(osm, language)
        case Phone(e164):
            return national(e164)
        case Text(key):
            return replies.render(key, language)
    return str(value)


def national(phone: str) -> str:
    """+596596501234 -> 0596501234, as people here dial it."""
    return "0" + phone[4:] if phone.startswith("+596") else phone

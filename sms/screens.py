"""The two skins of the dialogue: a `Screen` becomes one SMS, or one screen of a USSD session.

Words are the catalogue's, values are said in the reader's language. A USSD screen has texts of its own, `ussd_<key>`,
where those of SMS tell what to text; its choices are numbered by the skin.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, NamedTuple

from circular import db, i18n, people, settings
from circular.checks import MILLI
from sms import replies
from sms.commands import Command
from sms.conversation import (
    Day,
    Facts,
    Hours,
    Option,
    Phone,
    Price,
    Quantity,
    Screen,
    Session,
    Several,
    State,
    Text,
    Time,
    Value,
)

USSD_SCREEN = 156  # septets: operators show 160 (design/channels.md, 1.4), and `CON ` is counted with them by some
MOST_CHOICES = 5  # of one USSD screen, but for 0, 00 and 98: more is tyranny (design/channels.md, 3)
# Where nothing is left to choose: the session ends, so that nobody pays for looking at a last screen.
ENDINGS = frozenset(
    "reserved reserved_later slot_reserved kit_reserved kit_reserved_machine kit_reserved_slot cancelled extended waiting "
    "waiting_more human given stop_done start_done erased alert_added alert_added_there entered entered_queue draw_left "
    "alerts_stopped offer_passed ussd_not_here refusal_busy refusal_storage_full".split()
)
# GSM 03.38 has these in its extension table, which USSD screens of some phones do not.
_NO_EXTENSION = str.maketrans(
    {"^": "'", "{": "(", "}": ")", "\\": "/", "[": "(", "~": "-", "]": ")", "|": "/", "\f": " ", "€": "EUR"}
)


_HELP = re.compile(r" 0 = \w+$")  # by SMS; here 0 goes back


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
        text = replies.render_list(screen.key, _line_keys(screen), language, rows, **facts)
        return Shown(text, [list(row.command[:2]) for row in screen.rows])
    text = replies.render(screen.key, language, **facts)
    if screen.key in MENUS:
        return Shown(text, [list(option.command[:2]) for option in screen.options])
    return Shown(text, None)


def _line_keys(screen: Screen) -> list[str]:
    return [row.key or screen.row_key for row in screen.rows]


MENUS = ("menu", "language_menu")  # their texts number their options


class UssdShown(NamedTuple):
    """A screen of a session: its text, what numbers mean, whether it is the last, whether 98 shows more of it."""

    text: str
    choices: list[list[Any]]
    ends: bool
    more: bool


def as_ussd(screen: Screen, state: State, language: str, page: int = 0) -> UssdShown:
    """One screen of at most USSD_SCREEN septets and MOST_CHOICES choices; `page` is which of a long menu's."""
    language = screen.language or language
    choices = [list(row.command[:2]) for row in screen.rows]
    labels: list[str] = []
    for option in screen.options or _answers(state):
        choices.append(list(option.command[:2]))
        labels.append(replies.render(option.key, language))
    first = page * MOST_CHOICES
    numbered = [f"{len(screen.rows) + n} {label}" for n, label in enumerate(labels, 1)][first : first + MOST_CHOICES]
    more = len(labels) > first + MOST_CHOICES
    if not choices and screen.key in ENDINGS:
        return UssdShown(_body(screen, language, USSD_SCREEN), [], True, False)
    if more or (screen.rows and state.get("more")):
        numbered.append(f"98 {replies.render('ussd_more', language)}")
    if screen.key != "menu" or page:
        numbered.append(f"0 {replies.render('ussd_back', language)}")
    tail = "".join(f"\n{line}" for line in numbered)
    if not choices and replies.length(_body(screen, language, USSD_SCREEN) + tail) > USSD_SCREEN:
        tail = ""  # a long text alone: 0 and 00 work all the same
    room = USSD_SCREEN - replies.length(tail)
    return UssdShown(_body(screen, language, room) + tail, choices, False, more)


class PageShown(NamedTuple):
    """A text page: its text, and what each of its links does."""

    text: str
    choices: list[tuple[str, Command]]


def as_page(screen: Screen, state: State, language: str) -> PageShown:
    """The same as a page of text, however long: lines and options are links, and so is what follows."""
    language = screen.language or language
    choices = []
    for row in screen.rows:
        line = replies.render(row.key or screen.row_key, language, _PAGE, **said({**row.facts, "n": ""}, language))
        choices.append((line.strip(), row.command))
    choices += [(replies.render(option.key, language), option.command) for option in screen.options]
    if screen.rows and state.get("more"):
        choices.append((replies.render("ussd_more", language), Command(*state["more"])))
    key = f"ussd_{screen.key}" if replies.exists(f"ussd_{screen.key}") else screen.key
    return PageShown(
        replies.render(key, language, _PAGE, **{**said(screen.facts, language), "lines": ""}).strip(), choices
    )


_PAGE = 2000  # septets: nothing on a page of text need be shortened


def _answers(state: State) -> tuple[Option, ...]:
    """The open question's, where the screen itself offers nothing."""
    if not state.get("yes"):
        return ()
    return (Option("do_yes", Command(*state["yes"])), Option("do_no", Command(*state["no"])))


def _body(screen: Screen, language: str, room: int) -> str:
    """The text of a screen in `room` septets, without what a USSD screen cannot show."""
    key = f"ussd_{screen.key}" if replies.exists(f"ussd_{screen.key}") else screen.key
    facts = {name: text.translate(_NO_EXTENSION) for name, text in said(screen.facts, language).items()}
    if screen.rows:
        rows = [
            {name: text.translate(_NO_EXTENSION) for name, text in said(row.facts, language).items()}
            for row in screen.rows
        ]
        return replies.render_list(key, _line_keys(screen), language, rows, room, **facts)
    return _HELP.sub("", replies.render(key, language, room, **facts))


def of_notice(facts: Mapping[str, Any]) -> dict[str, Value]:
    """A notice's facts, which are JSON as the nouns have it, as the values that texts name."""
    values: dict[str, Value] = dict(facts)
    if "quantity" in values:
        values["quantity"] = Quantity(facts["quantity"], facts["unit"])
    if "closes_at" in values:
        values.update(day=Day(facts["closes_at"]), time=Time(facts["closes_at"]))
    if "expires_at" in values:
        begins = facts.get("starts_at") or facts["expires_at"]
        values.update(day=Day(begins), time=Time(begins), until=Time(facts["expires_at"]))
    if "stock" in values:
        values.update(there=Quantity(facts["stock"], facts["unit"]), some=Quantity(facts["stock"], "piece"))
    if values.get("slot_at"):
        values["title"] = Session(facts["title"], facts["slot_at"])
    if values.get("available_from"):
        values["from_day"] = Day(facts["available_from"])
    for noun, text in (("pickup_code", "pin"), ("place_name", "place")):
        if noun in values:
            values[text] = values[noun]
    return values


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
            return people.national(e164)
        case Text(key):
            return replies.render(key, language)
        case Several(milli, unit, title):
            return f"{say(Quantity(milli, unit), language)}{' x' if unit == 'piece' else ''} {title}"
        case Session(title, starts_at):
            return f"{say(Day(starts_at), language)} {say(Time(starts_at), language)} {say(title, language)}"
    return str(value)

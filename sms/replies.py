"""Texts for phones: every one fits a single segment of GSM-7, whatever it is filled with.

The texts are in `locale/<language>/LC_MESSAGES/sms.po`, by key. What is too long is shortened in a fixed order, the title
first; numbers, codes and days never are, until nothing else is left to cut.
"""

from __future__ import annotations

import functools
import re
import string
from collections.abc import Mapping, Sequence
from decimal import Decimal

from circular import i18n
from circular.text import clean, shorten
from sms import segments

LINES = 3  # of a list in one segment
LONGEST_WORDS = 14  # characters of a search repeated above a list: its lines say more
_SHORTENED = ("title", "needs", "place", "words", "hours", "text")  # in this order
_READABLE = 12  # characters that each of them keeps, unless all at this length are still too long
_OSM_DAYS = ("Mo", "Tu", "We", "Th", "Fr", "Sa", "Su")
_OSM_DAY = re.compile(rf"\b({'|'.join(_OSM_DAYS)})\b")
_OSM_TIME = re.compile(r"\b(\d\d?):(\d\d)\b")


def render(key: str, language: str, room: int = segments.SEGMENT, /, **facts: object) -> str:
    """The text `key` filled from `facts`, in `room` septets at most. An empty `phone` is read as the town hall.

    Raises: KeyError for an unknown key or a missing fact; never for the length or the characters of a fact.
    """
    template = _template(key, language)
    return _fill(template, _readable(template, language, facts), room)


def render_list(
    key: str,
    line_key: str,
    language: str,
    rows: Sequence[Mapping[str, object]],
    room: int = segments.SEGMENT,
    /,
    **facts: object,
) -> str:
    """The text `key` around one `line_key` for each of the first LINES rows; their titles (or words) share the room.

    Raises: KeyError as `render` does.
    """
    frame, line = _template(key, language), _template(line_key, language)
    around = _readable(frame, language, {**facts, "lines": ""})
    if "words" in around:
        around["words"] = _cut(around["words"], LONGEST_WORDS)
    shown = [_readable(line, language, row) for row in rows[:LINES]]
    name = "title" if "title" in _names(line) else "words"
    bare = "\n".join(line.format_map({**row, name: ""}) for row in shown)
    spare = room - length(frame.format_map({**around, "lines": bare}))
    # The shortest title takes what it needs, the others share the rest.
    for left, row in zip(range(len(shown), 0, -1), sorted(shown, key=lambda row: length(row[name])), strict=True):
        row[name] = _cut(row[name], max(0, spare // left))
        spare -= length(row[name])
    return _fill(frame, {**around, "lines": "\n".join(line.format_map(row) for row in shown)}, room)


def quantity(amount: Decimal | int, unit: str, language: str) -> str:
    """`12`, `12,5 m2`, `3 lot`: pieces need no word. Raises: KeyError for an unknown unit."""
    number = i18n.format_number(amount, language)
    return number if unit == "piece" else f"{number} {_template(f'unit_{unit}', language)}"


def hours(opening_hours: str, language: str) -> str:
    """OSM opening hours as people write them: `Mo-Sa 09:00-17:00; PH off` -> `lun-sam 9h-17h`. Unknown: a word for it."""
    rules = [rule.strip() for rule in opening_hours.split(";")]
    said = "; ".join(rule for rule in rules if rule and not rule.endswith(("off", "closed")))
    said = _OSM_DAY.sub(lambda found: i18n.DAYS[language][_OSM_DAYS.index(found[1])], said)
    said = _OSM_TIME.sub(lambda found: i18n.wall_time(int(found[1]), int(found[2]), language), said)
    return said or _template("hours_unknown", language)


def exists(key: str) -> bool:
    """True when there is a text `key` (French has them all)."""
    return bool(i18n.catalogue("sms", "fr").gettext(key) != key)


def _template(key: str, language: str) -> str:
    text = i18n.catalogue("sms", language).gettext(key)
    if text == key:  # gettext gives the id back when it has no text
        raise KeyError(f"no SMS text {key!r}")
    return text


@functools.cache
def _names(template: str) -> tuple[str, ...]:
    return tuple(name for _, name, _, _ in string.Formatter().parse(template) if name)


def _readable(template: str, language: str, facts: Mapping[str, object]) -> dict[str, str]:
    """The facts that the template names, each on one line of GSM-7 that is no longer than a segment."""
    found = {name: segments.fit(clean(str(facts[name]), segments.SEGMENT)) for name in _names(template)}
    if found.get("phone") == "":
        found["phone"] = _template("phone_unknown", language)
    return found


def _fill(template: str, facts: dict[str, str], most: int) -> str:
    text = template.format_map(facts)
    for least in (_READABLE, 0):
        for name in _SHORTENED:
            over = length(text) - most
            if over > 0 and name in facts:
                room = max(length(facts[name]) - over, min(least, length(facts[name])))
                text = template.format_map({**facts, name: _cut(facts[name], room)})
                facts = {**facts, name: _cut(facts[name], room)}
    return _cut(text, most)


def length(text: str) -> int:
    """Septets of a text that is GSM-7 already."""
    found = segments.septets(text)
    assert found is not None, text  # facts are fitted, texts are GSM-7 (tests/sms/test_replies.py)
    return found


def _cut(text: str, room: int) -> str:
    """`text` in at most `room` septets, between two words where it can be."""
    width = min(room, len(text))
    while length(shorten(text, width)) > room:
        width -= 1
    return shorten(text, width)

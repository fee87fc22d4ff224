"""Texts for phones: every one fits a single segment of GSM-7, whatever it is filled with.

The texts are in `locale/<language>/LC_MESSAGES/sms.po`, by key. What is too long is shortened in a fixed order, the title
first; numbers, codes and days never are, until nothing else is left to cut.
"""

from __future__ import annotations

import functools
import itertools
import string
from collections.abc import Mapping, Sequence
from decimal import Decimal

from circular import i18n, settings
from circular.text import analyse, clean, shorten
from sms import segments

LINES = 3  # of a list in one segment
# Characters of a place in a list, and those of each title that must be kept beside it, the best first: what a thing is, where
# it is and how much there is decide together.
_PLACES = ((16, 1000), (16, 18), (12, 16), (10, 15))
# The same where the titles leave out what was searched, which stands above the list.
_CLOSER = ((16, 1000), (12, 15), (10, 12), (9, 10))
LEAST_TITLE = 4  # characters of what a title says besides what was searched
_LINKS = ("a", "au", "aux", "de", "del", "des", "do", "du", "en", "for", "la", "of", "para", "pou", "pour")
LONGEST_WORDS = 14  # characters of a search repeated above a list: its lines say more
_SHORTENED = ("title", "needs", "address", "hours", "place", "words", "text", "service")  # in this order
# Characters that each of them keeps: first enough to read, then to guess, then none.
_LEAST: tuple[Mapping[str, int], ...] = (
    {"title": 22, "needs": 22, "address": 22, "hours": 22, "place": 16, "words": 14, "text": 14, "service": 30},
    dict.fromkeys(_SHORTENED, 12),
    dict.fromkeys(_SHORTENED, 0),
)


def render(key: str, language: str, room: int = segments.SEGMENT, /, **facts: object) -> str:
    """The text `key` filled from `facts`, in `room` septets at most. An empty `phone` is read as the town hall.

    Every text may name the `service`.

    Raises: KeyError for an unknown key or a missing fact; never for the length or the characters of a fact.
    """
    template = _template(key, language)
    return _fill(template, _readable(template, language, facts), room)


def render_list(
    key: str,
    line_key: str | Sequence[str],
    language: str,
    rows: Sequence[Mapping[str, object]],
    room: int = segments.SEGMENT,
    /,
    **facts: object,
) -> str:
    """The text `key` around one `line_key` (or each row's own) for the first LINES rows; their titles share the room that is
    left, once their places are named.

    The title of an alert's line is its words. Raises: KeyError as `render` does.
    """
    frame = _template(key, language)
    around = _readable(frame, language, {**facts, "lines": ""})
    if "words" in around:
        around["words"] = _cut(around["words"], LONGEST_WORDS)
    keys = [line_key] * len(rows) if isinstance(line_key, str) else line_key
    lines = [_template(one, language) for one in keys[:LINES]]
    shown = [_readable(line, language, row) for line, row in zip(lines, rows[:LINES], strict=True)]
    title = next((name for name in _SHORTENED if lines and name in _names(lines[0])), "title")
    places = [row.pop("place", "") for row in shown]
    titles = [row[title] for row in shown]
    short = [line.replace(" {place}", "") for line in lines]
    bare = _lines(short, [{**row, title: ""} for row in shown])
    spare = room - length(frame.format_map({**around, "lines": bare}))
    beside = _beside(titles, around.get("words", ""))
    for tells, (said, steps) in itertools.product((_measures, _differ), ((titles, _PLACES), (beside, _CLOSER))):
        for longest, kept in steps if said else ():
            where = [_short_name(place, longest) for place in places]
            left = spare - sum(1 + length(one) for one in where)
            cut = _shared(said, left)
            if all(where) and sum(min(kept, length(one)) for one in said) <= left and tells(cut, titles):
                shown = [{**row, title: one, "place": place} for row, one, place in zip(shown, cut, where, strict=True)]
                return _fill(frame, {**around, "lines": _lines(lines, shown)}, room)
    cut = _shared(titles, spare)
    cut = _shared(beside, spare) if beside and not _differ(cut, titles) else cut
    shown = [{**row, title: one} for row, one in zip(shown, cut, strict=True)]
    return _fill(frame, {**around, "lines": _lines(short, shown)}, room)


def _shared(titles: Sequence[str], spare: int) -> list[str]:
    """Titles in so many characters: the shortest takes what it needs, the others share the rest."""
    cut = list(titles)
    for left, n in zip(range(len(cut), 0, -1), sorted(range(len(cut)), key=lambda n: length(cut[n])), strict=True):
        cut[n] = _cut(cut[n], max(0, spare // left))
        spare -= length(cut[n])
    return cut


def _differ(cut: Sequence[str], titles: Sequence[str]) -> bool:
    """True when titles that differ still do."""
    return len(set(cut)) == len(set(titles))


def _measures(cut: Sequence[str], titles: Sequence[str]) -> bool:
    """True when no title has lost a number: a door is chosen by its width."""
    return all(_numbers(one) == _numbers(title) for one, title in zip(cut, titles, strict=True))


def _numbers(title: str) -> int:
    return sum(any(map(str.isdigit, word)) for word in title.split())


def _beside(titles: Sequence[str], words: str) -> list[str]:
    """Titles without the words that begin all of them and were searched: `Planche de coffrage` -> coffrage. None when they
    begin otherwise, or say nothing besides.
    """
    searched, split = analyse(words), [title.split(" ") for title in titles]
    start = 0
    for column in zip(*split, strict=False):
        stems = {tuple(analyse(word)) for word in column}
        if len(stems) > 1 or not set(searched).issuperset(*stems) or stems == {()}:
            break
        start += 1
    rest = []
    for left in split if start else ():
        kept = itertools.dropwhile(lambda word: word.lower() in _LINKS, left[start:])
        rest.append(" ".join(kept).removeprefix("d'"))
    return rest if all(len(one) >= LEAST_TITLE for one in rest) else []


def _short_name(place: str, longest: int) -> str:
    """A place in so many characters: `Commune du Lamentin` -> Lamentin, `Le Trois Lieu` -> Trois Lieu, `Gymnase (vide)` ->
    Gymnase.
    """
    whole = [place, place.partition(" (")[0]]
    words = whole[1].split()
    shorter = (" ".join(words[start:]) for start in range(1, len(words)) if words[start][:1].isupper())
    return next((name for name in (*whole, *shorter) if length(name) <= longest), _cut(whole[1], longest))


def _lines(templates: Sequence[str], rows: Sequence[Mapping[str, str]]) -> str:
    return "\n".join(line.format_map(row) for line, row in zip(templates, rows, strict=True))


def quantity(amount: Decimal | int, unit: str, language: str) -> str:
    """`12`, `12,5 m2`, `3 lot`: pieces need no word. Raises: KeyError for an unknown unit."""
    number = i18n.format_number(amount, language)
    return number if unit == "piece" else f"{number} {_template(f'unit_{unit}', language)}"


def hours(opening_hours: str, language: str) -> str:
    """OSM opening hours as people write them: `Mo-Sa 09:00-17:00; PH off` -> `lun-sam 9h-17h`. Unknown: a word for it."""
    return i18n.hours(opening_hours, language) or _template("hours_unknown", language)


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
    facts = {"service": settings.get().service_name, **facts}
    found = {name: segments.fit(clean(str(facts[name]), segments.SEGMENT)) for name in _names(template)}
    if found.get("phone") == "":
        found["phone"] = _template("phone_unknown", language)
    return found


def _fill(template: str, facts: dict[str, str], most: int) -> str:
    text = template.format_map(facts)
    for least in _LEAST:
        for name in _SHORTENED:
            over = length(text) - most
            if over <= 0:
                return text
            if name in facts:
                said = facts[name]
                room = max(length(said) - over, min(least[name], length(said)))
                facts = {**facts, name: _cut_hours(said, room) if name == "hours" else _cut(said, room)}
                text = template.format_map(facts)
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


def _cut_hours(text: str, room: int) -> str:
    """Opening hours in at most `room` septets: whole rules, `etc` for those left out: half a rule would be false."""
    rules = text.split("; ")
    while len(rules) > 1:
        rules.pop()
        said = f"{'; '.join(rules)} etc"
        if length(said) <= room:
            return said
    return _cut(text, room)

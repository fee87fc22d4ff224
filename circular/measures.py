"""Words, sizes, quantities, seats and prices in what somebody typed, one after the other."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from circular import ranges, search
from circular.text import NUMBER_WORDS, Pattern, analyse, fold
from circular.vocabulary import LITTLE, Lexicon

MOST_WORDS = 24  # of a query that are read
UNITS = {
    "m2": "m2", "m3": "m3", "kg": "kg", "kilo": "kg", "kilos": "kg", "t": "t", "tonne": "t", "tonnes": "t", "ton": "t",
    "tons": "t", "tonelada": "t", "toneladas": "t",
}  # fmt: skip
MASSES = {"kg": 1, "t": 1000}
LEAST_SIZE = 10  # a bare number below is no size
LITRES = 1000  # of a cubic metre
LONG = 7000  # mm: what is longer is no plank, and so many metres of something
# Numbers that people write out. One counts where a digit would: before the first thing (`neuf portes` are nine doors,
# `portes neuves` new ones). English `four` is a French oven, and `set` no seven where it is English.
# Haitian `ven` is twenty here, and Friday where a time is named.
COUNTED = {
    **{word: number for word, number in NUMBER_WORDS.items() if number > 1 and word not in ("four", "set")},
    "ven": 20,
}
# What a room's number counts.
_SEATS = "asiento lugar lugares moun people person persona personne pessoa place plas plaza poste seat seater"
SEATS = frozenset(analyse(_SEATS))
_NUMBER = r"\d{1,6}(?:[.,]\d{1,3})?"
_LONG = rf"(?<![\w.,])(?:\d{{1,3}}\s?m\s?\d{{2}}|{_NUMBER}\s*(?:mm|cm|metres?|metros?|meters?|mets?|m))(?!\w)"
_NONE = r"(?:pas|pa|no|not|nao)"
_MORE, _LESS, _THAN = r"(?:plus|plis|pli|more|mas|mais)", r"(?:moins|mwens|less|menos)", r"(?:de|than|que|ke|ki|pase)"
_LARGE = r"(?:\ (?:longs?|longues?|grande?s?|hautes?|hauts?|larges?|gran|largo|alto))?"
# At most, at least: before a number, or on either side of it.
_MOST = (
    rf"(?:{_NONE}\ {_MORE}{_LARGE}\ {_THAN}|{_LESS}{_LARGE}\ {_THAN}|{_MORE}\ (?:petite?s?|courte?s?|kout|piti)\ {_THAN}"
    r"|(?:shorter|smaller)\ than|inferieure?s?\ a|under|below|jusqu\W?a|up\ to|hasta|ate|<=?|≤)"
)
_LEAST = (
    rf"(?:{_NONE}\ {_LESS}{_LARGE}\ {_THAN}|{_MORE}{_LARGE}\ {_THAN}|(?:longer|larger|bigger|taller|wider)\ than"
    r"|superieure?s?\ a|over|above|omwen|a\ partir\ de|desde|>=?|≥)"
)
_AT_MOST = r"(?:maximum|maximo|maxi|max|au\ plus|at\ most)"
_AT_LEAST = r"(?:minimum|minimo|mini|min|au\ moins|at\ least|al\ menos|pelo\ menos|omwen)"
_UPWARDS = r"(?:(?:et|ou)\ plus|or\ more|o\ mas|ou\ mais)"
_TOKEN = Pattern(
    rf"""(?P<pair>(?<![\w.,])\d{{1,6}}(?:[.,]\d{{1,3}})?\s*(?:mm|cm|m)?(?:\s*[x×*]\s*\d{{1,6}}(?:[.,]\d{{1,3}})?\s*(?:mm|cm|m)?){{1,2}}(?!\w))
    |(?P<price>(?:(?<!\w)(?:entre|between)\ \d{{1,5}}(?:[.,]\d{{1,2}})?\s*(?:€|euros?|eur)?\s*(?:et|and|y|e|ak)\ )?
        (?<![\w.,])(?:\d{{1,3}}(?:\ \d{{3}}){{1,2}}|\d{{1,5}})(?:[.,]\d{{1,2}})?\s*(?:€|euros|eur(?!\w)|euro(?!\s*pal))(?!\w)
        |(?<!\w)(?:€|eur)\s?\d{{1,5}}(?:[.,]\d{{1,2}})?(?!\w))
    |(?P<metres>(?<![\w.,])\d{{1,3}}\s?m\s?\d{{2}}(?!\w))
    |(?P<range>(?:(?<!\w)(?:entre|between|from|de)\s+)?(?<![\w.,]){_NUMBER}\s*(?:mm|cm|m)?\s*(?:et|and|y|e|a|to|ak|-)\s*{_LONG})
    |(?P<most>(?<!\w)(?:{_MOST}|{_AT_MOST})\s*{_LONG}|{_LONG}\s*{_AT_MOST}(?!\w))
    |(?P<least>(?<!\w)(?:{_LEAST}|{_AT_LEAST})\s*{_LONG}|{_LONG}\s*(?:{_AT_LEAST}|{_UPWARDS})(?!\w))
    |(?P<fewer>(?<!\w)(?:{_MOST}|{_AT_MOST})\s*{_NUMBER}(?=\s*$|\s+(?:{"|".join(_SEATS.split())})))
    |(?P<more>(?<!\w)(?:{_LEAST}|{_AT_LEAST})\s*{_NUMBER}(?=\s*$|\s+(?:{"|".join(_SEATS.split())})))
    |(?P<section>(?<![\w.,]){_NUMBER}\s*mm2(?!\w))
    |(?P<measure>(?<![\w.,]){_NUMBER}\s*(?:mm|cm|metres?|metros?|meters?|mets?|m[23]?|kg|kilos?|tonnes?|tons?|toneladas?|t)(?!\w))
    |(?P<mark>(?<![\w.,]){_NUMBER}\s*(?:litres?|liters?|litros?|l|volts?|v|watts?|w|kw|kva)(?!\w))
    |(?P<number>(?<![\w.,])\d{{1,4}}(?:[.,]\d{{1,3}})?(?!\w))
    |(?P<word>[^\W_]+)""",
    re.VERBOSE,
)
# Before a price, what makes the least of it, which no search knows; `pas plus de` does not. Compiled when a price is named.
_LEAST_PRICE = (
    r"(?:(?<!\bpas )(?<!\bau )(?<!\bno )(?<!\bnot )(?<!\bnao )(?<!\bpa )\b(?:plus|more|mas|mais|pase)(?: (?:de|than|d|que))?"
    r"|\b(?:pas|pa|no|not|nao) (?:moins|mwens|less|menos) (?:de|than|que|ke)"
    r"|\b(?:over|above|a partir de|minimum|min|au moins|at least|al menos|pelo menos|desde|omwen))\s*$"
)
_PART = re.compile(r"(\d+(?:[.,]\d+)?)\s*([a-z]+[23]?)")
_END = re.compile(r"(\d{1,3})\s?m\s?(\d{2})(?!\w)|(\d+(?:[.,]\d+)?)\s*(mm|cm|m)?")
_SIDE = re.compile(r"(\d+(?:[.,]\d+)?)\s*(mm|cm|m)?")
_ONE_OF = re.compile(r"\b(?:une?|one|uma?|yon|an) (?=(?:tonn?e?s?|toneladas?|kilos?|litres?|metres?)\b)")
_NOT = re.compile(r"(?<!\S)-(?=[^\W\d_])|\b(?:autres? que|other than) ")  # `porte -bois`
_LETTER = re.compile(r"(?<=\w) ([oye]) (?!mas\b)(?=\w)")  # a letter alone is no word
_OF = ("de", "of", "di")


class Amount(NamedTuple):
    """At least so many thousandths of a unit; an empty unit means whatever the listing counts in."""

    milli: int
    unit: str

    @property
    def units(self) -> tuple[str, ...]:
        """The units in which a listing may count it: what is asked for by the kilo may be there by the ton."""
        return tuple(MASSES) if self.unit in MASSES else (self.unit,)

    def in_unit(self, unit: str) -> int:
        """The same in another of its units, thousandths."""
        return self.milli * MASSES[self.unit] // MASSES[unit] if self.unit in MASSES else self.milli


class Span(NamedTuple):
    """From so much to so much: mm of the longest side, or people that a room holds."""

    low: int
    high: int
    seated: bool = False

    def tokens(self) -> list[str]:
        """Any of these has what may lie within it."""
        return ranges.seats_for(self.low, self.high) if self.seated else ranges.lengths(self.low, self.high)

    def miss(self, title: str, dimensions: Mapping[str, Any]) -> float:
        """How far a listing is from it: below 1 when it lies within, the next larger room before all others."""
        if self.seated:
            seats = seats_of(title)
            near = min(max(seats, self.low), self.high)
            return (seats - self.low) / _NO_END if seats and near == seats else 1 + abs(near - seats)
        longest = search.longest(title, dimensions)
        if not longest:
            return search.FAR
        near = min(max(longest, self.low), self.high)
        return 0 if near == longest else 1 + round(abs(math.log2(near / longest)), 1)


def seats_of(title: str) -> int:
    """How many people a room or a workshop has places for by its title; 0 when that does not say."""
    return max((int(number) for number in _SEATED.findall(fold(title))), default=0)


_SEATED = Pattern(r"(?<![\w.,])(\d{1,4}) (?:" + "|".join(_SEATS.split()) + r")s?(?!\w)")


def sections_of(title: str) -> list[str]:
    """Words for the sections of a cable's wires: `3G2,5 mm2` -> s250, since an index cuts 2,5 into two words."""
    return [_section(number) for number in _WIRES.findall(fold(title))]


def _section(number: str) -> str:
    return f"s{round(float(number.replace(',', '.')) * 100)}"


_WIRES = Pattern(r"(?<!\w)(?:\d{1,2} ?[gx] ?)?(\d{1,3}(?:[.,]\d{1,2})?) ?mm2(?!\w)")
_NO_END = 10**9


class Item(NamedTuple):
    """One of what was typed. `milli` and `amount` say how much, `sizes` ways to read a size in mm, `span` a range of them."""

    kind: str  # "word", "size", "span", "amount", "number", "mark", "price"
    text: str  # a word's stem
    typed: str
    sizes: tuple[tuple[int, ...], ...] = ()
    amount: Amount | None = None
    price: int | None = None  # minor units
    marks: tuple[str, ...] = ()  # words of a title that say a number
    span: Span | None = None
    guess_of: str = ""  # the stem that it is put in the place of


def items(typed: str) -> Iterator[Item]:
    """What was typed, cut up."""
    folded = _LETTER.sub(_said, _ONE_OF.sub("1 ", _NOT.sub("sans ", fold(typed))))
    for number, found in enumerate(_TOKEN.finditer(folded)):
        if number == MOST_WORDS:
            return
        kind, text = str(found.lastgroup), found.group()
        if kind == "word":
            yield from (Item("word", stem, text) for stem in analyse(text))
        else:
            yield _READ[kind](text, folded[: found.start()])


def _said(letter: re.Match[str]) -> str:
    """`puertas y ventanas`, `madera o metal`."""
    return " or " if letter[1] == "o" else " and "


def _pair(text: str, _before: str) -> Item:
    return Item("size", text, text, _sides(_SIDE.findall(text)))


def _price(text: str, before: str) -> Item:
    most = re.split(r"(?<=[\d€rs])\s*(?:et|and|y|e|ak)\s", text)[-1]
    whole, _, part = re.sub(r"[^\d.,]", "", most).replace(",", ".").partition(".")
    cents = int(whole) * 100 + int(part.ljust(2, "0") or 0)
    return Item("price", text, text, price=None if re.search(_LEAST_PRICE, before) else cents)


def _mark(text: str, _before: str) -> Item:
    """`1000 L`, `18V`: no field has it, a title may."""
    whole, letter = re.findall(r"(\d+)(?:[.,]\d+)?\s*([a-z])", text)[0]
    return Item("mark", whole, text, marks=(whole, whole + letter))


def _of_section(text: str, _before: str) -> Item:
    return Item("mark", text, text, marks=(_section(_SIDE.findall(text)[0][0]),))


def _metres(text: str, _before: str) -> Item:
    """`2m50`."""
    whole, part = re.findall(r"\d+", text)
    return Item("size", text, text, ((int(whole) * 1000 + int(part) * 10,),))


def _number(text: str, _before: str) -> Item:
    marks = (text, f"{text}l") if text.isdecimal() else (_section(text),)
    return Item("number", text, text, readings([text], ""), marks=marks)


def _measured(text: str, _before: str) -> Item:
    number, unit = _PART.findall(text)[0]
    if unit not in UNITS:
        length = Amount(_milli(number), "m") if unit not in ("mm", "cm") else None
        return Item("size", text, text, ((search.millimetres(number, unit),),), length)
    amount = Amount(_milli(number), UNITS[unit])
    litres = amount.milli * LITRES // 1000
    return Item("amount", text, text, amount=amount, marks=(f"{litres}", f"{litres}l") if unit == "m3" else ())


def _ends(text: str) -> tuple[list[int], str]:
    """The ends of a range in mm, and the unit of the last."""
    sides = _END.findall(text)
    unit = sides[-1][3] or "m"
    return sorted(
        int(whole) * 1000 + int(part) * 10 if whole else search.millimetres(number, own or unit)
        for whole, part, number, own in sides
    ), unit


def _range(text: str, _before: str) -> Item:
    """`entre 2 et 3 m`."""
    ends, _ = _ends(text)
    return Item("span", text, text, span=Span(ends[0], ends[-1]))


def _most(text: str, _before: str) -> Item:
    """`moins de 2 m`."""
    return Item("span", text, text, span=Span(0, _ends(text)[0][0]))


def _least(text: str, _before: str) -> Item:
    """`3 m minimum`."""
    ends, unit = _ends(text)
    return Item("span", text, text, amount=Amount(ends[0], "m") if unit == "m" else None, span=Span(ends[0], _NO_END))


def _fewer(text: str, _before: str) -> Item:
    number, mm = _bare(text)
    return Item("number", number, text, readings([number], ""), span=Span(0, mm))


def _more(text: str, _before: str) -> Item:
    number, mm = _bare(text)
    return Item("number", number, text, readings([number], ""), span=Span(mm, _NO_END))


def _bare(text: str) -> tuple[str, int]:
    """A number that ends the text without a unit: `porte plus de 80`, of centimetres, `planche moins de 2`, of metres."""
    number: str = re.findall(r"\d+(?:[.,]\d+)?", text)[-1]
    return number, search.millimetres(number, "cm" if float(number.replace(",", ".")) >= LEAST_SIZE else "m")


_READ: dict[str, Callable[[str, str], Item]] = {  # by the names of _TOKEN's groups; of a text and what stands before it
    "pair": _pair, "price": _price, "metres": _metres, "range": _range, "most": _most, "least": _least, "fewer": _fewer,
    "more": _more, "section": _of_section, "measure": _measured, "mark": _mark, "number": _number,
}  # fmt: skip


def _sides(parts: list[tuple[str, str]]) -> tuple[tuple[int, ...], ...]:
    """`80x200 cm` is all of one unit; what has none beside metres, and would be too long in them, is of centimetres."""
    unit = next((unit for _, unit in reversed(parts) if unit), "")
    if unit == "m" and any(not own and float(number.replace(",", ".")) >= LEAST_SIZE for number, own in parts):
        return (tuple(search.millimetres(number, own or "cm") for number, own in parts),)
    return readings([number for number, _ in parts], unit)


def seated(item: Item) -> Span:
    """Room for so many; for so many at most where that is said."""
    at_most = item.span is not None and not item.span.low
    return Span(0, int(item.text), seated=True) if at_most else Span(int(item.text), _NO_END, seated=True)


def is_by_the_metre(item: Item, following: str) -> bool:
    """True when a length before a thing says how much of it, rather than how long: `100 m de câble`."""
    if item.amount is None or item.amount.unit != "m":
        return False
    return following in _OF or item.amount.milli >= LONG


def glued(found: list[Item], lexicon: Lexicon) -> list[Item]:
    """The items with a word and a number that are one name: `BA 13`; with a number that a term begins with: `2 bacs`."""
    for at, (one, other) in enumerate(itertools.pairwise(found)):
        name = one.text + other.text
        if one.kind == "word" and other.kind == "number" and name in lexicon.meanings:
            return [*found[:at], Item("word", name, name), *found[at + 2 :]]
        if at and one.kind == "number" and other.kind == "word" and f"{one.text} {other.text}" in lexicon.meanings:
            return [*found[:at], one._replace(kind="word"), *found[at + 1 :]]
    return found


def counted(found: list[Item], lexicon: Lexicon) -> list[Item]:
    """The items with a number that is written out as a number, right before the first thing, or before seats."""
    for at, (one, other) in enumerate(itertools.pairwise(found)):
        if one.typed in COUNTED and other.text in SEATS:
            return [*found[:at], _written_out(one), *found[at + 1 :]]
    at = next((n for n, item in enumerate(found) if item.text not in LITTLE or (not n and item.typed in COUNTED)), 0)
    if at + 1 >= len(found) or found[at].kind != "word" or found[at].typed not in COUNTED:
        return found
    if found[at + 1].kind != "word" or found[at + 1].text in LITTLE:
        return found
    if any(term.start == 0 and term.length > 1 for term in lexicon.terms([item.text for item in found[at:]])):
        return found  # `six pans`, `deux battants`
    return [*found[:at], _written_out(found[at]), *found[at + 1 :]]


def _written_out(item: Item) -> Item:
    number = str(COUNTED[item.typed])
    return Item("number", number, item.typed, readings([number], ""))


def _milli(number: str) -> int:
    return round(float(number.replace(",", ".")) * 1000)


def readings(numbers: list[str], unit: str) -> tuple[tuple[int, ...], ...]:
    """Sizes in mm: by the unit, or without one as centimetres, millimetres or metres."""
    units = (unit,) if unit else ("cm", "mm", "m")
    return tuple(tuple(search.millimetres(number, one) for number in numbers) for one in units)

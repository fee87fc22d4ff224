"""What somebody who searches wants, read from what they typed: things, words, sizes, a quantity, a price, a place.

`12 pòt 83 lamanten` -> at least twelve, the concept `door` (or pot), 830 mm, in Le Lamentin. A word that nothing has is put
right (`corrected`), asked about when that is unsure (`did_you_mean`), or passed over (`ignored`).
"""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Container, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from circular import db, measures, places, ranges, search, vocabulary
from circular.measures import Amount, Item, Span
from circular.search import all_of, any_of, has, titled
from circular.text import analyse, fold
from circular.vocabulary import LACKING, LITTLE, NOT, Lexicon

MOST_NOTED = 2000  # words of titles that a slip is compared with
_RUN_ON = re.compile(r"(?<=[a-z]{3})(?=\d)|(?<=\d)(?=[a-z]{3})")
MOST_UNITS = 8
MOST_SAID = 12  # words of staff that are looked for besides a concept
# Qualities that a listing's own fields tell, besides its words.
FIELDS = {
    "free": "xgfree",
    "as-new": "xsas0new",
    "to-repair": "xsto0repair",
    "for-parts": "xsparts",
}  # fmt: skip


# How much of a listing must be what is asked for: it speaks of it anywhere; in its title or category, or anywhere of what a
# thing is made of, or has beside it; in its title; it is that itself.
LOOSE, SPOKEN, TITLED, BEING = range(4)
Clause = tuple[str, ...]  # tokens of the index, any of which will do
# Categories with others below them; None: it does not matter what the listing itself is.
Families = frozenset[str] | None


class Unit(NamedTuple):
    """One thing (or quality) that is asked for: any of its concepts, or a plain word; or all of its `parts`."""

    typed: str
    tokens: tuple[str, ...]  # any of which a listing's text has that mentions it
    heads: tuple[str, ...] = ()  # any of which the title of a listing has that is it
    parts: tuple[Unit, ...] = ()
    concepts: tuple[int, ...] = ()
    is_thing: bool = True
    is_substance: bool = False  # of which things are made
    is_object: bool = False  # a door or a saw: neither a substance, nor a quality, nor what somebody does
    told: tuple[str, ...] = ()  # any of which a listing has that speaks of it beside the title and the category
    filed: tuple[frozenset[str], ...] = ()  # categories of each of its concepts
    is_unwanted: bool = False  # what is not to be had with it: `porte sans vitre`
    guessed: bool = False  # from a word that was put right
    inner: tuple[str, ...] = ()  # any of which the title of a listing has that names it within a longer term

    def clauses(self, families: Families, level: int = SPOKEN, among: int = 1) -> list[Clause]:
        """What a listing holds that mentions it, in the title; when it is one of several things, within a longer term will
        do, and so will a word beside the title. What a term says in several words may be said apart, by what is one of the
        things that they name.
        """
        beside = level == LOOSE or (level == SPOKEN and (among > 1 or not self.is_object))
        said = tuple(map(titled, self.tokens)) if level >= TITLED else self.tokens + (self.told if beside else ())
        own = said + (self.inner if among > 1 else ())
        if not self.parts:
            return [own]
        apart = [clause for part in self.parts for clause in part.clauses(families, level, len(self.parts))]
        lead = _lead(self.parts, families, level)
        return [(*own, *clause) for clause in (*apart, *([lead] if lead else []))]

    def unwanted(self) -> str:
        """An expression for the listings that say in their own words that they are it, or have it."""
        if not self.tokens:
            return all_of(part.unwanted() for part in self.parts)
        own = [token if token in FIELDS.values() else titled(token) for token in self.tokens]
        return any_of(map(has, (*own, *self.told, *self.inner)))

    def within(self) -> str:
        """An expression for the listings that mention it, or each of its parts."""
        return _expression(self.clauses(None, LOOSE))

    def spans(self, families: Families) -> bool:
        """True when all that it may mean is filed under a whole family, or in many places."""
        return bool(self.filed) and all(len(codes) > 2 or not codes.isdisjoint(families or ()) for codes in self.filed)

    def every_head(self) -> list[str]:
        """Head tokens of it and of its parts."""
        return [*self.heads, *(head for part in self.parts for head in part.heads)]


class Spot(NamedTuple):
    """A place or a commune: its facet's token, or its name in a text, and where it is."""

    name: str
    tokens: tuple[str, ...]
    point: tuple[float, float] | None


class Wish(NamedTuple):
    """What is wanted. `sizes`: ways to read the sizes asked for, each in mm; any of them will do, and so will a title that
    has one of `marks`. `without`: what it must not be or have. `span`: a range of sizes, or of seats. `either`: one number
    says the size or the quantity; `by_metre`: the quantity sooner (`100 m de câble`, `3 m3`).
    """

    units: tuple[Unit, ...] = ()
    without: tuple[Unit, ...] = ()
    sizes: tuple[tuple[int, ...], ...] = ()
    marks: tuple[str, ...] = ()
    span: Span | None = None
    amount: Amount | None = None
    either: bool = False
    by_metre: bool = False
    price: int | None = None  # at most, in minor units
    spot: Spot | None = None
    corrected: tuple[tuple[str, str], ...] = ()  # words as typed, and as understood
    understood: str = ""  # all that was typed, put right; nothing when nothing had to be
    did_you_mean: str = ""
    ignored: tuple[str, ...] = ()
    said: bool = False  # something was typed, signs at least
    passed_over: tuple[str, ...] = ()  # what was read and narrows nothing: the least of a price

    @property
    def sized(self) -> bool:
        """True when it has to measure or to hold so much."""
        return bool(self.sizes or self.marks or self.span)

    def asks(self, left_out: Container[str] = ()) -> tuple[bool, bool]:
        """Whether it has to measure so much, and whether so much of it has to be there, but for what is left out. Of a
        number that says either, one: `2m` is a size first.
        """
        sized = self.sized and "size" not in left_out
        counted = self.amount is not None and "quantity" not in left_out
        if self.either and self.by_metre:
            sized = sized and not counted
        elif self.either:
            counted = counted and not sized
        return sized, counted

    @property
    def empty(self) -> bool:
        """True when there is nothing to look for: so many of what nobody knows is nothing."""
        named = self.units or self.sized or self.spot or self.price is not None
        return not (named or (self.amount and not self.ignored))


def read(typed: str, counters: Mapping[str, int] | None = None) -> Wish:
    """What a query asks for, in whatever language."""
    if not typed.strip():
        return Wish()
    counters = db.counters() if counters is None else counters
    versions = tuple((name, counters.get(name, 0)) for name in _VERSIONS)
    wish = _read_known(typed, versions, id(db.database.obj))
    if wish is None:
        known = _knowledge(counters)
        wish = _understood(*_parts(typed, known), known)
        if any(_RUN_ON.search(word) for word in wish.ignored):  # `tole2m`, `12portes`, where nothing is called so
            apart = _understood(*_parts(_RUN_ON.sub(" ", fold(typed)), known), known)
            wish = apart if apart.units and not apart.ignored else wish
    return wish


# The counters that say when a word begins to mean something else.
_VERSIONS = (vocabulary.VERSION, search.SYNONYMS, places.NAMES, search.REINDEX)


@functools.lru_cache(maxsize=256)
def _read_known(typed: str, versions: tuple[tuple[str, int], ...], _database: int) -> Wish | None:
    """What a query asks for whose every word the vocabulary has, which most people ask: none of it depends on what there is.
    None for any other.
    """
    known = _knowledge(dict(versions))
    items, spot = _parts(typed, known)
    return _understood(items, spot, known) if all(_has_meaning(items, known)) else None


def _parts(typed: str, known: Known) -> tuple[list[Item], Spot | None]:
    """Words, sizes and numbers, and the place that is named."""
    items, spot = _without_spot(measures.glued(list(measures.items(typed)), known.lexicon), known)
    return measures.counted(items, known.lexicon), spot


def _understood(items: list[Item], spot: Spot | None, known: Known) -> Wish:
    spelling = _spelt(items, known._replace(spots={}) if spot else known)
    items = spelling.items
    if spot is None and spelling.corrected:
        items, spot = _without_spot(items, known)
    units, said = _units(items, known)
    measuring = [item for item in said if item.sizes or item.marks]
    size = min(measuring, key=lambda item: item.kind == "amount", default=None)  # `10 m de câble 2,5` is of 2,5
    others = _either_size(items, size) if size else ()
    counting = next((item for item in said if item.amount is not None), None)
    amount = counting.amount if counting else None
    either = size is not None and size is counting
    if counting and not (units or size or spot or spelling.ignored):  # a number alone is a word of some title
        numbers = [item.text for item in items if item.kind == "number"]
        stems = [stem for number in numbers for stem in analyse(number)]  # 0.5: the index cuts it
        units, amount = [Unit(stem, (search.word(stem),)) for stem in stems], None
    guesses = {item.text: item.guess_of for item in items if item.guess_of}
    units = [_as_typed_too(unit, guesses) for unit in units]
    prices = [item.price for item in items if item.kind == "price"]
    return Wish(
        units=tuple(dict.fromkeys(unit for unit in units if not unit.is_unwanted))[:MOST_UNITS],
        without=tuple(unit for unit in units if unit.is_unwanted)[:MOST_UNITS],
        sizes=tuple(dict.fromkeys(way for item in (size, *others) for way in item.sizes)) if size else (),
        marks=tuple(mark for item in (size, *others) for mark in item.marks) if size else (),
        span=next((item.span for item in said if item.span is not None), None),
        amount=amount,
        either=either,
        by_metre=either and size is not None and size.kind == "amount",
        price=next((cents for cents in prices if cents is not None), None),
        spot=spot,
        corrected=spelling.corrected,
        understood=spelling.understood,
        did_you_mean=spelling.did_you_mean,
        ignored=spelling.ignored,
        said=True,
        passed_over=("price",) if prices and all(cents is None for cents in prices) else (),
    )


def _either_size(items: list[Item], size: Item) -> tuple[Item, ...]:
    """The sizes of which any will do, besides one: `porte 73 ou 83`."""
    at = next((n for n, item in enumerate(items) if item.text == size.text and item.kind != "word"), len(items))
    more = []
    for joint, item in zip(items[at + 1 :: 2], items[at + 2 :: 2], strict=False):
        if joint.text not in _OR or item.kind not in ("size", "number", "mark") or len(item.sizes) != len(size.sizes):
            break
        more.append(item)
    return tuple(more)


class Known(NamedTuple):
    """What a query is read by: the vocabulary, what staff say that words mean, and which words they gave to a concept (or
    to something narrower); places and communes by their names.
    """

    lexicon: Lexicon
    means: Mapping[str, tuple[str, ...]]
    said: Mapping[int, tuple[str, ...]]
    spots: Mapping[str, Spot]
    stamp: tuple[tuple[str, int], ...]  # the counters that it was read at
    behind: bool  # some listings are indexed by an earlier vocabulary: their words still count


def _knowledge(counters: Mapping[str, int]) -> Known:
    versions = counters.get(vocabulary.VERSION), counters.get(search.SYNONYMS)
    lexicon, means = vocabulary.lexicon(counters), search.meanings(counters)
    database = id(db.database.obj)
    said = _read_said(*versions, database) if means else {}
    spots = _read_spots(counters.get(places.NAMES), database)
    return Known(lexicon, means, said, spots, tuple(counters.items()), bool(counters.get(search.REINDEX)))


@functools.lru_cache(maxsize=2)
def _read_said(_vocabulary: int | None, _synonyms: int | None, _database: int) -> dict[int, tuple[str, ...]]:
    """The words of staff that name a concept or something narrower: listings say them, and no token tells it."""
    counters = db.counters()
    lexicon, found = vocabulary.lexicon(counters), dict[int, tuple[str, ...]]()
    for word, meaning in search.meanings(counters).items():
        concepts = lexicon.named(" ".join(meaning))
        for one in dict.fromkeys(above for concept in concepts for above in (concept, *lexicon.above[concept])):
            if len(found.get(one, ())) < MOST_SAID:
                found[one] = (*found.get(one, ()), search.word(word))
    return found


def _as_typed_too(unit: Unit, guesses: Mapping[str, str]) -> Unit:
    """A word that was put right is still looked for as it was typed: an alert waits for it."""
    typed = dict.fromkeys(search.word(guesses[word]) for word in unit.typed.split() if word in guesses)
    return unit._replace(tokens=(*unit.tokens, *typed), guessed=True) if typed else unit


# --- reading ----------------------------------------------------------------------------------------------------------
def _units(items: list[Item], known: Known) -> tuple[list[Unit], list[Item]]:
    """Things in their order, and what says a size or a quantity. A bare number before the first thing counts, after it it
    measures; with a room it is a number of seats; a small one before a word (`évier 2 bacs`) only ranks.
    """
    groups = list(_groups(items))
    things = [_things(group, known) if isinstance(group, list) else [] for group in groups]
    roomy = any(_is_room(unit, known.lexicon) for units in things for unit in units)
    units: list[Unit] = []
    said: list[Item] = []
    for at, group in enumerate(groups):
        following = groups[at + 1] if at + 1 < len(groups) else []
        first = following[0] if isinstance(following, list) and following else ""
        if isinstance(group, list):
            units += [unit for unit in things[at] if not (roomy and unit.typed in measures.SEATS)]
        elif group.kind == "number":
            whole = group.text.isdigit() and int(group.text) > 0
            last = bool(units) and _is_room(units[-1], known.lexicon) and not (at + 1 < len(groups) and things[at + 1])
            if roomy and whole and (first in measures.SEATS or last):
                said.append(group._replace(sizes=(), marks=(), span=measures.seated(group)))
            elif units and group.span:
                said.append(group._replace(sizes=(), marks=()))
            elif units and (not whole or int(group.text) >= measures.LEAST_SIZE):
                said.append(group)
            elif units and first:
                units += _numbers(group)
            elif not units and whole:
                said.append(group._replace(sizes=(), marks=(), span=None, amount=Amount(int(group.text) * 1000, "")))
        elif group.span and units:
            said.append(group._replace(amount=None))
        elif not units and measures.is_by_the_metre(group, first):
            said.append(group._replace(kind="amount", span=None))
        elif group.kind == "amount" and not units:
            said.append(group._replace(marks=()))
        else:
            said.append(group)
    return _without_lone(units, known.lexicon), said


def _is_room(unit: Unit, lexicon: Lexicon) -> bool:
    return bool(unit.concepts) and all(lexicon.has_seats[one] for one in unit.concepts)


def _numbers(item: Item) -> list[Unit]:
    return [Unit(stem, (search.word(stem),), is_thing=False) for stem in analyse(item.text)]


def _groups(items: list[Item]) -> Iterator[list[str] | Item]:
    """Words in a row together, everything else on its own."""
    row: list[str] = []
    for item in items:
        if item.kind == "word":
            row.append(item.text)
            continue
        if row:
            yield row
            row = []
        yield item
    if row:
        yield row


def _things(words: list[str], known: Known, followed: bool = True) -> list[Unit]:
    """The units of words in a row. What staff say that a word means is not followed further; what follows `sans` is not
    asked for.
    """
    lexicon = known.lexicon
    found: list[Unit] = []
    at, ended = 0, 0
    terms = {term.start: term for term in lexicon.terms(words)}
    while at < len(words):
        term, word = terms.get(at), words[at]
        if followed and word in known.means and (term is None or term.length == 1):
            found += _things(list(known.means[word]), known, followed=False)
        elif (
            word in _WITHOUT
            and not (term and term.length > 1)
            and (unwanted := _unwanted(words, at, found)) is not None
        ):
            length = terms[unwanted].length if unwanted in terms else 1
            said = words[unwanted : unwanted + length]
            meant = _named(said, terms[unwanted].concepts, known) if unwanted in terms else _plain(said[0])
            found.append(meant._replace(is_unwanted=True))
            at = unwanted + length - 1
            if at + 2 < len(words) and words[at + 1] in _NOR:  # `sauf palettes et caisses`
                words = [*words[: at + 1], "sans", *words[at + 2 :]]
        elif term is not None:
            unit = _named(words[at : at + term.length], term.concepts, known)
            last = found[-1] if found and not found[-1].is_unwanted else None
            if last and last.is_thing and unit.is_thing and _is_either(words[ended:at]):
                unit, last = _any_of(found.pop(), unit), None
            beside = last and at - ended <= 1 and all(one in _MADE_OF for one in words[ended:at])
            if last and beside and lexicon.says_of_what(last.typed, last.concepts, unit.typed, unit.concepts):
                unit = _of_substance(found.pop(), unit)
            found.append(unit)
            ended = at + term.length
        elif word not in LITTLE and word not in lexicon.never:
            found.append(_plain(word))
        at += term.length if term else 1
    return found


def _plain(word: str) -> Unit:
    return Unit(word, (search.word(word),))


def _named(words: list[str], concepts: tuple[int, ...], known: Known) -> Unit:
    """The unit of a term. Its words are not used up: `porte bois` is a wooden door, and what says `porte` and `bois`."""
    lexicon = known.lexicon
    parts: tuple[Unit, ...] = ()
    if len(words) > 1:
        inner = [word for word in words if word not in LITTLE]
        parts = tuple(
            _named([word], found, known) if (found := lexicon.named(word)) else Unit(word, (search.word(word),))
            for word in inner
        )
    made_of = [part for part in parts if part.is_substance and not lexicon.says(concepts, part.concepts)]
    if made_of:  # not every sink is of steel
        rest = [word for word in words if not any(part.typed == word for part in made_of)]
        alike = tuple(dict.fromkeys((*concepts, *lexicon.named(" ".join(rest)))))
        thing = _named([], alike, known)._replace(typed=" ".join(rest))
        return Unit(" ".join(words), (), parts=(thing, *made_of), concepts=concepts, filed=thing.filed)
    tokens = [lexicon.mention[one] for one in concepts]
    if not any(lexicon.is_thing[one] for one in concepts):
        tokens += [FIELDS[code] for code in (lexicon.codes[one] for one in concepts) if code in FIELDS]
    said = tuple(word for one in concepts for word in known.said.get(one, ()))
    if known.behind and len(words) == 1:
        said = (*said, *map(search.word, words))
    return Unit(
        " ".join(words), (*tokens, *said), (*(lexicon.head[one] for one in concepts), *said), parts if len(parts) > 1 else (),
        concepts, any(lexicon.is_thing[one] for one in concepts), all(lexicon.is_substance[one] for one in concepts),
        is_object=all(lexicon.is_object[one] for one in concepts), told=tuple(lexicon.told[one] for one in concepts),
        filed=tuple(lexicon.filed[one] for one in concepts),
        inner=tuple(lexicon.inner[one] for one in concepts),
    )  # fmt: skip


_OR = ("ou", "or", "oswa", "et", "and", "ak", "epi", "ek")  # `porte ou fenêtre`, `tables et chaises`: no lot is both
_WITHOUT = LACKING | NOT


def _is_either(between: list[str]) -> bool:
    """True for the words between two things of which either will do."""
    return bool(between) and between[0] in _OR and all(word in _ARTICLES_OF_ANY for word in between[1:])


def _unwanted(words: list[str], at: int, found: list[Unit]) -> int | None:
    """Where what is not wanted begins, after one of _WITHOUT. `pas` denies what follows it right away; after an article, or
    in languages where it may be something else, only beside what is wanted: `vous n'avez pas de porte ?` asks for doors.
    """
    word, start = words[at], at + 1
    while start < len(words) and words[start] in _ARTICLES_OF_ANY:
        start += 1
    if start == len(words) or words[start] in LITTLE:
        return None
    beside = any(not unit.is_unwanted for unit in found) or (at > 0 and words[at - 1] in _WANT)
    direct = start == at + 1 and word not in ("no", "nao")
    return start if word in LACKING or beside or direct else None


_NOR = ("et", "ni", "ou", "and", "or", "nor", "ak")
_WANT = ("veu", "veux", "voudrai", "vle", "want")  # je ne veux pas de palette
_ARTICLES_OF_ANY = frozenset("a da de des do du el en la las le les los the un una une um uma yon".split())
_MADE_OF = ("an", "en", "de")  # between a thing and its substance


def _any_of(one: Unit, other: Unit) -> Unit:
    """Either of two things."""
    both = [each for unit in (one, other) for each in ((unit,) if unit.tokens else unit.parts[:1])]
    return Unit(
        f"{one.typed} {other.typed}",
        tuple(itertools.chain(*(unit.tokens for unit in both))),
        tuple(itertools.chain(*(unit.heads for unit in both))),
        concepts=(*one.concepts, *other.concepts),
        is_substance=one.is_substance and other.is_substance,
        is_object=one.is_object and other.is_object,
        told=tuple(itertools.chain(*(unit.told for unit in both))),
        filed=(*one.filed, *other.filed),
        inner=tuple(itertools.chain(*(unit.inner for unit in both))),
    )


def _of_substance(thing: Unit, substance: Unit) -> Unit:
    """Two words, one of which alone would be a little word: `chèz bwa`, `pòt an fè`."""
    return Unit(
        f"{thing.typed} {substance.typed}", (), parts=(thing, substance), concepts=thing.concepts, filed=thing.filed
    )


def _without_lone(units: list[Unit], lexicon: Lexicon) -> list[Unit]:
    """Without the words that mean a thing only where no other word does: `ban mwen fey tol` asks for sheets."""
    lone = [unit.typed in lexicon.alone and set(unit.concepts) <= lexicon.alone[unit.typed] for unit in units]
    if any(unit.is_thing and not one for unit, one in zip(units, lone, strict=True)):
        return [unit for unit, one in zip(units, lone, strict=True) if not one or not unit.is_thing]
    return units


# --- places -----------------------------------------------------------------------------------------------------------
def _without_spot(items: list[Item], known: Known) -> tuple[list[Item], Spot | None]:
    """The items without the first place or commune that they name, and that place."""
    texts = [_NUMBERS.get(item.text, item.text) for item in items]
    for at in range(len(items)):
        for length in range(min(5, len(items) - at), 0, -1):
            spot = known.spots.get(" ".join(texts[at : at + length]))
            if spot is not None and (length > 1 or texts[at] not in known.lexicon.meanings):
                return items[:at] + items[at + length :], spot
    return items, None


_NUMBERS = {"2": "deux", "3": "trois", "st": "saint", "ste": "sainte"}
_ARTICLES = ("le ", "la ", "les ")
_ANDS = ("and", "et", "y", "e", "ak", "epi")  # how people say an &
# What people call the place that bears a town's name.
_TOWNS = ("commune", "mairie", "ville")
_TOWN_HALL = ("mairie", "hotel de ville", "town hall", "city hall", "ayuntamiento", "alcaldia", "prefeitura", "lameri")


@functools.lru_cache(maxsize=2)
def _read_spots(_version: int | None, _database: int) -> dict[str, Spot]:
    """Places and communes by the ways to name them, read again when a place was added or changed."""
    found: dict[str, Spot] = {}
    for commune in places.communes():
        name = commune["name"]
        for key in itertools.chain.from_iterable(map(_names, (name, *commune["also"]))):
            tokens = (search.facet("m", commune["insee"]), *((key,) if " " not in key else ()))
            found.setdefault(key, Spot(name, tokens, (commune["latitude"], commune["longitude"])))
        for postcode in commune["postcodes"]:  # some communes share one
            shared = found.get(postcode, Spot(name, (), (commune["latitude"], commune["longitude"])))
            found[postcode] = shared._replace(tokens=(*shared.tokens, tokens[0]))
    for number, name, latitude, longitude in places.points():
        point = (latitude, longitude) if latitude is not None and longitude is not None else None
        for key in _names(name):
            found.setdefault(key, Spot(name, (search.facet("p", number),), point))
    return found


def _names(name: str) -> Iterator[str]:
    """`Fort-de-France` -> fort de france, fdf; `Les Trois-Îlets` -> les trois ilet, trois ilet; `UP&Space` -> up and space;
    `Commune du Lamentin` -> mairie, mairie du lamentin.
    """
    words = [_NUMBERS.get(word, word) for word in analyse(name)]
    whole = " ".join(words)
    yield whole
    bare = next((whole[len(article) :] for article in _ARTICLES if whole.startswith(article)), "")
    if bare:
        yield bare
    if len(words) > 2:
        yield "".join(word[0] for word in words)
    if "&" in name:
        parts = [" ".join(analyse(part)) for part in name.split("&")]
        yield from (f" {word} ".join(parts) for word in _ANDS)
    if words[:1] and words[0] in _TOWNS:
        for called in _TOWN_HALL:
            hall = " ".join(analyse(called))
            yield hall
            yield " ".join((hall, *words[1:]))


# --- spelling ---------------------------------------------------------------------------------------------------------
class _Spelling(NamedTuple):
    """A query after its words were put right: its items; what was (as people write it); the whole of it; the whole with
    what one is not sure of; what is passed over.
    """

    items: list[Item]
    corrected: tuple[tuple[str, str], ...] = ()
    understood: str = ""
    did_you_mean: str = ""
    ignored: tuple[str, ...] = ()


def _spelt(items: list[Item], known: Known) -> _Spelling:
    right = _right(items, known)
    if all(right):
        return _Spelling(items)
    items, right = _joined(items, right, known.lexicon)
    done: list[Item] = []
    corrected, ignored = [], []
    understood, guessed = [], []
    for at, (item, is_right) in enumerate(zip(items, right, strict=True)):
        guess = None
        if not is_right:
            texts = tuple(one.text for one in items)
            guess = _guessed(at, texts, known.stamp, bool(known.spots), id(db.database.obj))
        said = guess.said if guess else item.typed
        guessed.append(said)
        if guess and guess.sure:
            done += [Item("word", word, word, guess_of=item.text) for word in guess.words]
            corrected.append((item.typed, said))
            understood.append(said)
            continue
        understood.append(item.typed)
        if is_right:
            done.append(item)
        else:
            ignored.append(item.text)
    return _Spelling(
        done, tuple(corrected), " ".join(understood) if corrected else "",
        " ".join(guessed) if guessed != understood else "", tuple(ignored),
    )  # fmt: skip


def _shown(word: str, lexicon: Lexicon) -> str:
    """A stem as people write the word: `boi` -> bois."""
    written = [one for concept in lexicon.named(word) for one in vocabulary.words_of(lexicon.codes[concept])]
    return word if word in written else next((str(one) for one in written if analyse(one) == [word]), word)


def _right(items: list[Item], known: Known) -> list[bool]:
    """Which items need no correction: those that have a meaning, and words of some listing."""
    right = _has_meaning(items, known)
    return [found or search.exists(search.word(item.text)) for found, item in zip(right, items, strict=True)]


def _has_meaning(items: list[Item], known: Known) -> list[bool]:
    """Which items are numbers, little words, words of the vocabulary or of the staff."""
    lexicon = known.lexicon
    right = [
        item.kind != "word" or item.text in LITTLE or item.text in lexicon.meanings or item.text in known.means
        or item.text in lexicon.never or item.text in measures.SEATS
        for item in items
    ]  # fmt: skip
    if not all(right):
        for term in lexicon.terms([item.text for item in items]):
            right[term.start : term.start + term.length] = [True] * term.length
    return right


def _joined(items: list[Item], known: list[bool], lexicon: Lexicon) -> tuple[list[Item], list[bool]]:
    """Two words that are one: `contre plaqué`."""
    at = 0
    while at + 1 < len(items):
        pair = items[at].text + items[at + 1].text
        words = items[at].kind == items[at + 1].kind == "word"
        if words and not (known[at] and known[at + 1]) and (pair in lexicon.meanings or pair in lexicon.joined):
            text = lexicon.joined.get(pair, pair) if pair not in lexicon.meanings else pair
            items = [*items[:at], *(Item("word", word, word) for word in text.split()), *items[at + 2 :]]
            known = [*known[:at], *(True for _ in text.split()), *known[at + 2 :]]
        at += 1
    return items, known


class Guess(NamedTuple):
    """What a word was meant to be, and whether to believe it."""

    words: tuple[str, ...]
    sure: bool
    known: bool = True  # some listing has it
    said: str = ""  # as people write it


@functools.lru_cache(maxsize=256)
def _guessed(
    at: int, texts: tuple[str, ...], stamp: tuple[tuple[str, int], ...], with_places: bool, _database: int
) -> Guess | None:
    """The guess at a word, kept until some counter says (`stamp`) that a listing was added or a word was given a meaning."""
    known = _knowledge(dict(stamp))
    guess = _closest(at, list(texts), known.lexicon, known.spots if with_places else {})
    if guess is None or not (guess.sure or guess.known):
        return None
    return guess._replace(said=" ".join(_shown(word, known.lexicon) for word in guess.words))


def _closest(at: int, texts: list[str], lexicon: Lexicon, spots: Mapping[str, Spot]) -> Guess | None:
    """The nearest known word, or words that were run together. One that makes a term with its neighbours goes first."""
    word = texts[at]
    if not word.isalpha() or len(word) < 3:
        return None
    if word in lexicon.joined:
        return Guess(tuple(lexicon.joined[word].split()), True)
    if apart := _apart(word, lexicon):
        return Guess(apart, True)
    costs = _costs(word, lexicon, spots)
    for candidate in sorted(costs, key=costs.__getitem__)[:8]:
        tried = [*texts[:at], candidate, *texts[at + 1 :]]
        if any(term.length > 1 and term.start <= at < term.start + term.length for term in lexicon.terms(tried)):
            costs[candidate] -= TOGETHER
    if not costs:
        return None
    ranked = sorted(costs, key=lambda one: (costs[one], len(one) < len(word), abs(len(one) - len(word)), one))
    limit = SURE_LONG if len(word) >= 8 else SURE if len(word) > 3 else SURE_SHORT
    best_cost = costs[ranked[0]]
    alike = [one for one in ranked[:4] if costs[one] <= max(best_cost, min(limit, best_cost + ALIKE))]
    reach = {one: _reach(one, lexicon) for one in alike}
    best = min(alike, key=lambda one: costs[one] - reach[one])
    known = reach[best] > 0 or best in spots or best in LITTLE
    if not known and len(word) < LONG:
        return None
    return Guess(tuple(lexicon.joined.get(best, best).split()), costs[best] <= limit, known)


def _apart(word: str, lexicon: Lexicon) -> tuple[str, str] | None:
    """Two words of the vocabulary that were run together."""
    for cut in range(len(word) - 3, 2, -1):
        right = word[cut:]
        if right in lexicon.meanings:
            for left in (word[:cut], word[: cut - 1] if word[cut - 1] in "sx" else ""):
                if len(left) > 2 and left in lexicon.meanings:
                    return left, right
    return None


def _reach(word: str, lexicon: Lexicon) -> float:
    """How much sooner a word is meant that listings have, or what it names: 0 to ALIKE."""
    tokens = [search.word(word), *(lexicon.mention[one] for one in lexicon.named(word))]
    count = search.frequency("|".join(tokens), COMMON)
    return ALIKE * (count + COMMON) / (2 * COMMON) if count else 0


# What a correction costs: letters changed, and what makes it less likely. Tuned on the `tune` rows of fixtures/search.
SURE_SHORT, SURE, SURE_LONG = 0.9, 1.3, 2.3
TOGETHER = 0.5  # less, when it makes a term with its neighbours
PART = 0.4  # more, when it means nothing outside longer terms
OTHER = 0.4  # more, when four letters or fewer are not only out of order or incomplete: `loto` is no loo
ALIKE = 0.8  # more, and what many listings have still goes first
LONG = 6  # letters of a word that is put right though no listing has what it means
COMMON = 30  # listings that make a word common


def _costs(word: str, lexicon: Lexicon, spots: Mapping[str, Spot]) -> dict[str, float]:
    """Known words near one that is not, and what each correction costs. All begin with the same letter, or sound the same:
    people seldom miss the first.
    """
    from rapidfuzz.distance import OSA  # 5 MB that only a misspelt word needs

    costs: dict[str, float] = {}

    def offer(candidate: str, cost: float) -> None:
        if candidate != word:
            cost += 0 if candidate in lexicon.meanings else PART
            costs[candidate] = min(cost, costs.get(candidate, FAR))

    for candidate in lexicon.sounds.get(vocabulary.sound(word), ()):
        distance = OSA.distance(word, candidate)
        if distance <= (max(2, (len(word) + 1) // 2) if len(word) > 4 else 1):
            offer(candidate, 0.4 + 0.2 * distance)
    for candidate in lexicon.beginning(word):
        offer(candidate, min(0.5 + 0.15 * (len(candidate) - len(word)), SURE))
    if len(word) > 3:
        most = 1 if len(word) < 6 else 2
        for pool, handicap in ((lexicon.singles, 0.0), (_LONG_LITTLE, 0.2 - PART), (lexicon.run_on, 0.3 - PART)):
            for candidate, distance in _near(word, vocabulary.starting(pool, word[0]), most):
                told_apart = len(word) < 5 and len(candidate) <= len(word) and sorted(word) != sorted(candidate)
                offer(candidate, distance + handicap + (OTHER if told_apart else 0))
        if min(costs.values(), default=FAR) > 1:
            named = [one for name in spots for one in name.split() if len(one) > 3 and one[0] == word[0]]
            for candidate, distance in _near(word, [*named, *search.noted_words(word[:2], MOST_NOTED)], most):
                offer(candidate, distance + 0.1 - PART)
    return costs


FAR = 99.0
_LONG_LITTLE = tuple(sorted(word for word in LITTLE if len(word) > 4))


def _near(word: str, pool: Any, most: int) -> list[tuple[str, int]]:
    from rapidfuzz import process
    from rapidfuzz.distance import OSA

    found = process.extract(word, pool, scorer=OSA.distance, score_cutoff=most, limit=8, processor=None)
    return [(candidate, distance) for candidate, distance, _ in found]


# --- asking the index -------------------------------------------------------------------------------------------------
def tiers(units: tuple[Unit, ...], families: Families, least: int = SPOKEN, *, by_name: bool = True) -> tuple[str, ...]:
    """Expressions for the listings to show first, next and so on; what fits one fits all that follow.

    The thing itself with every quality and called so (`by_name`: of all tanks, what says the word that was typed); with every
    quality; the thing itself; named in the title; anywhere. The last two are left out where `least` says so; where it is
    LOOSE, the others are known to be in vain.
    """
    return _tiers(units, families, least, by_name, db.is_sqlite())


@functools.lru_cache(maxsize=256)
def _tiers(units: tuple[Unit, ...], families: Families, least: int, by_name: bool, _sqlite: bool) -> tuple[str, ...]:
    if not units:
        return ("",)
    things = _things_of(units)
    if least == LOOSE:
        return (_expression(clauses(things, families, LOOSE)),)
    nested = [clauses(things, families, one) for one in range(least, BEING + 1)]
    exact = [clause for unit in units if unit not in things for clause in unit.clauses(families)]
    for unit in things:
        if unit.parts:
            exact += [clause for part in unit.parts for clause in part.clauses(families, TITLED, len(unit.parts))]
        elif len(unit.concepts) > 1 and " " not in unit.typed:
            exact.append((titled(search.word(unit.typed)),))
    if exact:
        nested.append([*nested[-1], *exact])
    if len(things) == 1 and things[0].parts and things[0].heads:  # a training room before any other for training
        nested.append([*nested[-1], tuple(map(_head, things[0].heads))])
    words = [(titled(search.word(unit.typed)),) for unit in things if len(unit.concepts) == 1 and " " not in unit.typed]
    if by_name and words:
        nested.append([*nested[-1], *words])
    return tuple(dict.fromkeys(map(_expression, reversed(nested))))


def least_of(*, sized: bool, counted: bool) -> int:
    """How much of a listing must be what is asked for in some size or number. `60 palettes` asks for pallets, not for what
    stands on pallets.
    """
    return TITLED if sized else BEING if counted else SPOKEN


def _things_of(units: tuple[Unit, ...]) -> tuple[Unit, ...]:
    """The units that narrow: the things, or qualities where there are only such."""
    return tuple(unit for unit in units if unit.is_thing) or units


def clauses(things: tuple[Unit, ...], families: Families, level: int) -> list[Clause]:
    """What a listing holds that mentions every thing, one clause after the other; at least in its title, or as what it is."""
    lead = _lead(things, families, level)
    heads = tuple(dict.fromkeys(_head(head) for unit in things for head in unit.every_head()))
    if level == BEING and heads and not lead and len(things) == 1 and not things[0].parts:  # what is a thing names it
        return [heads]
    said = [clause for unit in things for clause in unit.clauses(families, level, len(things))]
    return [*said, *([lead] if lead else [heads] if level == BEING and heads else [])]


def _lead(things: tuple[Unit, ...], families: Families, level: int) -> Clause:
    """What the listings hold that are one of several things which are asked for at once: `table bois` asks for tables, and a
    parquet that says how it lies beside a table is none. What they are made of, or a whole family, would be any.
    """
    if len(things) == 1 or families is None:
        return ()
    leading = [
        one for one in things if one.concepts and one.is_thing and not one.is_substance and not one.spans(families)
    ]
    heads = [_head(head) for one in leading for head in one.every_head()]
    called = [titled(token) for one in leading if one.parts for token in one.tokens]
    called += [token for one in leading if one.guessed for token in one.tokens if token[:2] != "xv"]  # as it was typed
    if level < BEING:  # or called so: `tuyau de descente` is filed with gutters
        called += [search.begun(one.typed) for one in things if not one.is_substance and " " not in one.typed]
    return (*heads, *called)


def _expression(found: Iterable[Clause]) -> str:
    found = list(found)
    assert all(found), found  # an empty clause would be fitted by everything
    return all_of(any_of(map(has, clause)) for clause in found)


def apart(units: tuple[Unit, ...]) -> tuple[Unit, ...]:
    """The units of which some may be left out: a thing of some substance is taken apart, no other term."""
    return units[0].parts if len(units) == 1 and not units[0].tokens else units


def _head(token: str) -> str:
    """What a listing holds that is what a head token says; of a word of the staff, that has it in its title."""
    return token if token[:2] == "xh" else titled(token)


def either(units: tuple[Unit, ...]) -> Unit:
    """Any of several things will do."""
    things = [one for unit in _things_of(units) for one in ((unit,) if unit.tokens else unit.parts)]
    units = tuple(one for one in things if not one.is_substance) or tuple(things)
    tokens = tuple(dict.fromkeys(token for unit in units for token in unit.tokens))
    heads = tuple(dict.fromkeys(head for unit in units for head in unit.heads))
    told = tuple(dict.fromkeys(token for unit in units for token in unit.told))
    return Unit(" ".join(unit.typed for unit in units), tokens, heads, told=told)


def instead(wish: Wish) -> Iterator[str]:
    """Expressions for what may do instead, the nearest first: something broader, then what is filed where it would be."""
    lexicon = vocabulary.lexicon()
    concepts = [concept for unit in wish.units for concept in unit.concepts]
    for concept in concepts:
        for above in lexicon.above[concept]:
            if lexicon.categories[above]:
                yield has(lexicon.head[above])
    for concept in concepts:
        for category in lexicon.categories[concept]:
            yield has(search.facet("c", category))


def tokens(wish: Wish, families: Families = None) -> list[str]:
    """One token for each thing, size, place and price of a wish (several joined by | where any will do), words that nothing
    has yet among them: what a listing must hold that fits exactly, or a text, where it does not matter what is itself.
    """
    units = tuple(dict.fromkeys((*wish.units, *map(_plain, wish.ignored))))  # as it is read once a listing has the word
    things = _things_of(units)
    sized, counted = wish.asks() if families is not None else (False, False)
    least = least_of(sized=sized, counted=counted)
    said = clauses(things, families, least)
    said += [clause for unit in units if unit not in things for clause in unit.clauses(families)]
    found = ["|".join(dict.fromkeys(clause)) for clause in said]
    if wish.spot is not None:
        found.append("|".join(wish.spot.tokens))
    marks = _marked(wish) if sized else []
    parts = [dict.fromkeys(map(search.size, part)) for part in zip(*(wish.sizes if sized else ()), strict=True)]
    found += ["|".join((*part, *marks)) for part in parts or ([{}] if marks else [])]
    if sized and wish.span is not None:
        found.append("|".join(wish.span.tokens()))
    if wish.amount is not None and wish.amount.unit and counted:
        found.append("|".join(search.facet("u", unit) for unit in wish.amount.units))
    if wish.price is not None and families is not None:
        found.append("|".join(ranges.at_most(wish.price)))
    return found


def in_size(wish: Wish) -> str:
    """An expression for the listings that measure, or hold, what is wanted."""
    ways = [all_of(has(search.size(mm)) for mm in way) for way in wish.sizes]
    exactly = [*ways, *map(has, _marked(wish))]
    within = map(has, wish.span.tokens()) if wish.span else ()
    return all_of(any_of(some) for some in (exactly, list(within)) if some)


def refused(wish: Wish) -> str:
    """An expression for the listings that are, or have, what is not wanted; none when nothing is refused."""
    return any_of(unit.unwanted() for unit in wish.without) if wish.without else ""


def _marked(wish: Wish) -> list[str]:
    return [titled(search.word(mark)) for mark in wish.marks]


def fits(wanted: list[str], text: str, language: str) -> bool:
    """True when a text holds what is wanted (as `tokens` says it)."""
    lexicon, words = vocabulary.lexicon(), analyse(text)
    held = {
        *map(search.word, words),
        *(lexicon.mention[one] for one in lexicon.meaning(words, lexicon.mentioned(words, language), language)),
    }
    return all(not held.isdisjoint(one.split("|")) for one in wanted)

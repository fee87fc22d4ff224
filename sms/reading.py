"""A text taken apart, before anybody asks what it means: folded words, tokens as commands write them, and what each is.

Politeness goes, abbreviations are written out, slips of the thumb in numbers and words are mended, and every token is
sorted once into what the grammar of `commands` asks about.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field
from typing import NamedTuple

from stdnum import damm

from circular.text import NUMBER_WORDS, Pattern, fold
from sms import lexicon, moments

LONGEST = 480  # characters that are read: three segments; no command is longer


class Number(NamedTuple):
    """A number that is no code. How it was written decides what it can be."""

    value: float
    bare: bool  # without a unit: it may choose a line
    spelt: bool  # as a word, or as a rank
    unit: str = ""  # as listings have it

    @property
    def choice(self) -> int | None:
        """The line of a list that it may be."""
        return int(self.value) if self.bare and self.value.is_integer() and self.value < 100 else None

    @property
    def quantity(self) -> int | float:
        """An amount of something."""
        return int(self.value) if self.value.is_integer() else self.value


@dataclass
class Line:
    """A text taken apart. Words are folded; what is polite is gone from all but `said`."""

    context: str
    said: list[str] = field(default_factory=list)
    words: list[str] = field(default_factory=list)  # what one may search for
    tokens: list[str] = field(default_factory=list)  # the same, cut for commands: r41271x3 -> r 41271 x 3
    asks: bool = False  # there is a question mark
    quoted: bool = False  # our own words pasted, or somebody's forwarded
    cited: bool = False  # between quotation marks, all of it
    joins: bool = False  # "1 et 2", "1, 2": two numbers side by side, not so many of one
    minus: bool = False  # a number below nothing
    long: bool = False
    sign: str = ""  # "yes" or "no", by an emoji
    greets: bool = False
    # what the tokens are
    codes: list[str] = field(default_factory=list)  # 5 digits or more, each once
    pins: list[str] = field(default_factory=list)  # 4 digits, each once
    numbers: list[Number] = field(default_factory=list)
    reserves: int = -1  # where a verb stands that means nothing else than to reserve
    takes: bool = False  # a verb such as "take", that reserves what has a number
    cancels: bool = False
    negated: bool = False
    conditional: bool = False  # if, or, but; or two things are asked at once
    past: bool = False
    questions: bool = False  # asked, with or without its mark
    times: int = -1  # where days and hours begin
    other: list[str] = field(default_factory=list)  # words that stand for nothing here

    @property
    def plain(self) -> bool:
        """Nothing holds an act back."""
        return not (self.negated or self.conditional or self.past or self.questions)

    @property
    def both(self) -> bool:
        """`les deux`, `both`: a number that is no line of a list."""
        pairs = zip(self.tokens, self.tokens[1:], strict=False)
        return any(one in lexicon.EVERY and (two in NUMBER_WORDS or two in ("2", "3")) for one, two in pairs)


_NUMERO = re.compile(r"\bn ?[°º]|№", re.IGNORECASE)
_NOT = re.compile(r"\b(do|does|did|wo|ca|is|are|was|have|has|would|should|could)n['’`]t\b")
_QUOTED = re.compile(
    r"(?<![a-z0-9])(?:(?:[ramlswpbhx]|al) ?\d*|\d+|stop|start|menu|plus|rappel|efface|oui|non|yes|no|wi|si|sim) ?= ?[a-z]{2}|"
    r"^\s*(?:fwd?|tr|re|fw|rv|enc)\s*:"
)
_CITED = re.compile(r"""\s*["'«“„‘].*["'»”’]\W*""")
_JOINS = re.compile(r"\d ?(?:[&;,](?!\d)|\b(?:et|and|y|e|ak|epi)\b) ?(?:l[ae] |r ?)?\d")
_MINUS = re.compile(r"\s[-−]\d")
_MORE_SIGN = re.compile(r"(?<!\S)\++(?=\s*(?:\d{1,2}(?!\d)|\W*$))")
_KI_SA = re.compile(r"\bki sa\b")  # Creole "what", in one word or two
_ISO = re.compile(r"(?<![\d-])(20\d\d)-(\d\d)-(\d\d)(?![\d-])")
_STOREY = re.compile(r"(?<=[a-z])\+(?=\d)")  # R+1 is a house
_TIME = re.compile(r"(?<![\d.,:])(\d{1,2}) ?[:h] ?([0-5]\d)(?![\d:])")
_HOUR = re.compile(r"(?<![\d.,])(\d{1,2}) h(?![a-z0-9])")
_DECIMAL = re.compile(r"(?<![\d.,])(\d{1,3})[.,](\d{1,3})(?!\d|[.,]\d)")
_WORD = re.compile(r"\d{1,2}/\d{1,2}(?:/(?:20)?\d\d)?(?![\d/])|[^\W_]+(?:\0[^\W_]+)?")
_DRAWN_OUT = re.compile(r"([a-vyz])\1{2,}")  # ouiiii
_POLITE_ANYWHERE = Pattern(rf"\b{lexicon.POLITE_ANYWHERE}\b")
_POLITE = rf"(?:{lexicon.POLITE}|{lexicon.GREETINGS})"
_POLITE_ENDS = Pattern(rf"^(?:{_POLITE}\b ?)+|(?: ?\b{_POLITE})+$")
_SMALL_TALK = Pattern(rf"(?:^| ){lexicon.SMALL_TALK}$")
_GREETING = Pattern(rf"\b{lexicon.GREETINGS}\b")


def read(text: str, context: str) -> Line:
    """Take a text apart. The work is bounded, whatever its length."""
    flat = " ".join(text[: 20 * LONGEST].split())
    line = Line(context, long=len(flat) > LONGEST)
    flat = flat[:LONGEST]
    signs = {"yes" for c in flat if c in lexicon.YES_SIGNS} | {"no" for c in flat if c in lexicon.NO_SIGNS}
    line.sign = signs.pop() if len(signs) == 1 else ""
    line.asks = any(c in flat for c in "?¿؟？")
    folded = _digits(fold(_NUMERO.sub(" numero ", flat)))
    line.quoted = bool(_QUOTED.search(folded))
    line.cited = bool(_CITED.fullmatch(flat))
    line.joins = bool(_JOINS.search(folded))
    line.minus = bool(_MINUS.search(flat))
    line.said = _words(folded)
    said = " ".join(line.said)
    line.greets = bool(_GREETING.search(said) or _SMALL_TALK.fullmatch(said))
    impolite = _POLITE_ENDS.sub("", " ".join(_POLITE_ANYWHERE.sub(" ", said).split()))
    words = _SMALL_TALK.sub("", impolite).split()
    line.words = [_textese(words, at) for at in range(len(words))]
    line.tokens = _join_digits([token for word in line.words for token in _cut(word)])
    if line.tokens == ["o"]:
        line.tokens = ["0"]
    if not line.long:
        _sort(line)
    return line


def _digits(folded: str) -> str:
    """Every script's digits as ours."""
    if folded.isascii():
        return folded
    return "".join(str(unicodedata.decimal(c)) if c.isdecimal() else c for c in folded)


def _words(folded: str) -> list[str]:
    """Words, abbreviations written out and slips mended. Decimals (2.5), hours (14h, 9h30) and dates (12/06) are one."""
    folded = _ISO.sub(r"\3/\2/\1", _KI_SA.sub("kisa", folded.replace("€", " euros ")))
    text = _STOREY.sub("plus", _MORE_SIGN.sub(" plus ", _NOT.sub(r"\1 not", folded.replace("\0", " "))))
    text = _DECIMAL.sub("\\1\0\\2", _HOUR.sub(r"\1h", _TIME.sub(r"\1h\2", text)))
    said: list[str] = []
    for found in _WORD.findall(text):
        word = _DRAWN_OUT.sub(r"\1", found.replace("\0", "."))
        said += lexicon.ABBREVIATIONS.get(word) or [_mend(word)]
    return said


def _mend(word: str) -> str:
    """`b0is` and `st0p` are words: a 0 or a 1 between letters is an O or an L."""
    if word.isalpha() or word.isdigit() or re.fullmatch(r"[a-z]\d+x?\d*", word):
        return word
    word = re.sub(r"(?<=[a-z])0(?=[a-z])|^0(?=[a-z]{2})", "o", word)
    return re.sub(r"(?<=[a-z])1(?=[a-z])", "l", word)


def as_written(text: str, words: str) -> str:
    """Words of a text as its author spelt them: case and accents; as they are when they do not stand there in a row."""
    written = text[:LONGEST].split()
    for first in range(len(written)):
        for last in range(len(written), first, -1):
            found = " ".join(written[first:last])
            if " ".join(_words(_digits(fold(found)))) == words:
                return found.strip(" .,;:!?…")
    return words


_WISHES = lexicon.words("want wanna need like how have")
_LOOKS = lexicon.words("looking lookin look wait waiting")
_AFTER_TO = lexicon.words(
    "reserve book hold cancel undo give donate talk speak find buy take get know have stop extend"
)


def _textese(words: list[str], at: int) -> str:
    """English `2` before a verb and `4` after "looking" are little words: `want 2 reserve`, `looking 4 wood`, `4 me`."""
    word = words[at]
    if word not in ("2", "4"):
        return word
    before, after = words[at - 1] if at else "", words[at + 1] if at + 1 < len(words) else ""
    if word == "2" and after in _AFTER_TO and before in _WISHES:
        return "to"
    return "for" if word == "4" and (before in _LOOKS or after in ("me", "us")) else word


_RUN = re.compile(r"(res|al|no|[rawxlpbmn])?(\d[\doil]*)(?:x(\d+))?(r)?")
_TIMES_CODE = re.compile(r"(\d{1,3})x(\d{5,})")
_OIL = str.maketrans("oil", "011")


def _cut(word: str) -> list[str]:
    """A word as commands write it: `r41271x3` -> r 41271 x 3; `4l27i` -> 41271; `m2` and `30x30` stay as they are."""
    if word.isalpha() or word.isdigit():
        return [word]
    if found := _TIMES_CODE.fullmatch(word):
        return [found[1], "x", found[2]]
    found = _RUN.fullmatch(word)
    if not found:
        return [word]
    verb, number, times, after = found.groups()
    digits = sum(c.isdigit() for c in number)
    if not number.isdigit() and not (digits >= 3 and digits > len(number) / 2):
        return [word]
    number = number.translate(_OIL)
    if len(number) < 4 and (verb in ("m", "n", "no") or (not verb and (times or after))):
        return [word]
    parts = [verb if verb not in ("n", "no") else "numero", number, *(("x", times) if times else ()), after]
    return [part for part in parts if part]


def _join_digits(tokens: list[str]) -> list[str]:
    """`41 271` is one number when its check digit says so; `n` before a number is `numero`."""
    joined: list[str] = []
    for token in tokens:
        before = joined[-1] if joined else ""
        if token.isdigit() and before == "n":
            joined[-1:] = ["numero", token]
        elif (
            token.isdigit()
            and len(token) == 3
            and before.isdigit()
            and len(before) == 2
            and damm.is_valid(before + token)
        ):
            joined[-1] = before + token
        else:
            joined.append(token)
    return joined


# --- sorting ----------------------------------------------------------------------------------------------------------
_AMOUNT = re.compile(r"x?(\d{1,3}(?:\.\d{1,3})?)(x|m|m2|m3|ml|kg|t|l|pcs?|pces?|pieces?)?")
_METRES = re.compile(r"(\d{1,3})m(\d{2})")
CLOCK = re.compile(r"\d{1,2}h(?:\d{2})?|\d{1,2}/\d{1,2}(?:/(?:20)?\d\d)?|\d{1,2}(?:am|pm)")
_MEASURE = re.compile(r"\d+x\d+(?:x\d+)?(?:cm|mm|m)?")
_CREOLE_VERBS = lexicon.words("rezeve kenbe tjenbe pran mete vle")
# What a word is: the first of these that has it.
_SORTS = {
    "reserve": lexicon.RESERVE,
    "cancel": lexicon.CANCEL,
    "negation": lexicon.NEGATIONS,
    "past": lexicon.PAST,
    "condition": lexicon.CONDITIONS,
    "ordinal": frozenset(lexicon.ORDINALS),
    "number": frozenset(NUMBER_WORDS),
    "unit": lexicon.UNITS,
    "time": lexicon.TIMES,
    "around": lexicon.FILLERS | lexicon.TAKE | lexicon.GOODS | lexicon.RESERVATIONS | lexicon.CODES,
    "question": lexicon.QUESTIONS,
}
_SORT = {word: sort for sort, found in reversed(_SORTS.items()) for word in found}
AROUND = _SORTS["around"] | lexicon.TIMES


def _sort(line: Line) -> None:
    """Say of every word what it is."""
    tokens = line.tokens
    line.questions = line.asks or bool(lexicon.ASKING.search(" ".join(tokens)))
    deletes = bool(lexicon.RESERVATIONS.intersection(tokens))
    for at, word in enumerate(tokens):
        before = tokens[at - 1] if at else ""
        if word in lexicon.TAKE or (word == "le" and before in ("man", "mwen")):  # lé, "want"; elsewhere an article
            line.takes = True
        if word[0].isdigit() or (word[0] == "x" and _AMOUNT.fullmatch(word)):
            _sort_number(line, at)
        elif word in lexicon.DELETE and deletes:
            line.cancels = True
        else:
            _sort_word(line, at, _sort_of(line, at))


def _sort_of(line: Line, at: int) -> str:
    """The sort of a word, by its neighbours where that matters."""
    word = line.tokens[at]
    before = line.tokens[at - 1] if at else ""
    after = line.tokens[at + 1] if at + 1 < len(line.tokens) else ""
    sort = _SORT.get(word, "")
    if not at and word in ("a", "x"):
        return "cancel"
    if not at and word == "nan":
        return "negation"
    if not at and word == "plus":
        return "around"
    if sort == "reserve":
        article = before in lexicon.ARTICLES and (at == 1 or word in lexicon.NOUNS_TOO)
        noun = article or before in lexicon.OWNERS
        return "around" if noun or (word == "hold" and after == "on") else sort
    if sort == "past" and after in ("besoin", "to"):  # j'ai besoin de, I have to
        return "around"
    if sort == "condition" and word == "ou" and after in ("ka", "kap", "kapab"):  # Creole "you"
        return "around"
    if sort == "ordinal" and line.codes:  # pt: Monday
        return "time"
    if sort == "number" and line.numbers and line.numbers[-1].spelt:  # the second one
        return "around"
    if word in lexicon.ARTICLES_ONE and not after and (before.isdigit() or before in lexicon.RESERVE):  # R un
        return "one"
    if word == "de" and after in ("nan", "an") and before in _CREOLE_VERBS:  # Haitian "two"
        return "two"
    if sort == "time" and word in lexicon.ARRIVAL and line.reserves < 0:  # "je viens prendre": not a day
        return ""
    return "around" if sort == "time" and not at else sort


_FLAGS = {"negation": "negated", "past": "past", "condition": "conditional", "question": "questions"}


def _sort_word(line: Line, at: int, sort: str) -> None:
    word = line.tokens[at]
    if sort in _FLAGS:
        setattr(line, _FLAGS[sort], True)
    match sort:
        case "reserve":
            line.past |= at > 1 and line.tokens[at - 1] == "a" and not line.cancels  # on m'a réservé
            line.conditional |= line.reserves >= 0  # R1 R2: which?
            line.reserves = at
        case "cancel":
            line.conditional |= line.cancels
            line.cancels = True
        case "ordinal":
            line.numbers.append(Number(float(lexicon.ORDINALS[word]), True, True))
        case "number":
            unit = lexicon.UNIT_OF.get(next(iter(line.tokens[at + 1 : at + 2]), ""), "")
            line.numbers.append(Number(float(NUMBER_WORDS[word]), not unit, True, unit))
        case "one":
            line.numbers.append(Number(1.0, True, True))
        case "two":
            line.numbers.append(Number(2.0, True, True))
        case "unit":
            if line.numbers and line.tokens[at - 1][0].isdigit():
                line.numbers[-1] = line.numbers[-1]._replace(bare=False, unit=lexicon.UNIT_OF[word])
        case "time":
            line.times = at if line.times < 0 else line.times
        case "":
            line.other.append(word)


_HOUR_SAID = re.compile(r"\d{1,2}(?:h(?:\d{2})?|am|pm)")
_HOW_LONG = lexicon.words("h heure heures hour hours hora horas e ze")


def _counts(line: Line, at: int) -> bool:
    """`ven 14h 3`, `ven 14h x3`: after an hour a number is how many, unless it is how long."""
    said = any(_HOUR_SAID.fullmatch(token) for token in line.tokens[line.times : at])
    return said and not _HOW_LONG.intersection(line.tokens[at + 1 : at + 2])


def _sort_number(line: Line, at: int) -> None:
    word = line.tokens[at]
    if word.isdigit() and len(word) >= 4:
        found = line.pins if len(word) == 4 else line.codes
        if word not in found:
            found.append(word)
    elif word in lexicon.ORDINALS:
        line.numbers.append(Number(float(lexicon.ORDINALS[word]), True, True))
    elif CLOCK.fullmatch(word) or (line.codes and next(iter(line.tokens[at + 1 : at + 2]), "") in moments.MONTH_OF):
        line.times = at if line.times < 0 else line.times
    elif line.times >= 0 and not _counts(line, at):
        pass  # "ven 14": an hour
    elif metres := _METRES.fullmatch(word):
        line.numbers.append(Number(float(f"{metres[1]}.{metres[2]}"), False, False))
    elif amount := _AMOUNT.fullmatch(word):
        unit = lexicon.UNIT_OF.get(amount[2] or "", "")
        line.numbers.append(Number(float(amount[1]), word.isdigit(), False, unit))
    elif not _MEASURE.fullmatch(word):
        line.other.append(word)

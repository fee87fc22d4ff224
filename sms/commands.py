"""Understanding: one line of text in, one `Command` out. No database, no state but what the person was last shown.

It must be safe before it is clever: STOP only counts alone, a verb only with its number, and whatever is not plainly a
command is a search. Case, accents and punctuation do not matter. Words are in `keywords.json`, by intent and language.
"""

from __future__ import annotations

import json
import pathlib
import re
from typing import Any, NamedTuple

from circular.text import fold

CONTEXTS = ("none", "after_list", "has_reservation", "after_question_yes_no", "language_menu")
KEYWORDS: dict[str, dict[str, list[str]]] = json.loads(
    pathlib.Path(__file__).with_name("keywords.json").read_text("utf-8")
)
POLITE = frozenset(
    "BONJOUR BONSOIR SALUT BJR SVP STP MERCI SIL SI VOUS TE PLAIT BONJOU BONSWA SOUPLE MESI TANPRI HELLO HI PLEASE THANKS "
    "THANK YOU HOLA GRACIAS POR FAVOR OLA OBRIGADO OBRIGADA".split()
)
# "je cherche du bois", "man ka chache bwa", "m ap cheche brik", "mwen bezwen tol", "need a door": what leads to the thing.
LEAD_IN = frozenset(
    "JE J AI VEUX VOUDRAIS CHERCHE CHERCHER BESOIN D DE DU DES UN UNE LE LA LES MAN MWEN M KA AP CHACHE CHECHE BEZWEN I NEED "
    "WANT LOOKING FOR A AN THE SOME BUSCO QUIERO NECESITO PROCURO QUERO PRECISO UMA UNA EST CE QUE VOUS AVEZ Y IL N".split()
)
NUMBER_WORDS = frozenset(("N", "NO", "NUMERO", "ANNONCE", "CODE", "NIMEWO", "NUMBER"))
GREETINGS = frozenset("BONJOUR BONSOIR SALUT BJR BONJOU BONSWA HELLO HI HOLA OLA".split())


class Command(NamedTuple):
    """What somebody wants: an intent of the contract, its arguments, and the language that the words show (or None)."""

    intent: str
    args: dict[str, Any] = {}
    language: str | None = None


def _index() -> dict[str, tuple[str, frozenset[str]]]:
    """Keyword -> (intent, languages it belongs to)."""
    index: dict[str, tuple[str, frozenset[str]]] = {}
    for intent, by_language in KEYWORDS.items():
        for language, words in by_language.items():
            for word in words:
                languages = index[word][1] if word in index else frozenset()
                index[word] = (intent, languages | {language})
    return index


INDEX = _index()


def parse(text: str, context: str = "none") -> Command:
    """The command in a line of text, given the kind of thing that the person was last shown (one of CONTEXTS)."""
    tokens = _tokens(text)
    core = [token for token in tokens if token not in POLITE]
    if not core:
        asks = text.strip() in ("?", "") or set(tokens) & GREETINGS
        return Command("help", {"greeting": bool(tokens) or not text.strip()} if asks else {})
    if core[0] in NUMBER_WORDS and len(core) > 1 and all(_is_number(token) for token in core[1:]):
        core = core[1:]  # n° 41271
    keyword = INDEX.get(core[0])
    language = _language(keyword)
    if len(core) == 1 and keyword and keyword[0] in ("stop", "start"):
        return Command(keyword[0], {}, language)
    if all(_is_number(token) for token in core) and keyword is None:
        return _number(core, context)
    if keyword is not None:
        command = _command(keyword[0], core[1:], language)
        if command is not None:
            return command
    return _search(core, language)


def _tokens(text: str) -> list[str]:
    """Upper case words and numbers, accents and punctuation gone: `r41 271, x2,5` -> R 41 271 X 2.5"""
    flat = fold(text).upper()
    flat = re.sub(r"(?<=\d)[.,](?=\d)", "\0", flat)  # a decimal mark inside a number stays
    flat = re.sub(r"[^A-Z0-9\0]+", " ", flat)
    flat = re.sub(r"\b([A-Z]{1,3})(\d)", r"\1 \2", flat) if re.match(r"\s*[A-Z]{1,3}\d+", flat) else flat
    tokens = flat.replace("\0", ".").split()
    return [_repair_digits(token) for token in tokens]


def _repair_digits(token: str) -> str:
    """`41O7` and `4l27` are numbers: a token that is mostly digits gets its O and L read as 0 and 1."""
    digits = sum(c.isdigit() for c in token)
    if digits >= 3 and digits > len(token) / 2 and set(token) <= set("0123456789OIL"):
        return token.translate(str.maketrans("OIL", "011"))
    return token


def _is_number(token: str) -> bool:
    return bool(re.fullmatch(r"[0-9]+(\.[0-9]+)?", token))


def _language(keyword: tuple[str, frozenset[str]] | None) -> str | None:
    """The language of a keyword that belongs to one language only; shared words show nothing."""
    if keyword is None or len(keyword[1]) != 1 or "any" in keyword[1]:
        return None
    return next(iter(keyword[1]))


def _number(core: list[str], context: str) -> Command:
    """A bare number: 1-2 digits a choice, 4 a reservation of one's own, 5 or more a listing."""
    digits = "".join(core)  # 41 271 is 41271
    if "." in digits:
        return _search(core, None)
    if digits.strip("0") == "" and len(digits) <= 2:
        return Command("help")
    if len(digits) <= 2:
        if context == "language_menu":
            return Command("language", {"choice": int(digits)})
        return Command("details", {"choice": int(digits)})
    if len(digits) == 4:
        return Command("mine", {"pickup_code": digits})
    if len(digits) == 3:
        return _search(core, None)
    return Command("details", {"code": digits})


def _command(intent: str, rest: list[str], language: str | None) -> Command | None:
    """The command of a first word, or None when what follows shows that it was meant as a word to search."""
    if intent == "search":
        return _search(rest, language) if rest else Command("help", {}, language)
    if intent == "reserve":
        return _reserve(rest, language)
    if intent == "cancel":
        return _cancel(rest, language)
    if intent == "language":
        if not rest:
            return Command("language", {}, language)
        return (
            Command("language", {"choice": int(rest[0])}) if re.fullmatch("[1-6]", rest[0]) and len(rest) == 1 else None
        )
    if intent in ("stop", "start"):
        return None  # alone or not at all: "stop chantier bois" is a search
    own = set(rest) <= {word for word, (other, _) in INDEX.items() if other in (intent, "reserve")} | {"M", "MWEN"}
    return Command(intent, {}, language) if own else None


def _reserve(rest: list[str], language: str | None) -> Command | None:
    rest = [token for token in rest if token not in NUMBER_WORDS | {"X", "LE", "LA"}]
    rest = [token[1:] if re.fullmatch(r"X[0-9.]+", token) else token for token in rest]
    numbers = [token for token in rest if _is_number(token)]
    if not rest:
        return Command("reserve", {}, language)
    if len(numbers) != len(rest) or len(rest) > 2 or "." in numbers[0]:
        return _search(rest, language) if language and not numbers else None
    args: dict[str, Any] = {"code": numbers[0]} if len(numbers[0]) > 2 else {"choice": int(numbers[0])}
    if len(numbers) == 2:
        args["quantity"] = float(numbers[1]) if "." in numbers[1] else int(numbers[1])
    return Command("reserve", args, language)


def _cancel(rest: list[str], language: str | None) -> Command | None:
    if not rest:
        return Command("cancel", {}, language)
    if len(rest) != 1 or not rest[0].isdigit():
        return None
    if len(rest[0]) == 4:
        return Command("cancel", {"pickup_code": rest[0]}, language)
    if len(rest[0]) <= 2:
        return Command("cancel", {"choice": int(rest[0])}, language)
    return Command("cancel", {"code": rest[0]}, language)


def _search(core: list[str], language: str | None) -> Command:
    words = core
    while len(words) > 1 and words[0] in LEAD_IN:
        words = words[1:]
    return Command("search", {"words": " ".join(words).lower()}, language)

"""Understanding: one line of text in, one `Command` out. No database, no state but what the person was last shown.

It is safe before it is clever. What takes something away (STOP, cancel, erase) or keeps it from others (reserve) is
understood only when every word of the line is one that may stand there: a question, a negation, a condition, a quotation
or a word that nobody foresaw makes something harmless of it. Whatever is no command is a search. Case, accents and
punctuation do not matter. The words are in `keywords.json` (those that people are told) and `lexicon` (those they use).
"""

from __future__ import annotations

import itertools
import json
import pathlib
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from difflib import SequenceMatcher
from typing import Any, NamedTuple

from stdnum import damm

from circular import settings
from circular.settings import LANGUAGES
from circular.text import NUMBER_WORDS
from sms import languages, lexicon
from sms.reading import AROUND, CLOCK, Line, as_written, read

INTENTS = (
    "search", "more", "details", "reserve", "mine", "cancel", "extend", "waitlist", "projects", "machines", "alert",
    "alert_stop", "give", "language", "help", "hours", "human", "phone", "data", "erase", "stop", "start", "yes", "no",
    "unknown",
)  # fmt: skip
CONTEXTS = ("none", "after_list", "has_reservation", "after_question_yes_no", "language_menu")
_FILE = json.loads(pathlib.Path(__file__).with_name("keywords.json").read_text("utf-8"))
KEYWORDS: dict[str, dict[str, list[str]]] = _FILE["words"]
UNVERIFIED: dict[str, list[str]] = _FILE["unverified"]
# Arguments of our own: what is said of a listing besides its number, which the listing is to confirm; the sort of what is
# booked, shown alone; that words are a day or an hour.
OWN = ("thing", "unit", "sort", "when")
MOST_WORDS = 30  # of a search
LONGEST_ABOUT = 8  # words of a project, an alert, a machine: what is longer tells something else


class Command(NamedTuple):
    """What somebody wants: an intent of the contract, its arguments, and the language that the words show (or None)."""

    intent: str
    args: dict[str, Any] = {}
    language: str | None = None


def _index() -> dict[str, tuple[str, frozenset[str]]]:
    """Folded keyword -> (intent, languages it belongs to)."""
    index: dict[str, tuple[str, frozenset[str]]] = {}
    for intent, by_language in KEYWORDS.items():
        for language, found in by_language.items():
            for word in found:
                known = index.get(word.lower(), (intent, frozenset()))[1]
                index[word.lower()] = (intent, known | {language})
    return index


INDEX = _index()


def _keywords(intent: str) -> frozenset[str]:
    return frozenset(word for word, (other, _) in INDEX.items() if other == intent)


def _intent(word: str) -> str:
    """What a keyword stands for; nothing for another word."""
    return INDEX[word][0] if word in INDEX else ""


PLAIN = re.compile("[Rr] ?([1-9][0-9]{4,11})(?: ([1-9][0-9]{0,3}))?", re.ASCII)


def plain(text: str) -> Command | None:
    """The command in `R 41271` and `R 41271 3`, in which nothing depends on what was shown; None for any other line.

    `parse` says the same in ten times as long, and when a lot is wanted by hundreds this is what they write.
    """
    found = PLAIN.fullmatch(text)
    if found is None:
        return None
    code, quantity = found.groups()
    return Command("reserve", {"code": code, "quantity": int(quantity)} if quantity else {"code": code})


def parse(text: str, context: str = "none") -> Command:
    """The command in a line of text, given the kind of thing that the person was last shown (one of CONTEXTS)."""
    line = read(text, context)
    command = _understand(line)
    if command.intent == "give" and "words" in command.args:  # staff read them
        command = command._replace(args={**command.args, "words": as_written(text, command.args["words"])})
    intent, known = INDEX.get(line.tokens[0], ("", frozenset())) if line.tokens else ("", frozenset())
    everybodys = "any" in known  # R, AL, PLUS
    keyword = known if intent == command.intent and not everybodys else frozenset()
    said = itertools.dropwhile(lambda word: word == line.said[0], line.said) if everybodys else line.said  # AL AL
    return command._replace(language=languages.shown(list(said), keyword))


def _understand(line: Line) -> Command:
    if not line.tokens:
        return _signs(line)
    if line.long:
        return _search(line.words)
    if line.quoted:
        return _pointed(line) or Command("help")
    for attempt in ATTEMPTS:
        command = attempt(line)
        if command is not None:
            taken = line.cited and command.intent in ("reserve", "cancel")
            return _pointed(line) or Command("help") if taken else command
    found = _search(line.words)
    place = line.tokens[0] in _WHERE or _intent(line.tokens[0]) == "hours"
    if place:
        return found._replace(args={**found.args, "where": True})
    if not _is_time(line):
        return found
    many = {"quantity": line.numbers[0].quantity} if len(line.numbers) == 1 and line.numbers[0].bare else {}
    return found._replace(args={**found.args, "when": True, **many})


def _after_verb(line: Line) -> list[str]:
    """`R MER 11H`: mer 11h."""
    return line.tokens[1:] if line.tokens[0] in lexicon.RESERVE else line.tokens


def _is_time(line: Line) -> bool:
    """A day, an hour or both and nothing else: of the free times that were shown, maybe."""
    tokens = _after_verb(line)
    named = [word for word in tokens if word in lexicon.TIMES or CLOCK.fullmatch(word)]
    rest = [word for word in tokens if word not in named and word not in lexicon.FILLERS and not word.isdigit()]
    return bool(named) and not rest and not line.asks


# --- few words --------------------------------------------------------------------------------------------------------
def _signs(line: Line) -> Command:
    """What holds no word: a thumb, a question mark, a greeting, thanks; or nothing that could be answered."""
    if line.sign and not line.asks:
        return Command(line.sign)
    if lexicon.THANKS.intersection(line.said) and not line.asks:
        return Command("help", {"thanks": True})
    if line.said or line.asks:
        return Command("help", {"greeting": True} if line.greets else {})
    return Command("unknown")


_OUT = lexicon.words("unsubscribe desabonnez desabonner desinscrivez")
_REPEATED = lexicon.words("stop arret arrete") | lexicon.STOP | _OUT  # `cancel cancel` may be a reservation
_ME = lexicon.words("me moi")


def _stop(line: Line) -> Command | None:
    """`STOP STOP`, `STOP SMS`, `STOP` and our own number, `unsubscribe me`: nothing else can be meant."""
    first, rest = line.tokens[0], line.tokens[1:]
    if not rest or line.asks or first not in _REPEATED:
        return None
    left = [word for word in line.said if word not in lexicon.POLITE_STOP]
    if left[:1] != [first]:
        return None
    while left[:1] == [first]:
        left = left[1:]
    ours = left in (["sms"], ["sms", "stop"]) or (len(left) == 1 and left[0] == settings.get().sms_sender.lstrip("+"))
    return Command("stop") if not left or ours or (first in _OUT and _ME.issuperset(left)) else None


_PAUSES = lexicon.words("pause pausa")
# Machines and rooms by one word: what it names is shown.
_SORTS = lexicon.ROOMS - {"book"} | lexicon.words("atelier ateliers workshop workshops taller talleres latilye atelye")
_WHERE = lexicon.words("ou where donde onde kote eti")


def _alone(line: Line) -> Command | None:
    """One word: STOP and its like count only so, and not when they are asked about."""
    if len(line.tokens) > 1:
        return None
    word = line.tokens[0]
    intent = "stop" if word in lexicon.STOP else _intent(word)
    if word == "menu":
        return Command("help", {"menu": True})
    impolite = not lexicon.POLITE_STOP.union(line.tokens).issuperset(line.said)
    if (intent in ("stop", "start", "reserve", "cancel") and line.asks) or (intent == "stop" and impolite):
        return Command("help")
    if word in _PAUSES and not line.asks:
        return Command("waitlist", {"pause": True})  # told with W in front: what one waits for is shown first
    if word in ("a", "x"):
        return Command("mine")  # a letter left over, maybe: what could be cancelled is shown first
    if intent == "erase" and line.asks:
        return Command("data")
    if intent == "extend" and word == "plus" and line.context == "after_list":
        return Command("more")
    if word in lexicon.CODES or (word in lexicon.RESERVATIONS and not intent):
        return Command("mine")
    if line.asks and word in _WHERE:
        return Command("hours")
    sort = {"sort": word} if intent == "machines" and word in _SORTS else {}
    return Command(intent, sort) if intent not in ("", "search", "yes", "no") else None


_PHONE = re.compile(r"\b0\d{3}(?: ?\d\d){3}\b|\b0\d(?: ?\d\d){4}\b|\b(?:00)?(?:33|590|594|596)\d{9}\b")


def _bare(line: Line) -> Command | None:
    """Nothing but numbers: 1-2 digits a choice, 4 a reservation of one's own, 5 or more a listing."""
    tokens = [token for token in line.tokens if token not in ("numero", "et", "x")]
    if not tokens or not all(token.isdigit() for token in tokens) or line.tokens[0] == "x":
        return None
    if line.codes and not _PHONE.fullmatch("".join(tokens)):
        return Command("details", {"code": line.codes[0]})
    digits = "".join(tokens)  # 73 91 is 7391
    if _PHONE.fullmatch(digits):
        return Command("phone")
    if len(digits) == 4 and "et" not in line.tokens:
        return Command("mine", {"pickup_code": digits})
    if len(digits) >= 3 and "et" not in line.tokens:
        return Command("details", {"code": digits})
    if len(tokens[0]) > 2:
        return None
    if not tokens[0].strip("0"):
        return Command("help")
    return Command("more") if tokens == ["98"] else _choose(line, int(tokens[0]))


def _choose(line: Line, number: int) -> Command:
    """A line of what was shown."""
    return _language_args(number) if line.context == "language_menu" else Command("details", {"choice": number})


def _language_args(number: int) -> Command:
    known = {"language": LANGUAGES[number - 1]} if 1 <= number <= len(LANGUAGES) else {}
    return Command("language", {"choice": number, **known})


_YES = _keywords("yes") | lexicon.YES
_NO = _keywords("no") | lexicon.NO
_SEARCH = _keywords("search")
_YES_PHRASE = re.compile(lexicon.YES_PHRASES)
_NO_PHRASE = re.compile(lexicon.NO_PHRASES)
_BEFORE_YES = lexicon.words("mais ah eh oh ben")


def _yes_no(line: Line) -> Command | None:
    """Yes only when nothing else is said; no is less dangerous, so it may explain itself where it was asked for."""
    if line.asks:
        return Command("help") if (_YES | _NO).issuperset(line.tokens) else None
    first, rest = line.tokens[0], frozenset(line.tokens[1:])
    joined = " ".join(line.tokens)
    asked = line.context == "after_question_yes_no"
    if first in _NO:
        return _no(line, rest, asked)
    if asked and _NO_PHRASE.fullmatch(joined):
        return Command("no")
    if _YES_PHRASE.fullmatch(joined):
        return Command("yes")
    everything = rest | {first}
    if everything & lexicon.NOTED and everything <= lexicon.NOTED | _YES | lexicon.AROUND_YES:  # ok, bien reçu
        return Command("yes" if asked and everything & _YES else "help")
    if first in _BEFORE_YES and rest and rest <= _YES:  # mais oui
        return Command("yes")
    return _yes(line, first, rest, asked) if first in _YES else None


def _no(line: Line, rest: frozenset[str], asked: bool) -> Command | None:
    if rest & _SEARCH or len(line.tokens) > LONGEST_ABOUT:
        return None
    if line.tokens[0] in ("nan", "n") and rest - _NO:  # Haitian "in"; an article whose vowel was lost
        return None
    if asked:
        return Command("no") if not rest & (lexicon.NOT_NO | _YES) and not line.codes else None
    return Command("no") if rest <= _NO | lexicon.FILLERS else None


def _yes(line: Line, first: str, rest: frozenset[str], asked: bool) -> Command | None:
    if not rest or (rest <= _YES and first != "y"):
        return Command("yes", {"thanks": True} if lexicon.THANKS.intersection(line.said) else {})
    if asked and line.tokens[-1] in _NO and rest - _NO == {"mais"}:  # oui mais non
        return Command("no")
    if (
        first in ("y", "si")
        or line.minus
        or line.negated
        or line.conditional
        or line.codes
        or line.pins
        or line.cancels
    ):
        return None
    if rest <= _YES | lexicon.AROUND_YES:
        return Command("yes")
    if asked and line.plain and set(line.other) <= _YES and len(line.numbers) <= 1:  # oui je prends, oui pour 2
        return Command("yes", {"quantity": line.numbers[0].quantity} if line.numbers else {})
    return None


_ERASE = _keywords("erase")


def _sure_erase(line: Line) -> Command | None:
    """EFFACE OUI: where something was asked, it need not be asked again."""
    if line.asks or len(line.tokens) != 2 or line.tokens[0] not in _ERASE or line.tokens[1] not in _YES:
        return None
    return Command("erase", {"sure": True} if line.context == "after_question_yes_no" else {})


# --- reservations -----------------------------------------------------------------------------------------------------
def _target(number: str) -> dict[str, Any]:
    """What a number points at, by its digits."""
    if len(number) == 4:
        return {"pickup_code": number}
    return {"choice": int(number)} if len(number) <= 2 else {"code": number}


_AROUND_CANCEL = AROUND | lexicon.CANCEL | lexicon.DELETE | lexicon.IT | lexicon.OWNERS


def _cancel(line: Line) -> Command | None:
    """`A 7391`, `je voudrais annuler ma réservation 7391`. Without a number it asks which, so that a word may be missed."""
    tokens = frozenset(line.tokens)
    if not line.cancels:
        return None
    if line.tokens[0] in ("a", "x"):
        return _cancel_letter(line)
    if not line.plain:
        owned = tokens & lexicon.RESERVATIONS and not line.pins and not line.codes and len(line.other) <= 2
        kept = line.negated and len(line.other) <= 2 and not tokens & lexicon.GOODS and not line.pins and not line.codes
        return Command("mine") if owned or kept else None  # `annule pas`: nothing is, and these are held
    if (
        set(line.other) - lexicon.IT - lexicon.OWNERS
        or line.times >= 0
        or (line.reserves >= 0 and not tokens & lexicon.NOUNS_TOO)
    ):
        return None
    numbers = [] if line.both else [number.choice for number in line.numbers]
    targets = [*map(_target, [*line.pins, *line.codes]), *({"choice": choice} for choice in numbers)]
    if len(targets) == 1 and None not in numbers and not tokens & lexicon.GOODS:
        return Command("cancel", targets[0])
    named = tokens & (lexicon.RESERVATIONS | lexicon.IT | lexicon.CANCEL) and not targets
    return (
        Command("cancel")
        if named and tokens <= _AROUND_CANCEL | (NUMBER_WORDS.keys() if line.both else set())
        else None
    )


def _cancel_letter(line: Line) -> Command | None:
    """The letters mean it only right before one number: `à 14h`, `a louer` and `x3` do not."""
    number = "".join(line.tokens[1:])
    if line.asks or not number.isdigit() or number in ("0", "00") or len(number) == 3 or len(line.tokens) > 3:
        return None
    return Command("cancel", _target(number)) if line.tokens[0] == "a" or len(number) == 4 else None


_AROUND_RESERVE = (lexicon.FILLERS | lexicon.RESERVE | lexicon.TAKE_IT | lexicon.IT) - lexicon.words(
    "besoin tout toutes tous"
)


def _reserve(line: Line) -> Command | None:
    """A verb that reserves and one thing, named by its number or its line."""
    tokens = frozenset(line.tokens)
    slip = line.reserves < 0 and len(line.codes) == 1 and _misspelt(line.tokens[0], line.codes[0])
    strong = line.reserves >= 0 or slip
    takes = line.takes or (tokens & lexicon.NEED and line.codes and line.numbers)
    if not (strong or takes) or not line.plain or line.cancels or len(line.codes) > 1:
        return None
    if line.codes:
        return _reserve_code(line, strong, line.tokens[:1] if slip else [])
    if line.pins or len(line.numbers) > 2 or (line.numbers and line.numbers[0].choice is None):
        return _reserve_mistyped(line.tokens)
    if line.other or tokens & lexicon.GOODS or line.both:
        return None
    if line.numbers:
        return _reserve_line(line)
    takes_it = tokens & lexicon.TAKE_IT and (tokens & lexicon.IT or line.tokens[-1] in lexicon.TAKE_IT)
    return Command("reserve") if (line.reserves >= 0 or takes_it) and tokens <= _AROUND_RESERVE else None


_TWO = re.compile(r"\d (?:et|and|ak|epi) (?:l[ae] )?\d")
_DOUBTS = (frozenset(INDEX) - lexicon.FILLERS) | lexicon.DOUBTS


def _reserve_code(line: Line, strong: bool, slip: Sequence[str]) -> Command | None:
    """`R 41271 3`, `je voudrais 3 du 41271`, `R 50213 VEN 14H`, `R 41271 pour maman`."""
    at = line.tokens.index(line.codes[0])
    before, after = line.tokens[:at], line.tokens[at + 1 :]
    other = [word for word in line.other if word not in slip]
    if _TWO.search(" ".join(line.said)):
        return None  # 41271 et 2: two things
    many = line.pins[:1] if strong and after[:1] == line.pins[:1] and not line.numbers else []  # R 41271 1000
    if line.pins != many or len(line.numbers) > 1 or (not strong and lexicon.RESERVATIONS.intersection(line.tokens)):
        return None
    if other:  # a name, a day said oddly: only after a verb that comes first
        first = strong and lexicon.FILLERS.union(lexicon.RESERVE, slip).issuperset(before)
        most = 3 if after and after[0] in lexicon.FOR else 2
        if not first or len(other) > most or not set(other) <= set(after) or _DOUBTS.intersection(after):
            return None
        if any(word[0].isdigit() for word in other):  # 1e9 is nobody's name
            return None
    told = after if other or line.times > at else []
    while told and told[0] in lexicon.FILLERS:
        told = told[1:]
    args: dict[str, Any] = {"code": line.codes[0], **_told_of(line, other)}
    if line.numbers or many:
        args["quantity"] = int(many[0]) if many else line.numbers[0].quantity * (-1 if line.minus else 1)
    return Command("reserve", {**args, "words": " ".join(told)} if told else args)


def _told_of(line: Line, other: Sequence[str]) -> dict[str, str]:
    """What a line tells of the thing besides its number: `3 portes`, `5 m2`. Whether it is that, the listing knows. Before
    whom it is for, and a word of no list only after a number: another may be a name, of a stone or a colour, too.
    """
    end = next((at for at, word in enumerate(line.tokens) if word in lexicon.FOR), len(line.tokens))
    told = zip(("", *line.tokens), line.tokens[:end], strict=False)
    things = " ".join(
        word
        for before, word in told
        if word in lexicon.GOODS or (word in other and len(before) < 4 and before.isdigit())
    )
    units = [number.unit for number in line.numbers if number.unit]
    return {**({"thing": things} if things else {}), **({"unit": units[0]} if units else {})}


_MARKS = lexicon.words("le la el o a the numero number")


def _reserve_line(line: Line) -> Command | None:
    """`R1`, `R1 3`, `je prends la 2`: a line of the list, then how many."""
    if line.reserves < 0 and not _MARKS.intersection(line.tokens) and line.context != "after_list":
        return None  # "take 2": which, or how many?
    if line.reserves > 0 and not (lexicon.FILLERS | lexicon.TAKE).issuperset(line.tokens[: line.reserves]):
        return None
    if line.joins:
        return None  # R1 et 2: which?
    args: dict[str, Any] = {"choice": line.numbers[0].choice}
    if len(line.numbers) > 1:
        args |= {"quantity": line.numbers[1].quantity * (-1 if line.minus else 1), **_told_of(line, ())}
    if line.times >= 0:
        args["words"] = " ".join(line.tokens[line.times :])
    return Command("reserve", args)


def _reserve_mistyped(tokens: list[str]) -> Command | None:
    """`R 412`: with digits missing. The check digit will say so."""
    numbers = [token for token in tokens[1:] if token.isdigit()]
    if tokens[0] not in lexicon.RESERVE or not 1 <= len(numbers) <= 2 or not set(tokens[1:]) <= {*numbers, "x"}:
        return None
    rest = {"quantity": int(numbers[1])} if len(numbers) == 2 else {}
    return Command("reserve", {"code": numbers[0], **rest}) if 3 <= len(numbers[0]) <= 4 else None


_SPELLINGS = ("reserve", "reserver", "reservar", "rezeve", "rezerve")
_OTHER_VERBS = lexicon.words("reverse reverser reservoir reservoirs relever releve remove revers")


def _misspelt(word: str, code: str) -> bool:
    """`resever 41271`: a slip in the verb counts only before a number whose check digit is right."""
    if word[0] != "r" or len(word) < 4 or word in _OTHER_VERBS or word in INDEX or not damm.is_valid(code):
        return False
    return any(SequenceMatcher(None, word, spelling).ratio() >= 0.85 for spelling in _SPELLINGS)


_STOP = _keywords("stop") | lexicon.STOP
_WAIT = _keywords("waitlist") | lexicon.WAIT
_AROUND_WAIT = _WAIT | lexicon.AROUND_WAIT
_LISTS = lexicon.words("liste list lista")
_LONGER = lexicon.words("plus anymore longer more mas mais anko ankor")
_WAITS = _WAIT | lexicon.words(
    "attendre attends attend attente atann tann wait waiting esperar espero espere fila cola"
)


def _waitlist(line: Line) -> Command | None:
    """`W 41271`, `W1`, `liste d'attente pour 41271`, `W 50305 VEN 18H`; with STOP it is given up, with PAUSE set aside."""
    said = {token for token in line.tokens if not token[0].isdigit()}
    timed = line.times > 0 and bool(line.codes or line.numbers)
    around = _AROUND_WAIT | _WAITS | (lexicon.TIMES if timed else frozenset())
    for end, word in (("leave", _STOP), ("pause", lexicon.PAUSE)):
        ends = said & word and said & _WAIT and not said - word - around and not line.asks
        if ends and len(line.codes) <= 1 and not line.pins:
            choices = [number.choice for number in line.numbers if number.choice is not None]
            which = {"code": line.codes[0]} if line.codes else {"choice": choices[0]} if choices else {}
            return Command("waitlist", {**which, end: True, **_told_when(line, word)})
    if line.negated and said & _WAITS and not said - around - lexicon.NEGATIONS - _LONGER and len(line.codes) == 1:
        return Command("waitlist", {"code": line.codes[0], "shown": True})  # `je n'attends plus 41271`: how, is shown
    if line.asks or line.negated or not said & _WAIT or said - around or len(line.codes) > 1 or line.pins:
        return None
    when = _told_when(line)
    if line.codes:
        quantity = {"quantity": line.numbers[0].quantity} if len(line.numbers) == 1 else {}
        return Command("waitlist", {"code": line.codes[0], **quantity, **when})
    if line.numbers:
        choice = line.numbers[0].choice
        quantity = {"quantity": line.numbers[1].quantity} if len(line.numbers) == 2 else {}
        return Command("waitlist", {"choice": choice, **quantity, **when}) if choice is not None else None
    return Command("waitlist") if said & _LISTS else None


def _told_when(line: Line, but: frozenset[str] = frozenset()) -> dict[str, str]:
    """The day and the hour in a line, without other words that stand after them."""
    words = [token for token in line.tokens[line.times :] if token not in but] if line.times >= 0 else []
    return {"words": " ".join(words)} if words else {}


_EXTEND = _keywords("extend") | lexicon.EXTEND
_AROUND_EXTEND = lexicon.FILLERS | lexicon.RESERVATIONS | lexicon.CODES


def _extend(line: Line) -> Command | None:
    """PLUS and a reservation: its code, or its line."""
    targets = [token for token in line.tokens[1:] if token.isdigit()]
    if line.asks or line.tokens[0] not in _EXTEND or len(targets) != 1:
        return None
    return Command("extend", _target(targets[0])) if set(line.tokens[1:]) - set(targets) <= _AROUND_EXTEND else None


_LETTERS = lexicon.words("x al w p b l")


def _chosen(line: Line) -> Command | None:
    """`le 2 svp`, `la deuxième`, `1?`, `prix du 2`, `R1?`: a line, to be shown. Ranks and words need a list."""
    listed = line.context in ("after_list", "language_menu")
    if listed and line.tokens == ["de"]:
        return _choose(line, 2)  # Haitian
    if (
        not line.numbers
        or line.codes
        or line.pins
        or line.other
        or line.cancels
        or line.times >= 0
        or line.tokens[0] in _LETTERS
    ):
        return None
    choice = line.numbers[0].choice
    if (
        choice is None
        or (line.numbers[0].spelt and not listed)
        or lexicon.GOODS.union(lexicon.UNITS).intersection(line.tokens)
    ):
        return None
    return _choose(line, choice) if len(line.tokens) <= 2 or listed or line.asks or line.reserves == 0 else None


def _pointed(line: Line) -> Command | None:
    """A number in a line that asks for nothing more: that listing, or that reservation of one's own."""
    if len(line.other) > LONGEST_ABOUT and not line.quoted:
        return None
    codes = [code for code in line.codes if len(code) <= 7]  # longer ones are phones
    plain = codes[:1] if not line.other or line.reserves >= 0 else []
    for code in [code for code in codes if damm.is_valid(code)] or plain:
        return Command("details", {"code": code})
    if len(line.pins) != 1 or (len(set(line.other) - lexicon.DELETE) > 3 * line.cancels and not line.quoted):
        return None
    named = (lexicon.RESERVATIONS | lexicon.CODES | lexicon.DELETE).intersection(line.tokens)
    return Command("mine", {"pickup_code": line.pins[0]}) if named or line.cancels or line.past else None


# --- things said in words ---------------------------------------------------------------------------------------------
_LANGUAGE = _keywords("language")
_AROUND_NAMES = lexicon.AROUND_NAMES | lexicon.NAMES.keys()


def _language(line: Line) -> Command | None:
    """`L 4`, `english`, `en créole svp`, `vous parlez espagnol ?`."""
    tokens = frozenset(line.tokens)
    asked = line.tokens[0] in _LANGUAGE
    if asked and len(line.tokens) == 2 and line.tokens[1].isdigit() and len(line.tokens[1]) == 1:
        return _language_args(int(line.tokens[1]))
    names = tokens & lexicon.NAMES.keys()
    speaks = tokens & lexicon.SPEAK
    if names and speaks and line.negated and len(tokens) <= LONGEST_ABOUT:
        return Command("language")  # je parle pas français
    if not speaks and not asked and line.context != "language_menu":
        names -= lexicon.SHORT_NAMES
    if not names or (tokens - _AROUND_NAMES) - {line.tokens[0] if asked else ""}:
        return None
    numbers = {lexicon.NAMES[name] for name in names}
    if numbers == {2, 3}:  # creole haïtien
        numbers = {3}
    return _language_args(numbers.pop()) if len(numbers) == 1 else Command("language")


_DENIED = frozenset(("data", "human", "mine", "more", "extend", "alert_stop"))
_NOT_DENIALS = lexicon.words("plus ne n")


def _said_in_full(line: Line) -> Command | None:
    """One of `lexicon.SAYINGS`."""
    tokens = frozenset(token for token in line.tokens if not token.isdigit())
    if _PHONE.search(" ".join(line.tokens)):
        tokens = (tokens - {"no"}) | {"moi"}  # appelez le 0696…; me liga no 0696…
    for saying in lexicon.SAYINGS:
        if not tokens <= saying.may or not all(tokens & need for need in saying.need):
            continue
        denied = (tokens & lexicon.NEGATIONS) - saying.needed - _NOT_DENIALS
        if saying.intent == "alert_stop" and (denied or line.asks):
            return Command("alert", {"shown": True})
        if (saying.intent == "erase" and (line.questions or line.negated)) or (denied and saying.intent in _DENIED):
            continue
        return Command(saying.intent)
    return None


_MACHINES = _keywords("machines") | lexicon.MACHINES
_NOUNS = ("projects", "machines", "alert")
_HOURS = lexicon.TIMES | lexicon.FILLERS


def _keyword(line: Line) -> Command | None:
    """The first word decides, little ones aside; what follows are its words."""
    skip = next((at for at, word in enumerate(line.words) if word not in lexicon.BEFORE_NOUNS), 0)
    if skip and _intent(line.words[skip]) in _NOUNS:
        line = replace(line, words=line.words[skip:], tokens=line.tokens[skip:])
    else:
        skip = 0
    first, rest = line.tokens[0], line.words[1:]
    intent = _intent(first)
    if intent in ("projects", "machines") and len(line.tokens) == 2 and len(line.codes) == 1:
        return Command("details", {"code": line.codes[0]})
    if intent in ("search", "reserve") and rest and len(first) > 1:
        return _search(rest)
    if len(rest) > LONGEST_ABOUT or line.words[0] != first:  # p2, b12: no words
        return None
    if first in _ALERT:
        rest = [word for word in rest if word not in _ALERT]
        return Command("alert", {"words": " ".join(_thing(rest))} if rest else {})
    if intent == "projects":
        return Command("projects", _about(rest))
    if first in _MACHINES and (first != "book" or not skip) and not lexicon.HOUSEHOLD.intersection(rest):
        wanted = not rest or first not in lexicon.ROOMS or rest[0] in lexicon.FOR | {"de"}
        return Command("machines", _about(rest)) if wanted else None
    return Command("hours") if intent == "hours" and first != "open" and _HOURS.issuperset(rest) else None


def _about(rest: Sequence[str]) -> dict[str, Any]:
    """What a command is about, without the little words around it."""
    found = list(rest)
    while found and found[-1] in lexicon.TRAILING:
        found = found[:-1]
    while len(found) > 1 and found[0] in lexicon.ABOUT:
        found = found[1:]
    return {"words": " ".join(found[:MOST_WORDS])} if found else {}


_USE = lexicon.RESERVE | lexicon.USE
_AROUND_USE = _USE | _MACHINES | lexicon.FILLERS | lexicon.TIMES


def _machines(line: Line) -> Command | None:
    """`réserver une machine`, `book a room`."""
    tokens = frozenset(line.tokens)
    return Command("machines") if tokens & _USE and tokens & (_MACHINES - {"book"}) and tokens <= _AROUND_USE else None


def _projects(line: Line) -> Command | None:
    """`que faire avec des palettes ?`, `comment faire un banc`"""
    found = lexicon.BUILD.search(" ".join(line.words))
    return Command("projects", _about((found[1] or found[2]).split())) if found else None


_NO_MORE = _STOP | lexicon.words("off fin non no")
_ALERT = _keywords("alert") | lexicon.ALERT
_OTHER_NEEDS = lexicon.words("need want besoin")  # let me know if you need anything


def _alert(line: Line) -> Command | None:
    """`AL BOIS`, `AL STOP 1`, `prévenez-moi si vous avez des tuiles`."""
    first, rest = line.tokens[0], line.words[1:]
    if found := lexicon.TELL_ME.search(" ".join(line.words)):
        about = _thing(found[1].split())
        known = len(about) <= LONGEST_ABOUT and not _OTHER_NEEDS.intersection(found[1].split())
        return Command("alert", {"words": " ".join(about)}) if known else None
    if line.asks and frozenset((first, *rest[:1])) & _ALERT and frozenset((first, *rest[:1])) & _NO_MORE:
        return Command("alert", {"shown": True})
    if first in _STOP and len(rest) > 1 and rest[0] in _ALERT:
        return Command("alert_stop", _about(rest[1:]))
    if first not in _ALERT or not rest or rest[0] not in _NO_MORE:
        return None
    choices = [number.choice for number in line.numbers if number.choice is not None]
    return Command("alert_stop", {"choice": choices[0]} if choices else _about(rest[1:]))


_GIVE = _keywords("give") | lexicon.GIVE
_GIVE_NOUNS = lexicon.words("don donation")
_BEFORE_GIFT = lexicon.words("away de du des d la le les of some un une an a")


def _give(line: Line) -> Command | None:
    """`DON 20 tole 2m`, `je voudrais donner des chaises`, `j'ai 12 portes à donner`. Not `donne-moi`, nor a question."""
    words = line.words
    if line.asks or line.codes or (line.negated and words[0] != "don") or len(words) > 2 * LONGEST_ABOUT:
        return None
    at = next((at for at, word in enumerate(words[:6]) if word in _GIVE), -1)
    found = lexicon.HAS_TO_GIVE.search(" ".join(words))
    if found and found[1]:
        rest = found[1].split()
    elif at >= 0 and lexicon.FILLERS.union(_GIVE).issuperset(words[:at]):
        rest = words[at + 1 :]
        if not rest and at and words[at] not in _GIVE_NOUNS:
            return None
    else:
        return None
    while rest and rest[0] in _BEFORE_GIFT | _GIVE_NOUNS:
        rest = rest[1:]
    if rest and rest[0] in lexicon.NOT_GIVEN:
        return None
    many = _how_many(rest[0]) if rest else None
    if many is None:
        return Command("give", _about(rest))
    return Command("give", {"quantity": many, **_about(rest[1:])})


def _how_many(word: str) -> int | float | None:
    """A number before a thing."""
    if re.fullmatch(r"\d{1,4}", word):
        return int(word)
    if re.fullmatch(r"\d{1,4}\.\d{1,3}", word):
        return float(word)
    return NUMBER_WORDS.get(word)


ATTEMPTS: tuple[Callable[[Line], Command | None], ...] = (
    _bare, _stop, _alone, _yes_no, _sure_erase, _language, _cancel, _machines, _reserve, _waitlist, _extend, _chosen,
    _pointed, _alert, _said_in_full, _projects, _give, _keyword,
)  # fmt: skip


# --- searching --------------------------------------------------------------------------------------------------------
def _thing(found: Sequence[str]) -> list[str]:
    """Words without those that lead to the thing and those that trail it."""
    words = lexicon.FOR_ME.sub("", " ".join(found)).split()
    while len(words) > 1 and words[0] in lexicon.LEAD_IN:
        words = words[1:]
    while len(words) > 1 and words[-1] in lexicon.TRAILING:
        words = words[:-1]
    return words[:MOST_WORDS]


def _search(words: Sequence[str]) -> Command:
    return Command("search", {"words": " ".join(_thing(words))})

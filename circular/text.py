"""Text from people: folded, cut into search words (one analyser for the whole program), cleaned, shortened."""

from __future__ import annotations

import itertools
import re
import unicodedata
from typing import Any

LONGEST_WORD = 40  # characters of a search word; what is longer is no word
# Letters but for these signs (New Tai Lue, Vedic), which SQLite's tokenizer cuts words at: half a word is a wrong query.
_WORD = re.compile(r"[^\W_\u19b0-\u19c0\u19c8\u19c9\u1cf2\u1cf3]+")
# Ligatures, and the accents that Latin letters are taken apart into; other scripts' follow one by one (half the speed).
_FLAT: dict[int, str | None] = {
    **{ord(letter): letters for letter, letters in (("œ", "oe"), ("æ", "ae"))},
    **{code: None for code in range(0x300, 0x370) if unicodedata.combining(chr(code))},
}
_LINE_BREAKS = frozenset("\t\n\v\f\r\x1c\x1d\x1e\x1f\x85\u2028\u2029")
# Words after which a title cannot end, in its languages; `x` stands between two dimensions.
_LEADS_ON = frozenset(
    "a and au aux avec d' de del des du e en et for l' la le les of on ou para par pour sans sur the with x y".split()
)
# Numbers as people write them out in the six languages, folded. The Creole ones are unverified: they are read, never said.
_NUMBERS = {
    1: "yonn youn uno um one", 2: "deux dos dois duas two", 3: "trois twa tres three", 4: "quatre kat cuatro quatro four",
    5: "cinq senk cinco five", 6: "six sis seis", 7: "sept set siete sete seven", 8: "huit wit uit ocho oito eight",
    9: "neuf nef nueve nove nine", 10: "dix dis diez dez ten", 11: "onze once eleven", 12: "douze doce doze douz twelve",
    15: "quinze quince kenz fifteen", 20: "vingt vent veinte vinte twenty", 30: "trente trant treinta trinta thirty",
    40: "quarante cuarenta quarenta forty", 50: "cinquante cincuenta cinquenta fifty", 100: "cent cien hundred",
    1000: "mille mil thousand",
}  # fmt: skip
NUMBER_WORDS = {word: number for number, words in _NUMBERS.items() for word in words.split()}
_DIGIT = re.compile(r"\d")
_BARE_NUMBER = re.compile(r"[\d.,]+")
_HIDDEN = frozenset({"Cc", "Cf", "Cs"})  # controls, formats (bidi, joiners, soft hyphen) and lone surrogates


class Pattern:
    """A regular expression that is compiled when it is first used: the large ones cost a start some 15 ms, and many a process
    never reads a text.
    """

    def __init__(self, pattern: str, flags: int = 0) -> None:
        self._written = pattern, flags

    def __getattr__(self, name: str) -> Any:
        found = self.__dict__[name] = getattr(re.compile(*self._written), name)  # the next time it is at hand
        return found


def fold(s: str) -> str:
    """`s` without case, accents or ligatures: `Œuvre À` -> `oeuvre a`. Folding twice changes nothing."""
    if s.isascii():
        return s.lower()
    # Case is folded between two decompositions because each can produce what the other takes apart.
    flat = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", s).casefold()).translate(_FLAT)
    return flat if flat.isascii() else "".join(c for c in flat if not unicodedata.combining(c))


def analyse(s: str, most: int | None = None) -> list[str]:
    """The search words of `s` in order, at most `most` of them: `2 tôles de l'évier` -> `2 tole de evier`.

    Titles and queries go through here alike: a stem need not be a word (`bois` -> `boi`), only the same on both sides.
    """
    found = (_stem(match.group()[:LONGEST_WORD]) for match in _WORD.finditer(fold(s)))
    return list(itertools.islice((word for word in found if not _elision(word)), most))


def _elision(word: str) -> bool:
    """What an apostrophe leaves behind (l', d', qu'…). A lone digit is kept, and so is a word of one ideogram."""
    return word == "qu" or (len(word) == 1 and "a" <= word <= "z")


def _stem(word: str) -> str:
    """Without the final s or x of a word of 4 letters or more; never two, so that stemming twice changes nothing."""
    plural = len(word) >= 4 and word[-1] in "sx" and word[-2] not in "sx" and word.isalpha()
    return word[:-1] if plural else word


def clean(s: str, limit: int) -> str:
    """`s` on one line of at most `limit` characters: NFC, hidden characters out, line breaks as spaces."""
    # Most texts hold nothing to hide, and asking that at once is twenty times as fast (35 against 1.5 µs).
    shown = (
        s
        if s.isprintable()
        else "".join(
            " " if c in _LINE_BREAKS else c for c in s if c in _LINE_BREAKS or unicodedata.category(c) not in _HIDDEN
        )
    )
    # Composition makes one character of four at most, so nothing that is kept lies beyond; it bounds the work on junk.
    return unicodedata.normalize("NFC", shown.strip()[: 4 * limit]).strip()[:limit].rstrip()


def shorten(s: str, width: int) -> str:
    """`s` in at most `width` characters, cut between two words when that costs a third of `width` at most.

    A number is said whole or not at all (`200x20`), and what is left ends in no word that leads on (`Planche de`) and in
    no number whose unit is gone (`Poutre 3` of `Poutre 3 m`).
    """
    if len(s) <= width:
        return s
    kept = s[:width]
    if not s[width].isspace():
        start = kept.rfind(" ") + 1  # of the word that the cut goes through
        word = s[start:].split(" ", 1)[0]
        if found := _DIGIT.search(word):
            kept = kept[: start or found.start()]
        elif start and width - start < width / 3:
            kept = kept[:start]
    words = kept.rstrip().split(" ")
    while len(words) > 1 and (fold(words[-1]) in _LEADS_ON or _BARE_NUMBER.fullmatch(words[-1])):
        words.pop()
    return " ".join(words).rstrip(" ,;:-(")

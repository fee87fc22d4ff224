"""What fits an SMS: GSM 03.38 (3GPP TS 23.038), its septets, and how a phone network cuts a long text.

No national shift tables: French has none, and nobody knows which handsets have the others (design/channels.md, 2.2).
"""

from __future__ import annotations

import functools
import unicodedata
from typing import NamedTuple

SEGMENT = 160  # septets of a single segment
BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿"
    "abcdefghijklmnopqrstuvwxyzäöñüà"
)
EXTENSION = frozenset("\f^{}\\[~]|€")  # an escape and a character: two septets

# What has no decomposition of its own but a known reading on a keyboard.
_LOOKALIKES = {
    "œ": "oe", "Œ": "OE", "’": "'", "‘": "'", "‛": "'", "ʼ": "'", "′": "'", "`": "'", "´": "'",
    "«": '"', "»": '"', "“": '"', "”": '"', "„": '"', "″": '"', "‹": "'", "›": "'",
    "–": "-", "—": "-", "‐": "-", "‑": "-", "‒": "-", "―": "-", "−": "-", "•": "-", "·": ".",
    "°": "o", "×": "x", "÷": "/", "⁄": "/", "≤": "<=", "≥": ">=", "→": "->", "©": "(c)", "®": "(R)",
    "ı": "i", "ł": "l", "Ł": "L", "đ": "d", "Đ": "D", "\t": " ", "\v": " ", "\f": " ", "\u2028": "\n", "\u2029": "\n",
}  # fmt: skip


class Measure(NamedTuple):
    """How a text travels: `encoding` (GSM-7, UCS-2), `units` (septets, UTF-16 code units), `segments` to pay for."""

    encoding: str
    units: int
    segments: int


def septets(text: str) -> int | None:
    """The length of `text` in septets, or None when a character of it is not in GSM 03.38."""
    beyond = set(text) - BASIC
    if beyond - EXTENSION:
        return None
    return len(text) + sum(text.count(c) for c in beyond)


def fit(text: str) -> str:
    """`text` in GSM 03.38 alone: è é ù ì ò à ñ ü… stay, ç ê œ ’ « become c e oe ' ", the rest its nearest or `?`."""
    if BASIC.issuperset(text) and "\r" not in text:
        return text
    return "".join(_nearest(c) for c in unicodedata.normalize("NFC", text.replace("\r\n", "\n").replace("\r", "\n")))


@functools.lru_cache(maxsize=4096)
def _nearest(c: str) -> str:
    if c in _LOOKALIKES:
        return _LOOKALIKES[c]
    if c in BASIC or c in EXTENSION:
        return c
    category = unicodedata.category(c)
    if category[0] == "M" or category in ("Cc", "Cf", "Cs"):  # an accent left alone, NUL, ESC, bidi, half a pair
        return ""
    if category == "Zs":
        return " "
    parts = unicodedata.normalize("NFKD", c)
    return "?" if parts == c else "".join(_nearest(part) for part in parts).strip() or "?"


def measure(text: str) -> Measure:
    """How `text` would be sent: cut greedily at 160/153 septets or 70/67 code units, never inside a pair."""
    found = septets(text)
    if found is not None and found <= SEGMENT:
        return Measure("GSM-7", found, 1)
    if found is not None:
        sizes = [2 if c in EXTENSION else 1 for c in text]
        return _measure("GSM-7", sizes, SEGMENT, 153)
    return _measure("UCS-2", [2 if ord(c) > 0xFFFF else 1 for c in text], 70, 67)


def _measure(encoding: str, sizes: list[int], single: int, part: int) -> Measure:
    units = sum(sizes)
    if units <= single:
        return Measure(encoding, units, 1)
    segments, filled = 1, 0
    for size in sizes:
        if filled + size > part:
            segments, filled = segments + 1, 0
        filled += size
    return Measure(encoding, units, segments)

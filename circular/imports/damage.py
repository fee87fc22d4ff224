"""Text whose accents were lost on the way: saved in one encoding and read in another, or escaped."""

from __future__ import annotations

import re

# <e9> (an escape of R), the replacement sign, and UTF-8 read as cp1252: é as Ã©, ’ as â€™, œ as Å“.
_CERTAIN = re.compile(
    "<[0-9a-f]{2}>|\ufffd|[ÃÂ][\u00a0-\u00bf\u0152\u0160\u0178\u017d\u02c6\u02dc\u2013-\u203a\u20ac\u2122]|â€|Å“"
)
_LETTER_LOST = re.compile(r"[^\W\d_]\?[^\W\d_]")


def is_damaged(text: str) -> bool:
    """True when `text` certainly holds letters that were read in the wrong encoding."""
    return ("<" in text or not text.isascii()) and _CERTAIN.search(text) is not None


def is_damaged_name(text: str) -> bool:
    """As `is_damaged`, for names and addresses: also a ? inside a word (`Sch?lcher`), which running text may hold."""
    return is_damaged(text) or _LETTER_LOST.search(text) is not None

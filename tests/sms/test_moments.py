"""Days and hours as people write them, seen from Monday 23 November 2026, 10:00."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from sms import moments

NOW = datetime(2026, 11, 23, 10, 0, tzinfo=ZoneInfo("America/Martinique"))


@pytest.mark.parametrize(
    ("words", "at", "exact"),
    [
        ("ven 14h", "2026-11-27 14:00", True),
        ("demain 9h30", "2026-11-24 09:30", True),
        ("fri 2pm", "2026-11-27 14:00", True),
        ("quinta 10h", "2026-11-26 10:00", True),
        ("miércoles 16:00", "2026-11-25 16:00", True),
        ("jedi 11 è", "2026-11-26 11:00", True),
        ("jedi 11 zè di maten", "2026-11-26 11:00", True),
        ("26 novembre 9h", "2026-11-26 09:00", True),
        ("3/1 9h", "2027-01-03 09:00", True),
        ("jeudi 11", "2026-11-26 11:00", True),
        ("samedi", "2026-11-28 00:00", False),
        ("9h", "2026-11-24 09:00", True),  # past today
        ("mer 9h-11h", "2026-11-25 09:00", False),
        ("quinta 10 e 11", "2026-11-26 10:00", False),
        ("15h 2 heures", "2026-11-23 15:00", False),
    ],
)
def test_moments(words: str, at: str, exact: bool) -> None:
    """The next time that it is that day and hour; of two hours the first, which is not taken for what was meant."""
    assert moments.read(words, NOW) == (datetime.fromisoformat(at).replace(tzinfo=NOW.tzinfo), exact)


@pytest.mark.parametrize("words", ["hier 16h", "32/12 10h", "scie", "", "pour maman"])
def test_no_moment(words: str) -> None:
    """A day that is past or in no calendar is no other day."""
    assert moments.read(words, NOW) is None

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
        ("lundi 9h", "2026-11-30 09:00", True),  # past today too
        ("27/11/2026 10:00", "2026-11-27 10:00", True),
        ("24/12/27 10h", "2027-12-24 10:00", True),
        ("ven 27/11 14", "2026-11-27 14:00", True),
        ("demain 14 heures 30", "2026-11-24 14:30", True),
        ("jedi 11 è demi", "2026-11-26 11:00", False),
        ("quinta 10 e 11", "2026-11-26 10:00", False),
        ("mer 9h 10h 11h", "2026-11-25 09:00", False),
    ],
)
def test_moments(words: str, at: str, exact: bool) -> None:
    """The next time that it is that day and hour; of several hours the first, which is not taken for what was meant."""
    assert moments.read(words, NOW) == (datetime.fromisoformat(at).replace(tzinfo=NOW.tzinfo), exact, None)


@pytest.mark.parametrize(
    ("words", "until"),
    [
        ("mer 9h-11h", 11),
        ("mer 9h à 12h", 12),
        ("mer 9h 3h", 12),
        ("mer 9h 2 heures", 11),
        ("wed 9am 12pm", 12),
        ("mer 9h", None),
    ],
)
def test_how_long(words: str, until: int | None) -> None:
    """Two hours, or one and how long it lasts."""
    end = None if until is None else datetime(2026, 11, 25, until, 0, tzinfo=NOW.tzinfo)
    assert moments.read(words, NOW) == (datetime(2026, 11, 25, 9, 0, tzinfo=NOW.tzinfo), True, end)


@pytest.mark.parametrize(
    "words", ["hier 16h", "20/11 10h", "32/12 10h", "31/02 9h", "ven 25h", "mer 8/12 9h", "aujourd'hui 9h", "23/11 9h"]
)
def test_no_such_time(words: str) -> None:
    """What is past, in no calendar or contradicts itself is no other time."""
    with pytest.raises(moments.NoSuchTime):
        moments.read(words, NOW)


@pytest.mark.parametrize("words", ["scie", "", "pour maman", "3"])
def test_no_moment(words: str) -> None:
    """No day and no hour."""
    assert moments.read(words, NOW) is None

"""Numbers and positions as tokens of the index, so that `at least 40`, `at most 2 EUR` and `within 3 km` narrow a search.

Without them, to find the few that fit among many that have a word, each of the many is read: 49 ms at 100k listings for a
word of a twentieth of them and a place where none of these is, and ten times that at 1M. A listing has one token for the
step that its quantity is on, one for its price's, one for its longest side's or a room's seats', and two for the squares
that it stands in; a query asks for any of the steps, or of the squares, that may fit, and the rows of those are then
compared exactly.
"""

from __future__ import annotations

import bisect
import math

from circular.search import facet

_STEPS = (1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 25, 30, 40, 50, 60, 80, 100, 150, 200, 300, 500, 1000, 2000, 5000)
QUANTITIES = tuple(1000 * step for step in _STEPS)  # thousandths: the least of each step
PRICES = (1, 101, 201, 501, 1001, 2001, 5001, 10_001, 50_001)  # cents; what is free is on a step of its own
# What people ask for a range of has a step of its own, so that the rows beyond it need not be read.
LENGTHS = (
    50,
    100,
    150,
    200,
    300,
    400,
    500,
    600,
    700,
    800,
    900,
    1000,
    1200,
    1500,
    1800,
    2000,
    2200,
    2500,
    3000,
    3500,
    4000,
    5000,
    6000,
    8000,
    10_000,
)  # mm
SEATS = (2, 4, 6, 8, 10, 12, 15, 20, 25, 30, 40, 50, 60, 80, 100, 150, 200, 300)
SIDES = {"f": 0.05, "g": 0.5}  # degrees of a square's side: 5.5 and 55 km
MOST_SQUARES = 49  # that a circle may touch; a larger one hardly narrows anything on an island
KM_OF_A_DEGREE = 111.195


def quantity(milli: int) -> str:
    """The token of a quantity. What is given out later leaves it as it is: it says how much there was."""
    return facet("q", bisect.bisect(QUANTITIES, milli))


def at_least(milli: int) -> list[str]:
    """Any of these tokens has what may have so much; none when everything may."""
    lowest = bisect.bisect(QUANTITIES, milli)
    return [facet("q", step) for step in range(lowest, len(QUANTITIES) + 1)] if lowest else []


def price(cents: int) -> str:
    """The token of a price."""
    return facet("e", bisect.bisect(PRICES, cents))


def at_most(cents: int) -> list[str]:
    """Any of these tokens has what may cost so little."""
    return [facet("e", step) for step in range(bisect.bisect(PRICES, cents) + 1)]


def not_free() -> list[str]:
    """Any of these tokens has what costs something."""
    return [facet("e", step) for step in range(1, len(PRICES) + 1)]


def length(mm: int) -> str:
    """The token of a listing's longest side."""
    return facet("l", _step(LENGTHS, mm))


def lengths(low: int, high: int) -> list[str]:
    """Any of these tokens has what may be as long as that, mm."""
    return [facet("l", step) for step in range(_step(LENGTHS, low), _step(LENGTHS, high) + 1)]


def seats(number: int) -> str:
    """The token of how many people a room holds."""
    return facet("h", _step(SEATS, number))


def seats_for(low: int, high: int) -> list[str]:
    """Any of these tokens has what may hold so many people."""
    return [facet("h", step) for step in range(_step(SEATS, low), _step(SEATS, high) + 1)]


def _step(steps: tuple[int, ...], value: int) -> int:
    """Odd for one of the steps itself, even for what lies between two."""
    return bisect.bisect_left(steps, value) + bisect.bisect(steps, value)


def squares(latitude: float, longitude: float) -> list[str]:
    """The tokens of the squares that a position is in."""
    return [
        _square(name, math.floor((latitude + 90) / side), math.floor((longitude + 180) / side))
        for name, side in SIDES.items()
    ]


def around(latitude: float, longitude: float, km: float) -> list[str]:
    """Any of these tokens has what may be so near; none when the circle is too large to narrow anything."""
    height = km / KM_OF_A_DEGREE + 1e-9  # what stands on the very edge must not be lost by a rounding
    width = height / max(math.cos(math.radians(latitude)), 1e-6)
    for name, side in SIDES.items():
        south, north = (math.floor((latitude + 90 + one) / side) for one in (-height, height))
        west, east = (math.floor((longitude + 180 + one) / side) for one in (-width, width))
        if (north - south + 1) * (east - west + 1) <= MOST_SQUARES:
            return [_square(name, row, column) for row in range(south, north + 1) for column in range(west, east + 1)]
    return []


def _square(name: str, row: int, column: int) -> str:
    return facet("n", f"{name}{row % 10**5}{name}{column % 10**5}")

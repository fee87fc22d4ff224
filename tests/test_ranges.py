"""Tokens of ranges: they narrow a search and lose nothing that fits; where things are moves with their place or site."""

from __future__ import annotations

import math

from hypothesis import assume, given
from hypothesis import strategies as st

from circular import catalog, cli, db, places, ranges, search, sites
from tests.town import ADMIN, Town

QUANTITIES = st.integers(1, 10**12)
CENTS = st.integers(0, 10**9)
LATITUDES, LONGITUDES = st.floats(-89, 89), st.floats(-180, 180)


def _titles(**asked: object) -> list[str]:
    return [one["title"] for one in catalog.find(catalog.query(asked)).items]


@given(QUANTITIES, QUANTITIES)
def test_what_has_as_many_is_kept(has: int, wanted: int) -> None:
    """At least so many: the step of the listing is among those asked for."""
    asked = ranges.at_least(wanted)
    assert not asked or has < wanted or ranges.quantity(has) in asked
    assert len(set(asked)) == len(asked)


@given(CENTS, CENTS)
def test_what_costs_as_little_is_kept(costs: int, most: int) -> None:
    """At most so much, or anything at all."""
    assert costs > most or ranges.price(costs) in ranges.at_most(most)
    assert (ranges.price(costs) in ranges.not_free()) == (costs > 0)


@given(LATITUDES, LONGITUDES, st.floats(0.001, 200), st.floats(0, 1), st.floats(0, 2 * math.pi))
def test_what_is_as_near_is_kept(latitude: float, longitude: float, km: float, share: float, bearing: float) -> None:
    """Whatever stands inside a circle, up to its edge, is in one of its squares."""
    degrees = km / ranges.KM_OF_A_DEGREE * share
    north = latitude + degrees * math.sin(bearing)
    east = longitude + degrees * math.cos(bearing) / math.cos(math.radians(latitude))
    assume(abs(north) <= 90 and abs(east) <= 180)
    around = ranges.around(latitude, longitude, km)
    assert not around or set(ranges.squares(north, east)) & set(around)
    assert len(around) <= ranges.MOST_SQUARES


@given(st.floats(-70, 70), LONGITUDES)
def test_a_walk_narrows(latitude: float, longitude: float) -> None:
    """Three kilometres are a handful of squares, and not those at the other side of the island."""
    around = ranges.around(latitude, longitude, 3)
    assert 1 <= len(around) <= 16
    assert not set(ranges.squares(latitude + 0.5, longitude)) & set(around)


def test_things_move_with_their_place(town: Town) -> None:
    """A place that moves takes its listings along, but those that have a position of their own."""
    town.listing(title="Planche du lieu")
    town.listing(title="Planche ailleurs", lat=14.6154, lon=-61.003)
    assert sorted(_titles(near="14.6154,-61.003", radius_km=1)) == ["Planche ailleurs", "Planche du lieu"]

    catalog.revise_place(ADMIN, "la-sphere", {"lat": 14.46, "lon": -60.87}, None)

    assert _titles(near="14.6154,-61.003", radius_km=1) == ["Planche ailleurs"]
    assert _titles(q="planche", near="14.46,-60.87", radius_km=1) == ["Planche du lieu"]


def test_things_move_with_their_site(town: Town) -> None:
    """What waits in a building is where the building is."""
    places.open_site(ADMIN, {"kind": "deconstruction", "name": "École", "code": "ecole", "lat": 14.7, "lon": -61.1})
    town.listing(title="Porte d'école", site="ecole")
    assert _titles(near="14.7,-61.1", radius_km=1) == ["Porte d'école"]

    sites.revise(ADMIN, "ecole", {"lat": 14.5, "lon": -60.9}, None)

    assert _titles(near="14.7,-61.1", radius_km=1) == []
    assert _titles(near="14.5,-60.9", radius_km=1) == ["Porte d'école"]


def test_an_older_database_is_brought_up_to_date(town: Town) -> None:
    """Listings that have no such tokens yet are found all the same, and have them soon."""
    code = town.listing(title="Planche", quantity=40, price_cents=300)["code"]
    old_title, old = db.row("SELECT title_terms, terms FROM listing WHERE code = ?", code) or ("", "")
    bare = " ".join(term for term in old.split() if term[:2] not in ("xq", "xe", "xn"))
    with db.transaction():
        listing_id = db.value("UPDATE listing SET terms = ? WHERE code = ? RETURNING id", bare, code)
        search.put(listing_id, (old_title, old), (old_title, bare))
        db.run("UPDATE counter SET last = 1 WHERE name = 'terms'")
    asked = {"near": "14.6154,-61.003", "min_quantity": 30, "price_max_cents": 500, "free": "false"}

    assert catalog.renew_terms() and not catalog.renew_terms()
    catalog.reindex_all()
    assert _titles(**asked) == ["Planche"]
    while catalog.reindex_some():
        pass

    assert db.value("SELECT terms FROM listing WHERE code = ?", code) == old
    assert _titles(**asked) == ["Planche"]
    assert cli.upgrade() == []


def test_given_out_and_counted_again(town: Town) -> None:
    """A lot of which much was taken is not found by who wants all of it; once counted anew, it is."""
    code = town.listing(title="Planche", quantity=60)["code"]
    assert _titles(min_quantity=50) == ["Planche"]
    catalog.revise(ADMIN, code, {"quantity": 12}, None)
    assert (_titles(min_quantity=50), _titles(min_quantity=12)) == ([], ["Planche"])
    catalog.revise(ADMIN, code, {"quantity": 120}, None)
    assert _titles(q="100 planches") == ["Planche"]

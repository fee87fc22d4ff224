"""Saved searches: who is told what, once a day; and they find what the search finds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from circular import alerts, catalog, consequences, db, notices, queries, search
from tests.test_reservations import refused
from tests.town import FABIOLA, JOSEPH, MIRTHA, Town

MONDAY = datetime(2026, 11, 23, 14, 0, tzinfo=UTC)  # 10:00 in Martinique


def add(town: Town, phone: str = FABIOLA, origin: str = "", **asked: Any) -> dict[str, Any]:
    """An alert of somebody's."""
    return alerts.add(town.person(phone).person_id or 0, asked, origin or f"test:{phone}:{asked}")


def told() -> list[tuple[int, str]]:
    """Whom a sweep tells of what: person and code. Everything is told."""
    while alerts.sweep():
        pass
    found = notices.untold(10_000)
    with db.transaction():
        for notice in found:
            notices.mark_told(notice.id)
    return [(notice.person_id, notice.facts["code"]) for notice in found if notice.kind == "alert_hit"]


@pytest.fixture(autouse=True)
def traveller() -> Any:
    """It is Monday morning."""
    with time_machine.travel(MONDAY, tick=False) as clock:
        yield clock


def test_what_is_published_is_told(town: Town) -> None:
    """By words of the title, of the description, of the category in any language; not what was there before."""
    with time_machine.travel(MONDAY - timedelta(seconds=1), tick=False):
        town.listing(title="Vieille planche")
    people = {}
    for n, words in enumerate(("planche", "madera", "rabotee", "girafe", "planche girafe", "bois planche sapin"), 1):
        phone = f"+5966960000{n:02}"
        people[words] = town.person(phone).person_id
        add(town, phone, q=words)
    assert told() == []

    code = town.listing(title="Planche sapin", description="rabotée quatre faces")["code"]

    assert sorted(told()) == sorted(
        (people[words], code) for words in ("planche", "madera", "rabotee", "bois planche sapin")
    )
    assert told() == []


def test_facets_and_quantities(town: Town) -> None:
    """Kind, category and its parents, place, commune, condition, a least quantity, a distance: as in a search."""
    asked: list[dict[str, Any]] = [
        {"kind": "material"}, {"category": "bois"}, {"place": "la-sphere"}, {"commune": "97213"}, {"condition": "good"},
        {"q": "planche", "min_quantity": 10}, {"q": "planche", "near": "14.6,-61.0", "radius_km": 5},
        {"kind": "machine"}, {"category": "metal"}, {"place": "trois-lieu"}, {"commune": "97209"}, {"condition": "parts"},
        {"q": "planche", "min_quantity": 11}, {"q": "planche", "near": "14.8,-61.2", "radius_km": 5},
    ]  # fmt: skip
    people = []
    for n, one in enumerate(asked):
        phone = f"+5966960001{n:02}"
        people.append(town.person(phone).person_id)
        add(town, phone, **one)

    code = town.listing(quantity=10)["code"]

    assert sorted(told()) == [(person, code) for person in people[:7]]


def test_ranges(town: Town) -> None:
    """A room that is too small, a plank that is too short, is not what somebody waits for."""
    person = town.person("+596696000100").person_id
    for words in ("salle 25 personnes", "planche plus de 3 m"):
        add(town, "+596696000100", q=words)

    town.listing(title="Salle de réunion 12 places", category="salle", kind="room", quantity=1)
    town.listing(title="Planche 200x20 cm", category="bois-planche")
    assert told() == []

    larger = town.listing(title="Salle polyvalente 40 places", category="salle", kind="room", quantity=1)
    assert told() == [(person, larger["code"])]


def test_sizes_are_of_one_reading(town: Town) -> None:
    """`200x20` is in centimetres or in millimetres, and never half of each."""
    person = town.person("+596696000100").person_id
    add(town, "+596696000100", q="planche 200x20")

    town.listing(title="Planche 300x20 cm", category="bois-planche")
    town.listing(title="Planche 2000x2 mm", category="bois-planche")
    assert told() == []

    same = town.listing(title="Planche 200x20 cm", category="bois-planche")
    assert told() == [(person, same["code"])]


def test_one_text_a_day(town: Town, traveller: time_machine.Traveller) -> None:
    """Whatever matches, however many alerts; what came meanwhile is told the next day, in the morning."""
    person = town.person().person_id
    add(town, q="planche")
    add(town, q="tole")
    first = town.listing(title="Planche")["code"]
    assert told() == [(person, first)]
    town.listing(title="Planche bis")
    sheet = town.listing(title="Tôle", category="metal-tole")["code"]
    newest = town.listing(title="Planche ter")["code"]

    assert told() == []
    traveller.shift(timedelta(hours=15))  # one in the morning
    assert told() == []
    traveller.shift(timedelta(hours=7))
    one = told()
    assert told() == []
    traveller.shift(timedelta(days=1))
    other = told()

    assert {*one, *other} <= {(person, code) for code in (first, sheet, newest)} | set(one)
    assert [person for person, _ in one + other] == [person, person]
    assert (person, sheet) in one + other


def test_what_is_gone_by_then_is_not_told(town: Town, traveller: time_machine.Traveller) -> None:
    """All reserved or withdrawn before anybody was told: a newer one is told instead, or nothing."""
    person = town.person().person_id
    add(town, q="planche")
    add(town, JOSEPH, q="tole")
    traveller.shift(timedelta(hours=12))
    gone = town.listing(title="Planche", quantity=1)["code"]
    sheet = town.listing(title="Tôle", category="metal-tole")["code"]
    assert told() == []  # at night
    newer = town.listing(title="Planche bis")["code"]
    town.reserve(town.person(MIRTHA), gone)
    consequences.withdraw_listing(town.staff, sheet)

    traveller.shift(timedelta(hours=12))

    assert told() == [(person, newer)]


def test_a_draft_is_told_when_it_is_published(town: Town) -> None:
    """Its number is older than others that were told."""
    person = town.person().person_id
    add(town, q="planche")
    draft = town.listing(status="draft")["code"]
    town.listing(title="Brique", category="metal")
    assert told() == []

    consequences.revise_listing(town.staff, draft, {"status": "published"}, None)
    assert told() == [(person, draft)]

    add(town, JOSEPH, q="planche")
    consequences.revise_listing(town.staff, draft, {"title": "Planche neuve"}, None)
    assert told() == []  # it is no news


def test_published_by_a_file(town: Town) -> None:
    """Each lot of an import counts, in bulk as well."""
    person = town.person().person_id
    add(town, q="planche")

    with db.transaction(), catalog.bulk():
        for n in range(3):
            catalog.put(town.staff, {"kind": "material", "title": f"Planche {n}", "category": "bois-planche",
                                     "quantity": 1, "unit": "piece", "place": "la-sphere"}, f"D-{n}")  # fmt: skip

    assert [one[0] for one in told()] == [person]


def test_alerts_end(town: Town, traveller: time_machine.Traveller) -> None:
    """After sixty days, or when their person says so; asked for again, one lasts sixty days anew."""
    add(town, q="planche")
    ended = add(town, JOSEPH, q="planche")
    alerts.remove(town.person(JOSEPH), ended["reference"])
    with refused("no_such_alert"):
        alerts.remove(town.person(JOSEPH), ended["reference"])
    traveller.shift(timedelta(days=59))
    again = add(town, origin="again", q="PLANCHES")
    traveller.shift(timedelta(days=58))

    code = town.listing()["code"]

    assert told() == [(town.person().person_id, code)]
    assert db.value("SELECT COUNT(*) FROM alert") == 1  # Joseph's was erased
    assert [one["reference"] for one in alerts.mine(town.person().person_id or 0)] == [again["reference"]]
    traveller.shift(timedelta(days=3))
    town.listing()
    assert told() == []


def test_stopping(town: Town) -> None:
    """One of the list, then all; nobody stops another's."""
    person_id = town.person().person_id or 0
    made = [add(town, q=words) for words in ("planche", "tole", "porte")]

    assert alerts.stop(person_id, 2) == 1
    with refused("no_such_alert"):
        alerts.stop(person_id, 3)
    with refused("no_such_alert"):
        alerts.remove(town.person(JOSEPH), made[0]["reference"])

    assert [one["words"] for one in alerts.mine(person_id)] == ["planche", "porte"]
    assert alerts.stop(person_id) == 2
    assert alerts.mine(person_id) == []


def test_a_word_that_means_something_later(town: Town) -> None:
    """A new synonym counts for the alerts of before, which the word that they were asked by still stops."""
    person_id = town.person().person_id or 0
    alerts.add(person_id, {"q": "fèblan"}, "test:1")
    search.add_synonym(town.staff, {"word": "fèblan", "means": "tole"})
    town.listing(title="Tole ondulée", category="metal-tole")

    alerts.sweep()

    assert [notice.kind for notice in notices.untold(10)] == ["alert_hit"]
    search.remove_synonym(town.staff, "feblan")
    assert alerts.stop(person_id, words="Fèblan") == 1


def test_told_once_a_day_even_if_stopped_and_asked_again(town: Town) -> None:
    """STOP and the same alert again buy no second text."""
    add(town, q="planche")
    town.listing()
    assert len(told()) == 1
    alerts.stop(town.person().person_id or 0)
    add(town, origin="again", q="planche")

    town.listing()

    assert told() == []


@pytest.mark.parametrize("asked", [{}, {"q": "!!! …"}, {"min_quantity": 3}, {"near": "14.6,-61"}])
def test_what_would_find_everything(town: Town, asked: dict[str, Any]) -> None:
    """An alert without a word or a facet is refused."""
    with refused("alert_too_wide"):
        add(town, **asked)


def test_what_is_wrong_with_an_alert(town: Town) -> None:
    """The same checks as a search, and ten at a time."""
    with refused("invalid"):
        add(town, q="planche", category="girafe")
    with refused("invalid"):
        add(town, q="x" * 201)
    for n in range(alerts.MOST_ALERTS):
        add(town, q=f"mot{n}")
    with refused("too_many_alerts"):
        add(town, q="girafe")
    assert add(town, origin="again", q="mot0")["words"] == "mot0"


def test_the_same_line_again(town: Town) -> None:
    """A retry gets the first result."""
    first = add(town, origin="a", q="planche")

    assert add(town, origin="a", q="planche")["reference"] == first["reference"]
    assert len(alerts.mine(town.person().person_id or 0)) == 1


WORDS = (
    "planche",
    "sapin",
    "Tôles",
    "porte",
    "bois",
    "madera",
    "40",
    "neuf",
    "de",
    "la",
    "Sphère",
    "lamentin",
    "girafe",
)


@pytest.fixture
def searched(town: Town) -> Town:
    return town


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    title=st.lists(st.sampled_from(WORDS), min_size=1, max_size=4).map(" ".join),
    description=st.lists(st.sampled_from(WORDS), max_size=3).map(" ".join),
    category=st.sampled_from(["bois-planche", "metal-tole", "menuiserie-porte"]),
    q=st.lists(st.sampled_from(WORDS), min_size=1, max_size=3).map(" ".join),
    facet=st.sampled_from([{}, {"category": "bois"}, {"place": "la-sphere"}, {"kind": "tool"}, {"commune": "97213"}]),
)
@example(title="girafe", description="", category="bois-planche", q="planche bois girafe", facet={})
@example(
    title="porte", description="girafe", category="bois-planche", q="neuf girafe", facet={}
)  # nine, of what is unknown
def test_alerts_find_what_the_search_finds(
    searched: Town, title: str, description: str, category: str, q: str, facet: dict[str, str]
) -> None:
    """The words and facets of a listing alone say the same as the engine's index, exactly."""
    asked = {"q": q, **facet}
    with db.database.atomic() as undo:
        db.run("UPDATE listing SET status = 'withdrawn'")
        if queries.tokens(queries.query(asked)):
            add(searched, q=q, **facet)
        else:  # only little words
            with refused("alert_too_wide"):
                add(searched, q=q, **facet)
        listing = searched.listing(title=title, description=description, category=category)
        page = queries.find(queries.query(asked))
        exactly = bool(page.items) and page.mode == "exact"
        alerts.sweep()
        hits = [notice.facts["code"] for notice in notices.untold(10)]
        undo.rollback()

    assert hits == ([listing["code"]] if exactly else [])


def test_many_alerts_and_many_listings(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    """The work grows with the listings and with the hits, not with their product: an alert that nothing fits is not read."""
    with db.transaction(), catalog.bulk():
        for n in range(60):
            catalog.put(town.staff, {"kind": "material", "title": f"Planche sapin lot{n}", "category": "bois-planche",
                                     "quantity": 1, "unit": "piece", "place": "la-sphere"}, f"D-{n}")  # fmt: skip
    person_id = town.person().person_id
    with db.transaction():
        now = db.to_ms(MONDAY)
        for n in range(500):
            words = f"planche introuvable{n}" if n else "planche lot7"
            alerts.Alert.insert(
                reference=f"r{n}", person_id=person_id, asked="{}", tokens=words, token=words.split()[1],
                origin=f"o{n}", created_at=now, ends_at=now + 10**9,
            ).execute()  # fmt: skip
    statements, read = 0, 0
    real = db.rows

    def counted(statement: str, *params: object) -> list[tuple[Any, ...]]:
        nonlocal statements, read
        found = real(statement, *params)
        statements, read = statements + 1, read + len(found) * ("FROM alert" in statement)
        return found

    monkeypatch.setattr(db, "rows", counted)
    alerts.sweep()

    assert db.value("SELECT COUNT(*) FROM alert WHERE hit_id IS NOT NULL OR told_on <> ''") == 500  # one person's
    assert read == 1  # of 500 alerts, the one whose rarest word is in a title
    assert statements <= 10

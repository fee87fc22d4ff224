"""The search understands people, says what it did, and keeps its order: the same on both engines."""

from __future__ import annotations

import itertools
import pathlib
from typing import Any

import pytest
import time_machine
from flask.testing import FlaskClient
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from bench import finding
from circular import catalog, categories, cli, db, imports, measures, places, queries, search, wishes
from circular.errors import Refusal
from tests.postgres import Server
from tests.sms.conversation import text
from tests.town import ADMIN, Town

NOON = "2026-12-01T16:00:00Z"


def titles(q: str, **more: Any) -> list[str]:
    """What a search finds, in order."""
    return [one["title"] for one in queries.find(queries.query({"q": q, **more})).items]


@pytest.fixture
def demo(town: Town) -> Town:
    """The town with the demonstration's listings."""
    imports.seed(cli.DEMO)
    return town


# --- meaning ----------------------------------------------------------------------------------------------------------
def test_people_find_what_they_mean(demo: Town) -> None:
    """The `tune` rows of fixtures/search: six languages, typos, sizes, quantities, places; nothing where nothing is."""
    scored = finding.score(list(finding.ask(finding.asked_of("tune"))))

    assert scored.recall >= 0.97
    assert scored.mrr >= 0.95
    assert scored.misled <= 0.03
    assert scored.silent == 1


def test_numbers_alone(town: Town) -> None:
    """Decimals too are words of a title, cut as the index cuts them."""
    town.listing(title="Raccord 1 1/2 0,5 bar")

    assert titles("1 0.5") == titles("1 0,5") == ["Raccord 1 1/2 0,5 bar"]
    assert titles("7 8.25") == []


def test_both_engines_answer_alike(tmp_path: pathlib.Path, postgres: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every query of the table, listing by listing, though PostgreSQL must look up what the newest do not have."""
    monkeypatch.setattr(search, "WALKED", 20)
    urls = (f"sqlite:///{tmp_path}/alike.db", postgres.create("alike"))
    answers = []
    for url in urls:
        finding.seed(url)
        answers.append([found for _, found in finding.ask(finding.asked_of("tune"))])
        db.close()
    postgres.drop("alike")

    assert answers[0] == answers[1]


@pytest.mark.parametrize("q", ["tole", "tol", "fey tol", "tòl", "corrugated sheet", "chapa", "telha de zinco"])
def test_one_thing_has_many_names(town: Town, q: str) -> None:
    """In six languages, whatever language the listing is in."""
    sheet = town.listing(title="Tôle ondulée", category="metal-tole")["title"]
    town.listing(title="Brique creuse", category="maconnerie-brique")

    assert titles(q) == [sheet]


def test_broader_finds_narrower_in_order(town: Town) -> None:
    """Wood: planks, beams, then doors of wood, whatever is newest; a plank is not all wood."""
    plank = town.listing(title="Planche sapin")["title"]
    beam = town.listing(title="Poutre angelin", category="bois-poutre")["title"]
    door = town.listing(title="Porte persienne bois", category="menuiserie-porte")["title"]

    assert titles("bois") == titles("wood") == titles("bwa") == [plank, beam, door]
    assert titles("planche") == [plank]
    assert titles("porte bois") == [door]


def test_words_of_longer_terms_are_used_up(town: Town) -> None:
    """A cement tile is no cement; what is said to be missing is not there."""
    town.listing(title="Carreau de ciment", category="carrelage")
    town.listing(title="Lit médical", description="Sans matelas", category="mobilier-lit")

    assert titles("ciment") == titles("matelas") == []
    assert titles("carreau") == ["Carreau de ciment"]


def test_qualities_and_substances_in_longer_terms(town: Town) -> None:
    """A steel sink is found by steel and by its colour, in any language; what it is for is not what it is."""
    sink = town.listing(title="Évier inox", category="sanitaire-evier")["title"]
    brick = town.listing(title="Brique rouge", category="maconnerie-brique")["title"]
    wool = town.listing(title="Glass wool", category="isolation", lang="en")["title"]
    scaffold = town.listing(title="Planche d'échafaudage")["title"]

    assert titles("inox") == titles("stainless steel") == titles("acero inoxidable") == [sink]
    assert titles("rouge") == titles("red") == titles("wouj") == [brick]
    assert titles("verre") == titles("échafaudage") == []
    assert titles("glass wool") == titles("laine de verre") == [wool]
    assert titles("planche") == [scaffold]


def test_of_several_things_a_listing_is_one(town: Town) -> None:
    """What only speaks of tables and of wood is no table of wood; a table of something else goes before, and it is said."""
    town.listing(title="Parquet bois", description="Lames de la table de ping-pong", category="bois-parquet")
    town.listing(title="Scie circulaire sur table", description="Pour le bois", category="machine-bois", kind="machine",
                 unit="piece", quantity=1)  # fmt: skip
    for q in ("table bois", "table en bois", "wooden table", "bwa tab"):
        assert queries.find(queries.query({"q": q})).mode == search.ANY, q
    metal = town.listing(title="Table métal", category="mobilier")["title"]
    page = queries.find(queries.query({"q": "table bois"}))
    assert (page.items[0]["title"], page.relaxed, page.mode) == (metal, ("words",), search.ANY)
    wooden = town.listing(title="Table", description="Plateau en bois", category="mobilier")["title"]
    assert titles("table bois") == titles("bois table") == [wooden]
    sink = town.listing(title="Évier grès", category="sanitaire-evier")["title"]
    page = queries.find(queries.query({"q": "évier inox"}))
    assert ([one["title"] for one in page.items], page.relaxed) == ([sink], ("words",))


def test_a_number_is_a_listing(town: Town, client: FlaskClient) -> None:
    """The code of a label, in any search; nothing else is found by it, and filters hold."""
    made = town.listing(title="Planche sapin")
    town.listing(title=f"Lot {made['code']}")

    assert titles(made["code"]) == ["Planche sapin"]
    assert titles(made["code"], category="bois-planche") == ["Planche sapin"]
    assert titles(made["code"], category="metal-tole") == []
    assert "Planche sapin" in client.get(f"/?q={made['code']}").text
    town.listing(title="Porte", category="menuiserie-porte", kind="tool")
    counted = client.get(f"/api/v1/listings?q={made['code']}&facets=true").json["facets"]
    assert [one["count"] for one in counted["kind"]] == [1]


def test_little_words_are_no_things(town: Town) -> None:
    """`ban mwen fey tol` asks for sheets, `12 chez` for chairs, `chez moi` for nothing."""
    town.listing(title="Banc de vestiaire", category="mobilier-chaise")
    town.listing(title="Tôle", category="metal-tole")
    town.listing(title="Chaise", category="mobilier-chaise", quantity=20)

    assert titles("ban mwen fey tol") == ["Tôle"]
    assert titles("ti ban")[0] == "Banc de vestiaire"
    assert titles("12 chez")[0] == "Chaise"
    assert titles("bonjour je cherche des tôles svp") == ["Tôle"]
    assert titles("ou") == titles("la") == []
    page = queries.find(queries.query({"q": "avez vous plus de tôles mais sans prix"}))
    assert ([one["title"] for one in page.items], page.mode) == (["Tôle"], search.EXACT)


def test_a_word_of_staff_names_a_concept(town: Town) -> None:
    """A listing that says it is found by every other word of the concept, and by what is broader; without it, no more."""
    town.listing(title="Zigoto 40x40", category="divers")
    assert titles("puerta") == []

    search.add_synonym(town.staff, {"word": "zigoto", "means": "porte"})

    assert titles("puerta") == titles("lapot") == titles("menuiserie") == ["Zigoto 40x40"]
    search.remove_synonym(town.staff, "zigoto")
    assert titles("puerta") == []


def test_plurals(town: Town) -> None:
    """More than an s: bateaux, puertas, papéis, batteries, shelves."""
    for title, lang, words in (
        ("Panneau", "fr", "panneaux"), ("Shelf", "en", "shelves"), ("Battery", "en", "batteries"),
        ("Ventilador", "es", "ventiladores"), ("Fogão", "pt", "fogoes"), ("Portail", "fr", "portails"),
    ):  # fmt: skip
        town.listing(title=title, lang=lang, category="divers")

        assert title in titles(words), words


# --- forgiving --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "q",
    ["carelage", "carrellage", "carrelge", "karelaj", "CARRELAGES", "carrel", "carrelagegris", "gris carrelage",
     "carrelage, gris!", "carrelage girafe", "karelage gri"],
)  # fmt: skip
def test_forgiving(town: Town, q: str) -> None:
    """Typos, plurals, word order, run-ons, doubled letters, spelling by ear, words begun, a word that nothing has."""
    town.listing(title="Carrelage gris", category="carrelage", unit="m2", quantity=10)
    town.listing(title="Lavabo", category="sanitaire-lavabo")

    assert titles(q)[:1] == ["Carrelage gris"]


def test_a_typo_of_a_word_that_no_dictionary_has(town: Town) -> None:
    """Held against the words of titles."""
    town.listing(title="Trucmuche Yamazaki", category="divers")

    page = queries.find(queries.query({"q": "yamasaki"}))

    assert [one["title"] for one in page.items] == ["Trucmuche Yamazaki"]
    assert page.wish.corrected == (("yamasaki", "yamazaki"),)


def test_sizes_filter(town: Town) -> None:
    """However they are written, in the dimensions or in the title; a size that nothing has: the nearest, and it is said."""
    for title, dimensions in (
        ("Tôle A", "length_mm=2000 width_mm=900"), ("Tôle B", "length_mm=3000 width_mm=900"), ("Tôle 2,50 m", ""),
        ("Tôle 60x60 cm", ""),
    ):  # fmt: skip
        town.listing(title=title, dimensions=dimensions, category="metal-tole")

    assert titles("tole 2m") == titles("tole 2 m") == titles("2 metres tole") == titles("tole 200 cm") == ["Tôle A"]
    assert titles("tole 90x200") == titles("tole 2000 x 900 mm") == ["Tôle A"]
    assert titles("tole 2m50") == titles("tole 250") == ["Tôle 2,50 m"]
    assert titles("tole 60x60") == ["Tôle 60x60 cm"]
    page = queries.find(queries.query({"q": "tole 2m10"}))
    assert (page.items[0]["title"], page.relaxed, page.mode) == ("Tôle A", ("size",), search.ANY)


def test_quantities_filter(town: Town) -> None:
    """As many, in the unit that is asked for; none so large: what there is, and it is said."""
    town.listing(title="Porte blanche", category="menuiserie-porte", quantity=5)
    town.listing(title="Porte grise", category="menuiserie-porte", quantity=20)
    town.listing(title="Sable", category="maconnerie-sable", unit="t", quantity=3)

    assert titles("12 portes") == ["Porte grise"]
    assert titles("porte") == ["Porte grise", "Porte blanche"]
    assert titles("2 tonnes de sable") == titles("sable 2t") == ["Sable"]
    page = queries.find(queries.query({"q": "100 portes"}))
    assert (len(page.items), page.relaxed) == (2, ("quantity",))


def test_so_many_are_of_the_thing_itself(town: Town) -> None:
    """Bricks that stand on pallets are no pallets, however many; kilos are found in tons, and tons in kilos."""
    town.listing(title="Brique", description="Livrée sur palettes", category="maconnerie-brique", quantity=900)
    town.listing(title="Palette Europe", category="bois-palette", quantity=55)
    town.listing(title="Sable", category="maconnerie-sable", unit="t", quantity=3)
    town.listing(title="Fer plat", category="metal-fer", unit="kg", quantity=1500)

    page = queries.find(queries.query({"q": "100 palettes"}))
    assert (page.items[0]["title"], page.relaxed) == ("Palette Europe", ("quantity",))
    assert titles("50 palettes") == ["Palette Europe"]
    assert titles("500 kg de sable") == titles("3000 kilos sable") == ["Sable"]
    assert titles("1 tonne de fer") == titles("fer 1,5 t") == ["Fer plat"]
    for q in ("3500 kg sable", "2 tonnes de fer"):
        assert queries.find(queries.query({"q": q})).relaxed == ("quantity",), q


def test_what_a_title_holds(town: Town) -> None:
    """Litres, watts, volts and bare numbers, which no field has; a small number before a word only ranks."""
    for title, category in (
        ("Cuve 1000 L", "plomberie-cuve"), ("Cuve 3000L", "plomberie-cuve"), ("Évier 1 bac", "sanitaire-evier"),
        ("Évier 2 bacs", "sanitaire-evier"), ("Plaque BA13", "platre"),
    ):  # fmt: skip
        town.listing(title=title, category=category)

    assert titles("cuve 1000 litres") == titles("tank 1000l") == ["Cuve 1000 L"]
    assert titles("cuve 3000") == titles("3000 L cuve") == ["Cuve 3000L"]
    page = queries.find(queries.query({"q": "cuve 500 litres"}))
    assert (len(page.items), page.relaxed) == (2, ("size",))
    assert titles("evier 2 bacs") == ["Évier 2 bacs", "Évier 1 bac"]
    assert titles("2 bacs evier") == ["Évier 2 bacs"]
    assert titles("ba 13") == ["Plaque BA13"]


def test_figures_run_together_with_words(town: Town) -> None:
    """As people text them; what is called so stays whole."""
    town.listing(title="Tôle 2 m", category="metal-tole", dimensions={"length_mm": 2000})
    town.listing(title="Porte blanche", category="menuiserie-porte", quantity=20)
    town.listing(title="Carrelage", category="carrelage", quantity=12, unit="m2")
    town.listing(title="Plaque BA13", category="isolation", quantity=3)

    assert titles("tole2m") == ["Tôle 2 m"]
    assert titles("12portes") == ["Porte blanche"]
    assert titles("3m2carrelage") == ["Carrelage"]
    assert titles("ba13") == ["Plaque BA13"]


def test_prices_filter(town: Town) -> None:
    """No dearer than the words say; nothing so cheap: what there is, and it is said. `pas cher` alone names no price."""
    town.listing(title="Porte de chêne", category="menuiserie-porte", price_cents=4000)
    town.listing(title="Porte isoplane", category="menuiserie-porte", price_cents=500)
    town.listing(title="Porte à repeindre", category="menuiserie-porte", price_cents=0)

    assert titles("porte moins de 5 euros") == titles("door under 5€") == ["Porte à repeindre", "Porte isoplane"]
    assert titles("3 portes à 4,99 eur") == titles("porte 0 €") == ["Porte à repeindre"]
    for q in ("porte pas plus de 5 euros", "porte au plus 5 euros", "no more than 5 euros door", "puerta no mas de €5"):
        assert titles(q) == ["Porte à repeindre", "Porte isoplane"], q
    assert titles("porte 12 000 euros") == titles("porte pas chère") == titles("porte")
    for q in (
        "porte plus de 5 euros",
        "porte à partir de 5 euros",
        "porte au moins 5 euros",
    ):  # no search knows the least
        page = queries.find(queries.query({"q": q}))
        assert (len(page.items), page.relaxed, page.mode) == (3, ("price",), search.ANY)
    town.listing(title="Palette Euro", category="bois-palette", price_cents=4000, quantity=20)
    assert titles("12 euro palettes") == ["Palette Euro"]
    page = queries.find(queries.query({"q": "porte de chêne 10 euros"}))
    assert (page.items[0]["title"], page.relaxed, page.mode) == ("Porte de chêne", ("price",), search.ANY)
    assert (
        queries.count(
            queries.Query(q="porte 5 euros", limit=1), queries.find(queries.query({"q": "porte 5 euros", "limit": 1}))
        )
        == "2"
    )


def test_places_filter(town: Town) -> None:
    """A place or a commune, as people write them; where nothing is, elsewhere, the nearest first, and it is said."""
    town.listing(title="Porte A", category="menuiserie-porte", place="la-sphere")
    town.listing(title="Porte B", category="menuiserie-porte", place="trois-lieu")

    assert titles("pot lanmanten") == ["Porte A"]
    assert titles("porte foyal") == titles("pot fodfrans") == ["Porte B"]
    assert titles("porte lamentin") == titles("lamanten pot") == titles("porte la sphere") == ["Porte A"]
    assert titles("porte fdf") == titles("porte fort de france") == titles("porte le trois lieu") == ["Porte B"]
    page = queries.find(queries.query({"q": "porte schoelcher"}))
    assert [one["title"] for one in page.items] == ["Porte B", "Porte A"]
    assert page.relaxed == ("place",)
    assert [one["title"] for one in queries.find(queries.query({"q": "porte ducos"})).items] == ["Porte A", "Porte B"]


def test_places_as_people_call_them(town: Town) -> None:
    """An & is said; the place that bears the town's name is its town hall."""
    with db.transaction():
        places.put_place("up-and-space", {"name": "UP&Space", "commune": "97213"})
        places.put_place("mairie", {"name": "Commune du Lamentin", "commune": "97213"})
    town.listing(title="Porte A", category="menuiserie-porte")
    town.listing(title="Porte C", category="menuiserie-porte", place="up-and-space")
    town.listing(title="Porte D", category="menuiserie-porte", place="mairie")

    assert titles("porte up and space") == titles("porte up&space") == titles("pot up ak space") == ["Porte C"]
    assert titles("porte mairie") == titles("door town hall") == titles("porte mairie du lamentin") == ["Porte D"]


def test_postcodes_name_communes(town: Town) -> None:
    """All that share it."""
    with db.transaction():
        for code, insee in (("pecheurs", "97219"), ("volcan", "97225")):
            places.put_place(code, {"name": code.title(), "commune": insee})
    town.listing(title="Porte A", category="menuiserie-porte")
    town.listing(title="Porte B", category="menuiserie-porte", place="pecheurs")
    town.listing(title="Porte C", category="menuiserie-porte", place="volcan")

    assert sorted(titles("porte 97250")) == ["Porte B", "Porte C"]


def test_what_there_is_instead(town: Town, client: FlaskClient) -> None:
    """Nothing found is said, with the nearest thing; what is only guessed is asked."""
    town.listing(title="Sommier 90x190", category="mobilier-lit")
    town.listing(title="Parquet chêne", category="bois-parquet")

    mattress = client.get("/api/v1/listings?q=matelas").json
    typo = client.get("/api/v1/listings?q=carrelaje+parkett").json
    unsure = client.get("/api/v1/listings?q=panquot").json
    junk = client.get("/api/v1/listings?q=qsdfgh").json

    assert mattress["items"] == [] and [one["title"] for one in mattress["nearest"]] == ["Sommier 90x190"]
    assert {"typed": "parkett", "used": "parquet"} in typo["corrected"]
    assert [one["title"] for one in typo["items"]] == ["Parquet chêne"]
    assert unsure["items"] == [] and unsure["did_you_mean"] == "parquet"
    assert junk == {"items": [], "next": None}
    page = client.get("/?q=panquot").text
    assert "/?q=parquet" in page and "Parquet chêne" not in page


PIECES = (
    "porte", '"', "*", "AND", "NOT", "NEAR(", ":", "2m", "4x6", "12", "fdf", "'", "--", "xkmaterial", "xvdoor", "%", "\\",
    "(", "la", "carelaje", "3 m2", "0", "1e9", "٣", "ª²", "x", "-",
)  # fmt: skip


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(q=st.text(max_size=60) | st.lists(st.sampled_from(PIECES), max_size=8).map(" ".join))
@example(q="\0")
@example(q="2m99999999")
@example(q="0x0 porte")
@example(q="999999 x 999999 x 999999 m porte")
def test_any_characters_are_answered(town: Town, q: str) -> None:
    """Never an error of an engine, never everything, and the same pages by any length."""
    with db.database.atomic() as undo:
        if not queries.find(queries.Query(limit=1)).items:
            town.listing(title="Porte", category="menuiserie-porte")
            town.listing(title="Tuile", category="toiture-tuile")
        query = queries.Query(q=q, limit=1)
        page = queries.find(query)
        rest = queries.find(queries.Query(q=q, limit=5, cursor=page.next)).items if page.next else []
        whole = queries.find(queries.Query(q=q, limit=5)).items
        assert queries.count(query, page) == str(len(whole))
        undo.rollback()

    assert [one["id"] for one in [*page.items, *rest]] == [one["id"] for one in whole]


# --- order ------------------------------------------------------------------------------------------------------------
def test_order(town: Town) -> None:
    """The thing itself, named in the title, elsewhere; then what can be reserved now, the nearer, the newer."""
    mentioned = town.listing(title="Cuve", description="Avec une porte", category="plomberie-cuve")["title"]
    old = town.listing(title="Porte ancienne", category="menuiserie-porte")
    later = town.listing(title="Porte future", category="menuiserie-porte", available_from="2099-01-01")["title"]
    new = town.listing(title="Porte neuve", category="menuiserie-porte")["title"]
    handle = town.listing(title="Poignée pour porte", category="quincaillerie")["title"]
    gone = town.listing(title="Porte prise", category="menuiserie-porte", quantity=1)
    town.reserve(town.person(), gone["code"])

    assert titles("porte") == [new, old["title"], "Porte prise", later, handle]  # what only speaks of doors is none
    db.run("UPDATE listing SET status = 'withdrawn' WHERE title <> ?", mentioned)
    page = queries.find(queries.query({"q": "porte"}))
    assert ([one["title"] for one in page.items], page.relaxed, page.mode) == ([mentioned], ("words",), search.ANY)


def test_nearer_first(town: Town) -> None:
    """When it is known where somebody is."""
    town.listing(title="Porte loin", category="menuiserie-porte", place="trois-lieu")
    town.listing(title="Porte près", category="menuiserie-porte", place="la-sphere")
    town.listing(title="Porte loin aussi", category="menuiserie-porte", place="trois-lieu")

    assert titles("porte", near="14.6041,-61.0734", radius_km=50) == ["Porte loin aussi", "Porte loin", "Porte près"]
    assert titles("porte", near="14.6154,-61.003", radius_km=50)[0] == "Porte près"


def test_nearer_home_first(town: Town, client: FlaskClient) -> None:
    """Of what is alike, by SMS and by the API: where somebody last reserved, or works, goes first; nobody's order is else."""
    for number, place in enumerate(("la-sphere", "trois-lieu", "trois-lieu", "la-sphere")):
        town.listing(title=f"Porte {number}", category="menuiserie-porte", place=place)
    town.reserve(town.person(), town.listing(title="Tuile", category="toiture", place="trois-lieu")["code"])

    heard = text(client, "porte") or ""
    api = [client.get("/api/v1/listings?q=porte", headers=headers).get_json()["items"]
           for headers in ({}, town.token("staff", "trois-lieu"), town.token("staff", "la-sphere"))]  # fmt: skip

    assert [heard.index(f"Porte {number}") for number in (2, 1, 3)] == sorted(
        heard.index(f"Porte {n}") for n in (1, 2, 3)
    )
    assert [[one["title"][-1] for one in items] for items in api] == [list("3210"), list("2130"), list("3021")]


@pytest.mark.parametrize(
    "q", ["quatre portes", "je cherche quatre portes", "cuatro puertas", "quatro portas", "kat pòt"]
)
def test_numbers_written_out(town: Town, q: str) -> None:
    """They count where a digit would; what else they mean is left alone."""
    town.listing(title="Porte battante", category="menuiserie-porte", quantity=3)
    town.listing(title="Porte coulissante", category="menuiserie-porte", quantity=4)

    assert titles(q) == ["Porte coulissante"]
    assert len(titles("porte quatre")) == 2


def test_numbers_that_are_other_words(town: Town) -> None:
    """Nine doors, or a new one; what is called after a number."""
    town.listing(title="Porte", category="menuiserie-porte", quantity=1)
    town.listing(title="Vélo deux roues", category="mobilier", quantity=1)

    assert wishes.read("neuf portes").amount == measures.Amount(9000, "")
    assert wishes.read("porte neuf").amount is None
    assert wishes.read("trois ilets").amount is None
    assert titles("deux roues") == ["Vélo deux roues"]


@pytest.mark.parametrize(
    ("q", "found", "is_exact"),
    [
        ("planche moins de 2 m", ["150"], True),
        ("planche 2 m maxi", ["150"], True),
        ("planche pas plus de 2 m", ["150"], True),
        ("planche moins de 2 m 50", ["150", "250"], True),
        ("planche plus de 3 m", ["400"], True),
        ("planche pas moins de 3 m", ["400"], True),
        ("tabla a partir de 3 m", ["400"], True),
        ("tabla 3 m o más", ["400"], True),
        ("planche au moins 250 cm", ["250", "400"], True),
        ("planche entre 2 et 3 m", ["250"], True),
        ("board between 2 and 3 m", ["250"], True),
        ("planche 140-260 cm", ["150", "250"], True),
        ("planche plus de 5 m", ["400", "250", "150"], False),
        ("planche plus de 200", ["250", "400"], True),
        ("planche > 3m", ["400"], True),
        ("planche ≥ 3 m", ["400"], True),
        ("boards longer than 3 m", ["400"], True),
        ("planche supérieure à 3 m", ["400"], True),
        ("planch pli piti ki 2 m", ["150"], True),
        ("planche moins de 1 m", ["150", "250", "400"], False),
        ("planche moins de 0,4 mm", ["150", "250", "400"], False),
    ],
)
def test_ranges_of_sizes(town: Town, q: str, found: list[str], is_exact: bool) -> None:
    """What lies within a range; when nothing does, that is said, and the nearest goes first."""
    for size in ("150", "400", "250"):
        town.listing(title=f"Planche {size}x20 cm", category="bois-planche")
    town.listing(title="Planche", category="bois-planche")

    page = queries.find(queries.query({"q": q}))

    told = [one["title"].split()[1].partition("x")[0] for one in page.items if " " in one["title"]]
    assert (told if len(found) > 2 else sorted(told)) == found
    assert (page.mode, page.relaxed) == (("exact", ()) if is_exact else ("any", ("size",)))


def test_a_range_among_many(town: Town) -> None:
    """However many newer ones are longer, the short one is found, on the pages and in the count."""
    town.listing(title="Planche 155x20 cm", category="bois-planche")
    with db.transaction(), catalog.bulk():
        for n in range(2 * queries.WINDOW):
            catalog.put(ADMIN, {"kind": "material", "title": f"Planche {170 + n % 9}x20 cm", "category": "bois-planche",
                                "quantity": 1, "unit": "piece", "place": "la-sphere"}, f"P-{n}")  # fmt: skip

    assert titles("planche moins de 1 m 60") == ["Planche 155x20 cm"]  # of the same step as the others
    assert titles("planche moins de 2 m", limit=100)[-1] == "Planche 155x20 cm"


@pytest.mark.parametrize(
    ("q", "found", "is_exact"),
    [
        ("salle 15 personnes", ["20", "40"], True),
        ("salle douze places", ["12", "20", "40"], True),
        ("20 plas salle", ["20", "40"], True),
        ("twenty seats room", ["20", "40"], True),
        ("room for 30", ["40"], True),
        ("salle moins de 15 personnes", ["12"], True),
        ("salle maximum 20", ["12", "20"], True),
        ("salle 100 personnes", ["40", "20", "12"], False),
    ],
)
def test_rooms_hold_so_many(town: Town, q: str, found: list[str], is_exact: bool) -> None:
    """The next larger room first; when none is large enough, the largest, and that is said."""
    for seats in ("20", "40", "12"):
        town.listing(title=f"Salle {seats} places", category="salle", kind="room", quantity=1)

    page = queries.find(queries.query({"q": q}))

    assert [one["title"].split()[1] for one in page.items] == found
    assert (page.mode, page.relaxed) == (("exact", ()) if is_exact else ("any", ("size",)))


def test_metres_of_something(town: Town) -> None:
    """A length before a thing says how much of it, when nothing is so long; behind it, or of a plank, how long it is."""
    town.listing(title="Câble souple", category="electricite", quantity=120, unit="m")
    town.listing(title="Planche 2 m", category="bois-planche", quantity=1)
    town.listing(title="Planche au mètre", category="bois-planche", quantity=9, unit="m")

    assert titles("100 m de câble") == ["Câble souple"]
    assert titles("200 m de câble") == ["Câble souple"]
    assert queries.find(queries.query({"q": "100 m de câble"})).mode == "exact"
    assert queries.find(queries.query({"q": "200 m de câble"})).relaxed == ("quantity",)
    assert titles("planche 2 m") == titles("2 m planche") == ["Planche 2 m"]
    assert titles("3 m de planche") == ["Planche au mètre"]


def test_cubic_metres_of_a_tank(town: Town) -> None:
    """Nobody counts tanks in cubic metres: it holds so many litres."""
    town.listing(title="Cuve 1000 L", category="divers", quantity=3)
    town.listing(title="Cuve 300 L", category="divers", quantity=3)

    assert titles("cuve 1 m3") == ["Cuve 1000 L"]


@pytest.mark.parametrize("q", ["câble 1,5", "cable 1.5mm2", "câble 1,5 mm²", "cable 3g1.5", "fil 1.5"])
def test_sections_of_cables(town: Town, q: str) -> None:
    """What an electrician asks for."""
    for title in ("Câble électrique 3G1,5 mm2", "Câble électrique 3G2,5 mm2", "Câble souple 5G6 mm2"):
        town.listing(title=title, category="electricite", quantity=50, unit="m")

    assert titles(q)[0] == "Câble électrique 3G1,5 mm2"
    assert titles("câble 6 mm2") == titles("10 m de câble 6 mm2") == ["Câble souple 5G6 mm2"]


def test_either_of_two_things(town: Town) -> None:
    """`ou` or `et` between two things asks for either: no lot is both."""
    town.listing(title="Porte en bois", category="menuiserie-porte")
    town.listing(title="Porte en fer", category="menuiserie-porte")
    town.listing(title="Fenêtre aluminium", category="menuiserie-fenetre")

    assert sorted(titles("porte ou fenêtre")) == ["Fenêtre aluminium", "Porte en bois", "Porte en fer"]
    for q in (
        "door or window",
        "portes et fenêtres",
        "puertas y ventanas",
        "deux portes et une fenêtre",
        "pòt ak fenèt",
    ):
        assert sorted(titles(q)) == ["Fenêtre aluminium", "Porte en bois", "Porte en fer"], q
    assert titles("porte et fenêtre bois") == ["Porte en bois"]


@pytest.mark.parametrize(
    "q",
    [
        "porte -vitrée",
        "porte sans vitre",
        "porte pas vitrée",
        "porte sauf les vitrées",
        "porte mais pas vitrée",
        "door without glass",
        "puerta sin vidrio",
        "porte mais pas de vitre",
        "door but not glass",
        "pòt pa vit",
    ],
)
def test_what_is_not_wanted(town: Town, q: str) -> None:
    """What has it is left out; what says that it has none is not. Nothing is found by what is not wanted."""
    town.listing(title="Porte vitrée", description="Vitre de 4 mm", category="menuiserie-porte")
    town.listing(title="Porte pleine", description="Sans vitre", category="menuiserie-porte")

    assert titles(q) == ["Porte pleine"]
    assert titles("sauf porte") == titles("sans vitre") == []
    for asked in ("vous n'avez pas de porte ?", "mwen pa jwenn pòt", "sans doute une porte", "porte pas chère"):
        assert len(titles(asked)) == 2, asked


def test_several_things_are_not_wanted(town: Town) -> None:
    """One after the other."""
    for title in ("Palette bois", "Caisse bois", "Planche bois"):
        town.listing(title=title, category="bois")

    for q in ("bois sauf palettes et caisses", "bois sans palette ni caisse", "wood without pallets or crates"):
        assert titles(q) == ["Planche bois"], q


def test_what_a_thing_has_so_many_of(town: Town) -> None:
    """A cupboard of two doors is no door; chairs beside a table are chairs."""
    town.listing(title="Armoire 2 portes", category="mobilier")
    town.listing(title="Table et 4 chaises", category="mobilier")
    town.listing(title="Porte", category="menuiserie-porte")

    assert titles("porte") == ["Porte"]
    assert titles("chaise") == ["Table et 4 chaises"]
    assert titles("armoire 2 portes")[0] == "Armoire 2 portes"


@pytest.mark.parametrize("q", ["porte 73 ou 83", "porte 73 cm ou 83 cm", "door 73 or 83"])
def test_either_of_two_sizes(town: Town, q: str) -> None:
    """Any of them will do."""
    for width in (73, 83, 93):
        town.listing(title=f"Porte {width} cm", category="menuiserie-porte")

    assert sorted(titles(q)) == ["Porte 73 cm", "Porte 83 cm"]


def test_a_size_that_is_asked_for_twice(town: Town) -> None:
    """A block of 20x20x50 is none of 15x20x50; `de 20` says how thick it is."""
    town.listing(title="Parpaing 20x20x50 cm", category="maconnerie")
    town.listing(title="Parpaing 15x20x50 cm", category="maconnerie")
    town.listing(title="Fenêtre 100x80 cm", category="menuiserie-fenetre")

    assert titles("parpaing 20x20x50") == titles("parpaings 20 x 20") == ["Parpaing 20x20x50 cm"]
    assert titles("parpaing de 20") == ["Parpaing 20x20x50 cm", "Parpaing 15x20x50 cm"]
    assert titles("parpaing de 15") == ["Parpaing 15x20x50 cm"]
    assert titles("fenêtre 1m x 80") == ["Fenêtre 100x80 cm"]


def test_what_says_more_of_the_words_goes_first(town: Town) -> None:
    """Of all that fits, what is called so."""
    town.listing(title="Câble souple", category="electricite")
    town.listing(title="Bidon et seau plastique", category="divers")
    town.listing(title="Câble rigide", category="electricite", description="Souple aux extrémités")
    town.listing(title="Bidon bleu", category="divers")

    assert titles("câble souple")[0] == "Câble souple"
    assert titles("bidon et seau")[0] == "Bidon et seau plastique"


def test_the_very_word_goes_first(town: Town) -> None:
    """Of all that is a tank, what is called so by the word that was typed."""
    town.listing(title="Citerne souple", category="divers")
    town.listing(title="Cuve sur palette", category="divers")

    assert titles("citerne")[0] == "Citerne souple"
    assert titles("cuve")[0] == "Cuve sur palette"
    assert len(titles("citerne")) == len(titles("cuve")) == 2


def test_pages_hold_while_others_publish(town: Town) -> None:
    """No listing twice, none missed, though some are published, reserved and withdrawn between two pages."""
    with db.transaction(), catalog.bulk():
        for n in range(90):
            catalog.put(ADMIN, {"kind": "material", "title": f"Planche bois {n}", "category": ("bois-planche", "bois")[n % 2],
                                "quantity": 1, "unit": "piece", "place": "la-sphere"}, f"P-{n}")  # fmt: skip
    before = {one["id"] for one in queries.find(queries.query({"q": "bois", "limit": 100})).items}
    seen: list[int] = []
    cursor: str | None = ""
    for turn in itertools.count():
        page = queries.find(queries.query({"q": "bois", "limit": 7, "cursor": cursor or ""}))
        seen += [one["id"] for one in page.items]
        cursor = page.next
        if cursor is None:
            break
        town.listing(title=f"Planche bois venue {turn}")
        left = sorted(before - set(seen))
        if turn % 3 == 0:
            town.reserve(town.builder(), db.value("SELECT code FROM listing WHERE id = ?", left[-1 - turn]))

    assert len(seen) == len(set(seen))
    assert before <= set(seen)


def test_pages_go_on_below_the_newest(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the newest are walked and the others looked up, the list, its pages, its numbers and its choices are the same."""
    for n in range(12):
        town.listing(
            title=f"{('Planche', 'Porte')[n % 3 == 0]} {n}", category=("bois-planche", "menuiserie-porte")[n % 3 == 0]
        )
    asked = [
        queries.query({"q": "bois", "limit": 5}),
        queries.query({"q": "porte"}),
        queries.query({"q": "3 planches"}),
    ]

    def answers() -> list[Any]:
        pages = [(one, queries.find(one)) for one in asked]
        return [(page, queries.count(one, page), queries.tally(one, page, 9)) for one, page in pages]

    whole = answers()
    monkeypatch.setattr(search, "WALKED", 2)

    assert answers() == whole
    assert len(whole[1][0].items) == 4 and len(whole[2][0].items) == 8


def test_cursors_that_nobody_made(town: Town) -> None:
    """Refused, whatever they hold."""
    for made in ("x", "W10", "WzEsMiwz", "WzAsMCwtMV0", "WyJhIiwwLDBd", "e30", "WzAsMCwwLDFlOTldo"):
        with pytest.raises(Refusal, match="bad_cursor"):
            search.decode_cursor(made)
    assert search.decode_cursor(search.Cursor(1, 2, 99, (98, 5)).encode()) == search.Cursor(1, 2, 99, (98, 5))


def test_what_is_published_is_found_at_once(town: Town) -> None:
    """In the same transaction, by every name of it; and what is withdrawn no more."""
    with db.transaction():
        code = town.listing(title="Porte isoplane", category="menuiserie-porte")["code"]
        assert titles("puerta") == titles("isoplane") == ["Porte isoplane"]
        catalog.withdraw(ADMIN, code)
        assert titles("puerta") == titles("isoplane") == []


def test_guessing_a_category(town: Town) -> None:
    """By what a thing is, in any language."""
    guessed = [categories.guess(text) for text in ("20 tol 2m", "puertas de madera", "fenet", "qsdfgh")]

    assert guessed == ["metal-tole", "menuiserie-porte", "menuiserie-fenetre", None]


@time_machine.travel(NOON, tick=False)
def test_reading(demo: Town) -> None:
    """What a query is read as."""
    wish = wishes.read("12 pots 60x60 cm ducos")

    assert [unit.typed for unit in wish.units] == ["pot"]
    assert wish.sizes == ((600, 600),)
    assert wish.amount == measures.Amount(12_000, "")
    assert wish.spot is not None and wish.spot.name == "Ducos"

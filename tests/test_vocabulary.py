"""The concept vocabulary and the search table are whole: what they name exists, what they promise is there."""

from __future__ import annotations

import csv
import hashlib
import itertools
import pathlib
import re
import unicodedata
from collections import Counter, defaultdict

import pytest

from circular import alerts, catalog, cli, i18n, queries, settings, vocabulary
from circular.text import LONGEST_WORD, analyse, fold
from tests.town import FABIOLA, Town

FIXTURES = settings.ROOT / "fixtures"
KINDS = {"material", "substance", "tool", "machine", "room", "workshop", "project", "quality", "action"}
SOURCES = {
    "common", "demo", "issue-4", "ademe-synonymes", "pemd", "rep-pmcb", "codes-dechets", "creole_vocabulary:verified",
    "confiant-index", "confiant-dictionary", "mission4636", "owiki-ht", "unverified",
}  # fmt: skip
CREOLES = {"gcf", "ht"}
RULES = {"counts", "alone", "never"}

# Little words of each language, folded: a thing of that name must say so in collisions.csv.
LITTLE_WORDS = {
    "fr": "a ai as au aux avec ce ces cet cette chez comme dans de des dix dont du elle en est et etait ete etre eu fait "
    "fois il ils je la le les leur lit lui ma mais me mes moi mon ne neuf ni non nos notre nous on ont or ou oui par pas "
    "peu plus pour pres qu quand que qui quoi sa sans se ses si six son sont sous suis sur ta te tes toi ton tous tout "
    "tres trop trois tu un une va vers vis vit vos votre vous y",
    "gcf": "a an ani anni ba ban bay bon da dan dapre di e ek enki epi es eti fe fok ja ka kay ke ki kisa ko kod kon kote "
    "la le lan li ma mi mwen man nan ni nou on ou pa pani pi pou pran sa san se si sou ta tala te ti tou twop vle wi yo "
    "zot",
    "ht": "a ak an anba ane ap apre ba ban bay bon byen de deja di e en epi eske fe gen genyen ka kap ki kisa kod konsa "
    "kote la le lan li ma map men mwen n nan nap non nou ou pa pou pi plis pran pwal rete sa san se si sou ta tap te ti "
    "tou tout tre vle wap wi yo yon",
    "en": "a about all am an and any are as at be big but by can could do does for four from get good had has have he "
    "her here hi his how i if in is it its lit me mine my need new no not of old on one or our out saw see she six so "
    "some than that the their them then there these they this to two up us was we were what when where which who why "
    "will with would yes you your",
    "es": "a al algo aqui bien buen con como cual cuando de del desde dos donde el ella en es esa ese eso esta este esto "
    "fe hay la las le lo los mas me mi mis muy no nos o once para pero por porque pues que quien sal se ser si sin sobre "
    "solo son su sus tan te ti todo tres tu un una uno va van voy y ya yo",
    "pt": "a ao aos as bem bom com como da das de dela dele do dos e ela ele em era essa esse esta este eu foi fui ha ir "
    "isso isto ja la lhe mais mas me meu minha muito na nada nao nas nem no nos o oi onde os ou para pela pelo pode por "
    "pra quando que quem se sem ser seu sim so sou sua ta te tem ter tu tudo um uma vai vao pa",
}


def rows(path: str) -> list[dict[str, str]]:
    with (FIXTURES / path).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, strict=True))


def several(cell: str) -> list[str]:
    return cell.split("|") if cell else []


CONCEPTS = {row["concept"]: row for row in rows("vocabulary/concepts.csv")}
WORDS = rows("vocabulary/words.csv")
COLLISIONS = rows("vocabulary/collisions.csv")
QUERIES = rows("search/queries.csv")


def above(concept: str, below: tuple[str, ...] = ()) -> set[str]:
    """Every broader concept; fails on a cycle."""
    assert concept not in below, ("cycle", *below, concept)
    broader = several(CONCEPTS[concept]["broader"])
    return {*broader}.union(*(above(one, (*below, concept)) for one in broader))


def concepts_by_word() -> dict[str, set[str]]:
    """Concepts by folded word, over all languages."""
    found = defaultdict(set)
    for row in WORDS:
        found[fold(row["word"])].add(row["concept"])
    return found


@pytest.mark.parametrize(
    ("path", "columns"),
    [
        ("vocabulary/concepts.csv", "concept,broader,category,kind"),
        ("vocabulary/words.csv", "concept,language,word,source"),
        ("vocabulary/collisions.csv", "word,concept,languages,meanings,rule,note"),
        ("search/queries.csv", "query,language,expected,near_miss,set"),
    ],
)
def test_files_are_plain_csv(path: str, columns: str) -> None:
    """UTF-8 in NFC, `\\n` ends, the columns that the README names, no cell with blanks around it."""
    text = pathlib.Path(FIXTURES / path).read_bytes().decode("utf-8")

    assert text.splitlines()[0] == columns
    assert "\r" not in text and text.endswith("\n") and unicodedata.is_normalized("NFC", text)
    assert [row for row in rows(path) if None in row or any(cell != cell.strip() for cell in row.values())] == []


# --- concepts ---------------------------------------------------------------------------------------------------------
def test_concepts_are_unique_and_well_named() -> None:
    """One row for each, named in kebab-case, of a known kind."""
    assert len(CONCEPTS) == len(rows("vocabulary/concepts.csv"))
    assert [name for name in CONCEPTS if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name)] == []
    assert {row["kind"] for row in CONCEPTS.values()} == KINDS


def test_broader_concepts_exist_without_cycles() -> None:
    """Whoever walks up from any concept stays in the file and comes to an end."""
    assert {one for row in CONCEPTS.values() for one in several(row["broader"])} <= CONCEPTS.keys()
    assert all(len(above(concept)) < len(CONCEPTS) for concept in CONCEPTS)


def test_categories_exist_and_each_has_a_concept() -> None:
    """Concepts file under codes of the demonstration's tree, and no code is left without."""
    codes = {row["code"] for row in rows("demo/categories.csv")}

    assert {code for row in CONCEPTS.values() for code in several(row["category"])} == codes


# --- words ------------------------------------------------------------------------------------------------------------
def test_words_belong_to_concepts_languages_and_sources() -> None:
    """Nothing stands beside the concepts, the six languages and the sources that the README explains."""
    assert {row["concept"] for row in WORDS} == CONCEPTS.keys()
    assert {row["language"] for row in WORDS} == set(i18n.LANGUAGES)
    assert {row["source"] for row in WORDS} == SOURCES


def test_every_word_can_be_searched() -> None:
    """A word folds to something, its parts are not cut, and no language says it twice of a concept."""
    keys = Counter((row["concept"], row["language"], fold(row["word"])) for row in WORDS)

    assert [row for row in WORDS if not analyse(row["word"])] == []
    assert [row for row in WORDS if any(len(part) > LONGEST_WORD for part in fold(row["word"]).split())] == []
    assert [key for key, times in keys.items() if times > 1] == []


def test_every_concept_speaks_four_languages() -> None:
    """French, English, Spanish and Portuguese; the Creoles where a word is known."""
    spoken = {(row["concept"], row["language"]) for row in WORDS}

    assert [
        (concept, language) for concept in CONCEPTS for language in ("fr", "en", "es", "pt")
        if (concept, language) not in spoken
    ] == []  # fmt: skip


def test_creole_is_never_common_knowledge() -> None:
    """A Creole word has a source or says `unverified`; the other languages are never unverified."""
    assert [row for row in WORDS if row["language"] in CREOLES and row["source"] == "common"] == []
    assert [row for row in WORDS if row["language"] not in CREOLES and row["source"] == "unverified"] == []


def test_there_are_as_many_as_promised() -> None:
    """At least 280 concepts, 1,800 words and 150 of them in either Creole, 240 queries and 25 in every language."""
    words, queries = (Counter(row["language"] for row in table) for table in (WORDS, QUERIES))

    assert len(CONCEPTS) >= 280
    assert words.total() >= 1800 and min(words.values()) >= 150
    assert queries.total() >= 240 and min(queries.values()) >= 25


# --- collisions -------------------------------------------------------------------------------------------------------
def test_collisions_are_well_formed() -> None:
    """Folded words, known languages and rules, each pair once; `never` has no concept, the others have a real one."""
    pairs = Counter((row["word"], row["concept"]) for row in COLLISIONS)

    assert [row for row in COLLISIONS if row["word"] != fold(row["word"]) or not row["meanings"]] == []
    assert {language for row in COLLISIONS for language in several(row["languages"])} <= set(i18n.LANGUAGES)
    assert {row["rule"] for row in COLLISIONS} == RULES
    assert [pair for pair, times in pairs.items() if times > 1] == []
    assert [row for row in COLLISIONS if bool(row["concept"]) == (row["rule"] == "never")] == []


def test_collisions_agree_with_the_words() -> None:
    """What counts, alone or always, is a word of that concept; what never counts is a word of none."""
    known = concepts_by_word()

    assert [row for row in COLLISIONS if row["concept"] and row["concept"] not in known.get(row["word"], ())] == []
    assert [row for row in COLLISIONS if not row["concept"] and row["word"] in known] == []


def test_little_words_are_little_as_the_index_has_them() -> None:
    """Words are compared without the ending of a plural: `plus`, `vous`."""
    assert {stem for word in vocabulary.LITTLE for stem in analyse(word)} <= vocabulary.LITTLE


def test_every_collision_is_listed() -> None:
    """A thing named like a little word, and things of one name that do not lie under each other."""
    listed = {(row["word"], row["concept"]) for row in COLLISIONS}
    little = {word for words in LITTLE_WORDS.values() for word in words.split()}

    def strangers(names: set[str]) -> bool:
        return any(
            one not in above(other) and other not in above(one) for one, other in itertools.combinations(names, 2)
        )

    collide = {
        (word, concept)
        for word, names in concepts_by_word().items()
        if word in little or strangers(names)
        for concept in names
    }
    assert collide - listed == set()


def test_collisions_of_the_domain_are_there() -> None:
    """Those that the research names."""
    assert {"ou", "chez", "ban", "fe", "kod", "glas", "non", "rete", "lit", "li", "vis", "kawo"} <= {
        row["word"] for row in COLLISIONS
    }


# --- in the tables ----------------------------------------------------------------------------------------------------
def changed(tmp_path: pathlib.Path, **words: str) -> pathlib.Path:
    """The files with more words, each of a concept, in a folder of their own."""
    for name in ("concepts.csv", "words.csv", "collisions.csv"):
        text = (FIXTURES / "vocabulary" / name).read_text("utf-8")
        if name == "words.csv":
            text += "".join(f"{concept},fr,{word},common\n" for word, concept in words.items())
        (tmp_path / name).write_text(text, "utf-8")
    return tmp_path


def found(q: str) -> list[str]:
    """Titles that a search finds."""
    return [one["title"] for one in queries.find(queries.query({"q": q})).items]


def test_migrating_loads_it_once(town: Town, tmp_path: pathlib.Path) -> None:
    """The tables hold what the files say; the same files change nothing."""
    lexicon = vocabulary.lexicon()

    assert vocabulary.load() is False
    assert vocabulary.load(changed(tmp_path, zigoto="door")) is True
    assert vocabulary.load(tmp_path) is False
    assert len(lexicon.codes) == len(CONCEPTS)
    assert lexicon.named("zigoto") == () != vocabulary.lexicon().named("zigoto")
    assert {lexicon.codes[one] for one in lexicon.named("zinc")} == {"corrugated-sheet", "zinc"}


def test_listings_and_alerts_follow_a_new_vocabulary(town: Town, tmp_path: pathlib.Path) -> None:
    """They are indexed and read anew batch by batch; what nobody has got to yet is found as it was."""
    for n in range(5):
        town.listing(title=f"Zigoto {n}", category="divers")
    alert = alerts.add(town.person(FABIOLA).person_id or 0, {"q": "zigotos"}, "test:1")
    assert found("puerta") == []

    vocabulary.load(changed(tmp_path, zigoto="door"))
    catalog.reindex_all()
    alerts.read_again()

    assert len(found("zigoto")) == 5
    assert [catalog.reindex_some(2), catalog.reindex_some(2)] == [2, 2]
    assert found("puerta") == ["Zigoto 4", "Zigoto 3", "Zigoto 2", "Zigoto 1"]
    assert len(found("zigoto")) == 5
    assert [catalog.reindex_some(2), catalog.reindex_some(2)] == [1, 0]
    assert len(found("puerta")) == 5
    assert alerts.mine(town.person(FABIOLA).person_id or 0)[0]["tokens"] != alert["tokens"]


def test_alerts_follow_whatever_the_digest(town: Town, tmp_path: pathlib.Path) -> None:
    """The number of a vocabulary is a digest of its files: alerts are read anew when it is a smaller one, too."""
    who = town.person(FABIOLA).person_id or 0
    alerts.add(who, {"q": "zigotos"}, "test:1")
    for turn, thing in enumerate(("door", "window", "beam", "brick", "door", "window")):
        (tmp_path / str(turn)).mkdir()
        before = alerts.mine(who)[0]["tokens"]

        vocabulary.load(changed(tmp_path / str(turn), zigoto=thing))
        alerts.read_again()

        assert alerts.mine(who)[0]["tokens"] != before


def test_a_new_version_brings_its_own_words(
    town: Town, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`flask migrate` with other files: loaded, and the listings follow."""
    town.listing(title="Zigoto", category="divers")
    monkeypatch.setattr(vocabulary.load, "__defaults__", (changed(tmp_path, zigoto="door"),))

    cli.upgrade()

    assert found("puerta") == ["Zigoto"]


# --- queries ----------------------------------------------------------------------------------------------------------
def test_queries_expect_listings_that_can_be_seen() -> None:
    """Listings of the demonstration that are not drafts, each once; a near miss is not expected."""
    visible = {row["external_id"] for row in rows("demo/listings.csv") if row["status"] != "draft"}

    for row in QUERIES:
        expected, near = ([] if row["expected"] == "none" else several(row["expected"])), several(row["near_miss"])
        assert expected or row["expected"] == "none", row
        assert {*expected, *near} <= visible, row
        assert len({*expected, *near}) == len(expected) + len(near), row


def test_queries_are_unique_and_in_known_languages() -> None:
    """The same text is asked once."""
    assert [query for query, times in Counter(row["query"] for row in QUERIES).items() if times > 1] == []
    assert {row["language"] for row in QUERIES} == set(i18n.LANGUAGES)


def test_a_third_is_set_aside_by_hash() -> None:
    """Nobody chose: the first hexadecimal digit of a query's SHA-256 is 0 to 4."""
    assert [
        row for row in QUERIES
        if row["set"] != ("aside" if hashlib.sha256(row["query"].encode()).hexdigest()[0] in "01234" else "tune")
    ] == []  # fmt: skip
    assert 0.28 < Counter(row["set"] for row in QUERIES)["aside"] / len(QUERIES) < 0.38

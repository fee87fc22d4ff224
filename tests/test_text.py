"""What people type: accents, apostrophes, plurals, and characters that no phone shows."""

import re
import sqlite3
import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from circular.text import analyse, clean, fold, shorten


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("TÔLE Ondulée", "tole ondulee"),
        ("Œuvre cœur Ægir", "oeuvre coeur aegir"),
        ("Kréyòl RÉZÈVÉ", "kreyol rezeve"),
        ("Straße", "strasse"),
        ("e\u0301vier", "evier"),
        ("m²", "m2"),
    ],
)
def test_fold_drops_case_and_accents(text: str, folded: str) -> None:
    """A word folds to what somebody types on a phone without accents."""
    assert fold(text) == folded


def test_the_index_cuts_no_word_in_two() -> None:
    """Whatever letter stands in a word, SQLite's index takes the word as one: else a query would be a phrase, and fail."""
    index = sqlite3.connect(":memory:")
    index.execute("CREATE VIRTUAL TABLE t USING fts5(a, detail='column', tokenize='unicode61 remove_diacritics 0')")
    for block in range(0, sys.maxunicode + 1, 256):
        words = analyse(" ".join(f"a{chr(code)}b" for code in range(block, block + 256)))
        index.execute("SELECT 1 FROM t WHERE t MATCH ?", (" OR ".join(f'"{word}"' for word in words or ["a"]),))


def test_fold_twice_changes_nothing_for_any_character() -> None:
    """No character of Unicode needs a second folding."""
    restless = [c for c in map(chr, range(sys.maxunicode + 1)) if fold(fold(c)) != fold(c)]

    assert restless == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("l'évier", ["evier"]),
        ("l’évier de Mme Dupont", ["evier", "de", "mme", "dupont"]),
        ("jusqu'à qu'il d'une m'a", ["jusqu", "il", "une"]),
        ("tôles", ["tole"]),
        ("tôle", ["tole"]),
        ("carreaux", ["carreau"]),
        ("bois", ["boi"]),
        ("vis", ["vis"]),
        ("bass gloss", ["bass", "gloss"]),
        ("2 planches 200x20 IPN140s", ["2", "planche", "200x20", "ipn140s"]),
        ("porte_fenêtre/alu", ["porte", "fenetre", "alu"]),
        ("木 خشب", ["木", "خشب"]),
        ("tô\x00le\ud800s", ["to", "le"]),
        ("… ! ?", []),
        ("", []),
    ],
)
def test_analyse_finds_search_words(text: str, words: list[str]) -> None:
    """A title and a query that mean the same thing give the same words."""
    assert analyse(text) == words


def test_analyse_caps_a_query() -> None:
    """A query of 10,000 characters costs no more words than were asked for, none longer than a word is."""
    assert analyse("tole " * 2_000, most=64) == ["tole"] * 64
    assert analyse("e" * 10_000) == ["e" * 40]


@given(st.text(alphabet=st.characters()))
def test_analyse_twice_changes_nothing(text: str) -> None:
    """The words of the index, searched for, are found."""
    words = analyse(text)

    assert analyse(" ".join(words)) == words


@given(st.text())
def test_analyse_gives_words_that_no_engine_cuts(text: str) -> None:
    """Letters and digits only, so that quotes and operators of a search engine cannot come from a person."""
    assert all(word.isalnum() and len(word) <= 40 for word in analyse(text))


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("  bois \n sec\r\n", "bois   sec"),
        ("a\x00b\x1b[31mc", "ab[31mc"),
        ("\u202ebois\u202c \u200b\ufeff", "bois"),
        ("👩\u200d👧", "👩👧"),
        ("\ud800bois\udfff", "bois"),
        ("e\u0301vier", "évier"),
        ("e\u200d\u0301vier", "évier"),
        ("ligne\u2028suivante\tfin", "ligne suivante fin"),
    ],
)
def test_clean_keeps_what_a_phone_shows(text: str, cleaned: str) -> None:
    """Hidden characters go, line breaks become spaces, accents are composed."""
    assert clean(text, 100) == cleaned


@given(st.text(alphabet=st.characters()), st.integers(0, 50))
def test_clean_is_bounded_and_encodable(text: str, limit: int) -> None:
    """Whatever came in can be stored, and no longer than was said."""
    cleaned = clean(text, limit)

    assert len(cleaned) <= limit
    assert cleaned == cleaned.strip()
    assert "\x00" not in cleaned
    assert unicodedata.is_normalized("NFC", cleaned)
    cleaned.encode()


@pytest.mark.parametrize(
    ("text", "width", "short"),
    [
        ("Planche sapin", 20, "Planche sapin"),
        ("Planche sapin 200x20 cm", 20, "Planche sapin 200x20"),
        ("Planche sapin 200x20 cm", 19, "Planche sapin"),
        ("Carrelages", 6, "Carrel"),
        ("Un invraisemblable", 10, "Un invrais"),
        ("Porte, fenêtre", 7, "Porte"),
        ("Bois", 0, ""),
        ("Vis 200x20 inox", 8, "Vis"),
        ("Carrelage 30x30", 14, "Carrelage"),
        ("200x20", 4, ""),
        ("IPN140", 5, "IPN"),
        ("Poutre sapin 3 m section 20x8", 20, "Poutre sapin 3 m"),
        ("Poutre sapin 3 m section 20x8", 15, "Poutre sapin"),
        ("Grillage torsion 1,5 m", 20, "Grillage torsion"),
        ("Lit 90 x 200 cm", 12, "Lit"),
        ("Planche de coffrage", 12, "Planche"),
        ("Porte en bois avec son cadre", 19, "Porte en bois"),
        ("12 portes", 3, "12"),
        ("Scie à ruban", 6, "Scie"),
    ],
)
def test_shorten_cuts_between_words_when_it_is_cheap(text: str, width: int, short: str) -> None:
    """A word is kept whole when that costs a third of the width at most."""
    assert shorten(text, width) == short


@given(st.text(), st.integers(0, 30))
def test_shorten_never_exceeds_the_width(text: str, width: int) -> None:
    """What is short enough stays as it is; the rest is the beginning of the text."""
    short = shorten(text, width)

    assert len(short) <= width
    assert text.startswith(short)
    assert short == text or len(text) > width


@given(st.text(alphabet="ab 12x,", max_size=30), st.integers(0, 30))
def test_shorten_says_a_number_whole_or_not_at_all(text: str, width: int) -> None:
    """A word with a digit is never cut behind its first digit."""
    kept = len(shorten(text, width))

    for word in re.finditer(r"[^ ]+", text):
        end = word.start() + len(word.group().rstrip(","))
        assert not (word.start() < kept < end and re.search(r"\d", text[word.start() : kept]))

"""GSM 03.38 as the networks count it: 74 vectors of Twilio's calculator, and what becomes of everything else."""

import json
import pathlib
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from circular.settings import ROOT
from sms.segments import BASIC, EXTENSION, Measure, fit, measure, septets

FILE = pathlib.Path(ROOT, "fixtures", "gsm7_vectors.json")
VECTORS: list[dict[str, Any]] = json.loads(FILE.read_text("utf-8"))["vectors"]


def test_vectors_are_all_there() -> None:
    """A truncated file would prove nothing."""
    assert len(VECTORS) == 74
    assert len(BASIC) == 127
    assert len(EXTENSION) == 10


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_measure_agrees_with_vector(vector: dict[str, Any]) -> None:
    """Encoding, units and segments are those that Twilio's calculator gives."""
    assert measure(vector["text"]) == Measure(vector["encoding"], vector["units"], vector["segments"])


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_septets_agrees_with_vector(vector: dict[str, Any]) -> None:
    """A length in septets is given exactly for what Twilio's calculator sends as GSM-7."""
    assert septets(vector["text"]) == (vector["units"] if vector["encoding"] == "GSM-7" else None)


@pytest.mark.parametrize(
    ("text", "fitted"),
    [
        ("à l’évier, 12 €", "à l'évier, 12 €"),
        ("ça, bientôt, fenêtre, cœur, ŒUVRE", "ca, bientot, fenetre, coeur, OEUVRE"),
        ("Ç É è é ù ì ò à ñ ü ö ä", "Ç É è é ù ì ò à ñ ü ö ä"),
        ("À È Ê Á", "A E E A"),
        ("« tôle » “bac” …", '" tole " "bac" ...'),
        ("12\u202f500\u00a0m²", "12 500 m2"),
        ("e\u0301vier", "évier"),
        ("A\x00B\x1bC\u200dD\u202eE\ud800F", "ABCDEF"),
        ("a\r\nb\rc\td", "a\nb\nc d"),
        ("🌴 bois", "? bois"),
        ("خشب", "???"),
        ("n° 12 – ½", "no 12 - 1/2"),
        ("¨x", "?x"),
    ],
)
def test_fit_reads_as_on_a_keyboard(text: str, fitted: str) -> None:
    """What the alphabet has stays, what it lacks becomes its nearest, what nobody sees goes."""
    assert fit(text) == fitted


def test_fit_takes_every_character_there_is() -> None:
    """No code point, surrogates included, escapes the alphabet."""
    everything = fit("".join(map(chr, range(sys.maxunicode + 1))))

    assert septets(everything) is not None


@given(st.text(alphabet=st.characters()))
def test_fit_twice_changes_nothing(text: str) -> None:
    """A text that fits is left as it is."""
    fitted = fit(text)

    assert fit(fitted) == fitted

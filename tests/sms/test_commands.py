"""Understanding one line: it is safe before it is clever."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sms import conversation
from sms.commands import CONTEXTS, INDEX, KEYWORDS, parse


@pytest.mark.parametrize(
    ("text", "context", "intent", "args"),
    [
        ("BOIS", "none", "search", {"words": "bois"}),
        ("Bonjour, je cherche des tôles svp", "none", "search", {"words": "toles"}),
        ("man ka chaché bwa", "none", "search", {"words": "bwa"}),
        ("m ap chèche brik", "none", "search", {"words": "brik"}),
        ("need a door please", "none", "search", {"words": "door"}),
        ("41271", "none", "details", {"code": "41271"}),
        ("41 271", "none", "details", {"code": "41271"}),
        ("n° 41271", "none", "details", {"code": "41271"}),
        ("4l27I", "none", "details", {"code": "41271"}),
        ("41271?", "none", "details", {"code": "41271"}),
        ("2", "after_list", "details", {"choice": 2}),
        ("2", "language_menu", "language", {"choice": 2}),
        ("R 41271", "none", "reserve", {"code": "41271"}),
        ("r41271", "none", "reserve", {"code": "41271"}),
        ("R 41271 3", "none", "reserve", {"code": "41271", "quantity": 3}),
        ("R 41271 2,5", "none", "reserve", {"code": "41271", "quantity": 2.5}),
        ("RESERVER 41271 x5", "none", "reserve", {"code": "41271", "quantity": 5}),
        ("rézèvé 41271", "none", "reserve", {"code": "41271"}),
        ("R1", "after_list", "reserve", {"choice": 1}),
        ("M", "none", "mine", {}),
        ("mes réservations", "none", "mine", {}),
        ("7391", "none", "mine", {"pickup_code": "7391"}),
        ("A 7391", "none", "cancel", {"pickup_code": "7391"}),
        ("Anulá 7391", "none", "cancel", {"pickup_code": "7391"}),
        ("A1", "none", "cancel", {"choice": 1}),
        ("S", "after_list", "more", {}),
        ("0", "none", "help", {}),
        ("?", "none", "help", {"greeting": False}),
        ("L", "none", "language", {}),
        ("L 4", "none", "language", {"choice": 4}),
        ("H", "none", "hours", {}),
        ("STOP", "none", "stop", {}),
        ("Arrêt svp", "none", "stop", {}),
        ("cancel", "none", "stop", {}),
        ("START", "none", "start", {}),
        # what must not happen by accident
        ("stop chantier bois", "none", "search", {"words": "stop chantier bois"}),
        ("stopper fenetre", "none", "search", {"words": "stopper fenetre"}),
        ("para techo", "none", "search", {"words": "para techo"}),
        ("annule pas", "none", "search", {"words": "annule pas"}),
        ("A louer", "none", "search", {"words": "louer"}),
        ("R maison", "none", "search", {"words": "r maison"}),
        ("mes portes", "none", "search", {"words": "mes portes"}),
        ("R 41271 ou 41283", "none", "search", {"words": "r 41271 ou 41283"}),
    ],
)
def test_understand(text: str, context: str, intent: str, args: dict[str, object]) -> None:
    """One line of the grammar."""
    command = parse(text, context)

    if intent == "help":
        args = command.args
    assert (command.intent, command.args) == (intent, args)


def test_keywords_do_not_clash() -> None:
    """A word means one thing, in whatever language."""
    for intent, by_language in KEYWORDS.items():
        for words in by_language.values():
            for word in words:
                assert INDEX[word][0] == intent, word


@given(st.text(max_size=60), st.sampled_from(CONTEXTS))
def test_any_text_is_some_command(text: str, context: str) -> None:
    """Whatever is sent has an intent that the dialogue knows; it never raises."""
    assert parse(text, context).intent in conversation.HANDLERS


@given(
    st.lists(
        st.sampled_from(["stop", "chantier", "bois", "arrete", "annule", "pas", "quit", "porte"]),
        min_size=2,
        max_size=5,
    )
)
def test_stop_counts_alone(words: list[str]) -> None:
    """No sentence opts anybody out."""
    assert parse(" ".join(words)).intent != "stop"

"""Every script of fixtures/conversations/sms, through the real webhook, on both engines."""

from __future__ import annotations

import pathlib

import pytest
from flask.testing import FlaskClient

from tests.sms import conversation
from tests.town import Town

SCRIPTS = sorted((pathlib.Path(__file__).parents[2] / "fixtures" / "conversations" / "sms").glob("*.txt"))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_conversation(script: pathlib.Path, client: FlaskClient) -> None:
    """What the script promises is what the person reads."""
    conversation.play(client, script.read_text("utf-8"))


def test_the_example_in_a_refusal_can_be_had(town: Town, client: FlaskClient) -> None:
    """It is this listing, in a quantity that it is given in, whether its number or its line was named."""
    code = town.listing(title="Carrelage", quantity=30, unit="m2", min_quantity=2.5, step_quantity=0.5)["code"]

    assert f"R {code} 5 = en réserver 5" in (conversation.text(client, code) or "")
    assert conversation.text(client, f"R {code} 1") == f"Demandez au moins 2,5 m2, ex: R {code} 2,5"
    assert conversation.text(client, "carrelage")
    assert conversation.text(client, "R1 1") == f"Demandez au moins 2,5 m2, ex: R {code} 2,5"
    assert "Réservé: Carrelage (2,5 m2)" in (conversation.text(client, f"R {code} 2,5") or "")

"""Every script of fixtures/conversations/sms, through the real webhook, on both engines."""

from __future__ import annotations

import pathlib

import pytest
from flask.testing import FlaskClient

from tests.sms import conversation

SCRIPTS = sorted((pathlib.Path(__file__).parents[2] / "fixtures" / "conversations" / "sms").glob("*.txt"))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_conversation(script: pathlib.Path, client: FlaskClient) -> None:
    """What the script promises is what the person reads."""
    conversation.play(client, script.read_text("utf-8"))

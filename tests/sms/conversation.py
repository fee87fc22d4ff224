"""Scripted conversations: `phone > text`, `phone < text`, as the person would see them.

    given 41271 Planche sapin 200x20 cm: 40 piece bois-planche     a listing that exists
    > BOIS                                                          what the person texts
    < BOIS (1):                                                     what they read back, every line of it
    < {silence}                                                     nothing at all

In a line that is read, `{pin}` is four digits (the same ones further on), `{day}` a day and `…` anything.
"""

from __future__ import annotations

import itertools
import re
from typing import NamedTuple

from flask.testing import FlaskClient

from circular import catalog, db
from sms import inbox, messages
from tests.town import ADMIN, FABIOLA

SECRET = "demo"
_ids = itertools.count(1)
GIVEN = re.compile(r"given (\d+) (.+): ([\d.]+) (\w+) ([\w-]+)(?: (?!from )(\w+))?(?: from ([\d-]+))?")


class Step(NamedTuple):
    said: str
    heard: str


def text(client: FlaskClient, words: str, phone: str = FABIOLA, message_id: str | None = None) -> str | None:
    """Text `words` through the provider's real webhook; the reply, or None for silence."""
    message_id = message_id or f"ATXid_{next(_ids)}"
    form = {"id": message_id, "from": phone, "to": "40404", "text": words, "date": "2026-11-23T14:00:00Z",
            "linkId": "", "cost": "", "networkCode": "34001"}  # fmt: skip
    assert client.post(f"/sms/africastalking/{SECRET}/inbound", data=form).status_code == 200
    while inbox.handle_pending():
        pass
    answer = messages.reply_to(messages.inbound_id("africastalking", message_id))
    return None if answer is None else str(answer["text"])


def read(script: str) -> tuple[list[re.Match[str]], list[Step]]:
    """The givens and the steps of a script."""
    given: list[re.Match[str]] = []
    steps: list[Step] = []
    for line in script.splitlines():
        if line.startswith("given "):
            match = GIVEN.fullmatch(line)
            assert match, line
            given.append(match)
        elif line.startswith(">"):
            steps.append(Step(line[1:].strip(), ""))
        elif line.startswith("<"):
            last = steps.pop()
            steps.append(Step(last.said, f"{last.heard}\n{line[1:].strip()}".strip()))
        else:
            assert not line or line.startswith("#"), line
    return given, steps


def play(client: FlaskClient, script: str) -> None:
    """Hold the conversation and compare each reply with the script."""
    given, steps = read(script)
    for match in given:
        publish(match)
    pins: list[str] = []
    for said, heard in steps:
        words = said.replace("{pin}", pins[-1] if pins else "")
        reply = text(client, words)
        if heard == "{silence}":
            assert reply is None, f"> {words}\n< {reply}"
            continue
        assert reply is not None, f"> {words}\n< (silence)"
        matches(heard, reply, pins, f"> {words}")


def publish(given: re.Match[str]) -> None:
    """The listing of a `given` line, at La Sphère."""
    code, title, quantity, unit, category, kind, start = given.groups()
    values = {"title": title, "quantity": quantity, "unit": unit, "category": category, "place": "la-sphere",
              "kind": kind or "material", "available_from": start}  # fmt: skip
    with db.transaction():
        catalog.put(ADMIN, values, None, code)


def matches(heard: str, reply: str, pins: list[str], said: str = "") -> None:
    """Compare a text with what the script expects of it; `pins` are the pickup codes that were read so far."""
    known = heard.replace("{pin}", pins[-1]) if pins and "CODE" not in heard else heard
    pattern = re.escape(known).replace(r"\{pin\}", r"(?P<pin>\d{4})", 1).replace(r"\{pin\}", r"(?P=pin)")
    pattern = pattern.replace(r"\{day\}", r"\w{3} \d\d/\d\d").replace("…", r"(?s:.*)")
    found = re.fullmatch(pattern, reply)
    assert found, f"{said}\n< {reply}\nexpected: {known}"
    if "pin" in found.groupdict():
        pins.append(found["pin"])

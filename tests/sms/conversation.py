"""Scripted conversations: `phone > text`, `phone < text`, as the person would see them.

    given 41271 Planche sapin 200x20 cm: 40 piece bois-planche     a listing that exists from here on, or so many of it
    draw 41271 from 1 h to 9 h [at most 1]                          its staff plan a draw (or a queue)
    given project 10017 Banc: bois-palette:3:piece|metal:2:kg       a project, and what it takes
    > BOIS                                                          what the person texts
    < BOIS (1):                                                     what they read back, every line of it
    < {silence}                                                     nothing at all
    JOSEPH> W 41271                                                 what somebody else texts, and reads
    JOSEPH< Noté: …
    given site gymnase Ancien gymnase: 2026-12-14 Mo-Fr 07:00-12:00  a building that comes down; `at gymnase`: a lot of it
    site gymnase 2027-01-11                                         its day changes
    wait 2 h                                                        time passes (min, h, days), and the chores are done
    JOSEPH<< C'est votre tour: …                                    a text that comes by itself
    << {silence}                                                    none has come

It is Monday 23 November 2026, 10:00, when a script begins. In a line that is read, `{pin}` is four digits (the same ones
further on), `{day}` a day and `…` anything.
"""

from __future__ import annotations

import itertools
import re
from datetime import UTC, datetime

import time_machine
from flask.testing import FlaskClient

from circular import catalog, clock, db, draws, places, projects, sites
from sms import inbox, messages, outbox, worker
from tests.town import ADMIN, FABIOLA, JOSEPH, MIRTHA

SECRET = "demo"
_ids = itertools.count(1)
CAST = {"FABIOLA": FABIOLA, "JOSEPH": JOSEPH, "MIRTHA": MIRTHA}
MONDAY = datetime(2026, 11, 23, 14, 0, tzinfo=UTC)  # 10:00 in Martinique
SECONDS = {"min": 60, "h": 3600, "day": 86_400, "days": 86_400}
SPOKEN = re.compile(r"(?P<name>[A-Z]*)(?P<sign>>|<<|<) ?(?P<words>.*)")
PROJECT = re.compile(r"given project (\d+) (.+): (\S+)")
SITE = re.compile(r"given site (\w+) (.+): ([\d-]+) (.+)")
MOVED = re.compile(r"site (\w+) ([\d-]+)")
WAITED = re.compile(r"wait (\d+) (min|h|days?)")
PLANNED = re.compile(r"(draw|queue) (\d+) from (\d+) h to (\d+) h(?: at most (\d+))?")
GIVEN = re.compile(r"given (\d+) (.+): ([\d.]+) (\w+) ([\w-]+)(?: (?!from )(\w+))?(?: from ([\d-]+))?(?: at (\w+))?")


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


class Phone:
    """One person's phone: what they were answered, what came by itself and was not read yet, the codes they know."""

    def __init__(self, client: FlaskClient, number: str) -> None:
        self.client, self.number = client, number
        self.pins: list[str] = []
        self.said, self.answer, self.heard = "", None, list[str]()
        self._read = set[int]()

    def say(self, words: str) -> None:
        """Text something; background work follows, as it does at once in a server."""
        self.said = words.replace("{pin}", self.pins[-1] if self.pins else "")
        self.answer = text(self.client, self.said, self.number)
        deliver()

    def check(self) -> None:
        """Compare the answer with the lines that the script reads."""
        heard, self.heard = "\n".join(self.heard), []
        if heard == "{silence}":
            assert self.answer is None, f"> {self.said}\n< {self.answer}"
        elif heard:
            assert self.answer is not None, f"> {self.said}\n< (silence)"
            matches(heard, self.answer, self.pins, f"> {self.said}")

    def receive(self, expected: str) -> None:
        """Read the next text that came by itself."""
        worker.chores("worker-test")
        deliver()
        sent = db.rows(
            "SELECT id, text FROM outbound_message WHERE recipient = ? AND notice_id IS NOT NULL AND state = 'sent' "
            "ORDER BY sent_at, id",
            self.number,
        )
        found = next((one for one in sent if one[0] not in self._read), None)
        if expected == "{silence}":
            assert found is None, f"<< {found}"
            return
        assert found is not None, f"nothing came; expected: {expected}"
        self._read.add(found[0])
        matches(expected, found[1], self.pins)


def deliver() -> None:
    """Tell what there is to tell, and send what may be sent at this time of day."""
    while outbox.tell_notices():
        pass
    while sent := messages.claim("africastalking", "worker-test", 100):
        for message in sent:
            messages.mark_sent(message.id, "africastalking", None, None)


def play(client: FlaskClient, script: str) -> None:
    """Hold the conversation and compare each reply with the script."""
    phones = {name: Phone(client, number) for name, number in CAST.items()}
    with time_machine.travel(MONDAY, tick=False) as time:
        for line in [*script.splitlines(), ""]:
            spoken = SPOKEN.fullmatch(line)
            if not spoken or spoken["sign"] != "<":
                for phone in phones.values():
                    phone.check()
            if spoken:
                phone, words = phones[spoken["name"] or "FABIOLA"], spoken["words"]
                if spoken["sign"] == ">":
                    phone.say(words)
                elif spoken["sign"] == "<":
                    phone.heard.append(words)
                else:
                    phone.receive(words)
            elif given := GIVEN.fullmatch(line) or PROJECT.fullmatch(line) or SITE.fullmatch(line):
                publish(given)
            elif planned := PLANNED.fullmatch(line):
                plan(planned)
            elif moved := MOVED.fullmatch(line):
                sites.revise(ADMIN, moved[1], {"available_from": moved[2]}, None)
            elif waited := WAITED.fullmatch(line):
                time.shift(int(waited[1]) * SECONDS[waited[2]])
                worker.chores("worker-test")
                deliver()
            else:
                assert not line or line.startswith("#"), line


def publish(given: re.Match[str]) -> None:
    """The listing, the project or the site of a `given` line, at La Sphère."""
    if given.re is PROJECT:
        with db.transaction():
            projects.put({"title": given[2], "needs": given[3], "place": "la-sphere"}, None, given[1])
        return
    if given.re is SITE:
        code, name, day, hours = given.groups()
        site = {"code": code, "kind": "deconstruction", "name": name, "available_from": day, "opening_hours": hours}
        places.open_site(ADMIN, site)
        return
    code, title, quantity, unit, category, kind, start, site_code = given.groups()
    values = {"title": title, "quantity": quantity, "unit": unit, "category": category, "place": "la-sphere",
              "kind": kind or "material", "available_from": start, "site": site_code}  # fmt: skip
    with db.transaction():
        catalog.put(ADMIN, values, None, code)


def plan(planned: re.Match[str]) -> None:
    """The window of a `draw` or `queue` line."""
    allocation, code, start, end, most = planned.groups()
    hours = {"opens_at": clock.later(3600 * int(start)), "closes_at": clock.later(3600 * int(end))}
    draws.plan(ADMIN, code, {"allocation": allocation, **hours, "max_per_person": most})


def matches(heard: str, reply: str, pins: list[str], said: str = "") -> None:
    """Compare a text with what the script expects of it; `pins` are the pickup codes that were read so far."""
    known = heard.replace("{pin}", pins[-1]) if pins and "CODE" not in heard else heard
    pattern = re.escape(known).replace(r"\{pin\}", r"(?P<pin>\d{4})", 1).replace(r"\{pin\}", r"(?P=pin)")
    pattern = pattern.replace(r"\{day\}", r"\w{3} \d\d/\d\d").replace("…", r"(?s:.*)")
    found = re.fullmatch(pattern, reply)
    assert found, f"{said}\n< {reply}\nexpected: {known}"
    if "pin" in found.groupdict():
        pins.append(found["pin"])

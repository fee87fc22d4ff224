"""USSD: the second skin of the dialogue. A session is a path of inputs; each is taken once, whatever is sent again.

Africa's Talking replays all inputs at every step and numbers none: the text that we kept is compared with the one that
comes. The same, or the beginning of it, is a repeat (the screen that was shown last, no effect); one that goes on is a step;
any other starts again at the menu. What a screen showed is kept, so a choice means the line that the person saw. The
position in the path names the step: its effects happen once. A reservation also goes out by SMS: operators' screens vanish.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from peewee import BigAutoField, BigIntegerField, IntegerField, TextField

from circular import clock, db, i18n, people, settings
from circular.checks import read_number
from circular.errors import Refusal
from circular.text import clean
from sms import commands, dialogue, replies, screens
from sms.commands import Command
from sms.conversation import Option, Said, Screen
from sms.gateways.base import UssdEnd, UssdInput

RESUMED_WITHIN = 600_000  # milliseconds in which a session that was dropped is offered again
KEPT_CHARACTERS = 500  # of a path: some twenty steps
LONGEST_BACK = 8  # steps that 0 goes back
HOME = Command("help", {"menu": True})
# Commands that only look: 0 comes back to them.
LOOKS = frozenset("search go_on details mine entry wait projects machines help language ask_quantity hours".split())


class UssdSession(db.Table):
    """A session as the provider names it. `typed` is its path so far, `state` the conversation's and the way back."""

    id = BigAutoField()
    gateway = TextField()
    external_id = TextField()
    person_id = BigIntegerField()
    service_code = TextField()
    typed = TextField()
    position = IntegerField()  # steps taken; -1 before the first
    state = TextField()
    screen = TextField()
    ends = IntegerField()
    started_at = db.UtcDateTimeField()
    updated_at = db.UtcDateTimeField()
    closed_at = BigIntegerField(null=True)


class Answer(NamedTuple):
    """A screen, and whether it is the session's last."""

    text: str
    ends: bool


def answer(gateway: str, step: UssdInput) -> Answer:
    """The screen after one step of a session; one transaction. Never refuses: whatever comes gets a screen."""
    try:
        phone = people.reachable_phone(step.phone)
    except Refusal:
        return Answer(_simple("ussd_not_here", settings.get().default_locale), True)
    return db.retrying(lambda: _answer(gateway, step, phone))


def _answer(gateway: str, step: UssdInput, phone: str) -> Answer:
    session_id = clean(step.session, 200)
    typed = clean(step.text, KEPT_CHARACTERS)
    with db.transaction():
        last = _last_word(gateway, session_id)
        if last is not None:
            return Answer(last, True)
        person_id = people.ensure(phone)
        now = clock.now()
        db.insert_once(
            UssdSession, gateway=gateway, external_id=session_id, person_id=person_id,
            service_code=clean(step.service_code, 40), typed="", position=-1, state="{}", screen="", ends=0,
            started_at=now, updated_at=now,
        )  # fmt: skip
        # Written first: two deliveries of one step wait for each other here.
        mine = "gateway = ? AND external_id = ? AND person_id = ?"
        db.run(f"UPDATE ussd_session SET updated_at = ? WHERE {mine}", db.to_ms(now), gateway, session_id, person_id)
        found = db.dicts(f"SELECT * FROM ussd_session WHERE {mine}", gateway, session_id, person_id)
        language = people.language(person_id, settings.get().default_locale)
        if not found:  # the session of another number
            return Answer(_simple("ussd_not_here", language), True)
        session = found[0]
        if session["position"] >= 0 and (session["ends"] or _is_repeat(session["typed"], typed)):
            return Answer(session["screen"], bool(session["ends"]))
        walk = _Walk(session, language)
        inputs = _inputs(session, typed)
        for raw in inputs:
            walk.take(raw, alone=len(inputs) == 1)
        walk.keep(typed)
        return Answer(walk.screen, walk.ends)


def _last_word(gateway: str, session_id: str) -> str | None:
    """The last screen of a session in which somebody was erased: a repeat of it must not bring their number back."""
    found: str | None = db.value(
        "SELECT s.screen FROM ussd_session s JOIN person p ON p.id = s.person_id "
        "WHERE s.gateway = ? AND s.external_id = ? AND p.phone IS NULL",
        gateway,
        session_id,
    )
    return found


def _is_repeat(before: str, typed: str) -> bool:
    """Whether a step was taken already: it comes again, maybe after later ones."""
    return typed in ("", before) or before.startswith(f"{typed}*")


def _inputs(session: dict[str, Any], typed: str) -> list[str | None]:
    """What was typed since the last screen; None is the dial itself, or a path that is not the one we know."""
    before = session["typed"]
    if session["position"] < 0:
        return [None, *typed.split("*")] if typed else [None]  # *code*41271#: straight to a listing
    if before == "":
        return [typed]  # a `*` inside is the person's own
    return [typed[len(before) + 1 :]] if typed.startswith(f"{before}*") else [None]


def close(gateway: str, end: UssdEnd) -> None:
    """The provider says that a session is over. One that was dropped can be resumed."""
    with db.transaction():
        db.run(
            "UPDATE ussd_session SET closed_at = ? WHERE gateway = ? AND external_id = ? AND closed_at IS NULL",
            db.to_ms(clock.now()),
            gateway,
            clean(end.session, 200),
        )


class _Walk:
    """One request's steps through the menus."""

    def __init__(self, session: dict[str, Any], language: str) -> None:
        self.session = session
        self.language = language
        kept = json.loads(session["state"])
        self.talk: dict[str, Any] = kept.get("talk", {})
        self.at: list[Any] = kept.get("at", list(HOME[:2]))
        self.back: list[list[Any]] = kept.get("back", [])
        self.page: int = kept.get("page", 0)
        self.pages: bool = kept.get("pages", False)
        self.resumes: int | None = kept.get("resumes")
        self.position: int = session["position"]
        self.screen: str = session["screen"]
        self.plain: str = kept.get("plain", self.screen)  # without what was said of a wrong choice
        self.ends = False
        self.erased = False

    def take(self, raw: str | None, *, alone: bool) -> None:
        """One input; None is the dial, which `alone` may go on where another session was dropped."""
        if self.erased:
            return
        self.position += 1
        if raw is None:
            self._dial(alone)
        elif self.resumes is not None:
            self._resume(raw)
        elif raw.strip() or not self.screen:
            self._input(raw.strip())

    def _dial(self, alone: bool) -> None:
        self.back, self.talk = [], {}
        self.resumes = self._dropped() if alone and self.position == 0 else None
        if self.resumes is None:
            self._go(HOME)
            return
        options = (Option("do_resume", HOME), Option("do_menu", HOME))
        self._show(Said(Screen("ussd_resume", options=options), {}))

    def _dropped(self) -> int | None:
        """The session that this person was in a moment ago, and did not end."""
        last = db.row(
            "SELECT id, ends, position, updated_at FROM ussd_session WHERE person_id = ? AND id < ? ORDER BY id DESC LIMIT 1",
            self.session["person_id"],
            self.session["id"],
        )
        if last is None or last[1] or last[2] < 1 or last[3] < db.to_ms(clock.now()) - RESUMED_WITHIN:
            return None
        return int(last[0])

    def _resume(self, raw: str) -> None:
        dropped, self.resumes = self.resumes, None
        if raw.strip() != "1":
            menu = raw.strip() in ("", "2")
            self.talk = {}
            self._go(HOME) if menu else self._input(raw.strip())
            return
        state, self.screen = db.row("SELECT state, screen FROM ussd_session WHERE id = ?", dropped) or ("{}", "")
        kept = json.loads(state)
        self.talk, self.at, self.back = kept["talk"], kept["at"], kept["back"]
        self.page, self.pages, self.resumes = kept["page"], kept["pages"], None
        self.plain = kept.get("plain", self.screen)

    def _input(self, raw: str) -> None:
        ask = self.talk.get("ask")
        if raw == "00":
            self.back = []
            self._go(HOME)
        elif raw == "0":
            self._go(Command(*self.back.pop()) if self.back else HOME, comes_back=True)
        elif raw == "98" and self.pages:
            self._go(Command(*self.at), page=self.page + 1)
        elif ask and ask[2] == "quantity":
            number = read_number(raw)
            if number is None or number <= 0:
                self._show(Said(Screen("refusal_quantity_not_positive"), self.talk))
            else:
                self._go(Command(ask[0], {**ask[1], "quantity": float(number)}))
        elif self._wrong(raw, ask):
            self._say_wrong(raw)
        else:
            self._go(self._meant(raw, ask))

    def _wrong(self, raw: str, ask: list[Any] | None) -> bool:
        """A number that no line of this screen has."""
        short = raw.isascii() and raw.isdigit() and len(raw) <= 2 and not ask
        goes_on = raw == "98" and self.talk.get("more")
        return bool(short and self.talk.get("choices") and int(raw) > len(self.talk["choices"]) and not goes_on)

    def _say_wrong(self, raw: str) -> None:
        """The same screen again, which still works, and above it that there is no such choice."""
        said = replies.render("ussd_wrong", self.language, words=raw)
        over = replies.length(f"{said}\n{self.plain}") > screens.USSD_SCREEN
        rest = self.plain.partition("\n")[2] if over else self.plain  # its heading goes, when there is no room for both
        self.screen = f"{said}\n{rest}"

    def _meant(self, raw: str, ask: list[Any] | None) -> Command:
        choices = self.talk.get("choices", [])
        if raw.isascii() and raw.isdigit() and len(raw) <= 2 and 1 <= int(raw) <= len(choices):
            return Command(*choices[int(raw) - 1])
        command = commands.parse(raw, "none")
        if ask and not {"code", "pickup_code"} & set(command.args):
            return Command(ask[0], {**ask[1], ask[2]: raw})
        return command

    def _go(self, command: Command, *, page: int = 0, comes_back: bool = False) -> None:
        """Follow a command. A look that leads on leaves a way back."""
        if command.intent == "more" and self.talk.get("more"):
            command = Command(*self.talk["more"])
        here = [command.intent, command.args]
        if command.intent in LOOKS:
            if not comes_back and here != self.at and self.position > 0:
                self.back = [*self.back, self.at][-LONGEST_BACK:]
            self.at = here
        turn = dialogue.Turn(self.session["person_id"], self._origin(), "ussd")
        with i18n.use(self.language):
            said = dialogue.converse(turn, self.talk, command)
        self.erased = self.erased or said.screen.key == "erased"
        self.language = people.language(self.session["person_id"], self.language)
        self._show(said, page)

    def _origin(self) -> str:
        return f"ussd:{self.session['gateway']}:{self.session['external_id']}:{self.position}"

    def _show(self, said: Said, page: int = 0) -> None:
        shown = screens.as_ussd(said.screen, said.state or {}, self.language, page)
        self.talk = {**(said.state or {}), "choices": shown.choices}
        self.page, self.pages = page, shown.more
        self.screen, self.plain, self.ends = shown.text, shown.text, shown.ends

    def keep(self, typed: str) -> None:
        """Write where the session is now; of somebody who was just erased, the last screen alone."""
        if self.erased:
            db.run("UPDATE ussd_session SET screen = ? WHERE id = ?", self.screen, self.session["id"])
            return
        state = {
            "talk": self.talk, "at": self.at, "back": self.back, "page": self.page, "pages": self.pages,
            "resumes": self.resumes, "plain": self.plain,
        }  # fmt: skip
        db.run(
            "UPDATE ussd_session SET typed = ?, position = ?, state = ?, screen = ?, ends = ? WHERE id = ?",
            typed,
            self.position,
            json.dumps(state),
            self.screen,
            int(self.ends),
            self.session["id"],
        )


def sorry() -> Answer:
    """When our side broke: nothing was done, and the session ends rather than hang."""
    return Answer(_simple("refusal_busy", settings.get().default_locale), True)


def _simple(key: str, language: str) -> str:
    return replies.render(key, language, screens.USSD_SCREEN)


def forget(before_ms: int) -> int:
    """Delete the sessions that nobody touched since `before_ms` (milliseconds since 1970), a batch at most; how many."""
    return db.prune("ussd_session", "id", "updated_at < ?", before_ms)


def export(person_id: int) -> list[dict[str, Any]]:
    """What a person typed; times are milliseconds since 1970."""
    query = "SELECT started_at, updated_at, service_code, typed FROM ussd_session WHERE person_id = ? ORDER BY id"
    return db.dicts(query, person_id)


def erase(person_id: int) -> None:
    """Forget what a person typed and was shown. That there was a session stays known: a repeat of its last step is none."""
    query = "UPDATE ussd_session SET typed = '', state = '{}', screen = '', ends = 1 WHERE person_id = ?"
    db.run(query, person_id)

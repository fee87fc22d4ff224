"""`/t`: the menus of the dialogue as text pages, for a browser that can do little and for who likes lists.

Each link is a command that only looks, so there is no state and nothing to lose. To reserve leads to the listing's page.
"""

from __future__ import annotations

from typing import Any, NamedTuple
from urllib.parse import urlencode

from flask import Blueprint, Response, request

from circular import db, i18n, places, search
from circular.rendering import page
from sms import dialogue, screens
from sms.commands import Command

blueprint = Blueprint("text", __name__, template_folder="templates")
LOOKS = ("help", "search", "go_on", "details", "projects", "machines", "hours", "language")
ARGUMENTS = ("words", "code", "cursor")
NEEDED = {"details": "code", "go_on": "words"}
NOBODY = dialogue.Turn(0, "text", "web")  # no command of LOOKS asks who it is


class Link(NamedTuple):
    """A line to follow."""

    label: str
    address: str


@blueprint.get("/t")
def menu() -> Response:
    """The screen of the command in the address; the menu when there is none."""
    intent = request.args.get("do", "help")
    args: dict[str, Any] = {name: request.args[name][:200] for name in ARGUMENTS if request.args.get(name)}
    if "cursor" in args:
        args["cursor"] = _cursor(intent, args["cursor"])
    command = Command(intent, args) if intent in LOOKS else Command("help")
    if command.intent == "help" or NEEDED.get(intent, "help") not in ("help", *args):
        command = Command("help", {"menu": True})
    db.connect()
    said = dialogue.converse(NOBODY, {}, command)
    shown = screens.as_page(said.screen, said.state or {}, i18n.current())
    links = [link for label, chosen in shown.choices if (link := _link(label, chosen))]
    return page(
        "text_menu.html",
        at="/t",
        text=shown.text,
        links=links,
        asks=command.intent in ("help", "search"),
        home=command.intent != "help",
        languages_shown=command.intent == "language",
    )


def _cursor(intent: str, text: str) -> str | int:
    """Where a list goes on. Raises: Refusal("bad_cursor" | "invalid")."""
    if intent == "projects":
        return places.paging({"cursor": text})[0]
    search.decode_cursor(text)
    return text


def _link(label: str, command: Command) -> Link | None:
    """Where a choice leads, or None for what only a phone can ask."""
    if command.intent in ("ask_quantity", "waitlist"):
        return Link(label, f"/l/{command.args['code']}")
    if command.intent == "confirm_kit":
        return Link(label, f"/p/{command.args['code']}")
    if command.intent == "language" and "choice" in command.args:
        return Link(label, f"/t?{urlencode({'lang': i18n.LANGUAGES[command.args['choice'] - 1]})}")
    if command.intent not in LOOKS:
        return None
    args = {name: value for name, value in command.args.items() if name in ARGUMENTS and value is not None}
    return Link(label, f"/t?{urlencode({'do': command.intent, **args})}")

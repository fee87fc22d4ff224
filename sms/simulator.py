"""`/phone`: a phone on a page. Texts on one side, a USSD keypad on the other, through the same code as real ones.

For the demo, where each browser plays a number of its own that is nobody's, and for staff who are signed in, who play a
number of the same kind. Nothing leaves this machine: the gateway is `console`. No JavaScript, no phone number in an address.
"""

from __future__ import annotations

import secrets
from typing import Any

from flask import Blueprint, Flask, Request, Response, redirect, request, session
from flask.sessions import SecureCookieSession, SecureCookieSessionInterface

from circular import db, people, settings
from circular.http import refuse_foreign_form, signed_in
from circular.rendering import page
from sms import inbox, messages, segments, ussd
from sms.gateways.base import UssdInput

blueprint = Blueprint("phone", __name__, template_folder="templates")


class Sessions(SecureCookieSessionInterface):
    """Only the page that plays a phone has a session; the others pay for none (6 % of a search)."""

    def open_session(self, app: Flask, request: Request) -> SecureCookieSession | None:
        """The session of /phone; None elsewhere."""
        return super().open_session(app, request) if request.path.startswith("/phone") else None


KEPT_INPUTS = 20  # of a session on the keypad
KEYS = ("1", "2", "3", "4", "5", "6", "7", "8", "9", "98", "0", "00")


@blueprint.before_request
def _only_here() -> None:
    """Raises: Refusal("sign_in_needed") outside the demo, for who is not staff."""
    db.connect()
    if not settings.get().demo:
        signed_in()


def _number() -> str:
    """The number that this browser plays: one of `messages.PLAYED`."""
    if "number" not in session:
        session["number"] = f"+59669600{secrets.randbelow(9000) + 1000}"
    return str(session["number"])


@blueprint.get("/phone")
def phone() -> Response:
    """The thread and the keypad."""
    person_id = people.known(_number())
    bubbles = messages.thread(person_id) if person_id is not None else []
    return page(
        "phone.html",
        bubbles=[_bubble(one) for one in bubbles],
        screen=session.get("screen", ""),
        ends=session.get("ends", True),
        keys=KEYS,
        number=_number(),
    )


def _bubble(one: messages.Bubble) -> dict[str, Any]:
    return {**one._asdict(), "measure": segments.measure(one.text)}


@blueprint.post("/phone/text")
def text() -> Response:
    """One SMS."""
    refuse_foreign_form()
    inbox.at_once("console", _number(), request.form.get("text", "")[:1000])
    return _back("text")


@blueprint.post("/phone/key")
def key() -> Response:
    """One input on the keypad; `dial` opens a session."""
    refuse_foreign_form()
    typed = request.form.get("typed", "").strip()[:60] or request.form.get("key", "")[:2]
    path = list(session.get("path", []))
    if "dial" in request.form or session.get("ends", True) or len(path) >= KEPT_INPUTS:
        session["session"], path = secrets.token_hex(8), []
    else:
        path.append(typed)
    shown = ussd.answer("console", UssdInput(session["session"], _number(), "*384#", "*".join(path)))
    session.update(path=path, screen=shown.text, ends=shown.ends)
    return _back("keypad")


@blueprint.post("/phone/new")
def another() -> Response:
    """Another phone: a number, a conversation, a session from the start."""
    refuse_foreign_form()
    session.clear()
    return _back("text")


def _back(anchor: str) -> Response:
    return redirect(f"/phone#{anchor}", 303)  # type: ignore[return-value]  # werkzeug's, which Flask returns

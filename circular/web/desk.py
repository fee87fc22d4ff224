"""The desk: where staff sign in with their phone, and what they find first."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from flask import Blueprint, Response, redirect, request

from circular import callbacks, gifts, people, places, settings, sign_in, unfound
from circular.errors import Refusal
from circular.http import DESK_COOKIE, headers_of, refuse_foreign_form, sentence, signed_in, status_of
from circular.rendering import page

LISTED = 20  # callers, and gifts, of one page
blueprint = Blueprint("desk", __name__, template_folder="templates")


@blueprint.get("/desk")
def desk() -> Response:
    """What waits for the staff of a place."""
    who = signed_in()
    calls = callbacks.open_for(who, _after("calls"), LISTED + 1)
    offered = gifts.find(who, "draft", _after("gifts"), LISTED + 1)
    return page(
        "desk.html",
        place=places.by_id(who.place_id),
        callbacks=calls[:LISTED],
        more_calls=_more("calls", calls),
        gifts=offered[:LISTED],
        more_gifts=_more("gifts", offered),
        unfound=unfound.top(who, {}),
    )


def _after(name: str) -> int:
    """Where a list goes on, by its parameter in the address; from the start for anything odd."""
    typed = request.args.get(name, "")
    return int(typed) if typed.isascii() and typed.isdigit() and len(typed) < 18 else 0


def _more(name: str, found: list[dict[str, Any]]) -> str:
    """The address of a list's next page, the other list where it is; nothing for the last one."""
    if len(found) <= LISTED:
        return ""
    return f"/desk?{urlencode({**request.args.to_dict(), name: found[LISTED - 1]['id']})}#{name}"


@blueprint.post("/desk/callbacks/<reference>")
def called(reference: str) -> Response:
    """Somebody who waited for a call has had it."""
    refuse_foreign_form()
    callbacks.done(signed_in(), reference)
    return redirect("/desk", 303)  # type: ignore[return-value]  # werkzeug's, which Flask returns


@blueprint.get("/desk/login")
def login() -> Response:
    """The form that asks for a phone."""
    return page("sign_in.html", tel="", sent=False)


@blueprint.post("/desk/login")
def enter() -> Response:
    """First the phone, then the code that came to it."""
    refuse_foreign_form()
    tel = request.form.get("tel", "").strip()[:40]
    code = request.form.get("code", "").strip()[:10]
    visitor = request.remote_addr or ""
    try:
        if code:
            return _welcome(sign_in.enter(tel, code, visitor))
        sent = sign_in.ask(tel, visitor)
    except Refusal as refusal:
        asks_code = refusal.code == "wrong_sign_in_code"
        response = page("sign_in.html", status_of(refusal), tel=tel, sent=asks_code, said=sentence(refusal))
        response.headers.update(headers_of(refusal, refusal))
        return response
    return page("sign_in.html", tel=tel, sent=True, pin=sent if settings.get().demo else None)


def _welcome(token: str) -> Response:
    response = redirect("/desk", 303)
    response.set_cookie(
        DESK_COOKIE, token, max_age=sign_in.STAY_SECONDS, httponly=True, samesite="Strict", secure=request.is_secure
    )
    return response  # type: ignore[return-value]  # werkzeug's, which Flask returns


@blueprint.post("/desk/logout")
def leave() -> Response:
    """The token is worth nothing any more, here or anywhere."""
    refuse_foreign_form()
    people.revoke_token(request.cookies.get(DESK_COOKIE, ""))
    response = redirect("/desk/login", 303)
    response.delete_cookie(DESK_COOKIE)
    return response  # type: ignore[return-value]

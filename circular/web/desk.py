"""The desk: where staff sign in with their phone, and what they find first."""

from __future__ import annotations

from flask import Blueprint, Response, redirect, request

from circular import callbacks, gifts, people, places, settings, sign_in, unfound
from circular.errors import Refusal
from circular.http import DESK_COOKIE, headers_of, refuse_foreign_form, sentence, signed_in, status_of
from circular.rendering import page

blueprint = Blueprint("desk", __name__, template_folder="templates")


@blueprint.get("/desk")
def desk() -> Response:
    """What waits for the staff of a place."""
    who = signed_in()
    return page(
        "desk.html",
        place=places.by_id(who.place_id),
        callbacks=callbacks.open_for(who),
        gifts=gifts.find(who, "draft"),
        unfound=unfound.top(who, {}),
    )


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

"""`/desk/messages`: what staff see of the texts in and out, and what a gateway's trouble or a full day looks like.

A word that nobody understood becomes a synonym here: 'this word means that'.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from flask import Blueprint, Response, redirect, request

from circular import db, search
from circular.errors import Refusal
from circular.http import field_sentences, headers_of, refuse_foreign_form, sentence, signed_in, status_of
from circular.rendering import page
from sms import messages, segments, ways

blueprint = Blueprint("desk_messages", __name__, template_folder="templates")
FILTERS = ("direction", "state", "not_understood")


@blueprint.before_request
def _connect() -> None:
    db.connect()


@blueprint.get("/desk/messages")
def all_messages() -> Response:
    """The newest first; only the ones not understood, on demand."""
    return _messages({})


def _messages(typed: dict[str, str], refusal: Refusal | None = None) -> Response:
    who = signed_in()
    asked = {name: request.args[name] for name in FILTERS if request.args.get(name)}
    found = messages.find(who, messages.filter_of({**asked, "cursor": request.args.get("cursor", "")}))
    return page(
        "messages.html",
        status_of(refusal) if refusal else 200,
        at="/desk/messages",
        messages=[_shown(one) for one in found.items],
        more=found.next and f"/desk/messages?{urlencode({**asked, 'cursor': found.next})}",
        asked=asked,
        gateways=ways.gateways(),
        spending=ways.spending(),
        typed=typed,
        said=_said(refusal),
    )


def _shown(one: dict[str, Any]) -> dict[str, Any]:
    return {**one, "measure": segments.measure(one["text"])}


def _said(refusal: Refusal | None) -> str:
    if refusal is None:
        return ""
    if "errors" in refusal.facts:
        return " ".join(text for texts in field_sentences(refusal.facts["errors"]).values() for text in texts)
    return sentence(refusal)


@blueprint.post("/desk/synonyms")
def add_synonym() -> Response:
    """This word means that, in every search from now on."""
    refuse_foreign_form()
    who = signed_in()
    typed = {name: request.form.get(name, "").strip()[:200] for name in ("word", "means")}
    try:
        search.add_synonym(who, typed)
    except Refusal as refusal:
        response = _messages(typed, refusal)
        response.headers.update(headers_of(refusal, refusal))
        return response
    return redirect("/desk/messages?not_understood=true", 303)  # type: ignore[return-value]  # werkzeug's

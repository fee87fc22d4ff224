"""`/desk/messages`: what staff see of the texts in and out, and what a gateway's trouble or a full day looks like.

A word that nobody understood becomes a synonym here: 'this word means that'.
"""

from __future__ import annotations

from urllib.parse import urlencode

from flask import Blueprint, Response, redirect, request
from flask.typing import ResponseReturnValue

from circular import db, queries, search
from circular.errors import Refusal
from circular.http import field_sentences, headers_of, refuse_foreign_form, sentence, signed_in, status_of
from circular.rendering import page
from sms import messages, ways

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
        messages=found.items,
        more=found.next and f"/desk/messages?{urlencode({**asked, 'cursor': found.next})}",
        asked=asked,
        gateways=ways.gateways(),
        spending=ways.spending(),
        typed=typed,
        said=_said(refusal),
    )


def _said(refusal: Refusal | None) -> str:
    if refusal is None:
        return ""
    if "errors" in refusal.facts:
        return " ".join(text for texts in field_sentences(refusal.facts["errors"]).values() for text in texts)
    return sentence(refusal)


@blueprint.get("/desk/synonyms")
def synonyms() -> Response:
    """The words that mean another, by the alphabet; what became of the last one is said above them."""
    who = signed_in()
    found, more = search.synonyms(who, {"cursor": request.args["cursor"]} if "cursor" in request.args else {})
    added = next((one for one in found if one["word"] == request.args.get("added")), None)
    return page(
        "synonyms.html",
        at="/desk/synonyms",
        synonyms=found,
        more=more and f"/desk/synonyms?{urlencode({'cursor': more})}",
        added=added,
        count=len(queries.find(queries.Query(q=added["means"])).items) if added else 0,
    )


@blueprint.post("/desk/synonyms/remove")
def remove_synonym() -> ResponseReturnValue:
    """This word means itself again; one that was removed already changes nothing."""
    refuse_foreign_form()
    try:
        search.remove_synonym(signed_in(), request.form.get("word", "")[:200])
    except Refusal as refusal:
        if refusal.code != "no_such_synonym":
            raise
    return redirect("/desk/synonyms", 303)


@blueprint.post("/desk/synonyms")
def add_synonym() -> ResponseReturnValue:
    """This word means that, in every search from now on."""
    refuse_foreign_form()
    who = signed_in()
    typed = {name: request.form.get(name, "").strip()[:200] for name in ("word", "means")}
    try:
        made = search.add_synonym(who, typed)
    except Refusal as refusal:
        response = _messages(typed, refusal)
        response.headers.update(headers_of(refusal, refusal))
        return response
    there = urlencode({"cursor": made["word"][:-1], "added": made["word"]})  # the page that begins with it
    return redirect(f"/desk/synonyms?{there}", 303)

"""`/desk/reservations`: who holds what at a place, and what its staff do about it, by the verbs that the API has, too."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlencode

from flask import Blueprint, Response, redirect, request
from flask.typing import ResponseReturnValue

from circular import places, reservations
from circular.checks import MILLI
from circular.errors import Refusal
from circular.http import field_sentences, headers_of, refuse_foreign_form, sentence, signed_in, status_of
from circular.people import Actor
from circular.rendering import page

LISTED = 20  # reservations of one page
blueprint = Blueprint("counter", __name__, template_folder="templates")

# What a form of a reservation does: who, its reference, what was typed.
VERBS: dict[str, Callable[[Actor, str, Mapping[str, str]], dict[str, Any]]] = {
    "prepare": lambda who, reference, _typed: reservations.prepare(who, reference),
    "approve": lambda who, reference, _typed: reservations.approve(who, reference),
    "refuse": lambda who, reference, typed: reservations.refuse(who, reference, typed["reason"]),
    "hand-over": lambda who, reference, typed: reservations.pick_up(
        who, reference, typed["pickup_code"], typed["quantity"] or None
    ),
    "hand-over-anyway": lambda who, reference, typed: reservations.pick_up(
        who, reference, typed["pickup_code"], typed["quantity"] or None, force=True, reason=typed["reason"]
    ),
    "no-show": lambda who, reference, typed: reservations.no_show(who, reference, typed["reason"]),
    "extend": lambda who, reference, typed: reservations.extend(who, reference, f"web:{typed['form']}"),
    "cancel": lambda who, reference, typed: reservations.cancel(who, reference, typed["reason"]),
    "forgive": lambda who, reference, typed: reservations.forgive(who, reference, typed["reason"]),
}
LIMITS = {"reason": reservations.REASON_LIMIT, "pickup_code": 10, "quantity": 20, "form": 40}


@blueprint.get("/desk/reservations")
def held() -> Response:
    """What waits for the staff's word, what lies ready, what is held and what has lapsed lately; or what was looked for."""
    return _held(signed_in())


def _held(who: Actor, refusal: Refusal | None = None, anyway: Mapping[str, Any] | None = None) -> Response:
    typed = request.args.get("q", "").strip()[:20]
    number = request.args.get("page", "")
    skipped = LISTED * int(number) if number.isascii() and number.isdigit() and len(number) < 6 else 0
    found = reservations.at_desk(who, typed, skipped, LISTED + 1)
    more = urlencode({"q": typed, "page": skipped // LISTED + 1})
    response = page(
        "counter.html",
        status_of(refusal) if refusal else 200,
        at="/desk/reservations",
        place=places.by_id(who.place_id),
        typed=typed,
        reservations=found[:LISTED],
        more=f"/desk/reservations?{more}" if len(found) > LISTED else "",
        missed={
            one["reference"]: reservations.strikes(one["person_id"]) for one in found if one["approval"] == "asked"
        },
        appeals={one["reference"]: _appeal(who, one) for one in found if one["appealed_at"] is not None},
        done=_done(who),
        said=_said(refusal) if refusal else "",
        anyway=anyway,
        form=secrets.token_urlsafe(16),
    )
    if refusal:
        response.headers.update(headers_of(refusal, refusal))
    return response


def _appeal(who: Actor, found: Mapping[str, Any]) -> str:
    """Why somebody did not come, in their words."""
    log = reservations.log_of(who, found["reference"])
    return next((str(one["facts"].get("reason", "-")) for one in log if one["verb"] == "appeal"), "-")


def _done(who: Actor) -> dict[str, Any] | None:
    """What the last form was about, as it is now."""
    try:
        return reservations.get(who, request.args.get("done", ""))
    except Refusal:
        return None


def _anyway(refusal: Refusal, reference: str, typed: Mapping[str, str]) -> dict[str, Any] | None:
    """What staff are shown who would hand over what is held for somebody else: whose code was typed is said by what that
    one holds, and this form does it knowingly, with a reason. None after any other refusal.
    """
    if refusal.code != "held_for_others":
        return None
    facts, theirs = refusal.facts, refusal.facts["theirs"]
    return {
        "reference": reference, "pickup_code": typed["pickup_code"], "quantity": typed["quantity"], "title": facts["title"],
        "held": round(facts["reserved"] * MILLI), "unit": facts["unit"], "theirs": theirs["title"], "code": theirs["listing"],
    }  # fmt: skip


def _said(refusal: Refusal) -> str:
    if "errors" in refusal.facts:
        return " ".join(text for texts in field_sentences(refusal.facts["errors"]).values() for text in texts)
    return sentence(refusal)


@blueprint.post("/desk/reservations/<reference>/<verb>")
def act(reference: str, verb: str) -> ResponseReturnValue:
    """Do something about a reservation. Raises: Refusal("no_such_page")."""
    refuse_foreign_form()
    who = signed_in()
    if verb not in VERBS:
        raise Refusal("no_such_page")
    typed = {name: request.form.get(name, "").strip()[:limit] for name, limit in LIMITS.items()}
    typed["form"] = f"{who.person_id}:{typed['form'] or secrets.token_urlsafe(16)}"
    try:
        VERBS[verb](who, reference, typed)
    except Refusal as refusal:
        return _held(who, refusal, _anyway(refusal, reference, typed))
    return redirect(f"/desk/reservations?{urlencode({'done': reference})}", 303)

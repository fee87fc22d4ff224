"""The pages for everybody: search, a listing and its reservation, places, projects."""

from __future__ import annotations

import pathlib
import re
import secrets
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from flask import Blueprint, Response, request, send_from_directory, url_for

from circular import (
    calendars,
    catalog,
    categories,
    clock,
    db,
    draws,
    facets,
    kits,
    places,
    projects,
    queries,
    reservations,
    settings,
    slots,
    unfound,
    waitlist,
)
from circular.errors import Refusal
from circular.http import field_sentences, headers_of, refuse_foreign_form, sentence, status_of
from circular.rendering import page
from circular.web import narrowing

blueprint = Blueprint("web", __name__, template_folder="templates")
STATIC = pathlib.Path(__file__).parent / "static"
FILTERS = ("category", "place", "commune", "min_quantity", "available_on")  # fields of the form
ASKED = ("q", *narrowing.ASKED)
TILES = 8
MOST_SLOTS = 24  # offered on a page
WAIT = "wait:"  # before a slot that is taken, in the list of slots
SELECT_LIMIT = 50  # places offered in the filter's list
FORM = re.compile(r"[\w-]{16,64}", re.ASCII)
# Where somebody puts right what a refusal says; what no field can put right is said above the form.
FIELD_OF = {
    "bad_phone": "tel", "opted_out": "tel", "too_many_reservations": "tel", "sold_out": "quantity",
    "above_maximum": "quantity", "already_entered": "tel",
    "below_minimum": "quantity", "not_a_step": "quantity", "whole_number_needed": "quantity",
    "quantity_not_positive": "quantity",
}  # fmt: skip


# --- search -----------------------------------------------------------------------------------------------------------
@blueprint.get("/")
def home() -> Response:
    """What there is: the newest, or what was searched for."""
    asked = {name: request.args[name].strip() for name in ASKED if request.args.get(name, "").strip()}
    cursor = request.args.get("cursor", "")
    errors: dict[str, list[str]] = {}
    found, total, counted = None, "", {}
    try:
        query = queries.query({**asked, "cursor": cursor})
        found = queries.find(query)
        counted = facets.count(query, found) if asked else {}
        total = "" if cursor else queries.count(query, found)
        if not found.items and set(asked) == {"q"}:
            unfound.note_apart(asked["q"], "web")
    except Refusal as refusal:
        if refusal.code != "invalid":
            raise
        errors = field_sentences(refusal.facts["errors"])
    named = {category["code"]: category for category in categories.every()}
    town = places.find_places(limit=SELECT_LIMIT)
    return page(
        "home.html",
        422 if errors else 200,
        asked=asked,
        found=found,
        total=total,
        errors=errors,
        more=found and found.next and f"/?{urlencode({**asked, 'cursor': found.next})}",
        filtered=any(name in asked for name in FILTERS),
        start=not asked and not cursor,
        categories=[category for category in named.values() if category["parent"] is None],
        tiles=TILES,
        now=db.to_ms(clock.now()),
        chosen=named.get(asked.get("category", "")),
        places=town,
        hidden={name: value for name, value in asked.items() if name not in ("q", *FILTERS)},
        facets=narrowing.offered(asked, counted, named),
        narrowed=narrowing.chosen(asked, named, town),
    )


@blueprint.get("/cal/<secret>.ics")
def calendar(secret: str) -> Response:
    """A calendar feed. Its address is the secret: it is never logged whole (logs.py) nor told to another site."""
    return Response(
        calendars.read(secret), content_type="text/calendar; charset=utf-8",
        headers={"Cache-Control": "private, max-age=300", "Referrer-Policy": "no-referrer"},
    )  # fmt: skip


# --- listings ---------------------------------------------------------------------------------------------------------
@blueprint.get("/l/<code>")
def listing(code: str) -> Response:
    """One listing, with the form that reserves it."""
    return _listing(catalog.get(code), {"form": _new_form()})


def _listing(facts: Mapping[str, Any], typed: Mapping[str, str], refusal: Refusal | None = None) -> Response:
    waits = waitlist.is_waitable(facts)
    field = FIELD_OF.get(refusal.code) if refusal else None
    if refusal and refusal.code == "sold_out" and waits:
        field = None  # no other quantity would do
    now = db.to_ms(clock.now())
    draw = draws.of_listing(facts["code"]) if facts["allocation"] != "first_come" else None
    free, full = _times(facts)
    return _said(
        refusal,
        "listing.html",
        at=url_for("web.listing", code=facts["code"]),
        listing=facts,
        category=next((found for found in categories.every() if found["code"] == facts["category"]), None),
        place=places.where(facts["place"], facts["site"]),
        over=facts["available_until"] is not None and facts["available_until"] < now,
        later=facts["available_from"] is not None and facts["available_from"] > now,
        free=free,
        full=full,
        waits=waits,
        typed=typed,
        said=sentence(refusal) if refusal else "",
        field=field,
        draw=draw,
        open=draw is None or draw["state"] == "open",
    )


def _times(facts: Mapping[str, Any]) -> tuple[list[slots.Free], list[slots.Slot]]:
    """The next slots of what is booked for a time: those that are free, and those that one can wait for."""
    if facts["kind"] == "material":
        return [], []
    start, end = clock.now_ms(), clock.now_ms() + slots.LONGEST_LOOK
    return slots.free(facts, start, end, MOST_SLOTS), slots.full(facts, start, end, MOST_SLOTS)


@blueprint.post("/l/<code>/reserve")
def reserve(code: str) -> Response:
    """Hold some of a listing for a phone number. The pickup code goes to that phone; the page shows it in the demo only."""
    refuse_foreign_form()
    typed = _typed("quantity", "tel", "slot")
    if typed["slot"].startswith(WAIT):
        return _wait(code, typed)
    try:
        made = draws.ask_by_phone(
            typed["tel"], code, typed["quantity"] or None, f"web:{typed['form']}", visitor=request.remote_addr or "",
            slot=_slot(typed["slot"]),
        )  # fmt: skip
    except Refusal as refusal:
        return _listing(catalog.get(code), typed, refusal)
    if "ticket" in made:
        return page("entered.html", at=url_for("web.listing", code=code), made=made)
    return page(
        "reserved.html",
        at=url_for("web.listing", code=code),
        made=made,
        place=places.where(made["place"], made["site"]),
        pin=made["pickup_code"] if settings.get().demo else None,
    )


@blueprint.post("/l/<code>/wait")
def wait(code: str) -> Response:
    """Wait for some of what is all taken, for a phone number: an SMS tells whose turn it is."""
    refuse_foreign_form()
    return _wait(code, _typed("quantity", "tel"))


def _wait(code: str, typed: dict[str, str]) -> Response:
    try:
        made = waitlist.join_by_phone(
            typed["tel"], code, typed.get("quantity") or None, f"web:{typed['form']}", visitor=request.remote_addr or "",
            slot=_slot(typed.get("slot", "").removeprefix(WAIT)),
        )  # fmt: skip
    except Refusal as refusal:
        return _listing(catalog.get(code), typed, refusal)
    return page("waiting.html", at=url_for("web.listing", code=code), made=made)


def _slot(text: str) -> slots.Slot | None:
    """A slot as the form writes it, `start-end` in milliseconds."""
    found = re.fullmatch(r"(\d{1,15})-(\d{1,15})", text)
    return slots.Slot(int(found[1]), int(found[2])) if found else None


def _said(refusal: Refusal | None, template: str, **facts: Any) -> Response:
    """A page that says a refusal, if there is one, with its status and headers."""
    response = page(template, status_of(refusal) if refusal else 200, **facts)
    if refusal:
        response.headers.update(headers_of(refusal, refusal))
    return response


def _typed(*names: str) -> dict[str, str]:
    """What was typed in a form, and its name."""
    form = request.form.get("form", "")
    typed = {name: request.form.get(name, "").strip()[:40] for name in names}
    return {**typed, "form": form if FORM.fullmatch(form) else _new_form()}


def _new_form() -> str:
    """The name of one rendering of the form: sending it twice reserves once."""
    return secrets.token_urlsafe(16)


# --- places and projects ----------------------------------------------------------------------------------------------
@blueprint.get("/lieux")
def all_places() -> Response:
    """Where things are, and when one can come."""
    after, limit = places.paging(request.args)
    found = places.find_places(after, limit + 1)
    sites = [] if after else places.find_sites(limit=SELECT_LIMIT)
    closed = places.closed_on(found)
    return page("places.html", places=found[:limit], closed=closed, sites=sites, more=_after("/lieux", found, limit))


@blueprint.get("/s/<code>")
def site(code: str) -> Response:
    """One site: where it is, and what comes out of it."""
    after, limit = places.paging(request.args)
    facts = places.get_site(code)
    found = catalog.of_site(facts["id"], after, limit + 1)
    return page(
        "site.html",
        site=facts,
        where=places.where(facts["place"], code) if facts["place"] and facts["opening_hours"] else None,
        listings=found[:limit],
        more=_after(f"/s/{code}", found, limit),
        now=db.to_ms(clock.now()),
    )


@blueprint.get("/projets")
def all_projects() -> Response:
    """What can be built: first what today's stock builds."""
    cursor, limit = places.paging(request.args)
    found, more = kits.ready_first("", cursor, limit)
    return page(
        "projects.html", projects=found, more=None if more is None else f"/projets?{urlencode({'cursor': more})}"
    )


@blueprint.get("/p/<code>")
def project(code: str) -> Response:
    """One project with what it needs, what there is of it, and the form that reserves all of it."""
    return _project(code, {"form": _new_form()})


def _project(code: str, typed: Mapping[str, str], refusal: Refusal | None = None) -> Response:
    found = kits.feasibility(code)
    facts = found["project"]
    return _said(
        refusal,
        "project.html",
        at=url_for("web.project", code=code),
        project=facts,
        buildable=found["buildable"],
        needs=found["needs"],
        names={category["code"]: category for category in categories.every()},
        place=places.get_place(facts["place"]) if facts["place"] else None,
        typed=typed,
        said=sentence(refusal) if refusal else "",
        field=FIELD_OF.get(refusal.code) if refusal else None,
    )


@blueprint.post("/p/<code>/reserve")
def reserve_kit(code: str) -> Response:
    """Hold all that a project takes for a phone number, as `reserve` does some of a listing."""
    refuse_foreign_form()
    typed = _typed("tel")
    try:
        made = kits.reserve_by_phone(typed["tel"], code, f"web:{typed['form']}", visitor=request.remote_addr or "")
    except Refusal as refusal:
        return _project(code, typed, refusal)
    return page(
        "kit.html",
        at=url_for("web.project", code=code),
        project=projects.get(code),
        made=made,
        kit=reservations.together(made)[0],
        places=[places.where(*both) for both in dict.fromkeys((part["place"], part["site"]) for part in made)],
        pin=made[0]["pickup_code"] if settings.get().demo else None,
    )


def _after(path: str, found: list[dict[str, Any]], limit: int) -> str | None:
    """The next page, when `found`, asked for with one more than `limit`, shows that there is one."""
    return f"{path}?{urlencode({'cursor': found[limit - 1]['id']})}" if len(found) > limit else None


@blueprint.get("/icon.svg")
def icon() -> Response:
    """The one image."""
    return send_from_directory(str(STATIC), "icon.svg", max_age=30 * 86_400)

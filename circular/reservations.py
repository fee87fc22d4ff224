"""Reservations: the rules, in one place. Every door calls `reserve`, `extend`, `cancel`, `pick_up`.

A reservation is held until the closing time of the place's 7th opening day (settable), or for ever once prepared:

    held -> prepared -> picked_up | partly_picked_up | cancelled | expired | no_show

Availability = the listing's quantity - live reservations - what is kept for those who wait. What is picked up leaves
the listing's quantity: stock is consumed. A partial pick-up ends the reservation and frees the rest.

Every verb writes before it reads: its first statement takes the listing's lock by updating it, on both engines
(measured: reading first sold 12 of 10 on PostgreSQL, and raised 55 "database is locked" on SQLite). `origin` is unique,
so a retry of the same line, request or form gets the first result.
"""

from __future__ import annotations

import calendar
import itertools
import json
import re
import secrets
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import datetime
from typing import Any, NamedTuple, TypeVar

import orjson
from peewee import BigAutoField, BigIntegerField, TextField

from circular import catalog, clock, db, i18n, limits, notices, people, places, settings, slots
from circular.checks import MILLI, Fields
from circular.errors import FieldErrors, Refusal
from circular.people import Actor
from circular.text import clean, shorten

T = TypeVar("T")
LIVE_STATES = ("held", "prepared")
STATES = (*LIVE_STATES, "picked_up", "partly_picked_up", "cancelled", "expired", "no_show", "given_back")
REASON_LIMIT = 200  # characters
WRONG_CODES = 5  # wrong pickup codes tolerated per place in WRONG_CODES_WINDOW (design/reliability.md, threat 14)
WRONG_CODES_WINDOW = 900  # seconds
EXTENSION_OPENING_DAYS = 2  # of the place: "one extension of two opening days by the person, more by staff" (issue 5)
LATELY = 3 * 86_400_000  # milliseconds for which the desk shows what has lapsed
APPEAL_BY_PHONE = 30 * 86_400_000  # milliseconds for which asking to be called is an appeal
REMIND_BEFORE = 24 * 3_600_000  # milliseconds before a hold lapses (design/reservations.md, 4a: reminder 24 h before)
# What follows when some of a listing may have come free or was reserved: called under the listing's lock, in the same
# transaction, with the listing's id and the reservation just made, if one was. The waitlist, which comes after this noun and
# may not be imported by it, adds itself.
on_change: list[Callable[[int, Mapping[str, Any] | None], None]] = []
# What may forbid to reserve or to wait now, whoever asks: called under the listing's lock, with the listing, it raises a
# Refusal. How a listing is given out (draws.py) comes after this noun too.
gates: list[Callable[[Mapping[str, Any]], None]] = []


class Reservation(db.Table):
    """A promise of some of a listing to a person. Quantities are thousandths of the listing's unit."""

    id = BigAutoField()
    reference = TextField(unique=True)  # what doors show: random, so that nobody can walk through them
    person_id = BigIntegerField()
    listing_id = BigIntegerField()
    place_id = BigIntegerField()
    quantity = BigIntegerField()
    picked_quantity = BigIntegerField(default=0)
    state = TextField()
    pickup_code = TextField()
    origin = TextField(unique=True)
    created_at = db.UtcDateTimeField()
    expires_at = BigIntegerField()
    ended_at = BigIntegerField(null=True)
    extended_at = BigIntegerField(null=True)  # when its person took their one extension
    reminded_at = BigIntegerField(null=True)  # when its person was last reminded of the present expiry
    kit_id = BigIntegerField(null=True)  # of what was reserved together (kits.py)
    starts_at = BigIntegerField(null=True)  # of its slot (slots.py); it expires when that ends
    ends_at = BigIntegerField(null=True)
    approval = TextField(default="")  # `asked` while its place has not agreed, `given` or `refused` once it has said
    forgiven_at = BigIntegerField(null=True)  # a no-show that does not count any more
    appealed_at = BigIntegerField(null=True)  # when its person said why they did not come
    moved_at = BigIntegerField(null=True)  # when the day from which it is there last changed


class ReservationEvent(db.Table):
    """The append-only log: who did what to a reservation, when, by which door."""

    id = BigAutoField()
    reservation_id = BigIntegerField()
    at = db.UtcDateTimeField()
    verb = TextField()
    person_id = BigIntegerField(null=True)
    role = TextField()
    door = TextField()
    facts = TextField(default="{}")
    origin = TextField(null=True, unique=True)  # of a change that must happen once, however often it is asked for


APPEALED = "r.appealed_at IS NOT NULL AND r.forgiven_at IS NULL AND r.state = 'no_show'"
COLUMNS = (
    "r.id, r.reference, r.person_id, r.quantity, r.picked_quantity, r.state, r.pickup_code, r.created_at, r.expires_at, "
    "r.ended_at, r.extended_at, r.approval, r.forgiven_at, r.appealed_at, r.starts_at, r.ends_at, r.kit_id, "
    "(SELECT k.reference FROM kit k WHERE k.id = r.kit_id) AS kit, r.moved_at, "
    "l.code AS listing, l.title, l.unit, l.kind, l.available_from, l.id AS listing_id, "
    f"r.place_id, p.code AS place, s.code AS site, {places.WHERE_NAME} AS place_name, {places.WHERE_HOURS} AS place_hours, "
    "p.phone AS place_phone, h.phone"
)
SOURCE = (
    "FROM reservation r JOIN listing l ON l.id = r.listing_id JOIN place p ON p.id = r.place_id "
    "LEFT JOIN site s ON s.id = l.site_id JOIN person h ON h.id = r.person_id"
)


class Part(NamedTuple):
    """What a reservation shares with those of its kit: one code, and one place among what a person may hold."""

    kit_id: int
    pickup_code: str
    until: int = 0  # its lots are held until its machine's hour is over, at least (milliseconds)


class Filter(NamedTuple):
    """Which reservations to list."""

    state: str = ""
    listing: str = ""
    pickup_code: str = ""
    needs_approval: str = ""
    appealed: str = ""
    after: int = 0
    limit: int = 20


def filter_of(values: Mapping[str, Any]) -> Filter:
    """A filter from what a link says. Raises: Refusal("invalid" | "bad_cursor")."""
    fields = Fields(values, partial=True)
    fields.choice("state", STATES)
    fields.text("listing", 20)
    fields.text("pickup_code", 10)
    for name in ("needs_approval", "appealed"):
        fields.choice(name, ("true",))
    after, limit = places.paging(values)
    return Filter(after=after, limit=limit, **fields.done())


# --- reading ----------------------------------------------------------------------------------------------------------
def _facts(found: dict[str, Any]) -> dict[str, Any]:
    """A lapsed hold is expired, whether or not anybody has noted it yet."""
    if found["state"] == "held" and found["expires_at"] <= _now():
        found["state"] = "expired" if found["starts_at"] is None else "given_back"
    return found


def get(actor: Actor, reference: str) -> dict[str, Any]:
    """One's own reservation, or one of the place where one works.

    Raises: Refusal("no_such_reservation"), also for somebody else's: its existence is private.
    """
    found = db.dicts(f"SELECT {COLUMNS} {SOURCE} WHERE r.reference = ?", reference)
    if not found or not (found[0]["person_id"] == actor.person_id or actor.works_at(found[0]["place_id"])):
        raise Refusal("no_such_reservation")
    return _facts(found[0])


def find(actor: Actor, wanted: Filter) -> list[dict[str, Any]]:
    """One's own reservations, or those of the place where one works (an admin: all), newest first."""
    conditions: list[str] = ["1 = 1"]
    params: list[object] = []
    if actor.role == "staff":
        conditions.append("r.place_id = ?")
        params.append(actor.place_id)
    elif actor.role != "admin":
        conditions.append("r.person_id = ?")
        params.append(actor.person_id)
    if wanted.after:
        conditions.append("r.id < ?")
        params.append(wanted.after)
    if wanted.listing:
        conditions.append("l.code = ?")
        params.append(wanted.listing)
    if wanted.pickup_code:
        conditions.append("r.pickup_code = ?")
        params.append(wanted.pickup_code)
    if wanted.state == "held":
        conditions.append("r.state = 'held' AND r.expires_at > ?")
        params.append(_now())
    elif wanted.state == "expired":
        conditions.append("(r.state = 'expired' OR (r.state = 'held' AND r.expires_at <= ?))")
        params.append(_now())
    elif wanted.state:
        conditions.append("r.state = ?")
        params.append(wanted.state)
    if wanted.needs_approval:
        conditions.append(f"r.approval = 'asked' AND {catalog.LIVE}")
        params.append(_now())
    if wanted.appealed:
        conditions.append(APPEALED)
    query = f"SELECT {COLUMNS} {SOURCE} WHERE {' AND '.join(conditions)} ORDER BY r.id DESC LIMIT ?"
    return [_facts(found) for found in db.dicts(query, *params, wanted.limit)]


def at_desk(actor: Actor, typed: str = "", offset: int = 0, limit: int = 20) -> list[dict[str, Any]]:
    """What the staff of a place have to do with: what is held there, what lapsed LATELY, and who appeals; first what waits
    for their word. With a pickup code or the number of a listing `typed`: that alone, whatever became of it.

    Raises: Refusal("wrong_role").
    """
    actor.require("staff")
    now, digits = _now(), re.sub(r"\D", "", typed)
    condition = (
        "r.pickup_code = ? OR l.code = ?"
        if typed
        else f"({catalog.LIVE}) OR (r.state IN ('held', 'expired') AND r.starts_at IS NULL AND r.expires_at BETWEEN ? AND ?) "
        f"OR ({APPEALED})"
    )
    found = db.dicts(
        f"SELECT {COLUMNS} {SOURCE} WHERE (? = 1 OR r.place_id = ?) AND ({condition}) ORDER BY "
        "CASE WHEN r.state NOT IN ('held', 'prepared', 'no_show') THEN 3 WHEN r.approval = 'asked' THEN 0 "
        f"WHEN {APPEALED} THEN 1 WHEN r.state = 'prepared' THEN 2 ELSE 3 END, COALESCE(r.starts_at, r.expires_at), r.id "
        "LIMIT ? OFFSET ?",
        int(actor.role == "admin"), actor.place_id, *((digits, digits) if typed else (now, now - LATELY, now)),
        limit, offset,
    )  # fmt: skip
    return [_facts(one) for one in found]


def live_of(listing_id: int) -> list[dict[str, Any]]:
    """The live reservations of a listing, oldest first."""
    return db.dicts(
        f"SELECT {COLUMNS} {SOURCE} WHERE r.listing_id = ? AND {catalog.LIVE} ORDER BY r.id", listing_id, _now()
    )


def lapsing(place: str, first: int, end: int) -> list[tuple[str, str]]:
    """What is held at a place (its code) and lapses from `first` on and before `end`: references, and codes of listings, in
    the order in which listings are locked.
    """
    query = (
        f"SELECT r.reference, l.code {SOURCE} WHERE p.code = ? AND r.state = 'held' AND r.starts_at IS NULL "
        "AND r.expires_at > ? AND r.expires_at >= ? AND r.expires_at < ? ORDER BY l.id, r.id"
    )
    return db.rows(query, place, _now(), first, end)


def booked(first: int, end: int, *, place: str = "", listing: str = "") -> list[tuple[str, str, int, int]]:
    """What is booked between two moments at a place or of a listing (their codes): references, codes of listings, and
    slots, in the order in which listings are locked.
    """
    named, code = ("p.code", place) if place else ("l.code", listing)
    query = (
        f"SELECT r.reference, l.code, r.starts_at, r.ends_at {SOURCE} WHERE {named} = ? AND r.starts_at < ? "
        f"AND r.ends_at > ? AND {catalog.LIVE} ORDER BY l.id, r.id"
    )
    return db.rows(query, code, end, first, _now())


def mine(person_id: int, limit: int = 9) -> list[dict[str, Any]]:
    """The live reservations of a person, oldest first."""
    query = f"SELECT {COLUMNS} {SOURCE} WHERE r.person_id = ? AND {catalog.LIVE} ORDER BY r.id LIMIT ?"
    return db.dicts(query, person_id, _now(), limit)


def by_pickup_code(person_id: int, code: str) -> dict[str, Any] | None:
    """The newest reservation of a person with that pickup code, live ones first; None when there is none."""
    query = (
        f"SELECT {COLUMNS} {SOURCE} WHERE r.person_id = ? AND r.pickup_code = ? "
        "ORDER BY CASE WHEN r.state IN ('held', 'prepared') THEN 0 ELSE 1 END, r.id DESC LIMIT 1"
    )
    found = db.dicts(query, person_id, code)
    return _facts(found[0]) if found else None


def holds_any(person_id: int) -> bool:
    """True while a person has a live reservation."""
    query = f"SELECT 1 FROM reservation r WHERE r.person_id = ? AND {catalog.LIVE} LIMIT 1"
    return db.value(query, person_id, _now()) is not None


def holds(person_id: int, listing_id: int, slot: slots.Slot) -> dict[str, Any] | None:
    """What a person has booked of a listing during some of a slot; None when nothing."""
    query = (
        f"SELECT {COLUMNS} {SOURCE} WHERE r.person_id = ? AND r.listing_id = ? AND r.starts_at < ? AND r.ends_at > ? "
        f"AND {catalog.LIVE} ORDER BY r.id LIMIT 1"
    )
    return next(iter(db.dicts(query, person_id, listing_id, slot.ends_at, slot.starts_at, _now())), None)


def desk_of(person_id: int) -> dict[str, Any] | None:
    """Where a person is known: where they hold something, else where they last did, else at the town's first place."""
    found = _known_at(person_id)
    return places.where(*found[2:]) if found else next(iter(places.find_places(limit=1)), None)


def home_of(actor: Actor) -> tuple[float, float] | None:
    """Latitude and longitude of the place that somebody works for, else of where they are known: what is nearer goes first
    when they search. None when nobody knows.
    """
    if actor.place_id:
        return places.point_of(actor.place_id)
    found = _known_at(actor.person_id) if actor.person_id else None
    return places.point_of(*found[:2]) if found else None


def _known_at(person_id: int) -> tuple[int, int | None, str, str | None] | None:
    """The numbers and codes of the place and the site where a person holds something, else last did."""
    found: tuple[int, int | None, str, str | None] | None = db.row(
        f"SELECT p.id, s.id, p.code, s.code {SOURCE} WHERE r.person_id = ? "
        f"ORDER BY CASE WHEN {catalog.LIVE} THEN 0 ELSE 1 END, r.id DESC LIMIT 1",
        person_id, _now(),
    )  # fmt: skip
    return found


def by_origin(origin: str) -> dict[str, Any] | None:
    """The reservation that a line, request or form has made; None when it has made none."""
    found = db.dicts(f"SELECT {COLUMNS} {SOURCE} WHERE r.origin = ?", origin)
    return _facts(found[0]) if found else None


def of_kit(kit_id: int) -> list[dict[str, Any]]:
    """The reservations of a kit, oldest first."""
    return [_facts(found) for found in db.dicts(f"SELECT {COLUMNS} {SOURCE} WHERE r.kit_id = ? ORDER BY r.id", kit_id)]


def together(found: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Reservations, with each kit as one: the project's title and number, how many lots, their places, the earliest end."""
    groups: dict[Any, list[dict[str, Any]]] = {}
    for one in found:
        groups.setdefault(one["kit_id"] or one["reference"], []).append(one)
    return [_as_one(same) if same[0]["kit_id"] else same[0] for same in groups.values()]


def _kit(kit_id: int) -> tuple[str, str]:
    """The title and the number of the project that a kit is for."""
    query = "SELECT j.title, j.code FROM kit k JOIN project j ON j.id = k.project_id WHERE k.id = ?"
    title, code = db.row(query, kit_id) or ("", "")
    return title, code


def _as_one(same: list[dict[str, Any]]) -> dict[str, Any]:
    title, code = _kit(same[0]["kit_id"])
    lots = [part for part in same if part["starts_at"] is None] or same
    return {
        **same[0],
        "starts_at": None,
        "ends_at": None,
        "slot_at": next((part["starts_at"] for part in same if part["starts_at"] is not None), None),  # its machine's
        "title": title,
        "listing": code,
        "quantity": len(lots) * MILLI,
        "unit": "lot",
        "count": len(lots),
        "place_name": " + ".join(dict.fromkeys(part["place_name"] for part in same)),
        "expires_at": min(part["expires_at"] for part in lots),
    }


# --- reserving --------------------------------------------------------------------------------------------------------
def reserve(
    actor: Actor,
    person_id: int,
    code: str,
    quantity: object,
    origin: str,
    *,
    slot: slots.Slot | None = None,
    part: Part | None = None,
) -> dict[str, Any]:
    """Hold some of a listing for a person; `quantity` in the listing's unit (None: its smallest). What is no material is
    booked for a `slot`.

    `origin` names the line, request or form that asks: asking again by the same one returns the first result. As a `part`
    of a kit it counts with it, and whoever reserves the kit tells its person.
    Raises: Refusal("bad_code" | "no_such_listing" | "not_reservable" | "hazard" |
    "no_longer_available" | "quantity_not_positive" | "whole_number_needed" | "below_minimum" | "not_a_step" |
    "sold_out" | "too_many_reservations" | "below_builder_minimum" | "kept_for_residents" | "not_open_yet" |
    "entries_only" | "window_closed" | "slot_not_allowed") and, for a slot, what `slots.check` raises.
    """
    with db.transaction():
        slots.lock_for(code, slot)
        earlier = by_origin(origin)
        if earlier:
            return earlier
        now = _now()
        listing = catalog.get(code)
        check_reservable(listing, slot)
        check_gates(listing)
        wanted = check_quantity(listing, quantity)
        if slot is not None:
            return _book(actor, _Asked(person_id, listing, wanted, origin, part), slot)
        available = listing["available"]
        if wanted > available:
            available += catalog.offered_to(listing["id"], person_id)
        if wanted > available:
            raise Refusal(
                "sold_out",
                code=code,
                title=listing["title"],
                available=catalog.amount(available),
                unit=listing["unit"],
            )
        check_shares(listing, wanted, person_id)
        _check_limit(actor, person_id, now, part)
        # A lot not taken down yet is held from that day on.
        start = db.from_ms(max(now, listing["available_from"] or 0))
        expires_at = db.to_ms(places.nth_closing(listing["place_hours"], start, settings.get().hold_opening_days))
        settle(listing["id"])
        expires_at = max(expires_at, part.until if part else 0)
        made = _write(actor, _Asked(person_id, listing, wanted, origin, part), expires_at)
        changed(listing["id"], made)
        return made


class _Asked(NamedTuple):
    """What is reserved for whom; `quantity` in thousandths."""

    person_id: int
    listing: Mapping[str, Any]
    quantity: int
    origin: str
    part: Part | None


def _write(actor: Actor, asked: _Asked, expires_at: int, slot: slots.Slot | None = None) -> dict[str, Any]:
    """The row, its line in the log, and the text that proves it."""
    person_id, listing, wanted, origin, part = asked
    code = part.pickup_code if part else pickup_code_for(person_id, (listing["place_id"],))
    reservation_id = db.value(
        "INSERT INTO reservation (reference, person_id, listing_id, place_id, quantity, picked_quantity, state, "
        "pickup_code, origin, created_at, expires_at, kit_id, starts_at, ends_at, approval) "
        "VALUES (?, ?, ?, ?, ?, 0, 'held', ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id",
        secrets.token_hex(10), person_id, listing["id"], listing["place_id"], wanted, code, origin, _now(), expires_at,
        part.kit_id if part else None, *(slot or (None, None)), _approval(actor, person_id, listing["place_id"]),
    )  # fmt: skip
    log(reservation_id, actor, "reserve", quantity=wanted)
    made = db.dicts(f"SELECT {COLUMNS} {SOURCE} WHERE r.id = ?", reservation_id)[0]
    if actor.door != "sms" and made["phone"] and part is None:  # by SMS the answer itself is the proof
        kind = "drawn" if actor.door == "draw" else "reserved"
        notices.tell(person_id, kind, **{name: made[name] for name in TOLD})
    return made


def strikes(person_id: int) -> int:
    """How often somebody did not come, lately: a no-show fades after NO_SHOW_MONTHS, and may be forgiven. A kit is one."""
    now, months = clock.now(), settings.get().no_show_months
    year, month = divmod(now.year * 12 + now.month - 1 - months, 12)
    since = now.replace(year=year, month=month + 1, day=min(now.day, calendar.monthrange(year, month + 1)[1]))
    query = (
        "SELECT COUNT(DISTINCT COALESCE(-kit_id, id)) FROM reservation WHERE person_id = ? AND state = 'no_show' "
        "AND forgiven_at IS NULL AND ended_at > ?"
    )
    return int(db.value(query, person_id, db.to_ms(since)))


def _approval(actor: Actor, person_id: int, place_id: int) -> str:
    """Who missed NO_SHOW_LIMIT reservations is asked for patience, never banned: the place agrees first."""
    limit = settings.get().no_show_limit
    return "asked" if limit and not actor.works_at(place_id) and strikes(person_id) >= limit else ""


def prepare(actor: Actor, reference: str) -> dict[str, Any]:
    """It lies ready, by the staff of its place: it does not lapse any more, and its person is told. Twice changes nothing.

    Raises: Refusal("no_such_reservation" | "wrong_role" | "already_ended" | "expired" | "needs_approval").
    """
    actor.require("staff")
    with db.transaction():
        found = _take(actor, reference)
        if found["state"] == "prepared":
            return found
        _check_live(found)
        _check_approved(found)
        if not db.run("UPDATE reservation SET state = 'prepared' WHERE id = ? AND state = 'held'", found["id"]):
            raise Refusal("already_ended", state="expired", pin=found["pickup_code"])
        log(found["id"], actor, "prepare")
        notices.tell(found["person_id"], "prepared", **{name: found[name] for name in TOLD if name != "expires_at"})
        return get(actor, reference)


def approve(actor: Actor, reference: str) -> dict[str, Any]:
    """The place agrees to what somebody asked for who missed several; they are told, and have as long as anybody from now
    on. Twice changes nothing.

    Raises: Refusal("no_such_reservation" | "wrong_role" | "already_ended" | "expired").
    """
    actor.require("staff")
    with db.transaction():
        found = _take(actor, reference)
        _check_live(found)
        if found["approval"] == "asked":
            until = found["expires_at"]
            if found["starts_at"] is None:
                start = db.from_ms(max(_now(), found["available_from"] or 0))
                days = settings.get().hold_opening_days
                until = max(until, db.to_ms(places.nth_closing(found["place_hours"], start, days)))
            agreed = "UPDATE reservation SET approval = 'given', expires_at = ? WHERE id = ? AND state = 'held'"
            if not db.run(agreed, until, found["id"]):  # a sweep of lapsed holds was faster
                raise Refusal("already_ended", state="expired", pin=found["pickup_code"])
            log(found["id"], actor, "approve", expires_at=until)
            facts = {**{name: found[name] for name in TOLD}, "approval": "given", "expires_at": until}
            notices.tell(found["person_id"], "reserved", **facts)
        return get(actor, reference)


def refuse(actor: Actor, reference: str, reason: str) -> dict[str, Any]:
    """The place does not agree, and says why: its person is told in its words. Twice changes nothing.

    Raises: Refusal("no_such_reservation" | "wrong_role" | "already_ended" | "expired" | "no_approval_needed" | "invalid").
    """
    actor.require("staff")
    with db.transaction():
        found = _take(actor, reference)
        if found["approval"] == "refused":
            return found
        _check_live(found)
        if found["approval"] != "asked":
            raise Refusal("no_approval_needed")
        why = must_say_why(reason)
        _must_end(actor, found, "cancelled", "refuse", **why)
        db.run("UPDATE reservation SET approval = 'refused' WHERE id = ?", found["id"])
        notices.tell(
            found["person_id"], "refused", title=found["title"], place=found["place_name"], words=why["reason"]
        )
        changed(found["listing_id"])
        return get(actor, reference)


def no_show(actor: Actor, reference: str, reason: str = "") -> dict[str, Any]:
    """Nobody came, says the staff of the place: what was held is free again, its person is told and may ask for pardon.

    What lapsed by itself may be noted so, too: it counts from then. Of a kit its person is told once. Twice changes nothing.
    Raises: Refusal("no_such_reservation" | "wrong_role" | "already_ended" | "needs_approval").
    """
    actor.require("staff")
    with db.transaction():
        found = _take(actor, reference)
        if found["state"] == "no_show":
            return found
        if found["state"] != "expired":
            _check_live(found)
        _check_approved(found)  # who was never told yes could not come
        ended = found["ended_at"] or (found["expires_at"] if found["state"] == "expired" else _now())
        others = "SELECT 1 FROM reservation WHERE kit_id = ? AND state = 'no_show' LIMIT 1"
        told = found["kit_id"] and db.value(others, found["kit_id"])
        db.run("UPDATE reservation SET state = 'no_show', ended_at = ? WHERE id = ?", ended, found["id"])
        log(found["id"], actor, "no_show", **why_said(reason))
        if not told:
            missed, limit = strikes(found["person_id"]), settings.get().no_show_limit
            title = _kit(found["kit_id"])[0] if found["kit_id"] else found["title"]
            kind = "no_show_limit" if limit and missed >= limit else "no_show"
            notices.tell(found["person_id"], kind, title=title, place=found["place_name"], count=missed)
        changed(found["listing_id"])
        return get(actor, reference)


def appeal(actor: Actor, reference: str, reason: str = "") -> dict[str, Any]:
    """Its person says why they did not come: the place reads it in the log, and may forgive. Twice changes nothing.

    Raises: Refusal("no_such_reservation" | "not_a_no_show").
    """
    with db.transaction():
        found = _take(actor, reference)
        if found["state"] != "no_show":
            raise Refusal("not_a_no_show")
        _appeal(actor, found["id"], reason)
        return get(actor, reference)


def appeal_lately(actor: Actor, words: str) -> int:
    """Whoever asks to be called after a no-show appeals by it, in the words they gave; how many. Inside a transaction."""
    missed = db.rows(
        "SELECT r.id FROM reservation r WHERE r.person_id = ? AND r.state = 'no_show' AND r.forgiven_at IS NULL "
        "AND r.appealed_at IS NULL AND r.ended_at > ? ORDER BY r.id",
        actor.person_id, _now() - APPEAL_BY_PHONE,
    )  # fmt: skip
    for (reservation_id,) in missed:
        _appeal(actor, reservation_id, words)
    return len(missed)


def _appeal(actor: Actor, reservation_id: int, reason: str) -> None:
    noted = "UPDATE reservation SET appealed_at = ? WHERE id = ? AND appealed_at IS NULL"
    if db.run(noted, _now(), reservation_id):
        log(reservation_id, actor, "appeal", **why_said(reason))


def forgive(actor: Actor, reference: str, reason: str = "") -> dict[str, Any]:
    """A no-show (of a kit: all of it there) counts no more, by the staff of its place; they are told. Twice changes nothing.

    Raises: Refusal("no_such_reservation" | "wrong_role" | "not_a_no_show").
    """
    actor.require("staff")
    with db.transaction():
        found = _take(actor, reference)
        if found["state"] != "no_show":
            raise Refusal("not_a_no_show")
        forgiven = db.rows(
            "UPDATE reservation SET forgiven_at = ? WHERE state = 'no_show' AND forgiven_at IS NULL "
            "AND (id = ? OR (kit_id = ? AND place_id = ?)) RETURNING id",
            _now(), found["id"], found["kit_id"], found["place_id"],
        )  # fmt: skip
        for (reservation_id,) in forgiven:
            log(reservation_id, actor, "forgive", **why_said(reason))
        if forgiven:
            notices.tell(found["person_id"], "forgiven", title=found["title"], place=found["place_name"])
        return get(actor, reference)


def _check_approved(found: Mapping[str, Any]) -> None:
    """Raises: Refusal("needs_approval")."""
    if found["approval"] == "asked":
        raise Refusal("needs_approval")


def why_said(reason: str) -> dict[str, str]:
    """A reason as the log keeps it, without numbers that may be somebody's."""
    said = shorten(clean(reason, REASON_LIMIT), REASON_LIMIT)
    return {"reason": re.sub(r"(?:\d[ .-]?){8,}", "…", said)} if said else {}


def must_say_why(reason: str) -> dict[str, str]:
    """Raises: Refusal("invalid") without a reason."""
    why = why_said(reason)
    if not why:
        errors = FieldErrors()
        errors.add("reason", "required")
        errors.refuse()
    return why


def log_of(actor: Actor, reference: str) -> list[dict[str, Any]]:
    """What was done to a reservation, oldest first, for the staff of its place; nobody else sees any of it. `who` did it
    (None: its person, or the program), `acted_by`: in which role, where it was not its person.

    Raises: Refusal("no_such_reservation").
    """
    found = get(actor, reference)
    if not actor.works_at(found["place_id"]):
        return []
    log = []
    for one in events(found["id"]):
        own = one["person_id"] is not None and one["person_id"] == found["person_id"]
        by = None if own or one["role"] not in ("staff", "admin") else one["name"] or one["person_id"]
        log.append(
            {
                **{name: one[name] for name in ("at", "verb", "role", "door")},
                "acted_by": None if own else one["role"],
                "who": None if by is None else str(by),
                "facts": json.loads(one["facts"]),
            }
        )
    return log


TOLD = (
    "title", "quantity", "unit", "pickup_code", "place_name", "expires_at", "available_from", "created_at", "starts_at",
    "ends_at", "approval",
)  # fmt: skip


def _book(actor: Actor, asked: _Asked, slot: slots.Slot) -> dict[str, Any]:
    """A slot, under the lock of the listing and its family."""
    staff = actor.works_at(asked.listing["place_id"])
    slots.check(asked.listing, slot, asked.quantity, asked.person_id, staff=staff)
    _check_limit(actor, asked.person_id, _now(), asked.part, slotted=True)
    made = _write(actor, asked, slot.ends_at, slot)
    changed(asked.listing["id"], made)
    return made


def move(actor: Actor, reference: str, slot: slots.Slot, origin: str) -> dict[str, Any]:
    """Another slot for a booked one, by its person until the listing's deadline or by the staff of its place (who tell).

    Asking again by the same `origin` changes nothing.
    Raises: Refusal("no_such_reservation" | "slot_not_allowed" | "already_ended" | "expired" | "too_late") and what
    `slots.check` raises.
    """
    with db.transaction():
        found = get(actor, reference)
        slots.lock(found["listing"])
        found = get(actor, reference)
        if db.value("SELECT 1 FROM reservation_event WHERE origin = ?", origin):
            return found
        if found["starts_at"] is None:
            raise Refusal("slot_not_allowed", code=found["listing"], title=found["title"])
        _check_live(found)
        staff = actor.works_at(found["place_id"])
        listing = catalog.get(found["listing"], actor)
        if not staff:
            slots.check_deadline(listing, found["starts_at"])
        slots.check(listing, slot, found["quantity"], found["person_id"], staff=staff, but=found["id"])
        db.run(
            "UPDATE reservation SET starts_at = ?, ends_at = ?, expires_at = ?, reminded_at = NULL WHERE id = ?",
            *slot, slot.ends_at, found["id"],
        )  # fmt: skip
        log(found["id"], actor, "move", origin, starts_at=slot.starts_at, ends_at=slot.ends_at)
        moved = get(actor, reference)
        if found["person_id"] != actor.person_id:
            notices.tell(found["person_id"], "slot_moved", **{name: moved[name] for name in TOLD})
        changed(moved["listing_id"], moved)
        return moved


def give_back(actor: Actor, reference: str) -> dict[str, Any]:
    """What was booked is back, by the staff of the place: its time is free from now on. Twice changes nothing.

    Raises: Refusal("no_such_reservation" | "wrong_role" | "slot_not_allowed" | "already_ended").
    """
    actor.require("staff")
    with db.transaction():
        found = _take(actor, reference)
        if found["starts_at"] is None:
            raise Refusal("slot_not_allowed", code=found["listing"], title=found["title"])
        if found["state"] == "given_back":
            return found
        if found["state"] not in ("held", "prepared", "picked_up"):
            _check_live(found)
        db.run(
            "UPDATE reservation SET state = 'given_back', ended_at = ?, ends_at = CASE WHEN ends_at > ? AND starts_at < ? "
            "THEN ? ELSE ends_at END WHERE id = ?",
            _now(), _now(), _now(), _now(), found["id"],
        )  # fmt: skip
        log(found["id"], actor, "give_back")
        changed(found["listing_id"])
        return get(actor, reference)


def by_phone(phone: str, act: Callable[[Actor, int], T], *, visitor: str, door: str) -> T:
    """Do `act` for whoever reads the SMS of a phone number; `visitor` is whose tries are counted (an address).

    Raises: Refusal("too_many_requests" | "bad_phone" | "opted_out") and whatever `act` raises.
    """

    def attempt() -> T:
        with db.transaction():
            person_id = people.ensure(people.reachable_phone(phone))
            if people.is_opted_out(person_id):  # the pickup code could not reach them
                raise Refusal("opted_out")
            made = act(Actor(person_id, "resident", door), person_id)
            if not people.language(person_id, ""):  # after `act`: a listing is always locked before its person
                people.note_shown_language(person_id, i18n.current())
            return made

    with db.transaction():  # apart: a try that is refused counts all the same
        limits.take(f"{door}:{visitor}", settings.get().web_reservations_per_hour, 3600)
    return db.retrying(attempt)


def check_reservable(listing: Mapping[str, Any], slot: slots.Slot | None = None) -> None:
    """Raises: Refusal("hazard" | "not_reservable" | "slot_not_allowed" | "no_longer_available")."""
    check_there(listing)
    facts = {"code": listing["code"], "title": listing["title"], "phone": listing["place_phone"]}
    if listing["kind"] != "material" and slot is None:  # machines, tools, rooms and workshops are booked by the slot
        raise Refusal("not_reservable", kind=listing["kind"], **facts)
    if listing["kind"] == "material" and slot is not None:
        raise Refusal("slot_not_allowed", **facts)


def check_there(listing: Mapping[str, Any]) -> None:
    """Whether anybody may have some of a listing. Raises: Refusal("hazard" | "no_longer_available")."""
    facts = {"code": listing["code"], "title": listing["title"], "phone": listing["place_phone"]}
    if catalog.blocking_hazard(listing["hazards"]):
        raise Refusal("hazard", **facts)
    # A lot whose building has not come down yet is reserved before it can be fetched: `available_from` is not a bar.
    if listing["available_until"] is not None and listing["available_until"] < _now():
        raise Refusal("no_longer_available", available_until=db.from_ms(listing["available_until"]), **facts)


def check_gates(listing: Mapping[str, Any]) -> None:
    """Raises: Refusal("not_open_yet" | "entries_only" | "window_closed") while a listing is given out otherwise."""
    for gate in gates:
        gate(listing)


def check_quantity(listing: Mapping[str, Any], quantity: object) -> int:
    """A quantity in the listing's unit (None: its smallest), in thousandths.

    Raises: Refusal("quantity_not_positive" | "whole_number_needed" | "below_minimum" | "not_a_step").
    """
    minimum, step = listing["min_quantity"], listing["step_quantity"]
    if quantity is None:
        return int(minimum)
    wanted = catalog.milli_of(quantity, listing["unit"])
    if wanted < minimum:
        raise Refusal("below_minimum", minimum=catalog.amount(minimum), unit=listing["unit"])
    if (wanted - minimum) % step and wanted % step:
        raise Refusal("not_a_step", step=catalog.amount(step), unit=listing["unit"])
    return wanted


def check_shares(listing: Mapping[str, Any], wanted: int, person_id: int) -> None:
    """What a builder may not have of a lot. Who builds for a living is known by a token, whatever the door.

    Raises: Refusal("below_builder_minimum" | "kept_for_residents").
    """
    if not (listing["builder_min_quantity"] or listing["resident_share"]) or not people.is_builder(person_id):
        return
    facts = {"code": listing["code"], "title": listing["title"], "unit": listing["unit"]}
    minimum, most = catalog.for_builders(listing)
    left = min(most, listing["available"])
    if wanted < minimum:
        raise Refusal("below_builder_minimum", minimum=catalog.amount(minimum), **facts)
    if wanted > most:
        raise Refusal("kept_for_residents", available=catalog.amount(left), share=listing["resident_share"], **facts)


def _check_limit(actor: Actor, person_id: int, now: int, part: Part | None, *, slotted: bool = False) -> None:
    """A kit is one of what somebody may hold, however many lots it takes; slots are counted apart, as many of them.

    Raises: Refusal("too_many_reservations").
    """
    chosen = settings.get()
    own = person_id == actor.person_id
    limit = (
        chosen.builder_max_holds if own and actor.role in ("builder", "staff", "admin") else chosen.resident_max_holds
    )
    # Two reservations of one person may run at once on different listings: the person's row is locked, after the
    # listing's (always in that order, so that no two wait for each other).
    people.lock(person_id)
    held = db.value(
        "SELECT COUNT(DISTINCT COALESCE(-r.kit_id, r.id)) FROM reservation r WHERE r.person_id = ? "
        f"AND COALESCE(r.kit_id, 0) <> ? AND r.starts_at IS {'NOT ' if slotted else ''}NULL AND {catalog.LIVE}",
        person_id, part.kit_id if part else -1, now,
    )  # fmt: skip
    if held >= limit:
        raise Refusal("too_many_reservations", limit=limit)


def pickup_code_for(person_id: int, place_ids: Collection[int]) -> str:
    """Four random digits that no live reservation of the person has, nor of the places while they have few thousands."""
    query = (
        "SELECT pickup_code, person_id FROM reservation WHERE pickup_code IN (?, ?, ?, ?) "
        f"AND state IN ('held', 'prepared') AND (place_id IN ({', '.join('?' for _ in place_ids)}) OR person_id = ?)"
    )
    for tries in itertools.count():
        drawn = secrets.randbelow(9000**4)  # four at once: each draw asks the operating system, each query the database
        tried = [str(1000 + drawn // 9000**n % 9000) for n in range(4)]
        taken = db.rows(query, *tried, *place_ids, person_id)
        # At a place with 8,000 held, one person in three hundred has to share a code.
        free = set(tried).difference(code for code, holder in taken if holder == person_id or tries < 12)
        if free:
            return free.pop()
    raise AssertionError("unreachable")


# --- ending -----------------------------------------------------------------------------------------------------------
def _take(actor: Actor, reference: str) -> dict[str, Any]:
    """Lock a reservation's listing, of a slot with its family, then read the reservation.

    Raises: Refusal("no_such_reservation").
    """
    query = (
        "SELECT l.code, r.starts_at, r.ends_at FROM reservation r JOIN listing l ON l.id = r.listing_id "
        "WHERE r.reference = ?"
    )
    found = db.dicts(query, reference)
    if not found:
        raise Refusal("no_such_reservation")
    slots.lock_for(found[0]["code"], slots.of(found[0]))
    return get(actor, reference)


def cancel(actor: Actor, reference: str, reason: str = "", *, late: bool = False) -> dict[str, Any]:
    """Give a reservation up, by its person or by the staff of its place (then the person is told). Twice changes nothing.

    A slot is given up until its listing's deadline; `late`, at any time.
    Raises: Refusal("no_such_reservation" | "already_ended" | "expired" | "too_late").
    """
    with db.transaction():
        found = _take(actor, reference)
        if found["state"] == "cancelled":
            return found
        _check_live(found)
        if found["starts_at"] is not None and not (late or actor.works_at(found["place_id"])):
            slots.check_deadline(catalog.get(found["listing"]), found["starts_at"])
        why = why_said(reason)
        _must_end(actor, found, "cancelled", "cancel", **why)
        if found["person_id"] != actor.person_id:
            kind = "cancelled_why" if why else "cancelled_by_place"
            notices.tell(
                found["person_id"],
                kind,
                title=found["title"],
                place=found["place_name"],
                words=why.get("reason", ""),
                slot_at=found["starts_at"],
            )
        changed(found["listing_id"])
        return get(actor, reference)


def extend(actor: Actor, reference: str, origin: str) -> dict[str, Any]:
    """Hold a reservation two opening days longer: its person once, the staff of its place as often as they see fit.

    Those who wait for the lot do not prevent it: the hold was promised with it, and it costs them two opening days at most.
    `origin` names the line or request that asks: asking again by the same one changes nothing.
    Raises: Refusal("no_such_reservation" | "already_ended" | "expired" | "already_extended" |
    "slot_not_extendable").
    """
    with db.transaction():
        found = _take(actor, reference)
        if db.value("SELECT 1 FROM reservation_event WHERE origin = ?", origin):
            return found
        _check_live(found)
        if found["starts_at"] is not None:
            starts_at = db.from_ms(found["starts_at"])
            raise Refusal("slot_not_extendable", code=found["listing"], title=found["title"], starts_at=starts_at)
        by_staff = actor.works_at(found["place_id"])
        if found["extended_at"] is not None and not by_staff:
            raise Refusal(
                "already_extended", pin=found["pickup_code"], title=found["title"], phone=found["place_phone"],
                expires_at=db.from_ms(found["expires_at"]),
            )  # fmt: skip
        until = db.from_ms(found["expires_at"])
        expires_at = db.to_ms(places.nth_closing(found["place_hours"], until, EXTENSION_OPENING_DAYS))
        extended = db.run(
            "UPDATE reservation SET expires_at = ?, extended_at = ?, reminded_at = NULL WHERE id = ? "
            "AND state IN ('held', 'prepared')",
            expires_at, found["extended_at"] if by_staff else _now(), found["id"],
        )  # fmt: skip
        if not extended:  # a sweep of lapsed holds was faster
            raise Refusal("already_ended", state="expired", pin=found["pickup_code"])
        log(found["id"], actor, "extend", origin, expires_at=expires_at)
        return get(actor, reference)


def pick_up(
    actor: Actor, reference: str, pickup_code: str, quantity: object = None, *, force: bool = False, reason: str = ""
) -> dict[str, Any]:
    """Hand over against the pickup code, by the staff of the place: all, or `quantity` of it (the rest is free again).

    A repeat of the same after the hand-over changes nothing, and asking for another quantity then is refused: a code works
    once. Wrong codes are counted for each place. With the code of somebody else's reservation, staff are told that this
    one is held for others. By `force`, and a reason, it is handed over all the same: whoever it was held for loses it, and
    is told why.
    Raises: Refusal("no_such_reservation" | "wrong_role" | "wrong_pickup_code" | "too_many_attempts" | "already_ended" |
    "expired" | "needs_approval" | "hazard" | "more_than_reserved" | "quantity_not_positive" | "whole_number_needed" |
    "held_for_others" | "invalid").
    """
    actor.require("staff")
    wrong: Refusal | None = None
    with db.transaction():
        found = _take(actor, reference)
        attempts = f"pickup:{found['place_id']}"
        if limits.seen(attempts, WRONG_CODES_WINDOW) >= WRONG_CODES:
            raise Refusal("too_many_attempts", retry_after=limits.remaining(WRONG_CODES_WINDOW))
        typed = str(pickup_code).strip()
        if secrets.compare_digest(found["pickup_code"].encode(), typed.encode()):
            return _hand_over(actor, found, quantity)
        other = _shows(found, typed)
        if other is not None and force:
            return _hand_to(actor, found, other, quantity, reason)
        limits.count(attempts, WRONG_CODES_WINDOW)  # kept: this transaction commits before the refusal
        wrong = Refusal("wrong_pickup_code") if other is None else _held_for_others(found, other)
    raise wrong


def _shows(found: Mapping[str, Any], typed: str) -> dict[str, Any] | None:
    """Somebody else's live reservation at the same place whose code was typed, while `found` is live; else None."""
    if found["state"] not in LIVE_STATES or found["starts_at"] is not None:
        return None
    query = (
        f"SELECT {COLUMNS} {SOURCE} WHERE r.place_id = ? AND r.pickup_code = ? AND r.person_id <> ? AND {catalog.LIVE} "
        "ORDER BY r.id LIMIT 1"
    )
    return next(iter(db.dicts(query, found["place_id"], typed, found["person_id"], _now())), None)


def _held_for_others(found: Mapping[str, Any], other: Mapping[str, Any]) -> Refusal:
    """What staff are told who would hand over to somebody what is held for somebody else; what that one's code is for."""
    theirs = {
        "id": other["reference"], "listing": other["listing"], "title": other["title"], "unit": other["unit"],
        "quantity": catalog.amount(other["quantity"]),
    }  # fmt: skip
    return Refusal(
        "held_for_others", listing=found["listing"], title=found["title"], reserved=catalog.amount(found["quantity"]),
        unit=found["unit"], people=1, theirs=theirs,
    )  # fmt: skip


def _hand_to(
    actor: Actor, found: Mapping[str, Any], other: Mapping[str, Any], quantity: object, reason: str
) -> dict[str, Any]:
    """Hand over what was held for one person to another who came with a code of their own; the former is told why."""
    why = must_say_why(reason)
    taken = _taken(found, quantity)
    give_up(actor, found, why, quantity=taken, handed_to=other["reference"])
    _consume(found["listing_id"], taken)
    changed(found["listing_id"])
    return get(actor, found["reference"])


def give_up(actor: Actor, found: Mapping[str, Any], why: Mapping[str, str], **facts: object) -> None:
    """A hold is given up for others by the staff of its place, who say why. Raises: Refusal("already_ended")."""
    _must_end(actor, found, "cancelled", "give_up", **facts, **why)
    notices.tell(
        found["person_id"], "given_up", title=found["title"], quantity=found["quantity"], unit=found["unit"],
        place=found["place_name"], words=why["reason"],
    )  # fmt: skip


def _taken(found: Mapping[str, Any], quantity: object) -> int:
    """What is taken of a reservation, in thousandths.

    Raises: Refusal("more_than_reserved" | "quantity_not_positive" | "whole_number_needed").
    """
    taken = int(found["quantity"]) if quantity is None else catalog.milli_of(quantity, found["unit"])
    if taken > found["quantity"]:
        raise Refusal("more_than_reserved", reserved=catalog.amount(found["quantity"]), unit=found["unit"])
    return taken


def _consume(listing_id: int, taken: int) -> None:
    """Stock has left. A new revision: whoever counted it before the hand-over must look again."""
    db.run(
        "UPDATE listing SET quantity = quantity - ?, revision = revision + 1, updated_at = ? WHERE id = ?",
        taken, _now(), listing_id,
    )  # fmt: skip


def _hand_over(actor: Actor, found: dict[str, Any], quantity: object) -> dict[str, Any]:
    handed_over = found["state"] in ("picked_up", "partly_picked_up")
    if handed_over and (found["starts_at"] is not None or _taken(found, quantity) == found["picked_quantity"]):
        return found
    _check_live(found)
    _check_approved(found)
    hazards = json.loads(db.value("SELECT hazards FROM listing WHERE id = ?", found["listing_id"]))
    if catalog.blocking_hazard(hazards):
        raise Refusal("hazard", code=found["listing"], title=found["title"])
    if found["starts_at"] is not None:  # it comes back: no stock is consumed
        _must_end(actor, found, "picked_up", "pick_up")
        return get(actor, found["reference"])
    taken = _taken(found, quantity)
    state = "picked_up" if taken == found["quantity"] else "partly_picked_up"
    _must_end(actor, found, state, "pick_up", quantity=taken)
    db.run("UPDATE reservation SET picked_quantity = ? WHERE id = ?", taken, found["id"])
    _consume(found["listing_id"], taken)
    notices.tell(
        found["person_id"], state, title=found["title"], quantity=taken, unit=found["unit"], place=found["place_name"]
    )
    changed(found["listing_id"])
    return get(actor, found["reference"])


LAPSED = "SELECT id, person_id, listing_id, kit_id, starts_at FROM reservation WHERE state = 'held' AND expires_at <= ?"


def expire(limit: int = 500) -> int:
    """Note the holds that have lapsed and tell their people; how many. They had stopped counting by themselves."""
    with db.transaction():
        lapsed = db.rows(f"{LAPSED} ORDER BY expires_at LIMIT ?{db.skip_locked()}", _now(), limit)
        _lapse(lapsed)
        return len(lapsed)


def codes_elsewhere(person_id: int, place_id: int | None) -> set[str]:
    """The pickup codes of a person that are other places' alone."""
    found = db.rows("SELECT pickup_code, place_id FROM reservation WHERE person_id = ?", person_id)
    return {code for code, place in found if place != place_id} - {code for code, place in found if place == place_id}


def settle(listing_id: int) -> None:
    """Note the lapsed holds of a listing before what they kept is promised to somebody else: should the clock be set back,
    none of them comes to life again. Called with the listing's lock.
    """
    _lapse(db.rows(f"{LAPSED} AND listing_id = ?", _now(), listing_id))


def _lapse(lapsed: Iterable[tuple[Any, ...]]) -> None:
    system = Actor(None, "system", "cli")
    told: set[int] = set()
    for reservation_id, person_id, listing_id, kit_id, starts_at in lapsed:
        if starts_at is not None:  # its time is over: nobody need be told
            end(system, {"id": reservation_id}, "given_back", "expire")
            continue
        title, code = db.row("SELECT title, code FROM listing WHERE id = ?", listing_id) or ("", "")
        if end(system, {"id": reservation_id}, "expired", "expire") and kit_id not in told:
            if kit_id is not None:  # one text for all of it
                told.add(kit_id)
                title, code = _kit(kit_id)
            notices.tell(person_id, "expired", title=title, code=code)


def unlink(days: int, limit: int = 500) -> int:
    """Reservations that ended more than `days` ago are nobody's from now on, for statistics alone; how many."""
    before = _now() - days * 86_400_000
    with db.transaction():
        found = db.rows(
            "SELECT id, reference FROM reservation WHERE ended_at < ? AND person_id <> 0 ORDER BY ended_at LIMIT ?"
            + db.skip_locked(),
            before,
            limit,
        )
        for reservation_id, reference in found:  # an origin may name the person, and no door repeats it after so long
            forgotten = "UPDATE reservation_event SET person_id = NULL, origin = NULL WHERE reservation_id = ?"
            db.run(forgotten, reservation_id)
            query = "UPDATE reservation SET person_id = ?, origin = ? WHERE id = ?"
            db.run(query, people.nobody(), f"over:{reference}", reservation_id)
        return len(found)


def remind(limit: int = 500) -> int:
    """Tell people of holds that lapse within a day, once for each expiry; how many. One made within that day needs none."""
    with db.transaction():
        now = _now()
        soon = db.rows(
            "SELECT id FROM reservation WHERE state = 'held' AND COALESCE(starts_at, expires_at) > ? "
            "AND COALESCE(starts_at, expires_at) <= ? AND created_at <= COALESCE(starts_at, expires_at) - ? "
            "AND reminded_at IS NULL ORDER BY expires_at LIMIT ?" + db.skip_locked(),
            now,
            now + REMIND_BEFORE,
            REMIND_BEFORE,
            limit,
        )
        for (reservation_id,) in soon:
            db.run("UPDATE reservation SET reminded_at = ? WHERE id = ?", now, reservation_id)
        among = f"r.id IN ({', '.join('?' * len(soon))})"
        found = db.dicts(f"SELECT {COLUMNS} {SOURCE} WHERE {among}", *(id_ for (id_,) in soon)) if soon else []
        for one in together(sorted(found, key=lambda one: int(one["expires_at"]))):
            kind = "reminder" if one["starts_at"] is None else "slot_reminder"
            notices.tell(one["person_id"], kind, **{name: one[name] for name in TOLD})
        return len(soon)


def changed(listing_id: int, made: Mapping[str, Any] | None = None) -> None:
    """Tell whoever must follow (`on_change`) that some of a locked listing may have come free, or was reserved: `made`."""
    for follow in on_change:
        follow(listing_id, made)


def events(reservation_id: int) -> list[dict[str, Any]]:
    """The log of a reservation, oldest first."""
    query = (
        "SELECT e.at, e.verb, e.person_id, e.role, e.door, e.facts, h.name FROM reservation_event e "
        "LEFT JOIN person h ON h.id = e.person_id WHERE e.reservation_id = ? ORDER BY e.id"
    )
    return db.dicts(query, reservation_id)


def _check_live(found: Mapping[str, Any]) -> None:
    if found["state"] == "expired":
        raise Refusal("expired", expires_at=db.from_ms(found["expires_at"]), title=found["title"])
    if found["state"] not in LIVE_STATES:
        raise Refusal("already_ended", state=found["state"], pin=found["pickup_code"])


def end(actor: Actor, found: Mapping[str, Any], state: str, verb: str, **facts: object) -> bool:
    """End a live reservation and log it; False when somebody (a sweep of lapsed holds) was faster."""
    ended = db.run(
        "UPDATE reservation SET state = ?, ended_at = ? WHERE id = ? AND state IN ('held', 'prepared')",
        state, _now(), found["id"],
    )  # fmt: skip
    if ended:
        log(found["id"], actor, verb, **facts)
    return bool(ended)


def _must_end(actor: Actor, found: Mapping[str, Any], state: str, verb: str, **facts: object) -> None:
    """Raises: Refusal("already_ended") when somebody was faster."""
    if not end(actor, found, state, verb, **facts):
        raise Refusal("already_ended", state="expired", pin=found["pickup_code"])


def lapse_at(
    actor: Actor,
    found: Mapping[str, Any],
    expires_at: int,
    verb: str,
    facts: Mapping[str, object],
    *,
    moved: bool = False,
) -> bool:
    """A live reservation lapses at another moment, of which its person is reminded anew; `moved`: since the day from which
    the listing is there has. False when a sweep of lapsed holds was faster.
    """
    done = db.run(
        "UPDATE reservation SET expires_at = ?, moved_at = ?, reminded_at = NULL WHERE id = ? "
        "AND state IN ('held', 'prepared')",
        expires_at, _now() if moved else found["moved_at"], found["id"],
    )  # fmt: skip
    if done:
        log(found["id"], actor, verb, expires_at=expires_at, **facts)
    return bool(done)


def log(reservation_id: int, actor: Actor, verb: str, origin: str | None = None, /, **facts: object) -> None:
    """Write what somebody did to a reservation. With an `origin`, which is unique, it happens once."""
    db.run(
        "INSERT INTO reservation_event (reservation_id, at, verb, person_id, role, door, facts, origin) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        reservation_id,
        _now(),
        verb,
        actor.person_id,
        actor.role,
        actor.door,
        orjson.dumps(facts).decode(),
        origin,
    )


def _now() -> int:
    return clock.now_ms()


def moment(found: Mapping[str, Any], name: str) -> datetime | None:
    """A time of a reservation's facts, aware UTC."""
    return None if found[name] is None else db.from_ms(found[name])

"""Consequences: what becomes of what is reserved when a listing, the day of it, a time or a place's hours change.

Whoever loses something hears of it and why, without a strike; whoever can have it later has it later.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import date, timedelta
from typing import Any

from circular import catalog, clock, db, notices, places, reservations, settings, slots
from circular.errors import Refusal
from circular.people import Actor

# Who was offered some of a listing must give it back, as it is not there: called under the listing's lock, with its id.
on_retract: list[Callable[[int], None]] = []
# What follows when the day from which a listing is there has changed: as `reservations.on_change`, with the listing.
on_move: list[Callable[[Mapping[str, Any]], None]] = []


# --- listings ---------------------------------------------------------------------------------------------------------
def withdraw_listing(actor: Actor, code: str) -> None:
    """Take a listing off the catalogue; whoever held some of it loses the hold and is told. Twice changes nothing.

    Raises: Refusal("bad_code" | "no_such_listing" | "wrong_role" | "not_your_place").
    """
    actor.require("staff")
    with db.transaction():
        slots.lock(code)
        listing = catalog.withdraw(actor, code)
        if listing is None:
            return
        _end_holds(actor, listing)
        reservations.changed(listing["id"])


def revise_listing(
    actor: Actor,
    code: str,
    changes: Mapping[str, Any],
    revision: int | None,
    *,
    force: bool = False,
    reason: str = "",
) -> dict[str, Any]:
    """Change fields of a listing. When asbestos or lead turns out, whoever held some of it loses the hold and is told.

    By `force`, and a reason, there may be less than is held: the newest holds are given up, and their people are told why.
    Raises as `catalog.revise` does.
    """
    with db.transaction():
        actor.require("staff")
        slots.lock(code)
        before = db.value("SELECT available_from FROM listing WHERE code = ?", code)
        try:
            found = catalog.revise(actor, code, changes, revision)
        except Refusal as refusal:
            if refusal.code != "held_for_others" or not force:
                raise
            _make_room(actor, code, changes, reservations.must_say_why(reason))
            found = catalog.revise(actor, code, changes, revision)
        reservations.settle(found["id"])
        tell_moved(follow_day(actor, found, before))
        if catalog.blocking_hazard(found["hazards"]):
            _end_holds(actor, found)
        reservations.changed(found["id"])
        return found


def _make_room(actor: Actor, code: str, changes: Mapping[str, Any], why: Mapping[str, str]) -> None:
    """Less of a locked listing is there than was promised: offers go first, then holds, the newest first, then what lies
    ready.
    """
    listing = catalog.get(code, actor)
    left = catalog.check(changes, partial=True, unit=listing["unit"])["quantity"]
    for retract in on_retract:
        retract(listing["id"])
    holds = [one for one in reservations.live_of(listing["id"]) if one["starts_at"] is None]
    holds.sort(key=lambda one: (one["state"] != "held", -one["id"]))
    held = sum(hold["quantity"] for hold in holds)
    for hold in holds:
        if held <= left:
            return
        reservations.give_up(actor, hold, why)
        held -= hold["quantity"]


def follow_day(actor: Actor, listing: Mapping[str, Any], before: int | None) -> list[dict[str, Any]]:
    """The day from which a locked listing is there was `before`: its holds last as many opening days from the new one.

    None ends sooner than it did when the day is later. Those who wait are told; the holds are returned for `tell_moved`.
    """
    if listing["available_from"] == before:
        return []
    start = db.from_ms(max(clock.now_ms(), listing["available_from"] or 0))
    later = (listing["available_from"] or 0) > (before or 0)
    for found in reservations.live_of(listing["id"]):
        until = places.nth_closing(listing["place_hours"], start, settings.get().hold_opening_days)
        if found["extended_at"] is not None:
            until = places.nth_closing(listing["place_hours"], until, reservations.EXTENSION_OPENING_DAYS)
        expires_at = max(db.to_ms(until), found["expires_at"] if later else 0)
        facts = {"available_from": listing["available_from"]}
        reservations.lapse_at(actor, found, expires_at, "move", facts, moved=True)
    for follow in on_move:
        follow(listing)
    return reservations.live_of(listing["id"])


def tell_moved(found: Iterable[Mapping[str, Any]]) -> None:
    """Tell the people of reservations the new day, and that they may give up what no longer suits them."""
    for one in found:
        facts = ("title", "quantity", "unit", "pickup_code", "place_name", "expires_at")
        notices.tell(
            one["person_id"],
            "moved",
            available_from=one["available_from"] or clock.now_ms(),
            **{name: one[name] for name in facts},
        )


def _end_holds(actor: Actor, listing: Mapping[str, Any]) -> None:
    for hold in reservations.live_of(listing["id"]):
        if reservations.end(actor, hold, "cancelled", "withdraw"):
            notices.tell(hold["person_id"], "withdrawn", title=listing["title"])


# --- times and places -------------------------------------------------------------------------------------------------
def close_slot(actor: Actor, code: str, slot: slots.Slot, reason: str) -> dict[str, Any]:
    """Close a time of a listing for maintenance; whoever booked it is told, and it is given up without their fault.

    Raises: what `slots.block` raises.
    """
    with db.transaction():
        slots.lock(code)
        made = slots.block(actor, code, slot, reason)
        for reference, *_ in reservations.booked(slot.starts_at, slot.ends_at, listing=code):
            reservations.cancel(actor, reference, reason)
        reservations.changed(catalog.get(code, actor)["id"])  # what was offered of that time is not there
        return made


def open_slot(actor: Actor, code: str, reference: str) -> None:
    """Open a time of a listing that was closed for maintenance; those who wait for it are offered it.

    Raises: what `slots.unblock` raises.
    """
    with db.transaction():
        slots.lock(code)
        slots.unblock(actor, code, reference)
        reservations.changed(catalog.get(code, actor)["id"])


def close_place(actor: Actor, code: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Close a place for some days: what would lapse then is held until it opens again, what is booked then is given up
    without anybody's fault, and its people are told.

    Raises: what `places.close` raises.
    """
    with db.transaction():
        made = places.close(actor, code, values)
        between = _between(made)
        concerned = [listing for _, listing in reservations.lapsing(code, *between)]
        concerned += [listing for _, listing, *_ in reservations.booked(*between, place=code)]
        slots.lock(*concerned)
        _hold_longer(actor, code, made)
        _give_times_up(actor, code, made)
        return made


def _between(closure: Mapping[str, Any]) -> tuple[int, int]:
    """The first moment of a closure, and the first after it."""
    zone = settings.get().timezone
    first, last = (date.fromisoformat(closure[name]) for name in ("first_day", "last_day"))
    return db.to_ms(clock.midnight(first, zone)), db.to_ms(clock.midnight(last + timedelta(days=1), zone))


def _hold_longer(actor: Actor, code: str, closure: Mapping[str, Any]) -> None:
    """What would lapse on a day on which a place does not open any more lapses when it closes on the next that it does."""
    moved = []
    for reference, listing in reservations.lapsing(code, *_between(closure)):
        catalog.lock(listing)
        found = reservations.get(actor, reference)
        if found["state"] != "held":  # made ready meanwhile: it waits for ever
            continue
        day_before = db.from_ms(found["expires_at"]) - timedelta(days=1)
        until = db.to_ms(places.nth_closing(found["place_hours"], day_before, 1))
        same = clock.local(db.from_ms(until), settings.get().timezone).date()
        if same == clock.local(db.from_ms(found["expires_at"]), settings.get().timezone).date():
            continue  # it opens all the same that day: at other hours, or it is handed over elsewhere
        if reservations.lapse_at(actor, found, until, "close", reservations.why_said(closure["reason"])):
            moved.append({**found, "expires_at": until})
    for one in reservations.together(moved):
        notices.tell(one["person_id"], "held_longer", **{name: one[name] for name in reservations.TOLD})


def _give_times_up(actor: Actor, code: str, closure: Mapping[str, Any]) -> None:
    """What is booked for a time at which a place does not open any more is cancelled, and its people are told."""
    for reference, listing, *slot in reservations.booked(*_between(closure), place=code):
        slots.lock(listing)
        if not slots.is_open(catalog.get(listing, actor), slots.Slot(*slot)):
            reservations.cancel(actor, reference, closure["reason"])

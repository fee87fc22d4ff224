"""Slots: when a machine, a tool, a room or a workshop can be used. Availability follows from rules; only exceptions are kept.

A slot is half-open, [starts_at, ends_at), so that back-to-back slots do not conflict (design/architecture.md, traps). It lies
within the opening hours of its listing (else of its place), in local wall time, on a grid of steps that begins when it
opens. A step of 0 makes each opening one slot: a workshop's sessions are its opening hours, `We 18:00-20:00`, and its
quantity is the places. A booked room blocks what stands in it (its children), and the reverse.

A time that is taken can be waited for (waitlist.py): what comes free of it is kept for those who wait, in their order.
"""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from peewee import BigAutoField, BigIntegerField, IntegerField, TextField

from circular import catalog, clock, db, people, places, settings
from circular.checks import MILLI, Fields
from circular.errors import FieldErrors, Refusal
from circular.people import Actor

MINUTE = 60_000  # milliseconds
DAY = 24 * 60 * MINUTE
LONGEST_LOOK = 92 * DAY  # of an availability
OCCUPYING = ("held", "prepared", "picked_up")
REASON_LIMIT = 120


class SlotRule(db.Table):
    """The rules of one listing; what has no row has DEFAULTS. Minutes; `quota_minutes` of one person in a week, 0: any."""

    listing_id = BigIntegerField(primary_key=True)
    step_minutes = IntegerField()
    longest_minutes = IntegerField()
    notice_minutes = IntegerField()
    horizon_days = IntegerField()
    buffer_minutes = IntegerField()
    quota_minutes = IntegerField()
    cancel_minutes = IntegerField()
    training = TextField(default="")
    parent_id = BigIntegerField(null=True)


class SlotBlock(db.Table):
    """A time at which nobody can book: maintenance, an event."""

    id = BigAutoField()
    reference = TextField(unique=True)
    listing_id = BigIntegerField()
    starts_at = db.UtcDateTimeField()
    ends_at = db.UtcDateTimeField()
    reason = TextField()
    created_at = db.UtcDateTimeField()


class Training(db.Table):
    """Somebody may use what needs the training `code`, until a time (None: for good), says a place."""

    id = BigAutoField()
    person_id = BigIntegerField()
    code = TextField()
    place_id = BigIntegerField()
    until = BigIntegerField(null=True)
    created_at = db.UtcDateTimeField()


class Rules(NamedTuple):
    """See SlotRule. Defaults after fab-manager's: one hour, 60 days ahead (design/reservations.md, 4c)."""

    step_minutes: int = 60
    longest_minutes: int = 240
    notice_minutes: int = 0
    horizon_days: int = 60
    buffer_minutes: int = 0
    quota_minutes: int = 0
    cancel_minutes: int = 120
    training: str = ""
    parent_id: int | None = None


DEFAULTS = {"workshop": Rules(step_minutes=0, longest_minutes=24 * 60)}


class Slot(NamedTuple):
    """Milliseconds since 1970, the end exclusive."""

    starts_at: int
    ends_at: int


class Free(NamedTuple):
    """A slot of the grid, and how many units of the listing are free in it."""

    starts_at: int
    ends_at: int
    units: int


def of(found: Mapping[str, Any]) -> Slot | None:
    """The slot of a reservation, or of a place in a queue; None of a lot."""
    return None if found["starts_at"] is None else Slot(found["starts_at"], found["ends_at"])


# --- rules ------------------------------------------------------------------------------------------------------------
def rules(listing: Mapping[str, Any]) -> Rules:
    """The rules of a listing."""
    found = db.row(f"SELECT {', '.join(Rules._fields)} FROM slot_rule WHERE listing_id = ?", listing["id"])
    return Rules(*found) if found else _usual(listing)


def _usual(listing: Mapping[str, Any]) -> Rules:
    return DEFAULTS.get(listing["kind"], Rules())


def set_rules(actor: Actor, code: str, values: Mapping[str, Any]) -> Rules:
    """Change some of a listing's rules, by the staff of its place; `parent` is the code of the room that it stands in.
    A value that is empty is the usual one of its kind.

    Raises: Refusal("no_such_listing" | "wrong_role" | "not_your_place" | "slot_not_allowed" | "invalid").
    """
    with db.transaction():
        room = str(values.get("parent") or "")
        listing = _staffed(actor, code, *([room] if catalog.is_code(room) and catalog.code_in_use(room) else []))
        fields, usual = Fields(values, partial=True), _usual(listing)
        for name in Rules._fields[:7]:
            most = 366 if name == "horizon_days" else 366 * 24 * 60
            fields.whole(name, most=most, default=getattr(usual, name))
        fields.text("training", 40)
        fields.text("parent", 20)
        parent = fields.clean.pop("parent", None)
        changes = fields.clean
        if parent is not None:
            changes["parent_id"] = _parent(fields, listing, parent)
        fields.done()
        chosen = rules(listing)._replace(**changes)
        db.run("DELETE FROM slot_rule WHERE listing_id = ?", listing["id"])
        marks = ", ".join("?" * (len(Rules._fields) + 1))
        db.run(
            f"INSERT INTO slot_rule (listing_id, {', '.join(Rules._fields)}) VALUES ({marks})", listing["id"], *chosen
        )
        return chosen


def put_rules(actor: Actor, values: Mapping[str, Any]) -> str:
    """Set the rules of a listing from a file: "updated" or "unchanged", for whatever is booked has rules. It and its
    `parent` are named by the `external_id` that their `place` gave them (the parent by its code, too).

    Call inside a transaction. Raises as `set_rules` does.
    """
    place, name = values["place"], values["external_id"]
    code = catalog.code_named(place, name)
    listing = catalog.get(code, actor) if code else None
    if code is None or listing is None or listing["kind"] == "material":
        errors = FieldErrors()
        errors.add("external_id", "unknown_listing", value=name)
        raise Refusal("invalid", errors=errors)
    given = {key: value for key, value in values.items() if key not in ("place", "external_id")}
    if given.get("parent"):
        given["parent"] = catalog.code_named(place, given["parent"]) or given["parent"]
    before = rules(listing)
    return "unchanged" if set_rules(actor, code, given) == before else "updated"


def _parent(fields: Fields, listing: Mapping[str, Any], code: str) -> int | None:
    if not code:
        return None
    try:
        parent = catalog.get(code)
    except Refusal:
        fields.errors.add("parent", "unknown_listing", value=code)
        return None
    if parent["id"] == listing["id"] or parent["place_id"] != listing["place_id"] or parent["kind"] == "material":
        fields.errors.add("parent", "unknown_listing", value=code)
    return int(parent["id"])


def _staffed(actor: Actor, code: str, *others: str) -> dict[str, Any]:
    """A listing that is booked, locked with others, for the staff of its place."""
    lock(code, *others)
    listing = catalog.get(code, actor)
    actor.require_place(listing["place_id"], listing["place"])
    if listing["kind"] == "material":
        raise Refusal("slot_not_allowed", code=code, title=listing["title"])
    return listing


# --- what is taken ----------------------------------------------------------------------------------------------------
def lock(*codes: str) -> None:
    """Lock listings with what they block and what blocks them, in the order of their ids: no two bookings wait in a ring.

    Raises: Refusal("bad_code" | "no_such_listing").
    """
    ids = []
    for code in codes:
        found = db.value("SELECT id FROM listing WHERE code = ?", code)
        if found is None:
            catalog.lock(code)
        ids.append(int(found))
    locked: set[int] = set()
    while wanted := {*ids, *(one for listing_id in ids for one in family(listing_id))} - locked:
        catalog.lock_all(wanted)  # the second time: what was put into another room meanwhile
        locked |= wanted


def lock_for(code: str, slot: Slot | None) -> None:
    """Lock a listing for what is done to a slot of it (`lock`), or to a lot. Raises: as `lock` does."""
    if slot is None:
        catalog.lock(code)
    else:
        lock(code)


# Parameters: the number of a listing, twice.
FAMILY = (
    "SELECT parent_id FROM slot_rule WHERE listing_id = ? AND parent_id IS NOT NULL "
    "UNION SELECT listing_id FROM slot_rule WHERE parent_id = ?"
)


def family(listing_id: int) -> list[int]:
    """The room that something stands in, and what stands in a room."""
    return [int(row[0]) for row in db.rows(FAMILY, listing_id, listing_id)]


class _Taken(NamedTuple):
    starts_at: int
    ends_at: int
    units: int


def _taken(listing: Mapping[str, Any], start: int, end: int, but: int | None = None) -> list[_Taken]:
    """What is taken between two moments: reservations (but for one), closed times, and what the family holds."""
    related = family(listing["id"])
    everything = listing["quantity"]
    marks = ", ".join("?" * (1 + len(related)))
    states = ", ".join(f"'{state}'" for state in OCCUPYING)
    booked = db.rows(
        f"SELECT listing_id, starts_at, ends_at, quantity FROM reservation WHERE listing_id IN ({marks}) "
        f"AND starts_at < ? AND ends_at > ? AND state IN ({states}) AND id <> ?",
        listing["id"], *related, end, start, but or 0,
    )  # fmt: skip
    return [
        *(_Taken(since, until, units if one == listing["id"] else everything) for one, since, until, units in booked),
        *(_Taken(*slot, everything) for slot in _closed((listing["id"], *related), start, end)),
    ]


def _closed(listing_ids: Collection[int], start: int, end: int) -> list[Slot]:
    """When any of these listings is closed between two moments."""
    query = (
        f"SELECT starts_at, ends_at FROM slot_block WHERE listing_id IN ({', '.join('?' * len(listing_ids))}) "
        "AND starts_at < ? AND ends_at > ?"
    )
    return [Slot(*row) for row in db.rows(query, *listing_ids, end, start)]


def _units(listing: Mapping[str, Any], taken: Iterable[_Taken], slot: Slot, buffer: int) -> int:
    """Thousandths of a unit free during a slot: at its fullest moment, with a pause before and after what is taken."""
    near = [one for one in taken if one.starts_at - buffer < slot.ends_at and one.ends_at + buffer > slot.starts_at]
    moments = {slot.starts_at, *(max(slot.starts_at, one.starts_at - buffer) for one in near)}
    fullest = max(
        (sum(one.units for one in near if one.starts_at - buffer <= at < one.ends_at + buffer) for at in moments),
        default=0,
    )
    return max(0, int(listing["quantity"]) - fullest)


# --- what is kept for those who wait ----------------------------------------------------------------------------------
class _Queued(NamedTuple):
    """Somebody for whom some of a time is kept: it was offered to them, or is there and comes to them before others."""

    id: int
    person_id: int
    here: bool  # for the listing that is looked at, not for what blocks it
    offered: bool
    lapsed: bool  # the offer: it is kept for whoever comes next
    taken: _Taken


def _queued(listing: Mapping[str, Any], start: int, end: int) -> list[_Queued]:
    """For whom something is kept between two moments, of a listing and of its family, in their order. For nobody who could
    not book it then, nor hear of it in time.
    """
    related = family(listing["id"])
    found = db.rows(
        "SELECT w.id, w.person_id, w.listing_id, w.starts_at, w.ends_at, w.quantity, w.state, w.offer_expires_at "
        "FROM waiting w JOIN listing l ON l.id = w.listing_id "
        f"WHERE w.listing_id IN ({', '.join('?' * (1 + len(related)))}) AND w.starts_at < ? AND w.ends_at > ? "
        f"AND {catalog.QUEUED} AND (w.state = 'offered' OR w.suspended_at IS NULL) AND l.status = 'published' ORDER BY w.id",
        listing["id"], *related, end, start,
    )  # fmt: skip
    groups: dict[int, list[Slot]] = {}
    for _, _, listing_id, starts_at, ends_at, *_ in found:
        groups.setdefault(listing_id, []).append(Slot(starts_at, ends_at))
    left = {}
    for listing_id, wanted in groups.items():
        one = listing if listing_id == listing["id"] else catalog.get(catalog.code_of(listing_id))
        left[listing_id] = one, dict(zip(wanted, unbooked(one, wanted), strict=True))
    queued = []
    for waiting_id, person_id, listing_id, starts_at, ends_at, quantity, state, until in found:
        (one, units), slot, offered = left[listing_id], Slot(starts_at, ends_at), state == "offered"
        if offered or (quantity <= units[slot] and may_have(one, slot, person_id)):
            here, lapsed = listing_id == listing["id"], offered and until <= clock.now_ms()
            taken = _Taken(*slot, quantity if here else listing["quantity"])
            queued.append(_Queued(waiting_id, person_id, here, offered, lapsed, taken))
    return queued


def unbooked(listing: Mapping[str, Any], wanted: Sequence[Slot]) -> list[int]:
    """Thousandths of a unit that nobody has booked during each of some slots, for those who wait and for others."""
    if not wanted:
        return []
    buffer = rules(listing).buffer_minutes * MINUTE
    taken = _taken(listing, min(one.starts_at for one in wanted) - buffer, max(one.ends_at for one in wanted) + buffer)
    return [_units(listing, taken, slot, buffer) for slot in wanted]


def may_have(listing: Mapping[str, Any], slot: Slot, person_id: int) -> bool:
    """Whether somebody who waits for a slot could book it, once it is free, and hear of it before it is too late."""
    if last_call(listing, slot) <= db.to_ms(clock.waking(clock.now(), settings.get().timezone)):
        return False
    try:
        check_time(listing, slot, person_id)
    except Refusal:
        return False
    return True


def _kept(queued: Iterable[_Queued], slot: Slot, person_id: int | None) -> list[_Taken]:
    """What of a slot is kept for others than a person. Whoever waits for it has those before them to heed, and whoever was
    offered it nobody but whom something else was offered.
    """
    others = [one for one in queued if one.person_id != person_id or one.lapsed]
    own = [
        one for one in queued
        if one not in others and one.here and one.taken.starts_at <= slot.starts_at and slot.ends_at <= one.taken.ends_at
    ]  # fmt: skip
    if not own:
        return [one.taken for one in others]
    first = 0 if any(one.offered for one in own) else min(one.id for one in own)
    return [one.taken for one in others if one.offered or one.id < first]


def left(listing: Mapping[str, Any], slot: Slot, person_id: int | None, but: int | None = None) -> int:
    """Thousandths of a unit of a listing that a person could book during a slot, as far as others are concerned; `but` for
    a reservation that moves.
    """
    buffer = rules(listing).buffer_minutes * MINUTE
    around = slot.starts_at - buffer, slot.ends_at + buffer
    kept = _kept(_queued(listing, *around), slot, person_id)
    return _units(listing, [*_taken(listing, *around, but), *kept], slot, buffer)


# --- opening ----------------------------------------------------------------------------------------------------------
def _openings(listing: Mapping[str, Any], start: int, end: int) -> Iterator[Slot]:
    """When a listing can be used between two moments, whole openings (the first may have begun before)."""
    hours = places.own_hours(listing)
    for opens, closes in places.openings(hours, db.from_ms(start), db.from_ms(end)):
        yield Slot(db.to_ms(opens), db.to_ms(closes))


def is_open(listing: Mapping[str, Any], slot: Slot) -> bool:
    """True when a slot lies within one opening of a listing."""
    return _opening(listing, slot) is not None


def _grid(opening: Slot, step: int) -> Iterator[Slot]:
    if not step:
        yield opening
        return
    at = opening.starts_at
    while at + step <= opening.ends_at:
        yield Slot(at, at + step)
        at += step


def _looked_at(
    listing: Mapping[str, Any], start: int, end: int, person_id: int | None, *, busy: bool = False
) -> Iterator[Free]:
    """The slots of the grid between two moments, within notice and horizon, and what a person could book in each; with `busy`
    no farther than something is taken.
    """
    chosen, now = rules(listing), clock.now_ms()
    start = max(start, now + chosen.notice_minutes * MINUTE)
    end = min(end, start + LONGEST_LOOK, now + chosen.horizon_days * DAY)
    if start >= end:
        return
    taken, queued = _taken(listing, start - DAY, end + DAY), _queued(listing, start - DAY, end + DAY)
    if busy:
        end = min(end, max((one.ends_at for one in (*taken, *(one.taken for one in queued))), default=start))
        end += chosen.buffer_minutes * MINUTE
    for opening in _openings(listing, start, end):
        for slot in _grid(opening, chosen.step_minutes * MINUTE):
            if start <= slot.starts_at < end:
                others = [*taken, *_kept(queued, slot, person_id)] if queued else taken
                yield Free(*slot, _units(listing, others, slot, chosen.buffer_minutes * MINUTE))


def free(
    listing: Mapping[str, Any],
    start: int,
    end: int,
    limit: int = 1000,
    person_id: int | None = None,
    *,
    units: int = MILLI,
) -> list[Free]:
    """The first slots of the grid between two moments (milliseconds), within notice and horizon, of which so many units (in
    thousandths) are free; for a person: those that are kept for them, too.
    """
    found = (one for one in _looked_at(listing, start, end, person_id) if one.units >= units)
    return list(itertools.islice(found, limit))


def full(
    listing: Mapping[str, Any],
    start: int,
    end: int,
    limit: int = 1000,
    person_id: int | None = None,
    *,
    units: int = MILLI,
) -> list[Slot]:
    """The first slots between two moments of which fewer units (in thousandths) are left and which one can wait for: not
    those closed for maintenance.
    """
    closed = _closed((listing["id"], *family(listing["id"])), start, end)
    found = (
        Slot(one.starts_at, one.ends_at)
        for one in _looked_at(listing, start, end, person_id, busy=True)
        if one.units < units
        and not any(time.starts_at < one.ends_at and one.starts_at < time.ends_at for time in closed)
    )
    return list(itertools.islice(found, limit))


def availability(code: str, since: datetime | None, until: datetime | None, *, taken: bool = False) -> list[Free]:
    """The free slots of a listing between two moments, or those that are all `taken`; a week from now when none are given.

    Raises: Refusal("invalid" | "bad_code" | "no_such_listing" | "slot_not_allowed").
    """
    if since is not None and until is not None and until <= since:
        errors = FieldErrors()
        errors.add("to", "end_before_start")
        errors.refuse()
    listing = catalog.get(code)
    if listing["kind"] == "material":
        raise Refusal("slot_not_allowed", code=code, title=listing["title"])
    start = clock.now_ms() if since is None else db.to_ms(since)
    end = start + 7 * DAY if until is None else db.to_ms(until)
    return [Free(*slot, 0) for slot in full(listing, start, end)] if taken else free(listing, start, end)


# --- booking ----------------------------------------------------------------------------------------------------------
def read(values: object) -> Slot:
    """A slot as the API writes it, `{"starts_at", "ends_at"}` in RFC 3339. Raises: Refusal("invalid")."""
    fields = Fields(values if isinstance(values, Mapping) else {})
    for name in ("starts_at", "ends_at"):
        fields.raw(name, required=True)
        fields.moment(name, settings.get().timezone)
    start, end = (fields.clean.get(name) for name in ("starts_at", "ends_at"))
    if start is not None and end is not None and end <= start:
        fields.errors.add("ends_at", "end_before_start")
    clean = fields.done()
    return Slot(clean["starts_at"], clean["ends_at"])


def check(
    listing: Mapping[str, Any], slot: Slot, units: int, person_id: int, *, staff: bool = False, but: int | None = None
) -> None:
    """Whether somebody may book `units` (thousandths) of a listing then; `but` for a reservation that moves. Under the lock.

    Staff are bound by hours and by what is taken alone.
    Raises: what `check_time` raises, and Refusal("slot_taken").
    """
    if not staff and rules(listing).quota_minutes:
        people.lock(person_id)  # they may book something of it by another door at once
    check_time(listing, slot, person_id, staff=staff)
    there = left(listing, slot, person_id, but)
    if there < units:
        following = free(listing, slot.starts_at, slot.starts_at + 14 * DAY, 3)
        raise Refusal(
            "slot_taken", code=listing["code"], title=listing["title"], phone=listing["place_phone"],
            available=catalog.amount(there),
            next=[{"starts_at": _told(one.starts_at), "ends_at": _told(one.ends_at)} for one in following],
        )  # fmt: skip


def check_most(listing: Mapping[str, Any], wanted: int) -> None:
    """More units (in thousandths) than there are of something booked for a time never come free.

    Raises: Refusal("above_maximum").
    """
    if wanted > listing["quantity"]:
        raise Refusal(
            "above_maximum", code=listing["code"], title=listing["title"], maximum=catalog.amount(listing["quantity"]),
            unit=listing["unit"],
        )  # fmt: skip


def check_time(listing: Mapping[str, Any], slot: Slot, person_id: int, *, staff: bool = False) -> None:
    """Whether somebody may book or wait for a listing then, whoever has it. Staff are bound by hours alone.

    Raises: Refusal("slot_in_past" | "too_soon" | "too_far" | "too_long" | "not_on_grid" | "outside_hours" |
    "training_required" | "quota_exceeded").
    """
    chosen, now = rules(listing), clock.now_ms()
    facts = {"code": listing["code"], "title": listing["title"], "phone": listing["place_phone"]}
    if slot.ends_at <= slot.starts_at:
        raise Refusal("not_on_grid", step=chosen.step_minutes, **facts)
    if slot.starts_at < now:
        raise Refusal("slot_in_past", **facts)
    if not staff:
        _check_rules(listing, chosen, slot, person_id, facts)
    opening = _opening(listing, slot)
    if opening is None:
        raise outside_hours(listing)
    if not _fits(opening, slot, chosen):
        raise Refusal("not_on_grid", step=chosen.step_minutes, **facts)


def outside_hours(listing: Mapping[str, Any]) -> Refusal:
    """What is said of a time at which a listing is closed."""
    return Refusal(
        "outside_hours", hours=places.usual(places.own_hours(listing)), code=listing["code"], title=listing["title"],
        phone=listing["place_phone"],
    )  # fmt: skip


def check_waitable(listing: Mapping[str, Any], slot: Slot, person_id: int, *, staff: bool = False) -> None:
    """Whether somebody may wait for a slot. Raises: what `check_time` raises; "too_soon" for the staff too."""
    check_time(listing, slot, person_id, staff=staff)
    if last_call(listing, slot) <= clock.now_ms():
        raise Refusal(
            "too_soon", notice=rules(listing).notice_minutes, code=listing["code"], title=listing["title"],
            phone=listing["place_phone"],
        )  # fmt: skip


def _opening(listing: Mapping[str, Any], slot: Slot) -> Slot | None:
    """The opening of a listing in which a slot lies."""
    openings = _openings(listing, slot.starts_at, slot.ends_at)
    return next((one for one in openings if one.starts_at <= slot.starts_at and slot.ends_at <= one.ends_at), None)


def _fits(opening: Slot, slot: Slot, chosen: Rules) -> bool:
    step = chosen.step_minutes * MINUTE
    return all((moment - opening.starts_at) % step == 0 for moment in slot) if step else slot == opening


def slot_at(listing: Mapping[str, Any], moment: int, until: int | None = None) -> Slot | None:
    """The slot of the grid in which a moment lies, or the one from it `until` another (milliseconds); None when the listing
    is closed then, or not booked so.
    """
    if until is not None:
        slot = Slot(moment, until)
        return slot if is_slot(listing, slot) else None
    step = rules(listing).step_minutes * MINUTE
    slots = (slot for opening in _openings(listing, moment, moment + 1) for slot in _grid(opening, step))
    return next((slot for slot in slots if slot.starts_at <= moment < slot.ends_at), None)


def is_slot(listing: Mapping[str, Any], slot: Slot) -> bool:
    """Whether there is such a slot: hours and steps may have changed since somebody asked for it."""
    opening = _opening(listing, slot)
    return opening is not None and _fits(opening, slot, rules(listing))


def last_call(listing: Mapping[str, Any], slot: Slot) -> int:
    """The moment (milliseconds) from which nobody can book a slot any more."""
    return slot.starts_at - rules(listing).notice_minutes * MINUTE


def _told(moment: int) -> str:
    return clock.rfc3339(db.from_ms(moment))


def _check_rules(
    listing: Mapping[str, Any], chosen: Rules, slot: Slot, person_id: int, facts: Mapping[str, Any]
) -> None:
    now = clock.now_ms()
    if slot.starts_at < now + chosen.notice_minutes * MINUTE:
        raise Refusal("too_soon", notice=chosen.notice_minutes, **facts)
    if slot.starts_at > now + chosen.horizon_days * DAY:
        raise Refusal("too_far", horizon=chosen.horizon_days, **facts)
    if slot.ends_at - slot.starts_at > chosen.longest_minutes * MINUTE:
        raise Refusal("too_long", longest=chosen.longest_minutes, **facts)
    if chosen.training and not trained(person_id, chosen.training, slot.ends_at):
        raise Refusal("training_required", training=chosen.training, **facts)
    if chosen.quota_minutes:
        monday = clock.local(db.from_ms(slot.starts_at), settings.get().timezone)
        monday = monday.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=monday.weekday())
        used = db.value(
            "SELECT CAST(COALESCE(SUM(ends_at - starts_at), 0) AS BIGINT) FROM reservation WHERE listing_id = ? "
            "AND person_id = ? AND starts_at >= ? AND starts_at < ? "
            "AND state IN ('held', 'prepared', 'picked_up', 'given_back')",
            listing["id"], person_id, db.to_ms(monday), db.to_ms(monday + timedelta(days=7)),
        )  # fmt: skip
        if used + slot.ends_at - slot.starts_at > chosen.quota_minutes * MINUTE:
            raise Refusal("quota_exceeded", quota=chosen.quota_minutes, **facts)


def check_deadline(listing: Mapping[str, Any], starts_at: int) -> None:
    """Until when somebody may move or cancel by themselves. Raises: Refusal("too_late")."""
    if starts_at - rules(listing).cancel_minutes * MINUTE <= clock.now_ms():
        raise Refusal("too_late", code=listing["code"], title=listing["title"], phone=listing["place_phone"])


# --- closed times, trainings ------------------------------------------------------------------------------------------
def block(actor: Actor, code: str, slot: Slot, reason: str) -> dict[str, Any]:
    """Close a time of a listing, by the staff of its place. Whoever has it is the affair of `consequences.close_slot`.

    Raises: Refusal("no_such_listing" | "wrong_role" | "not_your_place" | "slot_not_allowed" | "invalid").
    """
    fields = Fields({"reason": reason, "ends_at": slot.ends_at}, partial=True)
    fields.text("reason", REASON_LIMIT)
    if slot.ends_at <= slot.starts_at:
        fields.errors.add("ends_at", "positive")
    fields.errors.refuse()
    listing, reference = _staffed(actor, code), secrets.token_hex(8)
    db.run(
        "INSERT INTO slot_block (reference, listing_id, starts_at, ends_at, reason, created_at) VALUES (?, ?, ?, ?, ?, ?)",
        reference, listing["id"], *slot, fields.clean.get("reason", ""), clock.now_ms(),
    )  # fmt: skip
    return {"reference": reference, "listing": code, "reason": fields.clean.get("reason", ""), **slot._asdict()}


def blocks(code: str) -> list[dict[str, Any]]:
    """The closed times of a listing that are not over. Raises: Refusal("no_such_listing" | "bad_code")."""
    listing = catalog.get(code)
    query = (
        "SELECT reference, starts_at, ends_at, reason FROM slot_block WHERE listing_id = ? AND ends_at > ? "
        "ORDER BY starts_at"
    )
    return [{"listing": code, **found} for found in db.dicts(query, listing["id"], clock.now_ms())]


def unblock(actor: Actor, code: str, reference: str) -> None:
    """Open a closed time again. Whoever waits for it is the affair of `consequences.open_slot`.

    Raises: as `block`, and Refusal("no_such_block").
    """
    listing = _staffed(actor, code)
    if not db.run("DELETE FROM slot_block WHERE reference = ? AND listing_id = ?", reference, listing["id"]):
        raise Refusal("no_such_block")


def train(actor: Actor, phone: str, code: str, until: datetime | None) -> dict[str, Any]:
    """Note that whoever has this phone knows how to use what needs the training `code`. Twice changes the date.

    Raises: Refusal("wrong_role" | "bad_phone" | "invalid").
    """
    actor.require("staff")
    fields = Fields({"training": code})
    fields.text("training", 40, required=True)
    name = fields.done()["training"]
    with db.transaction():
        person_id = people.ensure(people.reachable_phone(phone))
        end = None if until is None else db.to_ms(until)
        db.run(
            "INSERT INTO training (person_id, code, place_id, until, created_at) VALUES (?, ?, ?, ?, ?) "
            "ON CONFLICT (person_id, code) DO UPDATE SET until = excluded.until, place_id = excluded.place_id",
            person_id, name, actor.place_id or 0, end, clock.now_ms(),
        )  # fmt: skip
        return {"training": name, "until": end}


def trained(person_id: int, code: str, at: int) -> bool:
    """Whether somebody knows how to use what needs a training, at a moment."""
    query = "SELECT 1 FROM training WHERE person_id = ? AND code = ? AND (until IS NULL OR until >= ?)"
    return db.value(query, person_id, code, at) is not None


def export(person_id: int) -> list[dict[str, Any]]:
    """The trainings of a person."""
    return db.dicts(
        "SELECT code AS training, until AS ends_at, created_at FROM training WHERE person_id = ?", person_id
    )


def erase(person_id: int) -> None:
    """Forget the trainings of a person."""
    db.run("DELETE FROM training WHERE person_id = ?", person_id)

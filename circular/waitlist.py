"""The waitlist: those who want what is all taken, in the order in which they came.

    waiting -> offered -> taken | passed | lapsed
       |          |
       `----------`-----> left (by the person) | closed (the listing is over)
       `----------`-----> suspended (by the person, who keeps their rank) -> waiting

What is free of a listing is kept for those who wait before anybody else sees it (`catalog.AVAILABLE`), whatever made it
free: a cancellation, a lapsed hold, a partial pick-up, more stock. One of them at a time has an offer: theirs alone until
WAITLIST_OFFER_HOURS waking hours have passed, then the next one's. The first whose quantity is there gets it, so that who
wants much keeps their rank and holds nobody up. An offer is taken by `take`, or by reserving that listing.

A session that is full, or an hour of a machine, is waited for by its slot: in one queue a listing, of which those whose
slots overlap stand before one another. There is one offer at a time of a moment, and none ends after the slot can still be
booked. Who could not book it, or not hear of it in time, is passed over and keeps their rank. When nothing came free until
the last moment, those who waited for it are told.

`reservations` calls `_follow` in the transaction of each change; `sweep` sees to what no verb tells: time, and files.
Every verb writes the listing's lock first, so the queue of a listing changes in one hand at a time.
"""

from __future__ import annotations

import functools
import logging
import secrets
from collections.abc import Container, Iterable, Mapping
from typing import Any, NamedTuple

from peewee import BigAutoField, BigIntegerField, TextField

from circular import catalog, clock, consequences, db, notices, people, places, reservations, settings, slots
from circular.checks import Fields
from circular.errors import Refusal
from circular.people import Actor

LIVE_STATES = ("waiting", "offered")
STATES = (*LIVE_STATES, "suspended", "taken", "passed", "lapsed", "left", "closed")
MOST_WAITS = 10  # of one person at a time: a place in a queue costs nothing, and that many queues are a hoard
LATE = 24 * 3_600_000  # milliseconds during which somebody who answers a lapsed offer is told so
TOWN = Actor(None, "admin", "cli")
log = logging.getLogger(__name__)


class Waiting(db.Table):
    """A person's place in the queue of a listing: by `id`, oldest first. `quantity` in thousandths of its unit."""

    id = BigAutoField()
    reference = TextField(unique=True)  # what doors show: random, so that nobody can walk through them
    person_id = BigIntegerField()
    listing_id = BigIntegerField()
    quantity = BigIntegerField()
    state = TextField()
    origin = TextField(unique=True)
    role = TextField()  # of whoever asked, and their door: staff may act for somebody
    door = TextField()
    created_at = db.UtcDateTimeField()
    offered_at = BigIntegerField(null=True)
    offer_expires_at = BigIntegerField(null=True)
    suspended_at = BigIntegerField(null=True)  # of who waits, but wants no offer now; their `state` is `waiting`
    ended_at = BigIntegerField(null=True)
    starts_at = BigIntegerField(null=True)  # of the slot that is waited for; None of a lot
    ends_at = BigIntegerField(null=True)


# As doors say it: who has set their place aside waits all the same.
STATE = "CASE WHEN w.suspended_at IS NULL OR w.ended_at IS NOT NULL THEN w.state ELSE 'suspended' END"
COLUMNS = (
    f"w.id, w.reference, w.person_id, w.quantity, {STATE} AS state, w.created_at, w.offer_expires_at, w.ended_at, "
    "w.starts_at, w.ends_at, w.listing_id, l.code AS listing, l.title, l.unit, l.quantity AS stock, "
    "l.place_id, p.code AS place, p.name AS place_name, h.phone, "
    "(SELECT COUNT(*) FROM waiting w2 WHERE w2.listing_id = w.listing_id AND w2.id <= w.id "
    "AND w2.state IN ('waiting', 'offered') "
    "AND (w.starts_at IS NULL OR (w2.starts_at < w.ends_at AND w2.ends_at > w.starts_at))) AS rank"
)
SOURCE = (
    "FROM waiting w JOIN listing l ON l.id = w.listing_id JOIN place p ON p.id = l.place_id "
    "JOIN person h ON h.id = w.person_id"
)


class Filter(NamedTuple):
    """Which places in queues to list."""

    state: str = ""
    listing: str = ""
    after: int = 0
    limit: int = 20


def filter_of(values: Mapping[str, Any]) -> Filter:
    """A filter from what a link says. Raises: Refusal("invalid" | "bad_cursor")."""
    fields = Fields(values, partial=True)
    fields.choice("state", STATES)
    fields.text("listing", 20)
    after, limit = places.paging(values)
    return Filter(after=after, limit=limit, **fields.done())


# --- reading ----------------------------------------------------------------------------------------------------------
def _select(condition: str, *params: object) -> list[dict[str, Any]]:
    found = db.dicts(f"SELECT {COLUMNS} {SOURCE} WHERE {condition}", *params)
    for one in found:
        if one["state"] not in (*LIVE_STATES, "suspended"):
            one["rank"] = None
    return found


def get(actor: Actor, reference: str) -> dict[str, Any]:
    """One's own place in a queue, or one at the place where one works.

    Raises: Refusal("no_such_wait"), also for somebody else's: its existence is private.
    """
    found = _select("w.reference = ?", reference)
    if not found or not (found[0]["person_id"] == actor.person_id or actor.works_at(found[0]["place_id"])):
        raise Refusal("no_such_wait")
    return found[0]


def find(actor: Actor, wanted: Filter) -> list[dict[str, Any]]:
    """One's own places in queues, or those at the place where one works (an admin: all), newest first."""
    conditions: list[str] = ["1 = 1"]
    params: list[object] = []
    if actor.role == "staff":
        conditions.append("l.place_id = ?")
        params.append(actor.place_id)
    elif actor.role != "admin":
        conditions.append("w.person_id = ?")
        params.append(actor.person_id)
    for condition, value in (
        ("w.id < ?", wanted.after),
        ("l.code = ?", wanted.listing),
        (f"{STATE} = ?", wanted.state),
    ):
        if value:
            conditions.append(condition)
            params.append(value)
    return _select(f"{' AND '.join(conditions)} ORDER BY w.id DESC LIMIT ?", *params, wanted.limit)


def mine(person_id: int, limit: int = MOST_WAITS) -> list[dict[str, Any]]:
    """Where a person waits, oldest first."""
    return _select("w.person_id = ? AND w.state IN ('waiting', 'offered') ORDER BY w.id LIMIT ?", person_id, limit)


def anybody(listing_id: int) -> bool:
    """True while somebody waits for a listing."""
    return (
        db.value(f"SELECT 1 FROM waiting w WHERE w.listing_id = ? AND {catalog.QUEUED} LIMIT 1", listing_id) is not None
    )


def offers_of(person_id: int) -> list[dict[str, Any]]:
    """What a person was offered and may still take, the latest first."""
    live = "w.person_id = ? AND w.state = 'offered' AND w.offer_expires_at > ? ORDER BY w.offered_at DESC, w.id DESC"
    return _select(live, person_id, _now())


# --- waiting ----------------------------------------------------------------------------------------------------------
def join(
    actor: Actor,
    person_id: int,
    code: str,
    quantity: object,
    origin: str,
    *,
    slot: slots.Slot | None = None,
) -> dict[str, Any]:
    """Wait for some of a listing, or of a `slot` of what is booked for a time; `quantity` in its unit (None: its smallest).
    Whoever waits already keeps their place, whoever had it set aside is offered something again, and whoever names another
    quantity waits for that from now on, at the rank that they have. More of a lot than there is may be waited for: staff
    add stock; until then, those behind who want less are served first.

    `origin` names the line or request that asks: asking again by the one that began to wait returns what became of it.
    Raises: Refusal("bad_code" | "no_such_listing" | "not_reservable" | "hazard" | "no_longer_available" |
    "quantity_not_positive" | "whole_number_needed" | "below_minimum" | "not_a_step" | "still_available" |
    "too_many_waits" | "below_builder_minimum" | "kept_for_residents" | "not_open_yet" | "entries_only" | "window_closed" |
    "slot_not_allowed" | "already_booked" | "above_maximum") and, for a slot, what `slots.check_waitable` raises.
    """
    with db.transaction():
        slots.lock_for(code, slot)
        earlier = _select("w.origin = ?", origin)
        if earlier:
            return earlier[0]
        listing = catalog.get(code)
        reservations.check_reservable(listing, slot)
        reservations.check_gates(listing)
        wanted = reservations.check_quantity(listing, quantity)
        if slot is not None and reservations.holds(person_id, listing["id"], slot):
            raise Refusal("already_booked", code=code, title=listing["title"], **_begins(slot))
        waiting = [
            one for one in _select(f"w.listing_id = ? AND w.person_id = ? AND {catalog.QUEUED}", listing["id"], person_id)
            if slot is None or (one["starts_at"] < slot.ends_at and slot.starts_at < one["ends_at"])
        ]  # fmt: skip
        waiting.sort(key=lambda one: slots.of(one) != slot)  # of several that overlap, the very one
        if waiting and actor.door == "web":  # whoever types a number may not be who reads its texts: nothing changes
            return waiting[0]
        changes = quantity is not None and waiting and waiting[0]["quantity"] != wanted
        if waiting and not (changes and waiting[0]["state"] != "offered" and slots.of(waiting[0]) == slot):
            return _resume(waiting[0])
        if slot is None:
            reservations.check_shares(listing, wanted, person_id)
            there = listing["available"]
        else:
            slots.check_waitable(listing, slot, person_id, staff=actor.works_at(listing["place_id"]))
            slots.check_most(listing, wanted)
            there = slots.left(listing, slot, person_id)
        if wanted <= there:
            raise Refusal(
                "still_available", code=code, title=listing["title"], available=catalog.amount(there),
                unit=listing["unit"], **_begins(slot),
            )  # fmt: skip
        if waiting:
            db.run("UPDATE waiting SET quantity = ? WHERE id = ?", wanted, waiting[0]["id"])
            _pass_on(listing["id"])
            return _resume(waiting[0])
        # One person may join several queues at once: their row is locked, after the listing's (always in that order).
        people.lock(person_id)
        if len(mine(person_id)) >= MOST_WAITS:
            raise Refusal("too_many_waits", limit=MOST_WAITS)
        waiting_id = db.value(
            "INSERT INTO waiting (reference, person_id, listing_id, quantity, state, origin, role, door, created_at, "
            "starts_at, ends_at) VALUES (?, ?, ?, ?, 'waiting', ?, ?, ?, ?, ?, ?) RETURNING id",
            secrets.token_hex(10), person_id, listing["id"], wanted, origin, actor.role, actor.door, _now(),
            *(slot or (None, None)),
        )  # fmt: skip
        joined = _select("w.id = ?", waiting_id)[0]
        if actor.door == "web":  # whose phone it is reads where they stand; by SMS the answer itself says so
            facts = {name: joined[name] for name in ("title", "rank", "quantity", "unit", "stock")}
            kind = "waiting_more" if exceeds(joined) else "waiting"
            notices.tell(person_id, kind, code=code, slot_at=joined["starts_at"], **facts)
        return joined


def exceeds(waiting: Mapping[str, Any]) -> bool:
    """Whether somebody waits for more of a lot than there is, while all that there is could be asked for instead."""
    if waiting["starts_at"] is not None or waiting["quantity"] <= waiting["stock"]:
        return False
    try:
        reservations.check_quantity(catalog.get(waiting["listing"], TOWN), catalog.amount(waiting["stock"]))
    except Refusal:
        return False
    return True


def is_waitable(listing: Mapping[str, Any]) -> bool:
    """Whether a lot is all taken, and some of it may come free to who waits."""
    try:
        reservations.check_reservable(listing)
        reservations.check_gates(listing)
    except Refusal:
        return False
    return bool(listing["available"] < listing["min_quantity"] <= listing["quantity"])


def join_by_phone(
    phone: str, code: str, quantity: object, origin: str, *, visitor: str, slot: slots.Slot | None = None
) -> dict[str, Any]:
    """Wait for whoever reads the SMS of a phone number; `visitor` is whose tries are counted (an address).

    Raises: Refusal("too_many_requests" | "bad_phone" | "opted_out") and whatever `join` raises.
    """

    def act(actor: Actor, person_id: int) -> dict[str, Any]:
        what = f"{person_id}:{code}:{slot.starts_at if slot else quantity}"  # as `draws.ask_by_phone` has it
        return join(actor, person_id, code, quantity, f"{origin}:wait:{what}", slot=slot)

    return reservations.by_phone(phone, act, visitor=visitor, door="web")


def _must_slot(found: Mapping[str, Any]) -> slots.Slot:
    return slots.Slot(found["starts_at"], found["ends_at"])


def _begins(slot: slots.Slot | None) -> dict[str, object]:
    """The fact of a refusal that says of which time it speaks."""
    return {} if slot is None else {"starts_at": db.from_ms(slot.starts_at)}


def leave(actor: Actor, reference: str) -> None:
    """Give a place in a queue up, by its person or by the staff of the listing's place. Twice changes nothing.

    Raises: Refusal("no_such_wait").
    """
    with db.transaction():
        found = get(actor, reference)
        slots.lock_for(found["listing"], slots.of(found))
        if _end(found["id"], "left"):
            _pass_on(found["listing_id"])


def suspend(actor: Actor, reference: str) -> dict[str, Any]:
    """Set a place in a queue aside, by its person or by the staff of the listing's place: it keeps its rank and gets no
    offer; one that is open goes to the next. Twice changes nothing.

    Raises: Refusal("no_such_wait"), also when it is over.
    """
    with db.transaction():
        found = _take(actor, reference)
        if found["state"] != "suspended":
            query = "UPDATE waiting SET state = 'waiting', offer_expires_at = NULL, suspended_at = ? WHERE id = ?"
            db.run(query, _now(), found["id"])
            _pass_on(found["listing_id"])
        return get(actor, reference)


def resume(actor: Actor, reference: str) -> dict[str, Any]:
    """Wait again at the rank that one has kept. Twice changes nothing. Raises: Refusal("no_such_wait")."""
    with db.transaction():
        return _resume(_take(actor, reference))


def _resume(found: dict[str, Any]) -> dict[str, Any]:
    if found["state"] == "suspended":
        db.run("UPDATE waiting SET suspended_at = NULL WHERE id = ?", found["id"])
        _pass_on(found["listing_id"])
    return _select("w.id = ?", found["id"])[0]


def _take(actor: Actor, reference: str) -> dict[str, Any]:
    """Lock the listing of a place in a queue that is not over. Raises: Refusal("no_such_wait")."""
    found = get(actor, reference)
    slots.lock_for(found["listing"], slots.of(found))
    found = get(actor, reference)
    if found["state"] not in (*LIVE_STATES, "suspended"):
        raise Refusal("no_such_wait")
    return found


# --- offers -----------------------------------------------------------------------------------------------------------
def take(
    actor: Actor, person_id: int, origin: str, quantity: object = None, known: Container[str] | None = None
) -> dict[str, Any] | None:
    """Reserve what a person was offered last, or `quantity` of it; None when nothing is offered to them.

    `known`: the references of the offers that have reached them (None: all have); no other is meant.
    Asking again by the same `origin` returns the first result.
    Raises: Refusal("offer_lapsed") and whatever `reservations.reserve` raises: the offer then stands until it lapses.
    """
    with db.transaction():
        earlier = reservations.by_origin(origin)
        if earlier is not None:
            return earlier
        offer = _lock_offer(person_id, known)
        if offer is None:
            _refuse_late(person_id)
            return None
        wanted = catalog.amount(offer["quantity"]) if quantity is None else quantity
        return reservations.reserve(actor, person_id, offer["listing"], wanted, origin, slot=slots.of(offer))


def pass_offer(person_id: int, known: Container[str] | None = None) -> dict[str, Any] | None:
    """Leave to the next one what a person was offered last; what it was, or None when nothing is offered to them.

    `known` as for `take`.
    """
    with db.transaction():
        offer = _lock_offer(person_id, known)
        if offer is not None:
            _end(offer["id"], "passed")
            _pass_on(offer["listing_id"])
        return offer


def _lock_offer(person_id: int, known: Container[str] | None) -> dict[str, Any] | None:
    """The offer that a person had last, knows of and may still take, its listing locked; None when there is none."""
    offer = next((one for one in offers_of(person_id) if known is None or one["reference"] in known), None)
    if offer is None:
        return None
    slots.lock_for(offer["listing"], slots.of(offer))
    return next(iter(_select("w.id = ? AND w.state = 'offered'", offer["id"])), None)


def _refuse_late(person_id: int) -> None:
    """Raises: Refusal("offer_lapsed") when the last thing that came of a person's waiting is that an offer lapsed."""
    last = _select(
        "w.person_id = ? AND w.offered_at IS NOT NULL ORDER BY w.offered_at DESC, w.id DESC LIMIT 1", person_id
    )
    for offer in last:
        lapsed = offer["state"] in ("offered", "lapsed")  # `offered`: nobody has noted it yet
        if lapsed and _now() - LATE < offer["offer_expires_at"] <= _now():
            raise Refusal("offer_lapsed", title=offer["title"], code=offer["listing"], **_begins(slots.of(offer)))


# An offer that nobody took in time, or whose person reads no texts any more.
_OVERDUE = f"w.state = 'offered' AND (w.offer_expires_at <= ? OR {people.OPTED_OUT.format(row='w')})"


def sweep(limit: int = 200) -> int:
    """Let lapse the offers that nobody took, or whose person said STOP, and offer what came free; how many listings there was
    something to do for.
    """
    now = _now()
    restless = db.rows(
        "SELECT l.code FROM waiting w JOIN listing l ON l.id = w.listing_id "
        f"WHERE {_OVERDUE} "
        "UNION SELECT l.code FROM waiting w JOIN listing l ON l.id = w.listing_id WHERE w.state = 'waiting' "
        f"AND {catalog.QUEUED} AND w.starts_at IS NULL AND l.status = 'published' "
        f"AND (l.available_until < ? OR (w.suspended_at IS NULL AND w.quantity <= {catalog.FREE})) "
        "AND NOT EXISTS (SELECT 1 FROM waiting o WHERE o.listing_id = l.id AND o.state = 'offered') LIMIT ?",
        now, now, now, limit,
    )  # fmt: skip
    codes = [*dict.fromkeys((*(code for (code,) in restless), *_restless_slots(limit)))]
    for code in codes:
        try:
            db.retrying(functools.partial(_settle, code))
        except Exception as error:  # one listing keeps none of the others waiting
            if db.passing(error):
                raise
            log.exception("the waitlist of %s could not be seen to", code)
    return len(codes)


def _restless_slots(limit: int) -> list[str]:
    """The listings of which a slot that somebody waits for is over, or came free by no verb (a file has changed the hours):
    the next slots are looked at.
    """
    found = _select(f"w.starts_at IS NOT NULL AND {catalog.QUEUED} ORDER BY w.starts_at, w.id LIMIT ?", 5 * limit)
    queues: dict[str, list[dict[str, Any]]] = {}
    for one in found:
        queues.setdefault(one["listing"], []).append(one)
    return [code for code, queue in queues.items() if _is_restless(catalog.get(code, TOWN), queue)]


def _is_restless(listing: Mapping[str, Any], queue: list[dict[str, Any]]) -> bool:
    if _is_over(listing) or any(slots.last_call(listing, _must_slot(one)) <= _now() for one in queue):
        return True
    if listing["status"] != "published":
        return False
    offered, free = _offered(listing["id"]), slots.unbooked(listing, [_must_slot(one) for one in queue])
    return any(
        not slots.is_slot(listing, _must_slot(one)) or _is_gone(listing, one)
        or (one["state"] == "waiting" and one["quantity"] <= units and _may_have(listing, one, offered))
        for one, units in zip(queue, free, strict=True)
    )  # fmt: skip


def _settle(code: str) -> None:
    with db.transaction():
        slots.lock(code)
        for offer in _select(f"l.code = ? AND {_OVERDUE}", code, _now()):
            if offer["offer_expires_at"] > _now():  # STOP
                _end(offer["id"], "left")
                continue
            _end(offer["id"], "lapsed")
            notices.tell(
                offer["person_id"], "offer_lapsed", title=offer["title"], code=code, slot_at=offer["starts_at"]
            )
        _pass_on(db.value("SELECT id FROM listing WHERE code = ?", code))


def _follow(listing_id: int, made: Mapping[str, Any] | None) -> None:
    """What a change of a listing means for those who wait for it. Called with its lock (`reservations.on_change`)."""
    lot = made is not None and made["starts_at"] is None
    queued = f"SELECT w.listing_id FROM waiting w WHERE w.listing_id = ? AND {catalog.QUEUED} LIMIT 1"
    if not db.rows(queued if lot else _QUEUES, *([listing_id] if lot else [listing_id] * 3)):
        return
    if made is not None:
        _answer(listing_id, made)
    _pass_on(listing_id)


def _answer(listing_id: int, made: Mapping[str, Any]) -> None:
    """An offer is answered by any reservation of it, or of some of its time; who waits for no more than they got waits no
    more.
    """
    slot, ended = slots.of(made), "UPDATE waiting SET state = 'taken', ended_at = ? WHERE person_id = ?"
    if slot is None:
        db.run(
            f"{ended} AND listing_id = ? AND starts_at IS NULL "
            "AND (state = 'offered' OR (state = 'waiting' AND quantity <= ?))",
            _now(), made["person_id"], listing_id, made["quantity"],
        )  # fmt: skip
        return
    db.run(
        f"{ended} AND listing_id = ? AND state = 'waiting' AND quantity <= ? AND starts_at >= ? AND ends_at <= ?",
        _now(), made["person_id"], listing_id, made["quantity"], *slot,
    )  # fmt: skip
    both = (listing_id, *slots.family(listing_id))
    db.run(
        f"{ended} AND listing_id IN ({', '.join('?' * len(both))}) AND state = 'offered' AND starts_at < ? AND ends_at > ?",
        _now(), made["person_id"], *both, slot.ends_at, slot.starts_at,
    )  # fmt: skip


# The listings with a queue, of one and of what blocks it or is blocked by it.
_QUEUES = (
    f"SELECT DISTINCT w.listing_id FROM waiting w WHERE {catalog.QUEUED} "
    f"AND w.listing_id IN (SELECT ? UNION {slots.FAMILY})"
)


def _pass_on(listing_id: int) -> None:
    """Something of a listing may have come free: serve its queue, and those of its family. Called with all their locks
    (`slots.lock`).

    All of them are cleared before any is served: an offer of a room that is taken back frees an hour of its saw.
    """
    queued = sorted(db.rows(_QUEUES, listing_id, listing_id, listing_id))
    listings = [catalog.get(catalog.code_of(queued_id), TOWN) for (queued_id,) in queued]
    for listing in [listing for listing in listings if _clear(listing)]:
        if listing["kind"] == "material":
            _serve_lot(listing)
        else:
            _serve_slots(listing)


def _tell_moved(listing: Mapping[str, Any]) -> None:
    """The day from which a listing is there has changed: those who wait for it keep their rank (`consequences.on_move`)."""
    queue = f"SELECT w.person_id FROM waiting w WHERE w.listing_id = ? AND {catalog.QUEUED} ORDER BY w.id"
    for (person_id,) in db.rows(queue, listing["id"]):
        day = listing["available_from"] or _now()
        notices.tell(person_id, "wait_moved", title=listing["title"], available_from=day)


def _clear(listing: Mapping[str, Any]) -> bool:
    """End what nobody can wait for any more, take back what was offered and is not there; whether there is anything left to
    serve. Called with the listing's lock.
    """
    if _is_over(listing):
        _close(listing)
        return False
    published = bool(listing["status"] == "published")  # a draft may be published again
    if listing["kind"] != "material":
        _clear_past(listing)
        if published:
            _clear_slots(listing)
    return published


def _serve_lot(listing: Mapping[str, Any]) -> None:
    """Offer what is free to the first in the queue for whom it is enough, unless an offer is open."""
    if db.value("SELECT 1 FROM waiting WHERE listing_id = ? AND state = 'offered'", listing["id"]):
        return
    free = catalog.free(listing["id"])
    for one in _in_order(listing["id"]):
        if one["quantity"] <= free and _offer(listing, one):
            return


def _clear_past(listing: Mapping[str, Any]) -> None:
    """Nobody waits for a slot that can be booked no more: they are told, unless it is long over."""
    for one in _select(f"w.listing_id = ? AND {catalog.QUEUED} ORDER BY w.id", listing["id"]):
        if slots.last_call(listing, _must_slot(one)) > _now():
            continue
        offered = one["state"] == "offered"
        _end(one["id"], "lapsed" if offered else "closed")
        if one["starts_at"] > _now() - LATE:
            kind = "offer_lapsed" if offered else "wait_in_vain"
            notices.tell(one["person_id"], kind, title=listing["title"], code=listing["code"], slot_at=one["starts_at"])


def _clear_slots(listing: Mapping[str, Any]) -> None:
    """What was offered and is not there any more is taken back, what is no slot any more is over."""
    for one in _select(f"w.listing_id = ? AND {catalog.QUEUED} ORDER BY w.id", listing["id"]):
        if not slots.is_slot(listing, _must_slot(one)):
            _end(one["id"], "closed")
            notices.tell(one["person_id"], "wait_closed", title=listing["title"], slot_at=one["starts_at"])
        elif _is_gone(listing, one):
            _take_back(one)


def _serve_slots(listing: Mapping[str, Any]) -> None:
    """The same of each slot that is waited for."""
    queue = _in_order(listing["id"])
    for one, units in zip(queue, slots.unbooked(listing, [_must_slot(one) for one in queue]), strict=True):
        if one["quantity"] <= units and _may_have(listing, one, _offered(listing["id"])):
            _offer(listing, one)


def _may_have(listing: Mapping[str, Any], one: Mapping[str, Any], offered: Iterable[Mapping[str, Any]]) -> bool:
    """Whether it is somebody's turn: what they wait for is free, and nobody else decides on some of that time."""
    open_ = any(other["starts_at"] < one["ends_at"] and one["starts_at"] < other["ends_at"] for other in offered)
    return not open_ and _is_there(listing, one) and slots.may_have(listing, _must_slot(one), one["person_id"])


def _is_gone(listing: Mapping[str, Any], one: Mapping[str, Any]) -> bool:
    """Whether the slot that somebody is offered cannot be booked by them any more."""
    return one["state"] == "offered" and one["offer_expires_at"] > _now() and not _is_there(listing, one)


def _is_there(listing: Mapping[str, Any], one: Mapping[str, Any]) -> bool:
    """Whether somebody can book the slot that they wait for, or were offered."""
    slot = _must_slot(one)
    return slots.is_slot(listing, slot) and one["quantity"] <= slots.left(listing, slot, one["person_id"])


def _offered(listing_id: int) -> list[dict[str, Any]]:
    """The open offers of a listing and of its family: somebody could be offered both, and have one of them."""
    ids = (listing_id, *slots.family(listing_id))
    return db.dicts(
        f"SELECT id, starts_at, ends_at FROM waiting WHERE listing_id IN ({', '.join('?' * len(ids))}) "
        "AND state = 'offered'", *ids,
    )  # fmt: skip


def _in_order(listing_id: int) -> list[dict[str, Any]]:
    """Who waits for an offer of a listing, the first first."""
    return db.dicts(
        "SELECT w.id, w.reference, w.person_id, w.quantity, w.starts_at, w.ends_at, h.opted_out_at FROM waiting w "
        "JOIN person h ON h.id = w.person_id WHERE w.listing_id = ? AND w.state = 'waiting' AND w.suspended_at IS NULL "
        "ORDER BY w.id", listing_id,
    )  # fmt: skip


def _offer(listing: Mapping[str, Any], one: Mapping[str, Any]) -> bool:
    """Offer somebody what they wait for; False when it cannot reach them: they wait no more."""
    if one["opted_out_at"] is not None:  # STOP
        _end(one["id"], "left")
        return False
    reservations.settle(listing["id"])
    chosen, now, slot = settings.get(), clock.now(), slots.of(one)
    expires_at = db.to_ms(clock.after_waking(now, chosen.waitlist_offer_hours, chosen.timezone))
    if slot is not None:
        expires_at = min(expires_at, slots.last_call(listing, slot))
    db.run(
        "UPDATE waiting SET state = 'offered', offered_at = ?, offer_expires_at = ? WHERE id = ?",
        db.to_ms(now), expires_at, one["id"],
    )  # fmt: skip
    notices.tell(
        one["person_id"], "offer", title=listing["title"], quantity=one["quantity"], unit=listing["unit"],
        code=listing["code"], expires_at=expires_at, wait=one["reference"], slot_at=one["starts_at"],
    )  # fmt: skip
    return True


def _retract(listing_id: int) -> None:
    """What was offered is not there: its person keeps their rank, and is told. Called with the listing's lock."""
    for offer in _select("w.listing_id = ? AND w.state = 'offered'", listing_id):
        _take_back(offer)


def _take_back(offer: Mapping[str, Any]) -> None:
    db.run("UPDATE waiting SET state = 'waiting', offer_expires_at = NULL WHERE id = ?", offer["id"])
    notices.tell(
        offer["person_id"], "offer_gone", title=offer["title"], place=offer["place_name"], slot_at=offer["starts_at"]
    )


def _is_over(listing: Mapping[str, Any]) -> bool:
    """True when nobody can reserve this listing any more."""
    try:
        reservations.check_there(listing)
    except Refusal:
        return True
    return bool(listing["status"] == "withdrawn")


def _close(listing: Mapping[str, Any]) -> None:
    """The listing is over: nobody waits for it any more, and those who did are told."""
    queue = f"SELECT w.id, w.person_id, w.starts_at FROM waiting w WHERE w.listing_id = ? AND {catalog.QUEUED} ORDER BY w.id"
    for waiting_id, person_id, starts_at in db.rows(queue, listing["id"]):
        _end(waiting_id, "closed")
        notices.tell(person_id, "wait_closed", title=listing["title"], slot_at=starts_at)


def _end(waiting_id: int, state: str) -> bool:
    """End somebody's waiting; False when it has ended already."""
    return bool(
        db.run(
            "UPDATE waiting SET state = ?, ended_at = ? WHERE id = ? AND state IN ('waiting', 'offered')",
            state, _now(), waiting_id,
        )
    )  # fmt: skip


# --- personal data ----------------------------------------------------------------------------------------------------
def export(person_id: int) -> list[dict[str, Any]]:
    """What a person waited for; times are milliseconds since 1970."""
    names = (
        "listing", "title", "unit", "state", "place", "created_at", "offer_expires_at", "ended_at", "starts_at", "ends_at",
    )  # fmt: skip
    found = _select("w.person_id = ? ORDER BY w.id", person_id)
    return [{**{name: one[name] for name in names}, "quantity": catalog.amount(one["quantity"])} for one in found]


def erase(person_id: int) -> None:
    """A person never waited; who comes after them moves up. Inside a transaction."""
    live = _select("w.person_id = ? AND w.state IN ('waiting', 'offered') ORDER BY w.id", person_id)
    slots.lock(*(waiting["listing"] for waiting in live))
    for waiting in live:
        leave(Actor(person_id, "resident", "personal"), waiting["reference"])
    db.run("DELETE FROM waiting WHERE person_id = ?", person_id)


def forget(days: int) -> int:
    """Drop what people waited for until more than `days` ago, a batch at most; how many places. Inside a transaction."""
    return db.prune("waiting", "id", "ended_at < ?", _now() - days * 86_400_000)


def _now() -> int:
    return clock.now_ms()


reservations.on_change.append(_follow)
consequences.on_move.append(_tell_moved)
consequences.on_retract.append(_retract)

"""Draws: when more people want a thing than there are, it need not go to whoever is online first.

A listing is given out first come, first served, unless its place plans a window: what is asked for between `opens_at` and
`closes_at`, by whatever door, is an entry. Once it has closed the entries are put in order and served at once:

    draw   by lot. The seed was drawn when the draw was planned, and its SHA-256 published from then on; the order is that of
           SHA-256(seed + ticket), and the seed is published with it: `check` and `flask draw verify` recheck all of it
    queue  in order of arrival

    entered -> won | lost | barred
       `-----> withdrawn (by the person) | closed (the listing is over)

An entry counts once for each person, whatever the door and the moment. Whoever is served gets a reservation like any
other, its rules checked then and there; what is not enough for an entry goes to the next for whom it is; whoever gets
nothing waits, in the same order. All of that is one transaction: killed in the middle, it is done over, with one result.
"""

from __future__ import annotations

import functools
import hashlib
import secrets
from collections.abc import Iterable, Mapping
from typing import Any

from peewee import BigAutoField, BigIntegerField, IntegerField, TextField

from circular import catalog, clock, db, notices, people, reservations, settings, slots, waitlist
from circular.checks import Fields
from circular.errors import FieldErrors, Refusal
from circular.people import Actor

ALLOCATIONS = ("first_come", "queue", "draw")
STATES = ("announced", "open", "closed", "drawn", "cancelled")
OUTCOMES = ("entered", "won", "lost", "barred", "withdrawn", "closed")
LONGEST = 90 * 86_400_000  # milliseconds that a window may last, and begin from now
ALPHABET = "23456789ABCDEFGHJKMNPQRSTVWXYZ"  # of tickets: read aloud, none is taken for another
TOWN = Actor(None, "admin", "draw")
ALGORITHM = {
    "draw": (
        "The seed is 64 hexadecimal digits; the commitment is the SHA-256 of these characters. Each entry's lot is the "
        "SHA-256 of the seed followed by its id, as hexadecimal digits. Entries are served in ascending order of their "
        "lots: one whose whole quantity is still there wins it, another loses, and the next one is looked at. Entries that a "
        "rule bars (too many reservations, say) take nothing."
    ),
    "queue": (
        "Entries are served in the order in which they arrived: one whose whole quantity is still there wins it, another "
        "loses, and the next one is looked at. Entries that a rule bars (too many reservations, say) take nothing."
    ),
}


class Draw(db.Table):
    """A window of a listing. `seed` is secret until it is drawn; `most` is what one person may ask for (None: no limit)."""

    id = BigAutoField()
    reference = TextField(unique=True)
    listing_id = BigIntegerField()
    allocation = TextField()
    opens_at = BigIntegerField()
    closes_at = BigIntegerField()
    most = BigIntegerField(null=True)
    seed = TextField()
    commitment = TextField()
    state = TextField()  # planned | drawn | cancelled
    stock = BigIntegerField(null=True)  # what there was to give out
    created_at = db.UtcDateTimeField()
    ended_at = BigIntegerField(null=True)


class Entry(db.Table):
    """What a person asked for in a window. `reference` is its ticket, by which it is drawn and published."""

    id = BigAutoField()
    reference = TextField(unique=True)
    draw_id = BigIntegerField()
    person_id = BigIntegerField()
    quantity = BigIntegerField()
    state = TextField()
    origin = TextField(unique=True)
    actor_id = BigIntegerField(null=True)  # who asked, in which role, by which door: staff may act for somebody
    role = TextField()
    door = TextField()
    created_at = db.UtcDateTimeField()
    place = IntegerField(null=True)  # in the order, from 1
    reason = TextField(default="")  # the rule that barred it
    ended_at = BigIntegerField(null=True)


COLUMNS = (
    "d.id, d.reference, d.listing_id, d.allocation, d.opens_at, d.closes_at, d.most, d.seed, d.commitment, d.state, d.stock, "
    "d.created_at, d.ended_at, l.code AS listing, l.title, l.unit, l.place_id, p.code AS place, "
    "(SELECT COUNT(*) FROM entry e WHERE e.draw_id = d.id AND e.state NOT IN ('withdrawn', 'closed')) AS entries"
)
SOURCE = "FROM draw d JOIN listing l ON l.id = d.listing_id JOIN place p ON p.id = l.place_id"
ENTRY = (
    "e.id, e.reference AS ticket, e.person_id, e.quantity, e.state, e.role, e.door, e.actor_id, e.origin, e.created_at, "
    "e.place AS rank, e.reason, e.ended_at, e.draw_id, d.reference AS draw, d.allocation, d.opens_at, d.closes_at, "
    "l.code AS listing, l.title, l.unit, l.place_id"
)
ENTRIES = "FROM entry e JOIN draw d ON d.id = e.draw_id JOIN listing l ON l.id = d.listing_id"


# --- reading ----------------------------------------------------------------------------------------------------------
def _select(condition: str, *params: object) -> list[dict[str, Any]]:
    found = db.dicts(f"SELECT {COLUMNS} {SOURCE} WHERE {condition}", *params)
    now = _now()
    for one in found:
        if one["state"] == "planned":
            window = ("announced", "open", "closed")
            one["state"] = window[(now >= one["opens_at"]) + (now >= one["closes_at"])]
    return found


def get(reference: str) -> dict[str, Any]:
    """A draw. Raises: Refusal("no_such_draw")."""
    found = _select("d.reference = ?", reference)
    if not found:
        raise Refusal("no_such_draw")
    return found[0]


def of_listing(code: str) -> dict[str, Any]:
    """The last draw of a listing: the one to come or running, else the one before.

    Raises: Refusal("bad_code" | "no_such_listing" | "no_such_draw").
    """
    listing = catalog.get(code)
    found = _select("d.listing_id = ? ORDER BY d.id DESC LIMIT 1", listing["id"])
    if not found:
        raise Refusal("no_such_draw")
    return found[0]


def entries(draw_id: int) -> list[dict[str, Any]]:
    """The entries of a draw that count, in its order; before it is drawn, by ticket: nothing tells who came when."""
    return db.dicts(
        f"SELECT {ENTRY} {ENTRIES} WHERE e.draw_id = ? AND e.state NOT IN ('withdrawn', 'closed') ORDER BY e.place, ticket",
        draw_id,
    )


def entry(actor: Actor, ticket: str) -> dict[str, Any]:
    """An entry of one's own, or one at the place where one works. Raises: Refusal("no_such_entry")."""
    found = db.dicts(f"SELECT {ENTRY} {ENTRIES} WHERE e.reference = ?", ticket.upper())
    if not found or not (found[0]["person_id"] == actor.person_id or actor.works_at(found[0]["place_id"])):
        raise Refusal("no_such_entry")
    return found[0]


def mine(person_id: int) -> list[dict[str, Any]]:
    """What a person has asked for and that is not given out yet, the next to be first."""
    query = f"SELECT {ENTRY} {ENTRIES} WHERE e.person_id = ? AND e.state = 'entered' ORDER BY d.closes_at, e.id"
    return db.dicts(query, person_id)


def published(draw: Mapping[str, Any]) -> dict[str, Any]:
    """A draw as anybody may read and recheck it, in JSON's own types: tickets, and nothing of whose they are.

    The seed only once it is drawn, the entries only once the window has closed.
    """
    over = draw["state"] == "drawn"
    shown = entries(draw["id"]) if draw["state"] in ("closed", "drawn") else []
    return {
        "id": draw["reference"],
        "listing": draw["listing"],
        "title": draw["title"],
        "unit": draw["unit"],
        "allocation": draw["allocation"],
        "state": draw["state"],
        "opens_at": clock.rfc3339(db.from_ms(draw["opens_at"])),
        "closes_at": clock.rfc3339(db.from_ms(draw["closes_at"])),
        "drawn_at": clock.rfc3339(db.from_ms(draw["ended_at"])) if over else None,
        "max_per_person": None if draw["most"] is None else catalog.amount(draw["most"]),
        "algorithm": ALGORITHM[draw["allocation"]],
        "commitment": draw["commitment"],
        "seed": draw["seed"] if over else None,
        "stock": None if draw["stock"] is None else catalog.amount(draw["stock"]),
        "count": draw["entries"],
        "entries": [
            {"id": one["ticket"], "quantity": catalog.amount(one["quantity"]), "outcome": one["state"]} for one in shown
        ],
    }


# --- planning ---------------------------------------------------------------------------------------------------------
def plan(actor: Actor, code: str, values: Mapping[str, Any]) -> dict[str, Any] | None:
    """Say how a listing is given out, by the staff of its place, until the window opens; None: first come, first served.

    Raises: Refusal("bad_code" | "no_such_listing" | "wrong_role" | "not_your_place" | "not_reservable" | "hazard" |
    "no_longer_available" | "invalid" | "window_open").
    """
    actor.require("staff")
    with db.transaction():
        catalog.lock(code)
        listing = catalog.get(code, actor)
        actor.require_place(listing["place_id"], listing["place"])
        reservations.check_reservable(listing)
        wanted = _check(values, listing)
        planned = _planned(listing["id"])
        if planned is not None and planned["opens_at"] <= _now():
            raise Refusal("window_open", closes_at=db.from_ms(planned["closes_at"]))
        allocation = wanted["allocation"]
        if allocation == "first_come":
            if planned is not None:
                db.run("UPDATE draw SET state = 'cancelled', ended_at = ? WHERE id = ?", _now(), planned["id"])
        elif planned is not None:
            db.run(
                "UPDATE draw SET allocation = ?, opens_at = ?, closes_at = ?, most = ? WHERE id = ?",
                allocation, wanted["opens_at"], wanted["closes_at"], wanted["max_per_person"], planned["id"],
            )  # fmt: skip
        else:
            _check_untouched(listing)
            seed = secrets.token_hex(32)
            db.run(
                "INSERT INTO draw (reference, listing_id, allocation, opens_at, closes_at, most, seed, commitment, state, "
                "created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, 'planned', ?)",
                secrets.token_hex(10), listing["id"], allocation, wanted["opens_at"], wanted["closes_at"],
                wanted["max_per_person"], seed, digest(seed), _now(),
            )  # fmt: skip
        catalog.allocate(listing["id"], allocation)
        return None if allocation == "first_come" else of_listing(code)


def _check(values: Mapping[str, Any], listing: Mapping[str, Any]) -> dict[str, Any]:
    timezone, now = settings.get().timezone, _now()
    fields = Fields(values)
    fields.choice("allocation", ALLOCATIONS, required=True)
    fields.moment("opens_at", timezone)
    fields.moment("closes_at", timezone, end_of_day=True)
    fields.milli("max_per_person", whole=listing["unit"] in catalog.WHOLE_UNITS)
    clean = fields.clean
    if clean.get("allocation") != "first_come":
        clean["opens_at"] = max(clean.get("opens_at") or now, now)
        if "closes_at" in clean and clean["closes_at"] is None:
            fields.errors.add("closes_at", "required")
        elif "closes_at" in clean and clean["closes_at"] <= clean["opens_at"]:
            fields.errors.add("closes_at", "end_before_start")
        elif "closes_at" in clean and clean["closes_at"] > now + LONGEST:
            fields.errors.add("closes_at", "too_far", days=LONGEST // 86_400_000)
    return fields.done()


def _check_untouched(listing: Mapping[str, Any]) -> None:
    """Whoever has some of it already, or waits for it, was promised otherwise. Raises: Refusal("invalid")."""
    if listing["available"] < listing["quantity"] or waitlist.anybody(listing["id"]):
        errors = FieldErrors()
        errors.add("allocation", "fixed_while_reserved")
        errors.refuse()


def _planned(listing_id: int) -> dict[str, Any] | None:
    return next(iter(_select("d.listing_id = ? AND d.state = 'planned'", listing_id)), None)


# --- entering ---------------------------------------------------------------------------------------------------------
def ask(
    actor: Actor, person_id: int, code: str, quantity: object, origin: str, *, slot: slots.Slot | None = None
) -> dict[str, Any]:
    """Reserve some of a listing or, while its window is open, enter: a reservation, or an entry (it has a `ticket`).

    Asking again by the same `origin` returns the first result, or what came of it.
    Raises: Refusal("already_entered" | "above_maximum") and whatever `reservations.reserve` raises.
    """
    try:
        return reservations.reserve(actor, person_id, code, quantity, origin, slot=slot)
    except Refusal as refusal:
        if refusal.code != "entries_only":
            raise
    return _enter(actor, person_id, code, quantity, origin)


def ask_by_phone(
    phone: str,
    code: str,
    quantity: object,
    origin: str,
    *,
    visitor: str,
    door: str = "web",
    slot: slots.Slot | None = None,
) -> dict[str, Any]:
    """Ask for whoever reads the SMS of a phone number; `visitor` is whose tries are counted (an address).

    Raises: Refusal("too_many_requests" | "bad_phone" | "opted_out") and whatever `ask` raises.
    """

    def act(actor: Actor, person_id: int) -> dict[str, Any]:
        # The same form for another phone, lot or quantity (a shared computer, "back") is another request.
        what = f"{person_id}:{code}:{slot.starts_at if slot else quantity}"
        return ask(actor, person_id, code, quantity, f"{origin}:{what}", slot=slot)

    return reservations.by_phone(phone, act, visitor=visitor, door=door)


def _enter(actor: Actor, person_id: int, code: str, quantity: object, origin: str) -> dict[str, Any]:
    with db.transaction():
        catalog.lock(code)
        earlier = db.dicts(f"SELECT {ENTRY} {ENTRIES} WHERE e.origin = ?", origin)
        if earlier:
            return earlier[0]
        listing = catalog.get(code)
        draw = _planned(listing["id"])
        if draw is None or draw["state"] != "open":  # it closed, or was drawn, since we looked
            return reservations.reserve(actor, person_id, code, quantity, origin)
        reservations.check_reservable(listing)
        wanted = reservations.check_quantity(listing, quantity)
        if draw["most"] is not None and wanted > draw["most"]:
            raise Refusal("above_maximum", maximum=catalog.amount(draw["most"]), unit=listing["unit"])
        if wanted > listing["available"]:
            raise Refusal(
                "sold_out", code=code, title=listing["title"], available=catalog.amount(listing["available"]),
                unit=listing["unit"],
            )  # fmt: skip
        if db.value(
            "SELECT 1 FROM entry WHERE draw_id = ? AND person_id = ? AND state = 'entered'", draw["id"], person_id
        ):
            raise Refusal("already_entered", code=code, title=listing["title"], closes_at=db.from_ms(draw["closes_at"]))
        ticket = _ticket()
        db.run(
            "INSERT INTO entry (reference, draw_id, person_id, quantity, state, origin, actor_id, role, door, created_at) "
            "VALUES (?, ?, ?, ?, 'entered', ?, ?, ?, ?, ?)",
            ticket, draw["id"], person_id, wanted, origin, actor.person_id, actor.role, actor.door, _now(),
        )  # fmt: skip
        made = db.dicts(f"SELECT {ENTRY} {ENTRIES} WHERE e.reference = ?", ticket)[0]
        if actor.door != "sms":  # by SMS the answer itself says so
            _tell(made, _entered_key(made))
        return made


def _ticket() -> str:
    """Eight random characters that no entry has."""
    while True:
        ticket = "".join(secrets.choice(ALPHABET) for _ in range(8))
        if db.value("SELECT 1 FROM entry WHERE reference = ?", ticket) is None:
            return ticket


def _entered_key(found: Mapping[str, Any]) -> str:
    return "entered" if found["allocation"] == "draw" else "entered_queue"


def _tell(found: Mapping[str, Any], kind: str, **facts: object) -> None:
    notices.tell(
        found["person_id"], kind, title=found["title"], code=found["listing"], quantity=found["quantity"],
        unit=found["unit"], ticket=found["ticket"], closes_at=found["closes_at"], **facts,
    )  # fmt: skip


def leave(person_id: int, code: str) -> dict[str, Any] | None:
    """Withdraw a person's entry for a listing before its window closes: the entry, or None when there is none.

    Raises: Refusal("window_closed").
    """
    with db.transaction():
        query = f"SELECT {ENTRY} {ENTRIES} WHERE l.code = ? AND e.person_id = ? AND e.state = 'entered'"
        if not db.dicts(query, code, person_id):
            return None
        catalog.lock(code)
        found = next(iter(db.dicts(query, code, person_id)), None)
        if found is not None:
            _withdraw(found)
        return found


def withdraw(actor: Actor, ticket: str) -> None:
    """Withdraw an entry, by its person or by the staff of the place. Twice changes nothing.

    Raises: Refusal("no_such_entry" | "window_closed").
    """
    with db.transaction():
        catalog.lock(entry(actor, ticket)["listing"])
        found = entry(actor, ticket)
        if found["state"] != "withdrawn":
            _withdraw(found)


def _withdraw(found: Mapping[str, Any]) -> None:
    if found["state"] != "entered" or found["closes_at"] <= _now():
        raise Refusal("window_closed", code=found["listing"], title=found["title"])
    _end(found["id"], "withdrawn")


def _gate(listing: Mapping[str, Any]) -> None:
    """Nobody takes some of a listing aside while it is given out together (`reservations.gates`)."""
    if listing["allocation"] == "first_come":
        return
    draw = _planned(listing["id"])
    assert draw is not None
    facts = {"code": listing["code"], "title": listing["title"]}
    if draw["state"] == "announced":
        raise Refusal("not_open_yet", opens_at=db.from_ms(draw["opens_at"]), **facts)
    if draw["state"] == "open":
        raise Refusal("entries_only", closes_at=db.from_ms(draw["closes_at"]), **facts)
    raise Refusal("window_closed", **facts)


def _follow(listing_id: int, made: Mapping[str, Any] | None) -> None:
    """A listing that is over before its window has closed is not drawn (`reservations.on_change`)."""
    draw = _planned(listing_id) if made is None else None
    if draw is not None:
        listing = catalog.get(draw["listing"], TOWN)
        if _is_over(listing):
            _cancel(draw, listing)


# --- drawing ----------------------------------------------------------------------------------------------------------
def sweep(limit: int = 20) -> int:
    """Draw what has closed; how many draws there were to see to."""
    query = "SELECT id FROM draw WHERE state = 'planned' AND closes_at <= ? ORDER BY closes_at LIMIT ?"
    due = db.rows(query, _now(), limit)
    for (draw_id,) in due:
        db.retrying(functools.partial(_draw, draw_id))
    return len(due)


def _draw(draw_id: int) -> None:
    """Give out what a window was for, in one transaction."""
    with db.transaction():
        code = db.value("SELECT l.code FROM draw d JOIN listing l ON l.id = d.listing_id WHERE d.id = ?", draw_id)
        catalog.lock(code)
        found = _select("d.id = ? AND d.state = 'planned'", draw_id)
        if not found:  # another worker was faster
            return
        draw = found[0]
        listing = catalog.get(code, TOWN)
        if _is_over(listing):
            _cancel(draw, listing)
            return
        query = "UPDATE draw SET state = 'drawn', stock = ?, ended_at = ? WHERE id = ?"
        db.run(query, listing["available"], _now(), draw_id)
        catalog.allocate(listing["id"], "first_come")
        entered = _entered(draw_id)
        for person_id in sorted(
            {one["person_id"] for one in entered}
        ):  # in one order, whatever else is drawn meanwhile
            people.lock(person_id)
        _serve(in_order(draw["allocation"], draw["seed"], entered))


def _entered(draw_id: int) -> list[dict[str, Any]]:
    """As they arrived."""
    query = f"SELECT {ENTRY} {ENTRIES} WHERE e.draw_id = ? AND e.state = 'entered' ORDER BY e.id"
    return db.dicts(query, draw_id)


def _is_over(listing: Mapping[str, Any]) -> bool:
    """True when nobody can reserve this listing any more."""
    try:
        reservations.check_reservable(listing)
    except Refusal:
        return True
    return bool(listing["status"] == "withdrawn")


def _cancel(draw: Mapping[str, Any], listing: Mapping[str, Any]) -> None:
    """Nothing is given out, and whoever entered is told. Called with the listing's lock."""
    db.run("UPDATE draw SET state = 'cancelled', ended_at = ? WHERE id = ?", _now(), draw["id"])
    catalog.allocate(listing["id"], "first_come")
    for one in _entered(draw["id"]):
        _end(one["id"], "closed")
        notices.tell(one["person_id"], "wait_closed", title=listing["title"])


def in_order(allocation: str, seed: str, entered: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Entries in the order in which they are served; for a queue they come as they arrived."""
    if allocation == "queue":
        return list(entered)
    return sorted(entered, key=lambda one: digest(seed + one["ticket"]))


def digest(text: str) -> str:
    """SHA-256 of a text, as hexadecimal digits."""
    return hashlib.sha256(text.encode()).hexdigest()


def _serve(ordered: list[dict[str, Any]]) -> None:
    lost = []
    for rank, one in enumerate(ordered, 1):
        db.run("UPDATE entry SET place = ? WHERE id = ?", rank, one["id"])
        try:
            if people.is_opted_out(one["person_id"]):  # the pickup code could not reach them
                raise Refusal("opted_out")
            who = Actor(one["actor_id"], one["role"], "draw")
            amount = catalog.amount(one["quantity"])
            reservations.reserve(who, one["person_id"], one["listing"], amount, one["origin"])
        except Refusal as refusal:
            if refusal.code == "sold_out":
                lost.append(one)
            else:
                _bar(one, refusal)
        else:
            _end(one["id"], "won")
    for one in lost:  # after all of them: whoever waits has a claim on what is left
        _end(one["id"], "lost")
        _wait(one)


def _bar(one: Mapping[str, Any], refusal: Refusal) -> None:
    _end(one["id"], "barred", refusal.code)
    if refusal.code == "too_many_reservations":
        _tell(one, "drawn_in_vain", limit=refusal.facts["limit"])
    else:
        _tell(one, "not_drawn_end")


def _wait(one: Mapping[str, Any]) -> None:
    who = Actor(one["actor_id"], one["role"], one["door"])
    try:
        waiting = waitlist.join(
            who, one["person_id"], one["listing"], catalog.amount(one["quantity"]), f"draw:{one['ticket']}"
        )
    except Refusal:  # they wait for too much already
        _tell(one, "not_drawn_end")
    else:
        _tell(one, "not_drawn", rank=waiting["rank"])


def _end(entry_id: int, state: str, reason: str = "") -> None:
    query = "UPDATE entry SET state = ?, reason = ?, ended_at = ? WHERE id = ? AND state = 'entered'"
    db.run(query, state, reason, _now(), entry_id)


# --- rechecking -------------------------------------------------------------------------------------------------------
def check(draw: Mapping[str, Any]) -> list[str]:
    """What is wrong with a published draw, by its own JSON alone; nothing when it is right. Reads no database."""
    try:
        return [text for rule in (_check_seed, _check_order, _check_outcomes) for text in rule(draw)]
    except (KeyError, TypeError, AttributeError, ValueError):
        return ["This is not a draw as GET /api/v1/draws/{id} publishes it."]


def _check_seed(draw: Mapping[str, Any]) -> list[str]:
    if draw["state"] != "drawn" or not draw["seed"]:
        return ["It is not drawn yet: the seed is secret until then."]
    if digest(draw["seed"]) != draw["commitment"]:
        return ["The seed is not the one that was committed to: its SHA-256 is another."]
    return []


def _check_order(draw: Mapping[str, Any]) -> list[str]:
    if draw["allocation"] != "draw":
        return []
    tickets = [one["id"] for one in draw["entries"]]
    if len(set(tickets)) < len(tickets):
        return ["An entry is there twice."]
    if tickets != sorted(tickets, key=lambda ticket: digest(draw["seed"] + ticket)):
        return ["The entries are not in the order of their lots."]
    return []


def _check_outcomes(draw: Mapping[str, Any]) -> list[str]:
    left = round(draw["stock"] * 1000)
    wrong = []
    for one in draw["entries"]:
        wanted = round(one["quantity"] * 1000)
        if one["outcome"] == "barred":
            continue
        due = "won" if wanted <= left else "lost"
        if one["outcome"] != due:
            wrong.append(f"Entry {one['id']} is said to have {one['outcome']}; it {due}.")
        left -= wanted if due == "won" else 0
    return wrong


# --- personal data ----------------------------------------------------------------------------------------------------
def export(person_id: int) -> list[dict[str, Any]]:
    """What a person entered for; times are milliseconds since 1970."""
    names = ("ticket", "draw", "listing", "title", "unit", "state", "rank", "created_at", "ended_at")
    found = db.dicts(f"SELECT {ENTRY} {ENTRIES} WHERE e.person_id = ? ORDER BY e.id", person_id)
    return [{**{name: one[name] for name in names}, "quantity": catalog.amount(one["quantity"])} for one in found]


def erase(person_id: int) -> None:
    """A person takes part in nothing any more; what was drawn can still be rechecked. Inside a transaction."""
    for one in db.dicts(
        f"SELECT {ENTRY} {ENTRIES} WHERE e.person_id = ? AND e.state = 'entered' ORDER BY l.id", person_id
    ):
        catalog.lock(one["listing"])
        _end(one["id"], "withdrawn")
    _unlink("e.person_id = ?", person_id)


def forget(days: int) -> int:
    """What ended more than `days` ago is nobody's; how many entries. Inside a transaction."""
    return _unlink("e.ended_at < ? AND e.person_id <> 0", _now() - days * 86_400_000)


def _unlink(condition: str, param: object) -> int:
    found = db.rows(f"SELECT e.id, e.reference FROM entry e WHERE {condition} ORDER BY e.id LIMIT 500", param)
    for entry_id, ticket in found:  # an origin may name the person
        query = "UPDATE entry SET person_id = ?, actor_id = NULL, origin = ? WHERE id = ?"
        db.run(query, people.nobody(), f"over:{ticket}", entry_id)
    return len(found)


def _now() -> int:
    return clock.now_ms()


reservations.gates.append(_gate)
reservations.on_change.append(_follow)

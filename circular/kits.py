"""Kits: a project built from what there is today. Its materials are reserved together, or nothing is.

A plan says which listings give how much to each need. It takes the fewest places, then the fewest listings, then what
leaves least over; it respects units, minimum quantities and steps, and a listing that two needs share is counted once. A need
whose category holds no material but machines, tools, rooms or workshops asks for one of those to be there.

The plan is made without locks, from at most MOST_LOTS listings of a category, the biggest first, so it stays flat however
many there are (at 100,000 listings, a project of five needs: 3 ms on SQLite, 6 on PostgreSQL; to reserve it, 5 and 14).
Then the locks of its listings are taken in the order of their ids, the same for everybody, so two kits never wait for each
other. What has changed meanwhile shows in the reservations themselves: then all is undone and planned anew.
"""

from __future__ import annotations

import hashlib
import itertools
import secrets
from collections.abc import Mapping
from typing import Any, NamedTuple

from peewee import BigAutoField, BigIntegerField, TextField

from circular import catalog, categories, clock, db, notices, people, places, projects, reservations, slots
from circular.errors import FieldErrors, Refusal
from circular.people import Actor

MOST_LOTS = 60  # of one category that a plan looks at: nobody goes and collects from more
MOST_PLACES = {1: 60, 2: 40, 3: 12}  # that are tried together, by how many: 60 + 780 + 220 sums, a few milliseconds
MOST_SETS = 12  # of places that are as few, compared in full
MOST_LOOKED_AT = 500  # projects, for one page of those that can be built
TRIES = 5  # plans, when others take what was planned
GONE = (
    "sold_out", "no_such_listing", "not_reservable", "hazard", "no_longer_available", "below_minimum", "not_a_step",
    "below_builder_minimum", "kept_for_residents",
)  # fmt: skip


class Kit(db.Table):
    """What was reserved together for a project. `origin` is a digest: who asked stays in the reservations."""

    id = BigAutoField()
    reference = TextField(unique=True)
    project_id = BigIntegerField()
    origin = TextField(unique=True)
    created_at = db.UtcDateTimeField()


class Lot(NamedTuple):
    """What a listing can give. Quantities are thousandths; `available` and `minimum` are this person's."""

    id: int
    code: str
    title: str
    kind: str
    spot: int  # where it is handed over: places by their id, sites by theirs below zero
    place_id: int
    place: str
    place_name: str
    available: int
    minimum: int
    step: int

    def most(self, taken: int = 0) -> int:
        """The most that it gives besides `taken`."""
        room = self.available
        if room < self.minimum:
            return 0
        return max(self.minimum + (room - self.minimum) // self.step * self.step, room // self.step * self.step) - taken

    def least(self, wanted: int, taken: int = 0) -> int:
        """The least that it gives besides `taken` and that is enough for `wanted`, which `most` covers."""
        total = max(self.minimum, taken + wanted)
        over = total - self.minimum
        return min(self.minimum - (-over // self.step) * self.step, -(-total // self.step) * self.step) - taken


Taken = dict[int, int]  # thousandths by listing


class Share(NamedTuple):
    """How much of a lot goes to a need."""

    lot: Lot
    quantity: int


class Plan(NamedTuple):
    """Where everything for a project comes from: for each of its needs, in order, its shares."""

    shares: list[list[Share]]

    def total(self) -> dict[int, Share]:
        """Each lot's share in all, by the listing's id, which is the order of the locks."""
        found: dict[int, Share] = {}
        for share in itertools.chain.from_iterable(self.shares):
            quantity = share.quantity + (found[share.lot.id].quantity if share.lot.id in found else 0)
            found[share.lot.id] = Share(share.lot, quantity)
        return dict(sorted(found.items()))


# --- what there is ----------------------------------------------------------------------------------------------------
STOCK = (
    "SELECT l.id, l.code, l.title, l.kind, l.unit, l.quantity, l.place_id, p.code AS place, "
    f"{places.WHERE_NAME} AS place_name, CASE WHEN {places.AT_SITE} THEN -s.id ELSE p.id END AS spot, "
    "l.min_quantity, l.step_quantity, l.builder_min_quantity, l.resident_share, l.resident_share_until, l.available_from, "
    f"{catalog.AVAILABLE} AS available FROM listing l {catalog.JOINS} WHERE l.status = 'published' "
    "AND l.allocation = 'first_come' AND {kind} AND (l.available_from IS NULL OR l.available_from <= ?) "
    "AND (l.available_until IS NULL OR l.available_until >= ?)"
)
MATERIALS = STOCK.replace("{kind}", "l.kind = 'material' AND l.category = ? AND l.unit = ? AND l.quantity > 0")
BOOKED = STOCK.replace("{kind}", "l.kind <> 'material' AND l.category = ?")


class Stock:
    """What is there now, read once for each category: for anybody, or for one person; everywhere, or at one place."""

    def __init__(self, place: str = "", person_id: int | None = None) -> None:
        self.place = place
        self.builder = person_id is not None and people.is_builder(person_id)
        self._read: dict[tuple[str, str], list[Lot]] = {}

    def lots(self, need: Mapping[str, Any]) -> list[Lot]:
        """The lots that may serve a need: materials in its unit, else what is booked."""
        key = (need["category"], need["unit"])
        if key not in self._read:
            below = categories.below(need["category"])
            found = [lot for category in below for lot in self._find(MATERIALS, category, need["unit"])]
            found = found or [lot for category in below for lot in self._find(BOOKED, category)]
            self._read[key] = sorted(found, key=lambda lot: (-lot.most(), lot.id))[:MOST_LOTS]
        return self._read[key]

    def _find(self, statement: str, *params: object) -> list[Lot]:
        now = db.to_ms(clock.now())
        here = " AND p.code = ?" if self.place else ""
        enough = "available >= min_quantity" if statement is MATERIALS else "quantity > 0"
        found = db.dicts(
            f"SELECT * FROM ({statement}{here}) AS stock WHERE {enough} ORDER BY quantity DESC, id LIMIT ?",
            now, now, *params, now, now, *((self.place,) if self.place else ()), MOST_LOTS,
        )  # fmt: skip
        lots = []
        for row in found:
            minimum, available = row["min_quantity"], row["available"]
            if row["kind"] != "material":  # the machine is there: when it is free, its slots say
                available = row["quantity"]
            elif self.builder:
                minimum, most = catalog.for_builders(row)
                available = min(available, most)
            lots.append(
                Lot(
                    row["id"], row["code"], row["title"], row["kind"], row["spot"], row["place_id"], row["place"],
                    row["place_name"], available, minimum, row["step_quantity"],
                )
            )  # fmt: skip
        return [lot for lot in lots if lot.most() > 0]


# --- planning ---------------------------------------------------------------------------------------------------------
def _plan(needs: list[dict[str, Any]], stock: Stock) -> Plan | None:
    """Where everything comes from; None when something is missing."""
    lots = [stock.lots(need) for need in needs]
    known = list(dict.fromkeys(lot.spot for found in lots for lot in found))
    room = [{place: sum(lot.most() for lot in found if lot.spot == place) for place in known} for found in lots]
    for size in MOST_PLACES:
        enough = (
            set(chosen)
            for chosen in itertools.combinations(known[: MOST_PLACES[size]], size)
            if all(
                sum(each[place] for place in chosen) >= need["quantity"] for need, each in zip(needs, room, strict=True)
            )
        )
        plans = [plan for chosen in itertools.islice(enough, MOST_SETS) if (plan := _share(needs, lots, chosen))]
        if plans:
            return min(plans, key=lambda plan: _cost(plan, needs))
    chosen = set(known)
    plan = _share(needs, lots, chosen)
    for place in reversed(known):  # one place fewer as long as it can be done
        fewer = plan and _share(needs, lots, chosen - {place})
        if fewer:
            chosen, plan = chosen - {place}, fewer
    return plan


def _cost(plan: Plan, needs: list[dict[str, Any]]) -> tuple[int, int]:
    total = plan.total()
    return len(total), sum(share.quantity for share in total.values()) - sum(need["quantity"] for need in needs)


def _share(needs: list[dict[str, Any]], lots: list[list[Lot]], chosen: set[int]) -> Plan | None:
    """Who gives what, among the lots of the chosen places; None when it is not enough."""
    taken: Taken = {}
    shares: list[list[Share]] = [[] for _ in needs]
    # The need that fewest lots can serve chooses first: a wide category must not eat what a narrow one needs.
    for n in sorted(range(len(needs)), key=lambda n: len(lots[n])):
        here = [lot for lot in lots[n] if lot.spot in chosen]
        found = _serve(needs[n]["quantity"], here, taken)
        if found is None:
            return None
        shares[n] = found
    return Plan(shares)


def _serve(wanted: int, lots: list[Lot], taken: Taken) -> list[Share] | None:
    """The fewest lots that give `wanted`, with the least left over; what they give is noted in `taken`."""
    able = [(lot, lot.most(taken.get(lot.id, 0))) for lot in lots]
    able = sorted(((lot, most) for lot, most in able if most > 0), key=lambda pair: (-pair[1], pair[0].id))
    chosen: list[Share] = []
    left = wanted
    for n, (lot, most) in enumerate(able):
        if most >= left:  # one more is enough: of those that will do, the one that leaves least over, then the smallest
            last = [(other, room) for other, room in able[n:] if room >= left]
            best = min(last, key=lambda pair: (pair[0].least(left, taken.get(pair[0].id, 0)), pair[1], pair[0].id))[0]
            chosen.append(Share(best, best.least(left, taken.get(best.id, 0))))
            break
        chosen.append(Share(lot, most))
        left -= most
    else:
        return None
    chosen = _trimmed(chosen, wanted, taken)
    for share in chosen:
        taken[share.lot.id] = taken.get(share.lot.id, 0) + share.quantity
    return chosen


def _trimmed(chosen: list[Share], wanted: int, taken: Taken) -> list[Share]:
    """Less from the first ones when the last one gives more than was left to find."""
    over = sum(share.quantity for share in chosen) - wanted
    trimmed = []
    for lot, quantity in chosen:
        enough = lot.least(max(1, quantity - over), taken.get(lot.id, 0)) if over else quantity
        less = min(quantity, enough)
        over -= quantity - less
        trimmed.append(Share(lot, less))
    return trimmed


# --- what can be built ------------------------------------------------------------------------------------------------
def feasibility(code: str, place: str = "") -> dict[str, Any]:
    """Whether a project can be built from today's stock (of one place, if given), and where each need comes from.

    Raises: Refusal("no_such_project" | "no_such_place").
    """
    project = projects.get(code)
    if place:
        places.get_place(place)
    return _feasible(project, Stock(place))


def _feasible(project: Mapping[str, Any], stock: Stock) -> dict[str, Any]:
    needs = project["needs"]
    plan = _plan(needs, stock) if needs else None
    return {"project": project, "buildable": plan is not None, "needs": _accounts(needs, stock, plan)}


def _accounts(needs: list[dict[str, Any]], stock: Stock, plan: Plan | None) -> list[dict[str, Any]]:
    """Each need with what there is of it: what is planned, or what would serve as far as it goes."""
    taken: Taken = {}
    found = []
    for n, need in enumerate(needs):
        lots = stock.lots(need)
        available = sum(lot.most() for lot in lots)
        if plan is not None:
            shares, missing = plan.shares[n], 0
        else:
            left = sum(lot.most(taken.get(lot.id, 0)) for lot in lots)
            missing = max(0, need["quantity"] - left)
            shares = _serve(min(need["quantity"], left), lots, taken) or [] if left > 0 else []
        booked = any(lot.kind != "material" for lot in lots)
        found.append({**need, "booked": booked, "available": available, "missing": missing, "shares": shares})
    return found


def find(
    q: str = "", after: int = 0, limit: int = 20, *, buildable: bool = True, place: str = ""
) -> tuple[list[dict[str, Any]], int | None]:
    """Projects that can be built from today's stock (or those that cannot), by age; and after which id the next page starts.

    At most MOST_LOOKED_AT are looked at for a page: it may be short, and still have a next one.
    """
    stock = Stock(place)
    found: list[dict[str, Any]] = []
    looked_at = 0
    while looked_at < MOST_LOOKED_AT:
        batch = projects.find(q, after, 50)
        for project in batch:
            feasible = _feasible(project, stock)
            if feasible["buildable"] == buildable:
                if len(found) == limit:
                    return found, after
                found.append(feasible)
            after = project["id"]
        looked_at += len(batch)
        if len(batch) < 50:
            return found, None
    return found, after


def ready_first(q: str, cursor: int, limit: int) -> tuple[list[dict[str, Any]], int | None]:
    """Projects, those that can be built first; and the `cursor` of the next page: twice an id, and one for the others."""
    after, others = divmod(cursor, 2)
    found: list[dict[str, Any]] = []
    if not others:
        found, more = find(q, after, limit)
        if more is not None:
            return found, 2 * more
        after = 0
    rest, more = find(q, after, limit - len(found), buildable=False)
    found += rest
    return found, None if more is None else 2 * more + 1


# --- reserving --------------------------------------------------------------------------------------------------------
class _Moved(Exception):
    """Something of the plan went to somebody else before its lock was taken."""


def reserve(
    actor: Actor, person_id: int, code: str, origin: str, *, place: str = "", slot: object = None
) -> list[dict[str, Any]]:
    """Reserve everything that a project takes, or nothing: the reservations, one for each listing, with one pickup code.

    With a `slot`, the machine that it takes is booked as well; without, when it takes nothing else.
    `origin` names the line, request or form that asks: asking again by the same one returns the first result.
    Raises: Refusal("no_such_project" | "no_such_place" | "not_buildable" | "too_many_reservations" | "not_reservable" |
    "invalid" | "busy").
    """
    with db.transaction():
        project = projects.get(code)
        if place:
            places.get_place(place)
        digest = hashlib.sha256(origin.encode("utf-8", "surrogatepass")).hexdigest()
        # Written first: the same line, asked twice at once, waits here for its own first result.
        made = db.insert_once(
            Kit, reference=secrets.token_hex(10), project_id=project["id"], origin=digest, created_at=clock.now()
        )
        kit_id = db.value("SELECT id FROM kit WHERE origin = ?", digest)
        if not made:
            return parts(kit_id)
        for _ in range(TRIES):
            stock = Stock(place, person_id)
            plan = _plan(project["needs"], stock) if project["needs"] else None
            if plan is None:
                raise _not_buildable(project, stock)
            try:
                with db.transaction():
                    _take(actor, person_id, kit_id, plan, origin=origin, slot=slot)
            except _Moved:
                continue
            found = parts(kit_id)
            _tell(actor, person_id, code, found)
            return found
        raise Refusal("busy")


def _not_buildable(project: Mapping[str, Any], stock: Stock) -> Refusal:
    needs = _accounts(project["needs"], stock, None)
    return Refusal("not_buildable", code=project["code"], title=project["title"], needs=needs)


def _take(actor: Actor, person_id: int, kit_id: int, plan: Plan, *, origin: str, slot: object) -> None:
    total = plan.total()
    chosen = None if slot is None else slots.read(slot)
    shares = [share for share in total.values() if share.lot.kind == "material"]
    booked = [share.lot for share in total.values() if share.lot.kind != "material"]
    if slot is not None and not booked:
        errors = FieldErrors()
        errors.add("slot", "no_machine")
        errors.refuse()
    blocked = [one for lot in booked if chosen for one in slots.family(lot.id)]
    catalog.lock_all((*total, *blocked))
    if slot is not None or not shares:
        for lot in booked:
            reservations.check_reservable(catalog.get(lot.code), chosen)
    pin = reservations.pickup_code_for(person_id, sorted({share.lot.place_id for share in total.values()}))
    part = reservations.Part(kit_id, pin, chosen.ends_at if chosen else 0)
    for lot in booked if chosen else ():
        reservations.reserve(actor, person_id, lot.code, None, f"{origin}#{lot.code}", slot=chosen, part=part)
    for share in shares:
        try:
            reservations.reserve(
                actor,
                person_id,
                share.lot.code,
                catalog.amount(share.quantity),
                f"{origin}#{share.lot.code}",
                part=part,
            )
        except Refusal as refusal:
            if refusal.code in GONE:
                raise _Moved from refusal
            raise


def reserve_by_phone(phone: str, code: str, origin: str, *, visitor: str, door: str = "web") -> list[dict[str, Any]]:
    """Reserve a kit for whoever reads the SMS of a phone number, as `draws.ask_by_phone` does a listing.

    Raises as it does, and whatever `reserve` raises.
    """

    def act(actor: Actor, person_id: int) -> list[dict[str, Any]]:
        return reserve(actor, person_id, code, f"{origin}:{person_id}:{code}")

    return reservations.by_phone(phone, act, visitor=visitor, door=door)


def _tell(actor: Actor, person_id: int, code: str, made: list[dict[str, Any]]) -> None:
    if actor.door == "sms" or not made[0]["phone"]:  # by SMS the answer itself is the proof
        return
    facts = (
        "title",
        "count",
        "quantity",
        "unit",
        "pickup_code",
        "place_name",
        "expires_at",
        "available_from",
        "created_at",
        "slot_at",
    )
    kit = reservations.together(made)[0]
    booked = machine(code, {part["place"] for part in made})
    notices.tell(person_id, "kit_reserved", machine=booked, **{name: kit[name] for name in facts})


# --- a kit that was reserved ------------------------------------------------------------------------------------------
def parts(kit_id: int) -> list[dict[str, Any]]:
    """The reservations of a kit, whatever became of them."""
    return reservations.of_kit(kit_id)


def cancel(actor: Actor, kit_id: int) -> list[dict[str, Any]]:
    """Give up what is still held of a kit, in the order of the listings' locks. Twice changes nothing.

    Raises: Refusal("no_such_reservation") when nothing of it is one's own or one's place's.
    """
    with db.transaction():
        found = held(kit_id)
        booked = [part["listing_id"] for part in found if part["starts_at"] is not None]
        blocked = [one for listing_id in booked for one in slots.family(listing_id)]
        catalog.lock_all((*(part["listing_id"] for part in found), *blocked))
        return [reservations.cancel(actor, part["reference"]) for part in found]


def extend(actor: Actor, kit_id: int, origin: str) -> list[dict[str, Any]]:
    """Hold what is still held of a kit longer, but for its machine's time. Raises as `reservations.extend` does."""
    with db.transaction():
        found = held(kit_id)
        lots = [part for part in found if part["starts_at"] is None]
        return [reservations.extend(actor, part["reference"], f"{origin}#{part['listing']}") for part in lots or found]


def machine(code: str, spots: set[str]) -> str | None:
    """The number of a machine that a project takes, at one of these places if there is one; None when it takes none."""
    stock = Stock()
    for need in projects.get(code)["needs"]:
        booked = [lot for lot in stock.lots(need) if lot.kind != "material"]
        if booked:
            return min(booked, key=lambda lot: (lot.place not in spots, lot.id)).code
    return None


def held(kit_id: int) -> list[dict[str, Any]]:
    """What is still held of a kit, in the order of the listings' locks."""
    found = [part for part in parts(kit_id) if part["state"] in reservations.LIVE_STATES]
    return sorted(found, key=lambda part: int(part["listing_id"]))

"""What a conversation asks of the world: its calls, performed by the nouns in the transaction of the message.

Rules are the nouns'; words are the catalogues'; `conversation` decides what is said.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any

from circular import (
    alerts,
    callbacks,
    catalog,
    categories,
    clock,
    db,
    draws,
    gifts,
    i18n,
    kits,
    people,
    personal,
    places,
    projects,
    queries,
    reservations,
    search,
    settings,
    slots,
    unfound,
    waitlist,
)
from circular.checks import MILLI
from circular.errors import Refusal
from circular.people import Actor
from circular.text import shorten
from sms import conversation, messages, moments, replies
from sms.commands import Command
from sms.conversation import Said, State

LINES = conversation.LINES
MOST_HELD = 100  # reservations of one person that are looked at: kits count as one each, lists show few
ALERT_LIMIT = 60  # characters of an alert by SMS: more than anybody looks for, less than a segment


@dataclass(frozen=True, slots=True)
class Turn:
    """One message of one person: who, by which door, by which line (`origin`: its effects happen once)."""

    person_id: int
    origin: str
    door: str = "sms"

    @property
    def actor(self) -> Actor:
        return Actor(self.person_id, "resident", self.door)


def context_of(turn: Turn, state: State) -> str:
    """The parser's name for what this person's next words may mean."""
    known: str | None = state.get("context")
    if known == "after_question_yes_no" and not state.get("yes"):
        known = None
    if known:
        return known
    if messages.offers_shown(turn.person_id, state.get("offers", ())):  # which OUI and NON answer
        return "after_question_yes_no"
    return "has_reservation" if reservations.holds_any(turn.person_id) else "none"


def converse(turn: Turn, state: State, command: Command) -> Said:
    """Take one step: perform what it asks for, give back what it shows. Call inside a transaction."""
    step = conversation.step(state, command)
    try:
        call = next(step)
        while True:
            try:
                result = VERBS[call.verb](turn, **call.args)
            except Refusal as refusal:
                call = step.throw(refusal)
            else:
                call = step.send(result)
    except StopIteration as done:
        said: Said = done.value
        return said


# --- finding ----------------------------------------------------------------------------------------------------------
def _find(turn: Turn, words: str, cursor: str | None) -> dict[str, Any]:
    """What is left of what words name, from a `cursor` on. Where nothing is left of it, or of some of the words alone: what
    is all `taken`, which can be waited for; a cursor of nothing shows the rest all the same.
    """
    query = queries.Query(
        q=words, min_quantity=1, limit=LINES, cursor=cursor or "", home=reservations.home_of(turn.actor)
    )
    page = queries.find(query)
    if cursor is None and (not page.items or "words" in page.relaxed):
        all_of_it = queries.find(query._replace(min_quantity=0))
        taken = [one for one in all_of_it.items if waitlist.is_waitable(one)]
        if taken and set(all_of_it.relaxed) <= {"quantity"}:
            return {**_found(query, page), "taken": taken, "next": "" if page.items else None}
    return {**_found(query, page), "taken": []}


def _found(query: queries.Query, page: queries.Page) -> dict[str, Any]:
    return {
        "items": page.items,
        "next": page.next,
        "count": queries.count(query, page) if page.items else "0",
        "exact": page.mode == search.EXACT,
        "understood": page.wish.understood,
        "did_you_mean": page.wish.did_you_mean,
        "nearest": page.nearest,
    }


def _thing(turn: Turn, code: str) -> dict[str, Any]:
    """A listing, or a project: they share one number space. What the waitlist offers this person is available to them.

    Raises: Refusal("bad_code" | "no_such_listing").
    """
    try:
        found = catalog.get(code)
        available = found["available"] + catalog.offered_to(found["id"], turn.person_id)
        return {**found, "available": available, "now": clock.now_ms()}
    except Refusal as refusal:
        if refusal.code != "no_such_listing":
            raise
        try:
            return _project(code)
        except Refusal:
            raise refusal from None


def _is_told_of(_turn: Turn, code: str, words: str, unit: str) -> bool:
    """Whether words, and a unit, may be told of what has this number. Raises: Refusal("bad_code" | "no_such_listing")."""
    if projects.exists(code):
        return True
    return queries.speaks_of(catalog.get(code), words, unit)


def _project(code: str) -> dict[str, Any]:
    """A project: what it takes and where that is when it can be built now, else what is missing and where its place is.

    Raises: Refusal("no_such_project").
    """
    found = kits.feasibility(code)
    project, needs = found["project"], found["needs"]
    place = places.get_place(project["place"])["name"] if project["place"] else ""
    if found["buildable"]:
        sources = dict.fromkeys(share.lot.place_name for need in needs for share in need["shares"])
        booked = any(need["booked"] and need["shares"] for need in needs)
        return {
            **project,
            "buildable": True,
            "machine": booked,
            "needs_said": _said(needs, "quantity"),
            "place_name": " + ".join(sources),
        }
    return {**project, "buildable": False, "needs_said": _said(needs, "missing"), "place_name": place}


def _said(needs: list[dict[str, Any]], amount: str) -> list[str]:
    """`3 Palette, 0,5 kg Vis`: needs by how much is taken, or missing, of each."""
    labels = {category["code"]: category["labels"] for category in categories.every()}
    language = i18n.current()
    said = []
    for need in needs:
        if need[amount]:
            names = labels[need["category"]]
            quantity = replies.quantity(Decimal(need[amount]) / MILLI, need["unit"], language)
            said.append(f"{quantity} {names.get(language) or names['fr']}")
    return said


def _note_unfound(turn: Turn, words: str) -> None:
    note = unfound.note if turn.person_id else unfound.note_apart  # a page has no transaction
    note(words, turn.door)


def _projects(_turn: Turn, words: str, cursor: int | None) -> dict[str, Any]:
    found, more = kits.ready_first(words, cursor or 0, LINES)
    return {"items": [{**one["project"], "buildable": one["buildable"]} for one in found], "next": more}


def _machines(turn: Turn, words: str, cursor: str | None, sort: str = "") -> dict[str, Any]:
    """What is booked for a time and words name; without words, all of it, or of a `sort` alone where there is any."""
    home = reservations.home_of(turn.actor)
    query = queries.Query(q=words or sort, limit=LINES, cursor=cursor or "", booked=True, home=home)
    page = queries.find(query)
    if sort and not page.items:
        query = query._replace(q="")
        page = queries.find(query)
    return _found(query, page)


# --- reserving --------------------------------------------------------------------------------------------------------
def _slots(
    turn: Turn, code: str, *, words: str, since: int | None, wanted: list[int] | None, quantity: object
) -> dict[str, Any]:
    """The slots of a listing of which so many are free, from a moment that words may name; `exact` when they name a day and
    an hour. `taken`: the slot that they name, or that was `wanted`, where it is not free; `own`: what this person has booked
    of that; `closed`: the moment that they name, where there is no slot; `full`: whether any before the last shown is taken.
    """
    when, no_such_time = _time_of(words)
    named = when if when is not None and when.exact and not since else None
    start = since or (db.to_ms(when.at) if when else clock.now_ms())
    listing = catalog.get(code)
    units = _units(listing, quantity)
    asked = _asked_slot(listing, named) if named else None
    if asked and asked.starts_at < start:  # 10h of a session that begins at 9h: it is shown
        start, named, asked = asked.starts_at, None, None
    free = slots.free(listing, start, start + slots.LONGEST_LOOK, LINES + 1, turn.person_id, units=units)
    items = [[one.starts_at, one.ends_at] for one in free]
    exact = asked is not None and ((named is not None and named.until is not None) or items[:1] == [[*asked]])
    begins = wanted[0] if wanted else start if named and not exact else None
    taken = slots.full(listing, begins, begins + 1, 1, turn.person_id, units=units) if begins else []
    holding = asked if exact and quantity is None else taken[0] if taken else None
    own = reservations.holds(turn.person_id, listing["id"], holding) if holding else None
    shut = None
    if named and not exact and not taken:
        if asked:  # too soon, too far, for who was trained…
            slots.check_time(listing, asked, turn.person_id)
        shut = start if asked or slots.slot_at(listing, start) is None else None
    full = bool(items) and bool(slots.full(listing, start, items[:LINES][-1][0], 1, turn.person_id, units=units))
    return {
        "items": [[*asked]] if exact and asked else items, "exact": exact and not own, "own": own, "full": full,
        "taken": [*taken[0]] if taken else None, "closed": shut, "no_such_time": no_such_time,
        "title": listing["title"], "phone": listing["place_phone"],
    }  # fmt: skip


def _asked_slot(listing: Mapping[str, Any], when: moments.When) -> slots.Slot | None:
    return slots.slot_at(listing, db.to_ms(when.at), None if when.until is None else db.to_ms(when.until))


def _units(listing: Mapping[str, Any], quantity: object) -> int:
    """Thousandths of what is looked for: one, too, where the rules will refuse what was asked for.

    Raises: Refusal("above_maximum").
    """
    milli = round(quantity * MILLI) if isinstance(quantity, int | float) else MILLI
    if listing["kind"] != "material":
        slots.check_most(listing, milli)
    return max(MILLI, milli)


def _time_of(words: str) -> tuple[moments.When | None, bool]:
    """The moment that words name, and whether they name one that there is not."""
    try:
        return moments.read(words, clock.local(clock.now(), settings.get().timezone)), False
    except moments.NoSuchTime:
        return None, True


def _full_slots(turn: Turn, code: str, words: str, since: int | None) -> dict[str, Any]:
    """The slots of a listing of which nothing is left and for which this person does not wait, from a moment that words may
    name; `named`: the one that they name, whether anything is left of it or not.

    Raises: Refusal("outside_hours") when it is closed at the day and hour that they name.
    """
    (when, no_such_time), listing = _time_of(words), catalog.get(code)
    start = since or (db.to_ms(when.at) if when else clock.now_ms())
    if when is not None and when.exact and not since:
        named = _asked_slot(listing, when)
        if named is None:
            raise slots.outside_hours(listing)
        return {"items": [], "named": [*named], "no_such_time": False, "title": listing["title"]}
    mine = {one["starts_at"] for one in waitlist.mine(turn.person_id) if one["listing"] == code}
    most = LINES + 1 + len(mine)
    full = slots.full(listing, start, start + slots.LONGEST_LOOK, most, turn.person_id)
    items = [[*one] for one in full if one.starts_at not in mine]
    return {"items": items[: LINES + 1], "named": None, "no_such_time": no_such_time, "title": listing["title"]}


def _reserve(turn: Turn, code: str, quantity: object, slot: list[int] | None = None) -> dict[str, Any]:
    """Reserve some of a listing, or a project's kit: they share one number space. Of kits, one at a time."""
    try:
        chosen = slots.Slot(*slot) if slot else None
        return draws.ask(turn.actor, turn.person_id, code, quantity, turn.origin, slot=chosen)
    except Refusal as refusal:
        if refusal.code != "no_such_listing" or not projects.exists(code):
            raise
    if quantity not in (None, 1):
        return {"project": code}
    times = zip(("starts_at", "ends_at"), slot or (), strict=False)
    hour = {name: clock.rfc3339(db.from_ms(ms)) for name, ms in times} or None
    try:
        made = kits.reserve(turn.actor, turn.person_id, code, turn.origin, slot=hour)
    except Refusal as refusal:
        if refusal.code != "not_buildable":
            raise
        needs = ", ".join(_said(refusal.facts["needs"], "missing"))
        raise Refusal("not_buildable", title=refusal.facts["title"], needs=needs) from None
    return {**reservations.together(made)[0], "machine": kits.machine(code, {part["place"] for part in made})}


def _kit_machine(_turn: Turn, code: str, words: str | None = None) -> str | None:
    """The machine that a project takes and that can be booked with it; None for anything else, and where words are given
    that name no time.
    """
    if not projects.exists(code) or (words is not None and _time_of(words) == (None, False)):
        return None
    needs = kits.feasibility(code)["needs"]
    return next((need["shares"][0].lot.code for need in needs if need["booked"] and need["shares"]), None)


def _check_quantity(_turn: Turn, code: str, quantity: object) -> None:
    reservations.check_quantity(catalog.get(code), quantity)


def _mine(turn: Turn, limit: int) -> list[dict[str, Any]]:
    return reservations.together(reservations.mine(turn.person_id, MOST_HELD))[:limit]


def _reservation(turn: Turn, pickup_code: str) -> dict[str, Any]:
    """A live reservation of one's own. Raises: Refusal("no_such_reservation" | "already_ended")."""
    found = _by_pickup_code(turn, pickup_code)
    if found["state"] not in reservations.LIVE_STATES:
        raise Refusal("already_ended", state=found["state"], pin=found["pickup_code"])
    return reservations.together(kits.held(found["kit_id"]))[0] if found["kit_id"] else found


def _by_pickup_code(turn: Turn, pickup_code: str) -> dict[str, Any]:
    found = reservations.by_pickup_code(turn.person_id, pickup_code)
    if found is None:
        raise Refusal("no_such_reservation")
    return found


def _entries(turn: Turn) -> list[dict[str, Any]]:
    return draws.mine(turn.person_id)


def _leave_draw(turn: Turn, code: str) -> dict[str, Any] | None:
    return draws.leave(turn.person_id, code)


def _cancel(turn: Turn, pickup_code: str) -> dict[str, Any]:
    found = _by_pickup_code(turn, pickup_code)
    if found["kit_id"] and found["state"] in reservations.LIVE_STATES:  # one code for all of it, so one word ends it
        return reservations.together(kits.cancel(turn.actor, found["kit_id"]))[0]
    return reservations.cancel(turn.actor, found["reference"])


def _extend(turn: Turn, pickup_code: str) -> dict[str, Any]:
    found = _by_pickup_code(turn, pickup_code)
    if found["kit_id"] and found["state"] in reservations.LIVE_STATES:
        return reservations.together(kits.extend(turn.actor, found["kit_id"], turn.origin))[0]
    return reservations.extend(turn.actor, found["reference"], turn.origin)


# --- waiting, alerts --------------------------------------------------------------------------------------------------
def _wait(turn: Turn, code: str, quantity: object, slot: list[int] | None) -> dict[str, Any]:
    chosen = slots.Slot(*slot) if slot else None
    waiting = waitlist.join(turn.actor, turn.person_id, code, quantity, turn.origin, slot=chosen)
    return {**waiting, "exceeds": waitlist.exceeds(waiting)}


def _waits(turn: Turn, words: str = "") -> list[dict[str, Any]]:
    """Where this person waits; with words that name a day, or a day and an hour: for what is then."""
    found, (when, no_such_time) = waitlist.mine(turn.person_id), _time_of(words)
    if when is None:
        return [] if no_such_time else found
    first, midnight = db.to_ms(when.at), when.at.replace(hour=0, minute=0) + timedelta(days=1)
    end = first + 1 if when.exact else db.to_ms(midnight)
    return [one for one in found if first <= (one["starts_at"] or 0) < end]


def _resume_waits(turn: Turn, code: str) -> list[dict[str, Any]]:
    """What this person has set aside of a listing is waited for again."""
    aside = [one for one in waitlist.mine(turn.person_id) if (one["listing"], one["state"]) == (code, "suspended")]
    resumed = [waitlist.resume(turn.actor, one["reference"]) for one in aside]
    return [{**one, "exceeds": waitlist.exceeds(one)} for one in resumed]


def _leave_wait(turn: Turn, reference: str) -> None:
    waitlist.leave(turn.actor, reference)


def _suspend_wait(turn: Turn, reference: str) -> None:
    waitlist.suspend(turn.actor, reference)


def _take_offer(turn: Turn, quantity: object, seen: list[str]) -> dict[str, Any] | None:
    shown = messages.offers_shown(turn.person_id, seen)
    return waitlist.take(turn.actor, turn.person_id, turn.origin, quantity, shown)


def _pass_offer(turn: Turn, seen: list[str]) -> dict[str, Any] | None:
    return waitlist.pass_offer(turn.person_id, messages.offers_shown(turn.person_id, seen))


def _add_alert(turn: Turn, words: str) -> bool:
    """Tell this person when there is some; True when there is already."""
    asked = shorten(words, ALERT_LIMIT)
    alerts.add(turn.person_id, {"q": asked}, turn.origin)
    page = queries.find(queries.Query(q=asked, min_quantity=1, limit=1))
    return bool(page.items) and page.mode == search.EXACT


def _alerts(turn: Turn) -> list[dict[str, Any]]:
    return alerts.mine(turn.person_id)


def _stop_alerts(turn: Turn, alert: str | None, choice: int | None, words: str) -> None:
    """End the alert of a line that was shown, the one at `choice` when no list is open, those of `words`, or all."""
    if alert is None:
        alerts.stop(turn.person_id, choice, words)
    else:
        alerts.remove(turn.actor, alert)


# --- the person -------------------------------------------------------------------------------------------------------
def _place(turn: Turn) -> dict[str, Any] | None:
    return reservations.desk_of(turn.person_id)


def _place_named(_turn: Turn, words: str) -> dict[str, Any] | None:
    return places.named(words)


def _choose_language(turn: Turn, choice: int | None, language: str | None) -> str | None:
    if choice is not None and 1 <= choice <= len(i18n.LANGUAGES):
        language = i18n.LANGUAGES[choice - 1]
    if language in i18n.LANGUAGES:
        people.choose_language(turn.person_id, str(language))
        return language
    return None


def _stop(turn: Turn) -> None:
    people.opt_out(turn.person_id)
    messages.cancel_unsent(turn.person_id)


def _start(turn: Turn) -> None:
    messages.cancel_unsent(turn.person_id)  # what a worker was just about to queue when STOP came
    people.opt_in(turn.person_id)


def _ask_human(turn: Turn, words: str) -> dict[str, Any]:
    asked = callbacks.ask(turn.person_id, words, turn.origin, door=turn.door)
    return {"phone": asked["place_phone"] or "", "hours": asked["place_hours"] or ""}


def _give(turn: Turn, words: str, quantity: object = None, unit: str = "") -> dict[str, Any]:
    return gifts.give(turn.person_id, words, quantity, turn.origin, unit)


def _erase(turn: Turn) -> None:
    personal.erase(turn.actor)


VERBS: dict[str, Callable[..., Any]] = {
    "find": _find,
    "thing": _thing,
    "is_told_of": _is_told_of,
    "note_unfound": _note_unfound,
    "projects": _projects,
    "machines": _machines,
    "reserve": _reserve,
    "slots": _slots,
    "full_slots": _full_slots,
    "kit_machine": _kit_machine,
    "check_quantity": _check_quantity,
    "mine": _mine,
    "reservation": _reservation,
    "cancel": _cancel,
    "entries": _entries,
    "leave_draw": _leave_draw,
    "extend": _extend,
    "wait": _wait,
    "waits": _waits,
    "leave_wait": _leave_wait,
    "suspend_wait": _suspend_wait,
    "resume_waits": _resume_waits,
    "take_offer": _take_offer,
    "pass_offer": _pass_offer,
    "add_alert": _add_alert,
    "alerts": _alerts,
    "stop_alerts": _stop_alerts,
    "place": _place,
    "place_named": _place_named,
    "choose_language": _choose_language,
    "ask_human": _ask_human,
    "give": _give,
    "erase": _erase,
    "stop": _stop,
    "start": _start,
}

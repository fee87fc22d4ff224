"""The conversation: a command and what the person was last shown in; one text and what they are shown now out.

Rules are the nouns'; this file only asks them and chooses words. A refusal becomes the text `refusal_<code>`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from circular import catalog, db, i18n, people, places, reservations, settings
from circular.checks import MILLI
from circular.errors import Refusal
from circular.people import Actor
from sms import messages, replies
from sms.commands import Command

LINES = 3  # what one segment can hold


@dataclass(frozen=True, slots=True)
class Turn:
    """One message of one person: who, in which language, by which line (`origin`), and what they were last shown."""

    person_id: int
    language: str
    origin: str
    shown: dict[str, Any]

    @property
    def actor(self) -> Actor:
        return Actor(self.person_id, "resident", "sms")


@dataclass(frozen=True, slots=True)
class Answer:
    """The text to send, and what a number means from now on (None: as before)."""

    text: str
    shown: dict[str, Any] | None = None


def context_of(shown: dict[str, Any]) -> str:
    """The parser's name for what somebody was last shown."""
    return {"listings": "after_list", "languages": "language_menu"}.get(shown.get("kind", ""), "none")


def answer(turn: Turn, command: Command) -> Answer:
    """What to say to a command. Refusals of the rules are said; nothing else is caught."""
    try:
        return HANDLERS[command.intent](turn, command.args)
    except Refusal as refusal:
        return Answer(refusal_text(refusal, turn.language, command.args))


def refusal_text(refusal: Refusal, language: str, args: dict[str, Any]) -> str:
    """A refusal in one segment."""
    facts = {"code": args.get("code", ""), "pin": args.get("pickup_code", ""), **refusal.facts}
    unit = str(facts.get("unit", "piece"))
    for name in ("available", "minimum", "step", "reserved"):
        if name in facts:
            facts[name] = replies.quantity(Decimal(str(facts[name])), unit, language)
    if "phone" in facts:
        facts["phone"] = _national(str(facts["phone"]))
    if "state" in facts:
        facts["state"] = replies.render(f"state_{facts['state']}", language)
    if "unit" in facts:
        facts["unit"] = replies.render(f"unit_{unit}", language)
    return replies.render(f"refusal_{refusal.code}", language, **facts)


# --- finding ----------------------------------------------------------------------------------------------------------
def _search(turn: Turn, args: dict[str, Any]) -> Answer:
    words = str(args["words"])
    return _results(turn, words, catalog.Query(q=words, min_quantity=1, limit=LINES))


def _more(turn: Turn, _args: dict[str, Any]) -> Answer:
    more = turn.shown.get("more")
    if not more:
        return Answer(replies.render("help", turn.language))
    query = catalog.Query(q=more["words"], min_quantity=1, limit=LINES, cursor=more["cursor"])
    return _results(turn, more["words"], query)


def _results(turn: Turn, words: str, query: catalog.Query) -> Answer:
    page = catalog.find(query)
    if not page.items:
        return Answer(replies.render("none", turn.language, words=words.upper()))
    rows = [
        {
            "n": str(n),
            "title": listing["title"],
            "quantity": quantity(listing["available"], listing["unit"], turn.language),
            "place": listing["place_name"],
            "code": listing["code"],
        }
        for n, listing in enumerate(page.items, 1)
    ]
    text = replies.render_list(
        "results" if page.next else "results_end",
        "results_line",
        turn.language,
        rows,
        words=words.upper(),
        count=catalog.count(query, page),
    )
    shown: dict[str, Any] = {"kind": "listings", "codes": [listing["code"] for listing in page.items]}
    if page.next:
        shown["more"] = {"words": words, "cursor": page.next}
    return Answer(text, shown)


def _details(turn: Turn, args: dict[str, Any]) -> Answer:
    code = _code(turn, args)
    if code is None:
        return Answer(replies.render("no_choice", turn.language))
    listing = catalog.get(code)
    facts = {
        "code": code,
        "title": listing["title"],
        "quantity": quantity(listing["available"], listing["unit"], turn.language),
        "condition": replies.render(f"condition_{listing['condition']}", turn.language),
        "price": _price(listing, turn.language),
        "place": listing["place_name"],
        "hours": replies.hours(listing["place_hours"], turn.language),
        "phone": _national(listing["place_phone"]),
    }
    if listing["kind"] != "material":
        return Answer(replies.render("details_slot", turn.language, **facts))
    return Answer(replies.render("details" if listing["available"] else "details_none_left", turn.language, **facts))


def _code(turn: Turn, args: dict[str, Any]) -> str | None:
    """The listing meant by a code or by a line of the last list; None when no such line was shown."""
    if "code" in args:
        return str(args["code"])
    codes = turn.shown.get("codes", [])
    choice = args.get("choice", 0)
    return str(codes[choice - 1]) if 1 <= choice <= len(codes) else None


# --- reserving --------------------------------------------------------------------------------------------------------
def _reserve(turn: Turn, args: dict[str, Any]) -> Answer:
    code = _code(turn, args)
    if code is None:
        return Answer(replies.render("reserve_what", turn.language))
    made = reservations.reserve(turn.actor, turn.person_id, code, args.get("quantity"), turn.origin)
    return Answer(reserved_text(made, turn.language))


def reserved_text(reservation: dict[str, Any], language: str) -> str:
    """The proof of a reservation: what, the pickup code, where, until when."""
    return replies.render("reserved", language, **_reservation(reservation, language))


def _reservation(reservation: dict[str, Any], language: str) -> dict[str, str]:
    until = db.from_ms(reservation["expires_at"])
    timezone = settings.get().timezone
    return {
        "quantity": quantity(reservation["quantity"], reservation["unit"], language),
        "title": reservation["title"],
        "pin": reservation["pickup_code"],
        "place": reservation["place_name"],
        "day": i18n.format_day(until, language, timezone),
        "time": i18n.format_time(until, language, timezone),
    }


def _mine(turn: Turn, args: dict[str, Any]) -> Answer:
    if "pickup_code" in args:
        found = reservations.by_pickup_code(turn.person_id, args["pickup_code"])
        if found is None:
            raise Refusal("no_such_reservation")
        if found["state"] not in reservations.LIVE_STATES:
            raise Refusal("already_ended", state=found["state"], pin=found["pickup_code"])
        return Answer(replies.render("mine_one", turn.language, **_reservation(found, turn.language)))
    mine = reservations.mine(turn.person_id, LINES)
    if not mine:
        return Answer(replies.render("mine_none", turn.language))
    rows = [{"n": str(n), **_reservation(found, turn.language)} for n, found in enumerate(mine, 1)]
    shown = {"kind": "reservations", "references": [found["reference"] for found in mine]}
    return Answer(replies.render_list("mine", "mine_line", turn.language, rows), shown)


def _cancel(turn: Turn, args: dict[str, Any]) -> Answer:
    reference = None
    if "pickup_code" in args:
        found = reservations.by_pickup_code(turn.person_id, args["pickup_code"])
        if found is None:
            raise Refusal("no_such_reservation")
        reference = found["reference"]
    elif "choice" in args:
        references = turn.shown.get("references", [])
        if 1 <= args["choice"] <= len(references):
            reference = references[args["choice"] - 1]
    elif "code" in args:  # A 41271: the listing's number instead of the pickup code; plain enough when there is one
        held = [found for found in reservations.mine(turn.person_id) if found["listing"] == args["code"]]
        reference = held[0]["reference"] if len(held) == 1 else None
    if reference is None:
        return Answer(replies.render("cancel_which", turn.language))
    cancelled = reservations.cancel(turn.actor, reference)
    return Answer(replies.render("cancelled", turn.language, title=cancelled["title"], code=cancelled["listing"]))


# --- the rest ---------------------------------------------------------------------------------------------------------
def _help(turn: Turn, args: dict[str, Any]) -> Answer:
    return Answer(replies.render("welcome" if args.get("greeting") else "help", turn.language))


def _hours(turn: Turn, _args: dict[str, Any]) -> Answer:
    """Hours of the place where something is held, else of the town's first place."""
    held = reservations.mine(turn.person_id, 1)
    place = places.get_place(held[0]["place"]) if held else next(iter(places.find_places(limit=1)), None)
    if place is None:
        return Answer(replies.render("help", turn.language))
    return Answer(
        replies.render(
            "hours",
            turn.language,
            place=place["name"],
            hours=replies.hours(place["opening_hours"], turn.language),
            phone=_national(place["phone"]),
        )
    )


def _language(turn: Turn, args: dict[str, Any]) -> Answer:
    choice = args.get("choice", 0)
    if not 1 <= choice <= len(i18n.LANGUAGES):
        return Answer(replies.render("language_menu", turn.language), {"kind": "languages"})
    chosen = i18n.LANGUAGES[choice - 1]
    people.choose_language(turn.person_id, chosen)
    return Answer(replies.render("language_set", chosen), {})


def _stop(turn: Turn, _args: dict[str, Any]) -> Answer:
    people.opt_out(turn.person_id)
    messages.cancel_unsent(turn.person_id)
    return Answer(replies.render("stop_done", turn.language), {})


def _start(turn: Turn, _args: dict[str, Any]) -> Answer:
    messages.cancel_unsent(turn.person_id)  # what a worker was just about to queue when STOP came
    people.opt_in(turn.person_id)
    return Answer(replies.render("start_done", turn.language), {})


def quantity(milli: int, unit: str, language: str) -> str:
    return replies.quantity(Decimal(milli) / MILLI, unit, language)


def _price(listing: dict[str, Any], language: str) -> str:
    if not listing["price_cents"]:
        return replies.render("price_free", language)
    return i18n.format_money(listing["price_cents"], listing["currency"], language)


def _national(phone: str) -> str:
    """+596596501234 -> 0596501234, as people here dial it."""
    return "0" + phone[4:] if phone.startswith("+596") else phone


HANDLERS: dict[str, Callable[[Turn, dict[str, Any]], Answer]] = {
    "search": _search,
    "more": _more,
    "details": _details,
    "reserve": _reserve,
    "mine": _mine,
    "cancel": _cancel,
    "help": _help,
    "hours": _hours,
    "language": _language,
    "stop": _stop,
    "start": _start,
}

"""The dialogue engine: a conversation is a pure step, `(state, command) -> (screen, state)`, its effects values.

A handler is a generator. It yields a `Call` for whatever needs the world (a search, a reservation), is sent what came
of it or thrown its Refusal, and returns what to show and what the person's next words mean. It knows no database, no
language and no channel: `dialogue` performs the calls, `screens` has the two skins, SMS and USSD.

State is JSON, per person. Its keys, all optional:
    context     what the parser needs to know: one of `commands.CONTEXTS`
    choices     [[intent, args], …]: what 1, 2, 3… mean, as the person was shown them (written by the skin)
    more        what S goes on with
    yes, no     [intent, args]: what OUI and NON do
    ask         [intent, args, name]: a free answer is the argument `name` of that command
    words       the last search, for `AL` alone
    code        the listing just shown, for `R` and `W` alone
    missed      messages not understood, in a row
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from typing import Any, NamedTuple, TypeAlias

from circular.checks import MILLI
from circular.errors import Refusal
from sms.commands import Command

State: TypeAlias = dict[str, Any]
LINES = 3  # of a list: what one segment can hold
MISSED = 2  # messages not understood before a human is offered (contract)
MOST_MINE = 99  # reservations of one person that M goes through, three at a time
LONGEST_CODE = 8  # digits of a number that are said back
LASTING = ("missed", "words", "offers")  # what outlives the list that is open; `offers`: which ones M has shown


# --- what is shown ----------------------------------------------------------------------------------------------------
class Quantity(NamedTuple):
    """Thousandths of a unit."""

    milli: int
    unit: str


class Price(NamedTuple):
    """ISO 4217 minor units; nothing to pay is said in words."""

    cents: int
    currency: str


class Day(NamedTuple):
    """The local day of a time in milliseconds since 1970."""

    ms: int


class Time(NamedTuple):
    """The local time of day of a time in milliseconds since 1970."""

    ms: int


class Hours(NamedTuple):
    """Opening hours in OpenStreetMap's syntax."""

    osm: str


class Phone(NamedTuple):
    """A number in E.164 form, said as people here dial it."""

    e164: str


class Text(NamedTuple):
    """A text of the catalogue, by key."""

    key: str


class Several(NamedTuple):
    """So many thousandths of something, the number first: `3 x Porte pleine`."""

    milli: int
    unit: str
    title: str


class Session(NamedTuple):
    """What is booked for a time, and when: the day and the hour come first, so that they are never cut off."""

    title: str | Several
    starts_at: int  # milliseconds since 1970


Value: TypeAlias = str | int | float | Quantity | Price | Day | Time | Hours | Phone | Text | Several | Session
Facts: TypeAlias = Mapping[str, Value]


class Row(NamedTuple):
    """A line of a list, and what choosing it does. `key` names its text where it is not that of the other lines."""

    facts: Facts
    command: Command
    key: str = ""


class Option(NamedTuple):
    """Something that one can do from here. `key` names its label. By SMS only a menu numbers them."""

    key: str
    command: Command


class Screen(NamedTuple):
    """What to show, without words: a text's key and its facts, the lines of a list, what can be done next."""

    key: str
    facts: Facts = {}
    row_key: str = ""
    rows: tuple[Row, ...] = ()
    options: tuple[Option, ...] = ()
    language: str | None = None  # said in this language instead of the person's
    last: bool = False  # the one text that goes to somebody who opted out


class Call(NamedTuple):
    """Something asked of the world: a verb of `dialogue.VERBS` and its arguments."""

    verb: str
    args: dict[str, Any]


class Said(NamedTuple):
    """What to show, and the state from now on (None: as before, but for the open question)."""

    screen: Screen
    state: State | None = None


Step: TypeAlias = Generator[Call, Any, Said]
Handler: TypeAlias = Callable[[State, dict[str, Any]], Step]


# --- the step ---------------------------------------------------------------------------------------------------------
def step(state: State, command: Command) -> Step:
    """What follows a command in a state. Refusals of the rules are shown; nothing else is caught."""
    meant = _resolve(state, command)
    try:
        said = yield from HANDLERS[meant.intent](state, meant.args)
    except Refusal as refusal:
        code = _argument(state, meant.args, "code") or state.get("code") or ""
        said = Said(_refused(refusal, {**meant.args, "code": code}))
    after = kept(state) if said.state is None else said.state
    if meant.intent not in UNDERSTOOD_LATER:
        after = {**after, "missed": 0}
    return Said(said.screen, {name: value for name, value in after.items() if value})


def kept(state: State) -> State:
    """The state without what counts for the next message only: the question that was open, the listing that was shown."""
    return {name: value for name, value in state.items() if name not in ("yes", "no", "ask", "code")}


def opened(state: State, **more: Any) -> State:
    """A new state with what outlives a list, and `more`."""
    return {**{name: state[name] for name in LASTING if name in state}, **more}


def _resolve(state: State, command: Command) -> Command:
    """The command that a number, OUI or a free answer stands for, in a state."""
    if command.intent in ("yes", "no") and state.get(command.intent):
        intent, args = state[command.intent]
        if "quantity" not in command.args:
            return Command(intent, args)
        if intent in ("reserve", "waitlist"):  # OUI 2
            return Command(intent, {**args, "quantity": command.args["quantity"]})
        return Command("no_choice", {"count": 0})  # how many of what? Nothing is cancelled nor erased by it
    choice = command.args.get("choice")
    if command.intent == "details" and choice is not None:
        chosen = _chosen(state, choice)
        return Command(*chosen) if chosen else Command("no_choice", {"count": len(state.get("choices", []))})
    return command


def _chosen(state: State, choice: int) -> list[Any] | None:
    choices = state.get("choices", [])
    return choices[choice - 1] if 1 <= choice <= len(choices) else None


def _argument(state: State, args: dict[str, Any], name: str) -> str | None:
    """An argument given, or that of the line chosen (`R1`, `A1`, `W1`); None when there is neither."""
    found = _given(state, args, name)
    return None if found is None else str(found)


def _given(state: State, args: dict[str, Any], name: str) -> Any:
    """The same as it is."""
    if name in args:
        return args[name]
    chosen = _chosen(state, args["choice"]) if "choice" in args else None
    return chosen[1].get(name) if chosen else None


def _refused(refusal: Refusal, args: dict[str, Any]) -> Screen:
    facts: dict[str, Any] = {"code": args.get("code", ""), "pin": args.get("pickup_code", ""), **refusal.facts}
    if len(str(facts["code"])) > LONGEST_CODE:
        facts["code"] = f"{str(facts['code'])[:LONGEST_CODE]}..."
    unit = str(facts.pop("unit", "piece"))
    for name in ("available", "minimum", "maximum", "step", "reserved"):
        if name in facts:
            facts[name] = Quantity(round(float(facts[name]) * 1000), unit)
    facts["some"] = facts.get("minimum", facts.get("step", ""))  # how one asks for so many
    if isinstance(facts["some"], Quantity):
        facts["some"] = facts["some"]._replace(unit="piece")
    facts["unit"] = Text(f"unit_{unit}")
    if "phone" in facts:
        facts["phone"] = Phone(str(facts["phone"]))
    for name in {"expires_at", "opens_at", "closes_at"} & facts.keys():
        ms = round(facts[name].timestamp() * 1000)
        facts.update(day=Day(ms), time=Time(ms))
    if "state" in facts:
        facts["state"] = Text(f"state_{facts['state']}")
    if facts.get("starts_at"):
        facts["title"] = Session(facts["title"], round(facts["starts_at"].timestamp() * 1000))
    return Screen(f"refusal_{refusal.code}", facts)


def _simply(key: str, **facts: Value) -> Said:
    return Said(Screen(key, facts))


# --- finding ----------------------------------------------------------------------------------------------------------
def _search(state: State, args: dict[str, Any]) -> Step:
    words = str(args.get("words", ""))
    intent, shown = state["choices"][0] if state.get("choices") else ("", {})
    timed = intent in ("reserve", "waitlist") and shown.get("slot")  # free times were shown, or taken ones
    if args.get("when") and timed:
        wanted = {name: told[name] for told in (shown, args) for name in ("code", "quantity") if name in told}
        times = _slots if intent == "reserve" else _full_slots
        return (yield from times(state, {**wanted, "words": words}))
    if args.get("when") and any(c.isdigit() for c in words):  # ven 14h: of what?
        return (yield from _unknown(state, args))
    if args.get("where"):
        place = yield Call("place_named", {"words": words})
        if place is not None:
            return _hours_said(place)
    if not words:
        return Said(Screen("search_ask"), {**kept(state), "ask": ["search", {}, "words"]})
    return (yield from _results(state, words, None))


def _more(state: State, _args: dict[str, Any]) -> Step:
    more = state.get("more")
    if not more:
        return _simply("no_more")
    return (yield from HANDLERS[more[0]](state, more[1]))


def _go_on(state: State, args: dict[str, Any]) -> Step:
    return (yield from _results(state, args["words"], args["cursor"]))


def _results(state: State, words: str, cursor: str | None) -> Step:
    found = yield Call("find", {"words": words, "cursor": cursor})
    if not found["items"] and not found["nearest"] and not found["taken"]:
        return (yield from _nothing(state, words, found["did_you_mean"]))
    if not found["items"] and not found["taken"]:
        yield Call("note_unfound", {"words": words})
    rows = tuple(
        Row(
            {
                "n": n,
                "title": listing["title"],
                "quantity": Quantity(listing["available"], listing["unit"]),
                "place": listing["place_name"],
                "code": listing["code"],
            },
            Command("details", {"code": listing["code"]}),
        )
        for n, listing in enumerate(found["taken"] or found["items"] or found["nearest"], 1)
    )
    key = "results_taken" if found["taken"] else "results" if found["exact"] else "results_near"
    further = found["next"] is not None
    key = key if further else f"{key}_end" if found["items"] or found["taken"] else "nearest"
    said = (found["understood"] or words).upper()
    line = "taken_line" if found["taken"] else "results_line"
    screen = Screen(key, {"words": said, "count": found["count"]}, line, rows)
    missed = 0 if found["items"] or found["taken"] else state.get("missed", 0) + 1
    after = opened(state, context="after_list", words=words, missed=missed)
    if further:
        after["more"] = ["go_on", {"words": words, "cursor": found["next"]}]
    return Said(screen, after)


def _nothing(state: State, words: str, meant: str) -> Step:
    yield Call("note_unfound", {"words": words})
    missed = state.get("missed", 0) + 1
    after = {**opened(state), "missed": missed, "words": words}
    if missed >= MISSED:
        return Said(
            Screen("offer_human", {"words": words.upper()}), {**after, **_question(["human", {"words": words}])}
        )
    if meant:
        asked = _question(["search", {"words": meant}])
        return Said(Screen("did_you_mean", {"words": words.upper(), "text": meant.upper()}), {**after, **asked})
    return Said(Screen("none", {"words": words.upper()}), after)


def _question(yes: list[Any], no: list[Any] | None = None) -> State:
    return {"context": "after_question_yes_no", "yes": yes, "no": no or ["leave_it", {}]}


def _unknown(state: State, args: dict[str, Any]) -> Step:
    missed = state.get("missed", 0) + 1
    text = str(args.get("words", ""))
    if missed >= MISSED:
        return Said(
            Screen("offer_human", {"words": text or "?"}),
            {**kept(state), "missed": missed, **_question(["human", {"words": text}])},
        )
    yield from ()
    screen = Screen("unknown", {"text": text}) if text else Screen("help")  # an emoji alone cannot be said back
    return Said(screen, {**kept(state), "missed": missed})


def _details(state: State, args: dict[str, Any]) -> Step:
    code = str(args["code"])
    thing = yield Call("thing", {"code": code})
    if "needs" in thing:
        return _project_said(state, thing, code)
    facts: dict[str, Value] = {
        "code": code,
        "title": thing["title"],
        "quantity": Quantity(thing["available"], thing["unit"]),
        "some": Quantity(_some(thing), "piece"),
        "condition": Text(f"condition_{thing['condition']}"),
        "price": Price(thing["price_cents"], thing["currency"]),
        "place": thing["place_name"],
        "hours": Hours(thing["place_hours"]),
        "phone": Phone(thing["place_phone"]),
    }
    after = {**kept(state), "code": code}
    later = thing["available_from"] is not None and thing["available_from"] > thing["now"]
    facts["day"] = Day(thing["available_from"] or 0)
    if thing["kind"] != "material":
        options = (Option("do_reserve", Command("slots", {"code": code})),)
        return Said(Screen("details_slot", facts, options=options), after)
    if not thing["available"]:
        return Said(
            Screen("details_none_left", facts, options=(Option("do_wait", Command("waitlist", {"code": code})),)), after
        )
    options = (Option("do_reserve", Command("ask_quantity", {"code": code})),)
    return Said(Screen("details_later" if later else "details", facts, options=options), after)


def _some(thing: Mapping[str, Any]) -> int:
    """A quantity to show how one asks for one: about five of what is left, as the listing is sold."""
    step = thing["step_quantity"] or MILLI
    wanted = min(5 * MILLI, thing["available"])
    return int(max(thing["min_quantity"] or step, wanted // step * step))


def _no_choice(_state: State, args: dict[str, Any]) -> Step:
    yield from ()
    return _simply("no_line", count=args["count"]) if args["count"] else _simply("no_choice")


# --- reserving --------------------------------------------------------------------------------------------------------
def _reserve(state: State, args: dict[str, Any]) -> Step:
    code = _reserved_code(state, args)
    if code is None:
        return _simply("reserve_what")
    if args.get("thing") or args.get("unit"):  # R 41271 3 portes, of planks: which of the two is meant?
        told = {"words": args.get("thing", ""), "unit": args.get("unit", "")}
        if not (yield Call("is_told_of", {"code": code, **told})):
            return (yield from _details(state, {"code": code}))
    slot = _given(state, args, "slot")
    wanted = {"words": args.get("words", ""), "quantity": args.get("quantity"), "wanted": slot}
    if wanted["words"] and not slot:  # R 12147 VEN 14H: all of it, or nothing
        machine = yield Call("kit_machine", {"code": code, "words": wanted["words"]})
        if machine:
            return (yield from _slots(state, {**wanted, "code": machine, "kit": code}))
    try:
        made = yield Call("reserve", {"code": code, "quantity": args.get("quantity"), "slot": slot})
    except Refusal as refusal:
        if refusal.code in ("not_reservable", "slot_taken"):
            machine = (yield Call("kit_machine", {"code": code})) if slot else None
            whose = {"code": machine, "kit": code} if machine else {"code": code}
            return (yield from _slots(state, {**wanted, **whose}))
        if refusal.code == "slot_not_allowed":  # of a list from before it became a lot
            return (yield from _details(state, {"code": code}))
        if refusal.code != "sold_out":
            raise
        return _too_few(state, {"code": code, "quantity": args.get("quantity")}, refusal)
    if "ticket" in made:
        return Said(Screen(entered_key(made), entry_facts(made)))
    if "project" in made:
        return (yield from _details(state, {"code": code}))  # so many kits: one is shown
    return Said(_made_screen(made))


def _reserved_code(state: State, args: dict[str, Any]) -> str | None:
    """What R is about: a number, a line, or else the listing that was just shown."""
    code = _argument(state, args, "code")
    alone = not {"code", "choice"} & set(args)
    only = args.get("choice") == 1 and not state.get("choices")  # R1: there is one thing to see
    return state.get("code") if code is None and (alone or only) else code


def _made_screen(made: Mapping[str, Any], options: tuple[Option, ...] = ()) -> Screen:
    """What proves a reservation, or says that the place must agree first."""
    key, facts = reserved_key(made), reservation_facts(made)
    return Screen(key, {**facts, "title": _named_once(made)} if key == "reserved_asked" else facts, options=options)


def _slots(state: State, args: dict[str, Any]) -> Step:
    """The free slots of what is booked for a time. A day and an hour that are free are taken at once: `R 50213 VEN 14H`.
    Of one that is taken, a place in the queue is offered, beside what is free. Of the machine of a `kit`, all of it is taken.
    """
    code = str(args["code"])
    asked = {name: args.get(name) for name in ("since", "wanted", "quantity")}
    found = yield Call("slots", {"code": code, "words": args.get("words", ""), **asked})
    wanted = {"code": code, **({"quantity": args["quantity"]} if args.get("quantity") else {})}
    taking = {**wanted, "code": args.get("kit") or code}
    if found["exact"]:
        return (yield from _reserve(state, {**taking, "slot": found["items"][0]}))
    if found["own"] and not args.get("kit"):
        return Said(Screen("slot_reserved", reservation_facts(found["own"])))
    taken, title = found["taken"], found["title"]
    question = _question(["waitlist", {**wanted, "slot": taken}]) if taken else {}
    if not found["items"] and taken:
        screen = Screen("none_left", {"title": Session(title, taken[0]), "code": code})
        return Said(screen, {**kept(state), **question})
    if not found["items"]:
        full = yield Call("full_slots", {"code": code, "words": "", "since": args.get("since")})
        if full["items"]:
            return _full(full, wanted)
        return _simply("slots_none", title=title, phone=Phone(found["phone"]))
    after = opened(state, **{**question, "context": "after_list"})
    if len(found["items"]) > LINES:
        kit = {"kit": args["kit"]} if args.get("kit") else {}
        after["more"] = ["slots", {**wanted, **kit, "since": found["items"][LINES][0]}]
    options: tuple[Option, ...] = ()
    if taken or found["full"]:
        wait = Command(*question["yes"]) if taken else Command("full_slots", wanted)
        options = (Option("do_wait", wait),)
    moment = taken[0] if taken else found["closed"]
    named = Session(title, moment) if moment else title
    key = (
        "slots_taken"
        if taken
        else "slots_closed"
        if moment
        else "slots_no_such_time"
        if found["no_such_time"]
        else "slots"
    )
    rows = _slot_rows(found["items"], Command("reserve", taking))
    return Said(Screen(key, {"title": named}, "slot_line", rows, options), after)


def _slot_rows(found: list[list[int]], command: Command) -> tuple[Row, ...]:
    return tuple(
        Row(
            {"n": n, "text": "", "day": Day(start), "time": Time(start), "until": Time(end)},
            command._replace(args={**command.args, "slot": [start, end]}),
        )
        for n, (start, end) in enumerate(found[:LINES], 1)
    )


def _full_slots(state: State, args: dict[str, Any]) -> Step:
    """The slots that are all taken, and for which one can wait: `W 50305`. `W 50305 VEN 18H` waits at once. Whoever has set
    their place aside goes on.
    """
    code, words = str(args["code"]), args.get("words", "")
    wanted = {"code": code, **({"quantity": args["quantity"]} if args.get("quantity") else {})}
    if not words and not args.get("since"):
        resumed = yield Call("resume_waits", {"code": code})
        if resumed:
            return _joined(state, resumed[0]) if len(resumed) == 1 else _waits_said(state, resumed)
    found = yield Call("full_slots", {"code": code, "words": words, "since": args.get("since")})
    if found["no_such_time"]:
        return (yield from _slots(state, {**wanted, "words": words}))
    if found["named"]:
        return (yield from _waitlist(state, {**wanted, "slot": found["named"]}))
    if not found["items"]:
        waits = [one for one in (yield Call("waits", {})) if one["listing"] == code]
        return _waits_said(state, waits) if waits else (yield from _slots(state, {"code": code}))
    return _full(found, wanted)


def _full(found: Mapping[str, Any], wanted: dict[str, Any]) -> Said:
    after: State = {"context": "after_list"}
    if len(found["items"]) > LINES:
        after["more"] = ["full_slots", {**wanted, "since": found["items"][LINES][0]}]
    rows = _slot_rows(found["items"], Command("waitlist", wanted))
    key = "slots_full" if "more" in after else "slots_full_end"
    return Said(Screen(key, {"title": found["title"]}, "slot_line", rows), after)


def reserved_key(made: Mapping[str, Any]) -> str:
    """The text that proves a reservation: what is not there yet says from when it is."""
    if made.get("approval") == "asked":
        return "reserved_asked"
    if made.get("starts_at") is not None:
        return "slot_reserved"
    if "count" in made:
        with_hour = made.get("slot_at") is not None
        return "kit_reserved_slot" if with_hour else "kit_reserved_machine" if made.get("machine") else "kit_reserved"
    return "reserved_later" if (made["available_from"] or 0) > made["created_at"] else "reserved"


def _too_few(state: State, wanted: dict[str, Any], refusal: Refusal) -> Said:
    """Less than was asked for: what is left is offered, or a place in the queue."""
    code = wanted["code"]
    left, unit, title = refusal.facts["available"], refusal.facts["unit"], refusal.facts["title"]
    if left:
        facts: dict[str, Value] = {"quantity": Quantity(round(left * 1000), unit), "title": title, "code": code}
        return Said(
            Screen("too_few", facts),
            {**kept(state), **_question(["reserve", {"code": code, "quantity": left}])},
        )
    return Said(Screen("none_left", {"title": title, "code": code}), {**kept(state), **_question(["waitlist", wanted])})


def reservation_facts(made: Mapping[str, Any]) -> dict[str, Value]:
    """What the texts say of a reservation (a noun's facts)."""
    begins = made.get("starts_at")
    return {
        "quantity": Quantity(made["quantity"], made["unit"]),
        "title": made["title"] if begins is None else _several(made),
        "pin": made["pickup_code"],
        "place": made["place_name"],
        "until": Time(made["expires_at"]),
        "day": Day(made["expires_at"] if begins is None else begins),
        "time": Time(made["expires_at"] if begins is None else begins),
        "from_day": Day(made.get("available_from") or 0),
        "count": made.get("count", 1),
        "machine": made.get("machine") or "",
        "machine_day": Day(made.get("slot_at") or 0),
        "machine_time": Time(made.get("slot_at") or 0),
    }


def entry_facts(made: Mapping[str, Any]) -> dict[str, Value]:
    """What the texts say of an entry (a noun's facts)."""
    return {
        "quantity": Quantity(made["quantity"], made["unit"]),
        "title": made["title"],
        "code": made["listing"],
        "ticket": made["ticket"],
        "day": Day(made["closes_at"]),
        "time": Time(made["closes_at"]),
    }


def entered_key(made: Mapping[str, Any]) -> str:
    """The text of an entry, by how its listing is given out."""
    return "entered" if made["allocation"] == "draw" else "entered_queue"


def _named(found: Mapping[str, Any]) -> Value:
    """The title of a listing, before it the time that it is booked or waited for; a kit has its own."""
    begins = None if "count" in found else found["starts_at"]
    return str(found["title"]) if begins is None else Session(_several(found), begins)


def _named_once(found: Mapping[str, Any]) -> Value:
    """The same for a text that says how many by itself."""
    begins = None if "count" in found else found["starts_at"]
    return str(found["title"]) if begins is None else Session(found["title"], begins)


def _several(found: Mapping[str, Any]) -> str | Several:
    """The title, before it how many of it where that is more than one."""
    quantity, unit, title = found["quantity"], found["unit"], str(found["title"])
    return title if (quantity, unit) == (MILLI, "piece") else Several(quantity, unit, title)


def wait_facts(found: Mapping[str, Any]) -> dict[str, Value]:
    """What the texts say of a place in a queue (a noun's facts)."""
    until = found["offer_expires_at"] or 0  # while it is this person's turn
    quantity = Quantity(found["quantity"], found["unit"])
    title = _several(found) if found["starts_at"] is None else _named(found)
    there, some = Quantity(found["stock"], found["unit"]), Quantity(found["stock"], "piece")
    facts: dict[str, Value] = {"title": title, "code": found["listing"], "rank": found["rank"]}
    return {**facts, "quantity": quantity, "there": there, "some": some, "day": Day(until), "time": Time(until)}


def _ask_quantity(state: State, args: dict[str, Any]) -> Step:
    """USSD asks one thing a screen: how many, then whether really."""
    thing = yield Call("thing", {"code": args["code"]})
    if thing["available"] <= thing["min_quantity"]:
        return (yield from _confirm(state, {"code": args["code"]}))
    return _how_many(state, args["code"], Screen("ask_quantity", _left(thing)))


def _left(thing: Mapping[str, Any]) -> dict[str, Value]:
    return {"title": thing["title"], "quantity": Quantity(thing["available"], thing["unit"])}


def _how_many(state: State, code: str, screen: Screen) -> Said:
    """A screen that is answered by a quantity."""
    return Said(screen, {**kept(state), "ask": ["confirm", {"code": code}, "quantity"]})


def _confirm(state: State, args: dict[str, Any]) -> Step:
    """Whether really: a quantity that cannot be had is asked for again at once."""
    thing = yield Call("thing", {"code": args["code"]})
    quantity = args.get("quantity")
    milli = thing["min_quantity"] if quantity is None else round(float(quantity) * 1000)
    if milli > thing["available"] > 0:
        return _how_many(state, args["code"], Screen("ask_fewer", _left(thing)))
    if quantity is not None:
        try:
            yield Call("check_quantity", {"code": args["code"], "quantity": quantity})
        except Refusal as refusal:
            return _how_many(state, args["code"], _refused(refusal, args))
    reserve = Command("reserve", {"code": args["code"], "quantity": quantity})
    facts: dict[str, Value] = {"title": thing["title"], "quantity": Quantity(milli, thing["unit"])}
    return Said(Screen("confirm", facts, options=(Option("do_yes", reserve),)))


def _mine(state: State, args: dict[str, Any]) -> Step:
    pin = args.get("pickup_code")
    if pin is not None:
        found = yield Call("reservation", {"pickup_code": pin})
        cancel = Option("do_cancel", Command("confirm_cancel", {"pickup_code": pin}))
        if isinstance(_named(found), Session):  # it lasts as long as its time
            return Said(_made_screen(found, (cancel,)))
        extend = Option("do_extend", Command("extend", {"pickup_code": pin}))
        if "count" in found or found.get("approval") == "asked":
            return Said(_made_screen(found, (extend, cancel)))
        return Said(Screen("mine_one", reservation_facts(found), options=(extend, cancel)))
    held = yield Call("mine", {"limit": MOST_MINE})
    rows = [_held_row(one) for one in held]
    rows += [_entry_row(one) for one in (yield Call("entries", {}))]
    rows += [_wait_row(one) for one in (yield Call("waits", {}))]
    if not rows:
        return _simply("mine_none")
    first = args.get("after", 0)
    shown = tuple(row._replace(facts={**row.facts, "n": n}) for n, row in enumerate(rows[first : first + LINES], 1))
    after = opened(state, context="has_reservation")
    # OUI takes it, NON passes it
    after["offers"] = [row.command.args["reference"] for row in shown if row.key == "mine_offered_line"]
    if len(rows) > first + LINES:
        after["more"] = ["mine", {"after": first + LINES}]
    key = "mine_more" if "more" in after else "mine" if held else "mine_asked"
    return Said(Screen(key, {}, "mine_line", shown), after)


def _held_row(one: Mapping[str, Any]) -> Row:
    key = "mine_slot_line" if isinstance(_named(one), Session) else "mine_line"
    facts = {**reservation_facts(one), "title": _named(one)}
    return Row(facts, Command("mine", {"pickup_code": one["pickup_code"]}), key)


def _entry_row(one: Mapping[str, Any]) -> Row:
    return Row(entry_facts(one), Command("entry", {"code": one["listing"]}), "mine_entry_line")


OFFER_ANSWERS = (Option("do_yes", Command("yes")), Option("do_no", Command("no")))
WAIT_LINES = {"suspended": "mine_paused_line", "offered": "mine_offered_line"}


def _wait_row(one: Mapping[str, Any]) -> Row:
    key = WAIT_LINES.get(one["state"], "mine_wait_line")
    return Row(wait_facts(one), _to_wait(one), key)


def _to_wait(one: Mapping[str, Any]) -> Command:
    """What shows a place in a queue; its slot is what `W1` waits for again."""
    return Command("wait", {"code": one["listing"], "reference": one["reference"], "slot": _slot_of(one)})


def _slot_of(one: Mapping[str, Any]) -> list[int] | None:
    return None if one["starts_at"] is None else [one["starts_at"], one["ends_at"]]


def _entry(state: State, args: dict[str, Any]) -> Step:
    """What somebody has asked for in a draw, or in a queue that is given out at once."""
    for one in (yield Call("entries", {})):
        if one["listing"] == args["code"]:
            options = (Option("do_leave", Command("cancel", {"code": args["code"]})),)
            return Said(Screen(entered_key(one), entry_facts(one), options=options), kept(state))
    return (yield from _details(state, args))


def _wait(state: State, args: dict[str, Any]) -> Step:
    """Where somebody waits for a listing, and what they may do about it."""
    for one in (yield Call("waits", {})):
        if one["reference"] == args["reference"]:
            if one["state"] == "offered":
                return _offered(state, one)
            return Said(_wait_screen(one, one["state"] == "suspended"), kept(state))
    return (yield from _details(state, args))


def _offered(state: State, one: Mapping[str, Any]) -> Said:
    """It is somebody's turn: OUI and NON answer it, as they do the text that tells it."""
    offers = [*state.get("offers", []), one["reference"]]
    facts = {**wait_facts(one), "title": _named_once(one)}
    return Said(Screen("offer", facts, options=OFFER_ANSWERS), {**kept(state), "offers": offers})


def _wait_screen(one: Mapping[str, Any], paused: bool) -> Screen:
    known = {"code": one["listing"], "reference": one["reference"]}
    other = Option("do_pause", Command("waitlist", {**known, "pause": True}))
    if paused:
        other = Option("do_resume", Command("waitlist", {"code": one["listing"], "slot": _slot_of(one)}))
    leave = Option("do_leave", Command("waitlist", {**known, "leave": True}))
    return Screen("wait_paused" if paused else "wait_one", wait_facts(one), options=(other, leave))


def _mine_said(state: State, key: str, found: list[dict[str, Any]]) -> Said:
    rows = tuple(row._replace(facts={"n": n, **row.facts}) for n, row in enumerate(map(_held_row, found), 1))
    return Said(Screen(key, {}, "mine_line", rows), opened(state, context="has_reservation"))


def _cancel(state: State, args: dict[str, Any]) -> Step:
    line = _chosen(state, args["choice"]) if "choice" in args else None
    if line and line[0] == "wait":  # A2, where the second line is a queue
        return (yield from _waits(state, line[1]["code"], {**line[1], "leave": True}))
    if line and line[0] == "entry":
        args = line[1]
    pin = _argument(state, args, "pickup_code")
    if pin is None and "code" in args:  # A 41271: the listing's number; plain enough when one of it is held
        held = yield Call("mine", {"limit": 9})
        pins = [one["pickup_code"] for one in held if one["listing"] == args["code"]]
        pin = pins[0] if len(pins) == 1 else None
        entered = None if pins else (yield Call("leave_draw", {"code": args["code"]}))
        if entered:
            return Said(Screen("draw_left", entry_facts(entered)))
    if pin is None:
        held = yield Call("mine", {"limit": LINES})
        if not held:
            return _simply("mine_none")
        if len(held) == 1 and args.get("choice") == 1 and not state.get("choices"):
            pin = held[0]["pickup_code"]  # A1, right after R 41271: there is one
    if pin is None:
        if len(held) == 1:  # alone, the word asks before it takes anything away
            return (yield from _confirm_cancel(state, {"pickup_code": held[0]["pickup_code"]}))
        return _mine_said(state, "cancel_which", held)
    cancelled = yield Call("cancel", {"pickup_code": pin})
    return _simply("cancelled", title=_named(cancelled), code=cancelled["listing"])


def _confirm_cancel(state: State, args: dict[str, Any]) -> Step:
    found = yield Call("reservation", args)
    yes = Command("cancel", args)
    facts = {**reservation_facts(found), "title": _named_once(found)}
    screen = Screen("cancel_ask", facts, options=(Option("do_yes", yes),))
    return Said(screen, {**kept(state), **_question([yes.intent, yes.args])})


def _extend(state: State, args: dict[str, Any]) -> Step:
    pin = _argument(state, args, "pickup_code")
    if pin is None:
        held = yield Call("mine", {"limit": LINES})
        if not held:
            return _simply("mine_none")
        lots = [one for one in held if not isinstance(_named(one), Session)]  # a time lasts as it was booked
        held = lots or held[:1]
        if len(held) > 1:
            return _mine_said(state, "extend_which", held)
        pin = held[0]["pickup_code"]
    extended = yield Call("extend", {"pickup_code": pin})
    return _simply("extended", **reservation_facts(extended))


def _waitlist(state: State, args: dict[str, Any]) -> Step:
    known = args.get("leave") or args.get("pause") or args.get("shown")
    code = _argument(state, args, "code") or (None if known else state.get("code"))
    if code is None or known:
        return (yield from _waits(state, code, {**args, "reference": _given(state, args, "reference")}))
    quantity, slot = args.get("quantity"), _given(state, args, "slot")
    try:
        waiting = yield Call("wait", {"code": code, "quantity": quantity, "slot": slot})
    except Refusal as refusal:
        if refusal.code == "slot_not_allowed":
            return (yield from _details(state, {"code": code}))
        if refusal.code == "still_available" and slot:
            yes = ["reserve", {"code": code, "slot": slot, "quantity": quantity}]
            free = Screen("slot_is_free", {"title": Session(refusal.facts["title"], slot[0])})
            return Said(free, {**kept(state), **_question(yes)})
        if refusal.code != "not_reservable":
            raise
        return (yield from _full_slots(state, {"code": code, "words": args.get("words", ""), "quantity": quantity}))
    return _joined(state, waiting)


def _joined(state: State, waiting: Mapping[str, Any]) -> Said:
    """Somebody waits; or it is their turn already."""
    if waiting["state"] == "offered":
        return _offered(state, waiting)
    return Said(Screen("waiting_more" if waiting["exceeds"] else "waiting", wait_facts(waiting)))


def _waits(state: State, code: str | None, args: dict[str, Any]) -> Step:
    """Where somebody waits; the place in the queue of `code`, or of a time of it, is given up or, with `pause`, set aside, or
    `shown`. Where they wait for several times of one thing, they are shown: each is a line.
    """
    found = yield Call("waits", {"words": args.get("words", "")})
    meant = [one for one in found if args.get("reference") in (None, one["reference"]) and one["listing"] == code]
    if len(meant) == 1:
        one = meant[0]
        if args.get("shown"):
            return Said(_wait_screen(one, one["state"] == "suspended"))
        if args.get("pause"):
            yield Call("suspend_wait", {"reference": one["reference"]})
            return Said(_wait_screen(one, True))
        yield Call("leave_wait", {"reference": one["reference"]})
        return Said(Screen("wait_left", wait_facts(one)))
    if not meant:
        found = yield Call("waits", {})
    return _waits_said(state, meant or found) if found else _simply("wait_what")


def _waits_said(state: State, found: list[dict[str, Any]]) -> Said:
    rows = tuple(
        Row({"n": n, **wait_facts(one)}, _to_wait(one), WAIT_LINES.get(one["state"], ""))
        for n, one in enumerate(found[:LINES], 1)
    )
    return Said(Screen("waits", {}, "wait_line", rows), opened(state))


# --- projects, machines -----------------------------------------------------------------------------------------------
def _projects(state: State, args: dict[str, Any]) -> Step:
    return (yield from _listed(state, "projects", "project_line", args))


def _machines(state: State, args: dict[str, Any]) -> Step:
    return (yield from _listed(state, "machines", "machine_line", args))


def _listed(state: State, verb: str, row_key: str, args: dict[str, Any]) -> Step:
    words = str(args.get("words", ""))
    sort = {"sort": args["sort"]} if args.get("sort") else {}  # SALLE: rooms alone, where there are any
    found = yield Call(verb, {"words": words, "cursor": args.get("cursor"), **sort})
    if not found["items"]:
        key = f"{verb}_none" if words else "no_more"
        return Said(Screen(key, {"words": words.upper()}), opened(state))
    if verb == "projects" and words and len(found["items"]) == 1 and not args.get("cursor"):
        return (yield from _details(opened(state), {"code": found["items"][0]["code"]}))
    rows = tuple(
        Row(
            {
                "n": n,
                "title": one["title"],
                "code": one["code"],
                "place": one.get("place_name") or "",
                "mark": Text("mark_ready" if one.get("buildable") else "mark_missing"),
            },
            Command("details", {"code": one["code"]}),
        )
        for n, one in enumerate(found["items"], 1)
    )
    after = opened(state, context="after_list")
    if found["next"]:
        after["more"] = [verb, {"words": words, "cursor": found["next"], **sort}]
    return Said(Screen(verb if found["next"] else f"{verb}_end", {}, row_key, rows), after)


def _project_said(state: State, project: Mapping[str, Any], code: str) -> Said:
    """Whether it can be built today, and from where; else what is missing."""
    facts: dict[str, Value] = {
        "code": code,
        "title": project["title"],
        "needs": ", ".join(project["needs_said"]),
        "place": project["place_name"] or "",
        "difficulty": Text(f"difficulty_{project['difficulty']}"),
    }
    after = {**kept(state), "code": code}
    if project["buildable"]:
        options = (Option("do_reserve", Command("confirm_kit", {"code": code})),)
        key = "project_ready_machine" if project["machine"] else "project_ready"
        return Said(Screen(key, facts, options=options), after)
    return Said(Screen("project_missing" if project["needs"] else "project", facts), after)


def _confirm_kit(_state: State, args: dict[str, Any]) -> Step:
    project = yield Call("thing", {"code": args["code"]})
    facts: dict[str, Value] = {"title": project["title"], "needs": ", ".join(project["needs_said"])}
    return Said(Screen("kit_confirm", facts, options=(Option("do_yes", Command("reserve", {"code": args["code"]})),)))


# --- alerts, gifts ----------------------------------------------------------------------------------------------------
def _alert(state: State, args: dict[str, Any]) -> Step:
    words = str(args.get("words", ""))
    if not words and state.get("missed") and not args.get("shown"):
        words = state.get("words", "")  # AL alone, after a search that found nothing
    if words:
        there = yield Call("add_alert", {"words": words})
        return _simply("alert_added_there" if there else "alert_added", words=words.upper())
    found = yield Call("alerts", {})
    if not found:
        return _simply("alert_what")
    first = args.get("after", 0)
    rows = tuple(
        Row({"n": n, "words": one["words"].upper()}, Command("alert_stop", {"alert": one["reference"]}))
        for n, one in enumerate(found[first : first + LINES], 1)
    )
    after = opened(state)
    if len(found) > first + LINES:
        after["more"] = ["alert", {"shown": True, "after": first + LINES}]
    return Said(Screen("alerts_more" if "more" in after else "alerts", {}, "alert_line", rows), after)


def _alert_stop(state: State, args: dict[str, Any]) -> Step:
    words = str(args.get("words", ""))
    asked = {"alert": _argument(state, args, "alert"), "choice": args.get("choice"), "words": words}
    try:
        yield Call("stop_alerts", asked)
    except Refusal as refusal:
        if not words or refusal.code != "no_such_alert":
            raise
        return (yield from _alert(opened({}), {}))  # no alert is called that: these are
    return _simply("alerts_stopped")


def _give(state: State, args: dict[str, Any]) -> Step:
    if not args.get("words"):
        return Said(Screen("give_what"), {**kept(state), "ask": ["give", {}, "words"]})
    given = yield Call("give", dict(args))
    return _simply("given", code=given["code"])


# --- the person -------------------------------------------------------------------------------------------------------
def _language(state: State, args: dict[str, Any]) -> Step:
    chosen = yield Call("choose_language", {"choice": args.get("choice"), "language": args.get("language")})
    if chosen is None:
        return Said(Screen("language_menu", options=LANGUAGE_OPTIONS), opened(state, context="language_menu"))
    return Said(Screen("language_set", language=chosen), opened(state))


def _help(state: State, args: dict[str, Any]) -> Step:
    yield from ()
    if args.get("menu"):
        return Said(MENU, opened(state))
    if args.get("thanks"):
        return _simply("thanks")
    return _simply("welcome" if args.get("greeting") else "help")


def _hours(_state: State, _args: dict[str, Any]) -> Step:
    place = yield Call("place", {})
    if place is None:
        return _simply("help")
    return _hours_said(place)


def _hours_said(place: Mapping[str, Any]) -> Said:
    address = place["address"] or place["commune_name"] or ""
    return _simply(
        "hours",
        place=place["name"],
        address=address and f", {address}",
        hours=Hours(place["opening_hours"]),
        phone=Phone(place["phone"]),
    )


def _phone(state: State, _args: dict[str, Any]) -> Step:
    """A phone number alone: somebody wants to be called, or has taken it for a listing's."""
    yield from ()
    return Said(Screen("phone_asked"), {**kept(state), **_question(["human", {}])})


def _human(state: State, args: dict[str, Any]) -> Step:
    asked = yield Call("ask_human", {"words": args.get("words") or state.get("words", "")})
    return Said(Screen("human", {"phone": Phone(asked["phone"]), "hours": Hours(asked["hours"])}), opened(state))


def _data(_state: State, _args: dict[str, Any]) -> Step:
    yield from ()
    return _simply("data")


def _erase(state: State, args: dict[str, Any]) -> Step:
    asked = (state.get("yes") or [""])[0] == "erase"  # EFFACE OUI answers this question, not whichever is open
    if not (asked and args.get("sure")):
        yield from ()
        sure = Command("erase", {"sure": True})
        screen = Screen("erase_ask", options=(Option("do_yes", sure),))
        return Said(screen, {**kept(state), **_question([sure.intent, sure.args])})
    yield Call("erase", {})
    return Said(Screen("erased", last=True), {})


def _stop(_state: State, _args: dict[str, Any]) -> Step:
    yield Call("stop", {})
    return Said(Screen("stop_done", last=True), {})


def _start(_state: State, _args: dict[str, Any]) -> Step:
    yield Call("start", {})
    return Said(Screen("start_done"), {})


def _yes(state: State, args: dict[str, Any]) -> Step:
    """OUI with no question open takes what the waitlist offers, if it offers anything."""
    taken = yield Call("take_offer", {"quantity": args.get("quantity"), "seen": state.get("offers", [])})
    if taken is None:
        return _simply("thanks" if args.get("thanks") else "nothing_asked")
    return Said(Screen(reserved_key(taken), reservation_facts(taken)), opened(state))


def _no(state: State, _args: dict[str, Any]) -> Step:
    passed = yield Call("pass_offer", {"seen": state.get("offers", [])})
    return Said(Screen("offer_passed", wait_facts(passed))) if passed else _simply("left")


def _leave_it(state: State, _args: dict[str, Any]) -> Step:
    yield from ()
    return Said(Screen("left"), opened(state))


MENU = Screen(
    "menu",
    options=(
        Option("do_search", Command("search")),
        Option("do_mine", Command("mine")),
        Option("do_projects", Command("projects")),
        Option("do_machines", Command("machines")),
        Option("do_language", Command("language")),
        Option("do_hours", Command("hours")),
        Option("do_human", Command("human")),
    ),
)
LANGUAGE_OPTIONS = tuple(Option(f"language_{n}", Command("language", {"choice": n})) for n in range(1, 7))
# Intents whose handler says itself whether the message was understood.
UNDERSTOOD_LATER = frozenset({"search", "unknown"})
NOT_UNDERSTOOD = frozenset({"none", "offer_human", "unknown"})  # screens: what staff look at

HANDLERS: dict[str, Handler] = {
    "search": _search,
    "go_on": _go_on,
    "more": _more,
    "details": _details,
    "no_choice": _no_choice,
    "reserve": _reserve,
    "slots": _slots,
    "full_slots": _full_slots,
    "ask_quantity": _ask_quantity,
    "confirm": _confirm,
    "confirm_kit": _confirm_kit,
    "mine": _mine,
    "entry": _entry,
    "wait": _wait,
    "cancel": _cancel,
    "confirm_cancel": _confirm_cancel,
    "extend": _extend,
    "waitlist": _waitlist,
    "projects": _projects,
    "machines": _machines,
    "alert": _alert,
    "alert_stop": _alert_stop,
    "give": _give,
    "language": _language,
    "help": _help,
    "hours": _hours,
    "human": _human,
    "phone": _phone,
    "data": _data,
    "erase": _erase,
    "stop": _stop,
    "start": _start,
    "yes": _yes,
    "no": _no,
    "leave_it": _leave_it,
    "unknown": _unknown,
}

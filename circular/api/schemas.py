"""Shapes of the API, for reading bodies (types only: the rules are the nouns') and for the OpenAPI document."""

from __future__ import annotations

import functools
from typing import Any

from marshmallow import INCLUDE, RAISE, Schema, fields
from marshmallow.validate import OneOf

from circular import catalog, draws, facets, places, projects, reservations, search, settings, slots, unfound, waitlist
from circular.text import LONGEST_WORD


class Strict(Schema):
    """Unknown fields are refused."""

    class Meta:
        unknown = RAISE


class Number(fields.Field[Any]):
    """A JSON number (or its text): which numbers are right is the noun's affair."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:  # noqa: ARG002
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            raise self.make_error("validator_failed")
        return value


class Json(fields.Raw):
    """Any JSON value."""


def _text(description: str = "", **metadata: Any) -> fields.String:
    return fields.String(metadata={"description": description, **metadata})


def _choice(options: tuple[str, ...], **metadata: Any) -> fields.String:
    return fields.String(metadata={"enum": list(options), **metadata})


def _number(description: str = "", **metadata: Any) -> Number:
    return Number(metadata={"type": "number", "description": description, **metadata})


HAZARD = {
    "type": "array",
    "items": {
        "type": "object",
        "properties": {
            "kind": {"type": "string", "enum": list(catalog.HAZARDS)},
            "state": {"type": "string", "enum": list(catalog.HAZARD_STATES)},
        },
    },
}


class ListingIn(Strict):
    """What staff may write of a listing."""

    kind = _choice(catalog.KINDS)
    title = _text(maxLength=catalog.TITLE_LIMIT)
    description = _text(maxLength=2000)
    category = _text("A code of GET /categories")
    condition = _choice(catalog.CONDITIONS, default="good")
    quantity = _number("In `unit`; whole for piece and lot, three decimals at most else")
    unit = _choice(catalog.UNITS)
    min_quantity = _number("Smallest quantity that may be reserved")
    step_quantity = _number("Quantities go by steps of this")
    place = _text("A code of GET /places")
    site = fields.String(allow_none=True, metadata={"description": "A code of GET /sites"})
    lat = Number(allow_none=True, metadata={"type": "number"})
    lon = Number(allow_none=True, metadata={"type": "number"})
    price_cents = Number(metadata={"type": "integer", "minimum": 0})
    currency = _text("ISO 4217", default="EUR")
    hazards = Json(metadata={**HAZARD, "description": "Asbestos or lead declared or suspected: only a draft"})
    dimensions = Json(metadata={"type": "object", "description": f"Millimetres: {', '.join(catalog.DIMENSIONS)}"})
    mass_kg = Number(allow_none=True, metadata={"type": "number", "description": "Of one unit"})
    available_from = fields.String(allow_none=True, metadata={"format": "date-time"})
    available_until = fields.String(allow_none=True, metadata={"format": "date-time"})
    opening_hours = _text("OpenStreetMap syntax, when other than the place's")
    builder_min_quantity = Number(
        allow_none=True, metadata={"type": "number", "description": "Smallest quantity for who builds for a living"}
    )
    resident_share = Number(
        metadata={"type": "integer", "minimum": 0, "maximum": 100, "description": "Percent kept for residents"}
    )
    resident_share_until = fields.String(
        allow_none=True, metadata={"format": "date-time", "description": "Absent: until `available_from`"}
    )
    lang = _choice(settings.LANGUAGES, default="fr")
    status = _choice(("draft", "published"), default="published")
    external_id = _text("The town's own number: an import with it can be repeated", maxLength=catalog.EXTERNAL_ID_LIMIT)


class ListingChanges(ListingIn):
    """What staff may change of a listing."""

    force = fields.Boolean(
        metadata={"description": "Have less than is held: the newest holds are given up, with a reason that is told"}
    )
    reason = fields.String(metadata={"maxLength": 200})


class ListingOut(Schema):
    """A listing."""

    code = _text("5 digits or more, the last a Damm check digit", examples=["41271"])
    kind = _choice(catalog.KINDS)
    title = _text()
    description = _text()
    category = _text()
    condition = _choice(catalog.CONDITIONS)
    quantity = _number()
    unit = _choice(catalog.UNITS)
    available = _number("Quantity - live reservations")
    place = _text()
    site = fields.String(allow_none=True)
    lat = fields.Float(allow_none=True)
    lon = fields.Float(allow_none=True)
    price_cents = fields.Integer()
    currency = _text()
    photos = fields.List(fields.String())
    hazards = Json(metadata=HAZARD)
    dimensions = Json(metadata={"type": "object"})
    mass_kg = fields.Float(allow_none=True)
    co2e_kg = fields.Float(
        allow_none=True, metadata={"description": "Upper bound: mass x a sourced factor of the category"}
    )
    available_from = fields.String(allow_none=True, metadata={"format": "date-time"})
    available_until = fields.String(allow_none=True, metadata={"format": "date-time"})
    opening_hours = _text()
    min_quantity = _number()
    step_quantity = _number()
    allocation = _choice(draws.ALLOCATIONS, description="Other than first_come: see GET /listings/{code}/draw")
    builder_min_quantity = Number(allow_none=True, metadata={"type": "number"})
    resident_share = fields.Integer(metadata={"description": "Percent kept for residents"})
    resident_share_until = fields.String(allow_none=True, metadata={"format": "date-time"})
    lang = _choice(settings.LANGUAGES)
    status = _choice(catalog.STATUSES)
    external_id = fields.String(allow_none=True)
    created_at = _text(format="date-time")
    updated_at = _text(format="date-time")


def _slot_in(what: str, *, required: bool = False) -> fields.Dict:
    """A time that is asked for: `slots.read` says what is wrong with it."""
    moment = {"type": "string", "format": "date-time"}
    described = {"properties": {"starts_at": moment, "ends_at": moment}, "required": ["starts_at", "ends_at"]}
    metadata = {"description": f"{what}; a time without an offset is local", **described}
    return fields.Dict(required=True, metadata=metadata) if required else fields.Dict(
        load_default=None, allow_none=True, metadata=metadata
    )  # fmt: skip


class ReservationIn(Strict):
    """What is asked when reserving."""

    listing = fields.String(required=True, metadata={"examples": ["41271"]})
    quantity = Number(
        load_default=None, metadata={"type": "number", "description": "In the listing's unit; its smallest when absent"}
    )
    slot = _slot_in("For what is no material: from its availability")
    phone = fields.String(metadata={"description": "Whose it is, when staff act for someone"})


class CalendarIn(Strict):
    """Whose calendar; one's own when neither is given."""

    listing = fields.String()
    place = fields.String()


class CalendarOut(Schema):
    """A feed; whoever has its address reads it."""

    id = fields.String()
    kind = fields.String(metadata={"enum": ["listing", "place", "person"]})
    url = fields.String(metadata={"format": "uri"})


class WhyIn(Strict):
    """Why, in a few words."""

    reason = fields.String(metadata={"maxLength": reservations.REASON_LIMIT})


class ClosureIn(Strict):
    """Days on which a place is closed, both included, or open at other hours."""

    first = fields.String(data_key="from", required=True, metadata={"format": "date"})
    last = fields.String(data_key="to", required=True, metadata={"format": "date"})
    reason = fields.String()
    hours = _text("Open then all the same, at these times", examples=["09:00-12:00"])


class ClosureOut(Schema):
    """A closure."""

    id = fields.String()
    first = fields.String(data_key="from", metadata={"format": "date"})
    last = fields.String(data_key="to", metadata={"format": "date"})
    reason = fields.String()
    hours = _text("Empty: closed")


class EventOut(Schema):
    """Something that was done to a reservation."""

    at = fields.String(metadata={"format": "date-time"})
    verb = fields.String()
    role = fields.String()
    door = fields.String()
    acted_by = fields.String(
        allow_none=True,
        metadata={"description": "The role of whoever did it; null: the person whose reservation it is"},
    )
    who = fields.String(allow_none=True, metadata={"description": "Which member of staff"})
    reason = fields.String(allow_none=True)
    quantity = _number()
    expires_at = fields.String(metadata={"format": "date-time"})


class SlotIn(Strict):
    """A time, its end exclusive."""

    starts_at = fields.String(required=True, metadata={"format": "date-time"})
    ends_at = fields.String(required=True, metadata={"format": "date-time"})
    reason = fields.String(metadata={"maxLength": slots.REASON_LIMIT})


class MoveIn(Strict):
    """Another slot."""

    slot = _slot_in("From its availability", required=True)


class FreeOut(Schema):
    """A slot, and how many units of the listing are free in it: none where those that are taken are asked for."""

    starts_at = fields.String(metadata={"format": "date-time"})
    ends_at = fields.String(metadata={"format": "date-time"})
    quantity = fields.Float()


class FreePage(Schema):
    """The free slots."""

    items = fields.List(fields.Nested(FreeOut))


class AvailabilityQuery(Strict):
    """Between which moments."""

    since = fields.String(data_key="from", metadata={"format": "date-time"})
    until = fields.String(data_key="to", metadata={"format": "date-time"})
    taken = fields.String(
        validate=OneOf(("true", "false")),
        metadata={"enum": ["true", "false"], "description": "`true`: those of which nothing is left, to wait for"},
    )


class RulesIn(Strict):
    """The rules of what is booked for a time; what is absent stays."""

    step_minutes = fields.Integer(metadata={"description": "0: each opening is one slot (the sessions of a workshop)"})
    longest_minutes = fields.Integer()
    notice_minutes = fields.Integer()
    horizon_days = fields.Integer()
    buffer_minutes = fields.Integer()
    quota_minutes = fields.Integer(metadata={"description": "Of one person in a week; 0: any"})
    cancel_minutes = fields.Integer(
        metadata={"description": "Until when before it begins people move or cancel it themselves"}
    )
    training = fields.String()
    parent = fields.String(metadata={"description": "The code of the room that it stands in: each blocks the other"})


class RulesOut(RulesIn):
    """The rules of a listing."""


class BlockOut(Schema):
    """A closed time."""

    id = fields.String()
    listing = fields.String()
    starts_at = fields.String(metadata={"format": "date-time"})
    ends_at = fields.String(metadata={"format": "date-time"})
    reason = fields.String()


class TrainingIn(Strict):
    """Who knows how to use what."""

    phone = fields.String(required=True)
    training = fields.String(required=True)
    until = fields.String(metadata={"format": "date"})


class PickUpIn(Strict):
    """The proof of whoever collects, and how much they take."""

    pickup_code = fields.String(required=True, metadata={"pattern": "^[0-9]{4}$"})
    quantity = Number(
        load_default=None, metadata={"type": "number", "description": "Less than reserved: the rest is free again"}
    )
    force = fields.Boolean(
        load_default=False,
        metadata={
            "description": "Hand over to who has the code of another reservation: this one is given up, with a reason"
        },
    )
    reason = fields.String(load_default="", metadata={"maxLength": reservations.REASON_LIMIT})


class ReservationOut(Schema):
    """A reservation."""

    id = _text()
    pickup_code = _text(pattern="^[0-9]{4}$")
    listing = _text()
    title = _text()
    quantity = _number()
    picked_quantity = _number()
    unit = _choice(catalog.UNITS)
    state = _choice(reservations.STATES)
    place = _text()
    site = fields.String(allow_none=True, metadata={"description": "It is handed over there when the site has hours"})
    available_from = fields.String(allow_none=True, metadata={"format": "date-time", "description": "Not there before"})
    kit = fields.String(allow_none=True, metadata={"description": "What was reserved together has the same"})
    phone = _text("Only for the staff of the place")
    created_at = _text(format="date-time")
    expires_at = _text(format="date-time")
    ended_at = fields.String(allow_none=True, metadata={"format": "date-time"})
    slot = fields.Nested(SlotIn, allow_none=True, metadata={"description": "What is booked for a time"})
    needs_approval = fields.Boolean(metadata={"description": "Its person missed several: the place agrees first"})
    forgiven = fields.Boolean(metadata={"description": "A no-show that does not count any more"})
    appealed = fields.Boolean(metadata={"description": "A no-show of which its person has said why"})
    no_shows = fields.Integer(metadata={"description": "Of its person, lately; for the staff of the place"})
    events = fields.List(fields.Nested(EventOut), metadata={"description": "Its log, for the staff of the place"})


class PlanIn(Strict):
    """How a listing is given out: `queue` in order of arrival, `draw` by lot, both once the window has closed."""

    allocation = fields.String(required=True, metadata={"enum": list(draws.ALLOCATIONS)})
    opens_at = fields.String(allow_none=True, metadata={"format": "date-time", "description": "Now when absent"})
    closes_at = fields.String(allow_none=True, metadata={"format": "date-time"})
    max_per_person = Number(allow_none=True, metadata={"type": "number", "description": "In the listing's unit"})


class DrawnOut(Schema):
    """An entry as it is published."""

    id = _text("Its ticket")
    quantity = _number()
    outcome = _choice(draws.OUTCOMES)


class DrawOut(Schema):
    """A draw, with all that it takes to recheck it; see docs/draws.md."""

    id = _text()
    listing = _text()
    title = _text()
    unit = _choice(catalog.UNITS)
    allocation = _choice(draws.ALLOCATIONS)
    state = _choice(draws.STATES)
    opens_at = _text(format="date-time")
    closes_at = _text(format="date-time")
    drawn_at = fields.String(allow_none=True, metadata={"format": "date-time"})
    max_per_person = fields.Float(allow_none=True)
    algorithm = _text("In words")
    commitment = _text("SHA-256 of the seed, published before anybody enters")
    seed = fields.String(allow_none=True, metadata={"description": "Once it is drawn"})
    stock = fields.Float(allow_none=True, metadata={"description": "What there was to give out"})
    count = fields.Integer(metadata={"description": "Of entries"})
    entries = fields.List(
        fields.Nested(DrawnOut), metadata={"description": "Once the window has closed; in the order drawn"}
    )


class EntryOut(Schema):
    """What somebody entered for."""

    id = _text("Its ticket")
    draw = _text()
    listing = _text()
    title = _text()
    quantity = _number()
    unit = _choice(catalog.UNITS)
    state = _choice(draws.OUTCOMES)
    rank = fields.Integer(allow_none=True, metadata={"description": "In the order drawn"})
    reason = fields.String(allow_none=True, metadata={"description": "The rule that barred it"})
    draws_at = _text(format="date-time")
    created_at = _text(format="date-time")
    ended_at = fields.String(allow_none=True, metadata={"format": "date-time"})


class WaitingIn(Strict):
    """What is waited for."""

    listing = fields.String(required=True, metadata={"examples": ["41271"]})
    quantity = Number(
        load_default=None, metadata={"type": "number", "description": "In the listing's unit; its smallest when absent"}
    )
    slot = _slot_in("For what is no material: one that is all taken")
    phone = fields.String(metadata={"description": "Who waits, when staff act for someone"})


class WaitingOut(Schema):
    """A place in a queue. `offered`: it can be reserved by this person alone, until `offered_until`."""

    id = _text()
    listing = _text()
    title = _text()
    quantity = _number()
    unit = _choice(catalog.UNITS)
    slot = fields.Nested(SlotIn, allow_none=True, metadata={"description": "What is waited for, of what has a time"})
    rank = fields.Integer(allow_none=True, metadata={"description": "From 1; null when it is over"})
    state = _choice(waitlist.STATES)
    offered_until = fields.String(allow_none=True, metadata={"format": "date-time"})
    place = _text()
    phone = _text("Only for the staff of the place")
    created_at = _text(format="date-time")
    ended_at = fields.String(allow_none=True, metadata={"format": "date-time"})


class AlertIn(Strict):
    """A search to save: words, or a facet, or both."""

    q = _text("Words, in any of the six languages", maxLength=200)
    kind = _choice(catalog.KINDS)
    category = _text("A code of GET /categories; what is below it is found too")
    place = _text("A code of GET /places")
    commune = _text("INSEE code or name")
    condition = _choice(catalog.CONDITIONS)
    near = _text("`lat,lon`", examples=["14.61,-61.00"])
    radius_km = _number()
    min_quantity = _number()
    phone = fields.String(metadata={"description": "Whose it is, when staff act for someone"})


class AlertOut(Schema):
    """A saved search."""

    id = _text()
    q = fields.String(allow_none=True)
    kind = fields.String(allow_none=True)
    category = fields.String(allow_none=True)
    place = fields.String(allow_none=True)
    commune = fields.String(allow_none=True)
    condition = fields.String(allow_none=True)
    near = fields.String(allow_none=True)
    radius_km = fields.Float(allow_none=True)
    min_quantity = fields.Float(allow_none=True)
    created_at = _text(format="date-time")
    ends_at = _text(format="date-time")
    told_on = fields.String(
        allow_none=True, metadata={"format": "date", "description": "When its person was last told"}
    )


class PlaceIn(Strict):
    """What staff may change of a place."""

    name = _text(maxLength=120)
    label = _text(maxLength=120)
    typology = _text()
    address = _text(maxLength=200)
    postcode = _text()
    commune = _text("INSEE code")
    lat = Number(allow_none=True, metadata={"type": "number"})
    lon = Number(allow_none=True, metadata={"type": "number"})
    opening_hours = _text("OpenStreetMap syntax, local wall time")
    services = fields.List(fields.String())
    phone = _text()
    website = _text()
    summary = _text(maxLength=500)


class PlaceOut(PlaceIn):
    """A place."""

    code = _text()
    commune_name = fields.String(allow_none=True)
    source = _text()


class SiteIn(Strict):
    """What staff may write of a site."""

    code = _text("Made from the name when absent", pattern=places.CODE.pattern)
    kind = _choice(places.SITE_KINDS)
    name = _text(maxLength=120)
    commune = _text("INSEE code")
    address = _text(maxLength=200)
    lat = Number(allow_none=True, metadata={"type": "number"})
    lon = Number(allow_none=True, metadata={"type": "number"})
    starts_on = fields.String(allow_none=True, metadata={"format": "date"})
    ends_on = fields.String(allow_none=True, metadata={"format": "date"})
    owner = _text(maxLength=120)
    description = _text(maxLength=1000)
    available_from = fields.String(
        allow_none=True,
        metadata={"format": "date-time", "description": "When its materials can be fetched; its listings move with it"},
    )
    opening_hours = _text("Of the hand-over at the site, OpenStreetMap syntax; empty: at the listing's place")


class SiteOut(SiteIn):
    """A site."""

    place = fields.String(allow_none=True)
    source = _text()


class ProjectIn(Strict):
    """What staff may write of a project."""

    title = _text(maxLength=catalog.TITLE_LIMIT)
    description = _text(maxLength=2000)
    place = fields.String(allow_none=True)
    difficulty = _choice(projects.DIFFICULTIES)
    duration_minutes = Number(metadata={"type": "integer"})
    lang = _choice(settings.LANGUAGES)
    needs = Json(
        metadata={
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "category": {"type": "string"},
                    "quantity": {"type": "number"},
                    "unit": {"type": "string", "enum": list(catalog.UNITS)},
                },
            },
        }
    )


class ProjectOut(ProjectIn):
    """A project."""

    code = _text()


class ShareOut(Schema):
    """So much of a listing."""

    listing = _text()
    title = _text()
    quantity = _number()
    place = _text()


class FeasibleNeedOut(Schema):
    """A need beside what there is of it."""

    category = _text()
    quantity = _number()
    unit = _choice(catalog.UNITS)
    booked = fields.Boolean(metadata={"description": "A machine, a tool, a room or a workshop: booked, not collected"})
    available = _number("Of the category, in this unit, that anybody may have")
    missing = _number()
    listings = fields.List(fields.String(), metadata={"description": "Codes of those that give it"})
    shares = fields.List(fields.Nested(ShareOut), metadata={"description": "How much each of them gives"})


class FeasibilityOut(Schema):
    """Whether a project can be built from today's stock: from the fewest places, then from the fewest listings."""

    project = _text("Its code")
    buildable = fields.Boolean()
    needs = fields.List(fields.Nested(FeasibleNeedOut))


class KitIn(Strict):
    """What is asked when reserving a kit."""

    phone = fields.String(metadata={"description": "Whose it is, when staff act for someone"})
    place = fields.String(metadata={"description": "A code of GET /places: from its stock alone"})
    slot = _slot_in("Of the machine: booked with the materials")


class KitOut(Schema):
    """What was reserved."""

    reservations = fields.List(fields.Nested(ReservationOut))


class CallbackOut(Schema):
    """Somebody who waits for a call, for the staff of their place."""

    id = _text()
    place = fields.String(allow_none=True)
    phone = fields.String(allow_none=True, metadata={"description": "Whom to call"})
    name = _text()
    language = fields.String(allow_none=True, metadata={"enum": [*settings.LANGUAGES, None]})
    words = _text("What they could not find or say")
    created_at = _text(format="date-time")
    done_at = fields.String(allow_none=True, metadata={"format": "date-time"})


class GiftOut(Schema):
    """Something offered, for the staff of the place: a draft of theirs to complete."""

    code = _text("Of the listing that it became")
    title = _text()
    quantity = _number()
    unit = _choice(catalog.UNITS)
    category = _text()
    status = _choice(catalog.STATUSES)
    place = _text()
    text = _text("In the giver's own words")
    phone = fields.String(allow_none=True, metadata={"description": "Whom to call"})
    name = _text()
    language = fields.String(allow_none=True, metadata={"enum": [*settings.LANGUAGES, None]})
    created_at = _text(format="date-time")


class SynonymIn(Strict):
    """This word means that."""

    word = _text("One word, as people write it", maxLength=LONGEST_WORD)
    means = _text("Words that find something", maxLength=search.MEANING_LIMIT)


class SynonymOut(Schema):
    """This word means that."""

    word = _text("Without accents or plural, as it is searched")
    means = _text()
    created_at = _text(format="date-time")


class UnfoundOut(Schema):
    """Words that found nothing."""

    words = _text("Without accents, without numbers that may be somebody's")
    count = fields.Integer()
    last_day = _text(format="date")
    doors = fields.List(fields.String())
    languages = fields.List(fields.String())


class ExportOut(Schema):
    """Everything that is kept of somebody."""

    class Meta:
        unknown = INCLUDE

    person = fields.Dict()
    reservations = fields.List(fields.Dict())
    waitlist = fields.List(fields.Dict())
    alerts = fields.List(fields.Dict())
    callbacks = fields.List(fields.Dict())
    gifts = fields.List(fields.Dict())
    messages = fields.Dict()


class CategoryOut(Schema):
    """A category."""

    code = _text()
    parent = fields.String(allow_none=True)
    unit = _choice(catalog.UNITS)
    labels = fields.Dict(keys=fields.String(), values=fields.String())
    unverified = fields.List(
        fields.String(), metadata={"description": "Languages whose label no native reader has checked"}
    )
    waste_code = _text()
    co2e_kg_per_kg = fields.Float(allow_none=True)
    co2e_source = _text()


class CommuneOut(Schema):
    """A commune."""

    insee = _text()
    name = _text()
    also = fields.List(fields.String(), metadata={"description": "What else people call it."})
    postcodes = fields.List(fields.String())
    lat = fields.Float()
    lon = fields.Float()
    population = fields.Integer()


class ImportOut(Schema):
    """What an import did, or would do."""

    created = fields.Integer()
    updated = fields.Integer()
    unchanged = fields.Integer()
    errors = fields.List(
        fields.Nested(
            Schema.from_dict(
                {
                    "row": fields.Integer(metadata={"description": "As a spreadsheet shows it: the header is 1"}),
                    "column": fields.String(),
                    "value": fields.String(),
                    "message": fields.String(metadata={"description": "What is wrong and what to do"}),
                },
                name="ImportError",
            )
        )
    )


class Problem(Schema):
    """RFC 9457, with a code, its facts, and what is wrong with each field."""

    class Meta:
        unknown = INCLUDE

    type = _text(examples=["urn:circular:problem:sold_out"])
    title = _text()
    status = fields.Integer()
    detail = _text("In the reader's language")
    code = _text(examples=["sold_out"])
    errors = fields.Dict(keys=fields.String(), values=fields.List(fields.String()))


@functools.cache  # one schema, however many paths answer with it
def page_of(schema: type[Schema]) -> Schema:
    """`{"items": […], "next": path or null}`"""
    return Schema.from_dict(
        {"items": fields.List(fields.Nested(schema)), "next": fields.String(allow_none=True)},
        name=f"{schema.__name__}Page",
    )()


class Correction(Schema):
    """A word as it was typed, and as it was searched for."""

    typed = fields.String()
    used = fields.String()


class FacetCount(Schema):
    """How many of what is found have a value."""

    value = _text(
        "What to ask for: `?kind=value`, `?category=value`…; price: `free=true` or `free=false`; available: `available=true`"
    )
    name = _text("Of a place or commune")
    count = fields.Integer(metadata={"maximum": facets.MOST})
    more = fields.Boolean(
        metadata={"description": "There may be more: beyond 1,000 listings found, the newest are counted"}
    )


class ListingPage(Schema):
    """Listings, and what the search made of the words where there is something to say."""

    items = fields.List(fields.Nested(ListingOut))
    next = fields.String(allow_none=True)
    corrected = fields.List(fields.Nested(Correction))
    did_you_mean = _text("What may have been meant: the whole of `q` with the words that nothing has replaced")
    left_out = fields.List(
        fields.String(metadata={"enum": ["place", "quantity", "size", "price", "words"]}),
        metadata={"description": "What had to be left out of `q` so that something is found"},
    )
    nearest = fields.List(fields.Nested(ListingOut), metadata={"description": "What may do, when nothing is found"})
    facets = fields.Nested(
        Schema.from_dict({name: fields.List(fields.Nested(FacetCount)) for name in facets.FACETS}, name="Facets"),
        metadata={"description": "With `facets=true`: what all that is found can be narrowed to"},
    )


class PagingQuery(Strict):
    """Where a page starts and how long it is."""

    limit = _text(type="integer", minimum=1, maximum=100, default=20)
    cursor = _text("As the path in `next` of the page before has it: follow that path, and leave this alone")


class ListingQuery(PagingQuery):
    """What to look for. Each field is text, of which the noun says what is wrong: marshmallow would look at all of them,
    and of a search most are not given.
    """

    def load(self, data: Any, **options: Any) -> Any:
        return dict(data) if data.keys() <= self.load_fields.keys() else super().load(data, **options)

    q = _text("Words, in any of the six languages")
    kind = _choice(catalog.KINDS)
    category = _text("A code of GET /categories; what is below it is found too")
    place = _text("A code of GET /places")
    commune = _text("INSEE code or name")
    near = _text("`lat,lon`", examples=["14.61,-61.00"])
    radius_km = _text(type="number", default=10)
    condition = _choice(catalog.CONDITIONS)
    min_quantity = _text(type="number")
    price_max_cents = _text("Of one unit", type="integer")
    free = _text("true: what costs nothing; false: what costs something", type="boolean")
    available = _text("true: what can be reserved now", type="boolean")
    available_on = _text(format="date")
    facets = _text("true: count what the list can be narrowed to", type="boolean")
    lang = fields.String(metadata={"enum": list(settings.LANGUAGES), "description": "Language of the answer's texts"})


class ReservationQuery(PagingQuery):
    """Which reservations."""

    state = _choice(reservations.STATES)
    listing = _text()
    pickup_code = _text()
    needs_approval = _choice(("true",))
    appealed = _choice(("true",))


class GiftQuery(PagingQuery):
    """Which gifts."""

    status = _choice(catalog.STATUSES)


class UnfoundQuery(Strict):
    """Of which days, and how many."""

    days = _text(type="integer", minimum=1, maximum=unfound.KEPT_DAYS, default=30)
    limit = _text(type="integer", minimum=1, maximum=100, default=20)


class WaitingQuery(PagingQuery):
    """Which places in queues."""

    state = _choice(waitlist.STATES)
    listing = _text()


class ProjectQuery(PagingQuery):
    """Which projects."""

    q = _text()
    buildable = fields.String(
        validate=OneOf(("true", "false")),
        metadata={"enum": ["true", "false"], "description": "`true`: those that today's stock builds"},
    )
    place = _text("A code of GET /places: with `buildable`, from its stock alone")


class FeasibilityQuery(Strict):
    """From which stock."""

    place = _text("A code of GET /places: from its stock alone")

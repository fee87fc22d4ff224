"""A refusal is one code with facts. Nouns raise it; each door says it in its own words and the reader's language.

The English sentence beside each code is the message id of the catalogues (`circular/locale`), shared by the API and the
web; the SMS door has its own texts (`refusal_<code>` in `sms/locale`), because each must fit one segment.
"""

from __future__ import annotations

from enum import Enum
from typing import Any, NamedTuple


class Kind(Enum):
    """What sort of refusal: a door turns it into its own signal (the API into an HTTP status)."""

    INVALID = "invalid"
    CONFLICT = "conflict"
    MISSING = "missing"
    FORBIDDEN = "forbidden"
    UNAUTHENTICATED = "unauthenticated"
    STALE = "stale"
    UNCONDITIONAL = "unconditional"
    TOO_MANY = "too_many"
    TOO_LARGE = "too_large"
    UNSUPPORTED = "unsupported"
    UNAVAILABLE = "unavailable"
    UNREADABLE = "unreadable"
    WRONG_METHOD = "wrong_method"
    BROKEN = "broken"


class Rule(NamedTuple):
    kind: Kind
    sentence: str


REFUSALS: dict[str, Rule] = {
    # reservations
    "no_such_listing": Rule(Kind.MISSING, "There is no listing {code}. Check the number."),
    "bad_code": Rule(Kind.MISSING, "{code} is not a listing number: one digit is wrong. Check the number."),
    "sold_out": Rule(Kind.CONFLICT, "Only {available} left. Ask for less, or choose another listing."),
    "not_reservable": Rule(Kind.CONFLICT, "This is booked for a time: give a slot of its availability."),
    "slot_not_allowed": Rule(Kind.CONFLICT, "This is no machine, tool, room or workshop: it has no slots."),
    "slot_taken": Rule(
        Kind.CONFLICT, "This time is taken: choose one of the next free ones, or wait for it in its queue."
    ),
    "outside_hours": Rule(Kind.CONFLICT, "It cannot be used then: choose a time within its opening hours."),
    "not_on_grid": Rule(Kind.CONFLICT, "Slots begin and end on its steps: choose one of its availability."),
    "slot_in_past": Rule(Kind.CONFLICT, "This time is over: choose a later one."),
    "too_soon": Rule(Kind.CONFLICT, "It is booked {notice} minutes before at least: choose a later time."),
    "too_far": Rule(Kind.CONFLICT, "It is booked {horizon} days ahead at most: choose an earlier time."),
    "too_long": Rule(Kind.CONFLICT, "It is booked for {longest} minutes at most: choose a shorter time."),
    "quota_exceeded": Rule(Kind.CONFLICT, "One person has it {quota} minutes a week at most: choose another week."),
    "training_required": Rule(Kind.CONFLICT, "This needs a training: ask the place for it."),
    "too_late": Rule(Kind.CONFLICT, "It is too late to change this yourself: call the place."),
    "no_such_calendar": Rule(Kind.MISSING, "This calendar is not there any more."),
    "no_such_closure": Rule(Kind.MISSING, "There is no such closure."),
    "needs_approval": Rule(Kind.CONFLICT, "The place has not agreed yet: approve this reservation or cancel it first."),
    "no_approval_needed": Rule(Kind.CONFLICT, "Nobody has to agree to this reservation: cancel it, and say why."),
    "held_for_others": Rule(
        Kind.CONFLICT,
        "{reserved} of {title} are held for others. Leave them, or send force and a reason: each of them is told.",
    ),
    "not_a_no_show": Rule(Kind.CONFLICT, "Nobody missed this reservation."),
    "no_such_block": Rule(Kind.MISSING, "There is no such closed time."),
    "hazard": Rule(Kind.CONFLICT, "Asbestos or lead is declared or suspected: nobody may take it. Save it as a draft."),
    "no_longer_available": Rule(Kind.CONFLICT, "This was available until {available_until}."),
    "below_minimum": Rule(Kind.CONFLICT, "The smallest quantity is {minimum}."),
    "not_a_step": Rule(Kind.CONFLICT, "The quantity goes by steps of {step}."),
    "whole_number_needed": Rule(Kind.INVALID, "The unit is {unit}: give a whole number."),
    "quantity_not_positive": Rule(Kind.INVALID, "The quantity must be more than zero, with three decimals at most."),
    "too_many_reservations": Rule(
        Kind.CONFLICT, "{limit} reservations are held already, the most allowed: collect or cancel one."
    ),
    "no_such_reservation": Rule(Kind.MISSING, "There is no such reservation."),
    "already_ended": Rule(Kind.CONFLICT, "This reservation is over ({state})."),
    "expired": Rule(Kind.CONFLICT, "This reservation expired at {expires_at}. Reserve again if there is some left."),
    "already_extended": Rule(
        Kind.CONFLICT, "This was extended once already, until {expires_at}. The place may give more time."
    ),
    "slot_not_extendable": Rule(Kind.CONFLICT, "A booked time is not extended: book another one, or move this one."),
    "wrong_pickup_code": Rule(Kind.CONFLICT, "This pickup code is wrong. Ask for the 4 digits of the SMS."),
    "too_many_attempts": Rule(Kind.TOO_MANY, "Too many wrong codes at this place. Try again in {retry_after} seconds."),
    "more_than_reserved": Rule(Kind.CONFLICT, "Only {reserved} were reserved."),
    "not_buildable": Rule(
        Kind.CONFLICT, "Not everything that {title} takes is there now: see what is missing, and try again later."
    ),
    "below_builder_minimum": Rule(
        Kind.CONFLICT, "For who builds for a living, the smallest quantity of this lot is {minimum}."
    ),
    "kept_for_residents": Rule(
        Kind.CONFLICT,
        "{share} % of this lot are kept for residents: for who builds for a living, {available} are left. Ask for less.",
    ),
    "opted_out": Rule(Kind.CONFLICT, "This person asked for no more messages (STOP)."),
    # what is given out by lot, or together
    "not_open_yet": Rule(Kind.CONFLICT, "Requests for this open on {opens_at}. Come back then."),
    "entries_only": Rule(
        Kind.CONFLICT, "This is given out to everybody who asks by {closes_at}, not before: ask for it alone."
    ),
    "window_closed": Rule(
        Kind.CONFLICT, "Requests for this are closed. Whoever entered is told what came of it by SMS."
    ),
    "window_open": Rule(Kind.CONFLICT, "People enter already, until {closes_at}: the rule stands until then."),
    "already_entered": Rule(
        Kind.CONFLICT,
        "This person has entered already, and is told on {closes_at}. Withdraw to ask for something else.",
    ),
    "above_maximum": Rule(Kind.CONFLICT, "The most for one person is {maximum}."),
    "no_such_draw": Rule(Kind.MISSING, "There is no such draw. What is not given out together is reserved at once."),
    "no_such_entry": Rule(Kind.MISSING, "There is no such entry."),
    # callbacks, gifts, synonyms
    "no_such_callback": Rule(Kind.MISSING, "There is no such request for a call."),
    "too_many_gifts": Rule(
        Kind.TOO_MANY, "{limit} gifts were noted in a day, the most allowed. Call the place for more."
    ),
    "no_such_synonym": Rule(Kind.MISSING, "{word} is not a synonym here."),
    "too_many_synonyms": Rule(Kind.CONFLICT, "There are {limit} synonyms, the most allowed: remove one first."),
    # those who wait, saved searches
    "still_available": Rule(Kind.CONFLICT, "{available} are there now: reserve instead of waiting."),
    "already_booked": Rule(
        Kind.CONFLICT, "This person has booked {title} for that time: there is nothing to wait for."
    ),
    "too_many_waits": Rule(Kind.CONFLICT, "{limit} places in queues are held already, the most allowed: leave one."),
    "no_such_wait": Rule(Kind.MISSING, "There is no such place in a queue."),
    "offer_lapsed": Rule(Kind.CONFLICT, "This offer has lapsed and went to the next one. Wait again if you like."),
    "too_many_alerts": Rule(Kind.CONFLICT, "{limit} alerts run already, the most allowed: stop one."),
    "alert_too_wide": Rule(Kind.INVALID, "This would find everything: give a word, a category, a kind or a place."),
    "no_such_alert": Rule(Kind.MISSING, "There is no such alert."),
    # listings, places, projects, sites
    "invalid": Rule(Kind.INVALID, "Some fields need another value."),
    "code_taken": Rule(Kind.CONFLICT, "The code {code} is in use."),
    "withdrawn": Rule(Kind.CONFLICT, "This listing was withdrawn: it cannot be revised."),
    "no_such_place": Rule(Kind.MISSING, "There is no place {code}."),
    "no_such_project": Rule(Kind.MISSING, "There is no project {code}."),
    "no_such_site": Rule(Kind.MISSING, "There is no site {code}."),
    # people and requests
    "no_token": Rule(Kind.UNAUTHENTICATED, "A token is needed: Authorization: Bearer TOKEN."),
    "bad_token": Rule(Kind.UNAUTHENTICATED, "This token is unknown or revoked."),
    "sign_in_needed": Rule(Kind.UNAUTHENTICATED, "Sign in at /desk/login first."),
    "wrong_sign_in_code": Rule(Kind.CONFLICT, "This code is wrong or too old. Ask for another one."),
    "wrong_role": Rule(Kind.FORBIDDEN, "This needs the role {role}."),
    "not_your_place": Rule(Kind.FORBIDDEN, "Only the staff of {place} may do this."),
    "bad_phone": Rule(Kind.INVALID, "This is not a mobile number we can write to. Example: 0696 12 34 56."),
    "phone_not_allowed": Rule(Kind.FORBIDDEN, "Only staff may act for another phone number."),
    "no_phone": Rule(
        Kind.CONFLICT,
        "This token belongs to no phone number: nothing tells who you are. Ask the town to revoke the token.",
    ),
    "idempotency_key_reused": Rule(Kind.INVALID, "This Idempotency-Key was used for another request."),
    "in_progress": Rule(Kind.CONFLICT, "The first request with this Idempotency-Key is still running. Try again."),
    "precondition_required": Rule(Kind.UNCONDITIONAL, "Send If-Match with the ETag that you read."),
    "stale": Rule(Kind.STALE, "It was changed since you read it. Read it again, then send your change."),
    "too_many_requests": Rule(Kind.TOO_MANY, "Too many requests. Try again in {retry_after} seconds."),
    "bad_cursor": Rule(Kind.INVALID, "This page link is damaged. Start again from the first page."),
    "foreign_form": Rule(Kind.FORBIDDEN, "This form came from another site. Open the page again, then send it."),
    "bad_json": Rule(Kind.UNREADABLE, "The body is not JSON."),
    "wrong_content_type": Rule(Kind.UNSUPPORTED, "Send this as {expected}."),
    "too_large": Rule(Kind.TOO_LARGE, "This is too large: at most {limit} bytes."),
    "no_such_page": Rule(Kind.MISSING, "There is nothing at this address."),
    "wrong_method": Rule(Kind.WRONG_METHOD, "This address does not take {method}."),
    "broken": Rule(Kind.BROKEN, "Something broke on our side. Nothing was saved. Tell us the number {incident}."),
    # files
    "unreadable_file": Rule(Kind.INVALID, "This file cannot be read: send CSV or XLSX with a header row."),
    "missing_columns": Rule(Kind.INVALID, "These columns are missing: {columns}."),
    # the machine
    "storage_full": Rule(Kind.UNAVAILABLE, "The storage is full: nothing was saved. Call the town's desk."),
    "busy": Rule(Kind.UNAVAILABLE, "The service is busy: nothing was saved. Try again in a moment."),
}

# What may be wrong with one field; the sentence names the remedy.
FIELD_ERRORS: dict[str, str] = {
    "required": "A value is needed.",
    "unknown_choice": "Choose one of: {choices}.",
    "unknown_category": "There is no category {value}. See the list of categories.",
    "unknown_place": "There is no place {value}. See the list of places.",
    "unknown_listing": "Nothing else that is booked for a time is called {value} at this place.",
    "unknown_site": "There is no site {value}. See the list of sites.",
    "unknown_commune": "There is no commune {value}: give the INSEE code (Le Lamentin is 97213), not the postcode.",
    "too_long": "At most {limit} characters.",
    "not_a_number": "A number is needed, such as 12 or 2.5.",
    "whole_number": "A whole number is needed for this unit.",
    "positive": "More than zero, with three decimals at most.",
    "not_negative": "Zero or more.",
    "too_big": "At most {limit}.",
    "not_a_date": "A date is needed, such as 2026-11-27.",
    "end_before_start": "The end comes before the start.",
    "too_far": "At most {days} days from now.",
    "day_over": "This day is over.",
    "latitude": "From -90 to 90.",
    "longitude": "From -180 to 180.",
    "near": "Latitude and longitude with a comma between, such as 14.61,-61.00.",
    "unknown_field": "This field is not known here. Remove it.",
    "wrong_type": "This needs another type of value.",
    "currency": "A currency of three letters, such as EUR.",
    "hazard": "Name hazards among {kinds}, each with a state among {states}.",
    "dimensions": "Whole millimetres by name: {names}.",
    "opening_hours": "Opening hours are written as in OpenStreetMap: Mo-Fr 09:00-17:00; Sa 09:00-12:00.",
    "bad_code": "A code of 5 digits or more whose last is the Damm check digit.",
    "code_taken": "This code is in use.",
    "fixed": "This cannot be changed.",
    "fixed_while_reserved": "This cannot be changed while some is reserved or waited for.",
    "phone": "A phone number such as +596696123456.",
    "needs": "Needs are written category:quantity:unit, one after another with | between.",
    "pattern": "The standard asks for another form ({pattern}).",
    "far": "These coordinates are not in {commune}.",
    "another_place": "You are not staff of this place.",
    "duplicate": "This row repeats row {row}.",
    "one_word": "One word alone.",
    "no_machine": "This project takes no machine: leave the slot out.",
    "other_words": "Say it with other words.",
    "publishing_hazard": REFUSALS["hazard"].sentence,
    "below_reserved": "{reserved} are reserved: the quantity cannot go below.",
    "mojibake": "The accents were lost when the file was saved: save it again as UTF-8.",
}


class Refusal(Exception):
    """Something was asked that a rule forbids. `code` is a key of REFUSALS, `facts` fill its sentence in any language."""

    def __init__(self, code: str, /, **facts: object) -> None:
        super().__init__(code)
        self.code = code
        self.facts: dict[str, Any] = facts
        self.rule = REFUSALS[code]


class FieldError(NamedTuple):
    """What is wrong with one field: a key of FIELD_ERRORS and the facts of its sentence."""

    code: str
    facts: dict[str, Any]


class FieldErrors(dict[str, FieldError]):
    """Errors by field, gathered so that a person sees all of them at once."""

    def add(self, field: str, code: str, **facts: object) -> None:
        """Note what is wrong with `field`; the first thing said about a field stays."""
        assert code in FIELD_ERRORS, code
        self.setdefault(field, FieldError(code, facts))

    def refuse(self) -> None:
        """Raises: Refusal("invalid", errors=self) when anything was noted."""
        if self:
            raise Refusal("invalid", errors=self)

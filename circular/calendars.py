"""Calendar feeds (iCalendar, RFC 5545) of a listing, a place or a person: a secret address that a calendar program reads.

No feed names anybody. The secret is kept as its SHA-256 alone, so an address that was lost is replaced, not shown again.
"""

from __future__ import annotations

import hashlib
import secrets
from datetime import timedelta
from typing import Any

from peewee import BigAutoField, BigIntegerField, TextField

from circular import catalog, clock, db, places, settings
from circular.errors import Refusal
from circular.people import Actor

PAST, AHEAD = timedelta(days=30), timedelta(days=400)  # what a feed shows
MOST_EVENTS = 2000


class CalendarFeed(db.Table):
    """An address: `kind` is `listing`, `place` or `person`, `subject_id` its id."""

    id = BigAutoField()
    reference = TextField(unique=True)
    secret = TextField(unique=True)
    kind = TextField()
    subject_id = BigIntegerField()
    made_by = BigIntegerField(null=True)
    created_at = db.UtcDateTimeField()


def make(actor: Actor, listing: str = "", place: str = "") -> dict[str, str]:
    """A new feed: of a listing or of a place by its staff, else of one's own reservations. Its `secret` is told once.

    Raises: Refusal("no_such_listing" | "bad_code" | "no_such_place" | "wrong_role" | "not_your_place").
    """
    kind, subject = "person", actor.person_id or 0
    if listing:
        found = catalog.get(listing, actor)
        actor.require_place(found["place_id"], found["place"])
        kind, subject = "listing", int(found["id"])
    elif place:
        subject, kind = int(places.get_place(place)["id"]), "place"
        actor.require_place(subject, place)
    secret, reference = secrets.token_urlsafe(24), secrets.token_hex(8)
    with db.transaction():
        db.run(
            "INSERT INTO calendar_feed (reference, secret, kind, subject_id, made_by, created_at) VALUES (?, ?, ?, ?, ?, ?)",
            reference, _digest(secret), kind, subject, actor.person_id, clock.now_ms(),
        )  # fmt: skip
    return {"id": reference, "kind": kind, "secret": secret}


def revoke(actor: Actor, reference: str) -> None:
    """A feed's address leads nowhere from now on, by whoever made it. Raises: Refusal("no_such_calendar")."""
    with db.transaction():
        if not db.run("DELETE FROM calendar_feed WHERE reference = ? AND made_by = ?", reference, actor.person_id):
            raise Refusal("no_such_calendar")


def export(person_id: int) -> list[dict[str, Any]]:
    """The feeds that a person made."""
    return db.dicts("SELECT reference, kind, created_at FROM calendar_feed WHERE made_by = ?", person_id)


def erase(person_id: int) -> None:
    """The addresses that a person made lead nowhere."""
    db.run("DELETE FROM calendar_feed WHERE made_by = ?", person_id)


def read(secret: str) -> bytes:
    """A feed as a calendar program reads it. Raises: Refusal("no_such_calendar")."""
    from icalendar import Calendar, Event  # only who is asked for a feed pays for it: 12 MB

    feed = db.row("SELECT kind, subject_id FROM calendar_feed WHERE secret = ?", _digest(secret))
    if feed is None:
        raise Refusal("no_such_calendar")
    calendar = Calendar()
    calendar.add("prodid", "-//Circular//reuse marketplace//EN")
    calendar.add("version", "2.0")
    calendar.add("x-wr-calname", settings.get().service_name)
    for found in _events(*feed):
        event = Event()
        event.add("uid", f"{found['reference']}@circular")
        event.add("dtstamp", db.from_ms(found["created_at"]))
        event.add("dtstart", db.from_ms(found["starts_at"]))
        event.add("dtend", db.from_ms(found["ends_at"]))
        event.add("summary", found["title"])
        event.add("location", found["place_name"])
        event.add("status", "CONFIRMED")
        calendar.add_component(event)
    return bytes(calendar.to_ical())


def _events(kind: str, subject: int) -> list[dict[str, Any]]:
    """Booked slots and closed times, oldest first. A hold of a material ends at its last hour."""
    column = {"listing": "r.listing_id", "place": "r.place_id", "person": "r.person_id"}[kind]
    now = clock.now()
    since, until = db.to_ms(now - PAST), db.to_ms(now + AHEAD)
    hour = 3_600_000
    booked = db.dicts(
        "SELECT r.reference, r.created_at, COALESCE(r.starts_at, r.expires_at - ?) AS starts_at, "
        "COALESCE(r.ends_at, r.expires_at) AS ends_at, l.title, p.name AS place_name "
        "FROM reservation r JOIN listing l ON l.id = r.listing_id JOIN place p ON p.id = r.place_id "
        f"WHERE {column} = ? AND r.state IN ('held', 'prepared', 'picked_up', 'given_back') "
        "AND (r.starts_at IS NOT NULL OR r.state IN ('held', 'prepared')) AND r.expires_at > ? AND r.expires_at < ? "
        "ORDER BY r.expires_at LIMIT ?",
        hour, subject, since, until, MOST_EVENTS,
    )  # fmt: skip
    if kind == "person":
        return booked
    owner = "b.listing_id" if kind == "listing" else "l.place_id"
    return booked + db.dicts(
        "SELECT b.reference, b.created_at, b.starts_at, b.ends_at, l.title || ': ' || b.reason AS title, "
        "p.name AS place_name FROM slot_block b JOIN listing l ON l.id = b.listing_id JOIN place p ON p.id = l.place_id "
        f"WHERE {owner} = ? AND b.ends_at > ? AND b.starts_at < ? ORDER BY b.starts_at LIMIT ?",
        subject, since, until, MOST_EVENTS,
    )  # fmt: skip


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()

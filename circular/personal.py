"""Personal data: all that is kept of a person, and forgetting it: when they ask, and when its time is over.

Who keeps something of people elsewhere (the SMS door: messages) is a `Holder`; the composition root names them.
Erased means forgotten: the number may come back as somebody new, and a STOP is forgotten with it.
"""

from __future__ import annotations

from typing import Any, Protocol

from circular import (
    alerts,
    calendars,
    callbacks,
    catalog,
    clock,
    db,
    draws,
    gifts,
    idempotency,
    notices,
    people,
    places,
    reservations,
    settings,
    slots,
    unfound,
    waitlist,
)
from circular.errors import Refusal
from circular.people import Actor

PAGE = 500
# The places that know the person of a row `m` of any table: staff of these, and no others, may see the number. What is over
# counts since two moments, both `known_since()`.
TIES = (
    "(SELECT r.place_id FROM reservation r WHERE r.person_id = m.person_id AND r.person_id <> 0 "
    "AND (r.ended_at IS NULL OR r.ended_at > ?) "
    "UNION ALL SELECT l.place_id FROM waiting w JOIN listing l ON l.id = w.listing_id WHERE w.person_id = m.person_id "
    "UNION ALL SELECT c.place_id FROM callback c WHERE c.person_id = m.person_id AND c.done_at IS NULL "
    "UNION ALL SELECT l.place_id FROM gift g JOIN listing l ON l.id = g.listing_id WHERE g.person_id = m.person_id "
    "AND g.created_at > ?)"
)


class Holder(Protocol):
    """A module that keeps something of people."""

    def export(self, person_id: int, /) -> Any:
        """What it keeps of a person, as JSON; times are milliseconds since 1970, their names end in `_at`."""

    def erase(self, person_id: int, /) -> None:
        """Forget it. Called inside a transaction."""


HOLDERS: dict[str, Holder] = {
    "trainings": slots,
    "calendars": calendars,
    "draws": draws,
    "waitlist": waitlist,
    "alerts": alerts,
    "callbacks": callbacks,
    "gifts": gifts,
}


def known_since() -> int:
    """When what is over must have ended for its place to know the person still: as long as texts are kept."""
    return clock.now_ms() - settings.get().messages_kept_days * 86_400_000


def hold(name: str, holder: Holder) -> None:
    """Name somebody who keeps something of people; an export has it under `name`."""
    HOLDERS[name] = holder


def export(actor: Actor) -> dict[str, Any]:
    """Everything that is kept of somebody, as JSON; times are RFC 3339."""
    assert actor.person_id is not None
    person = people.export(actor.person_id)
    names = {place["id"]: place["code"] for place in places.find_places(limit=PAGE)}
    for token in person["tokens"]:
        token["place"] = names.get(token.pop("place_id"))
    kept = {name: holder.export(actor.person_id) for name, holder in HOLDERS.items()}
    return dict(_readable({"person": person, "reservations": _reservations(actor.person_id), **kept}))


def _reservations(person_id: int) -> list[dict[str, Any]]:
    names = (
        "reference", "listing", "title", "unit", "state", "place", "pickup_code", "created_at", "expires_at", "ended_at",
    )  # fmt: skip
    own = Actor(person_id, "resident", "personal")
    found, after = [], 0
    while page := reservations.find(own, reservations.Filter(after=after, limit=PAGE)):
        found += page
        after = page[-1]["id"]
    return [
        {
            **{name: one[name] for name in names},
            "quantity": catalog.amount(one["quantity"]),
            "picked_quantity": catalog.amount(one["picked_quantity"]),
        }
        for one in found
    ]


def _readable(kept: Any) -> Any:
    """Times of any depth as RFC 3339."""
    if isinstance(kept, dict):
        return {
            name: clock.rfc3339(db.from_ms(value))
            if name.endswith("_at") and isinstance(value, int)
            else _readable(value)
            for name, value in kept.items()
        }
    return [_readable(value) for value in kept] if isinstance(kept, list) else kept


def erase(actor: Actor) -> None:
    """Forget somebody: what they hold is free again, what they wrote and were told goes, their tokens end.

    Reservations stay for statistics, without a way to the number. Places are told nothing: they see the reservation
    cancelled, as when people cancel themselves.
    Raises: Refusal("no_phone") for a token that nobody's number stands behind.
    """
    person_id = actor.person_id
    assert person_id is not None
    with db.transaction():
        phone = people.phone_of(person_id)
        if phone is None:
            raise Refusal("no_phone")
        for holder in HOLDERS.values():
            holder.erase(person_id)
        _cancel_all(person_id, actor.door)
        people.forget(person_id)  # after the listings' locks; from here on nobody reserves for this person
        _cancel_all(person_id, actor.door)  # what came meanwhile
        notices.erase(person_id)
        idempotency.forget_mentions(phone)


def _cancel_all(person_id: int, door: str) -> None:
    own = Actor(person_id, "resident", door)
    for held in reservations.mine(person_id, PAGE):
        try:
            reservations.cancel(own, held["reference"])
        except Refusal as refusal:  # handed over, or lapsed, just now
            if refusal.code not in ("already_ended", "expired"):
                raise


def forget_old() -> int:
    """Forget what was kept for its time, as README says; how much. Messages are the SMS door's own affair."""
    chosen = settings.get()
    done = reservations.unlink(chosen.reservations_kept_days)
    with db.transaction():
        for noun in (callbacks, notices, waitlist):
            done += noun.forget(chosen.messages_kept_days)
        done += people.forget_sessions(chosen.messages_kept_days)
        done += draws.forget(chosen.reservations_kept_days)
        done += gifts.forget(chosen.reservations_kept_days) + unfound.forget()
    return done

"""Reservations: builders and residents reserve, see, extend and cancel; staff hand over."""

from __future__ import annotations

import functools
from typing import Any

from flask import request
from flask.typing import ResponseReturnValue
from flask.views import MethodView
from marshmallow import RAISE

from circular import draws, people, reservations, slots
from circular.api import auth, schemas, writing
from circular.api.blueprint import Blueprint

blueprint = Blueprint("reservations", __name__, url_prefix="/reservations", description="Who holds what")
_done = functools.partial(auth.done, writing.reservation)


@blueprint.route("")
class Reservations(MethodView):
    """One's own reservations; for staff, those of their place."""

    @blueprint.arguments(schemas.ReservationQuery(), location="query", unknown=RAISE)
    @blueprint.response(200, schemas.page_of(schemas.ReservationOut))
    def get(self, wanted: dict[str, Any]) -> ResponseReturnValue:
        """List reservations, newest first."""
        who = auth.actor()
        chosen = reservations.filter_of(wanted)
        found = reservations.find(who, chosen._replace(limit=chosen.limit + 1))
        return writing.keyset(found, chosen.limit, lambda facts: writing.reservation(facts, who))

    @blueprint.arguments(schemas.ReservationIn())
    @blueprint.response(201, schemas.ReservationOut)
    @blueprint.alt_response(202, schema=schemas.EntryOut, description="Entered: it is given out later, to all at once")
    def post(self, body: dict[str, Any]) -> ResponseReturnValue:
        """Reserve; staff may give the phone of the person for whom they act."""
        who = auth.actor()

        def act() -> dict[str, Any]:
            person_id = people.whose(who, body.get("phone"))
            slot = None if body["slot"] is None else slots.read(body["slot"])
            made = draws.ask(who, person_id, body["listing"], body["quantity"], auth.origin(who, body), slot=slot)
            return writing.entry(made) if "ticket" in made else writing.reservation(made, who)

        made = auth.once(who, body, act)
        if "draw" in made:
            return writing.respond(made, 202, location=f"/api/v1/entries/{made['id']}")
        return writing.respond(made, 201, location=f"{request.path}/{made['id']}")


@blueprint.route("/<reference>")
class Reservation(MethodView):
    """One reservation."""

    @blueprint.response(200, schemas.ReservationOut)
    def get(self, reference: str) -> ResponseReturnValue:
        """Read a reservation of one's own or of one's place."""
        who = auth.actor()
        found = reservations.get(who, reference)
        written = writing.reservation(found, who)
        log = reservations.log_of(who, reference)
        if log:
            written["events"] = [writing.event(one, found["unit"]) for one in log]
            written["no_shows"] = reservations.strikes(found["person_id"])
        return writing.respond(written)


@blueprint.route("/<reference>/cancel")
class Cancel(MethodView):
    """Giving up."""

    @blueprint.arguments(schemas.WhyIn())
    @blueprint.response(200, schemas.ReservationOut)
    def post(self, body: dict[str, Any], reference: str) -> ResponseReturnValue:
        """Cancel; twice changes nothing."""
        return _done(reservations.cancel, reference, body.get("reason", ""))


@blueprint.route("/<reference>/move")
class Move(MethodView):
    """Another slot."""

    @blueprint.arguments(schemas.MoveIn())
    @blueprint.response(200, schemas.ReservationOut)
    def post(self, body: dict[str, Any], reference: str) -> ResponseReturnValue:
        """Move what is booked to another slot, until the listing's deadline; staff at any time."""
        slot, origin = slots.read(body["slot"]), auth.origin(auth.actor(), [reference, body])
        return _done(reservations.move, reference, slot, origin)


@blueprint.route("/<reference>/give-back")
class GiveBack(MethodView):
    """Bringing back."""

    @blueprint.response(200, schemas.ReservationOut)
    def post(self, reference: str) -> ResponseReturnValue:
        """Note that what was booked is back (staff); twice changes nothing."""
        return _done(reservations.give_back, reference)


@blueprint.route("/<reference>/extend")
class Extend(MethodView):
    """More time."""

    @blueprint.response(200, schemas.ReservationOut)
    def post(self, reference: str) -> ResponseReturnValue:
        """Hold it two opening days longer: its person once, the staff of its place as often as they see fit."""
        who = auth.actor()
        asked = {"extend": reference}

        def act() -> dict[str, Any]:
            return writing.reservation(reservations.extend(who, reference, auth.origin(who, asked)), who)

        return writing.respond(auth.once(who, asked, act))


@blueprint.route("/<reference>/pick-up")
class PickUp(MethodView):
    """Handing over."""

    @blueprint.arguments(schemas.PickUpIn())
    @blueprint.response(200, schemas.ReservationOut)
    def post(self, body: dict[str, Any], reference: str) -> ResponseReturnValue:
        """Hand over against the pickup code, all or a part (staff of the place)."""
        who = auth.actor()
        handed = reservations.pick_up(
            who, reference, body["pickup_code"], body["quantity"], force=body["force"], reason=body["reason"]
        )
        return writing.respond(writing.reservation(handed, who))


@blueprint.route("/<reference>/prepare")
class Prepare(MethodView):
    """Lying ready."""

    @blueprint.response(200, schemas.ReservationOut)
    def post(self, reference: str) -> ResponseReturnValue:
        """Note that it lies ready (staff): it does not lapse any more, and its person is told."""
        return _done(reservations.prepare, reference)


@blueprint.route("/<reference>/approve")
class Approve(MethodView):
    """Agreeing."""

    @blueprint.response(200, schemas.ReservationOut)
    def post(self, reference: str) -> ResponseReturnValue:
        """Agree to what somebody asked for who missed several (staff)."""
        return _done(reservations.approve, reference)


@blueprint.route("/<reference>/refuse")
class Refuse(MethodView):
    """Not agreeing."""

    @blueprint.arguments(schemas.WhyIn())
    @blueprint.response(200, schemas.ReservationOut)
    def post(self, body: dict[str, Any], reference: str) -> ResponseReturnValue:
        """Do not agree to what needs approval, and say why: its person reads it (staff)."""
        return _done(reservations.refuse, reference, body.get("reason", ""))


@blueprint.route("/<reference>/no-show")
class NoShow(MethodView):
    """Nobody came."""

    @blueprint.arguments(schemas.WhyIn())
    @blueprint.response(200, schemas.ReservationOut)
    def post(self, body: dict[str, Any], reference: str) -> ResponseReturnValue:
        """Note that nobody came (staff): it is free again, and its person is told."""
        return _done(reservations.no_show, reference, body.get("reason", ""))


@blueprint.route("/<reference>/appeal")
class Appeal(MethodView):
    """Saying why."""

    @blueprint.arguments(schemas.WhyIn())
    @blueprint.response(200, schemas.ReservationOut)
    def post(self, body: dict[str, Any], reference: str) -> ResponseReturnValue:
        """Say why one did not come."""
        return _done(reservations.appeal, reference, body.get("reason", ""))


@blueprint.route("/<reference>/forgive")
class Forgive(MethodView):
    """Not counting it."""

    @blueprint.arguments(schemas.WhyIn())
    @blueprint.response(200, schemas.ReservationOut)
    def post(self, body: dict[str, Any], reference: str) -> ResponseReturnValue:
        """A no-show counts no more (staff); its person is told."""
        return _done(reservations.forgive, reference, body.get("reason", ""))

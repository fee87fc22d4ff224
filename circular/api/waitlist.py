"""The waitlist: whoever finds everything taken waits in order. An offer is taken by reserving, passed by leaving."""

from __future__ import annotations

from typing import Any

from flask import request
from flask.typing import ResponseReturnValue
from flask.views import MethodView
from marshmallow import RAISE

from circular import people, slots, waitlist
from circular.api import auth, schemas, writing
from circular.api.blueprint import Blueprint

blueprint = Blueprint("waitlist", __name__, url_prefix="/waitlist", description="Who waits for what")


@blueprint.route("")
class Waitlist(MethodView):
    """One's own places in queues; for staff, those at their place."""

    @blueprint.arguments(schemas.WaitingQuery(), location="query", unknown=RAISE)
    @blueprint.response(200, schemas.page_of(schemas.WaitingOut))
    def get(self, wanted: dict[str, Any]) -> ResponseReturnValue:
        """List places in queues, newest first."""
        who = auth.actor()
        chosen = waitlist.filter_of(wanted)
        found = waitlist.find(who, chosen._replace(limit=chosen.limit + 1))
        return writing.keyset(found, chosen.limit, lambda facts: writing.waiting(facts, who))

    @blueprint.arguments(schemas.WaitingIn())
    @blueprint.response(201, schemas.WaitingOut)
    def post(self, body: dict[str, Any]) -> ResponseReturnValue:
        """Wait for some of a listing, or of a slot that is all taken; staff may give the phone of who waits."""
        who = auth.actor()

        def act() -> dict[str, Any]:
            person_id = people.whose(who, body.get("phone"))
            slot = None if body["slot"] is None else slots.read(body["slot"])
            joined = waitlist.join(who, person_id, body["listing"], body["quantity"], auth.origin(who, body), slot=slot)
            return writing.waiting(joined, who)

        joined = auth.once(who, body, act)
        return writing.respond(joined, 201, location=f"{request.path}/{joined['id']}")


@blueprint.route("/<reference>")
class Waiting(MethodView):
    """One place in a queue."""

    @blueprint.response(200, schemas.WaitingOut)
    def get(self, reference: str) -> ResponseReturnValue:
        """Read a place in a queue, of one's own or at one's place: its rank, and until when an offer stands."""
        who = auth.actor()
        return writing.respond(writing.waiting(waitlist.get(who, reference), who))

    @blueprint.response(204)
    def delete(self, reference: str) -> ResponseReturnValue:
        """Leave the queue; what was offered goes to the next one. Twice changes nothing."""
        who = auth.actor()

        def act() -> dict[str, Any]:
            waitlist.leave(who, reference)
            return {}

        auth.write(who, act)
        return "", 204


@blueprint.route("/<reference>/suspend")
class Suspend(MethodView):
    """Setting aside."""

    @blueprint.response(200, schemas.WaitingOut)
    def post(self, reference: str) -> ResponseReturnValue:
        """Get no offer for now, and keep one's rank; an open offer goes to the next one. Twice changes nothing."""
        return auth.done(writing.waiting, waitlist.suspend, reference)


@blueprint.route("/<reference>/resume")
class Resume(MethodView):
    """Waiting again."""

    @blueprint.response(200, schemas.WaitingOut)
    def post(self, reference: str) -> ResponseReturnValue:
        """Wait again, at the rank that was kept. Twice changes nothing."""
        return auth.done(writing.waiting, waitlist.resume, reference)

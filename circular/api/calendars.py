"""Calendar feeds: made and ended here, read at `/cal/<secret>.ics`."""

from __future__ import annotations

from typing import Any

from flask import request
from flask.typing import ResponseReturnValue
from flask.views import MethodView

from circular import calendars
from circular.api import auth, schemas, writing
from circular.api.blueprint import Blueprint

blueprint = Blueprint("calendars", __name__, url_prefix="/calendars", description="Feeds for calendar programs")


@blueprint.route("")
class Calendars(MethodView):
    """Feeds."""

    @blueprint.arguments(schemas.CalendarIn())
    @blueprint.response(201, schemas.CalendarOut)
    def post(self, body: dict[str, Any]) -> ResponseReturnValue:
        """A feed of a listing or a place (its staff), else of one's own reservations. The address is told once."""
        who = auth.actor()

        def act() -> dict[str, Any]:
            made = calendars.make(who, body.get("listing", ""), body.get("place", ""))
            return {"id": made["id"], "kind": made["kind"], "url": f"{request.host_url}cal/{made['secret']}.ics"}

        return writing.respond(auth.write(who, act), 201)


@blueprint.route("/<reference>")
class Calendar(MethodView):
    """One feed."""

    @blueprint.response(204)
    def delete(self, reference: str) -> ResponseReturnValue:
        """End a feed of one's own: its address leads nowhere."""
        who = auth.actor()

        def act() -> dict[str, Any]:
            calendars.revoke(who, reference)
            return {}

        auth.write(who, act)
        return "", 204

"""Alerts: saved searches. A text tells when something new matches, once a day at the most."""

from __future__ import annotations

from typing import Any

from flask import request
from flask.typing import ResponseReturnValue
from flask.views import MethodView

from circular import alerts, people
from circular.api import auth, schemas, writing
from circular.api.blueprint import Blueprint

blueprint = Blueprint("alerts", __name__, url_prefix="/alerts", description="Searches that go on")


@blueprint.route("")
class Alerts(MethodView):
    """One's own alerts."""

    @blueprint.response(200, schemas.page_of(schemas.AlertOut))
    def get(self) -> ResponseReturnValue:
        """List one's alerts, oldest first; they are few."""
        found = alerts.mine(people.whose(auth.actor(), None))
        return writing.page([writing.alert(facts) for facts in found], None)

    @blueprint.arguments(schemas.AlertIn())
    @blueprint.response(201, schemas.AlertOut)
    def post(self, body: dict[str, Any]) -> ResponseReturnValue:
        """Save a search; staff may give the phone of the person for whom they act."""
        who = auth.actor()

        def act() -> dict[str, Any]:
            person_id = people.whose(who, body.get("phone"))
            return writing.alert(alerts.add(person_id, body, auth.origin(who, body)))

        made = auth.once(who, body, act)
        return writing.respond(made, 201, location=f"{request.path}/{made['id']}")

    @blueprint.response(204)
    def delete(self) -> ResponseReturnValue:
        """End all of one's alerts."""
        who = auth.actor()
        auth.write(who, lambda: {"ended": alerts.stop(people.whose(who, None))})
        return "", 204


@blueprint.route("/<reference>")
class Alert(MethodView):
    """One alert."""

    @blueprint.response(200, schemas.AlertOut)
    def get(self, reference: str) -> ResponseReturnValue:
        """Read an alert of one's own."""
        return writing.respond(writing.alert(alerts.get(auth.actor(), reference)))

    @blueprint.response(204)
    def delete(self, reference: str) -> ResponseReturnValue:
        """End an alert of one's own."""
        who = auth.actor()

        def act() -> dict[str, Any]:
            alerts.remove(who, reference)
            return {}

        auth.write(who, act)
        return "", 204

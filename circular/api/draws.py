"""Draws: how a listing is given out when more people want it than there are, rechecked by anybody."""

from __future__ import annotations

from typing import Any

from flask import Response
from flask.typing import ResponseReturnValue
from flask.views import MethodView

from circular import draws
from circular.api import auth, schemas, writing
from circular.api.blueprint import Blueprint

blueprint = Blueprint("draws", __name__, description="What is given out by lot, or to all at once")


@blueprint.route("/listings/<code>/draw")
class OfListing(MethodView):
    """The draw of a listing."""

    @blueprint.response(200, schemas.DrawOut)
    def get(self, code: str) -> ResponseReturnValue:
        """Read the draw to come or running, else the last one."""
        return writing.respond(draws.published(draws.of_listing(code)))

    @blueprint.arguments(schemas.PlanIn())
    @blueprint.response(200, schemas.DrawOut)
    def put(self, body: dict[str, Any], code: str) -> ResponseReturnValue:
        """Plan a window, or change it before it opens (staff of the place); `first_come` gives it up (204)."""
        who = auth.actor()

        def act() -> dict[str, Any]:
            planned = draws.plan(who, code, body)
            return {} if planned is None else draws.published(planned)

        made = auth.write(who, act)
        return writing.respond(made) if made else Response(status=204)


@blueprint.route("/draws/<reference>")
class Draw(MethodView):
    """One draw."""

    @blueprint.response(200, schemas.DrawOut)
    def get(self, reference: str) -> ResponseReturnValue:
        """Read a draw: what `flask draw verify` rechecks. No token is needed."""
        return writing.respond(draws.published(draws.get(reference)))


@blueprint.route("/entries/<ticket>")
class Entry(MethodView):
    """What somebody entered for."""

    @blueprint.response(200, schemas.EntryOut)
    def get(self, ticket: str) -> ResponseReturnValue:
        """Read an entry of one's own or of one's place."""
        return writing.respond(writing.entry(draws.entry(auth.actor(), ticket)))

    @blueprint.response(204)
    def delete(self, ticket: str) -> ResponseReturnValue:
        """Withdraw before the window closes; twice changes nothing."""
        who = auth.actor()

        def act() -> dict[str, Any]:
            draws.withdraw(who, ticket)
            return {}

        auth.write(who, act)
        return "", 204

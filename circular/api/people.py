"""What concerns people: who waits for a call, who offers what, one's own data."""

from __future__ import annotations

from typing import Any

from flask.typing import ResponseReturnValue
from flask.views import MethodView
from marshmallow import RAISE

from circular import callbacks, gifts, personal, places
from circular.api import auth, schemas, writing
from circular.api.blueprint import Blueprint

calls = Blueprint("callbacks", __name__, url_prefix="/callbacks", description="Who waits for a call")
offers = Blueprint("gifts", __name__, url_prefix="/gifts", description="What people offer")
me = Blueprint("me", __name__, url_prefix="/me", description="One's own data")


@calls.route("")
class Callbacks(MethodView):
    """Who waits for a call."""

    @calls.arguments(schemas.PagingQuery(), location="query", unknown=RAISE)
    @calls.response(200, schemas.page_of(schemas.CallbackOut))
    def get(self, wanted: dict[str, Any]) -> ResponseReturnValue:
        """List who waits for a call from one's place (staff), the longest first, with their numbers."""
        who = auth.actor()
        after, limit = places.paging(wanted)
        return writing.keyset(callbacks.open_for(who, after, limit + 1), limit, writing.callback)


@calls.route("/<reference>/done")
class Done(MethodView):
    """Having called."""

    @calls.response(200, schemas.CallbackOut)
    def post(self, reference: str) -> ResponseReturnValue:
        """Note that somebody was called (staff of the place); twice changes nothing."""
        who = auth.actor()
        return writing.respond(auth.write(who, lambda: writing.callback(callbacks.done(who, reference))))


@offers.route("")
class Gifts(MethodView):
    """What people offer."""

    @offers.arguments(schemas.GiftQuery(), location="query", unknown=RAISE)
    @offers.response(200, schemas.page_of(schemas.GiftOut))
    def get(self, wanted: dict[str, Any]) -> ResponseReturnValue:
        """List what was offered to one's place (staff), newest first; `PATCH /listings/{code}` publishes a draft."""
        who = auth.actor()
        after, limit = places.paging(wanted)
        found = gifts.find(who, wanted.get("status", ""), after, limit + 1)
        return writing.keyset(found, limit, writing.gift)


@me.route("/export")
class Export(MethodView):
    """What is kept of oneself."""

    @me.response(200, schemas.ExportOut)
    def get(self) -> ResponseReturnValue:
        """Everything that is kept of whoever asks: person, reservations, requests, gifts, messages."""
        response = writing.respond(personal.export(auth.actor()))
        response.headers["Content-Disposition"] = 'attachment; filename="circular.json"'
        return response


@me.route("")
class Me(MethodView):
    """Oneself."""

    @me.response(204)
    def delete(self) -> ResponseReturnValue:
        """Forget whoever asks: number, messages, requests, gifts; what is held is free again, tokens end."""
        who = auth.actor()

        def act() -> dict[str, Any]:
            personal.erase(who)
            return {}

        auth.write(who, act)
        return "", 204

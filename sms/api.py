"""`GET /api/v1/messages`: what came and what went, for staff. The API's own words and errors, over this door's noun."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask.typing import ResponseReturnValue
from flask.views import MethodView
from marshmallow import RAISE, Schema, fields

from circular.api import auth, schemas, writing
from circular.api.blueprint import Blueprint
from sms import messages

blueprint = Blueprint("messages", __name__, url_prefix="/messages", description="What came and what went")


class MessageQuery(schemas.PagingQuery):
    """Which messages."""

    direction = fields.String(metadata={"enum": list(messages.DIRECTIONS)})
    state = fields.String(metadata={"enum": list(messages.STATES)})
    intent = fields.String(metadata={"description": "What a message was understood as, such as `search`"})
    not_understood = fields.String(
        metadata={"enum": ["true", "false"], "description": "`true`: those of which nothing came, searches included"}
    )


class MessageOut(Schema):
    """A message."""

    id = fields.String(metadata={"examples": ["in-12"]})
    direction = fields.String(metadata={"enum": list(messages.DIRECTIONS)})
    at = fields.String(metadata={"format": "date-time"})
    phone = fields.String(
        metadata={"description": "Masked, unless the person is known at one's place; empty once forgotten"}
    )
    text = fields.String(metadata={"description": "Numbers in it are masked where `phone` is"})
    state = fields.String(metadata={"enum": list(messages.STATES)})
    reason = fields.String(metadata={"description": "The rule or the error that explains the state"})
    gateway = fields.String(allow_none=True)
    language = fields.String()
    segments = fields.Integer(metadata={"description": "SMS that it takes; of what came, 0 once its text is forgotten"})
    intent = fields.String(allow_none=True, metadata={"description": "In: what it was understood as"})
    understood = fields.Boolean(allow_none=True, metadata={"description": "In: false when nothing came of it"})
    kind = fields.String(allow_none=True, metadata={"description": "Out: an answer, or what nobody asked for"})
    in_reply_to = fields.String(allow_none=True, metadata={"description": "Out: the message that it answers"})
    cost = fields.String(
        allow_none=True, metadata={"description": "Out: as the provider says it, such as `EUR 0.0500`"}
    )
    sent_at = fields.String(allow_none=True, metadata={"format": "date-time"})


@blueprint.route("")
class Messages(MethodView):
    """Messages."""

    @blueprint.arguments(MessageQuery(), location="query", unknown=RAISE)
    @blueprint.response(200, schemas.page_of(MessageOut))
    def get(self, wanted: dict[str, Any]) -> ResponseReturnValue:
        """List messages in and out (staff), newest first: those of people known at one's place, and of people known nowhere
        yet, these without their number.
        """
        page = messages.find(auth.actor(), messages.filter_of(wanted))
        return writing.page([_message(facts) for facts in page.items], page.next)


def _message(facts: Mapping[str, Any]) -> dict[str, Any]:
    came = facts["direction"] == "in"
    answered = facts.get("in_reply_to")
    return {
        "id": f"{facts['direction']}-{facts['id']}",
        "at": writing.at(facts["at"]),
        **{name: facts[name] for name in ("direction", "phone", "text", "state", "reason", "gateway", "language")},
        "segments": (facts["measure"].segments if facts["text"] else 0) if came else facts["segments"],
        "intent": facts.get("intent") or None,
        "understood": not facts["missed"] if came and facts["state"] in ("handled", "failed") else None,
        "kind": facts.get("kind"),
        "in_reply_to": f"in-{answered}" if answered else None,
        "cost": facts.get("cost"),
        "sent_at": writing.at(facts.get("sent_at")),
    }

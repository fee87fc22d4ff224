"""Slots: anybody sees what is free; the staff of a place set rules, close times, note trainings."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from flask.typing import ResponseReturnValue
from flask.views import MethodView
from marshmallow import RAISE

from circular import catalog, consequences, settings, slots
from circular.api import auth, schemas, writing
from circular.api.blueprint import Blueprint
from circular.checks import read_moment
from circular.errors import FieldErrors

blueprint = Blueprint("slots", __name__, url_prefix="/listings", description="What is booked for a time")
trainings = Blueprint("trainings", __name__, url_prefix="/trainings", description="Who may use what")


@blueprint.route("/<code>/availability")
class Availability(MethodView):
    """When something is free."""

    @blueprint.arguments(schemas.AvailabilityQuery(), location="query", unknown=RAISE)
    @blueprint.response(200, schemas.FreePage)
    def get(self, wanted: dict[str, Any], code: str) -> ResponseReturnValue:
        """Free slots between two moments (the week from now when absent), and how many units are free in each; or those that
        are all taken, which one can wait for.
        """
        since, until = (_moment(wanted, name, field) for name, field in (("since", "from"), ("until", "to")))
        found = slots.availability(code, since, until, taken=wanted.get("taken") == "true")
        items = [{**writing.slot(one._asdict()), "quantity": catalog.amount(one.units)} for one in found]
        return writing.respond({"items": items})


def _moment(wanted: dict[str, Any], name: str, field: str) -> datetime | None:
    if name not in wanted:
        return None
    moment = read_moment(wanted[name], settings.get().timezone)
    if moment is None:
        errors = FieldErrors()
        errors.add(field, "not_a_date")
        errors.refuse()
    return moment


@blueprint.route("/<code>/rules")
class Rules(MethodView):
    """The rules of what is booked for a time."""

    @blueprint.response(200, schemas.RulesOut)
    def get(self, code: str) -> ResponseReturnValue:
        """Read the rules of a listing."""
        return writing.respond(_rules(slots.rules(catalog.get(code))))

    @blueprint.arguments(schemas.RulesIn())
    @blueprint.response(200, schemas.RulesOut)
    def put(self, body: dict[str, Any], code: str) -> ResponseReturnValue:
        """Change some of the rules of a listing (staff of its place)."""
        who = auth.actor()
        return writing.respond(auth.write(who, lambda: _rules(slots.set_rules(who, code, body))))


def _rules(chosen: slots.Rules) -> dict[str, Any]:
    known = chosen._asdict()
    parent = known.pop("parent_id")
    return {**known, "parent": catalog.code_of(parent) if parent else None}


@blueprint.route("/<code>/blocks")
class Blocks(MethodView):
    """Times at which nobody can book."""

    @blueprint.response(200, schemas.page_of(schemas.BlockOut))
    def get(self, code: str) -> ResponseReturnValue:
        """The closed times that are not over."""
        return writing.page([_block(found) for found in slots.blocks(code)], None)

    @blueprint.arguments(schemas.SlotIn())
    @blueprint.response(201, schemas.BlockOut)
    def post(self, body: dict[str, Any], code: str) -> ResponseReturnValue:
        """Close a time (staff of its place); whoever booked it is told."""
        who = auth.actor()
        slot = slots.read(body)
        made = auth.once(who, body, lambda: _block(consequences.close_slot(who, code, slot, body.get("reason", ""))))
        return writing.respond(made, 201)


def _block(found: dict[str, Any]) -> dict[str, Any]:
    return {"id": found["reference"], "listing": found["listing"], "reason": found["reason"], **writing.slot(found)}


@blueprint.route("/<code>/blocks/<reference>")
class Block(MethodView):
    """One closed time."""

    @blueprint.response(204)
    def delete(self, code: str, reference: str) -> ResponseReturnValue:
        """Open it again (staff of its place)."""
        who = auth.actor()

        def act() -> dict[str, Any]:
            consequences.open_slot(who, code, reference)
            return {}

        auth.write(who, act)
        return "", 204


@trainings.route("")
class Trainings(MethodView):
    """Who may use what needs a training."""

    @trainings.arguments(schemas.TrainingIn())
    @trainings.response(201, schemas.TrainingIn)
    def post(self, body: dict[str, Any]) -> ResponseReturnValue:
        """Note that somebody was trained (staff), until a day or for good."""
        who = auth.actor()
        until = _moment(body, "until", "until")

        def act() -> dict[str, Any]:
            made = slots.train(who, body["phone"], body["training"], until)
            return {"training": made["training"], "until": writing.at(made["until"])}

        return writing.respond(auth.once(who, body, act), 201)

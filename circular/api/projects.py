"""Projects: what can be built by upcycling."""

from __future__ import annotations

from typing import Any

from flask import request
from flask.typing import ResponseReturnValue
from flask.views import MethodView
from marshmallow import RAISE

from circular import kits, people, places, projects
from circular.api import auth, schemas, writing
from circular.api.blueprint import Blueprint

blueprint = Blueprint("projects", __name__, url_prefix="/projects", description="What can be built")


@blueprint.route("")
class Projects(MethodView):
    """Projects."""

    @blueprint.arguments(schemas.ProjectQuery(), location="query", unknown=RAISE)
    @blueprint.response(200, schemas.page_of(schemas.ProjectOut))
    def get(self, wanted: dict[str, Any]) -> ResponseReturnValue:
        """List projects; with `q`, those that hold every word; with `buildable`, those that today's stock builds, or not."""
        after, limit = places.paging(wanted)
        if "buildable" in wanted:
            buildable = wanted["buildable"] == "true"
            found, more = kits.find(
                wanted.get("q", ""), after, limit, buildable=buildable, place=wanted.get("place", "")
            )
            return writing.page([writing.project(one["project"]) for one in found], more)
        return writing.keyset(projects.find(wanted.get("q", ""), after, limit + 1), limit, writing.project)

    @blueprint.arguments(schemas.ProjectIn())
    @blueprint.response(201, schemas.ProjectOut)
    def post(self, body: dict[str, Any]) -> ResponseReturnValue:
        """Add a project (staff)."""
        who = auth.actor()
        made = auth.once(who, body, lambda: writing.project(projects.add(who, body)))
        return writing.respond(made, 201, revision=1, location=f"{request.path}/{made['code']}")


@blueprint.route("/<code>")
class Project(MethodView):
    """One project."""

    @blueprint.response(200, schemas.ProjectOut)
    def get(self, code: str) -> ResponseReturnValue:
        """Read a project."""
        facts = projects.get(code)
        return writing.respond(writing.project(facts), revision=facts["revision"])

    @blueprint.arguments(schemas.ProjectIn())
    @blueprint.response(200, schemas.ProjectOut)
    def patch(self, body: dict[str, Any], code: str) -> ResponseReturnValue:
        """Revise a project (staff of its place)."""
        who, revision = auth.actor(), auth.revision()
        facts = auth.write(who, lambda: projects.revise(who, code, body, revision))
        return writing.respond(writing.project(facts), revision=facts["revision"])


@blueprint.route("/<code>/feasibility")
class Feasibility(MethodView):
    """What can be built today."""

    @blueprint.arguments(schemas.FeasibilityQuery(), location="query", unknown=RAISE)
    @blueprint.response(200, schemas.FeasibilityOut)
    def get(self, wanted: dict[str, Any], code: str) -> ResponseReturnValue:
        """Whether today's stock builds it, what is missing, and which listings give what."""
        return writing.respond(writing.feasibility(kits.feasibility(code, wanted.get("place", ""))))


@blueprint.route("/<code>/reserve")
class Reserve(MethodView):
    """The whole kit."""

    @blueprint.arguments(schemas.KitIn())
    @blueprint.response(201, schemas.KitOut)
    def post(self, body: dict[str, Any], code: str) -> ResponseReturnValue:
        """Reserve everything that it takes, or nothing; staff may give the phone of the person for whom they act.

        A kit is one of the reservations that somebody may hold, and has one pickup code. Each of its reservations can be
        cancelled alone.
        """
        who = auth.actor()
        asked = {"kit": code, **body}

        def act() -> dict[str, Any]:
            person_id = people.whose(who, body.get("phone"))
            made = kits.reserve(
                who, person_id, code, auth.origin(who, asked), place=body.get("place") or "", slot=body.get("slot")
            )
            return {"reservations": [writing.reservation(part, who) for part in made]}

        return writing.respond(auth.once(who, asked, act), 201)

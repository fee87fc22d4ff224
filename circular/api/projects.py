"""Projects: what can be built by upcycling."""

from __future__ import annotations

from typing import Any

from flask import request
from flask.typing import ResponseReturnValue
from flask.views import MethodView
from flask_smorest import Blueprint
from marshmallow import RAISE

from circular import places, projects
from circular.api import auth, schemas, writing

blueprint = Blueprint("projects", __name__, url_prefix="/projects", description="What can be built")


@blueprint.route("")
class Projects(MethodView):
    """Projects."""

    @blueprint.arguments(schemas.ProjectQuery(), location="query", unknown=RAISE)
    @blueprint.response(200, schemas.page_of(schemas.ProjectOut))
    def get(self, wanted: dict[str, Any]) -> ResponseReturnValue:
        """List projects; with `q`, those that hold every word."""
        after, limit = places.paging(wanted)
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

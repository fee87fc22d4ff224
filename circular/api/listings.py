"""Listings: anybody searches and reads; the staff of a place publish, revise and withdraw."""

from __future__ import annotations

from typing import Any

from flask import request
from flask.typing import ResponseReturnValue
from flask.views import MethodView
from marshmallow import RAISE

from circular import catalog, consequences, facets, imports, queries, reservations, unfound
from circular.api import auth, schemas, writing
from circular.api.blueprint import Blueprint
from circular.errors import Refusal

blueprint = Blueprint("listings", __name__, url_prefix="/listings", description="The catalogue")
MOST_IMPORT_BYTES = 64 * 1024 * 1024


@blueprint.route("")
class Listings(MethodView):
    """The catalogue."""

    @blueprint.arguments(schemas.ListingQuery(), location="query", unknown=RAISE)
    @blueprint.response(200, schemas.ListingPage())
    def get(self, wanted: dict[str, Any]) -> ResponseReturnValue:
        """Search published listings: what fits best, then what can be reserved now, then the nearer, then the newest.

        `q` is read for what it means, in any of the six languages: things, sizes (`2m`, `60x60`), a quantity (`12 portes`,
        `3 m2`), a place or commune. Beside `items` stands what became of it, where there is something to say. With
        `facets=true`, `facets` counts what the list can be narrowed to: all that is found, not this page alone.
        """
        wanted.pop("lang", None)  # the language of the answer: chosen before this view runs
        query = queries.query(wanted, home=reservations.home_of(auth.visitor()))
        page = queries.find(query, writing.LISTINGS)
        if not page.items and set(wanted) == {"q"}:
            unfound.note_apart(wanted["q"], "api")
        beside = writing.found(page)
        if query.facets:
            beside["facets"] = writing.counted(facets.count(query, page))
        return writing.page(page.items, page.next, **beside)

    @blueprint.arguments(schemas.ListingIn())
    @blueprint.response(201, schemas.ListingOut)
    def post(self, body: dict[str, Any]) -> ResponseReturnValue:
        """Publish a listing (staff of its place)."""
        who = auth.actor()
        made = auth.once(who, body, lambda: _made(catalog.publish(who, body)))
        revision = made.pop("revision")
        return writing.respond(made, 201, revision=revision, location=f"{request.path}/{made['code']}")


def _made(facts: dict[str, Any]) -> dict[str, Any]:
    return {**writing.listing(facts), "revision": facts["revision"]}


@blueprint.route("/<code>")
class Listing(MethodView):
    """One listing."""

    @blueprint.response(200, schemas.ListingOut)
    def get(self, code: str) -> ResponseReturnValue:
        """Read a listing; its ETag is what PATCH wants in If-Match."""
        facts = catalog.get(code, auth.visitor())
        return writing.respond(writing.listing(facts), revision=facts["revision"])

    @blueprint.arguments(schemas.ListingChanges())
    @blueprint.response(200, schemas.ListingOut)
    def patch(self, body: dict[str, Any], code: str) -> ResponseReturnValue:
        """Revise a listing (staff of its place)."""
        who, revision = auth.actor(), auth.revision()
        force, why = body.pop("force", False), body.pop("reason", "")

        def act() -> dict[str, Any]:
            return _made(consequences.revise_listing(who, code, body, revision, force=force, reason=why))

        made = auth.write(who, act)
        return writing.respond(made, revision=made.pop("revision"))

    @blueprint.response(204)
    def delete(self, code: str) -> ResponseReturnValue:
        """Withdraw a listing (staff of its place); whoever held some of it is told."""
        who = auth.actor()

        def act() -> dict[str, Any]:
            consequences.withdraw_listing(who, code)
            return {}

        auth.write(who, act)
        return "", 204


@blueprint.route("/import", endpoint="import")
class Import(MethodView):
    """Listings from a file."""

    @blueprint.response(200, schemas.ImportOut)
    @blueprint.doc(
        parameters=[{"in": "query", "name": "dry_run", "schema": {"type": "boolean"}, "description": "Write nothing"}],
        requestBody={
            "required": True,
            "content": {
                "multipart/form-data": {
                    "schema": {"type": "object", "properties": {"file": {"type": "string", "format": "binary"}}}
                }
            },
        },
    )
    def post(self) -> ResponseReturnValue:
        """Import CSV or XLSX (multipart field `file`); `dry_run=true` writes nothing. Good rows pass without the bad ones."""
        who = auth.actor()
        who.require("staff")
        request.max_content_length = MOST_IMPORT_BYTES
        if request.mimetype != "multipart/form-data":
            raise Refusal("wrong_content_type", expected="multipart/form-data")
        file = request.files.get("file")
        if file is None:
            raise Refusal("unreadable_file")
        dry_run = request.args.get("dry_run", "").lower() in ("1", "true", "yes")
        report = imports.import_listings(who, file.stream, dry_run=dry_run)
        return writing.respond(imports.as_json(report))

"""Places, sites, communes and categories."""

from __future__ import annotations

from typing import Any

from flask import request
from flask.typing import ResponseReturnValue
from flask.views import MethodView
from marshmallow import RAISE

from circular import catalog, categories, consequences, places
from circular import sites as sites_
from circular.api import auth, schemas, writing
from circular.api.blueprint import Blueprint

blueprint = Blueprint("places", __name__, url_prefix="/places", description="Tiers-lieux")
sites = Blueprint("sites", __name__, url_prefix="/sites", description="Deconstruction sites and friches")
lists = Blueprint("lists", __name__, description="Closed lists")


@blueprint.route("")
class Places(MethodView):
    """Tiers-lieux."""

    @blueprint.arguments(schemas.PagingQuery(), location="query", unknown=RAISE)
    @blueprint.response(200, schemas.page_of(schemas.PlaceOut))
    def get(self, wanted: dict[str, Any]) -> ResponseReturnValue:
        """List places with label, hours and services."""
        after, limit = places.paging(wanted)
        return writing.keyset(places.find_places(after, limit + 1), limit, writing.place)


@blueprint.route("/<code>")
class Place(MethodView):
    """One place."""

    @blueprint.response(200, schemas.PlaceOut)
    def get(self, code: str) -> ResponseReturnValue:
        """Read a place."""
        facts = places.get_place(code)
        return writing.respond(writing.place(facts), revision=facts["revision"])

    @blueprint.arguments(schemas.PlaceIn())
    @blueprint.response(200, schemas.PlaceOut)
    def patch(self, body: dict[str, Any], code: str) -> ResponseReturnValue:
        """Revise a place (its staff)."""
        who, revision = auth.actor(), auth.revision()
        facts = auth.write(who, lambda: catalog.revise_place(who, code, body, revision))
        return writing.respond(writing.place(facts), revision=facts["revision"])


@blueprint.route("/<code>/closures")
class Closures(MethodView):
    """Days on which a place is closed."""

    @blueprint.response(200, schemas.page_of(schemas.ClosureOut))
    def get(self, code: str) -> ResponseReturnValue:
        """The closures that are not over."""
        return writing.page([_closure(found) for found in places.closures(code)], None)

    @blueprint.arguments(schemas.ClosureIn())
    @blueprint.response(201, schemas.ClosureOut)
    def post(self, body: dict[str, Any], code: str) -> ResponseReturnValue:
        """Close a place for some days, or open it at other hours (its staff): what would lapse then is held longer, what is
        booked then is given up, and its people are told.
        """
        who = auth.actor()
        days = {"from": body["first"], "to": body["last"], **{name: body.get(name, "") for name in ("reason", "hours")}}
        made = auth.once(who, days, lambda: _closure(consequences.close_place(who, code, days)))
        return writing.respond(made, 201)


def _closure(found: dict[str, Any]) -> dict[str, Any]:
    days = {"id": found["reference"], "from": found["first_day"], "to": found["last_day"]}
    return {**days, "reason": found["reason"], "hours": found["hours"]}


@blueprint.route("/<code>/closures/<reference>")
class Closure(MethodView):
    """One closure."""

    @blueprint.response(204)
    def delete(self, code: str, reference: str) -> ResponseReturnValue:
        """Open again (its staff)."""
        who = auth.actor()

        def act() -> dict[str, Any]:
            places.reopen(who, code, reference)
            return {}

        auth.write(who, act)
        return "", 204


@sites.route("")
class Sites(MethodView):
    """Deconstruction sites and friches."""

    @sites.arguments(schemas.PagingQuery(), location="query", unknown=RAISE)
    @sites.response(200, schemas.page_of(schemas.SiteOut))
    def get(self, wanted: dict[str, Any]) -> ResponseReturnValue:
        """List sites."""
        after, limit = places.paging(wanted)
        return writing.keyset(places.find_sites(after, limit + 1), limit, writing.site)

    @sites.arguments(schemas.SiteIn())
    @sites.response(201, schemas.SiteOut)
    def post(self, body: dict[str, Any]) -> ResponseReturnValue:
        """Open a site (staff: it becomes their place's)."""
        who = auth.actor()
        made = auth.once(who, body, lambda: writing.site(places.open_site(who, body)))
        return writing.respond(made, 201, revision=1, location=f"{request.path}/{made['code']}")


@sites.route("/<code>")
class Site(MethodView):
    """One site."""

    @sites.response(200, schemas.SiteOut)
    def get(self, code: str) -> ResponseReturnValue:
        """Read a site."""
        facts = places.get_site(code)
        return writing.respond(writing.site(facts), revision=facts["revision"])

    @sites.arguments(schemas.SiteIn())
    @sites.response(200, schemas.SiteOut)
    def patch(self, body: dict[str, Any], code: str) -> ResponseReturnValue:
        """Revise a site (the staff of its place). Its listings follow its `available_from`, and people are told."""
        who, revision = auth.actor(), auth.revision()
        facts = auth.write(who, lambda: sites_.revise(who, code, body, revision))
        return writing.respond(writing.site(facts), revision=facts["revision"])


@sites.route("/<code>/listings")
class SiteListings(MethodView):
    """What comes out of a site."""

    @sites.arguments(schemas.PagingQuery(), location="query", unknown=RAISE)
    @sites.response(200, schemas.page_of(schemas.ListingOut))
    def get(self, wanted: dict[str, Any], code: str) -> ResponseReturnValue:
        """List a site's listings, also those that cannot be fetched yet."""
        after, limit = places.paging(wanted)
        found = catalog.of_site(places.get_site(code)["id"], after, limit + 1)
        return writing.keyset(found, limit, writing.listing)


@lists.route("/categories")
class Categories(MethodView):
    """What things are."""

    @lists.response(200, schemas.page_of(schemas.CategoryOut))
    def get(self) -> ResponseReturnValue:
        """Every category, with its label in the six languages and which labels nobody has checked."""
        return writing.page(categories.every(), None)


@lists.route("/communes")
class Communes(MethodView):
    """Where things are."""

    @lists.response(200, schemas.page_of(schemas.CommuneOut))
    def get(self) -> ResponseReturnValue:
        """Every commune by INSEE code (not postcode: 97213 is Le Lamentin, whose postcode is 97232)."""
        found = [
            {"lat": commune.pop("latitude"), "lon": commune.pop("longitude"), **commune}
            for commune in places.communes()
        ]
        return writing.page(found, None)

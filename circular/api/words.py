"""Words of searches: those that found nothing, and the synonyms that staff make of them."""

from __future__ import annotations

from typing import Any

from flask import request
from flask.typing import ResponseReturnValue
from flask.views import MethodView
from marshmallow import RAISE

from circular import search, unfound
from circular.api import auth, schemas, writing
from circular.api.blueprint import Blueprint

synonyms = Blueprint("synonyms", __name__, url_prefix="/synonyms", description="This word means that")
missing = Blueprint("unfound", __name__, url_prefix="/unfound", description="What people did not find")


@synonyms.route("")
class Synonyms(MethodView):
    """Synonyms."""

    @synonyms.arguments(schemas.PagingQuery(), location="query", unknown=RAISE)
    @synonyms.response(200, schemas.page_of(schemas.SynonymOut))
    def get(self, wanted: dict[str, Any]) -> ResponseReturnValue:
        """List the synonyms (staff), by their word."""
        found, more = search.synonyms(auth.actor(), wanted)
        return writing.page([writing.synonym(facts) for facts in found], more)

    @synonyms.arguments(schemas.SynonymIn())
    @synonyms.response(201, schemas.SynonymOut)
    def post(self, body: dict[str, Any]) -> ResponseReturnValue:
        """Make a word find what other words find (staff), by every door; a word known already means this instead."""
        who = auth.actor()
        made = auth.once(who, body, lambda: writing.synonym(search.add_synonym(who, body)))
        return writing.respond(made, 201, location=f"{request.path}/{made['word']}")


@synonyms.route("/<word>")
class Synonym(MethodView):
    """One synonym."""

    @synonyms.response(204)
    def delete(self, word: str) -> ResponseReturnValue:
        """Let a word mean itself again (staff)."""
        who = auth.actor()

        def act() -> dict[str, Any]:
            search.remove_synonym(who, word)
            return {}

        auth.write(who, act)
        return "", 204


@missing.route("")
class Unfound(MethodView):
    """What people did not find."""

    @missing.arguments(schemas.UnfoundQuery(), location="query", unknown=RAISE)
    @missing.response(200, schemas.page_of(schemas.UnfoundOut))
    def get(self, wanted: dict[str, Any]) -> ResponseReturnValue:
        """List the words that found nothing (staff), most often asked first, without those that are synonyms by now."""
        return writing.page(unfound.top(auth.actor(), wanted), None)

"""The HTTP API: `/api/v1`, JSON, described at `/api/v1/openapi.json` and browsable at `/api/v1/docs`.

One file a noun. Each view reads (`schemas`), asks the noun, and writes what it says; refusals become problems
(`problems`). Lists are written straight from rows: a marshmallow dump of 20 listings costs 3.4 times the rest.
"""

from __future__ import annotations

import json
import pathlib
import threading
from typing import Any

import flask_swagger_ui
from flask import Blueprint, Flask, Request, Response, render_template, request, send_from_directory
from flask.typing import ResponseReturnValue
from flask_smorest import Api
from flask_smorest import Blueprint as SmorestBlueprint
from marshmallow import Schema

from circular.api import (
    alerts,
    auth,
    calendars,
    draws,
    listings,
    people,
    places,
    problems,
    projects,
    reservations,
    schemas,
    slots,
    waitlist,
    words,
)
from circular.errors import Refusal

PREFIX = "/api/v1"
MOST_BYTES = 64 * 1024
WRITES = ("POST", "PUT", "PATCH", "DELETE")
DESCRIPTION = pathlib.Path(__file__).with_name("description.md").read_text(encoding="utf-8")
docs = Blueprint("docs", __name__, template_folder="templates")


@SmorestBlueprint.ARGUMENTS_PARSER.location_loader("query")
def _read_query(request: Request, _schema: Schema) -> dict[str, str]:
    """What stands after the question mark. webargs' own way asks werkzeug for each field of a schema, which makes and
    catches an error for each that is not given: a fifth of the framework's time in a search.
    """
    return request.args.to_dict()


class _Api(Api):  # type: ignore[misc]  # flask-smorest has no types
    """flask-smorest without its app-wide error handler, which would answer JSON to people who read pages; every error in
    the document is a problem; and the document is written when somebody first asks for it (35 ms of a start).
    """

    ERROR_SCHEMA = schemas.Problem

    def __init__(self, app: Flask) -> None:
        self._undescribed: list[SmorestBlueprint] = []
        self._describing = threading.RLock()
        super().__init__(app)

    def register_blueprint(self, blueprint: SmorestBlueprint, **options: Any) -> None:
        self._app.extensions["flask-smorest"]["blp_name_to_api"][blueprint.name] = self
        self._app.register_blueprint(blueprint, **options)
        self._undescribed.append(blueprint)

    @property
    def spec(self) -> Any:
        """The document, whole."""
        with self._describing:
            while self._undescribed:
                blueprint = self._undescribed.pop(0)
                blueprint.register_views_in_doc(self, self._app, self._spec, name=blueprint.name, parameters=None)
                self._spec.tag({"name": blueprint.name, "description": blueprint.description})
        return self._spec

    @spec.setter
    def spec(self, begun: Any) -> None:
        self._spec = begun

    def _register_responses(self) -> None:
        usual: str = Api.DEFAULT_RESPONSE_CONTENT_TYPE
        self.DEFAULT_RESPONSE_CONTENT_TYPE = "application/problem+json"
        super()._register_responses()
        self.DEFAULT_RESPONSE_CONTENT_TYPE = usual

    def _register_error_handlers(self) -> None:
        pass


def init_app(app: Flask, *others: SmorestBlueprint) -> None:
    """Add the API to the application, with what `others` (doors that have a noun of their own) answer under its prefix."""
    app.config.update(
        API_TITLE="Circular",
        API_VERSION="1",
        OPENAPI_VERSION="3.1.0",
        OPENAPI_URL_PREFIX=PREFIX,
        OPENAPI_JSON_PATH="openapi.json",
        API_SPEC_OPTIONS={
            "info": {"description": DESCRIPTION, "license": {"name": "EUPL-1.2", "identifier": "EUPL-1.2"}},
            "security": [{}, {"bearer": []}],
        },
    )
    api = _Api(app)
    api.spec.components.security_scheme("bearer", {"type": "http", "scheme": "bearer"})
    for blueprint in (
        listings.blueprint, calendars.blueprint, slots.blueprint, slots.trainings,
        reservations.blueprint, waitlist.blueprint, draws.blueprint, alerts.blueprint, projects.blueprint,
        places.blueprint, places.sites, places.lists, people.calls, people.offers, people.me, words.synonyms,
        words.missing, *others,
    ):  # fmt: skip
        blueprint.before_request(_check_body)
        api.register_blueprint(blueprint, url_prefix=f"{PREFIX}{blueprint.url_prefix or ''}")
    app.register_blueprint(docs, url_prefix=f"{PREFIX}/docs")


def _check_body() -> None:
    """Only JSON is read here (but for the import of a file); a token is looked at even where none is needed.

    Who may write is asked before what: a stranger with a wrong body hears 401, not what the body wants.
    """
    method = request.method
    if method not in WRITES:
        auth.visitor()
        return
    auth.actor()
    if request.endpoint == "listings.import":
        return
    request.max_content_length = MOST_BYTES
    if method != "DELETE" and request.content_length and request.mimetype != "application/json":
        raise Refusal("wrong_content_type", expected="application/json")


@docs.get("/", strict_slashes=False)
def index() -> ResponseReturnValue:
    """Swagger UI from the installed package: no page ever loads anything from another host."""
    response = Response(render_template("docs.html", openapi=f"{PREFIX}/openapi.json"))
    response.headers["Content-Security-Policy"] = (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return response


@docs.get("/assets/<path:name>")
def assets(name: str) -> ResponseReturnValue:
    """A file of Swagger UI."""
    return send_from_directory(str(pathlib.Path(flask_swagger_ui.__file__).with_name("dist")), name, max_age=86_400)


@docs.get("/start.js")
def start() -> ResponseReturnValue:
    """What starts Swagger UI: a file of its own, because the page allows no inline script."""
    script = f"window.ui = SwaggerUIBundle({json.dumps({'url': f'{PREFIX}/openapi.json', 'dom_id': '#ui'})});"
    return Response(script, content_type="text/javascript; charset=utf-8")


def problem_for(error: Exception) -> Response:
    """Any exception under the API's prefix, as a problem."""
    return problems.problem(error)

"""The OpenAPI document: what it says is what the API does, whatever is sent."""

from __future__ import annotations

import json
import pathlib
import shutil

import pytest
import schemathesis
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance

from tests.conftest import open_town
from tests.town import Town


@pytest.fixture
def api(_app: Flask, sqlite_template: pathlib.Path, tmp_path: pathlib.Path) -> schemathesis.BaseSchema:
    shutil.copy(sqlite_template, tmp_path / "town.db")
    open_town(f"sqlite:///{tmp_path}/town.db", _app)
    town = Town()
    town.listing()
    town.listing(kind="machine", category="machine-bois", title="Scie", quantity=1)
    schema = schemathesis.openapi.from_wsgi("/api/v1/openapi.json", _app)
    schema.config.update(headers=town.token("admin"))
    return schema


def test_whatever_is_sent(api: schemathesis.BaseSchema) -> None:
    """No request breaks anything, and every answer has the shape that the document gives it."""
    for operation in api.get_all_operations():

        @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck), database=None)
        @given(case=operation.ok().as_strategy())
        def run(case: schemathesis.Case) -> None:
            case.call_and_validate(checks=[not_a_server_error, content_type_conformance, response_schema_conformance])

        run()


def test_the_document_is_printed_whole(client: FlaskClient, _app: Flask) -> None:
    """`flask openapi print` says what the API itself does, whichever is asked first."""
    printed = _app.test_cli_runner().invoke(args=["openapi", "print"])

    assert json.loads(printed.stdout) == client.get("/api/v1/openapi.json").json


def test_document(client: FlaskClient) -> None:
    """OpenAPI 3.1; each path says what it does and that errors are problems; nothing comes from another host."""
    document = client.get("/api/v1/openapi.json").json

    assert document["openapi"].startswith("3.1")
    for path, operations in document["paths"].items():
        for verb, operation in operations.items():
            if verb in ("get", "post", "patch", "delete"):
                assert operation.get("summary"), (verb, path)
                assert "default" in operation["responses"], (verb, path)
    page = client.get("/api/v1/docs")  # as the contract writes it: no redirect on the way
    assert page.status_code == 200
    assert "http://" not in page.text and "https://" not in page.text
    for name in ("assets/swagger-ui-bundle.js", "assets/swagger-ui.css", "start.js"):
        with client.get(f"/api/v1/docs/{name}") as file:
            assert file.status_code == 200

"""Fixtures: a town on a fresh database of either engine, its cast, its doors.

`town` runs a test on SQLite and on PostgreSQL. Each engine's tables are made once and copied for every test.
"""

from __future__ import annotations

import itertools
import pathlib
import shutil
from collections.abc import Iterator

import pytest
from flask import Flask
from flask.testing import FlaskClient

from app import create_app
from circular import db, settings
from circular.settings import Settings
from tests.postgres import Server
from tests.town import Town, build

ENGINES = ("sqlite", "postgresql")
_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """A PostgreSQL server for this run; a machine that cannot start one fails, it never skips."""
    with Server() as server:
        yield server


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    path = tmp_path_factory.mktemp("template") / "town.db"
    build(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def postgres_template(postgres: Server) -> str:
    build(postgres.create("template_town"))
    return "template_town"


@pytest.fixture(scope="session")
def _app(tmp_path_factory: pytest.TempPathFactory) -> Flask:
    """The application, made once; each test points it at its own database."""
    path = tmp_path_factory.mktemp("app") / "none.db"
    return create_app(settings.load({"DATABASE_URL": f"sqlite:///{path}"}))


def open_town(url: str, app: Flask) -> Settings:
    """Point the application and this thread at a database."""
    chosen = settings.load({"DATABASE_URL": url, "BACKGROUND": "false"})
    settings.use(chosen)
    app.config["CIRCULAR"] = chosen
    db.open_database(url)
    db.connect()
    return chosen


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    """The name of the engine under test."""
    return str(request.param)


@pytest.fixture
def database_url(engine: str, request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> Iterator[str]:
    """A database of its own, with tables, communes, categories and two places."""
    if engine == "sqlite":
        shutil.copy(request.getfixturevalue("sqlite_template"), tmp_path / "town.db")
        yield f"sqlite:///{tmp_path}/town.db"
        db.close()
        return
    server: Server = request.getfixturevalue("postgres")
    name = f"town_{next(_numbers)}"
    yield server.create(name, request.getfixturevalue("postgres_template"))
    db.close()
    server.drop(name)


@pytest.fixture
def town(database_url: str, _app: Flask) -> Town:
    """A town ready to work, its nouns at hand."""
    open_town(database_url, _app)
    return Town()


@pytest.fixture
def app(town: Town, _app: Flask) -> Flask:
    """The application on the town's database."""
    return _app


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """Somebody's browser or program."""
    return app.test_client()

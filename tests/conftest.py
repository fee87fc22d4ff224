"""Fixtures: a town on a fresh database of either engine, its cast, its doors.

`town` runs a test on SQLite and on PostgreSQL. Each engine's tables are made once and copied for every test.
"""

from __future__ import annotations

import itertools
import pathlib
import shutil
from collections.abc import Callable, Iterator

import hypothesis
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

# No example has a deadline: how long it takes is the machine's affair, and `make bench`'s.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")


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


def open_town(url: str, app: Flask, **environment: str) -> Settings:
    """Point the application and this thread at a database."""
    chosen = settings.load({"DATABASE_URL": url, "BACKGROUND": "false", **environment})
    settings.use(chosen)
    app.config["CIRCULAR"] = chosen
    db.open_database(url)
    db.connect()
    return chosen


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    """The name of the engine under test."""
    return str(request.param)


def _another(engine: str, request: pytest.FixtureRequest, folder: pathlib.Path) -> str:
    """The URL of a new database with tables, communes, categories and two places."""
    if engine == "sqlite":
        shutil.copy(request.getfixturevalue("sqlite_template"), folder / "town.db")
        return f"sqlite:///{folder}/town.db"
    server: Server = request.getfixturevalue("postgres")
    return server.create(f"town_{next(_numbers)}", request.getfixturevalue("postgres_template"))


def _remove(url: str, request: pytest.FixtureRequest) -> None:
    """Throw a database away."""
    if url.startswith("sqlite"):
        path = pathlib.Path(url.removeprefix("sqlite:///"))
        for file in path.parent.glob(f"{path.name}*"):
            file.unlink()
    else:
        request.getfixturevalue("postgres").drop(url.partition("?")[0].rpartition("/")[2])


@pytest.fixture
def database_url(engine: str, request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> Iterator[str]:
    """A database of its own, with tables, communes, categories and two places."""
    url = _another(engine, request, tmp_path)
    yield url
    db.close()
    if engine != "sqlite":  # a file may still be read by processes of the test; pytest throws its folder away
        _remove(url, request)


@pytest.fixture
def another_town(
    engine: str, _app: Flask, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., None]]:
    """Opens a new town each time it is called, with settings of its own: for a machine whose every run begins anew. The one
    before is gone then: a machine opens hundreds, of ten megabytes each, in memory.
    """
    folder = tmp_path_factory.mktemp("machine")
    opened: list[str] = []

    def leave() -> None:
        db.close()
        while opened:
            _remove(opened.pop(), request)

    def open_one(**environment: str) -> None:
        leave()
        opened.append(_another(engine, request, folder))
        open_town(opened[-1], _app, **environment)

    yield open_one
    leave()


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

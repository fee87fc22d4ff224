"""What the nouns rely on, the same on both engines."""

from __future__ import annotations

import pathlib
import subprocess
import sys

import pytest
from flask.testing import FlaskClient

from circular import catalog, cli, db, people, queries, search, settings
from tests.postgres import Server
from tests.town import Town

HOLD_A_LOCK = """
import sys
from circular import db, settings
settings.use(settings.load({"DATABASE_URL": sys.argv[1]}))
db.open_database(sys.argv[1])
db.connect()
lock = db.ProcessLock("w")
print(lock.acquire(), flush=True)
sys.stdin.read()
"""
MIGRATE = """
import sys
from app import create_app
from circular import cli, settings
create_app(settings.load({"DATABASE_URL": sys.argv[1]}))
cli.upgrade()
"""


def test_sqlite_is_durable(sqlite_template: pathlib.Path) -> None:
    """WAL with synchronous=FULL on every connection: what was told survives a power cut."""
    db.open_database(f"sqlite:///{sqlite_template}")
    db.connect()

    assert db.value("PRAGMA journal_mode") == "wal"
    assert db.value("PRAGMA synchronous") == 2
    assert db.value("PRAGMA foreign_keys") == 1
    db.close()


def test_a_failure_inside_leaves_nothing(town: Town) -> None:
    """All or nothing; an inner failure that is caught undoes the inner part alone."""
    with db.transaction():
        people.ensure("+596696000011")
        with pytest.raises(ZeroDivisionError), db.transaction():
            people.ensure("+596696000012")
            raise ZeroDivisionError

    phones = {row[0] for row in db.rows("SELECT phone FROM person")}
    assert phones == {"+596696000011"}


def test_a_writer_does_not_wait_for_ever(town: Town, client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind somebody who keeps the turn: 503 and when to come again, on SQLite; readers notice nothing."""
    code = town.listing()["code"]
    builder = town.token("builder")
    monkeypatch.setattr(db, "PATIENCE", 0.01)

    with db._turn:
        told = client.post("/api/v1/reservations", json={"listing": code}, headers=builder)
        read = client.get(f"/api/v1/listings/{code}")
    later = client.post("/api/v1/reservations", json={"listing": code}, headers=builder)

    if db.is_sqlite():
        assert (told.status_code, told.json["code"], told.headers["Retry-After"]) == (503, "busy", "2")
    assert (read.status_code, later.status_code) == (200, 201)


def test_insert_once(town: Town) -> None:
    """The second one is told, and the transaction goes on."""
    with db.transaction():
        first = db.insert_once(catalog.Counter, name="x", last=1)
        second = db.insert_once(catalog.Counter, name="x", last=2)
        assert (first, second) == (True, False)
        assert db.value("SELECT last FROM counter WHERE name = 'x'") == 1


def test_a_lock_dies_with_its_process(town: Town, database_url: str) -> None:
    """A name held by a process that is killed is free again."""
    child = subprocess.Popen(
        [sys.executable, "-c", HOLD_A_LOCK, database_url],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=settings.ROOT,
    )
    assert child.stdout and child.stdout.readline() == "True\n"
    mine = db.ProcessLock("w")
    assert not mine.acquire()

    child.kill()
    child.communicate()

    assert mine.acquire(wait=True)
    mine.release()


def test_migrating_twice_and_at_once(database_url: str) -> None:
    """It is done once, whoever comes."""
    children = [
        subprocess.Popen([sys.executable, "-c", MIGRATE, database_url], cwd=settings.ROOT, stderr=subprocess.PIPE)
        for _ in range(3)
    ]
    for child in children:
        _out, errors = child.communicate(timeout=60)
        assert child.returncode == 0, errors


def test_tables_are_as_the_models_say(town: Town) -> None:
    """Every model's columns exist in the migrated tables, and no table has others; every table has its model."""
    import app  # the composition root has imported every noun

    assert app
    kept_by_engines = {"schema_migration", "sqlite_sequence"}  # peewee's and SQLite's own
    names = {name for name in db.database.get_tables() if not name.startswith("listing_search")} - kept_by_engines
    models = {model._meta.table_name: model for model in db.Table.__subclasses__()}

    assert names == models.keys()
    for name, model in models.items():
        columns = {column.name for column in db.database.get_columns(name)} - {"tsv"}
        assert columns == set(model._meta.columns), name


def test_the_index_is_kept_after_a_migration(town: Town) -> None:
    """Installing again changes nothing: listings are still found."""
    town.listing(title="Tôle ondulée")

    cli.upgrade()

    assert search.installed()
    assert [listing["title"] for listing in queries.find(queries.Query(q="tole")).items] == ["Tôle ondulée"]


def test_an_index_of_another_make_is_built_anew(engine: str, town: Town) -> None:
    """What an earlier version made is replaced with the next migration, and finds what it found."""
    if engine == "postgresql":
        return  # its index has nothing to choose
    town.listing(title="Tôle ondulée")
    db.run("INSERT INTO listing_search (listing_search, rank) VALUES ('pgsz', 4050)")
    assert not search.installed()

    cli.upgrade()

    assert search.installed()
    assert [listing["title"] for listing in queries.find(queries.Query(q="tole")).items] == ["Tôle ondulée"]


def test_the_server_of_the_database_restarts(
    engine: str, town: Town, client: FlaskClient, request: pytest.FixtureRequest
) -> None:
    """A connection that breaks costs one 503 at most; the next request opens another."""
    if engine == "sqlite":
        return  # a file has no server
    import psycopg

    server: Server = request.getfixturevalue("postgres")
    town.listing()
    with psycopg.connect(server.url("postgres"), autocommit=True) as admin:
        admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname LIKE 'town\\_%'")

    assert client.get("/readyz").status_code == 503
    assert client.get("/readyz").status_code == 200  # the one that found out opened the way
    with psycopg.connect(server.url("postgres"), autocommit=True) as admin:
        admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname LIKE 'town\\_%'")
    first = client.get("/api/v1/listings")
    second = client.get("/api/v1/listings")

    assert first.status_code in (200, 503)
    assert second.status_code == 200 and len(second.json["items"]) == 1

"""The technician's commands: what goes well, and what ends with one line instead of a traceback."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Iterator

import pytest
from flask import Flask

from circular import catalog, db, settings
from tests.town import Town

NOBODY_LISTENS = "postgresql://town:pass-word@127.0.0.1:9/town"  # the port that throws away; nothing answers there


@pytest.fixture(autouse=True)
def _own_umask() -> Iterator[None]:
    """`backup` narrows it for its process, which here is the tests'."""
    before = os.umask(0o022)
    yield
    os.umask(before)


def test_a_database_that_does_not_answer(_app: Flask) -> None:
    """`migrate` ends with one line and `doctor` with a finding; neither shows the password."""
    settings.use(settings.load({"DATABASE_URL": NOBODY_LISTENS}))
    db.open_database(NOBODY_LISTENS)

    migrated = _app.test_cli_runner().invoke(args=["migrate"])
    examined = _app.test_cli_runner().invoke(args=["doctor"])

    assert migrated.exit_code == 1 and "DATABASE_URL" in migrated.output and "\n" not in migrated.output.strip()
    assert examined.exit_code == 1 and "[wrong] database: " in examined.output
    assert "pass-word" not in migrated.output + examined.output


def test_backup_and_restore(
    town: Town, app: Flask, engine: str, request: pytest.FixtureRequest, tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """What was saved comes back, whatever happened since."""
    if engine == "postgresql":  # its own tools, of the server's version
        monkeypatch.setenv("PATH", f"{request.getfixturevalue('postgres').bin}:{os.environ['PATH']}")
    code = town.listing(quantity=5)["code"]
    runner = app.test_cli_runner()

    saved = runner.invoke(args=["backup", str(tmp_path / "saved")])
    town.reserve(town.person(), code, 4)
    db.close()
    restored = runner.invoke(args=["restore", str(tmp_path / "saved"), "--yes"])
    db.connect()

    assert (saved.exit_code, restored.exit_code) == (0, 0), saved.output + restored.output
    assert (tmp_path / "saved").stat().st_mode & 0o077 == 0
    assert catalog.get(code)["available"] == 5000


def test_a_backup_that_fails(
    town: Town, app: Flask, engine: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tool that fails gives its reason; what follows is one line, and no argument of it holds the password."""
    if engine == "sqlite":
        return  # no tool is called
    tool = tmp_path / "pg_dump"
    tool.write_text(f'#!/bin/sh\necho "$@ and $PGPASSWORD" > {tmp_path}/called\nexit 3\n')
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr("circular.cli._open", lambda: None)
    settings.use(settings.load({"DATABASE_URL": "postgresql://town:pass%20word@127.0.0.1:9/town"}))

    failed = app.test_cli_runner().invoke(args=["backup", str(tmp_path / "saved")])

    arguments, _, password = (tmp_path / "called").read_text().strip().partition(" and ")
    assert failed.exit_code == 1 and failed.output.strip() == "pg_dump failed, for the reason that it gives above."
    assert arguments.startswith("--dbname postgresql://town@127.0.0.1:9/town ") and password == "pass word"

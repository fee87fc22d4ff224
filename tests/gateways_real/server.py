"""`flask serve` in a process of its own: a small town on a fresh SQLite database, and whatever gateway a test names."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import sqlite3
import sys
from contextlib import closing
from typing import Any

from circular import catalog, db
from circular.settings import ROOT, Settings, variable
from tests.gateways_real.processes import Program, free_port, until
from tests.town import ADMIN, build

SECRET = "a-secret-of-the-webhooks"
CODE = "41271"


class Server:
    """Not started until `start`, which takes settings by their variables' names (`SMS_GATEWAY="kannel"`).

    Port and database stay the same when it is killed and started again.
    """

    def __init__(self, folder: pathlib.Path) -> None:
        self.port = free_port()
        self._log = folder / "server.log"
        self._database = folder / "town.db"
        self._url = f"sqlite:///{self._database}"
        self._settings: dict[str, str] = {}
        self._program: Program | None = None
        build(self._url)
        db.open_database(self._url)
        db.connect()
        with db.transaction():
            planks = {"kind": "material", "title": "Planche sapin 200x20 cm", "quantity": 4000, "unit": "piece",
                      "category": "bois-planche", "place": "la-sphere"}  # fmt: skip
            catalog.put(ADMIN, planks, None, CODE)
        db.close()

    @property
    def url(self) -> str:
        """Scheme, host and port."""
        return f"http://127.0.0.1:{self.port}"

    def start(self, **settings: str) -> None:
        """Serve; settings are remembered for the next start."""
        self._settings |= settings
        environment = {
            **os.environ,
            **{variable(field.name): "" for field in dataclasses.fields(Settings)},  # an empty value is the default
            "DATABASE_URL": self._url,
            "PORT": str(self.port),
            "SMS_WEBHOOK_SECRET": SECRET,
            **self._settings,
        }
        command = [sys.executable, "-m", "flask", "--app", str(ROOT / "app.py"), "serve"]
        program = self._program = Program(command, self._log, env=environment, cwd=ROOT)
        until(lambda: program.listens(self.port))

    def stop(self) -> None:
        """As an operator stops it: what is in flight is finished."""
        assert self._program
        self._program.terminate()

    def kill(self) -> None:
        """`kill -9`; nothing when it never ran."""
        if self._program:
            self._program.kill()

    def rows(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """What a query finds in its database."""
        with closing(sqlite3.connect(f"file:{self._database}?mode=ro", uri=True, timeout=5)) as connection:
            return connection.execute(sql, values).fetchall()

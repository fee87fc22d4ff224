"""Programs beside the tests: started, waited for, ended."""

from __future__ import annotations

import itertools
import os
import pathlib
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")
_ports = itertools.count(20_000 + os.getpid() * 100 % 10_000)
PATIENCE = 30.0  # seconds for anything that is waited for; a machine that is busy with other things needs some


def until(condition: Callable[[], T], seconds: float = PATIENCE) -> T:
    """What `condition` returns once it is true. Raises: AssertionError with its last value when that takes too long."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {seconds} s; the last value was {value!r}"
        time.sleep(0.02)
    return value


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on. Below those that connections leave from, which come and go, and counted
    on, so that none is given twice; each process of the tests begins elsewhere.
    """
    for port in _ports:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("unreachable")


def answers(port: int) -> bool:
    """True when somebody listens there."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Program:
    """One process, whose output goes to a file."""

    def __init__(self, command: Sequence[str], log: pathlib.Path, **more: object) -> None:
        self.log = log
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, **more
            )  # type: ignore[call-overload]

    def listens(self, port: int) -> bool:
        """True once it answers at `port`. Raises: AssertionError with what it said when it has ended instead."""
        assert self._process.poll() is None, self.log.read_text(errors="replace")
        return answers(port)

    def terminate(self) -> None:
        """Ask it to end, and wait until it has."""
        self._process.terminate()
        self._process.wait(PATIENCE)

    def kill(self) -> None:
        """`kill -9`."""
        self._process.kill()
        self._process.wait(PATIENCE)

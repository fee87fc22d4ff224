"""The web server: waitress, as this program wants it, and the core that it runs on. Loaded when something is served."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable, Iterable
from typing import Any

from waitress.channel import HTTPChannel
from waitress.server import BaseWSGIServer, create_server

from circular.settings import Settings

# 100 connections, waitress's default, let 150 slow clients shut everybody else out; 1000 held 500 (reliability.md).
CONNECTIONS = 1000
LARGEST = 65 * 1024 * 1024  # bytes: of an import. Each request has its own limit, answered in the caller's words
Application = Callable[..., Iterable[bytes]]


class _Channel(HTTPChannel):  # type: ignore[misc]  # waitress has no types
    """A connection that the main thread leaves alone while a thread of the pool sends on it.

    waitress's own is watched meanwhile for whether it can be written to, which it can: so the main thread is told so again
    and again, 35 times for a page of search under load (a seventh of the processor), until the other has the interpreter
    back from the system. That one sends by itself, and wakes the main thread if something is left (waitress 3.0.2).
    """

    _is_sending = False

    def writable(self) -> bool:
        return not self._is_sending and super().writable()

    def _flush_some(self, do_close: bool = True) -> bool:
        self._is_sending = True
        try:
            return bool(super()._flush_some(do_close=do_close))
        finally:
            self._is_sending = False


def listen(app: Application, settings: Settings) -> Any:
    """A server that listens already; its `run` serves until it is interrupted. Raises: OSError, when it cannot listen."""
    BaseWSGIServer.channel_class = _Channel  # of every address that HOST stands for: `localhost` has two
    return create_server(
        app,
        host=settings.host,
        port=settings.port,
        threads=settings.threads,
        connection_limit=CONNECTIONS,
        channel_timeout=20,
        asyncore_use_poll=True,
        # Without a proxy that is known, what a client says of itself is not believed.
        trusted_proxy=settings.trusted_proxy or None,
        trusted_proxy_headers={"x-forwarded-for", "x-forwarded-proto"} if settings.trusted_proxy else set(),
        clear_untrusted_proxy_headers=True,
        max_request_body_size=LARGEST,  # what is larger is not even kept on the disk
        ident=None,
    )


def take_a_core(name: str = "circular") -> socket.socket | None:
    """Keep this thread, and those that it starts, to one core that no other process holds by that name; what is returned
    holds it, until it is closed or the process ends. None, and nothing changes, where there is none or it is forbidden.

    Processes see each other's names within a network namespace: not from container to container. Python runs one thread at
    a time, and SQLite lets its lock go at each row: over two cores the threads hand it to and fro, and a page of 20 costs
    1.9 ms of processor, on one core 0.8 (measured with two equal cores and three threads under load).
    """
    if sys.platform == "linux":
        for core in sorted(os.sched_getaffinity(0), reverse=True):  # devices mostly interrupt the first
            taken = socket.socket(socket.AF_UNIX)
            try:
                taken.bind(f"\0{name} core {core}")  # no file: it goes with the process
                os.sched_setaffinity(0, {core})
            except OSError:
                taken.close()
            else:
                return taken
    return None

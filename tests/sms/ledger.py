"""A provider that writes down what it is handed, and may fall silent in the middle of it.

In the tests' process: `with Ledger(180) as ledger`. In the one under test: `Pen`, the gateway that writes to it.
"""

from __future__ import annotations

import http.client
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

from sms.gateways.base import Accepted, Capabilities, Gateway, Knock, Outcome, Outgoing, Retry, Unknown


class Ledger:
    """`handed` is what it was handed, in order, each (reference, number, text), repeats too."""

    def __init__(self, wanted: int) -> None:
        self.handed: list[tuple[str, str, str]] = []
        self.holding, self.complete = threading.Event(), threading.Event()  # complete: `wanted` references are known
        self._wanted, self._holds_at = wanted, 0
        self._released = threading.Event()
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.ledger = self

    @property
    def known(self) -> list[tuple[str, str, str]]:
        """The same without repeats: what people read where the provider sends a reference once."""
        return list(dict.fromkeys(self.handed))

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    def hold(self, at: int) -> None:
        """From the text number `at` on take what comes, and say nothing."""
        self.holding.clear()
        self._released.clear()
        self._holds_at = at

    def release(self) -> None:
        """Answer again."""
        self._holds_at = 0
        self._released.set()

    def take(self, entry: tuple[str, str, str]) -> None:
        """Write down a text; come back once it may be said."""
        with self._lock:
            self.handed.append(entry)
            known = len(self.known)
            held = 0 < self._holds_at <= known
            if known >= self._wanted:
                self.complete.set()
        if held:
            self.holding.set()
            self._released.wait(30)

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64  # as many hands as a sender has come at once
    ledger: Ledger


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_POST(self) -> None:
        reference, to, text = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.ledger.take((reference, to, text))
        try:
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()
        except OSError:
            pass  # whoever asked was killed: that is what it is about

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class Pen(Gateway):
    """Writes to the ledger at `port`."""

    name = "console"
    capabilities = Capabilities(False, False, True, 10_000.0, False)

    def __init__(self, port: int) -> None:
        self._port = port

    @classmethod
    def from_settings(cls, settings: object) -> Pen:
        raise NotImplementedError

    def send(self, message: Outgoing) -> Outcome:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=20)
        try:
            connection.connect()
        except OSError:
            return Retry("refused")
        try:
            connection.request("POST", "/", json.dumps([message.reference, message.to, message.text]))
            connection.getresponse().read()
        except (OSError, http.client.HTTPException):
            return Unknown("connection cut")
        finally:
            connection.close()
        return Accepted(message.reference, None)

    def parse_inbound(self, knock: Knock) -> None:
        raise NotImplementedError

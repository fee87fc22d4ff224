"""What every pretended provider is: a real HTTP server on 127.0.0.1 that works, and fails as networks do."""

from __future__ import annotations

import socket
import struct
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

# What may happen to a request that was taken, before anybody hears of it.
SILENCES = ("hang", "reset", "cut")


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    provider: Any

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hung up first (its time was over) is what some tests are about; a fault of ours is shown."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class FakeProvider:
    """One provider. `messages` is what it took, in order; `down` refuses connections until the mode changes."""

    handler: type[Handler]
    modes: tuple[str, ...]

    def __init__(self, port: int = 0) -> None:
        self.messages: list[dict[str, str]] = []
        self.requests = 0
        self.seconds = 1.0  # how long `slow` takes
        self._port = port
        self._mode = "ok"
        self._server: _Server | None = None
        self.lock = threading.Lock()
        self.released = threading.Event()  # set: nobody waits any more
        self.back = threading.Event()  # set while it listens

    @property
    def url(self) -> str:
        """Scheme, host and port."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def mode(self) -> str:
        """One of `modes`."""
        return self._mode

    @mode.setter
    def mode(self, mode: str) -> None:
        if mode not in self.modes:
            raise ValueError(f"mode: one of {', '.join(self.modes)}")
        self._mode = mode
        if mode == "down":
            self.stop()
        elif self._server is None:
            self.start()

    def start(self) -> None:
        """Listen; on the same port as before after a `stop`."""
        self.released.clear()
        self._server = _Server(("127.0.0.1", self._port), self.handler)
        self._server.provider = self
        self._port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        self.back.set()

    def stop(self) -> None:
        """Let go of whoever hangs, and refuse connections."""
        self.released.set()
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class Handler(BaseHTTPRequestHandler):
    """Helpers for `get` and `post`."""

    server: _Server

    def do_GET(self) -> None:
        self.get()

    def do_POST(self) -> None:
        self.post()

    def get(self) -> None:
        """Answer a GET."""
        self.reply(404, "Not Found")

    def post(self) -> None:
        """Answer a POST."""
        self.reply(404, "Not Found")

    def body(self) -> bytes:
        """What was posted."""
        return self.rfile.read(int(self.headers.get("content-length") or 0))

    def reply(self, status: int, body: str, content_type: str = "text/plain") -> None:
        """A whole answer."""
        data = body.encode()
        self.send_response(status)
        self.send_header("content-type", content_type)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def reply_half(self, status: int, body: str) -> None:
        """An answer that breaks off in its body."""
        data = body.encode()
        self.send_response(status)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data[: len(data) // 2])

    def redirect(self, path: str) -> None:
        """Somewhere else."""
        self.send_response(302)
        self.send_header("location", path)
        self.send_header("content-length", "0")
        self.end_headers()

    def fall_silent(self, how: str) -> None:
        """One of SILENCES: no answer at all, no connection any more, a connection closed in order."""
        if how == "hang":
            self.server.provider.released.wait()
        elif how == "reset":
            # A linger of 0 seconds makes close() a RST, as a router that forgot the connection does.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()

    def log_message(self, *_: object) -> None:
        """Say nothing: paths and numbers are the tests' business."""

"""Africa's Talking for tests: a real HTTP server on 127.0.0.1 that answers as the provider does, and fails as it does.

In a test: `with FakeAfricasTalking() as provider: provider.mode = "429"`. By hand, beside a running server whose
`AFRICASTALKING_API_URL` is `http://127.0.0.1:PORT`:

`python tests/fake_africastalking.py PORT`
`curl -d mode=slow -d seconds=2 http://127.0.0.1:PORT/mode` and `curl http://127.0.0.1:PORT/messages`
"""

from __future__ import annotations

import json
import socket
import struct
import sys
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

# Those that take the message first, and then may or may not say so.
TAKING = ("ok", "charset", "slow", "hang", "reset", "cut", "half")
REFUSING = ("401", "429", "500", "garbage", "empty_recipients", "insufficient", "invalid_sender", "unheard_of")
# `down` refuses connections: for `seconds` when it was asked by POST /mode, else until the mode changes.
MODES = (*TAKING, *REFUSING, "rejected", "blacklist", "no_balance", "gateway_error", "redirect", "down")
CODES = {
    "rejected": (403, "InvalidPhoneNumber"),
    "blacklist": (406, "UserInBlacklist"),
    "no_balance": (405, "InsufficientBalance"),
    "gateway_error": (501, "GatewayError"),
    "unheard_of": (999, "Unheard"),
}


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    provider: FakeAfricasTalking

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hung up first (its time was over) is what some tests are about; a fault of ours is shown."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class FakeAfricasTalking:
    """One provider. `messages` is what it took, in order, each `{id, username, to, text, from, api_key}`."""

    def __init__(self, port: int = 0) -> None:
        self.messages: list[dict[str, str]] = []
        self.seconds = 1.0  # how long `slow` takes, and how long `down` lasts when asked by POST /mode
        self.requests = 0
        self.answer: str | None = None  # a body for every 201, whatever the mode
        self.content_type = "application/json"
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
        """One of MODES."""
        return self._mode

    @mode.setter
    def mode(self, mode: str) -> None:
        if mode not in MODES:
            raise ValueError(f"mode: one of {', '.join(MODES)}")
        self._mode = mode
        if mode == "down":
            self.stop()
        elif self._server is None:
            self.start()

    def start(self) -> None:
        """Listen; on the same port as before after a `stop`."""
        self.released.clear()
        self._server = _Server(("127.0.0.1", self._port), _Handler)
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

    def take(self, form: dict[str, str], api_key: str) -> str:
        """Keep a message; its id."""
        with self.lock:
            number = f"ATXid_{len(self.messages) + 1:08d}"
            known = {name: form.get(name, "") for name in ("username", "to", "from")}
            self.messages.append({"id": number, **known, "text": form.get("message", ""), "api_key": api_key})
            return number


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        provider = self.server.provider
        if self.path == "/messages":
            with provider.lock:
                body = json.dumps(provider.messages)
            self._answer(200, body)
        elif self.path == "/elsewhere":
            self._redirect()
        else:
            self._answer(404, "Not Found", "text/plain")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0)).decode()
        form = dict(urllib.parse.parse_qsl(body, keep_blank_values=True))
        if self.path == "/mode":
            self._change_mode(form)
        elif self.path == "/version1/messaging":
            self._messaging(form)
        else:
            self._answer(404, "Not Found", "text/plain")

    def _change_mode(self, form: dict[str, str]) -> None:
        provider = self.server.provider
        mode = form.get("mode", "")
        if mode not in MODES:
            self._answer(400, f"mode: one of {', '.join(MODES)}", "text/plain")
            return
        provider.seconds = float(form.get("seconds") or provider.seconds)
        if mode != "down":
            provider.mode = mode
            self._answer(200, json.dumps({"mode": mode}))
            return
        provider.back.clear()
        self._answer(200, json.dumps({"mode": mode, "seconds": provider.seconds}))
        provider.mode = mode
        # Nobody could ask for another mode: it comes back by itself.
        back = threading.Timer(provider.seconds, setattr, (provider, "mode", "ok"))
        back.daemon = True
        back.start()

    def _messaging(self, form: dict[str, str]) -> None:
        provider = self.server.provider
        mode = provider.mode
        api_key = self.headers.get("apiKey", "")
        with provider.lock:
            provider.requests += 1
        if provider.answer is not None:
            self._answer(201, provider.answer, provider.content_type)
        elif mode == "401" or not api_key:
            self._answer(401, "The supplied authentication is invalid", "text/plain")
        elif mode in ("429", "500"):
            self._answer(int(mode), json.dumps({"error": mode}))
        elif mode == "garbage":
            self._answer(201, "<html>oops")
        elif mode in ("empty_recipients", "insufficient", "invalid_sender"):
            word = {"insufficient": "InsufficientBalance", "invalid_sender": "InvalidSenderId"}.get(mode, "Sent to 0/1")
            self._answer(201, json.dumps({"SMSMessageData": {"Message": word, "Recipients": []}}))
        elif mode == "redirect":
            self._redirect()
        elif mode in CODES:
            code, word = CODES[mode]
            self._answer(201, _sent(form, code, word, "0", "None"))
        else:
            self._taken(form, mode, provider.take(form, api_key))

    def _taken(self, form: dict[str, str], mode: str, number: str) -> None:
        provider = self.server.provider
        if mode == "slow":
            provider.released.wait(provider.seconds)
        elif mode == "hang":
            provider.released.wait()
            return
        elif mode == "cut":
            return  # closed in order, with no answer
        elif mode == "reset":
            # A linger of 0 seconds makes close() a RST, as a router that forgot the connection does.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
            return
        body = _sent(form, 101, "Success", "EUR 0.0500", number)
        if mode == "half":
            self.send_response(201)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[:20].encode())
        else:
            self._answer(201, body, "application/json; charset=utf-8" if mode == "charset" else "application/json")

    def _redirect(self) -> None:
        self.send_response(302)
        self.send_header("location", "/elsewhere")
        self.send_header("content-length", "0")
        self.end_headers()

    def _answer(self, status: int, body: str, content_type: str = "application/json") -> None:
        data = body.encode()
        self.send_response(status)
        self.send_header("content-type", content_type)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Say nothing: paths and numbers are the tests' business."""


def _sent(form: dict[str, str], code: int, status: str, cost: str, number: str) -> str:
    recipient = {"statusCode": code, "number": form.get("to"), "status": status, "cost": cost, "messageId": number}
    taken = int(code == 101)
    message = f"Sent to {taken}/1 Total Cost: {cost}"
    return json.dumps({"SMSMessageData": {"Message": message, "Recipients": [recipient]}})


if __name__ == "__main__":
    with FakeAfricasTalking(int(sys.argv[1]) if len(sys.argv) > 1 else 0) as running:
        sys.stdout.write(f"Africa's Talking, pretended, on {running.url}\n")
        sys.stdout.flush()
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            sys.stdout.write("\n")

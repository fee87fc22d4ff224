"""An operator for Kannel's SMPP driver: SMPP 3.4 as far as a text, its answer and its receipt go, on 127.0.0.1.

Kept from a stand-in on npm `smpp` that the driver was proven against: receipts after appendix B, numbers that end in 99
are never reached, `fail` answers ESME_RSUBMITFAIL.
"""

from __future__ import annotations

import contextlib
import itertools
import socket
import socketserver
import struct
import threading
from typing import Any, Self, TypeAlias

from tests.gateways_real.kannel import NUMBER, Heard
from tests.gateways_real.processes import until

USERNAME, PASSWORD = "circular", "op-pw"  # SMPP allows eight characters of password
BIND, SUBMIT, DELIVER, UNBIND, ENQUIRE, RESPONSE = 0x09, 0x04, 0x05, 0x06, 0x15, 0x80000000
BIND_FAILED, SUBMIT_FAILED = 0x0D, 0x45
UCS2 = 8
INTERNATIONAL = b"\x01\x01"  # type of number, numbering plan
GSM = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞ\x1bÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿"
    "abcdefghijklmnopqrstuvwxyzäöñüà"
)
EXTENSION = {
    0x0A: "\f",
    0x14: "^",
    0x28: "{",
    0x29: "}",
    0x2F: "\\",
    0x3C: "[",
    0x3D: "~",
    0x3E: "]",
    0x40: "|",
    0x65: "€",
}


Delivery: TypeAlias = tuple[str, str, bytes, int, int]  # what `deliver` takes


class Operator:
    """Listens on `port`; every phone of the island is behind it.

    `mode` is `ok`, `fail`, or `later`: receipts are kept until `tell`.
    """

    def __init__(self) -> None:
        self.mode = "ok"
        self._heard: list[Heard] = []
        self._parts: dict[tuple[str, int], list[bytes]] = {}
        self._untold: list[Delivery] = []
        self._sessions: list[_Session] = []
        self._ids = itertools.count(1)
        self._references = itertools.count(1)
        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Session)
        self._server.daemon_threads = True
        self._server.operator = self  # type: ignore[attr-defined]
        self.port: int = self._server.server_address[1]

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        for session in list(self._sessions):
            session.hang_up()
        self._server.server_close()

    @property
    def session(self) -> _Session:
        """The link to Kannel, once there is one."""
        return until(lambda: self._sessions)[-1]

    def text(self, words: str, phone: str) -> None:
        """A phone sends: GSM 03.38 where that holds it, else UCS-2; what is long goes in parts, the last one first."""
        body, coding, most, each = _encode(words), 0, 160, 153
        if body is None:
            body, coding, most, each = words.encode("utf-16-be"), UCS2, 140, 134
        if len(body) <= most:
            self.session.deliver(phone, NUMBER, body, coding)
            return
        parts = [body[start : start + each] for start in range(0, len(body), each)]
        reference = next(self._references) % 256
        for number, part in reversed(list(enumerate(parts, 1))):
            header = bytes((5, 0, 3, reference, len(parts), number))
            self.session.deliver(phone, NUMBER, header + part, coding, esm_class=0x40)

    def heard(self) -> list[Heard]:
        """What reached phones, oldest first, whole."""
        return list(self._heard)

    def tell(self) -> None:
        """Send the receipts that were kept."""
        while self._untold:
            self.session.deliver(*self._untold.pop(0))

    def take(self, session: _Session, pdu: dict[str, Any]) -> tuple[int, bytes]:
        """Status and body of the answer to a `submit_sm`."""
        if self.mode == "fail":
            return SUBMIT_FAILED, b""
        message_id = f"S{next(self._ids)}"
        body = pdu["body"]
        if pdu["esm_class"] & 0x40:  # one of several: 05 00 03 reference parts number, then as much as fits
            parts = self._parts.setdefault((pdu["to"], body[3]), [])
            parts.append(body[6:])
            body = b"".join(parts) if len(parts) == body[4] else None
        if body is not None:
            self._heard.append(Heard(pdu["to"], body.decode("utf-16-be") if pdu["coding"] == UCS2 else _decode(body)))
        if pdu["receipt"] & 1:
            status = "UNDELIV err:001" if pdu["to"].endswith("99") else "DELIVRD err:000"
            now = "2611272104"
            said = f"id:{message_id} sub:001 dlvrd:001 submit date:{now} done date:{now} stat:{status} text:secret"
            receipt = said.encode("latin-1", "replace")
            waiting = self._untold if self.mode == "later" else session.afterwards
            waiting.append((pdu["to"], pdu["from"], receipt, 0, 0x04))
        return 0, message_id.encode() + b"\0"


class _Session(socketserver.BaseRequestHandler):
    request: socket.socket

    def setup(self) -> None:
        self.operator: Operator = self.server.operator  # type: ignore[attr-defined]
        self.afterwards: list[Delivery] = []  # receipts: never before the answer with the id
        self._sequence = itertools.count(1)
        self._lock = threading.Lock()

    def handle(self) -> None:
        while (header := self._read(16)) is not None:
            length, command, _, sequence = struct.unpack(">IIII", header)
            body = self._read(length - 16)
            if body is None:
                return
            status, answer = self._answer(command, body)
            if not command & RESPONSE:
                self._write(command | RESPONSE, status, sequence, answer)
            while self.afterwards:
                self.deliver(*self.afterwards.pop(0))
            if command == BIND and not status:
                self.operator._sessions.append(self)

    def finish(self) -> None:
        if self in self.operator._sessions:
            self.operator._sessions.remove(self)

    def _answer(self, command: int, body: bytes) -> tuple[int, bytes]:
        if command == BIND:
            user, password, *_ = body.split(b"\0")
            right = (user.decode(), password.decode()) == (USERNAME, PASSWORD)
            return (0 if right else BIND_FAILED), b"OPERATOR\0"
        return self.operator.take(self, _submitted(body)) if command == SUBMIT else (0, b"")

    def deliver(self, sender: str, to: str, body: bytes, coding: int, esm_class: int = 0) -> None:
        """A `deliver_sm`: a text, or a receipt (`esm_class` 4)."""
        addresses = b"\0" + INTERNATIONAL + sender.lstrip("+").encode() + b"\0\0\0" + to.encode() + b"\0"
        flags = bytes((esm_class, 0, 0)) + b"\0\0" + bytes((0, 0, coding, 0, len(body)))
        self._write(DELIVER, 0, next(self._sequence), addresses + flags + body)

    def hang_up(self) -> None:
        """The link breaks."""
        with contextlib.suppress(OSError):
            self.request.shutdown(socket.SHUT_RDWR)

    def _write(self, command: int, status: int, sequence: int, body: bytes) -> None:
        with self._lock:
            self.request.sendall(struct.pack(">IIII", 16 + len(body), command, status, sequence) + body)

    def _read(self, size: int) -> bytes | None:
        data = b""
        while len(data) < size:
            try:
                more = self.request.recv(size - len(data))
            except OSError:
                return None
            if not more:
                return None
            data += more
        return data


def _submitted(body: bytes) -> dict[str, Any]:
    """The fields of a `submit_sm` that matter here."""
    _service, rest = body.split(b"\0", 1)
    sender, rest = rest[2:].split(b"\0", 1)
    to, rest = rest[2:].split(b"\0", 1)
    esm_class, rest = rest[0], rest[3:]
    _scheduled, _valid, rest = rest.split(b"\0", 2)
    receipt, _replace, coding, _default, length = rest[:5]
    return {"from": sender.decode(), "to": "+" + to.decode().lstrip("+"), "esm_class": esm_class, "receipt": receipt,
            "coding": coding, "body": rest[5 : 5 + length]}  # fmt: skip


def _decode(body: bytes) -> str:
    octets = iter(body)
    return "".join(EXTENSION[next(octets)] if octet == 0x1B else GSM[octet] for octet in octets)


def _encode(text: str) -> bytes | None:
    """None where a character is not in GSM 03.38."""
    escaped = {character: bytes((0x1B, code)) for code, character in EXTENSION.items()}
    try:
        return b"".join(escaped.get(character) or bytes((GSM.index(character),)) for character in text)
    except ValueError:
        return None

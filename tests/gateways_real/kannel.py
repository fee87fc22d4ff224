"""Debian's bearerbox and smsbox, started from `docs/kannel.conf`; and fakesmsc, which is a phone."""

from __future__ import annotations

import pathlib
import re
import urllib.parse
from typing import NamedTuple

from circular.settings import ROOT
from sms import segments
from tests.gateways_real.processes import Program, free_port, until
from tests.gateways_real.server import SECRET, Server

USERNAME, PASSWORD = "circular", "a pass+word & 100% é"
NUMBER = "40404"
FAKE = """group = smsc
smsc = fake
smsc-id = FAKE
port = {port}
connect-allow-ip = 127.0.0.1
"""


class Kannel:
    """The two boxes. `smsc` replaces the operator of `docs/kannel.conf`; `retry` is in whole seconds."""

    def __init__(self, folder: pathlib.Path, server: Server, *, smsc: str = "", **changed: str) -> None:
        self._folder = folder
        self._boxes: dict[str, Program] = {}
        self.admin, self.boxes, self.sendsms = free_port(), free_port(), free_port()
        for spool in ("store", "receipts"):
            (folder / spool).mkdir()
        text = (ROOT / "docs" / "kannel.conf").read_text()
        if smsc:
            text = re.sub(r"group = smsc\n.+?\n\n", lambda _: f"{smsc}\n", text, flags=re.S)
        for written, ours in {
            "admin-port = 13000": f"admin-port = {self.admin}",
            "smsbox-port = 13001": f"smsbox-port = {self.boxes}",
            "sendsms-port = 13013": f"sendsms-port = {self.sendsms}",
            "/var/log/kannel": str(folder),
            "/var/spool/kannel": str(folder),
            "ADMIN_PASSWORD": "admin",
            "OUR_NUMBER": NUMBER,
            "KANNEL_USERNAME": USERNAME,
            "KANNEL_PASSWORD": PASSWORD,
            "http://127.0.0.1:8000": server.url,
            "SMS_WEBHOOK_SECRET": SECRET,
            "http-queue-delay = 10": "http-queue-delay = 1",
            **changed,
        }.items():
            assert written in text, written
            text = text.replace(written, ours)
        self._configuration = folder / "kannel.conf"
        self._configuration.write_text(text)

    @property
    def settings(self) -> dict[str, str]:
        """What Circular must be told."""
        url = f"http://127.0.0.1:{self.sendsms}"
        return {"SMS_GATEWAY": "kannel", "KANNEL_URL": url, "KANNEL_USERNAME": USERNAME, "KANNEL_PASSWORD": PASSWORD}

    def start(self) -> None:
        """Both boxes, ready, with what their spools hold."""
        for name, port in (("bearerbox", self.boxes), ("smsbox", self.sendsms)):
            command = [f"/usr/sbin/{name}", str(self._configuration)]
            box = self._boxes[name] = Program(command, self._folder / f"{name}.out")
            until(lambda box=box, port=port: box.listens(port))  # type: ignore[misc]

    def said(self, name: str) -> str:
        """All that a box has to say, on its output; the log of our configuration is all but silent."""
        return self._boxes[name].log.read_text(errors="replace")

    def kill(self) -> None:
        """`kill -9` of both."""
        for box in self._boxes.values():
            box.kill()


class Heard(NamedTuple):
    """A text as it reached a phone."""

    to: str
    text: str


class FakePhone:
    """Kannel's fakesmsc. It takes its texts as arguments, so that each of ours is a process, which stays to listen."""

    def __init__(self, folder: pathlib.Path, port: int) -> None:
        self._log = folder / "phone.log"
        self._port = port
        self._program: Program | None = None

    def text(self, words: str, phone: str) -> None:
        """Text `words` to our number: in GSM 03.38 where that holds it, else in UCS-2."""
        plain = segments.septets(words) is not None
        message = f"text {words}" if plain else f"ucs2 {urllib.parse.quote(words.encode('utf-16-be'), safe='')}"
        self.put_away()
        command = ["/usr/lib/kannel/test/fakesmsc", "-r", str(self._port), "-m", "1", f"{phone} {NUMBER} {message}"]
        self._program = Program(command, self._log)

    def put_away(self) -> None:
        """Out of reach: what is sent meanwhile waits in bearerbox."""
        if self._program:
            self._program.kill()
            self._program = None

    def heard(self) -> list[Heard]:
        """What came, oldest first. The protocol is one line for each text: the lines of a longer one follow it."""
        found: list[Heard] = []
        for line in re.findall(r"Got message \d+: <(.*)>\n", self._log.read_text(errors="replace")):
            new = re.fullmatch(r"\S+ (\+\d+) (text|ucs-2) ?(.*)", line)
            if not new:
                last = found.pop()
                found.append(Heard(last.to, f"{last.text}\n{line}"))
            elif new[2] == "ucs-2":
                raw = urllib.parse.unquote_to_bytes(new[3].replace("+", " "))
                found.append(Heard(new[1], raw.decode("utf-16-be")))
            else:
                found.append(Heard(new[1], new[3]))
        return found

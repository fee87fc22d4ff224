"""Debian's gammu-smsd, started from `docs/gammu-smsdrc`, with gammu's dummy phone or with a modem of ours."""

from __future__ import annotations

import os
import pathlib
import re
import subprocess
from typing import NamedTuple

from circular.settings import ROOT
from tests.gateways_real.processes import PATIENCE, Program, until

# In Martinique, as smsd is there; in UTF-8, as Raspberry Pi OS is: what smsd gets wrong, it gets wrong in this one.
HOME = {**os.environ, "TZ": "America/Martinique", "LC_ALL": "C.UTF-8"}
FOLDERS = ("inbox", "outbox", "sent", "error")


class Heard(NamedTuple):
    """A text as it left."""

    to: str
    text: str


class Smsd:
    """The daemon and its spool. `device` is a modem's; without one it has the dummy phone, which people can text."""

    def __init__(self, folder: pathlib.Path, device: pathlib.Path | None = None, inbox_format: str = "detail") -> None:
        self.spool = folder / "spool"
        self._phone = folder / "phone"
        self._log = folder / "smsd.log"
        self._configuration = folder / "smsdrc"
        self._program: Program | None = None
        for path in [self.spool / name for name in FOLDERS] + [self._phone / "sms" / str(n) for n in range(1, 6)]:
            path.mkdir(parents=True)
        text = (ROOT / "docs" / "gammu-smsdrc").read_text()
        for written, ours in {
            "device = /dev/serial/by-id/MODEM": f"device = {device or self._phone}",
            "connection = at115200": "connection = at115200" if device else "model = dummy\nconnection = none",
            "/var/spool/circular": str(self.spool),
            "InboxFormat = detail": f"InboxFormat = {inbox_format}",
            "LogFile = syslog": f"LogFile = {self._log}",
            "DebugLevel = 0": "DebugLevel = 1",  # what was texted as well: the dummy phone keeps nothing
            "LoopSleep = 2": "LoopSleep = 1",
        }.items():
            assert written in text, written
            text = text.replace(written, ours)
        self._configuration.write_text(text)

    @property
    def settings(self) -> dict[str, str]:
        """What Circular must be told."""
        return {"SMS_GATEWAY": "gammu", "GAMMU_SPOOL": str(self.spool)}

    def start(self) -> None:
        """Take texts out of the spool, and put messages into it."""
        self._program = Program(["gammu-smsd", "-c", str(self._configuration)], self._log, env=HOME)
        until(lambda: "Starting phone communication" in self.said())

    def kill(self) -> None:
        """`kill -9`; nothing when it never ran."""
        if self._program:
            self._program.kill()

    def said(self) -> str:
        """Its log."""
        return self._log.read_text(errors="replace")

    def text(self, words: str, sender: str) -> None:
        """A handset texts the dummy phone: in GSM 03.38 or, where that does not hold it, in UCS-2; in parts when it must."""
        encoding = (
            [] if re.fullmatch(r"[\w .,'!?@€{}\[\]]*", words) and not set(words) & set("êçôâîœ") else ["-unicode"]
        )
        command = [
            "gammu",
            "-c",
            str(self._configuration),
            "savesms",
            "TEXT",
            "-folder",
            "1",
            "-unread",
            "-sender",
            sender,
        ]
        subprocess.run([*command, *encoding, "-len", "700", "-text", words], env=HOME, check=True, timeout=PATIENCE,
                       capture_output=True)  # fmt: skip

    def heard(self) -> list[Heard]:
        """What the dummy phone transmitted, oldest first: found in the spool, and then sent."""
        found = re.findall(
            r'Found 1 sms to "(\+\d+)" with text "(.*?)" cod \d+ .*?\n.*?New message to send.*?\n.*?'
            r"Transmitted \S+ \(total: 1\)",
            self.said(),
            re.S,
        )
        return [Heard(*one) for one in found]

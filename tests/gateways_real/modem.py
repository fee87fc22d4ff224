"""A GSM modem at the other end of a pseudo terminal: it speaks the AT commands that gammu asks it, and the network fails it.

Only sending: 3GPP TS 27.005 in PDU mode. What it is not asked here is answered `ERROR`, as modems do.
"""

from __future__ import annotations

import os
import pathlib
import pty
import re
import threading
import tty
from typing import Self

from tests.gateways_real.gammu import Heard
from tests.gateways_real.smsc import EXTENSION, GSM

ANSWERS = {
    "AT+CGMI": "Maker",
    "AT+CGMM": "Model",
    "AT+CGMR": "1.0",
    "AT+CGSN": "123456789012345",
    "AT+CIMI": "340010000000000",
    "AT+CPIN?": "+CPIN: READY",
    "AT+CSQ": "+CSQ: 20,0",
    "AT+CREG?": "+CREG: 0,1",
    "AT+CSCA?": '+CSCA: "+596696999999",145',
    "AT+CSCS=?": '+CSCS: ("GSM","UCS2")',
    "AT+CSCS?": '+CSCS: "GSM"',
    "AT+CPMS=?": '+CPMS: ("SM"),("SM"),("SM")',
    "AT+CNMI=?": "+CNMI: (0-2),(0-3),(0,2),(0-2),(0,1)",
    "AT+CBC": "+CBC: 0,90",
}
TAKEN = re.compile(r"AT|ATZ|ATE1|AT\+(CMEE|CMGF|CNMI|CSCS|CFUN|CUSD|CMMS|CREG|CMGL)=.*")
NO_SERVICE = 38  # +CMS ERROR: network out of order


class Modem:
    """Behind `device`. `refuses` is what the network takes nothing for: numbers, or everybody when it is None.

    `sent` is what left, `refused` to whom nothing did, in order, every try of it.
    """

    def __init__(self, folder: pathlib.Path) -> None:
        self.device = folder / "modem"
        self.refuses: set[str] | None = set()
        self.sent: list[Heard] = []
        self.refused: list[str] = []
        self._ours, self._theirs = pty.openpty()

    def __enter__(self) -> Self:
        tty.setraw(self._ours)
        tty.setraw(self._theirs)
        self.device.symlink_to(os.ttyname(self._theirs))
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        os.write(self._theirs, b"\x04\r")  # the reading thread ends by what nobody else says
        os.close(self._theirs)

    def _say(self, text: str) -> None:
        os.write(self._ours, text.encode())

    def _serve(self) -> None:
        waiting, sends = b"", False
        while b"\x04" not in waiting:
            try:
                waiting += os.read(self._ours, 1024)
            except OSError:
                return
            while found := re.search(rb"\x1a" if sends else rb"[\r\n]", waiting):
                line, waiting = waiting[: found.start()].decode("latin-1").strip(), waiting[found.end() :]
                if sends:
                    self._send(bytes.fromhex(line))
                elif line:
                    self._say(f"{line}\r")
                    self._answer(line)
                sends = not sends and line.startswith("AT+CMGS=")

    def _answer(self, line: str) -> None:
        if line.startswith("AT+CMGS="):
            self._say("\r\n> ")
        elif line.startswith("AT+CPMS="):
            self._say("\r\n+CPMS: 0,20,0,20,0,20\r\n\r\nOK\r\n")
        elif line in ANSWERS:
            self._say(f"\r\n{ANSWERS[line]}\r\n\r\nOK\r\n")
        else:
            self._say("\r\nOK\r\n" if TAKEN.fullmatch(line) else "\r\nERROR\r\n")

    def _send(self, pdu: bytes) -> None:
        text = submitted(pdu)
        if self.refuses is None or text.to in self.refuses:
            self.refused.append(text.to)
            self._say(f"\r\n+CMS ERROR: {NO_SERVICE}\r\n")
            return
        self.sent.append(text)
        self._say(f"\r\n+CMGS: {len(self.sent) % 256}\r\n\r\nOK\r\n")


def submitted(pdu: bytes) -> Heard:
    """To whom and what an SMS-SUBMIT says (3GPP TS 23.040, 9.2.2.2): one part, international number, no header."""
    pdu = pdu[1 + pdu[0] :]  # the centre's number
    digits, kind = pdu[2], pdu[3]
    assert kind == 0x91, "an international number"
    number = "".join(f"{octet & 15:x}{octet >> 4:x}" for octet in pdu[4 : 4 + (digits + 1) // 2])[:digits]
    rest = pdu[4 + (digits + 1) // 2 :]
    coding, rest = rest[1], rest[2 + bool(pdu[0] & 0x18) :]  # a validity period, when there is one, is one octet
    if coding & 0x0C == 0x08:
        return Heard(f"+{number}", rest[1 : 1 + rest[0]].decode("utf-16-be"))
    return Heard(f"+{number}", _septets(rest[1:], rest[0]))


def _septets(octets: bytes, count: int) -> str:
    """GSM 03.38 out of eight septets in seven octets (3GPP TS 23.038, 6.1.2.1)."""
    bits = int.from_bytes(octets, "little")
    septets = iter([bits >> 7 * n & 0x7F for n in range(count)])
    return "".join(EXTENSION[next(septets)] if septet == 0x1B else GSM[septet] for septet in septets)

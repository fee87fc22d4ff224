"""gammu-smsd's spool, with what smsd wrote into it; nobody takes the texts out of it."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from hypothesis import strategies as st

from sms.gateways.base import Inbound, Knock, Receipt
from sms.gateways.gammu import FOLDERS, Gammu
from tests.sms.gateways.case import FIXTURES, PHONE, Case, Running, any_form

LONG_AGO = 1_000_000_000  # seconds: smsd has let go of the file


def spool_in(folder: Path) -> Path:
    """An empty spool."""
    for name in FOLDERS:
        (folder / name).mkdir(parents=True)
    return folder


def put(file: Path, content: bytes, written: float = LONG_AGO) -> None:
    """A file as smsd left it."""
    file.write_bytes(content)
    os.utime(file, (written, written))


def texts_in(folder: Path) -> list[str]:
    """What smsd would read, in its order."""
    return [file.read_bytes().decode("utf-16") for file in sorted(folder.glob("OUT*.txt"))]


@contextmanager
def _gammu() -> Iterator[Running]:
    with tempfile.TemporaryDirectory() as folder:
        spool = spool_in(Path(folder) / "spool")
        for file in (FIXTURES / "gammu").glob("*/IN*"):
            put(spool / "inbox" / file.name, file.read_bytes())
        for name in ("sent", "error"):
            put(spool / name / f"OUTC20261125_194508_000000_{PHONE}_{name}-0123456789ab.txt", b"")
        yield Running(Gammu(spool=str(spool)), lambda: str(texts_in(spool / "outbox")), lambda: shutil.rmtree(spool))


def _at(second: int) -> datetime:
    return datetime(2026, 11, 25, 19, 45, second, tzinfo=UTC)


# The ids are what is compared when a message comes twice: another way to make them would double what is under way.
GAMMU = Case(
    settings={"gammu_spool": "/var/spool/gammu"},
    running=_gammu,
    inbound=[],
    receipts=[],
    malformed=[
        (parser, Knock(form=form), "sender" if parser == "parse_inbound" else "no receipts")
        for form in ({}, {"from": PHONE, "text": "bois"})
        for parser in ("parse_inbound", "parse_receipt")
    ],
    anything=st.one_of(any_form("id", "from", "text"), st.builds(Knock, form=st.just({}), body=st.binary())),
    waiting=[
        Inbound(
            "g:52187cdfe6915156b6019a8ae52abea0",
            "+596696123457",
            "",
            "A somebody else, whose words are longer than the next ones: all of them",
            _at(8),
        ),
        Inbound("g:dfbb1d3255d1bc8a2d7b8c9c9868c5ec", PHONE, "", "Chèche tòl épi bwa, ça fini ? 🌴", _at(9)),
        Inbound(
            "g:f05a58a371e536605ad2f1e708ed88da",
            PHONE,
            "",
            "JE CHERCHE " + 55 * "ê" + "🌴🌴 tôles, portes et fenêtres",
            _at(11),
        ),
        Inbound("g:5a9010c89e85d670168482ca0f3198f5", "Orange_MQ", "", "Rechargez {[€]} @ 7h", _at(12)),
        Inbound("g:b9585518df053a3fcf1b5533f5bb4972", PHONE, "", "R 41271 3", _at(17)),
        Inbound("g:7958b213c065f91a6391b1ce4251f65f", PHONE, "", "Chèche tòl épi bwa, ça fini ? 🌴", _at(18)),
        Inbound("g:d006690dfcbc2cbeba30ba72db5b7470", PHONE, "", 30 * "goyave ", _at(19)),
        Inbound(
            "g:b054859475e58a4964c19c598e801d0c",
            PHONE,
            "",
            "bois\n[SMSBackup001]\nText00 = 0041\nLength = 1",
            _at(20),
        ),
        Inbound("g:16d25313b97165d07843af06520449a0", PHONE, "", "", _at(22)),
        Receipt("sent-0123456789ab", "sent", "sent", ""),
        Receipt("error-0123456789ab", "failed", "error", "the modem could not send it"),
    ],
)

"""gammu-smsd's spool: nothing lost, nothing doubled, whatever breaks off and whatever lies in it."""

from __future__ import annotations

import logging
import os
import re
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import time_machine
from hypothesis import given
from hypothesis import strategies as st

from circular import db, settings
from sms import messages, worker
from sms.gateways.base import Accepted, Failed, Inbound, Outgoing, Receipt, Retry
from sms.gateways.gammu import KEPT, PATIENCE, SETTLED, STUCK, UNKNOWN, VAIN, VALID, Gammu
from tests.sms.gateways.case import PHONE
from tests.sms.gateways.case_gammu import LONG_AGO, put, spool_in, texts_in
from tests.town import FABIOLA, Town

TEXT = Outgoing("12", PHONE, "Réservé: 3 {[€]} CODE 7391")
NAME = f"IN20261125_154508_00_{PHONE}_00.txt"


class Kept:
    """An inbox in memory."""

    def __init__(self) -> None:
        self.messages: list[Inbound] = []
        self.receipts: list[Receipt] = []

    def message(self, message: Inbound) -> None:
        self.messages.append(message)

    def receipt(self, receipt: Receipt) -> None:
        self.receipts.append(receipt)

    @property
    def texts(self) -> list[str]:
        """What people wrote."""
        return [message.text for message in self.messages]


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    return spool_in(tmp_path / "spool")


@pytest.fixture
def gammu(spool: Path) -> Gammu:
    return Gammu(spool=str(spool), sender="0696000000")


def written(text: str) -> bytes:
    """`InboxFormat = unicode`."""
    return b"\xfe\xff" + text.encode("utf-16-be")


def smsd_moves(spool: Path, folder: str) -> None:
    """What smsd does with a text that it sent, or could not send."""
    for file in sorted((spool / "outbox").glob("OUT*.txt")):
        file.rename(spool / folder / file.name)


def names(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


# --- out --------------------------------------------------------------------------------------------------------------
def test_send_writes_what_smsd_reads(gammu: Gammu, spool: Path) -> None:
    """One file, whose name tells smsd to whom and in which order, in fewer than the 100 bytes that it has for a name."""
    outcomes = [gammu.send(Outgoing(reference, PHONE, f"text {reference}")) for reference in ("12", "9")]

    assert texts_in(spool / "outbox") == ["text 12", "text 9"]
    for name, outcome in zip(names(spool / "outbox"), outcomes, strict=True):
        assert isinstance(outcome, Accepted)
        assert re.fullmatch(rf"OUT[A-Z]\d{{8}}_\d{{6}}_\d+_\{PHONE}_{outcome.provider_id}\.txt", name)
        assert len(name) < 100


@pytest.mark.parametrize("where", ["outbox", "later", "sent", "error", "told"])
def test_send_again_is_sent_once(gammu: Gammu, spool: Path, where: str) -> None:
    """Whatever has become of the first, the second is the same text: nothing is written, and it is accepted."""
    first = gammu.send(TEXT)
    if where != "outbox":
        (spool / "later").mkdir()
        smsd_moves(spool, "sent" if where == "told" else where)
    if where == "told":
        gammu.collect(Kept())

    assert gammu.send(TEXT) == first

    assert (
        sum(
            len(names(spool / folder))
            for folder in ("outbox", "later", "sent", "error", "told")
            if (spool / folder).exists()
        )
        == 1
    )


def test_send_by_many_at_once_is_sent_once(spool: Path) -> None:
    """Threads and processes of one town share a spool: a text that several hand over is there once."""
    together = threading.Barrier(8)

    def send(_: int) -> object:
        together.wait()
        return Gammu(spool=str(spool)).send(TEXT)

    with ThreadPoolExecutor(8) as pool:
        outcomes = set(pool.map(send, range(8)))

    assert len(outcomes) == 1 and len(names(spool / "outbox")) == 1


def test_send_an_old_number_with_another_text(gammu: Gammu, spool: Path) -> None:
    """A database that was restored counts from where it was: its new text is no repeat of the old one."""
    gammu.send(TEXT)
    smsd_moves(spool, "sent")
    gammu.collect(Kept())

    gammu.send(Outgoing(TEXT.reference, TEXT.to, "another"))

    assert texts_in(spool / "outbox") == ["another"]


@given(st.text(max_size=80), st.text(max_size=80))
def test_key_is_a_name_and_tells_references_apart(one: str, other: str) -> None:
    """Whatever a reference is made of, it becomes part of a file's name, and of no other's."""
    keys = [Outgoing(reference, PHONE, "text").key for reference in (one, other)]

    assert all(re.fullmatch(r"[A-Za-z0-9-]{14,36}", key) for key in keys)
    assert (keys[0] == keys[1]) == (one == other)


@pytest.mark.parametrize(
    "message",
    [
        *[Outgoing("1", to, "x") for to in ("40404", "Orange", "0696123456", f"{PHONE}\n", "../../etc", f"{PHONE}_x")],
        Outgoing("1", PHONE, ""),
        Outgoing("1", PHONE, "\0"),
    ],
)
def test_send_what_cannot_be_sent(gammu: Gammu, spool: Path, message: Outgoing) -> None:
    """No number or no words: refused, and nothing is written."""
    assert isinstance(gammu.send(message), Failed)
    assert names(spool / "outbox") == []


@pytest.fixture
def disk_full() -> Iterator[None]:
    """The system itself refuses to write more than 8 bytes into a file."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_send_when_the_disk_is_full(gammu: Gammu, spool: Path, disk_full: None) -> None:
    """Not taken, to be tried again, and no half of a text is left for smsd."""
    assert gammu.send(TEXT) == Retry("the spool cannot be written: EFBIG")
    assert names(spool / "outbox") == []


def test_a_modem_that_is_stuck(gammu: Gammu, spool: Path) -> None:
    """Two people wait and nothing is sent: no more is given to it, but what it has is not given to another either."""
    for to in (PHONE, FABIOLA):
        gammu.send(Outgoing("12", to, "x"))
    assert gammu.health() == ""

    with time_machine.travel(datetime.now(UTC) + timedelta(minutes=STUCK + 2)):
        stuck = f"gammu-smsd has sent nothing for {STUCK + 2:.0f} minutes, and 2 texts wait"
        assert gammu.health() == stuck
        assert gammu.send(Outgoing("13", PHONE, "x")) == Retry(stuck)
        assert isinstance(gammu.send(Outgoing("12", PHONE, "x")), Accepted)

        smsd_moves(spool, "sent")
        os.utime(spool / "sent", (datetime.now(UTC).timestamp(),) * 2)  # its clock is the system's, which did not move
        assert gammu.health() == ""
        assert isinstance(gammu.send(Outgoing("13", PHONE, "x")), Accepted)


def test_a_stuck_modem_is_tried_again(gammu: Gammu, spool: Path) -> None:
    """Two numbers that the network refuses look like a dead modem: after an hour one text may show that it is not."""
    for to in (PHONE, FABIOLA):
        gammu.send(Outgoing("12", to, "x"))

    with time_machine.travel(datetime.now(UTC) + timedelta(seconds=UNKNOWN + 60)):
        assert isinstance(gammu.send(Outgoing("13", PHONE, "x")), Accepted)
        os.utime(sorted((spool / "outbox").iterdir())[-1], (datetime.now(UTC).timestamp(),) * 2)
        assert isinstance(gammu.send(Outgoing("14", PHONE, "x")), Retry)


def test_a_number_that_the_network_refuses_is_no_stuck_modem(gammu: Gammu) -> None:
    """One person's texts that do not leave say nothing about the others'."""
    for reference in ("12", "13"):
        gammu.send(Outgoing(reference, PHONE, "x"))

    with time_machine.travel(datetime.now(UTC) + timedelta(hours=1)):
        assert gammu.health() == ""
        assert isinstance(gammu.send(Outgoing("14", FABIOLA, "x")), Accepted)


def test_a_modem_that_is_slow(gammu: Gammu, spool: Path) -> None:
    """A long queue is no fault while something leaves it now and then."""
    for to in (PHONE, FABIOLA):
        gammu.send(Outgoing("12", to, "x"))
    later = datetime.now(UTC) + timedelta(hours=1)
    os.utime(spool / "sent", (later.timestamp() - 60,) * 2)

    with time_machine.travel(later):
        assert gammu.health() == ""


def test_a_text_that_smsd_tries_in_vain_lets_the_others_pass(gammu: Gammu, spool: Path) -> None:
    """smsd tries its first text for ever: after a minute it steps aside, and comes back behind the others."""
    start = datetime.now(UTC)
    bad, good = Outgoing("12", PHONE, "bad"), Outgoing("13", FABIOLA, "good")
    with time_machine.travel(start, tick=False) as traveller:
        for message in (bad, good):
            gammu.send(message)
            traveller.shift(timedelta(seconds=1))
        gammu.collect(Kept())
        traveller.shift(timedelta(seconds=VAIN))
        gammu.collect(Kept())
        assert texts_in(spool / "outbox") == ["bad", "good"]  # smsd may need that long

        traveller.shift(timedelta(seconds=1))
        gammu.collect(Kept())
        assert texts_in(spool / "outbox") == ["good"]
        assert gammu.send(bad) == Accepted(bad.key, None)  # it is still ours
        assert texts_in(spool / "outbox") == ["good"]

        traveller.shift(timedelta(minutes=2))
        gammu.collect(Kept())
        gammu.send(Outgoing("14", PHONE, "new"))

    assert texts_in(spool / "outbox") == ["good", "new", "bad"]


def test_a_text_is_tried_for_a_day(gammu: Gammu, spool: Path) -> None:
    """Now and then, a minute each time, and then it has failed: the modem has it no more."""
    start = datetime.now(UTC)
    gammu.send(TEXT)
    box, tries, there = Kept(), 0, False
    with time_machine.travel(start, tick=False) as traveller:
        while not box.receipts:
            gammu.collect(box)
            tries += not there and bool(texts_in(spool / "outbox"))
            there = bool(texts_in(spool / "outbox"))
            traveller.shift(timedelta(seconds=20))
            assert datetime.now(UTC) < start + VALID + timedelta(minutes=30)

        assert datetime.now(UTC) > start + VALID
    assert [(receipt.provider_id, receipt.status) for receipt in box.receipts] == [(TEXT.key, "failed")]
    assert 60 < tries < 120
    assert names(spool / "outbox") == names(spool / "later") == []


@pytest.mark.parametrize("folder", ["inbox", "outbox", "sent", "error"])
def test_a_spool_that_lacks_a_folder(gammu: Gammu, spool: Path, folder: str) -> None:
    """The line says which."""
    (spool / folder).rmdir()

    assert folder in gammu.health()
    assert isinstance(gammu.send(TEXT), Retry)


# --- in ---------------------------------------------------------------------------------------------------------------
def test_collect_the_oldest_first(gammu: Gammu, spool: Path) -> None:
    """By the network's time, then by number, whatever the order in the folder; and it knows to whom they were sent."""
    for serial, words in ((1, "second"), (0, "first")):
        put(spool / "inbox" / f"IN20261125_154508_0{serial}_{PHONE}_00.txt", written(words))
    put(spool / "inbox" / f"IN20261124_235959_00_{FABIOLA}_00.txt", written("yesterday"))
    box = Kept()

    assert gammu.collect(box) == 3

    assert box.texts == ["yesterday", "first", "second"]
    assert {message.recipient for message in box.messages} == {"0696000000"}
    assert box.messages[0].sent_at == datetime(2026, 11, 25, 3, 59, 59, tzinfo=UTC)
    assert names(spool / "inbox") == []


def test_collect_waits_until_smsd_has_let_go(gammu: Gammu, spool: Path) -> None:
    """A long message is several files, written one after the other."""
    now = datetime.now(UTC)
    put(spool / "inbox" / NAME, written("JE CHERCHE "), now.timestamp() - SETTLED)
    put(spool / "inbox" / NAME.replace("_00.", "_01."), written("BOIS"), now.timestamp())
    box = Kept()
    with time_machine.travel(now, tick=False):
        assert gammu.collect(box) == 0

    with time_machine.travel(now + timedelta(seconds=SETTLED + 0.1), tick=False):
        assert gammu.collect(box) == 1

    assert box.texts == ["JE CHERCHE BOIS"]


def test_collect_a_letter_that_was_cut_in_two(gammu: Gammu, spool: Path) -> None:
    """A handset cuts after 67 units of UTF-16, in the middle of an emoji if it must."""
    whole = (66 * "a" + "🌴 bois").encode("utf-16-be")
    put(spool / "inbox" / NAME, b"\xfe\xff" + whole[: 67 * 2])
    put(spool / "inbox" / NAME.replace("_00.", "_01."), b"\xfe\xff" + whole[67 * 2 :])
    box = Kept()

    gammu.collect(box)

    assert box.texts == [66 * "a" + "🌴 bois"]


def test_a_message_that_the_modem_lists_twice(gammu: Gammu, spool: Path, town: Town) -> None:
    """The same words of the same second are one message, by whatever file they come; a second later they are another."""
    for stamp in ("154508_00", "154508_01", "154509_00"):
        put(spool / "inbox" / f"IN20261125_{stamp}_{FABIOLA}_00.txt", written("R 41271"))
    gammu.collect(messages.GatewayInbox("gammu"))
    put(spool / "inbox" / f"IN20261125_154508_00_{FABIOLA}_00.txt", written("R 41271"))  # and again, after a restart
    gammu.collect(messages.GatewayInbox("gammu"))

    assert db.rows("SELECT text FROM inbound_message") == [("R 41271",), ("R 41271",)]


def test_a_modem_without_a_clock(gammu: Gammu, spool: Path, town: Town) -> None:
    """Without a time, files tell messages apart: the second BOIS is an answer to nothing else than the first was."""
    for written_at in (LONG_AGO, LONG_AGO, LONG_AGO + 60):  # the second one is the first, left by a crash
        put(spool / "inbox" / f"IN000000_000000_00_{FABIOLA}_00.txt", written("BOIS"), written_at)
        gammu.collect(messages.GatewayInbox("gammu"))

    assert db.rows("SELECT text, sent_at FROM inbound_message") == [("BOIS", None), ("BOIS", None)]


REPORT = b"""; This file format was designed for Gammu and is compatible with Gammu+

[SMSBackup000]
PDU = Status_Report
Number = "+596696123456"
Text00 = 00440065006C006900760065007200650064
Coding = Default_No_Compression
Length = 9
"""


@pytest.mark.parametrize(
    ("name", "content"),
    [
        (NAME, b""),
        (NAME, b"BOIS"),
        (NAME, b"\x00\x01\xffBOIS"),
        (NAME, REPORT.replace(b"Status_Report", b"Deliver")[:150]),
        (NAME, REPORT.replace(b"PDU = Status_Report", b"PDU = Deliver").replace(b"0044", b"004")),
        (NAME, REPORT.replace(b"Status_Report", b"Deliver").replace(b"Default_No_Compression", b"8bit")),
        (NAME.replace(".txt", ".bin"), b"\x06\x05"),
        ("BOIS de 0696123456.doc", b"BOIS"),
        ("INBOIS.txt", written("BOIS")),
    ],
    ids=["empty", "standard", "noise", "cut", "half a letter", "data", "wap", "no name of smsd's", "no time"],
)
def test_a_file_that_nobody_can_read(
    gammu: Gammu, spool: Path, caplog: pytest.LogCaptureFixture, name: str, content: bytes
) -> None:
    """It is kept aside, the log tells neither number nor words, and the others go on."""
    put(spool / "inbox" / name, content)
    put(spool / "inbox" / f"IN20261125_154509_00_{PHONE}_00.txt", written("PORTE"))
    box = Kept()

    assert gammu.collect(box) == 1

    assert box.texts == ["PORTE"]
    assert names(spool / "aside") == [name]
    assert (spool / "aside" / name).read_bytes() == content
    assert names(spool / "inbox") == []
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert "aside" in caplog.text and "696123456" not in caplog.text and "BOIS" not in caplog.text


def test_a_file_that_smsd_has_begun(gammu: Gammu, spool: Path) -> None:
    """What cannot be read may become readable, for a minute."""
    now = datetime.now(UTC)
    put(spool / "inbox" / NAME, b"", now.timestamp())
    with time_machine.travel(now + timedelta(seconds=PATIENCE - 1), tick=False):
        assert gammu.collect(Kept()) == 0
        assert names(spool / "inbox") == [NAME]
        put(spool / "inbox" / NAME, written("BOIS"))
        box = Kept()
        gammu.collect(box)

    assert box.texts == ["BOIS"]


def test_a_folder_among_the_files(gammu: Gammu, spool: Path) -> None:
    """Whatever it is, it is out of the way."""
    (spool / "inbox" / NAME).mkdir()
    os.utime(spool / "inbox" / NAME, (LONG_AGO, LONG_AGO))
    put(spool / "inbox" / f"IN20261125_154509_00_{PHONE}_00.txt", written("PORTE"))

    assert gammu.collect(Kept()) == 1
    assert names(spool / "aside") == [NAME]


def test_what_can_neither_be_read_nor_moved(gammu: Gammu, spool: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It is said once, not twice a second, and the others go on."""
    put(spool / "inbox" / NAME, b"?")
    (spool / "aside").write_bytes(b"no folder")

    for words in ("BOIS", "PORTE"):
        put(spool / "inbox" / f"IN20261125_154509_00_{PHONE}_00.txt", written(words))
        assert gammu.collect(Kept()) == 1

    assert len({record.getMessage() for record in caplog.records}) == len(caplog.records) == 2


def test_a_delivery_report_is_no_message(gammu: Gammu, spool: Path) -> None:
    """With DeliveryReport = sms, smsd files the network's note under the recipient's name: nobody wrote it."""
    put(spool / "inbox" / NAME, REPORT)
    box = Kept()

    gammu.collect(box)

    assert box.messages == [] and names(spool / "inbox") == []


def test_one_at_a_time(gammu: Gammu, spool: Path) -> None:
    """Another process that comes while one collects finds nothing, and does not wait."""
    put(spool / "inbox" / NAME, written("BOIS"))
    found: list[int] = []

    class Slow(Kept):
        def message(self, message: Inbound) -> None:
            found.append(Gammu(spool=str(spool)).collect(Kept()))

    assert gammu.collect(Slow()) == 1
    assert found == [0]


# --- receipts ---------------------------------------------------------------------------------------------------------
def test_the_end_of_a_text(gammu: Gammu, spool: Path) -> None:
    """Sent or failed, told once by the id that `send` gave; words and number are gone then."""
    sent = gammu.send(TEXT)
    smsd_moves(spool, "sent")
    failed = gammu.send(Outgoing("13", PHONE, "x"))
    smsd_moves(spool, "error")
    box = Kept()

    assert (gammu.collect(box), gammu.collect(box)) == (2, 0)

    assert isinstance(sent, Accepted) and isinstance(failed, Accepted)
    assert [(receipt.provider_id, receipt.status) for receipt in box.receipts] == [
        (sent.provider_id, "sent"),
        (failed.provider_id, "failed"),
    ]
    assert names(spool / "told") == sorted([str(sent.provider_id), str(failed.provider_id)])
    assert all(file.read_bytes() == b"" for file in (spool / "told").iterdir())


def test_somebody_elses_texts(gammu: Gammu, spool: Path) -> None:
    """What gammu-smsd-inject sent is not ours to report nor to remove."""
    theirs = f"OUTC20261125_154508_00_{PHONE}_sms0.smsbackup"
    put(spool / "sent" / theirs, b"")
    box = Kept()

    assert gammu.collect(box) == 0
    assert names(spool / "sent") == [theirs]


def test_a_text_is_remembered_longer_than_it_is_tried(gammu: Gammu, spool: Path) -> None:
    """And not for ever; nor is half a text that a crash left behind."""
    assert messages.OUTAGE_GIVE_UP_AFTER.total_seconds() < KEPT
    gammu.send(TEXT)
    (spool / "outbox" / ".13-0123456789ab.half").write_bytes(b"half")
    smsd_moves(spool, "sent")
    gammu.collect(Kept())

    with time_machine.travel(datetime.now(UTC) + messages.OUTAGE_GIVE_UP_AFTER):
        gammu.collect(Kept())
        assert len(names(spool / "told")) == len(names(spool / "outbox")) == 1
    with time_machine.travel(datetime.now(UTC) + timedelta(seconds=KEPT + 60)):
        gammu.collect(Kept())
        assert names(spool / "told") == names(spool / "outbox") == []


# --- kill -9 ----------------------------------------------------------------------------------------------------------
CHILD = """
import os, signal, sys
from circular import db, settings
from sms import messages
from sms.gateways.base import Outgoing
from sms.gateways.gammu import Gammu
url, spool, left, what = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
gammu = Gammu(spool=spool)
settings.use(settings.load({"DATABASE_URL": url})); db.open_database(url); db.connect()
def step(event, args):
    global left
    if event == "open" or event.startswith("os."):
        if any(isinstance(arg, (str, os.PathLike)) and os.fspath(arg).startswith(spool) for arg in args):
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            left -= 1
sys.addaudithook(step)
if what == "send":
    gammu.send(Outgoing("12", "+596696123456", "the text"))
else:
    gammu.collect(messages.GatewayInbox("gammu"))
"""


def killed_at(point: int, url: str, spool: Path, what: str) -> bool:
    """True when the child was killed before its `point`th look at the spool; False when it lived."""
    done = subprocess.run(
        [sys.executable, "-c", CHILD, url, str(spool), str(point), what], check=False, capture_output=True, text=True,
        cwd=settings.ROOT, env={**os.environ, "PYTHONPATH": str(settings.ROOT)}, timeout=60,
    )  # fmt: skip
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return done.returncode != 0


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)  # what is killed here are steps on files
def test_kill_at_every_step_of_collecting(town: Town, database_url: str, tmp_path: Path) -> None:
    """Killed before any step on any file: the next one keeps each message once, and each end of a text."""
    db.close()
    for point in range(200):
        spool = spool_in(tmp_path / str(point))
        day = 20000101 + point  # each time other messages
        for part, words in enumerate(("JE ", "CHERCHE ", "BOIS")):
            put(spool / "inbox" / f"IN{day}_154508_00_{FABIOLA}_0{part}.txt", written(words))
        put(spool / "inbox" / f"IN{day}_154509_00_{FABIOLA}_00.txt", written("PORTE"))
        put(spool / "error" / f"OUTC20261125_154508_000000_{FABIOLA}_{point}-0123456789ab.txt", written("x"))

        killed = killed_at(point, database_url, spool, "collect")

        db.connect()
        while Gammu(spool=str(spool)).collect(messages.GatewayInbox("gammu")):
            pass
        assert db.rows("SELECT text FROM inbound_message ORDER BY id") == [("JE CHERCHE BOIS",), ("PORTE",)]
        assert set(db.rows("SELECT provider_id, status FROM delivery_receipt")) == {(f"{point}-0123456789ab", "failed")}
        assert names(spool / "inbox") == names(spool / "error") == []
        with db.transaction():
            db.run("DELETE FROM inbound_message")
            db.run("DELETE FROM delivery_receipt")
        db.close()
        if not killed:
            break
    assert not killed and point > 8
    db.connect()


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
def test_kill_at_every_step_of_sending(town: Town, database_url: str, tmp_path: Path) -> None:
    """Killed before any step: handed over again, the text is there once, and whole."""
    db.close()
    for point in range(100):
        spool = spool_in(tmp_path / str(point))

        killed = killed_at(point, database_url, spool, "send")
        assert texts_in(spool / "outbox") in ([], ["the text"])

        assert isinstance(Gammu(spool=str(spool)).send(Outgoing("12", PHONE, "the text")), Accepted)
        assert texts_in(spool / "outbox") == ["the text"]
        if not killed:
            break
    assert not killed and point > 5
    db.connect()


# --- the worker -------------------------------------------------------------------------------------------------------
@pytest.fixture
def at_work(town: Town, database_url: str, spool: Path, request: pytest.FixtureRequest) -> Iterator[worker.Worker]:
    """A worker whose rounds a test turns by hand; with a modem behind the console where nothing else is asked."""
    chosen = {"DATABASE_URL": database_url, "SMS_GATEWAY": "console", "SMS_FALLBACK_GATEWAYS": "gammu"}
    settings.use(settings.load({**chosen, "GAMMU_SPOOL": str(spool), **getattr(request, "param", {})}))
    one = worker.Worker()
    yield one
    one.sender.close()
    one._lock.release()


def work(one: worker.Worker) -> None:
    """Until nothing is left to do; the modem is asked at once."""
    one._collected_at = 0.0
    while one.step() or one.sender.busy:
        if one.sender.busy:
            worker.wake.wait(5)
            worker.wake.clear()


@pytest.mark.parametrize("at_work", [{"SMS_GATEWAY": "gammu", "SMS_FALLBACK_GATEWAYS": ""}], indirect=True)
def test_the_worker_collects_and_answers(at_work: worker.Worker, spool: Path) -> None:
    """From a file in `inbox` to a file in `outbox`, nobody knocking; then its receipt."""
    put(spool / "inbox" / f"IN20261125_154508_00_{FABIOLA}_00.txt", written("bonjour"))
    work(at_work)
    (said,) = texts_in(spool / "outbox")
    assert said.startswith("Bonjour, ici Réemploi Lamentin")

    smsd_moves(spool, "error")
    work(at_work)

    assert db.rows("SELECT state, reason FROM outbound_message") == [("failed", "the modem could not send it")]


def test_the_worker_asks_a_gateway_that_stands_in(at_work: worker.Worker, spool: Path) -> None:
    """Whoever texts the modem's number is heard, also while another gateway is the first."""
    put(spool / "inbox" / f"IN20261125_154508_00_{FABIOLA}_00.txt", written("bonjour"))

    work(at_work)

    assert db.rows("SELECT gateway, state FROM inbound_message") == [("gammu", "handled")]


def test_a_spool_that_is_gone_stops_nothing(
    at_work: worker.Worker, spool: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It is said once, and everything else goes on."""
    spool.rename(spool.with_name("elsewhere"))
    messages.store_inbound("console", Inbound("1", FABIOLA, "", "bonjour", None))

    for _ in range(3):
        work(at_work)

    assert messages.inbound_state(messages.inbound_id("console", "1")) == "handled"
    assert [record.getMessage() for record in caplog.records if "gammu" in record.getMessage()] == [
        "gammu: nothing can be fetched: FileNotFoundError"
    ]

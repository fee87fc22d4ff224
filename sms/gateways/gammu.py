"""A GSM modem, on a Raspberry Pi say, through the folders of gammu-smsd (Service = files). No internet; nothing knocks.

A text is a file in `outbox/`, which smsd sends and moves to `sent/` or `error/`: our receipts. A message for us is a file
in `inbox/` (several, in one of smsd's formats), which goes once it is a row. docs/gateways.md has the configuration.

Tried with gammu-smsd 1.42 (the formats and names are those of its services/files.c):
* InboxFormat `detail` and `unicode` are read; `standard` has lost letters before we come. With `unicode`, one file is one
  part, and smsd counts bytes where it means characters: behind a NUL stands what was left of somebody else's message.
* Who wrote is in the file's name alone: what stands in the file may be the sender's words.
* smsd reads a name into 100 bytes, and sends in the order of names.
* A text that the network refuses is tried for ever, every `LoopSleep` seconds, and all others wait behind it: MaxRetries
  is for databases alone. So what is tried in vain for a while waits aside, in `later/`, and comes back.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import logging
import os
import re
import zoneinfo
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple, Self

from circular import clock
from circular.settings import Settings
from sms.gateways.base import (
    E164,
    Accepted,
    Capabilities,
    Failed,
    Gateway,
    Inbound,
    Inbox,
    Knock,
    MalformedError,
    Outcome,
    Outgoing,
    Receipt,
    ReceiptStatus,
    Retry,
)

FOLDERS = ("inbox", "outbox", "sent", "error")  # smsd's
LATER = "later"  # ours: texts that were tried in vain, each named by when it is tried again
TOLD = "told"  # ours: a name for each text whose end was reported, without number or words, so that none is sent again
ASIDE = "aside"  # ours: files that nobody can read
SETTLED = 2.0  # seconds that a file of the inbox must be left alone by smsd before it is whole
PATIENCE = 60.0  # seconds until a file that cannot be read will not become readable any more
VAIN = 60.0  # seconds that smsd may try one text: longer than the slowest modem takes, and SendTimeout
# A text that was tried in vain is tried again after as long as it has waited, within these.
SOON, LATEST = timedelta(minutes=2), timedelta(minutes=15)
VALID = timedelta(hours=24)  # until a text is given up: a mast can be gone for hours
STUCK = 10.0  # minutes that several people may wait while nothing is sent
UNKNOWN = 3600.0  # seconds until a modem that sent nothing is given another text
KEPT = 8 * 86_400.0  # seconds that a reported text is remembered: longer than any text is tried (a week)
TIDYING = 3600.0  # seconds between looks for what need not be remembered
BOM = b"\xfe\xff"
BACKUP = b"; This file format was designed for Gammu"
_STAMP = "%Y%m%d_%H%M%S_%f"
# IN<date>_<time>_<serial>_<sender>_<part>.txt: the sender may be a name, with underscores in it.
_IN = re.compile(r"(IN(\d+_\d+)_\d\d_(.*))_(\d\d)\.txt")
# OUT<priority><date>_<time>_<serial>_<recipient>_<note>.txt: the priority is C, or D once it was tried in vain.
_OURS = re.compile(r"OUT[A-Z](?P<stamp>\d{8}_\d{6}_\d{6})_(?P<to>\+\d+)_(?P<key>[A-Za-z0-9-]+)\.txt")
_RECEIPTS: tuple[tuple[str, ReceiptStatus, str], ...] = (
    ("sent", "sent", ""),
    ("error", "failed", "the modem could not send it"),
)
log = logging.getLogger(__name__)


class _Part(NamedTuple):
    number: int
    path: Path
    written: float  # seconds since 1970


class Gammu(Gateway):
    """One spool: the folder that holds smsd's four, on this machine. `timezone` is where the modem is.

    A text that is handed over again lies there already, or in `told/`: smsd gets it once.
    """

    name = "gammu"
    # 3 s to send and 1 to 4 of pause on real modems (gammu/gammu#302, #419): 6 to 10 a minute.
    capabilities = Capabilities(
        needs_internet=False, receipts=True, idempotent_id=True, messages_per_second=0.15, ussd=False
    )

    def __init__(self, *, spool: str, sender: str = "", timezone: str = "America/Martinique") -> None:
        self._spool = Path(spool)
        self._sender = sender
        self._timezone = zoneinfo.ZoneInfo(timezone)
        self._tidied_at = 0.0
        self._complaints: set[str] = set()
        self._first = ""  # the text that smsd tries, and since when
        self._first_since = clock.now()

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """The spool that `GAMMU_SPOOL` names."""
        return cls(spool=settings.gammu_spool, sender=settings.sms_sender, timezone=settings.timezone)

    # --- out ----------------------------------------------------------------------------------------------------------
    def send(self, message: Outgoing) -> Outcome:
        """Put one text where smsd takes it, durably. Accepted means: in the spool. Never raises."""
        if not E164.fullmatch(message.to):
            return Failed("the recipient is no international number")
        text = message.text.replace("\0", "")
        if not text:
            return Failed("the text is empty")
        try:
            with self._locked("send"):
                if not self._has(message.key):
                    wrong = self.health()  # what cannot leave from here may leave by another gateway
                    if wrong:
                        return Retry(wrong)
                    self._write(message.key, message.to, text)
        except OSError as error:
            return Retry(f"the spool cannot be written: {_word(error)}")
        return Accepted(message.key, None)

    def _has(self, key: str) -> bool:
        """True when a text was handed over before. smsd moves a file in this order, so it is in what is still to be seen."""
        for folder in (LATER, "outbox", "sent", "error"):
            if any(name.endswith(f"_{key}.txt") for name in _names(self._spool / folder)):
                return True
        return (self._spool / TOLD / key).exists()

    def _write(self, key: str, to: str, text: str) -> None:
        """A whole file or none, whatever happens, and on the disk when this returns."""
        outbox = self._spool / "outbox"
        ready = outbox / f"OUTC{clock.now().strftime(_STAMP)}_{to}_{key}.txt"
        half = outbox / f".{key}.half"  # hidden: smsd passes over it, and the next try begins it anew
        try:
            with half.open("wb") as file:
                file.write(BOM + text.encode("utf-16-be", "replace"))
                file.flush()
                os.fsync(file.fileno())
            half.rename(ready)
        except OSError:
            half.unlink(missing_ok=True)
            raise
        _sync(outbox)

    def health(self) -> str:
        """Folders that are missing or closed to us, and a modem that sends nothing while texts wait.

        Texts for two people at least: a number that the network refuses says nothing about the modem. When the last was
        written long ago nobody knows, and one may try.
        """
        for folder in FOLDERS:
            if not os.access(self._spool / folder, os.R_OK | os.W_OK | os.X_OK):
                return f"GAMMU_SPOOL: its folder {folder} is missing, or closed to this user"
        try:
            waiting = sorted(self._waiting())
            sent_at = (self._spool / "sent").stat().st_mtime  # when the last text came into it, or left it
        except OSError as error:
            return f"GAMMU_SPOOL cannot be read: {_word(error)}"
        oldest = sorted({to: written for written, to in reversed(waiting)}.values())
        if len(oldest) < 2:
            return ""
        now = clock.now().timestamp()
        idle = (now - max(sent_at, oldest[1])) / 60
        if idle < STUCK or now - waiting[-1][0] > UNKNOWN:
            return ""
        return f"gammu-smsd has sent nothing for {idle:.0f} minutes, and {len(waiting)} texts wait"

    def _waiting(self) -> list[tuple[float, str]]:
        """When each text was written that is not sent yet, and to whom."""
        found = [entry for folder in ("outbox", LATER) for entry in _entries(self._spool / folder)]
        return [(_written(entry), ours["to"]) for entry in found if (ours := _OURS.fullmatch(entry.name))]

    def _unblock(self) -> None:
        """Take what smsd tries in vain out of the way of the others, and bring back what is to be tried again.

        Had it just been sent after all, it will be sent twice: smsd looks for it where it was.
        """
        now = clock.now()
        texts = sorted(name for name in _names(self._spool / "outbox") if _OURS.fullmatch(name))
        first = texts[0] if texts else ""
        if first != self._first:
            self._first, self._first_since = first, now
        vain = first if (now - self._first_since).total_seconds() > VAIN else ""
        late = (_OURS.fullmatch(name) for name in _names(self._spool / LATER))
        due = [name[0] for name in late if name and name["stamp"] <= now.strftime(_STAMP)]
        if vain or due:
            with self._locked("send"):  # nobody looks for a text while it moves
                for name in due:
                    self._move(self._spool / LATER / name, self._spool / "outbox" / name)
                if vain:
                    self._postpone(self._spool / "outbox" / vain)

    def _postpone(self, path: Path) -> None:
        name = _OURS.fullmatch(path.name)
        try:
            waited = clock.now() - datetime.fromtimestamp(path.stat().st_mtime, UTC)
        except FileNotFoundError:  # sent, at last
            return
        again = (clock.now() + min(max(waited, SOON), LATEST)).strftime(_STAMP)
        if waited > VALID or name is None:
            self._move(path, self._spool / "error" / path.name)
        else:
            self._move(path, self._spool / LATER / f"OUTD{again}_{name['to']}_{name['key']}.txt")

    # --- in -----------------------------------------------------------------------------------------------------------
    def parse_inbound(self, knock: Knock) -> None:  # noqa: ARG002 - nothing knocks
        """Raises: MalformedError, always."""
        raise MalformedError("sender is missing: gammu's messages lie in its spool, nothing is posted")

    def collect(self, inbox: Inbox) -> int:
        """Hand over the messages and the ends of texts that lie in the spool, the oldest first; how many.

        One process at a time; another that comes meanwhile finds nothing. What `inbox` raises passes through, and what
        it was about stays where it is. Raises: OSError when the spool cannot be read.
        """
        with self._locked("collect", wait=False) as mine:
            if not mine:
                return 0
            self._tidy()
            self._unblock()
            return self._messages(inbox) + self._receipts(inbox)

    def _messages(self, inbox: Inbox) -> int:
        count = 0
        for (head, stamp, sender), parts in sorted(self._found().items()):
            age = abs(clock.now().timestamp() - max(part.written for part in parts))
            if age < SETTLED:
                continue
            try:
                units = _units([part.path.read_bytes() for part in sorted(parts)])
            except (ValueError, PermissionError, IsADirectoryError) as error:
                if age >= PATIENCE:
                    self._put_aside([part.path for part in parts], _word(error))
                continue
            except OSError as error:  # too many open files, a bad sector: it may pass
                self._complain(f"cannot be read: {_word(error)}")
                continue
            if units:  # no text at all is smsd's note of a delivery
                inbox.message(self._message(stamp, sender, units, f"{head} {min(parts).written}"))
                count += 1
            self._remove(parts)
        return count

    def _found(self) -> dict[tuple[str, str, str], list[_Part]]:
        """The files of each message, by the beginning of their names, its time and its sender."""
        found: dict[tuple[str, str, str], list[_Part]] = {}
        strange: list[Path] = []
        for entry in _entries(self._spool / "inbox"):
            name = _IN.fullmatch(entry.name)
            if name:
                part = _Part(int(name[4]), Path(entry.path), _written(entry))
                found.setdefault((name[1], name[2], name[3]), []).append(part)
            elif not entry.name.startswith("."):
                strange.append(Path(entry.path))
        for path in strange:
            self._put_aside([path], "no name of a message")
        return found

    def _message(self, stamp: str, sender: str, units: list[bytes], undated: str) -> Inbound:
        """A message by who, when and how it begins: the first part is the last to be removed, so a crash changes nothing.

        Modems list a message twice (gammu/gammu#378), in two files. Without a time, only the file tells one from another.
        """
        sent_at = self._moment(stamp)
        seed = os.fsencode(f"{sender}\0{stamp if sent_at else undated}\0") + units[0]
        text = b"".join(units).decode("utf-16-be", "replace")  # at once: a pair may be cut in two between parts
        return Inbound(f"g:{hashlib.sha256(seed).hexdigest()[:32]}", sender, self._sender, text, sent_at)

    def _moment(self, stamp: str) -> datetime | None:
        """The network's time, which is the local one; None when the modem had none."""
        try:
            local = datetime.strptime(stamp, "%Y%m%d_%H%M%S").replace(tzinfo=self._timezone)
        except ValueError:
            return None
        return local.astimezone(UTC) if local.year >= 2000 else None

    def _receipts(self, inbox: Inbox) -> int:
        count = 0
        for folder, status, reason in _RECEIPTS:
            for name in sorted(_names(self._spool / folder)):
                ours = _OURS.fullmatch(name)
                if ours is None:  # somebody else's text, by gammu-smsd-inject
                    continue
                inbox.receipt(Receipt(ours["key"], status, folder, reason))
                count += 1
                path = self._spool / folder / name
                with contextlib.suppress(OSError):
                    os.truncate(path, 0)  # words that nobody needs any more
                self._move(path, self._spool / TOLD / ours["key"])
        return count

    # --- files --------------------------------------------------------------------------------------------------------
    @contextlib.contextmanager
    def _locked(self, what: str, *, wait: bool = True) -> Iterator[bool]:
        """Alone in the spool for `what`, or (without `wait`) False while somebody else is. Death lets go."""
        with (self._spool / f".{what}.lock").open("ab") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            except BlockingIOError:
                yield False
            else:
                yield True

    def _put_aside(self, paths: list[Path], reason: str) -> None:
        """Out of the way of the others, kept, and said once. Names hold numbers, so they are not told."""
        moved = [self._move(path, self._spool / ASIDE / path.name) for path in paths]
        self._complain(f"{'moved to' if all(moved) else 'could not be moved to'} {ASIDE}/: {reason}", again=all(moved))

    def _remove(self, parts: list[_Part]) -> None:
        """The last part first: what a crash leaves behind begins as the message did, and is known by that."""
        try:
            for part in sorted(parts, reverse=True):
                part.path.unlink(missing_ok=True)
        except OSError as error:
            self._complain(f"is kept as a row and cannot be removed: {_word(error)}")

    def _move(self, path: Path, to: Path) -> bool:
        try:
            to.parent.mkdir(exist_ok=True)
            path.rename(to)
        except FileNotFoundError:  # smsd, or a person, was quicker
            return False
        except OSError as error:
            self._complain(f"cannot be moved to {to.parent.name}/: {_word(error)}")
            return False
        return True

    def _complain(self, what: str, *, again: bool = False) -> None:
        if again or what not in self._complaints:
            self._complaints.add(what)
            log.error("gammu: a file of the spool %s", what)

    def _tidy(self) -> None:
        """Forget, now and then, the texts whose end was told long ago, and halves that nobody wrote to their end."""
        now = clock.now().timestamp()
        if now < self._tidied_at + TIDYING:
            return
        self._tidied_at = now
        with contextlib.suppress(OSError):
            halves = [entry for entry in _entries(self._spool / "outbox") if entry.name.endswith(".half")]
            for entry in [*_entries(self._spool / TOLD), *halves]:
                if entry.stat().st_mtime < now - KEPT:
                    Path(entry.path).unlink(missing_ok=True)


def _units(files: list[bytes]) -> list[bytes]:
    """What the parts of one message say, in UTF-16; nothing when it is a delivery report.

    Raises: ValueError for what is no text, or not all of it.
    """
    if files[0].startswith(BACKUP):
        return [part for file in files for part in _backup(file)]
    units: list[bytes] = []
    for file in files:
        if not file.startswith(BOM):
            raise ValueError("not whole, or neither of InboxFormat = detail nor unicode")
        body = file[len(BOM) :]
        end = next((n for n in range(0, len(body) - 1, 2) if body[n : n + 2] == b"\0\0"), len(body))
        units.append(body[:end])
    return units


def _backup(file: bytes) -> list[bytes]:
    """The parts in a `detail` file: `[SMSBackup000]` and on, a section a part. Raises: ValueError."""
    units: list[bytes] = []
    whole = False
    for line in file.split(b"\n"):  # at nothing else: comments repeat people's words
        key, _, value = line.decode("ascii", "replace").partition(" = ")
        if key.startswith("["):
            units.append(b"")
            whole = False
        elif re.fullmatch(r"Text\d\d", key) and units:
            units[-1] += bytes.fromhex(value)
        elif key == "Coding" and value.strip() == "8bit":
            raise ValueError("a message of data, not of text")
        elif key == "PDU" and value.strip() == "Status_Report":
            return []
        elif key == "Length":  # it follows the text
            whole = True
    if not whole:
        raise ValueError("not whole")
    return units


def _names(folder: Path) -> list[str]:
    return [entry.name for entry in _entries(folder)]


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    """What is in a folder. One of ours that is not there yet is empty. Raises: OSError when one of smsd's is missing."""
    try:
        return list(os.scandir(folder))
    except FileNotFoundError:
        if folder.name in FOLDERS:
            raise
        return []


def _written(entry: os.DirEntry[str]) -> float:
    """When a file was written, in seconds since 1970; now, when it has just been taken away."""
    try:
        return entry.stat().st_mtime
    except FileNotFoundError:
        return clock.now().timestamp()


def _word(error: Exception) -> str:
    """What went wrong, without the path: names of files hold numbers."""
    if isinstance(error, OSError):
        return errno.errorcode.get(error.errno or 0, type(error).__name__)
    return str(error) if type(error) is ValueError else type(error).__name__


def _sync(folder: Path) -> None:
    """Make the folder's names survive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

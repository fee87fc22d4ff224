"""The one way in which rows become things: batches that commit, and inside them each row on its own."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import itertools
import operator
import sqlite3
from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager
from typing import NamedTuple

from circular import db
from circular.errors import FieldError, Refusal
from circular.imports.report import Report
from circular.imports.tables import Table

BATCH = 1000  # rows of one transaction: SQLite's other writers wait for an eighth of a second

Cells = dict[str, str]


class Identity(NamedTuple):
    """What names the thing of a row: no two rows of a file may share it. `column` is where it is written."""

    column: str
    name: object


class _Undone(Exception):
    """Rolls a dry run back."""


def _alone(_batch: list[Cells]) -> AbstractContextManager[None]:
    return contextlib.nullcontext()


class _Names:
    """Which row of a file first named a thing. On disk (a temporary file of SQLite's own), so that memory stays flat."""

    def __init__(self) -> None:
        self._known = sqlite3.connect("", isolation_level=None)
        self._known.execute("PRAGMA cache_size = -1024")
        self._known.execute("CREATE TABLE name (digest BLOB PRIMARY KEY, number INTEGER) WITHOUT ROWID")
        self._known.execute("BEGIN")

    def first(self, identity: Identity, number: int) -> int:
        """The first row that named it: `number` itself when none did before."""
        digest = hashlib.blake2b(repr(identity).encode(), digest_size=16).digest()
        if self._known.execute("INSERT OR IGNORE INTO name VALUES (?, ?)", (digest, number)).rowcount:
            return number
        return int(self._known.execute("SELECT number FROM name WHERE digest = ?", (digest,)).fetchone()[0])

    def close(self) -> None:
        """Let go of the file."""
        self._known.close()


def load(
    table: Table,
    put: Callable[[Cells], str],
    identity: Callable[[Cells], Identity | None],
    *,
    known: Collection[str] | None = None,
    columns: Mapping[str, str] | None = None,
    dry_run: bool = False,
    progress: Callable[[int, int], None] | None = None,
    apart: Callable[[], AbstractContextManager[None]] = db.transaction,
    together: Callable[[list[Cells]], AbstractContextManager[None]] = _alone,
) -> Report:
    """Put every row of a table, good ones without the bad ones.

    `put` says "created", "updated" or "unchanged" or raises a Refusal; it is called inside `apart()`, which undoes what it
    wrote before it refused, and inside `together(batch)`, entered once a batch. `known` are the columns that mean something
    (None: any), `columns` the file's names of the noun's fields; `progress` hears how many rows of how many are done. A dry
    run goes through the same steps and rolls each batch back: nothing is written, and nobody waits longer for it than for
    a real one.

    Raises: Refusal for what is wrong with more than one row; the batches before it stay.
    """
    report = Report()
    for column in table.columns:
        if known is not None and column not in known:
            report.note(1, column, column, FieldError("unknown_field", {}))
    done = 0
    with contextlib.closing(_Names()) as names:
        while batch := list(itertools.islice(table.rows, BATCH)):
            good, wrong = [], Report()
            for number, cells in batch:
                who = identity(cells)
                first = number if who is None else names.first(who, number)
                if who is not None and first != number:
                    wrong.note(number, who.column, cells.get(who.column, ""), FieldError("duplicate", {"row": first}))
                elif "" in cells:  # more cells than columns: an unquoted comma has shifted what follows it
                    wrong.note(number, "", cells[""], FieldError("unknown_field", {}))
                else:
                    good.append((number, cells))
            act = functools.partial(_batch, good, put, columns or {}, apart=apart, together=together, dry_run=dry_run)
            wrong.add(db.retrying(act))
            wrong.errors.sort(key=operator.attrgetter("row"))
            report.add(wrong)
            done += len(batch)
            if progress is not None:
                progress(done, table.length)
    return report


def _batch(
    batch: list[tuple[int, Cells]],
    put: Callable[[Cells], str],
    columns: Mapping[str, str],
    *,
    apart: Callable[[], AbstractContextManager[None]],
    together: Callable[[list[Cells]], AbstractContextManager[None]],
    dry_run: bool,
) -> Report:
    report = Report()
    with contextlib.suppress(_Undone), db.transaction(), together([cells for _, cells in batch]):
        for number, cells in batch:
            try:
                with apart():
                    outcome = put(cells)
            except Refusal as refusal:
                report.refused(number, cells, refusal, columns)
            else:
                report.count(outcome)
        if dry_run:
            raise _Undone
    return report

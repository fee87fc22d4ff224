"""The one way in which rows become things: batches that commit, and inside them each row on its own."""

from __future__ import annotations

import contextlib
import functools
import itertools
from collections.abc import Callable, Collection, Mapping
from typing import NamedTuple

from circular import db
from circular.errors import FieldError, Refusal
from circular.imports.report import Report
from circular.imports.tables import Table

BATCH = 500  # rows of one transaction: SQLite's other writers wait for a quarter of a second at most

Cells = dict[str, str]


class Identity(NamedTuple):
    """What names the thing of a row: no two rows of a file may share it. `column` is where it is written."""

    column: str
    name: object


class _Undone(Exception):
    """Rolls a dry run back."""


def load(
    table: Table,
    put: Callable[[Cells], str],
    identity: Callable[[Cells], Identity | None],
    *,
    known: Collection[str] | None = None,
    columns: Mapping[str, str] | None = None,
    dry_run: bool = False,
    progress: Callable[[int], None] | None = None,
    together: Callable[[], contextlib.AbstractContextManager[None]] = contextlib.nullcontext,
) -> Report:
    """Put every row of a table, good ones without the bad ones.

    `put` says "created", "updated" or "unchanged" or raises a Refusal; it is called inside `together()`, entered once a
    batch. `known` are the columns that mean something (None: any), `columns` the file's names of the noun's fields;
    `progress` hears how many rows are done. A dry run goes through the same steps and rolls each batch back: nothing is
    written, and nobody waits longer for it than for a real one.

    Raises: Refusal for what is wrong with more than one row; the batches before it stay.
    """
    report = Report()
    for column in table.columns:
        if known is not None and column not in known:
            report.note(1, column, column, FieldError("unknown_field", {}))
    first_rows: dict[Identity, int] = {}
    done = 0
    while batch := list(itertools.islice(table.rows, BATCH)):
        repeats = {}
        for number, cells in batch:
            who = identity(cells)
            if who is not None and first_rows.setdefault(who, number) != number:
                repeats[number] = (who.column, first_rows[who])
        report.add(
            db.retrying(
                functools.partial(_batch, batch, repeats, put, columns or {}, together=together, dry_run=dry_run)
            )
        )
        done += len(batch)
        if progress is not None:
            progress(done)
    return report


def _batch(
    batch: list[tuple[int, Cells]],
    repeats: Mapping[int, tuple[str, int]],
    put: Callable[[Cells], str],
    columns: Mapping[str, str],
    *,
    together: Callable[[], contextlib.AbstractContextManager[None]],
    dry_run: bool,
) -> Report:
    report = Report()
    with contextlib.suppress(_Undone), db.transaction(), together():
        for number, cells in batch:
            if number in repeats:
                column, first = repeats[number]
                report.note(number, column, cells.get(column, ""), FieldError("duplicate", {"row": first}))
            elif "" in cells:  # more cells than columns: an unquoted comma has shifted what follows it
                report.note(number, "", cells[""], FieldError("unknown_field", {}))
            else:
                try:
                    with db.transaction():
                        outcome = put(cells)
                except Refusal as refusal:
                    report.refused(number, cells, refusal, columns)
                else:
                    report.count(outcome)
        if dry_run:
            raise _Undone
    return report

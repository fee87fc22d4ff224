"""CSV and XLSX as rows of text, numbered as a spreadsheet shows them; and cells that no spreadsheet takes for a formula.

A CSV file is read twice and never held: first to prove that it can be read to its end (encoding, quotes), so that
nothing is written of a file that breaks off, then row by row. An XLSX is a ZIP of XML that must be opened whole.
"""

from __future__ import annotations

import contextlib
import csv
import io
import re
import shutil
import tempfile
import zipfile
from collections.abc import Iterable, Iterator
from datetime import date, datetime, time
from typing import IO, NamedTuple

import python_calamine

from circular.errors import Refusal

DELIMITERS = (",", ";", "\t", "|")
# What spreadsheets write where it is not UTF-8. More candidates make short French texts come out as Slavic or Greek.
OLD_ENCODINGS = ["cp1252", "mac_roman"]
SAMPLE = 64 * 1024  # bytes or characters that show encoding and delimiter
SPOOLED = 1024 * 1024  # bytes of a stream without seek that stay in memory; the rest goes to a temporary file
MOST_SHEET_BYTES = 512 * 1024 * 1024  # an XLSX that unpacks to more is an attack or a mistake

_WORKBOOKS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")  # XLSX, ODS; old XLS
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_FORMULA = re.compile(r"'*[=+\-@\t\r]")
_GUARDED = re.compile(r"'+[=+\-@\t\r]")
_NUMBER = re.compile(r"[+-]?[0-9]+([.,][0-9]+)?")


class Table(NamedTuple):
    """Columns in lower case, and rows: (number as a spreadsheet shows it, text by column).

    The header is row 1 unless blank rows come before it. Blank rows are left out but counted. What stands right of the
    last column is kept under the column `""`. `length` is how many rows there are, more or less: for a progress bar.
    """

    columns: tuple[str, ...]
    rows: Iterator[tuple[int, dict[str, str]]]
    length: int


def read_table(stream: IO[bytes], required: Iterable[str] = ()) -> Table:
    """The first sheet of an XLSX, or a CSV in whatever encoding and delimiter it has. `stream` is left open.

    Raises: Refusal("unreadable_file") also for an empty file and for columns without a name or with the same one;
    Refusal("missing_columns") with those of `required` that are not there.
    """
    with contextlib.ExitStack() as spooled:
        source = stream if stream.seekable() else spooled.enter_context(_spool(stream))
        start = source.tell()
        magic = source.read(8)
        source.seek(start)
        records, length = _sheet_records(source) if magic.startswith(_WORKBOOKS) else _csv_records(source, start, magic)
        _, header = next(records, (0, []))
        columns = tuple(name.lower() for name in header)
        if not columns or "" in columns or len(set(columns)) < len(columns):
            raise Refusal("unreadable_file")
        missing = [name for name in required if name not in columns]
        if missing:
            raise Refusal("missing_columns", columns=", ".join(missing))
        return Table(columns, _rows(columns, records, spooled.pop_all()), length - 1)


def guard(text: str) -> str:
    """A cell that no spreadsheet runs as a formula: a leading ' where it begins like one. Plain numbers stay as they are."""
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text


def _unguard(text: str) -> str:
    return text[1:] if _GUARDED.match(text) else text


def _rows(
    columns: tuple[str, ...], records: Iterator[tuple[int, list[str]]], spooled: contextlib.ExitStack
) -> Iterator[tuple[int, dict[str, str]]]:
    width = len(columns)
    with spooled:
        for number, cells in records:
            row = dict(zip(columns, cells, strict=False))
            if len(cells) < width:
                row.update(dict.fromkeys(columns[len(cells) :], ""))
            elif len(cells) > width:
                row[""] = " ".join(cells[width:])
            yield number, row


def _records(raw: Iterable[list[str]]) -> Iterator[tuple[int, list[str]]]:
    """Numbered records without blanks around cells, blank cells at the end, and blank records."""
    for number, cells in enumerate(raw, 1):
        tidy = [_unguard(cell.replace("\0", "").strip()) for cell in cells]
        while tidy and not tidy[-1]:
            tidy.pop()
        if tidy:
            yield number, tidy


def _spool(stream: IO[bytes]) -> IO[bytes]:
    """A copy that can be read twice; the caller closes it."""
    spool: IO[bytes] = tempfile.SpooledTemporaryFile(SPOOLED)  # noqa: SIM115 - lives as long as the rows are read
    shutil.copyfileobj(stream, spool)
    spool.seek(0)
    return spool


# --- CSV --------------------------------------------------------------------------------------------------------------
_Records = tuple[Iterator[tuple[int, list[str]]], int]  # and how many they are


def _csv_records(source: IO[bytes], start: int, magic: bytes) -> _Records:
    encoding = "utf-16" if magic.startswith(_UTF16) else "utf-8-sig"
    try:
        delimiter, length = _prove(source, start, encoding)
    except UnicodeError:
        encoding = _old_encoding(source, start)
        delimiter, length = _prove(source, start, encoding)
    return _records(_read_csv(source, start, encoding, delimiter)), length


def _prove(source: IO[bytes], start: int, encoding: str) -> tuple[str, int]:
    """The delimiter and the number of records, once the file was read to its end.

    Raises: Refusal("unreadable_file"), UnicodeError.
    """
    with _text(source, start, encoding) as text:
        delimiter = _delimiter(text.read(SAMPLE))
    try:
        return delimiter, sum(map(any, _read_csv(source, start, encoding, delimiter)))
    except csv.Error:
        raise Refusal("unreadable_file") from None


def _delimiter(sample: str) -> str:
    """The one that cuts the header into the most columns."""

    def width(delimiter: str) -> int:
        header = next(filter(any, csv.reader(io.StringIO(sample, newline=""), delimiter=delimiter)), [])
        return len(header)

    return max(DELIMITERS, key=width)


def _read_csv(source: IO[bytes], start: int, encoding: str, delimiter: str) -> Iterator[list[str]]:
    with _text(source, start, encoding) as text:
        yield from csv.reader(text, delimiter=delimiter)


@contextlib.contextmanager
def _text(source: IO[bytes], start: int, encoding: str) -> Iterator[io.TextIOWrapper]:
    """`source` as text; handed back open, as it is the caller's."""
    source.seek(start)
    # cp1252 leaves five bytes without a letter: the sign that replaces them is found as lost text, row by row.
    errors = "replace" if encoding in OLD_ENCODINGS else "strict"
    text = io.TextIOWrapper(source, encoding, errors, newline="")
    try:
        yield text
    finally:
        if not source.closed:  # rows that nobody read to the end may outlive the file
            text.detach()


def _old_encoding(source: IO[bytes], start: int) -> str:
    import charset_normalizer  # 6 ms, for files that are not UTF-8 alone

    source.seek(start)
    guess = charset_normalizer.from_bytes(source.read(SAMPLE), cp_isolation=OLD_ENCODINGS).best()
    if guess is None:
        raise Refusal("unreadable_file")
    return guess.encoding if guess.encoding in OLD_ENCODINGS else OLD_ENCODINGS[0]


# --- XLSX -------------------------------------------------------------------------------------------------------------
def _sheet_records(source: IO[bytes]) -> _Records:
    start = source.tell()
    try:
        if zipfile.is_zipfile(source):
            with zipfile.ZipFile(source) as archive:
                if sum(part.file_size for part in archive.infolist()) > MOST_SHEET_BYTES:
                    raise Refusal("unreadable_file")
        source.seek(start)
        sheet = python_calamine.CalamineWorkbook.from_filelike(source).get_sheet_by_index(0)
    except (python_calamine.CalamineError, zipfile.BadZipFile, IndexError):
        raise Refusal("unreadable_file") from None
    return _records([_cell(value) for value in row] for row in sheet.iter_rows()), sheet.height


def _cell(value: object) -> str:
    """A cell as text: 12.0 -> `12`, dates and times in ISO form, midnight as the day alone."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, datetime):
        return value.date().isoformat() if value.time() == time(0) else value.isoformat()
    if isinstance(value, date | time):
        return value.isoformat()
    return str(value)

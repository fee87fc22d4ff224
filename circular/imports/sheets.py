"""The first sheet of an XLSX, row by row, in memory that does not grow with it.

A library opens a workbook whole (66 MB more for 100,000 rows of nine cells). Here the XML is read as it is unpacked, and
its shared strings, which come before the rows that point at them, wait in a temporary file.
"""

from __future__ import annotations

import array
import math
import posixpath
import re
import tempfile
import zipfile
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from typing import IO, Any
from xml.parsers import expat

CHUNK = 64 * 1024  # bytes
SPOOLED = 1024 * 1024  # bytes of shared strings that stay in memory
# Day 0 by whether it is 1904's; Excel counts a 29 February 1900, so that no day before March of that year is right.
EPOCHS = {False: datetime.fromisoformat("1899-12-30"), True: datetime.fromisoformat("1904-01-01")}
MOST_ROWS = 1_048_576  # Excel's own limits
MOST_COLUMNS = 16_384
_DATES = frozenset(
    (*range(14, 23), *range(27, 37), *range(45, 48), *range(50, 59))
)  # number formats that Excel knows by heart
_QUOTED = re.compile(
    r'"[^"]*"|\\.|\[[^\]]*\]|general|standard', re.IGNORECASE
)  # of a number format: no letter in it means anything
_PLACE = re.compile(r"([A-Z]{1,3})[0-9]+")
Value = str | bool | float | datetime | date | time


class NotThisFormatError(Exception):
    """A ZIP that is no workbook as it is read here."""


class _Strings:
    """Texts by number, on disk."""

    def __init__(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(SPOOLED)  # noqa: SIM115 - closed with this
        self._ends = array.array("Q", [0])

    def add(self, text: str) -> None:
        """The next one."""
        data = text.encode("utf-8", "replace")
        self._file.write(data)
        self._ends.append(self._ends[-1] + len(data))

    def __getitem__(self, number: int) -> str:
        start, end = self._ends[number], self._ends[number + 1]
        self._file.seek(start)
        return self._file.read(end - start).decode()

    def __del__(self) -> None:
        self._file.close()


def open_sheet(source: IO[bytes]) -> tuple[Iterator[list[Value]], int]:
    """The rows of the first sheet from row 1 on, blank ones too, and how many there are, more or less.

    The whole file is read once before the first row is given: one that breaks off gives none.
    Raises: NotThisFormatError, zipfile.BadZipFile, expat.ExpatError, and KeyError, ValueError or IndexError for what points
    nowhere.
    """
    archive = zipfile.ZipFile(source)
    book = _target(archive, "", "officeDocument")
    sheet, epoch = None, EPOCHS[False]
    for name, attributes in _elements(archive, book):
        if name == "workbookPr" and attributes.get("date1904") in ("1", "true"):
            epoch = EPOCHS[True]
        elif name == "sheet" and sheet is None:
            sheet = next(value for key, value in attributes.items() if key.endswith(" id"))
    if sheet is None or not book.endswith(".xml"):
        raise NotThisFormatError
    part = _target(archive, book, sheet)
    strings = _strings(archive, _target(archive, book, "sharedStrings", missing=""))
    dates = _dates(archive, _target(archive, book, "styles", missing=""))
    height = 0
    for name, attributes in _elements(archive, part, most=20):
        if name == "dimension":
            height = int("".join(re.findall(r"[0-9]+$", attributes.get("ref", ""))) or 0)
    with archive.open(part) as stream:
        _parse(stream, _parser())  # to its end
    return _rows(archive, part, strings, dates, epoch), height


def _parser() -> Any:
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True

    def refuse(*_: object) -> None:
        raise NotThisFormatError  # entities: nobody needs them here, and they can be made to grow without end

    parser.EntityDeclHandler = refuse
    return parser


def _parse(stream: IO[bytes], parser: Any) -> None:
    while chunk := stream.read(CHUNK):
        parser.Parse(chunk, False)
    parser.Parse(b"", True)


def _elements(archive: zipfile.ZipFile, part: str, most: int = 10**6) -> list[tuple[str, dict[str, str]]]:
    """The first elements of a small part, without their namespaces, and their attributes with them."""
    found: list[tuple[str, dict[str, str]]] = []
    parser = _parser()
    parser.StartElementHandler = lambda name, attributes: found.append((name.rpartition(" ")[2], attributes))
    with archive.open(part) as stream:
        while len(found) < most and (chunk := stream.read(CHUNK)):
            parser.Parse(chunk, False)
    return found[:most]


def _target(archive: zipfile.ZipFile, part: str, wanted: str, missing: str | None = None) -> str:
    """The part that another one points at, by the end of the relation's type, or by its id."""
    folder, name = posixpath.split(part)
    relations = posixpath.join(folder, "_rels", f"{name}.rels")
    for element, attributes in _elements(archive, relations) if relations in archive.NameToInfo else ():
        if element == "Relationship" and (attributes["Type"].endswith(f"/{wanted}") or attributes["Id"] == wanted):
            return posixpath.normpath(posixpath.join("/", folder, attributes["Target"])).lstrip("/")
    if missing is None:
        raise NotThisFormatError
    return missing


def _strings(archive: zipfile.ZipFile, part: str) -> _Strings:
    """The shared strings: runs of text together, without how they are pronounced."""
    found = _Strings()
    if not part:
        return found
    text: list[str] = []
    inside: list[str] = []  # elements that are open

    def start(name: str, _: object) -> None:
        inside.append(name.rpartition(" ")[2])
        if inside[-1] == "si":
            text.clear()

    def end(_: str) -> None:
        if inside.pop() == "si":
            found.add("".join(text))

    def data(piece: str) -> None:
        if inside[-1] == "t" and "rPh" not in inside:
            text.append(piece)

    parser = _parser()
    parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler = start, end, data
    with archive.open(part) as stream:
        _parse(stream, parser)
    return found


def _dates(archive: zipfile.ZipFile, part: str) -> list[bool]:
    """For each style of a cell, whether its number is a date or a time."""
    formats: dict[str, str] = {}
    found: list[bool] = []
    inside = False
    for name, attributes in _elements(archive, part) if part else ():
        if name == "numFmt":
            formats[attributes["numFmtId"]] = _QUOTED.sub("", attributes.get("formatCode", "")).lower()
        elif name in ("cellXfs", "cellStyles"):
            inside = name == "cellXfs"
        elif name == "xf" and inside:
            number = attributes.get("numFmtId", "0")
            found.append(bool(set("dmyhs") & set(formats[number])) if number in formats else _whole(number) in _DATES)
    return found


def _rows(
    archive: zipfile.ZipFile, part: str, strings: _Strings, dates: list[bool], epoch: datetime
) -> Iterator[list[Value]]:
    reader = _Reader(strings, dates, epoch)
    given = 0
    with archive.open(part) as stream:
        while chunk := stream.read(CHUNK):
            reader.parser.Parse(chunk, False)
            for number, cells in reader.done:
                while given < number - 1:  # rows that are left out are blank
                    given += 1
                    yield []
                given += 1
                yield cells
            reader.done.clear()


class _Reader:
    """Gathers the rows of a sheet in `done`, as the parser meets them."""

    def __init__(self, strings: _Strings, dates: list[bool], epoch: datetime) -> None:
        self.strings, self.dates, self.epoch = strings, dates, epoch
        self.done: list[tuple[int, list[Value]]] = []
        self.number = 0
        self.cells: list[Value] = []
        self.column = 0
        self.kind, self.style = "n", 0
        self.text: list[str] = []
        self.wanted = False  # what is said now is the cell's
        self.spoken = False  # how it is pronounced
        self.parser = _parser()
        self.parser.StartElementHandler, self.parser.EndElementHandler = self.start, self.end
        self.parser.CharacterDataHandler = self.data

    def start(self, name: str, attributes: dict[str, str]) -> None:
        """An element begins."""
        name = name.rpartition(" ")[2]
        if name == "c":
            place = _PLACE.fullmatch(attributes.get("r", ""))
            self.column = _column(place[1]) if place else len(self.cells)
            if self.column >= MOST_COLUMNS:
                raise NotThisFormatError
            self.kind, self.style = attributes.get("t", "n"), _whole(attributes.get("s", "0"))
            self.text.clear()
        elif name in ("v", "t"):
            self.wanted = not self.spoken
        elif name == "rPh":
            self.spoken = True
        elif name == "row":
            self.number = max(self.number + 1, min(_whole(attributes.get("r", "0")), MOST_ROWS))
            self.cells = []

    def data(self, text: str) -> None:
        """Text."""
        if self.wanted:
            self.text.append(text)

    def end(self, name: str) -> None:
        """An element ends."""
        name = name.rpartition(" ")[2]
        if name in ("v", "t"):
            self.wanted = False
        elif name == "rPh":
            self.spoken = False
        elif name == "c":
            if self.text:
                self.cells += [""] * (self.column - len(self.cells))
                self.cells[self.column :] = [self.value("".join(self.text))]
        elif name == "row":
            self.done.append((self.number, self.cells))

    def value(self, text: str) -> Value:
        """What a cell holds; as it is written when it is not what it says it is."""
        try:
            if self.kind == "s":
                return self.strings[int(text)]
            if self.kind == "b":
                return text.strip() in ("1", "true")
            if self.kind == "d":
                return datetime.fromisoformat(text)
            number = float(text) if self.kind == "n" else None
        except (ValueError, IndexError):
            number = None
        if number is None or not math.isfinite(number):
            return text
        return self.moment(number) if self.style < len(self.dates) and self.dates[self.style] else number

    def moment(self, days: float) -> Value:
        """A date or time from a number of days: exact to the second."""
        try:
            moment = self.epoch + timedelta(seconds=round(days * 86_400))
            return moment.time() if 0 < days < 1 else moment
        except OverflowError:
            return days


def _whole(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() else 0


def _column(letters: str) -> int:
    """`A` -> 0, `AA` -> 26."""
    number = 0
    for letter in letters:
        number = number * 26 + ord(letter) - 64
    return number - 1

"""Whatever people call a CSV or a spreadsheet."""

from __future__ import annotations

import io
import tracemalloc
from typing import IO

import pytest

from circular.errors import Refusal
from circular.imports import read_table
from circular.imports.tables import guard
from tests.imports.files import Day, xlsx


def _read(content: bytes, *required: str) -> list[tuple[int, dict[str, str]]]:
    return list(read_table(io.BytesIO(content), required).rows)


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_read_a_csv_in_any_delimiter_and_encoding(delimiter: str, encoding: str) -> None:
    text = (
        f"Titre{delimiter}Quantité\r\nÉvier déposé à la mairie{delimiter}3\r\nTôle ondulée récupérée{delimiter}12\r\n"
    )

    found = _read(text.encode(encoding))

    assert found == [
        (2, {"titre": "Évier déposé à la mairie", "quantité": "3"}),
        (3, {"titre": "Tôle ondulée récupérée", "quantité": "12"}),
    ]


def test_read_numbers_rows_as_a_spreadsheet_shows_them() -> None:
    """Blank rows count, a cell over two lines does not."""
    found = _read(b'title,note\n\n a ,"two\nlines"\n,\nb,\n')

    assert found == [(3, {"title": "a", "note": "two\nlines"}), (5, {"title": "b", "note": ""})]


def test_read_tolerates_nul_short_rows_and_old_line_ends() -> None:
    assert _read(b"a,b,c\rx\0y,2\rz\r") == [(2, {"a": "xy", "b": "2", "c": ""}), (3, {"a": "z", "b": "", "c": ""})]


def test_read_keeps_what_stands_right_of_the_last_column() -> None:
    assert _read(b"a,b,,\n1,2,,\n1,2,3,4\n") == [(2, {"a": "1", "b": "2"}), (3, {"a": "1", "b": "2", "": "3 4"})]


@pytest.mark.parametrize(
    "content",
    [b"", b"\n\n", b"a,a\n1,2\n", b"a,,c\n1,2,3\n", b"PK\x03\x04 no workbook", b"\xff\xfe\x00", bytes(range(256)) * 9,
     b'a,b\n1,"' + b"x" * 200_000],
    ids=["empty", "blank", "twice", "nameless", "no zip", "half a utf-16", "binary", "quote never closed"],
)  # fmt: skip
def test_read_an_unreadable_file(content: bytes) -> None:
    with pytest.raises(Refusal) as caught:
        _read(content)

    assert caught.value.code == "unreadable_file"


def test_read_names_missing_columns() -> None:
    with pytest.raises(Refusal) as caught:
        _read(b"title\nx\n", "title", "kind", "unit")

    assert (caught.value.code, caught.value.facts) == ("missing_columns", {"columns": "kind, unit"})


def test_read_an_xlsx() -> None:
    """Numbers lose their .0, dates are ISO, blank rows count."""
    sheet = xlsx(["Title", "quantity", "available_from"], [None], ["Évier", 12, Day(46000)], ["Porte", 2.5])

    assert list(read_table(sheet).rows) == [
        (3, {"title": "Évier", "quantity": "12", "available_from": "2025-12-09"}),
        (4, {"title": "Porte", "quantity": "2.5", "available_from": ""}),
    ]


class _Pipe(io.RawIOBase):
    """A stream that cannot go back."""

    def __init__(self, content: bytes) -> None:
        self._rest = io.BytesIO(content)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]
        return self._rest.readinto(buffer)


def test_read_a_stream_that_cannot_seek() -> None:
    pipe: IO[bytes] = io.BufferedReader(_Pipe(b"a\n1\n"))  # type: ignore[type-var]

    assert list(read_table(pipe).rows) == [(2, {"a": "1"})]


def test_read_leaves_the_stream_open() -> None:
    stream = io.BytesIO(b"a,b\n1,2\n")

    list(read_table(stream).rows)

    assert not stream.closed


def test_read_a_long_file_in_flat_memory() -> None:
    content = io.BytesIO(b"title,description\n" + b"Planche,une longue description\n" * 100_000)
    tracemalloc.start()

    count = sum(1 for _ in read_table(content).rows)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert count == 100_000
    assert peak < 2_000_000


@pytest.mark.parametrize("text", ["=1+1", "+33 1", "-2+3", "@SUM(A1)", "\tx", "\rx", "'=1+1", "''-x"])
def test_guard_puts_a_quote_before_a_formula(text: str) -> None:
    assert guard(text) == f"'{text}"


@pytest.mark.parametrize("text", ["", "Planche", "-61.003", "+596596527385", "-1,5", "'90 radiateur", "l'évier"])
def test_guard_leaves_numbers_and_words(text: str) -> None:
    assert guard(text) == text

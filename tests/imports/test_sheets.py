"""XLSX read row by row: as a library that opens it whole reads it, in whatever way a program wrote it."""

from __future__ import annotations

import io
import zipfile
from datetime import datetime
from typing import Any
from xml.sax.saxutils import escape

import pytest
import python_calamine
from hypothesis import given
from hypothesis import strategies as st

from circular.errors import Refusal
from circular.imports import sheets
from circular.imports.tables import _cell, read_table
from tests.imports.files import xlsx

MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
RELATION = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKAGE = "http://schemas.openxmlformats.org/package/2006"
STYLES = (
    f'<styleSheet xmlns="{MAIN}"><numFmts count="3"><numFmt numFmtId="164" formatCode="dd/mm/yyyy\\ hh:mm"/>'
    '<numFmt numFmtId="165" formatCode="0.00&quot; kg days&quot;"/>'
    '<numFmt numFmtId="166" formatCode="[Red]General"/></numFmts>'
    '<cellStyleXfs count="1"><xf numFmtId="14"/></cellStyleXfs><cellXfs count="6"><xf numFmtId="0"/><xf numFmtId="14"/>'
    '<xf numFmtId="164"/><xf numFmtId="165"/><xf numFmtId="166"/><xf numFmtId="2"/></cellXfs></styleSheet>'
)
TEXTS = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=30).filter(str.strip)
CELLS = st.one_of(
    st.none(), TEXTS, st.booleans(), st.integers(-(10**9), 10**9), st.floats(-1e9, 1e9).map(lambda n: round(n, 6)),
    st.datetimes(*map(datetime.fromisoformat, ("1950-01-01", "2100-01-01"))).map(lambda at: at.replace(microsecond=0)),
)  # fmt: skip


def _column(number: int) -> str:
    return (_column(number // 26 - 1) if number >= 26 else "") + chr(65 + number % 26)


def workbook(rows: list[list[Any]], **parts: str) -> io.BytesIO:
    """A workbook with shared strings; an empty row is left out, and so is None. `parts` replace what is written of them."""
    shared: dict[str, int] = {}
    lines = ""
    for number, row in enumerate(rows, 1):
        cells = ""
        for column, value in enumerate(row):
            place = f'r="{_column(column)}{number}"'
            if isinstance(value, str):
                cells += f'<c {place} t="s"><v>{shared.setdefault(value, len(shared))}</v></c>'
            elif isinstance(value, bool):
                cells += f'<c {place} t="b"><v>{int(value)}</v></c>'
            elif isinstance(value, datetime):
                days = (value - datetime.fromisoformat("1899-12-30")).total_seconds() / 86_400
                cells += f'<c {place} s="2"><v>{days!r}</v></c>'
            elif value is not None:
                cells += f'<c {place} s="{3 + column % 3}"><f>1+1</f><v>{value!r}</v></c>'
        if cells:
            lines += f'<row r="{number}">{cells}</row>'
    strings = "".join(f"<si><t xml:space='preserve'>{escape(text)}</t></si>" for text in shared)
    written = {
        "[Content_Types].xml": f'<Types xmlns="{PACKAGE}/content-types"/>',
        "_rels/.rels": f'<Relationships xmlns="{PACKAGE}/relationships"><Relationship Id="r1" '
        f'Type="{RELATION}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{MAIN}" xmlns:r="{RELATION}"><sheets>'
        '<sheet name="Stock" sheetId="7" r:id="rId2"/></sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{PACKAGE}/relationships">'
        f'<Relationship Id="rId1" Type="{RELATION}/styles" Target="styles.xml"/>'
        f'<Relationship Id="rId2" Type="{RELATION}/worksheet" Target="/xl/worksheets/s1.xml"/>'
        f'<Relationship Id="rId3" Type="{RELATION}/sharedStrings" Target="sharedStrings.xml"/></Relationships>',
        "xl/styles.xml": STYLES,
        "xl/sharedStrings.xml": f'<sst xmlns="{MAIN}">{strings}</sst>',
        "xl/worksheets/s1.xml": f'<worksheet xmlns="{MAIN}"><dimension ref="A1:C{len(rows)}"/><sheetData>{lines}</sheetData>'
        "</worksheet>",
        **parts,
    }  # fmt: skip
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in written.items():
            archive.writestr(name, text)
    file.seek(0)
    return file


def _ours(file: io.BytesIO) -> list[list[str]]:
    rows, _ = sheets.open_sheet(file)
    return _tidy([[_cell(value) for value in row] for row in rows])


def _tidy(rows: list[list[str]]) -> list[list[str]]:
    """Without blank cells at the ends of rows, nor blank rows at the end."""
    for row in rows:
        while row and not row[-1].strip():
            row.pop()
    while rows and not rows[-1]:
        rows.pop()
    return rows


@given(st.lists(st.lists(CELLS, max_size=30), max_size=12))
def test_it_reads_as_a_library_does(rows: list[list[Any]]) -> None:
    """Texts, numbers, dates, truths, cells and rows left out; and each row keeps its number."""
    rows = [["first", *row[1:]] if number == 0 else row for number, row in enumerate(rows)]
    file = workbook([["corner"], *rows])

    library = python_calamine.CalamineWorkbook.from_filelike(file).get_sheet_by_index(0)
    expected = _tidy([[_cell(value) for value in row] for row in library.to_python(skip_empty_area=False)])
    file.seek(0)

    assert _ours(file) == expected


def test_numbers_of_rows_and_the_header() -> None:
    """Rows that the file leaves out are counted."""
    table = read_table(workbook([[], ["kind", "title"], [], ["material", "Planche"]]))

    assert (table.columns, table.length) == (("kind", "title"), 3)
    assert list(table.rows) == [(4, {"kind": "material", "title": "Planche"})]


def test_texts_in_runs_and_how_they_are_pronounced() -> None:
    """Bold parts belong to a text, phonetic guides do not."""
    runs = '<r><t>Plan</t></r><r><rPr><b/></rPr><t>che</t></r><rPh sb="0" eb="1"><t>ban</t></rPh>'
    strings = f'<sst xmlns="{MAIN}"><si>{runs}</si></sst>'
    assert _ours(workbook([["x"]], **{"xl/sharedStrings.xml": strings})) == [["Planche"]]


def test_days_count_from_1904_on_some_machines() -> None:
    """As the workbook says."""
    book = (
        f'<workbook xmlns="{MAIN}" xmlns:r="{RELATION}"><workbookPr date1904="1"/><sheets>'
        '<sheet name="S" sheetId="1" r:id="rId2"/></sheets></workbook>'
    )
    moment = datetime.fromisoformat("2026-11-25T08:30:00")
    assert _ours(workbook([[moment]], **{"xl/workbook.xml": book})) == [["2030-11-26T08:30:00"]]


def _sheet(rows: str) -> dict[str, str]:
    return {"xl/worksheets/s1.xml": f'<worksheet xmlns="{MAIN}"><sheetData>{rows}</sheetData></worksheet>'}


@pytest.mark.parametrize(
    "rows",
    ['<row r="1"><c r="A1" t="s"><v>99</v></c><c r="B1" t="n"><v>x</v></c></row>',
     '<row r="zz"><c r="?" s="zz" t="d"><v>soon</v></c></row>',
     f'<x:row xmlns:x="{MAIN}"><x:c t="str"><x:v>a</x:v></x:c></x:row>'],
)  # fmt: skip
def test_what_points_nowhere_is_read_as_it_is_written(rows: str) -> None:
    """It is text like any other."""
    table = read_table(workbook([["x"]], **_sheet(rows)))

    assert table.columns and list(table.rows) == []


BOMB = '<!DOCTYPE d [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>'


@pytest.mark.parametrize(
    "parts",
    [{"xl/worksheets/s1.xml": f'<worksheet xmlns="{MAIN}"><sheetData><row r="1"><c r="A1"><v>1'},
     {"xl/worksheets/s1.xml": ""}, {"xl/sharedStrings.xml": "<sst"}, {"xl/workbook.xml": "no xml"},
     {"xl/worksheets/s1.xml": f'{BOMB}<worksheet xmlns="{MAIN}"><sheetData><row><c><v>&b;</v></c></row></sheetData>'}],
)  # fmt: skip
def test_a_workbook_that_breaks_off_is_refused(parts: dict[str, str]) -> None:
    """Before any of its rows is given."""
    with pytest.raises(Refusal, match="unreadable_file"):
        read_table(workbook([["kind"], ["material"]], **parts))


@pytest.mark.parametrize("cut", [10, 200, -30])
def test_a_file_that_was_cut(cut: int) -> None:
    """Half a download is no workbook."""
    with pytest.raises(Refusal, match="unreadable_file"):
        read_table(io.BytesIO(xlsx(["kind"], ["material"]).getvalue()[:cut]))

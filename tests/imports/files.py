"""Small files: CSV as bytes, and an XLSX built by hand (nothing that we depend on can write one)."""

from __future__ import annotations

import csv
import io
import zipfile
from typing import Any

_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_RELATION = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_PARTS = {
    "[Content_Types].xml": f'<Types xmlns="{_PACKAGE}/content-types">'
    '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    '<Override PartName="/xl/workbook.xml" '
    'ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/></Types>',
    "_rels/.rels": f'<Relationships xmlns="{_PACKAGE}/relationships">'
    f'<Relationship Id="r1" Type="{_RELATION}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
    "xl/workbook.xml": f'<workbook xmlns="{_MAIN}" xmlns:r="{_RELATION}"><sheets>'
    '<sheet name="Stock" sheetId="1" r:id="r1"/></sheets></workbook>',
    "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{_PACKAGE}/relationships">'
    f'<Relationship Id="r1" Type="{_RELATION}/worksheet" Target="worksheets/sheet1.xml"/>'
    f'<Relationship Id="r2" Type="{_RELATION}/styles" Target="styles.xml"/></Relationships>',
    "xl/styles.xml": f'<styleSheet xmlns="{_MAIN}"><cellXfs count="2"><xf numFmtId="0"/><xf numFmtId="14"/></cellXfs>'
    "</styleSheet>",
}  # fmt: skip


class Day(int):
    """A cell formatted as a date: days since 1899-12-30."""


def xlsx(*rows: list[Any]) -> io.BytesIO:
    """A workbook of one sheet; None leaves a cell out."""
    lines = ""
    for number, row in enumerate(rows, 1):
        cells = ""
        for letter, value in zip("ABCDEFGHIJKLMNOP", row, strict=False):
            place = f'r="{letter}{number}"'
            if isinstance(value, str):
                cells += f'<c {place} t="inlineStr"><is><t>{value}</t></is></c>'
            elif value is not None:
                cells += (
                    f"<c {place}{' s=' + chr(34) + '1' + chr(34) if isinstance(value, Day) else ''}><v>{value}</v></c>"
                )
        lines += f'<row r="{number}">{cells}</row>'
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, part in _PARTS.items():
            archive.writestr(name, part)
        archive.writestr(
            "xl/worksheets/sheet1.xml", f'<worksheet xmlns="{_MAIN}"><sheetData>{lines}</sheetData></worksheet>'
        )
    file.seek(0)
    return file


def rows(*records: dict[str, Any]) -> io.BytesIO:
    """Records as CSV; the header is that of the first."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(records[0]), restval="")
    writer.writeheader()
    writer.writerows(records)
    return io.BytesIO(text.getvalue().encode())


def plank(**fields: Any) -> dict[str, Any]:
    """A row of a listings file."""
    return {
        "external_id": "p-1", "kind": "material", "title": "Planche sapin", "description": "", "category": "bois-planche",
        "quantity": 10, "unit": "piece", "place": "la-sphere", **fields,
    }  # fmt: skip

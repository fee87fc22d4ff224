"""What goes out comes back in and changes nothing; and no spreadsheet runs it."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from circular import catalog, db, exports, imports
from circular.cli import DEMO
from circular.imports.damage import is_damaged
from circular.text import clean
from tests.town import ADMIN, FABIOLA, Town


def _export(kind: str) -> bytes:
    stream = io.StringIO(newline="")
    exports.export(kind, stream)
    return stream.getvalue().encode()


def _rows(kind: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(_export(kind).decode(), newline="")))


def test_export_then_import_changes_nothing(town: Town) -> None:
    imports.seed(DEMO)

    listings = imports.import_listings(ADMIN, io.BytesIO(_export("listings")))
    projects = imports.import_projects(io.BytesIO(_export("projects")))
    places = imports.import_places(io.BytesIO(_export("places")))

    assert (listings.created, listings.updated, listings.errors) == (0, 0, [])
    assert listings.unchanged == len(_rows("listings"))
    assert (projects.created, projects.updated, projects.errors) == (0, 0, [])
    assert (places.created, places.updated, places.errors) == (0, 0, [])
    assert len(_rows("places")[0]) == 32


NASTY = st.text(st.one_of(st.characters(exclude_categories=["Cs"]), st.sampled_from("=+-@'\t\r\n\",;|1 ")), max_size=30)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(title=NASTY, description=NASTY)
@pytest.mark.parametrize("engine", ["sqlite"])
def test_export_any_text_and_read_it_back(town: Town, title: str, description: str) -> None:
    """Formulas, quotes, line breaks: out and in again, nothing changes, and no cell starts like a formula."""
    assume(clean(title, 200) and not is_damaged(f"{clean(title, 200)} {clean(description, 2000)}"))
    town.listing(title=title, description=description)

    exported = _rows("listings")
    report = imports.import_listings(ADMIN, io.BytesIO(_export("listings")))

    assert (report.created, report.updated, report.errors) == (0, 0, [])
    for row in exported:
        for cell in row.values():
            assert not cell or cell[0] not in "=@\t\r"
            assert not cell or cell[0] not in "+-" or cell[1:].replace(".", "").replace(",", "").isdigit()


def test_export_guards_formulas(town: Town) -> None:
    town.listing(title='=HYPERLINK("http://x.example")')

    assert _rows("listings")[0]["title"].startswith("'=HYPERLINK")


def test_export_ends_lines_as_rfc_4180(town: Town) -> None:
    town.listing()

    assert _export("listings").count(b"\r\n") == 2


def test_export_keeps_drafts_and_leaves_out_what_is_gone(town: Town) -> None:
    town.listing(title="Brouillon", status="draft")
    gone = town.listing(title="Retirée")["code"]
    with db.transaction():
        catalog.withdraw(ADMIN, gone)

    assert [row["title"] for row in _rows("listings")] == ["Brouillon"]


def test_export_reservations_without_phone_or_pickup_code(town: Town) -> None:
    code = town.listing()["code"]
    made: dict[str, Any] = town.reserve(town.person(FABIOLA), code, 2)

    content = _export("reservations").decode()

    row = _rows("reservations")[0]
    assert (row["id"], row["listing"], row["quantity"], row["state"]) == (made["reference"], code, "2", "held")
    assert FABIOLA not in content
    assert not {"phone", "pickup_code", "person_id"} & {*row}


def test_export_more_than_a_page(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exports, "PAGE", 3)
    for _ in range(7):
        town.listing()

    assert len({row["code"] for row in _rows("listings")}) == 7

"""Listings from files: good rows without the bad ones, each bad one named, the same file twice changes nothing."""

from __future__ import annotations

import io

import pytest

from circular import db, i18n, imports, queries
from circular.errors import Refusal
from tests.imports.files import plank, rows, xlsx
from tests.town import ADMIN, Town


def _counts(report: imports.Report) -> tuple[int, int, int, int]:
    return report.created, report.updated, report.unchanged, len(report.errors)


def _titles() -> list[str]:
    return [title for (title,) in db.rows("SELECT title FROM listing ORDER BY id")]


def test_import_creates_then_leaves_unchanged_then_updates(town: Town) -> None:
    """`external_id` makes an import repeatable."""
    first = [plank(), plank(external_id="p-2", title="Porte", category="menuiserie-porte")]
    assert _counts(imports.import_listings(town.staff, rows(*first))) == (2, 0, 0, 0)
    assert _counts(imports.import_listings(town.staff, rows(*first))) == (0, 0, 2, 0)

    changed = [plank(quantity="12"), first[1]]
    report = imports.import_listings(town.staff, rows(*changed))

    assert _counts(report) == (0, 1, 1, 0)
    assert [listing["quantity"] for listing in queries.find(queries.Query(q="planche")).items] == [12_000]


def test_import_passes_good_rows_without_the_bad_ones(town: Town) -> None:
    """Each error names row, column, value and remedy."""
    file = rows(
        plank(),
        plank(external_id="p-2", quantity="beaucoup", category="licorne"),
        plank(external_id="p-3", title="Tôle"),
    )

    with i18n.use("en"):
        answer = imports.as_json(imports.import_listings(ADMIN, file))

    assert _titles() == ["Planche sapin", "Tôle"]
    assert (answer["created"], answer["updated"], answer["unchanged"]) == (2, 0, 0)
    assert answer["errors"] == [
        {"row": 3, "column": "category", "value": "licorne",
         "message": "There is no category licorne. See the list of categories."},
        {"row": 3, "column": "quantity", "value": "beaucoup", "message": "A number is needed, such as 12 or 2.5."},
    ]  # fmt: skip


def test_import_dry_run_writes_nothing_and_reports_the_same(town: Town) -> None:
    records = [plank(external_id=f"p-{n}", quantity=n) for n in range(600)]
    counter = db.value("SELECT last FROM counter WHERE name = 'code'")

    dry = imports.import_listings(ADMIN, rows(*records), dry_run=True)

    assert _titles() == []
    assert db.value("SELECT last FROM counter WHERE name = 'code'") == counter
    assert queries.find(queries.Query(q="planche")).items == []
    assert dry == imports.import_listings(ADMIN, rows(*records))
    assert _counts(dry) == (599, 0, 0, 1)  # a quantity of 0


def test_import_tells_its_progress(town: Town) -> None:
    heard: list[tuple[int, int]] = []
    file = rows(*(plank(external_id=f"p-{n}") for n in range(1001)))

    imports.import_listings(ADMIN, file, progress=lambda done, total: heard.append((done, total)))

    assert heard == [(1000, 1001), (1001, 1001)]


def test_import_refuses_a_second_row_of_the_same_thing(town: Town) -> None:
    """The same external_id at another place is another thing."""
    file = rows(plank(), plank(title="Encore"), plank(place="trois-lieu"))

    report = imports.import_listings(ADMIN, file)

    assert _counts(report) == (2, 0, 0, 1)
    assert report.errors[0] == (3, "external_id", "p-1", ("duplicate", {"row": 2}))


def test_import_names_unknown_columns_once(town: Town) -> None:
    """What the API computes is passed over; anything else is said once, and the rows pass."""
    file = rows(plank(couleur="rouge", available=3, co2e_kg=1), plank(external_id="p-2", couleur="bleu"))

    report = imports.import_listings(ADMIN, file)

    assert _counts(report) == (2, 0, 0, 1)
    assert report.errors[0][:3] == (1, "couleur", "couleur")


def test_import_names_the_column_of_a_refusal(town: Town) -> None:
    """Hazards, another's place, a quantity below what is reserved."""
    imports.import_listings(ADMIN, rows(plank()))
    code = db.value("SELECT code FROM listing")
    town.reserve(town.person(), code, 4)

    file = rows(
        plank(quantity=3, hazards=""),
        plank(external_id="p-2", hazards="asbestos:suspected"),
        plank(external_id="p-3", place="trois-lieu"),
        plank(external_id="p-4", quantity="2 m"),
    )
    report = imports.import_listings(town.staff, file)

    assert [(error.row, error.column, error.value, error.error.code) for error in report.errors] == [
        (2, "quantity", "3", "below_reserved"),
        (3, "hazards", "asbestos:suspected", "publishing_hazard"),
        (4, "place", "trois-lieu", "another_place"),
        (5, "quantity", "2 m", "not_a_number"),
    ]
    assert all(error["message"] for error in imports.as_json(report)["errors"])
    assert db.rows("SELECT quantity, version FROM listing") == [(10_000, 1)]


def test_import_accepts_latitude_and_longitude(town: Town) -> None:
    """And names an error by the column of the file."""
    file = rows(
        plank(latitude="14,61", longitude="-61.0"), plank(external_id="p-2", latitude="north", longitude="-61.0")
    )

    report = imports.import_listings(ADMIN, file)

    assert db.rows("SELECT latitude, longitude FROM listing") == [(14.61, -61.0)]
    assert [error.column for error in report.errors] == ["latitude"]


def test_import_keeps_codes_and_refuses_wrong_ones(town: Town) -> None:
    records = [plank(code="41271"), plank(external_id="p-2", code="41272"), plank(external_id="", code="50213")]

    report = imports.import_listings(ADMIN, rows(*records))

    assert sorted(code for (code,) in db.rows("SELECT code FROM listing")) == ["41271", "50213"]
    assert [(error.row, error.column, error.error.code) for error in report.errors] == [(3, "code", "bad_code")]
    assert _counts(imports.import_listings(ADMIN, rows(records[2]))) == (0, 0, 1, 0)


def test_import_a_french_spreadsheet_saved_as_csv(town: Town) -> None:
    """cp1252, semicolons, decimal commas, a thousands space."""
    text = "kind;title;category;quantity;unit;place\r\nmaterial;Carrelage émaillé récupéré;carrelage;1 234,5;m2;la-sphere\r\n"

    report = imports.import_listings(ADMIN, io.BytesIO(text.encode("cp1252")))

    assert _counts(report) == (1, 0, 0, 0)
    assert db.row("SELECT title, quantity FROM listing") == ("Carrelage émaillé récupéré", 1_234_500)


def test_import_an_xlsx(town: Town) -> None:
    header = ["kind", "title", "category", "quantity", "unit", "place", "code"]
    good = ["material", "Évier", "sanitaire-evier", 3, "piece", "la-sphere", 41271]
    bad = ["material", "Porte", "menuiserie-porte", 2.5, "piece", "la-sphere", None]

    report = imports.import_listings(ADMIN, xlsx(header, good, bad))

    assert db.row("SELECT title, code FROM listing") == ("Évier", "41271")
    assert report.errors == [(3, "quantity", "2.5", ("whole_number", {}))]


def test_import_refuses_lost_accents_and_shifted_cells(town: Town) -> None:
    file = rows(plank(title="Ã‰vier rÃ©cupÃ©rÃ©"), plank(external_id="p-2", title="Sch<e9>ma"))
    report = imports.import_listings(ADMIN, file)
    assert [(error.row, error.column, error.error.code) for error in report.errors] == [
        (2, "title", "mojibake"), (3, "title", "mojibake"),
    ]  # fmt: skip

    shifted = b"kind,title,category,quantity,unit,place\nmaterial,Planche,sapin,bois-planche,1,piece,la-sphere\n"
    report = imports.import_listings(ADMIN, io.BytesIO(shifted))
    assert report.errors == [(2, "", "la-sphere", ("unknown_field", {}))]


def test_import_cuts_a_long_value(town: Town) -> None:
    report = imports.import_listings(ADMIN, rows(plank(title="x" * 5_000)))

    assert len(report.errors[0].value) == 200


def test_import_by_a_resident(town: Town) -> None:
    with pytest.raises(Refusal) as caught:
        imports.import_listings(town.person(), rows(plank()))

    assert caught.value.code == "wrong_role"

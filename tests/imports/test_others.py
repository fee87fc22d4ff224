"""Projects, sites, communes, categories; and the demonstration town."""

from __future__ import annotations

import io
import pathlib
import shutil

import pytest

from circular import catalog, categories, imports, places, projects
from circular.cli import DEMO
from tests.town import Town


def _file(text: str) -> io.BytesIO:
    return io.BytesIO(text.encode())


def _wrong(report: imports.Report) -> list[tuple[int, str, str]]:
    return [(error.row, error.column, error.error.code) for error in report.errors]


def test_seed_loads_a_whole_town_and_twice_changes_nothing(town: Town) -> None:
    first = imports.seed(DEMO)
    again = imports.seed(DEMO)

    assert list(first) == ["communes", "categories", "places", "sites", "listings", "projects"]
    assert [report.errors for report in first.values()] == [[]] * 6
    assert first["listings"].created > 200
    assert all((report.created, report.updated, report.errors) == (0, 0, []) for report in again.values())
    assert catalog.get("41271")["title"].startswith("Planche")


def test_seed_returns_the_errors_of_rows(town: Town, tmp_path: pathlib.Path) -> None:
    for file in DEMO.glob("*.csv"):
        shutil.copy(file, tmp_path)
    (tmp_path / "sites.csv").write_text("code,kind,name,commune\nx1,castle,Château,97213\nx2,friche,Friche,97213\n")

    reports = imports.seed(tmp_path)

    assert _wrong(reports["sites"]) == [(2, "kind", "unknown_choice")]
    assert places.get_site("x2")["name"] == "Friche"


def test_import_projects(town: Town) -> None:
    header = "external_id,code,title,needs\n"
    text = header + "a,,Banc,bois-planche:3:piece\nb,41272,Lit,bois-planche:3:piece\nc,,Table,bois-planche:beaucoup\n"

    dry = imports.import_projects(_file(text), dry_run=True)
    assert projects.find() == []
    report = imports.import_projects(_file(text))

    assert dry == report
    assert [project["title"] for project in projects.find()] == ["Banc"]
    assert _wrong(report) == [(3, "code", "bad_code"), (4, "needs", "needs")]
    assert imports.import_projects(_file(header + "a,,Banc,bois-planche:3:piece\n")).unchanged == 1
    assert imports.import_projects(_file(header + "a,,Banc,bois-planche:4:piece\n")).updated == 1


def test_import_a_project_with_the_code_of_a_listing(town: Town) -> None:
    """Listings and projects share one number space."""
    code = town.listing()["code"]

    report = imports.import_projects(_file(f"code,title,needs\n{code},Banc,bois-planche:3:piece\n"))

    assert _wrong(report) == [(2, "code", "code_taken")]


def test_import_communes(town: Town) -> None:
    header = "insee,name,postcodes,latitude,longitude,population\n"
    report = imports.import_communes(
        _file(
            header
            + "97213,Le Lamentin,97232,x,-61,40000\n99999,Ville,1234,14,-61,1\n98765,Bourg,98765|98766,14,-61,9\n"
        )
    )

    assert report.created == 1
    assert _wrong(report) == [(2, "latitude", "latitude"), (3, "postcodes", "pattern")]
    assert places.find_commune("bourg") == "98765"


@pytest.mark.parametrize("dry_run", [True, False])
def test_import_categories(town: Town, dry_run: bool) -> None:
    """A child may follow its new parent, in a dry run too."""
    before = len(categories.every())
    text = "code,parent,unit,fr,ht,unverified,co2e_kg_per_kg\n"
    text += "liege,,m2,Liège,lyèj,ht,0.19\nliege-dalle,liege,m2,Dalle de liège,,,\nx1,nowhere,ell,,,tlh,-1\n"

    report = imports.import_categories(_file(text), dry_run=dry_run)

    assert (report.created, len(categories.every()) - before) == (2, 0 if dry_run else 2)
    assert sorted(_wrong(report)) == [
        (4, "co2e_kg_per_kg", "not_negative"), (4, "fr", "required"), (4, "parent", "unknown_category"),
        (4, "unit", "unknown_choice"), (4, "unverified", "unknown_choice"),
    ]  # fmt: skip

"""Projects, sites, communes, categories; and the demonstration town."""

from __future__ import annotations

import io
import pathlib
import shutil
from typing import Any

import pytest

from circular import catalog, categories, clock, db, imports, places, projects, slots
from circular.cli import DEMO
from tests.test_reservations import refused
from tests.town import ADMIN, Town


def _file(text: str) -> io.BytesIO:
    return io.BytesIO(text.encode())


def _wrong(report: imports.Report) -> list[tuple[int, str, str]]:
    return [(error.row, error.column, error.error.code) for error in report.errors]


def test_seed_loads_a_whole_town_and_twice_changes_nothing(town: Town) -> None:
    first = imports.seed(DEMO)
    again = imports.seed(DEMO)

    assert list(first) == ["communes", "categories", "places", "sites", "listings", "rules", "projects"]
    assert [report.errors for report in first.values()] == [[]] * 7
    assert first["listings"].created > 200
    assert all((report.created, report.updated, report.errors) == (0, 0, []) for report in again.values())
    assert catalog.get("41271")["title"].startswith("Planche")
    assert slots.rules(catalog.get("50213")) == slots.Rules(60, 180, 60, 60, 0, 0, 60)
    assert slots.rules(_named("la-sphere", "demo-209")).step_minutes == 0
    mill, room = _named("kalibouka", "demo-178"), _named("kalibouka", "demo-201")
    assert (slots.rules(mill).parent_id, slots.rules(mill).training) == (room["id"], "cnc")
    booked = db.rows("SELECT code FROM listing WHERE kind <> 'material' AND status = 'published'")
    assert len(booked) > 30
    assert [code for (code,) in booked if not slots.availability(code, None, clock.later(21 * 86_400))] == []


def _named(place: str, external_id: str) -> dict[str, Any]:
    code = catalog.code_named(place, external_id)
    assert code is not None
    return catalog.get(code)


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


def test_import_rules(town: Town) -> None:
    """Things are named as their place names them, the room in which one stands too; wrong rows are named."""
    room, machine, _ = (
        town.listing(external_id=name, kind=kind) for name, kind in (("r", "room"), ("m", "machine"), ("p", "material"))
    )
    header = "place,external_id,parent,step_minutes,training\n"
    text = header + "la-sphere,m,r,30,scie\nla-sphere,x,,30,\nla-sphere,r,r,30,\nla-sphere,m,,,\nla-sphere,p,,30,\n"

    dry = imports.import_rules(ADMIN, _file(text), dry_run=True)
    assert slots.rules(machine) == slots.Rules()
    report = imports.import_rules(ADMIN, _file(text))

    assert dry == report
    assert (report.created, report.updated) == (0, 1)
    assert _wrong(report) == [
        (3, "external_id", "unknown_listing"), (4, "parent", "unknown_listing"),
        (5, "external_id", "duplicate"), (6, "external_id", "unknown_listing"),
    ]  # fmt: skip
    assert slots.rules(machine) == slots.Rules(step_minutes=30, training="scie", parent_id=room["id"])


def test_import_rules_again(town: Town) -> None:
    """The same file changes nothing; an emptied cell is the usual value of the kind; what has no column stays."""
    room, workshop = town.listing(external_id="r", kind="room"), town.listing(external_id="w", kind="workshop")
    header = "place,external_id,parent,step_minutes,notice_minutes\n"
    imports.import_rules(ADMIN, _file(header + f"la-sphere,w,{room['code']},30,60\n"))
    slots.set_rules(town.staff, workshop["code"], {"quota_minutes": 90})

    assert imports.import_rules(ADMIN, _file(header + "la-sphere,w,r,30,60\n")).unchanged == 1
    assert imports.import_rules(ADMIN, _file(header + "la-sphere,w,,,\n")).updated == 1
    assert slots.rules(workshop) == slots.DEFAULTS["workshop"]._replace(quota_minutes=90)
    wrong = imports.import_rules(ADMIN, _file(header + "la-sphere,w,,-1,soon\n"))
    assert _wrong(wrong) == [(2, "step_minutes", "not_negative"), (2, "notice_minutes", "not_a_number")]


def test_import_rules_is_for_staff(town: Town) -> None:
    """Nobody else sets them."""
    with refused("wrong_role"):
        imports.import_rules(town.person(), _file("place,external_id\nla-sphere,m\n"))


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

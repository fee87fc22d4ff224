"""Large files: flat memory, and a kill -9 in the middle, after which the same file again does the rest."""

from __future__ import annotations

import io
import os
import pathlib
import signal
import subprocess
import sys

import pytest
from flask import Flask
from stdnum import damm

from circular import catalog, db, imports, projects, settings
from tests.imports.files import plank, rows
from tests.town import ADMIN, Town

IMPORT = """
import sys
from tests.fatal import die_before
from circular import db, imports, settings
from circular.cli import ROOT
from circular.imports import loading
url, path, loading.BATCH, point = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
settings.use(settings.load({"DATABASE_URL": url}))
db.open_database(url); db.connect()
if point >= 0:
    die_before(point)
with open(path, "rb") as file:
    report = imports.import_listings(ROOT, file)
status = dict(line.split(":", 1) for line in open("/proc/self/status"))  # ru_maxrss begins at what the parent has
print(report.created, status["VmHWM"].split()[0])
"""


def _import_apart(url: str, path: pathlib.Path, batch: int, kill_at: int = -1) -> subprocess.CompletedProcess[str]:
    """Import a file in a process of its own, killed before its statement number `kill_at`."""
    db.close()
    done = subprocess.run(
        [sys.executable, "-c", IMPORT, url, str(path), str(batch), str(kill_at)], check=False, capture_output=True,
        text=True, cwd=settings.ROOT, env={**os.environ, "PYTHONPATH": str(settings.ROOT)},
    )  # fmt: skip
    db.connect()
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return done


def _found() -> list[str]:
    """The external_ids of all planks, as a search pages through them."""
    page = catalog.find(catalog.Query(q="planche", limit=100))
    found = page.items
    while page.next:
        page = catalog.find(catalog.Query(q="planche", limit=100, cursor=page.next))
        found += page.items
    return [str(listing["external_id"]) for listing in found]


def test_an_import_killed_at_any_statement_is_resumed(town: Town, database_url: str, tmp_path: pathlib.Path) -> None:
    """Whole batches stay and can be found; the same file again adds the rest, each once."""
    expected: set[str] = set()
    kept = set()
    for point in range(1, 400, 5):
        names = [f"k{point}-{n}" for n in range(12)]
        path = tmp_path / f"{point}.csv"
        path.write_bytes(rows(*(plank(external_id=name) for name in names)).getvalue())

        child = _import_apart(database_url, path, 4, point)
        before = set(_found()) - expected
        with path.open("rb") as file:
            report = imports.import_listings(ADMIN, file)

        expected.update(names)
        kept.add(len(before))
        assert (report.created, report.unchanged, report.errors) == (12 - len(before), len(before), [])
        assert before == set(names[: len(before)])
        found = _found()
        assert set(found) == expected and len(found) == len(expected)
        if child.returncode == 0:
            break
    assert child.returncode == 0 and kept == {0, 4, 8, 12}


def test_memory_stays_flat(town: Town, database_url: str, tmp_path: pathlib.Path) -> None:
    """Five times the rows, and what the process holds at most is the same."""
    peaks = []
    for count in (2_000, 10_000):
        path = tmp_path / f"{count}.csv"
        path.write_bytes(rows(*(plank(external_id=f"{count}-{n}") for n in range(count))).getvalue())
        created, kilobytes = _import_apart(database_url, path, 1000).stdout.split()
        assert int(created) == count
        peaks.append(int(kilobytes))
    assert peaks[1] - peaks[0] < 4_000, peaks


def test_codes_of_an_import_are_nobody_elses(town: Town) -> None:
    """Numbers that a row, a listing or a project has already are passed over; the others follow one another."""
    last = db.value("SELECT last FROM counter WHERE name = 'code'") or catalog.FIRST_NUMBER - 1
    codes = [f"{last + n}{damm.calc_check_digit(str(last + n))}" for n in range(1, 7)]
    projects.put({"title": "Banc", "needs": "bois-planche:3:piece"}, None, codes[1])
    first = town.listing()["code"]

    report = imports.import_listings(
        ADMIN, rows(plank(code=codes[3]), *(plank(external_id=f"q-{n}", code="") for n in range(3)))
    )

    assert first == codes[0] and (report.created, report.errors) == (4, [])
    given = [
        code for (code,) in db.rows("SELECT code FROM listing WHERE external_id LIKE ? ORDER BY external_id", "q-%")
    ]
    assert given == [codes[2], codes[4], codes[5]]
    assert town.listing()["code"][:-1] == str(last + 7)


def test_one_batch_creates_updates_and_leaves(town: Town) -> None:
    """A batch is looked up and written together, yet each row has its own outcome."""
    imports.import_listings(
        ADMIN, rows(plank(), plank(external_id="p-2"), plank(external_id="p-3", place="trois-lieu"))
    )

    report = imports.import_listings(
        ADMIN,
        rows(plank(), plank(external_id="p-2", title="Tôle"), plank(external_id="p-3", place="trois-lieu", quantity=4),
             plank(external_id="p-4", title="Porte"), plank(external_id="p-3", title="Brique"),
             plank(external_id="p-5", quantity=0)),
    )  # fmt: skip

    assert (report.created, report.updated, report.unchanged) == (2, 2, 1)
    assert [(error.row, error.column) for error in report.errors] == [(7, "quantity")]
    assert db.rows("SELECT title, external_id, quantity FROM listing ORDER BY id") == [
        ("Planche sapin", "p-1", 10_000), ("Tôle", "p-2", 10_000), ("Planche sapin", "p-3", 4_000),
        ("Porte", "p-4", 10_000), ("Brique", "p-3", 10_000),
    ]  # fmt: skip
    assert [one["title"] for one in catalog.find(catalog.Query(q="brique")).items] == ["Brique"]


def test_the_same_thing_twice_in_a_batch_is_one(town: Town) -> None:
    """Rows that wait to be written are found by those that follow."""
    row = {name: value for name, value in plank().items() if name != "external_id"}
    with db.transaction(), catalog.bulk():
        outcomes = [catalog.put(ADMIN, {**row, "title": title}, "p-1") for title in ("Planche", "Planche", "Poutre")]

    assert outcomes == ["created", "unchanged", "updated"]
    assert db.rows("SELECT title FROM listing") == [("Poutre",)]
    assert [one["title"] for one in catalog.find(catalog.Query(q="poutre")).items] == ["Poutre"]


def test_a_batch_that_breaks_leaves_nothing(town: Town) -> None:
    """Neither rows nor numbers."""
    before = db.value("SELECT last FROM counter WHERE name = 'code'")
    row = {name: value for name, value in plank().items() if name != "external_id"}
    with pytest.raises(ZeroDivisionError), db.transaction(), catalog.bulk():
        catalog.put(ADMIN, row, "p-1")
        raise ZeroDivisionError

    assert db.value("SELECT COUNT(*) FROM listing") == 0
    assert db.value("SELECT last FROM counter WHERE name = 'code'") == before


@pytest.mark.parametrize(("quantity", "exit_code"), [("10", 0), ("beaucoup", 1)])
def test_an_import_with_errors_ends_with_1(app: Flask, tmp_path: pathlib.Path, quantity: str, exit_code: int) -> None:
    """The good rows are in all the same; a program that watches learns that some are not."""
    file = tmp_path / "stock.csv"
    file.write_bytes(rows(plank(), plank(external_id="p-2", quantity=quantity)).getvalue())

    done = app.test_cli_runner().invoke(args=["import", "listings", str(file)])

    assert done.exit_code == exit_code, done.output
    assert db.value("SELECT COUNT(*) FROM listing") == 2 - exit_code


def test_a_spreadsheet_of_blank_rows_and_none(town: Town) -> None:
    """A file of a header alone is no mistake."""
    header = ",".join(plank()).encode()

    report = imports.import_listings(ADMIN, io.BytesIO(header + b"\n,,,\n\n"))

    assert report == imports.Report()

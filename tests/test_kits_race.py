"""Kits beside each other and beside a power cut: all of a kit or nothing of it, and nobody waits for ever."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ProcessPoolExecutor

import pytest

from circular import db, kits, people, settings
from circular.errors import Refusal
from circular.people import Actor
from tests.test_kits import BENCH, pallets, project, screws
from tests.town import Town

PROCESSES, THREADS, ROUNDS = 3, 3, 6


def _rush(url: str, codes: list[str], ids: list[int]) -> list[str]:
    """One process: THREADS threads reserve a kit of each project, all starting together."""
    settings.use(settings.load({"DATABASE_URL": url, "RESIDENT_MAX_HOLDS": "100"}))
    db.open_database(url)
    barrier = threading.Barrier(THREADS)
    results: list[str] = []

    def run(person_id: int) -> None:
        db.connect()
        for code in codes:
            barrier.wait(30)
            try:
                made = kits.reserve(Actor(person_id, "resident", "sms"), person_id, code, f"race:{person_id}:{code}")
                results.append(f"won {len(made)}")
            except Refusal as refusal:
                results.append(refusal.code)
        db.close()

    threads = [threading.Thread(target=run, args=(person_id,)) for person_id in ids]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def test_race_of_kits_that_share_lots(town: Town, database_url: str) -> None:
    """9 people in 3 processes want kits whose lots cross: (a, b), (b, c), (c, a). Whole kits only, and no deadlock."""
    lots = [pallets(town, ROUNDS), screws(town, ROUNDS), town.listing(quantity=ROUNDS)["code"]]
    needs = [("bois-palette", 1, "piece"), ("quincaillerie-vis", 1, "kg"), ("bois-planche", 1, "piece")]
    codes = [project(needs[n % 3], needs[(n + 1) % 3]) for n in range(ROUNDS)]
    with db.transaction():
        ids = [people.ensure(f"+59669600{n:04}") for n in range(PROCESSES * THREADS)]
    db.close()

    with ProcessPoolExecutor(PROCESSES, mp_context=multiprocessing.get_context("spawn")) as pool:
        shares = [ids[n * THREADS : (n + 1) * THREADS] for n in range(PROCESSES)]
        # Each process in another order, so that unlike kits meet.
        futures = [pool.submit(_rush, database_url, codes[n:] + codes[:n], share) for n, share in enumerate(shares)]
        results = [result for future in futures for result in future.result(120)]

    db.connect()
    assert set(results) == {"won 2", "not_buildable"}
    # 18 units, two for each kit; at least one unit of two kinds is left over when no kit fits any more, or none is.
    left = [town.available(code) for code in lots]
    assert sum(left) == 3 * ROUNDS - 2 * results.count("won 2")
    assert sum(amount > 0 for amount in left) <= 1
    assert db.value("SELECT COUNT(*) FROM kit") == results.count("won 2")
    halves = "SELECT 1 FROM reservation GROUP BY kit_id HAVING COUNT(*) <> 2 OR COUNT(DISTINCT pickup_code) <> 1"
    assert db.rows(halves) == []


@pytest.mark.parametrize("units", [1, 3])
def test_race_of_kits_for_the_last_unit(town: Town, database_url: str, units: int) -> None:
    """There are screws for everybody, and so many pallets: as many kits, and the screws of the others are free again."""
    pallets(town, 3 * units)
    iron = screws(town, 50)
    code = project(*BENCH)
    with db.transaction():
        ids = [people.ensure(f"+59669600{n:04}") for n in range(PROCESSES * THREADS)]
    db.close()

    with ProcessPoolExecutor(PROCESSES, mp_context=multiprocessing.get_context("spawn")) as pool:
        shares = [ids[n * THREADS : (n + 1) * THREADS] for n in range(PROCESSES)]
        futures = [pool.submit(_rush, database_url, [code], share) for share in shares]
        results = [result for future in futures for result in future.result(120)]

    db.connect()
    assert sorted(results) == ["not_buildable"] * (PROCESSES * THREADS - units) + ["won 2"] * units
    assert town.available(iron) == 50 - 0.5 * units


CHILD = """
import sys
from tests.fatal import die_before
from circular import db, kits, settings
from circular.people import Actor
settings.use(settings.load({"DATABASE_URL": sys.argv[1]}))
db.open_database(sys.argv[1]); db.connect()
die_before(int(sys.argv[2]))
kits.reserve(Actor(int(sys.argv[3]), "resident", "sms"), int(sys.argv[3]), sys.argv[4], "kill:" + sys.argv[5])
"""


def test_kill_at_every_statement(town: Town, database_url: str) -> None:
    """Killed before its 1st, 2nd, 3rd… statement, a kit is all there or not at all; the same request again finishes it."""
    wood, iron = pallets(town, 3), screws(town, 0.5)
    code = project(*BENCH)
    who = town.person()
    assert who.person_id is not None
    for point in range(100):
        db.close()
        child = subprocess.run(
            [sys.executable, "-c", CHILD, database_url, str(point), str(who.person_id), code, str(point)],
            check=False, capture_output=True, text=True, cwd=settings.ROOT,
            env={**os.environ, "PYTHONPATH": str(settings.ROOT)},
        )  # fmt: skip
        db.connect()
        assert child.returncode in (0, -signal.SIGKILL), child.stderr
        assert (town.available(wood), town.available(iron)) in ((3, 0.5), (0, 0))

        made = kits.reserve(who, who.person_id, code, f"kill:{point}")

        assert [part["state"] for part in made] == ["held", "held"]
        assert (town.available(wood), town.available(iron)) == (0, 0)
        kits.cancel(who, made[0]["kit_id"])
        if child.returncode == 0:
            break
    assert child.returncode == 0 and point > 15


def test_a_fault_at_every_statement(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever statement breaks, nothing of the kit is left, and the next try has it whole."""
    wood, iron = pallets(town, 3), screws(town, 0.5)
    code, who = project(*BENCH), town.person()
    assert who.person_id is not None
    real, left = db.run, 0

    def breaks(statement: str, *params: object) -> int:
        nonlocal left
        left -= 1
        if left == 0 and "SAVEPOINT" not in statement:
            raise RuntimeError("pulled out")
        return real(statement, *params)

    monkeypatch.setattr(db, "run", breaks)
    for point in range(1, 60):
        left = point
        try:
            made = kits.reserve(who, who.person_id, code, f"fault:{point}")
        except RuntimeError:
            left = 0
            assert (town.available(wood), town.available(iron)) == (3, 0.5)
            halves = "SELECT COUNT(*) FROM reservation WHERE state = 'held' OR kit_id NOT IN (SELECT id FROM kit)"
            assert db.value(halves) == 0
            continue
        unbroken, left = left > 0, 0
        assert (town.available(wood), town.available(iron)) == (0, 0)
        kits.cancel(who, made[0]["kit_id"])
        if unbroken:
            break
    assert unbroken and point > 8

"""Many at once on the last units, over several processes: exactly as many winners as there are units, no error."""

from __future__ import annotations

import io
import multiprocessing
import pathlib
import threading
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import pytest
from flask import Flask

from bench import race
from circular import catalog, db, people, reservations, settings
from circular.errors import Refusal
from circular.people import Actor
from tests.town import Town

PROCESSES, THREADS = 3, 4


def _rush(url: str, codes: list[str], people_ids: list[list[int]]) -> list[str]:
    """One process: THREADS threads reserve one unit of each listing, all starting together."""
    settings.use(settings.load({"DATABASE_URL": url, "RESIDENT_MAX_HOLDS": "100"}))
    db.open_database(url)
    barrier = threading.Barrier(THREADS)
    results: list[str] = []

    def run(thread: int) -> None:
        db.connect()
        for code in codes:
            person_id = people_ids[thread][0]
            barrier.wait(30)
            try:
                reservations.reserve(
                    Actor(person_id, "resident", "sms"), person_id, code, 1, f"race:{person_id}:{code}"
                )
                results.append(f"won {code}")
            except Refusal as refusal:
                results.append(refusal.code)
        db.close()

    threads = [threading.Thread(target=run, args=(n,)) for n in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


@pytest.mark.parametrize("units", [1, 5])
def test_race_for_the_last_units(town: Town, database_url: str, units: int) -> None:
    """12 people in 3 processes, 8 rounds: `units` win each, the others are told that it is gone."""
    codes = [town.listing(title=f"Lot {n}", quantity=units)["code"] for n in range(8)]
    with db.transaction():
        ids = [people.ensure(f"+59669600{n:04}") for n in range(PROCESSES * THREADS)]
    db.close()
    shares = [[[ids[p * THREADS + t]] for t in range(THREADS)] for p in range(PROCESSES)]

    with ProcessPoolExecutor(PROCESSES, mp_context=multiprocessing.get_context("spawn")) as pool:
        futures = [pool.submit(_rush, database_url, codes, share) for share in shares]
        results = [result for future in futures for result in future.result(120)]

    db.connect()
    for code in codes:
        assert results.count(f"won {code}") == units
        assert catalog.get(code)["available"] == 0
    assert results.count("sold_out") == len(codes) * (PROCESSES * THREADS - units)


def test_race_for_one_number_of_the_town_s_own(town: Town, app: Flask) -> None:
    """Two clerks publish and import the same lots at once: one listing each, and nobody meets an error."""
    staff = town.token("staff", "la-sphere")
    plank = {"kind": "material", "category": "bois-planche", "quantity": 2, "unit": "piece", "place": "la-sphere"}
    table = "external_id,kind,title,category,quantity,unit,place\n" + "".join(
        f"I{n},material,Porte,menuiserie-porte,2,piece,la-sphere\n" for n in range(5)
    )
    statuses: list[int] = []
    created: list[int] = []
    barrier = threading.Barrier(4)
    db.close()

    def run() -> None:
        client = app.test_client()
        for n in range(5):
            barrier.wait(30)
            made = client.post("/api/v1/listings", json={**plank, "title": "x", "external_id": f"P{n}"}, headers=staff)
            statuses.append(made.status_code)
        barrier.wait(30)
        file = {"file": (io.BytesIO(table.encode()), "lots.csv")}
        said = client.post("/api/v1/listings/import", data=file, headers=staff)
        created.append(said.json.get("created", -1))
        db.close()

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    db.connect()
    assert sorted(statuses) == [201] * 5 + [422] * 15
    assert sorted(created) == [0, 0, 0, 5]


def test_race_of_one_person_for_their_limit(town: Town, database_url: str) -> None:
    """One person on many phones at once still holds three at most."""
    codes = [town.listing(title=f"Lot {n}")["code"] for n in range(8)]
    person_id = town.person().person_id
    assert person_id is not None
    db.close()
    outcomes: list[str] = []
    barrier = threading.Barrier(len(codes))

    def run(code: str) -> None:
        db.connect()
        barrier.wait(30)
        try:
            reservations.reserve(Actor(person_id, "resident", "sms"), person_id, code, 1, f"one:{code}")
            outcomes.append("won")
        except Refusal as refusal:
            outcomes.append(refusal.code)
        db.close()

    threads = [threading.Thread(target=run, args=(code,)) for code in codes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    db.connect()
    assert sorted(outcomes) == ["too_many_reservations"] * 5 + ["won"] * 3


@pytest.mark.parametrize("slotted", [False, True], ids=["unit", "slot"])
def test_race_by_api_and_sms_over_processes(
    slotted: bool, town: Town, engine: str, tmp_path: pathlib.Path, request: Any
) -> None:
    """A few rounds of `python -m bench.race`: 64 clients of 4 whole servers on the last unit, one wins, nobody meets an
    error.
    """
    db.close()
    url = (
        f"sqlite:///{tmp_path}/race.db"
        if engine == "sqlite"
        else request.getfixturevalue("postgres").create(f"race_{slotted}")
    )

    found = race.run(url, 4, slotted=slotted)

    assert [one.wrong for one in found] == [[]] * 4
    assert sum(one.by_api + one.by_sms for one in found) == 4

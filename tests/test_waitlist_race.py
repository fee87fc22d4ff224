"""Many at once where somebody waits, over several processes: what is offered goes to whom it was offered, once."""

from __future__ import annotations

import multiprocessing
import threading
from collections import Counter
from concurrent.futures import ProcessPoolExecutor

from circular import catalog, db, people, reservations, settings, waitlist
from circular.errors import Refusal
from circular.people import Actor
from tests.town import Town

PROCESSES, THREADS, ROUNDS = 2, 4, 6


def _rush(url: str, codes: list[str], ids: list[int], share: int) -> list[str]:
    """One process: its threads come at each listing together, each in its own way, the same person by several of them."""
    settings.use(settings.load({"DATABASE_URL": url, "RESIDENT_MAX_HOLDS": "100"}))
    db.open_database(url)
    barrier = threading.Barrier(THREADS)
    results: list[str] = []

    def act(thread: int, code: str) -> str:
        number = share * THREADS + thread
        name = f"race:{number}:{code}"
        first, newcomer = ids[0], ids[1 + number]
        if thread == 0:  # OUI, from both processes
            made = db.retrying(lambda: waitlist.take(Actor(first, "resident", "sms"), first, name))
            return f"taken {made['listing']}" if made else "nothing to take"
        if thread == 1:
            db.retrying(lambda: reservations.reserve(Actor(newcomer, "resident", "api"), newcomer, code, 1, name))
            return f"reserved {code}"
        if thread == 2:
            db.retrying(lambda: waitlist.join(Actor(newcomer, "resident", "sms"), newcomer, code, 1, name))
            return f"waits {code}"
        waitlist.sweep()
        return "swept"

    def run(thread: int) -> None:
        db.connect()
        for code in codes:
            barrier.wait(60)
            try:
                results.append(act(thread, code))
            except Refusal as refusal:
                results.append(f"{refusal.code} {thread}")
        db.close()

    threads = [threading.Thread(target=run, args=(n,)) for n in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def test_race_of_takers_newcomers_and_sweeps(town: Town, database_url: str) -> None:
    """One person says OUI twice at once while others reserve, join and sweep: each offer is taken once, by that person."""
    codes = [town.listing(title=f"Lot {n}", quantity=1)["code"] for n in range(ROUNDS)]
    with db.transaction():
        ids = [people.ensure(f"+59669600{n:04}") for n in range(2 + PROCESSES * THREADS)]
    first, holder = ids[0], ids[-1]
    for code in codes:
        held = reservations.reserve(Actor(holder, "builder", "api"), holder, code, 1, f"hold:{code}")
        waitlist.join(Actor(first, "resident", "sms"), first, code, 1, f"wait:{code}")
        reservations.cancel(Actor(holder, "builder", "api"), held["reference"])
    db.close()

    with ProcessPoolExecutor(PROCESSES, mp_context=multiprocessing.get_context("spawn")) as pool:
        futures = [pool.submit(_rush, database_url, codes, ids, share) for share in range(PROCESSES)]
        results = Counter(result for future in futures for result in future.result(120))

    db.connect()
    # Both OUI ask for what is offered last: each listing once, however they fall together.
    assert {result: count for result, count in results.items() if result.startswith("taken")} == {
        f"taken {code}": 1 for code in codes
    }
    assert results["nothing to take"] == PROCESSES * ROUNDS - ROUNDS
    assert results["sold_out 1"] == PROCESSES * ROUNDS
    assert sum(count for result, count in results.items() if result.startswith("waits")) == PROCESSES * ROUNDS
    for code in codes:
        assert catalog.get(code)["available"] == 0
    assert db.value("SELECT COUNT(*) FROM waiting WHERE state = 'offered'") == 0


def test_race_for_what_comes_free(town: Town, database_url: str) -> None:
    """Cancelled, swept and asked for at once: one offer to each listing's first, none to a second, nothing to newcomers."""
    codes = [town.listing(title=f"Lot {n}", quantity=1)["code"] for n in range(ROUNDS)]
    with db.transaction():
        ids = [people.ensure(f"+59669600{n:04}") for n in range(THREADS)]
    holds = {}
    for code in codes:
        holds[code] = reservations.reserve(Actor(ids[0], "builder", "api"), ids[0], code, 1, f"hold:{code}")
        for person_id in ids[1:3]:
            waitlist.join(Actor(person_id, "resident", "sms"), person_id, code, 1, f"wait:{person_id}:{code}")
    db.close()
    outcomes: list[str] = []
    barrier = threading.Barrier(THREADS)

    def run(thread: int) -> None:
        db.connect()
        for code in codes:
            barrier.wait(60)
            try:
                if thread == 0:
                    reservations.cancel(Actor(ids[0], "builder", "api"), holds[code]["reference"])
                elif thread == 3:
                    reservations.reserve(Actor(ids[3], "resident", "sms"), ids[3], code, 1, f"new:{code}")
                else:
                    waitlist.sweep()
                outcomes.append("done")
            except Refusal as refusal:
                outcomes.append(refusal.code)
        db.close()

    threads = [threading.Thread(target=run, args=(n,)) for n in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    db.connect()
    assert Counter(outcomes) == {"done": (THREADS - 1) * ROUNDS, "sold_out": ROUNDS}
    assert db.rows("SELECT person_id, COUNT(*) FROM waiting WHERE state = 'offered' GROUP BY person_id") == [
        (ids[1], ROUNDS)
    ]
    assert db.value("SELECT COUNT(*) FROM notice WHERE kind = 'offer'") == ROUNDS

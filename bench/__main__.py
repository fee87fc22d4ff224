"""The table. `python -m bench [--quick] [--rows 10000,100000] [--json FILE]`"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import pathlib
import sqlite3
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from bench import catalogue
from circular import catalog, db, people, settings
from sms import inbox, messages
from sms.gateways.base import Inbound

OURS, REFERENCE, SECOND = 8711, 8712, 8713


class Figure(NamedTuple):
    what: str
    ours: str
    reference: str
    ratio: float
    floor: float
    aim: float
    more_is_better: bool = True

    @property
    def verdict(self) -> str:
        better = (lambda a, b: a >= b) if self.more_is_better else (lambda a, b: a <= b)
        return "aim" if better(self.ratio, self.aim) else "floor" if better(self.ratio, self.floor) else "MISSED"


class Bench:
    """One run: its servers, its figures."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.figures: list[Figure] = []

    def note(self, *figure: Any, **more: Any) -> None:
        self.figures.append(Figure(*figure, **more))
        print(".", end="", flush=True, file=sys.stderr)

    @contextlib.contextmanager
    def served(self, url: str, port: int = OURS, **environment: str) -> Iterator[int]:
        """Our server on a database; its process id."""
        env = {**os.environ, "DATABASE_URL": url, "PORT": str(port), "BUILDER_MAX_HOLDS": "10000000",
               "WRITES_PER_MINUTE": "100000000", **environment}  # fmt: skip
        command = [sys.executable, "-m", "flask", "serve"]
        with _running(command, port, "/healthz", env) as process:
            yield process

    @contextlib.contextmanager
    def referred(self, url: str) -> Iterator[int]:
        """The reference server on the same database."""
        command = [sys.executable, "-m", "bench.reference", url.removeprefix("sqlite:///"), str(REFERENCE)]
        with _running(command, REFERENCE, "/hello", dict(os.environ)) as process:
            yield process

    def load(self, port: int, requests: list[Any], connections: int = 8, once: bool = False) -> dict[str, Any]:
        """Load a server; a quarter of the time first, to warm it up."""
        plan = {"port": port, "connections": connections, "requests": requests, "once": once}
        if not once:
            _generate({**plan, "seconds": self.seconds / 4})
        return _generate({**plan, "seconds": 600 if once else self.seconds})


def _generate(plan: dict[str, Any]) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "bench.load"], input=json.dumps(plan), text=True, capture_output=True, check=True
    )
    return dict(json.loads(done.stdout))


@contextlib.contextmanager
def _running(command: list[str], port: int, path: str, env: dict[str, str]) -> Iterator[int]:
    with subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            _wait(port, path)
            yield process.pid
        finally:
            process.terminate()


def _wait(port: int, path: str) -> None:
    until = time.perf_counter() + 30
    while time.perf_counter() < until:
        with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=2):
            return
        time.sleep(0.005)
    raise SystemExit(f"nothing answers on port {port}")


def _get(path: str) -> list[Any]:
    return ["GET", path, {}, ""]


def searching(bench: Bench, small: str, large: str) -> None:
    """Search and listing pages beside the reference and the bare endpoint."""
    mix = catalogue.queries()
    ours = [_get(f"/api/v1/listings?{query}") for query in mix]
    theirs = [_get(f"/search?{query}") for query in mix]
    filtered = [_get(f"/api/v1/listings?q={noun}&category=bois") for noun in catalogue.NOUNS]
    p50 = {}
    for name, url in (("10k", small), ("100k", large)):
        with bench.served(url), bench.referred(url):
            before = bench.load(REFERENCE, [_get("/hello")])["per_second"]
            page = bench.load(OURS, filtered)["per_second"]
            reference = bench.load(REFERENCE, [_get(f"/search?q={noun}&category=bois") for noun in catalogue.NOUNS])
            whole = bench.load(OURS, ours)
            whole_reference = bench.load(REFERENCE, theirs)
            typo = bench.load(OURS, [_get(f"/api/v1/listings?q={n[:2]}{n[3:]}") for n in catalogue.NOUNS])["per_second"]
            exact = bench.load(OURS, [_get(f"/api/v1/listings?q={n}") for n in catalogue.NOUNS])["per_second"]
            listing = bench.load(OURS, [_get("/api/v1/listings/41271")])["per_second"]
            hello = (before + bench.load(REFERENCE, [_get("/hello")])["per_second"]) / 2
        p50[name] = whole["p50"]
        bench.note(f"search page of 20, word + filter, {name}, vs reference", f"{page:.0f}/s",
                   f"{reference['per_second']:.0f}/s", page / reference["per_second"], 0.5, 0.8)  # fmt: skip
        bench.note(f"search page of 20, word + filter, {name}, vs hello", f"{page:.0f}/s", f"{hello:.0f}/s",
                   page / hello, 0.20, 0.35)  # fmt: skip
        ours_mix, their_mix = whole["per_second"], whole_reference["per_second"]
        bench.note(f"search, whole mix, {name}, vs reference", f"{ours_mix:.0f}/s", f"{their_mix:.0f}/s",
                   ours_mix / their_mix, 0.5, 0.8)  # fmt: skip
        bench.note(f"typo query vs exact query, {name}", f"{typo:.0f}/s", f"{exact:.0f}/s", typo / exact, 0.4, 0.7)
        bench.note(f"listing, {name}, vs hello", f"{listing:.0f}/s", f"{hello:.0f}/s", listing / hello, 0.40, 0.65)
    bench.note("search, whole mix, p50 at 100k over 10k", f"{p50['100k']:.1f} ms", f"{p50['10k']:.1f} ms",
               p50["100k"] / p50["10k"], 2.0, 1.5, more_is_better=False)  # fmt: skip


def raw_commits(url: str, seconds: float) -> float:
    """Durable commits a second by sqlite3 alone, one update and one insert each, on the same disk."""
    path = pathlib.Path(url.removeprefix("sqlite:///")).with_name("raw.db")
    database = sqlite3.connect(path, isolation_level=None)
    database.executescript(
        "PRAGMA journal_mode = wal; PRAGMA synchronous = 2; CREATE TABLE IF NOT EXISTS stock (id INTEGER PRIMARY KEY, free);"
        "CREATE TABLE IF NOT EXISTS hold (id INTEGER PRIMARY KEY, stock); INSERT OR IGNORE INTO stock VALUES (1, 0);"
    )
    count, until = 0, time.perf_counter() + seconds
    while time.perf_counter() < until:
        database.execute("BEGIN IMMEDIATE")
        database.execute("UPDATE stock SET free = free - 1")
        database.execute("INSERT INTO hold (stock) VALUES (1)")
        database.execute("COMMIT")
        count += 1
    database.close()
    return count / seconds


def _open(url: str) -> None:
    settings.use(settings.load({"DATABASE_URL": url, "RESIDENT_MAX_HOLDS": "1000000"}))
    db.open_database(url)
    db.connect()


def _codes() -> list[str]:
    found = db.rows("SELECT code FROM listing WHERE external_id LIKE ? ORDER BY id DESC LIMIT 1500", "bench-%")
    return [str(row[0]) for row in found]


def reserving(bench: Bench, url: str) -> None:
    """Durable reservations over HTTP, all rules on, beside raw commits; one process and two."""
    _open(url)
    codes = _codes()
    db.run("UPDATE listing SET quantity = 90000000 WHERE external_id IS NOT NULL")
    requests = []
    tokens = [people.issue_token("builder") for _ in range(20)]
    for n in range(30_000):
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {tokens[n % len(tokens)]}",
                   "Idempotency-Key": uuid.uuid4().hex}  # fmt: skip
        body = json.dumps({"listing": codes[n % len(codes)], "quantity": 1})
        requests.append(["POST", "/api/v1/reservations", headers, body])
    db.close()
    raw = raw_commits(url, bench.seconds / 2)
    with bench.served(url, BACKGROUND="false"):
        half = len(requests) // 2
        single = bench.load(OURS, requests[:half])
    assert set(single["statuses"]) == {"201"}, single
    with bench.served(url, BACKGROUND="false"), bench.served(url, SECOND, BACKGROUND="false"):
        plans = [
            {"port": port, "connections": 4, "seconds": bench.seconds, "requests": requests[start : start + half // 2]}
            for port, start in ((OURS, half), (SECOND, half + half // 2))
        ]
        running = [
            subprocess.Popen(
                [sys.executable, "-m", "bench.load"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            for _ in plans
        ]
        for process, plan in zip(running, plans, strict=True):
            assert process.stdin is not None
            process.stdin.write(json.dumps(plan))
            process.stdin.close()
        double = [json.loads(process.stdout.read()) for process in running if process.stdout is not None]
    with bench.referred(url):
        reference = bench.load(REFERENCE, [["POST", f"/reserve/{code}", {}, ""] for code in codes])["per_second"]
    raw = (raw + raw_commits(url, bench.seconds / 2)) / 2
    bench.note("durable reservation over HTTP vs raw durable commits", f"{single['per_second']:.0f}/s", f"{raw:.0f}/s",
               single["per_second"] / raw, 0.08, 0.22)  # fmt: skip
    bench.note("durable reservation over HTTP vs reference", f"{single['per_second']:.0f}/s", f"{reference:.0f}/s",
               single["per_second"] / reference, 0.5, 0.8)  # fmt: skip
    bench.note("its p99 over its p50, 8 connections, 1 process", f"{single['p99']:.0f} ms", f"{single['p50']:.0f} ms",
               single["p99"] / single["p50"], 10, 4, more_is_better=False)  # fmt: skip
    p99, p50 = max(one["p99"] for one in double), sum(one["p50"] for one in double) / 2
    bench.note("its p99 over its p50, 8 connections, 2 processes", f"{p99:.0f} ms", f"{p50:.0f} ms", p99 / p50, 10, 4,
               more_is_better=False)  # fmt: skip


def texting(bench: Bench, url: str, count: int) -> None:
    """Draining queued SMS reservations, and answering what the webhook brings, beside raw commits."""
    _open(url)
    codes = _codes()
    raw = raw_commits(url, bench.seconds / 2)
    for n in range(count):
        phone = f"+596696{n % 1_000_000:06}"
        messages.store_inbound(
            "africastalking", Inbound(uuid.uuid4().hex, phone, "1", f"R {codes[n % len(codes)]}", None)
        )
    drained = _per_second(count, _until_empty)
    db.run("DELETE FROM tally")
    forms = []
    for n in range(count):
        form = f"id={uuid.uuid4().hex}&from=%2B596697{n % 1_000_000:06}&to=1&text=BOIS&date="
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        forms.append(["POST", "/sms/africastalking/demo/inbound", headers, form])
    before = db.value("SELECT COUNT(*) FROM outbound_message")
    db.close()
    with bench.served(url):
        start = time.perf_counter()
        bench.load(OURS, forms, once=True)
        db.connect()
        while db.value("SELECT COUNT(*) FROM outbound_message") < before + count:
            time.sleep(0.05)
        answered = count / (time.perf_counter() - start)
    raw = (raw + raw_commits(url, bench.seconds / 2)) / 2
    db.close()
    bench.note(
        "draining queued SMS reservations vs raw commits", f"{drained:.0f}/s", f"{raw:.0f}/s", drained / raw, 0.3, 1.0
    )
    bench.note("inbound SMS stored, understood, answered (a second)", f"{answered:.0f}/s", "1/s", answered, 150, 400)


def _until_empty() -> None:
    while inbox.handle_pending():
        pass


def _per_second(count: int, act: Callable[[], None]) -> float:
    start = time.perf_counter()
    act()
    return count / (time.perf_counter() - start)


def publishing(bench: Bench, small: str, large: str) -> None:
    """One listing, durable and findable, in a small and in a large catalogue."""
    taken = {}
    for url in (small, large):
        _open(url)
        row = next(catalogue.rows(1))
        durations = []
        for _ in range(60):
            start = time.perf_counter()
            catalog.publish(catalogue.ADMIN, row)
            durations.append(time.perf_counter() - start)
        taken[url] = sorted(durations)[len(durations) // 2] * 1000
        db.close()
    bench.note("publishing one listing, p50 at 100k over 10k", f"{taken[large]:.2f} ms", f"{taken[small]:.2f} ms",
               taken[large] / taken[small], 2, 1.5, more_is_better=False)  # fmt: skip


def weighing(bench: Bench, url: str) -> None:
    """Memory of the whole default process after load, and start to first 200."""
    with bench.served(url) as process:
        bench.load(OURS, [_get(f"/api/v1/listings?{query}") for query in catalogue.queries()])
        rollup = pathlib.Path(f"/proc/{process}/smaps_rollup").read_text()
        pss = int(next(line for line in rollup.splitlines() if line.startswith("Pss:")).split()[1]) / 1024
        status = pathlib.Path(f"/proc/{process}/status").read_text()
        anonymous = int(next(line for line in status.splitlines() if line.startswith("RssAnon:")).split()[1]) / 1024
    bench.note(
        "memory of the default process tree at 100k (PSS, MB)",
        f"{pss:.0f} MB",
        "1 MB",
        pss,
        120,
        80,
        more_is_better=False,
    )
    bench.note(
        "its anonymous memory (RssAnon, MB)", f"{anonymous:.0f} MB", "1 MB", anonymous, 60, 50, more_is_better=False
    )
    times: dict[str, list[float]] = {"ours": [], "hello": []}
    for _ in range(3):
        start = time.perf_counter()
        with bench.served(url):
            times["ours"].append(time.perf_counter() - start)
        start = time.perf_counter()
        with bench.referred(url):
            times["hello"].append(time.perf_counter() - start)
    ours, hello = sorted(times["ours"])[1], sorted(times["hello"])[1]
    bench.note("start to first 200 vs a bare Flask process", f"{ours:.2f} s", f"{hello:.2f} s", ours / hello, 2.5, 1.5,
               more_is_better=False)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", default="10000,100000", help="listings of the small and of the large catalogue")
    parser.add_argument("--quick", action="store_true", help="a minute and a half: small catalogues, short runs")
    parser.add_argument("--json", type=pathlib.Path, help="write the figures there too")
    options = parser.parse_args()
    small_rows, large_rows = (2_000, 10_000) if options.quick else map(int, options.rows.split(","))
    bench = Bench(1.5 if options.quick else 4.0)
    (small, _), (large, speed) = catalogue.database(small_rows), catalogue.database(large_rows)
    if speed:
        bench.note(f"import of {large_rows} rows, searchable, durable", f"{speed:.0f}/s", "1/s", speed, 2000, 8000)
    searching(bench, small, large)
    weighing(bench, large)
    publishing(bench, small, large)
    reserving(bench, large)
    texting(bench, large, 300 if options.quick else 2000)
    print(f"\n\n{'what':62} {'ours':>10} {'reference':>10} {'ratio':>8} {'floor':>6} {'aim':>6}")
    for figure in bench.figures:
        print(f"{figure.what:62} {figure.ours:>10} {figure.reference:>10} {figure.ratio:8.2f} {figure.floor:6g} "
              f"{figure.aim:6g} {figure.verdict}")  # fmt: skip
    print(f"\n10k and 100k stand for {small_rows} and {large_rows} listings in this run.")
    if options.json:
        options.json.write_text(
            json.dumps([{**figure._asdict(), "verdict": figure.verdict} for figure in bench.figures], indent=1)
        )


if __name__ == "__main__":
    main()

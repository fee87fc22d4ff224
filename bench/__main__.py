"""The table. `python -m bench [--quick] [--rows 10000,100000] [--postgres] [--only growing] [--json FILE]`"""

from __future__ import annotations

import argparse
import contextlib
import csv
import functools
import itertools
import json
import os
import pathlib
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from bench import catalogue, finding, growth, understanding
from bench.catalogue import name_of
from circular import catalog, db, people, settings
from sms import inbox, messages, outbox
from sms.gateways.base import Accepted, Capabilities, Gateway, Inbound, Outgoing

CORES = sorted(os.sched_getaffinity(0))
LOAD_CORE, SERVER_CORE = (
    CORES[0],
    CORES[-1],
)  # the server under load keeps to one, whosever it is, the generator to another
LONGEST_P99 = 50.0  # milliseconds: the aim is missed beyond, whatever the ratio


def _free_ports(count: int) -> list[int]:
    """Ports that nobody has, so that several runs get along."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [int(one.getsockname()[1]) for one in sockets]


OURS, REFERENCE, SECOND = _free_ports(3)


class Figure(NamedTuple):
    """A line of the table. `spoilt` says why the ratio proves nothing, `short` why it misses the aim all the same."""

    what: str
    ours: str
    reference: str
    ratio: float
    floor: float
    aim: float
    more_is_better: bool = True
    spoilt: str = ""
    short: str = ""

    @property
    def verdict(self) -> str:
        sign = 1 if self.more_is_better else -1
        if self.spoilt or sign * self.ratio < sign * self.floor:
            return f"MISSED {self.spoilt}".strip()
        return f"floor {self.short}".strip() if self.short or sign * self.ratio < sign * self.aim else "aim"


class Bench:
    """One run: its servers, its figures."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.figures: list[Figure] = []

    def note(self, *figure: Any, **more: Any) -> None:
        """Keep a figure."""
        self.figures.append(Figure(*figure, **more))
        print(".", end="", flush=True, file=sys.stderr)

    def rate(self, what: str, ours: float, reference: float, floor: float, aim: float, spoilt: str = "") -> None:
        """Keep a figure of two speeds."""
        self.note(what, f"{ours:.0f}/s", f"{reference:.0f}/s", ours / reference, floor, aim, spoilt=spoilt)

    @contextlib.contextmanager
    def served(self, url: str, port: int = OURS, pinned: bool = True, **environment: str) -> Iterator[int]:
        """Our server as `flask serve` starts it, on a database; its process id."""
        environment = {"DATABASE_URL": url, "PORT": str(port), **environment}
        with _running([sys.executable, "-m", "flask", "serve"], port, "/healthz", pinned, environment) as process:
            yield process

    @contextlib.contextmanager
    def referred(self, url: str | None, pinned: bool = True) -> Iterator[int]:
        """The reference server, on the same database or as a bare Flask process."""
        command = [sys.executable, "-m", "bench.reference", str(REFERENCE)]
        file = [url.removeprefix("sqlite:///")] if url else []
        with _running(command + file, REFERENCE, "/hello", pinned, {}) as process:
            yield process

    def load(
        self,
        port: int,
        requests: list[Any],
        *others: int,
        status: str = "200",
        seconds: float = 0,
        connections: int = 8,
    ) -> dict[str, Any]:
        """Load a server by some connections, after a warm-up of a quarter of the time; every answer must have `status`.

        Reads are asked in turn, for ever; writes are asked once each, so the list must be long enough.
        """
        seconds, reading = seconds or self.seconds, requests[0][0] == "GET"
        plan = {"ports": [port, *others], "connections": connections, "once": not reading, "seconds": seconds}
        cut = 0 if reading else len(requests) // 5
        _generate({**plan, "seconds": seconds / 4, "requests": requests if reading else requests[:cut]})
        result = _generate({**plan, "requests": requests[cut:]})
        assert set(result["statuses"]) == {status}, result
        assert reading or result["sent"] < len(requests) - cut, "not enough requests for the whole time"
        return result

    def in_turn(self, **entrants: tuple[int, list[Any]]) -> dict[str, dict[str, Any]]:
        """Load each (port, requests) in turn, three times round, so that a busy moment of the machine hits them all; the
        median of each.
        """
        rounds = [
            {name: self.load(port, requests, seconds=self.seconds / 3) for name, (port, requests) in entrants.items()}
            for _ in range(3)
        ]
        return {
            name: sorted((one[name] for one in rounds), key=lambda result: result["per_second"])[1] for name in entrants
        }


def _generate(plan: dict[str, Any]) -> dict[str, Any]:
    command = [sys.executable, "-m", "bench.load", str(LOAD_CORE)]
    done = subprocess.run(command, input=json.dumps(plan), text=True, stdout=subprocess.PIPE, check=True)
    return dict(json.loads(done.stdout))


@contextlib.contextmanager
def _running(command: list[str], port: int, path: str, pinned: bool, environment: dict[str, str]) -> Iterator[int]:
    """A server until the block ends. Compiled modules are kept, as they are wherever nothing forbids it."""
    env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"} | environment
    with subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            if pinned:
                os.sched_setaffinity(process.pid, {SERVER_CORE})
            _wait(process, port, path)
            yield process.pid
        finally:
            process.terminate()


def _wait(process: subprocess.Popen[bytes], port: int, path: str) -> None:
    until = time.perf_counter() + 30
    while time.perf_counter() < until and process.poll() is None:
        with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=2):
            return
        time.sleep(0.005)
    raise SystemExit(f"nothing answers on port {port}")


def _quoted(path: str) -> str:
    return urllib.parse.quote(path, safe="/?&=+%")


def _get(path: str) -> list[Any]:
    return ["GET", _quoted(path), {}, ""]


def _read(port: int, path: str) -> Any:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{_quoted(path)}", timeout=30) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        raise SystemExit(f"{path}: {error.code} {error.read().decode()}") from error


def _found(port: int, paths: list[str]) -> list[int]:
    """How many listings each page holds."""
    return [len(_read(port, path)["items"]) for path in paths]


# --- reading ----------------------------------------------------------------------------------------------------------
def searching(bench: Bench, sizes: dict[int, str]) -> None:
    """Search and listing pages beside the reference and the bare endpoint, at each size."""
    p50 = {}
    _open(next(iter(sizes.values())))
    mix = catalogue.questions()
    db.close()
    ours = [_get(f"/api/v1/listings?{question.query}") for question in mix]
    theirs = [_get(f"/search?{question.query}{question.more}") for question in mix]
    filtered = [f"q={noun}&category=bois" for noun in catalogue.NOUNS]
    pages = [_get(f"/api/v1/listings?{query}") for query in filtered]
    exact = [_get(f"/api/v1/listings?q={noun}") for noun in catalogue.NOUNS]
    typos = [_get(f"/api/v1/listings?q={catalogue.misspelt(noun)}") for noun in catalogue.NOUNS]
    for count, url in sizes.items():
        size = name_of(count)
        codes = _codes(url, 200)
        items = [_get(f"/api/v1/listings/{code}") for code in codes]
        with bench.served(url), bench.referred(url):
            _compare(codes, filtered)
            corrected = sum(map(bool, _found(OURS, [path for _, path, *_ in typos])))
            answered = [statistics.mean(_found(OURS if path is ours else REFERENCE, [one[1] for one in path[:100]]))
                        for path in (ours, theirs)]  # fmt: skip
            results = bench.in_turn(
                hello=(REFERENCE, [_get("/hello")]),
                page=(OURS, pages),
                same=(REFERENCE, [_get(f"/search?{query}") for query in filtered]),
                lean=(REFERENCE, [_get(f"/lean?{query}") for query in filtered]),
                whole=(OURS, ours),
                whole_reference=(REFERENCE, theirs),
                listing=(OURS, items),
                exact=(OURS, exact),
                typo=(OURS, typos),
            )
        speed = {name: result["per_second"] for name, result in results.items()}
        p50[count] = results["whole"]["p50"]
        bench.rate(f"search page of 20, word + filter, {size}, vs reference", speed["page"], speed["same"], 0.5, 0.8)
        bench.rate(f"  the same vs a reference of ten bare columns, {size}", speed["page"], speed["lean"], 0.5, 0.8)
        bench.rate(f"  the same vs hello, {size}", speed["page"], speed["hello"], 0.20, 0.35)
        bench.rate(f"search, whole mix, {size} ({answered[0]:.0f} a page; reference {answered[1]:.0f})",
                   speed["whole"], speed["whole_reference"], 0.5, 0.8)  # fmt: skip
        bench.rate(f"typo vs exact query, {size} ({corrected} of {len(typos)} typos find something)", speed["typo"],
                   speed["exact"], 0.4, 0.7, spoilt="" if corrected > len(typos) / 2 else "(most find nothing)")  # fmt: skip
        bench.rate(f"listing, {size}, vs hello", speed["listing"], speed["hello"], 0.40, 0.65)
    small, *larger = p50
    for count in larger:
        bench.note(f"search, whole mix, p50 at {name_of(count)} over {name_of(small)}", f"{p50[count]:.1f} ms",
                   f"{p50[small]:.1f} ms", p50[count] / p50[small], 2.0, 1.5, more_is_better=False)  # fmt: skip


def _compare(codes: list[str], filtered: list[str]) -> None:
    """Stop unless the reference does the same work: the same JSON of a listing, and full pages from both."""
    assert _read(OURS, f"/api/v1/listings/{codes[0]}") == _read(REFERENCE, f"/item/{codes[0]}")
    full = _found(OURS, [f"/api/v1/listings?{query}" for query in filtered])
    assert full == _found(REFERENCE, [f"/search?{query}" for query in filtered]), "pages of different lengths"


# --- writing ----------------------------------------------------------------------------------------------------------
def raw_commits(url: str, seconds: float) -> float:
    """Durable commits a second by sqlite3 alone on the same disk: one update, one insert and its index each."""
    database = sqlite3.connect(pathlib.Path(url.removeprefix("sqlite:///")).with_name("raw.db"), isolation_level=None)
    database.executescript(
        "PRAGMA journal_mode = wal; PRAGMA synchronous = 2; DROP TABLE IF EXISTS stock; DROP TABLE IF EXISTS hold;"
        "CREATE TABLE stock (id INTEGER PRIMARY KEY, free);"
        "CREATE TABLE hold (id INTEGER PRIMARY KEY, stock, person); CREATE INDEX hold_person ON hold (person);"
        "INSERT INTO stock VALUES (1, 0);"
    )
    count, until = 0, time.perf_counter() + seconds
    while time.perf_counter() < until:
        database.execute("BEGIN IMMEDIATE")
        database.execute("UPDATE stock SET free = free - 1")
        database.execute("INSERT INTO hold (stock, person) VALUES (1, ?)", (count * 7919 % 10007,))
        database.execute("COMMIT")
        count += 1
    database.close()
    return count / seconds


def _open(url: str) -> None:
    settings.use(settings.load({"DATABASE_URL": url}))
    db.open_database(url)
    db.connect()


def _codes(url: str, count: int) -> list[str]:
    """The newest `count` listings of the catalogue, with stock for a whole run."""
    _open(url)
    found = db.rows("SELECT id, code FROM listing WHERE external_id LIKE ? ORDER BY id DESC LIMIT ?", "bench-%", count)
    with db.transaction():
        for number, _ in found:
            db.run("UPDATE listing SET quantity = 90000000 WHERE id = ?", number)
    db.close()
    return [str(code) for _, code in found]


def _orders(url: str, codes: list[str], count: int) -> list[Any]:
    """`count` requests to reserve one piece, each with its own Idempotency-Key, by 200 builders in turn."""
    _open(url)
    tokens = [people.issue_token("builder") for _ in range(200)]
    db.close()
    return [
        ["POST", "/api/v1/reservations",
         {"Content-Type": "application/json", "Authorization": f"Bearer {token}", "Idempotency-Key": uuid.uuid4().hex},
         json.dumps({"listing": code, "quantity": 1})]
        for token, code in itertools.islice(zip(itertools.cycle(tokens), itertools.cycle(codes)), count)
    ]  # fmt: skip


def reserving(bench: Bench, url: str) -> None:
    """Durable reservations over HTTP, all rules on, beside raw commits; one process and two, many listings and one."""
    codes = _codes(url, 1501)
    _check_durable(url)
    count = int(2500 * bench.seconds)
    raw = [raw_commits(url, bench.seconds / 2)]
    with bench.served(url):
        single = bench.load(OURS, _orders(url, codes[1:], count), status="201")
        hot = bench.load(OURS, _orders(url, codes[:1], count), status="201", seconds=bench.seconds / 2)["per_second"]
    raw.append(raw_commits(url, bench.seconds / 2))
    with bench.served(url, pinned=False), bench.served(url, SECOND, pinned=False):
        double = bench.load(OURS, _orders(url, codes[1:], count), SECOND, status="201")
    with bench.referred(url):
        orders = [
            ["POST", f"/reserve/{code}", {}, ""] for code in itertools.islice(itertools.cycle(codes[1:]), 4 * count)
        ]
        reference = bench.load(REFERENCE, orders, status="201")["per_second"]
    raw.append(raw_commits(url, bench.seconds / 2))
    commits, speed = statistics.median(raw), single["per_second"]
    bench.rate("durable reservation over HTTP vs raw durable commits", speed, commits, 0.08, 0.22)
    bench.rate("  the same, one hot listing", hot, commits, 0.08, 0.22)
    bench.rate("  the same vs the reference's (no rules, no log)", speed, reference, 0.5, 0.8)
    for name, result in (("1 process", single), ("2 processes", double)):
        p99, p50 = result["p99"], result["p50"]
        bench.note(f"its p99 over its p50, 8 connections, {name}", f"{p99:.0f} ms", f"{p50:.0f} ms", p99 / p50, 10,
                   4, more_is_better=False, short=f"(over {LONGEST_P99:.0f} ms)" if p99 > LONGEST_P99 else "")  # fmt: skip


def _check_durable(url: str) -> None:
    """Every connection that this code opens, in whatever thread, must wait for the disk."""
    levels: list[int] = []

    def look() -> None:
        db.connect()
        levels.append(db.value("PRAGMA synchronous"))
        db.close()

    _open(url)
    for thread in [threading.Thread(target=look) for _ in range(4)]:
        thread.start()
        thread.join()
    db.close()
    assert levels == [2] * 4, levels


def publishing(bench: Bench, sizes: dict[int, str]) -> None:
    """One listing, durable and findable, in a small and in a large catalogue; and a file of them."""
    taken = {}
    for count, url in sizes.items():
        _open(url)
        durations = []
        for row in catalogue.rows(150):
            start = time.perf_counter()
            catalog.publish(catalogue.ADMIN, row)
            durations.append(time.perf_counter() - start)
        taken[count] = statistics.median(durations) * 1000
        pending = list(catalogue.rows(3000))
        imported = _per_second(len(pending), functools.partial(catalogue.put, pending, "import"))
        db.close()
        bench.note(f"importing 3000 rows into {name_of(count)}, searchable, durable (a second)", f"{imported:.0f}/s", "",
                   imported, 2000, 8000)  # fmt: skip
    small, *larger = taken
    for count in larger:
        bench.note(f"publishing one listing, p50 at {name_of(count)} over {name_of(small)}", f"{taken[count]:.2f} ms",
                   f"{taken[small]:.2f} ms", taken[count] / taken[small], 2, 1.5, more_is_better=False)  # fmt: skip


# The command, and the most memory that its process had: what the kernel tells its parent begins at what the parent has.
IMPORT = """
import runpy, sys
sys.argv = ["flask", "import", "listings", sys.argv[1]]
try:
    runpy.run_module("flask", run_name="__main__")
finally:
    print(dict(line.split(":", 1) for line in open("/proc/self/status"))["VmHWM"].split()[0])
"""


def importing(bench: Bench, folder: pathlib.Path, counts: tuple[int, int]) -> None:
    """A file by `flask import listings`, in a process of its own: rows a second, its memory, and the same file again."""
    peaks, rates = {}, {}
    for count in counts:
        url, file = f"sqlite:///{folder.absolute()}/import-{count}.db", folder / f"{count}.csv"
        catalogue.fill(url, 0)
        _open(url)
        with file.open("w", newline="") as stream:
            writer = csv.DictWriter(stream, ["external_id", *next(catalogue.rows(1))])
            writer.writeheader()
            writer.writerows({**row, "external_id": f"file-{n}"} for n, row in enumerate(catalogue.rows(count)))
        db.close()
        for turn in ("first", "again"):
            start = time.perf_counter()
            done = subprocess.run([sys.executable, "-c", IMPORT, str(file)], env={**os.environ, "DATABASE_URL": url},
                                  stdout=subprocess.PIPE, text=True, check=True)  # fmt: skip
            rates[turn], peaks[turn, count] = count / (time.perf_counter() - start), int(done.stdout.split()[-1]) / 1024
    small, large = counts
    bench.note(f"flask import of {large} rows, searchable, durable (a second)", f"{rates['first']:.0f}/s", "",
               rates["first"], 2000, 8000)  # fmt: skip
    bench.note("  the same file again, as after a power cut, vs the first time", f"{rates['again']:.0f}/s",
               f"{rates['first']:.0f}/s", rates["again"] / rates["first"], 1.5, 3)  # fmt: skip
    bench.note(f"  its memory at {name_of(large)} rows over {name_of(small)}",
               f"{peaks['first', large]:.0f} MB", f"{peaks['first', small]:.0f} MB",
               peaks["first", large] / peaks["first", small], 1.2, 1.1, more_is_better=False)  # fmt: skip


def _per_second(count: int, act: Callable[[], object]) -> float:
    start = time.perf_counter()
    act()
    return count / (time.perf_counter() - start)


def texting(bench: Bench, url: str, count: int) -> None:
    """Draining queued SMS reservations, and answering what the webhook brings."""
    codes = _codes(url, 1500)
    _open(url)
    with db.transaction():
        for n in range(count):
            text = Inbound(uuid.uuid4().hex, f"+596696{n:06}", "1", f"R {codes[n % len(codes)]}", None)
            messages.store_inbound("africastalking", text)
    raw = [raw_commits(url, bench.seconds / 2)]
    drained = _per_second(count, _drain)
    raw.append(raw_commits(url, bench.seconds / 2))
    assert db.value("SELECT COUNT(*) FROM reservation r JOIN inbound_message m ON r.origin = 'sms:' || m.gateway || ':' "
                    "|| m.external_id") == count  # fmt: skip
    bench.rate("draining queued SMS reservations vs raw durable commits", drained, statistics.mean(raw), 0.3, 1.0)
    answered = (
        f"SELECT COUNT(*) FROM outbound_message WHERE in_reply_to > {db.value('SELECT MAX(id) FROM inbound_message')}"
    )
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    forms = [
        ["POST", "/sms/africastalking/demo/inbound", headers,
         f"id={uuid.uuid4().hex}&from=%2B596697{n:06}&to=1&text={catalogue.NOUNS[n % len(catalogue.NOUNS)]}&date="]
        for n in range(count)
    ]  # fmt: skip
    with bench.served(url):
        start = time.perf_counter()
        stored = _generate({"ports": [OURS], "connections": 8, "once": True, "seconds": 600, "requests": forms})
        assert stored["statuses"] == {"200": count}, stored
        kept = count / (time.perf_counter() - start)
        while db.value(answered) < count:
            time.sleep(0.02)
        speed = count / (time.perf_counter() - start)
    db.close()
    raw.append(raw_commits(url, bench.seconds / 2))
    bench.rate(f"burst of {count} inbound SMS stored over HTTP, while others are answered, vs raw durable commits", kept,
               statistics.mean(raw), 0.08, 0.22)  # fmt: skip
    bench.note(
        "inbound SMS stored, understood, answered (a second), one process", f"{speed:.0f}/s", "", speed, 150, 400
    )


def _drain() -> None:
    while inbox.handle_pending():
        pass


class Instant(Gateway):
    """Takes whatever it is handed, at once: what remains is ours."""

    name = "instant"
    capabilities = Capabilities(False, False, False, 1_000_000.0, False)

    @classmethod
    def from_settings(cls, _settings: settings.Settings) -> Instant:
        return cls()

    def send(self, message: Outgoing) -> Accepted:
        return Accepted(message.reference, None)

    def parse_inbound(self, _knock: object) -> None:
        raise NotImplementedError


def dialling(bench: Bench, url: str, sessions: int) -> None:
    """USSD steps alone, beside a search load on every core, and beside a burst of inbound SMS."""
    _open(url)
    searches = [_get(f"/api/v1/listings?{question.query}") for question in catalogue.questions()]
    db.close()
    headers = {"Content-Type": "application/x-www-form-urlencoded"}

    def steps(block: int) -> list[Any]:
        """All the dials, then all the first answers…: a session's steps never overlap."""
        paths = ("", "1", "1*{word}", "1*{word}*1", "1*{word}*1*0")
        return [
            ["POST", "/sms/africastalking/demo/ussd", headers,
             f"sessionId={block}-{n}&phoneNumber=%2B596696{block}{n:05}&serviceCode=%2A384%23&text="
             + path.format(word=catalogue.NOUNS[n % len(catalogue.NOUNS)])]
            for path in paths for n in range(sessions)
        ]  # fmt: skip

    def plan(requests: list[Any], connections: int = 8) -> dict[str, Any]:
        return {"ports": [OURS], "connections": connections, "once": requests[0][0] == "POST", "seconds": 600,
                "requests": requests}  # fmt: skip

    burst = [
        ["POST", "/sms/africastalking/demo/inbound", headers,
         f"id={uuid.uuid4().hex}&from=%2B596697{n % 2000:06}&to=1&text={catalogue.NOUNS[n % len(catalogue.NOUNS)]}&date="]
        for n in range(sessions * 5)
    ]  # fmt: skip
    with bench.served(url, pinned=False):
        for block, (what, beside, floor, aim) in enumerate(
            (("", None, 50, 10), (", beside searches", {**plan(searches), "seconds": 5.0}, 200, 50),
             (", beside a burst of inbound SMS", plan(burst), 1000, 200)), 1
        ):  # fmt: skip
            with ThreadPoolExecutor(1) as pool:
                other = pool.submit(_generate, beside) if beside else None
                result = _generate(plan(steps(block)))
                if other is not None:
                    assert set(other.result()["statuses"]) == {"200"}
            assert set(result["statuses"]) == {"200"}, result
            bench.note(f"USSD step, p99 at 8 connections{what} ({result['per_second']:.0f}/s)", f"{result['p99']:.0f} ms", "",
                       result["p99"], floor, aim, more_is_better=False)  # fmt: skip


def posting(bench: Bench, url: str, count: int, alerts: int) -> None:
    """Sending: a backlog of answers drained by a gateway that takes at once, and answers claimed among waiting alerts."""
    settings.use(settings.load({"DATABASE_URL": url, "SMS_DAILY_LIMIT": "1000000"}))
    db.open_database(url)
    db.connect()
    db.run("UPDATE outbound_message SET state = 'cancelled' WHERE state = 'queued'")
    phones = [f"+596696{n:06}" for n in range(2500)]
    taken: dict[int, float] = {}
    for waiting in (alerts // 100, alerts):
        with db.transaction():
            db.run(
                "INSERT INTO outbound_message (person_id, recipient, text, kind, priority, language, created_at) "
                "WITH RECURSIVE n (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < ?) "
                "SELECT ?, 'alert ' || x, 'Alerte', 'notice', 3, 'fr', 0 FROM n",
                waiting - sum(taken), people.ensure("+596697999999"),
            )  # fmt: skip
        durations = []
        for n in range(50):
            _answer(phones[4 * n : 4 * n + 4])
            start = time.perf_counter()
            found = messages.claim("instant", "bench", 4)
            durations.append(time.perf_counter() - start)
            assert [one.kind for one in found] == [messages.ANSWER] * 4
            with db.transaction():
                for one in found:
                    messages.mark_sent(one.id, "instant", None, None)
        taken[waiting] = statistics.median(durations) * 1000
    small, large = taken
    bench.note(f"claiming 4 answers among {large} waiting alerts over {small}", f"{taken[large]:.2f} ms",
               f"{taken[small]:.2f} ms", taken[large] / taken[small], 2, 1.5, more_is_better=False)  # fmt: skip
    db.run("UPDATE outbound_message SET state = 'cancelled' WHERE state = 'queued'")
    _answer(itertools.islice(itertools.cycle(phones), count))
    raw = [raw_commits(url, bench.seconds / 2)]
    sent = _per_second(count, _send)
    raw.append(raw_commits(url, bench.seconds / 2))
    assert db.value("SELECT COUNT(*) FROM outbound_message WHERE state = 'queued'") == 0
    db.close()
    bench.rate(f"sending {count} queued answers, a gateway that takes at once, vs raw durable commits", sent,
               statistics.mean(raw), 0.3, 1.0)  # fmt: skip


def _answer(phones: Iterable[str]) -> None:
    with db.transaction():
        for phone in phones:
            text = "Réservé: Planche sapin 200x20 cm (1). CODE 7391. La Sphère, avant mer 02/12 17h."
            messages.queue(people.ensure(phone), phone, text, messages.ANSWER, "fr")


def _send() -> None:
    wake = threading.Event()
    sender = outbox.Sender(Instant(), "bench", wake)
    while sender.tick() or sender.busy:
        if sender.busy:
            wake.wait(1)
            wake.clear()
    sender.close()


# --- weight -----------------------------------------------------------------------------------------------------------
def weighing(bench: Bench, count: int, url: str) -> None:
    """Memory of the whole default process tree after load, and the time from start to the first 200.

    As installed by default, without the driver of PostgreSQL, which peewee loads wherever it finds it.
    """
    driver = pathlib.Path(url.removeprefix("sqlite:///")).with_name("psycopg.py")
    driver.write_text('raise ImportError("not in a default installation")')
    _open(url)
    requests = [_get(f"/api/v1/listings?{question.query}") for question in catalogue.questions()]
    db.close()
    with bench.served(url, PYTHONPATH=str(driver.parent)) as process:
        bench.load(OURS, requests)
        tree = _tree(process)
        pss = sum(_kilobytes(f"/proc/{one}/smaps_rollup", "Pss:") for one in tree) / 1024
        anonymous = max(_kilobytes(f"/proc/{one}/status", "RssAnon:") for one in tree) / 1024
    for what, megabytes, floor, aim in (
        ("default process tree", pss, 120, 80),
        ("its largest RssAnon", anonymous, 60, 50),
    ):
        bench.note(f"memory at {name_of(count)} after load, {what} (MB)", f"{megabytes:.0f} MB", "", megabytes, floor, aim,
                   more_is_better=False)  # fmt: skip
    times: dict[str, list[float]] = {"ours": [], "hello": []}
    for _ in range(6):  # the first of each compiles
        for name, server in (
            ("ours", bench.served(url, pinned=False, PYTHONPATH=str(driver.parent))),
            ("hello", bench.referred(None, pinned=False)),
        ):
            start = time.perf_counter()
            with server:
                times[name].append(time.perf_counter() - start)
    ours, hello = (statistics.median(taken[1:]) for taken in times.values())
    bench.note("start to first 200 vs a bare Flask process", f"{ours:.2f} s", f"{hello:.2f} s", ours / hello, 2.5, 1.5,
               more_is_better=False)  # fmt: skip


def _tree(process: int) -> list[int]:
    """A process and its children, and theirs."""
    children = [int(child) for path in pathlib.Path(f"/proc/{process}/task").glob("*/children")
                for child in path.read_text().split()]  # fmt: skip
    return [process, *(one for child in children for one in _tree(child))]


def _kilobytes(path: str, name: str) -> int:
    return int(next(line for line in pathlib.Path(path).read_text().splitlines() if line.startswith(name)).split()[1])


# --- PostgreSQL -------------------------------------------------------------------------------------------------------
def on_postgres(bench: Bench, count: int) -> None:
    """The search and the reservation on PostgreSQL beside raw SQL there. The tests' server does not wait for the disk,
    so neither side of the ratio does.
    """
    import psycopg

    from tests.postgres import Server

    with Server() as server:
        server.create("town")
        url = f"postgresql://postgres@/town?host={server.data}"
        catalogue.fill(url, count)
        codes = _codes(url, 1500)
        with psycopg.connect(url, autocommit=True) as raw:
            raw.execute("ANALYZE")
            raw.execute("CREATE TABLE raw_stock (id int PRIMARY KEY, free int)")
            raw.execute("CREATE TABLE raw_hold (id serial PRIMARY KEY, stock int, person int)")
            raw.execute("CREATE INDEX raw_hold_person ON raw_hold (person)")
            raw.execute("INSERT INTO raw_stock VALUES (1, 0)")
            commits = _per_second(2000, lambda: [_raw_hold(raw, n) for n in range(2000)])
            query = ("SELECT l.id, l.code, l.title, l.description, l.quantity, l.unit FROM listing l WHERE l.tsv @@ "
                     "to_tsquery('simple', %s) AND l.status = 'published' ORDER BY l.id DESC LIMIT 20")  # fmt: skip
            words = ["'poutre' & 'xcbois'", "'planche' & 'xcbois'", "'porte' & 'xcbois'", "'tuile' & 'xcbois'"]
            searches = _per_second(1000, lambda: [raw.execute(query, [words[n % 4]]).fetchall() for n in range(1000)])
        with bench.served(url), bench.referred(None):
            nouns = ("poutre", "planche", "porte", "tuile")
            pages = [_get(f"/api/v1/listings?q={noun}&category=bois") for noun in nouns]
            assert _found(OURS, [path for _, path, *_ in pages]) == [20] * 4
            results = bench.in_turn(hello=(REFERENCE, [_get("/hello")]), page=(OURS, pages))
            page, hello = (results[name]["per_second"] for name in ("page", "hello"))
            speed = bench.load(OURS, _orders(url, codes, int(2500 * bench.seconds)), status="201")["per_second"]
        db.close()
    bench.rate(f"PostgreSQL: search page of 20, {name_of(count)}, vs hello", page, hello, 0.20, 0.35)
    bench.rate("PostgreSQL: the same vs raw queries, one connection", page, searches, 0.20, 0.35)
    bench.rate("PostgreSQL: reservation over HTTP vs raw commits (no fsync)", speed, commits, 0.08, 0.22)


def _raw_hold(raw: Any, number: int) -> int:
    with raw.transaction():
        raw.execute("UPDATE raw_stock SET free = free - 1")
        cursor = raw.execute("INSERT INTO raw_hold (stock, person) VALUES (1, %s)", [number * 7919 % 10007])
    return int(cursor.rowcount)


def growing_on_postgres(bench: Bench, counts: list[int]) -> None:
    """The growth of each kind of question on PostgreSQL, on the tests' server."""
    import psycopg

    from tests.postgres import Server

    with Server() as server:
        sizes = {}
        for count in counts:
            server.create(f"town_{count}")
            sizes[count] = f"postgresql://postgres@/town_{count}?host={server.data}"
            catalogue.fill(sizes[count], count)
            with psycopg.connect(sizes[count], autocommit=True) as raw:
                raw.execute("VACUUM ANALYZE")
        growth.growing(bench, sizes, _free_ports(len(sizes)), "PostgreSQL: ")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", default="10000,100000", help="listings of each catalogue, the smallest first")
    parser.add_argument("--quick", action="store_true", help="small catalogues, short runs")
    parser.add_argument("--postgres", action="store_true", help="search, growth and reservation on PostgreSQL too")
    parser.add_argument("--only", default="", help="some parts of the table, by name: growing,importing")
    parser.add_argument("--json", type=pathlib.Path, help="write the figures there too")
    options = parser.parse_args()
    quick = options.quick
    counts = [2_000, 10_000] if quick else [int(count) for count in options.rows.split(",")]
    bench = Bench(1.0 if quick else 3.0)
    catalogue.KEPT.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="run-", dir=catalogue.KEPT) as name:
        folder = pathlib.Path(name)
        sizes = {count: catalogue.database(count, folder) for count in counts}
        large = sizes[counts[-1]]
        parts: dict[str, Callable[[], None]] = {
            "searching": lambda: searching(bench, sizes),
            "growing": lambda: growth.growing(bench, sizes, _free_ports(len(sizes))),
            "weighing": lambda: weighing(bench, counts[-1], large),
            "reserving": lambda: reserving(bench, large),
            "texting": lambda: texting(bench, large, 500 if quick else 3000),
            "dialling": lambda: dialling(bench, large, 100 if quick else 400),
            "posting": lambda: posting(bench, large, 1000 if quick else 10_000, 10_000 if quick else 100_000),
            "publishing": lambda: publishing(bench, sizes),
            "importing": lambda: importing(bench, folder, (2_000, 10_000) if quick else (10_000, 100_000)),
        }
        if options.postgres:
            parts["growing on PostgreSQL"] = lambda: growing_on_postgres(bench, counts)
            parts["on PostgreSQL"] = lambda: on_postgres(bench, counts[0])
        for part, measure in parts.items():
            if not options.only or part.split()[0] in options.only.split(","):
                measure()
    _print(bench.figures)
    if not options.only:
        for table in (
            understanding.table(understanding.score(understanding.corpus())),
            finding.table(finding.measure()),
        ):
            print()
            for line in table:
                print(line)
    if options.json:
        figures = [{**figure._asdict(), "verdict": figure.verdict} for figure in bench.figures]
        options.json.write_text(json.dumps(figures, indent=1))


def _print(figures: list[Figure]) -> None:
    width = max(len(figure.what) for figure in figures)
    print(f"\n\n{'what':{width}} {'ours':>9} {'reference':>9} {'ratio':>8} {'floor':>6} {'aim':>6}  verdict")
    for figure in figures:
        print(f"{figure.what:{width}} {figure.ours:>9} {figure.reference:>9} {figure.ratio:8.2f} {figure.floor:6g} "
              f"{figure.aim:6g}  {figure.verdict}")  # fmt: skip


if __name__ == "__main__":
    main()

"""64 clients on the last unit, by the API and by SMS together, over four processes: one winner each round, no error.

`python -m bench.race --rounds 1000` races on SQLite, `--postgres` on PostgreSQL; `--units` is what there is to win, and
`--slots` makes it an hour of a machine. The requests of a round are sent but for their last byte, then all last bytes at
once: 64 of them arrive within some milliseconds. Half of them reserve by the API, the other half are text messages at the
webhook, answered by the workers of all processes.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import json
import pathlib
import random
import selectors
import socket
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from typing import NamedTuple

from bench.__main__ import _free_ports, _running
from bench.load import percentile
from circular import catalog, cli, clock, db, i18n, imports, people, settings, slots
from circular.people import Actor

TOWN = Actor(None, "admin", "bench")
LIMIT = 60.0  # seconds that the answers of a round may take
# Winners of a thousand rounds hold a thousand things, and 64 threads knock at once.
ENVIRONMENT = {"RESIDENT_MAX_HOLDS": "100000", "BUILDER_MAX_HOLDS": "100000", "SMS_GATEWAY": "console", "THREADS": "8"}


class Round(NamedTuple):
    """What came of one: answers of the API by status, won by API and by SMS, seconds until each answer and until the last
    text was answered, and what is wrong with it.
    """

    statuses: collections.Counter[str]
    by_api: int
    by_sms: int
    seconds: list[float]
    answered: float
    wrong: list[str]


@contextlib.contextmanager
def serving(url: str, processes: int) -> Iterator[list[int]]:
    """So many whole servers on one database; their ports."""
    ports = _free_ports(processes)
    with contextlib.ExitStack() as stack:
        command = [sys.executable, "-m", "flask", "serve"]
        for port in ports:
            environment = {**ENVIRONMENT, "DATABASE_URL": url, "PORT": str(port)}
            stack.enter_context(_running(command, port, "/healthz", False, environment))
        yield ports


def open_town(url: str) -> None:
    """Point this process at a database, its tables made and its place named."""
    settings.use(settings.load({**ENVIRONMENT, "DATABASE_URL": url}))
    db.open_database(url)
    cli.upgrade()
    imports.seed(cli.DEMO)


class Prize(NamedTuple):
    """What everybody wants: a listing's code, what an order says beside it, what a text does."""

    code: str
    order: dict[str, object]
    words: str


def prize(number: int, units: int, slotted: bool) -> Prize:
    """A new listing of so many units; or an hour of a new machine of so many, the day after tomorrow."""
    kind, category = ("machine", "machine-bois") if slotted else ("material", "bois-planche")
    code = str(catalog.publish(TOWN, {"kind": kind, "title": f"Course {number}", "category": category, "quantity": units,
                                      "unit": "piece", "place": _place()})["code"])  # fmt: skip
    if not slotted:
        return Prize(code, {"quantity": 1}, f"R+{code}")
    since = clock.now_ms() + 36 * 3_600_000
    (first,) = slots.free(catalog.get(code), since, since + slots.LONGEST_LOOK, 1)
    begins = clock.local(db.from_ms(first.starts_at), settings.get().timezone)
    times = {name: clock.rfc3339(db.from_ms(getattr(first, name))) for name in ("starts_at", "ends_at")}
    return Prize(code, {"slot": times}, f"R+{code}+{i18n.DAYS['fr'][begins.weekday()].upper()}+{begins.hour}H")


def race(ports: list[int], tokens: list[str], number: int, units: int, clients: int, slotted: bool = False) -> Round:
    """One round: something new to win, and everybody at once."""
    code, order, words = prize(number, units, slotted)
    half = clients // 2
    ids = [uuid.uuid4().hex for _ in range(clients - half)]
    requests = [_order(token, {"listing": code, **order}) for token in tokens[:half]]
    requests += [_text(one, f"+596696{(number * clients + n) % 10**6:06}", words) for n, one in enumerate(ids)]
    began = time.perf_counter()
    head_start = random.choice((0.0, random.uniform(0.0, 0.2)))  # else the API, which answers at once, always wins
    answers = volley(ports, requests, half, head_start)
    statuses = collections.Counter(status for status, _ in answers[:half])
    wrong = [f"the webhook said {status}" for status, _ in answers[half:] if status != "200"]
    wrong += [f"the API said {status}" for status in statuses if status not in ("201", "409")]
    wrong += _wait_for_texts(ids)
    answered = time.perf_counter() - began
    texts = [text for (text,) in db.rows(
        "SELECT o.text FROM inbound_message m JOIN outbound_message o ON o.in_reply_to = m.id "
        f"WHERE m.external_id IN ({', '.join('?' * len(ids))})", *ids)]  # fmt: skip
    by_api, by_sms = statuses["201"], sum(text.startswith("Réservé") for text in texts)
    held = db.value("SELECT COUNT(*) FROM reservation r JOIN listing l ON l.id = r.listing_id WHERE l.code = ?", code)
    if len(texts) != len(ids):
        wrong.append(f"{len(ids)} texts, {len(texts)} answers")
    if not by_api + by_sms == held == units:
        wrong.append(f"{by_api} won by API and {by_sms} by SMS, {held} reservations, {units} units")
    if not slotted and catalog.get(code)["available"] != 0:
        wrong.append(f"{catalog.get(code)['available'] / 1000} left")
    return Round(statuses, by_api, by_sms, [seconds for _, seconds in answers], answered, wrong)


def _place() -> str:
    return str(db.value("SELECT code FROM place ORDER BY id LIMIT 1"))


def _order(token: str, body: dict[str, object]) -> bytes:
    return _request("/api/v1/reservations", f"Content-Type: application/json\r\nAuthorization: Bearer {token}\r\n"
                    f"Idempotency-Key: {uuid.uuid4()}\r\n", json.dumps(body))  # fmt: skip


def _text(external_id: str, phone: str, words: str) -> bytes:
    body = f"id={external_id}&from=%2B{phone[1:]}&to=40404&text={words}&date="
    return _request("/sms/africastalking/demo/inbound", "Content-Type: application/x-www-form-urlencoded\r\n", body)


def _request(path: str, headers: str, body: str) -> bytes:
    return (f"POST {path} HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n{headers}"
            f"Content-Length: {len(body)}\r\n\r\n{body}").encode()  # fmt: skip


def volley(ports: list[int], requests: list[bytes], half: int, head_start: float) -> list[tuple[str, float]]:
    """Send all requests at once, their last bytes in any order; the status of each ("" for none) and its seconds.

    Those from `half` on, the texts, have so many seconds' start.
    """
    sockets = []
    for number, request in enumerate(requests):
        opened = socket.create_connection(("127.0.0.1", ports[number % len(ports)]), timeout=10)
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        opened.sendall(request[:-1])
        sockets.append(opened)
    selector = selectors.DefaultSelector()
    order = random.sample(range(len(sockets)), len(sockets))
    if head_start:
        order.sort(key=lambda number: number < half)
    began = time.perf_counter()
    for place, number in enumerate(order):
        if head_start and place == len(sockets) - half:
            time.sleep(head_start)
        sockets[number].sendall(requests[number][-1:])
        selector.register(sockets[number], selectors.EVENT_READ, number)
    found = [("", LIMIT)] * len(sockets)
    while selector.get_map() and time.perf_counter() < began + LIMIT:
        for key, _ in selector.select(1.0):
            with contextlib.suppress(OSError):
                head = sockets[key.data].recv(65536)
                found[key.data] = (head[9:12].decode("ascii", "replace"), time.perf_counter() - began)
            selector.unregister(key.fileobj)
    for opened in sockets:
        opened.close()
    return found


def _wait_for_texts(ids: list[str]) -> list[str]:
    """Wait until every message is dealt with; what is wrong with any."""
    marks = ", ".join("?" * len(ids))
    until = time.perf_counter() + LIMIT
    open_ones = f"SELECT COUNT(*) FROM inbound_message WHERE state = 'received' AND external_id IN ({marks})"
    while db.value(open_ones, *ids):
        if time.perf_counter() > until:
            return ["a text was not answered"]
        time.sleep(0.01)
    found = db.rows(f"SELECT state, attempts FROM inbound_message WHERE external_id IN ({marks})", *ids)
    return [
        f"a text ended {state} after {attempts} failures"
        for state, attempts in found
        if (state, attempts) != ("handled", 0)
    ]


def run(
    url: str, rounds: int, *, units: int = 1, clients: int = 64, processes: int = 4, slotted: bool = False
) -> list[Round]:
    """So many rounds on a database."""
    open_town(url)
    tokens = [people.issue_token("builder") for _ in range(clients)]
    with serving(url, processes) as ports:
        found = []
        for number in range(rounds):
            found.append(race(ports, tokens, number, units, clients, slotted))
            if sys.stderr.isatty():
                print(f"\r{number + 1} rounds", end="", file=sys.stderr)
    db.close()
    return found


def report(found: list[Round]) -> str:
    """The figures, on a few lines."""
    statuses = sum((one.statuses for one in found), collections.Counter())
    seconds = sorted(second for one in found for second in one.seconds)
    answered = sorted(one.answered for one in found)
    wrong = [text for one in found for text in one.wrong]
    lines = [
        f"{len(found)} rounds, {len(seconds)} requests: won by API {sum(one.by_api for one in found)}, "
        f"by SMS {sum(one.by_sms for one in found)}; API said {dict(statuses)}",
        f"answers p50 {percentile(seconds, 0.5):.0f} ms, p99 {percentile(seconds, 0.99):.0f} ms, "
        f"max {percentile(seconds, 1):.0f} ms; all texts of a round answered within "
        f"{statistics.median(answered) * 1000:.0f} ms (median), {percentile(answered, 1):.0f} ms (max)",
        f"{len(wrong)} wrong",
    ]
    return "\n".join([*lines, *wrong[:20]])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--units", type=int, default=1, help="of each listing: so many win")
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--processes", type=int, default=4)
    parser.add_argument("--slots", action="store_true", help="race for an hour of a machine")
    parser.add_argument("--postgres", action="store_true", help="on PostgreSQL instead of SQLite")
    options = parser.parse_args()
    with contextlib.ExitStack() as stack:
        if options.postgres:
            from tests.postgres import Server

            url = stack.enter_context(Server()).create("race")
        else:
            folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="race-")))
            url = f"sqlite:///{folder}/town.db"
        found = run(
            url, options.rounds, units=options.units, clients=options.clients, processes=options.processes,
            slotted=options.slots,
        )  # fmt: skip
    print(report(found))
    sys.exit(any(one.wrong for one in found))


if __name__ == "__main__":
    main()

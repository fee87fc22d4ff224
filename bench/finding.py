"""Does the search understand people? The table of `fixtures/search` asked on the demonstration, `tune` and `aside` apart.

`python -m bench.finding [--set tune] [--misses]`
"""

from __future__ import annotations

import argparse
import csv
import pathlib
import tempfile
from collections.abc import Iterator
from typing import NamedTuple

import time_machine

from circular import cli, db, imports, queries, settings

QUERIES = settings.ROOT / "fixtures" / "search" / "queries.csv"
NOON = "2026-12-01T16:00:00Z"  # in Martinique
LOOKED_AT = 10  # listings of an answer


class Query(NamedTuple):
    """A text, what a person would call right, and what looks like it."""

    text: str
    language: str
    expected: list[str]
    near_miss: list[str]
    part: str


class Score(NamedTuple):
    """Shares of the queries of a set, as fixtures/search/README.md defines them."""

    queries: int
    recall: float
    mrr: float
    first: float
    misled: float
    silent: float


def asked_of(part: str = "") -> list[Query]:
    """The table, or one set of it."""
    with QUERIES.open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if part in ("", row["set"])]
    return [
        Query(
            row["query"], row["language"], [] if row["expected"] == "none" else row["expected"].split("|"),
            [one for one in row["near_miss"].split("|") if one], row["set"],
        )
        for row in rows
    ]  # fmt: skip


def seed(url: str) -> None:
    """The demonstration in an empty database."""
    settings.use(settings.load({"DATABASE_URL": url}))
    db.open_database(url)
    cli.upgrade()
    imports.seed(cli.DEMO)


def ask(asked: list[Query]) -> Iterator[tuple[Query, list[str]]]:
    """Each query with the listings (`external_id`) that are found."""
    with time_machine.travel(NOON, tick=False):
        for query in asked:
            page = queries.find(queries.query({"q": query.text, "limit": LOOKED_AT}))
            yield query, [listing["external_id"] for listing in page.items]


def score(answers: list[tuple[Query, list[str]]]) -> Score:
    """The figures of a set."""
    found = [(query, answer) for query, answer in answers if query.expected]
    none = [answer for query, answer in answers if not query.expected]
    ranks = [_rank(answer, query.expected) for query, answer in found]
    misled = [_rank(answer, query.near_miss) < rank for (query, answer), rank in zip(found, ranks, strict=True)]
    return Score(
        len(answers),
        sum(rank <= 3 for rank in ranks) / len(found),
        sum(1 / rank for rank in ranks if rank <= LOOKED_AT) / len(found),
        sum(rank == 1 for rank in ranks) / len(found),
        sum(misled) / len(found),
        sum(not answer for answer in none) / len(none),
    )


def _rank(answer: list[str], wanted: list[str]) -> int:
    return next((n for n, one in enumerate(answer, 1) if one in wanted), 99)


def table(parts: dict[str, Score]) -> Iterator[str]:
    """Lines to print."""
    yield f"{'finding':21} {'queries':>8} {'recall@3':>9} {'MRR':>6} {'first':>6} {'misled':>7} {'silent':>7}"
    for name, one in parts.items():
        yield (f"{name:21} {one.queries:8} {one.recall:9.3f} {one.mrr:6.3f} {one.first:6.3f} {one.misled:7.3f} "
               f"{one.silent:7.3f}")  # fmt: skip


def measure(parts: tuple[str, ...] = ("tune", "aside"), url: str = "") -> dict[str, Score]:
    """The figures of the sets, on an empty database at `url`; on SQLite, in a file of their own, without one."""
    with tempfile.TemporaryDirectory(prefix="finding-") as folder:
        seed(url or f"sqlite:///{pathlib.Path(folder)}/town.db")
        scores = {part: score(list(ask(asked_of(part)))) for part in parts}
        db.close()
    return scores


def measure_on_postgres() -> dict[str, Score]:
    """The same figures on PostgreSQL."""
    from tests.postgres import Server

    with Server() as server:
        server.create("finding")
        found = measure(url=f"postgresql://postgres@/finding?host={server.data}")
    return {f"{part} on PostgreSQL": one for part, one in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--set", default="", choices=["tune", "aside"], help="this set alone")
    parser.add_argument("--misses", action="store_true", help="name the queries of the set that are answered wrongly")
    options = parser.parse_args()
    if not options.misses:
        for line in table(measure((options.set,) if options.set else ("tune", "aside"))):
            print(line)
        return
    with tempfile.TemporaryDirectory(prefix="finding-") as folder:
        seed(f"sqlite:///{pathlib.Path(folder)}/town.db")
        for query, answer in ask(asked_of(options.set or "tune")):
            if wrong := _wrong(query, answer):
                print(f"{wrong:7} {query.language:3} {query.text!r}: {_short(answer)}, not {_short(query.expected)}")
        db.close()


def _wrong(query: Query, answer: list[str]) -> str:
    if not query.expected:
        return "noisy" if answer else ""
    rank = _rank(answer, query.expected)
    if rank > 3:
        return "missed"
    return "misled" if _rank(answer, query.near_miss) < rank else "late" if rank > 1 else ""


def _short(found: list[str]) -> str:
    return " ".join(one.removeprefix("demo-") for one in found) or "nothing"


if __name__ == "__main__":
    main()

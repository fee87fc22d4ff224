"""Does anything grow with the catalogue? Each kind of question at every size, in turn, while others write.

A server for each size runs at the same time, so that a busy moment of the machine hits all of them; what counts is the
median of the largest over that of the smallest.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import random
import statistics
import threading
import time
import urllib.parse
import urllib.request
import uuid
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from bench import catalogue
from bench.catalogue import name_of
from circular import db, people, settings

if TYPE_CHECKING:
    from bench.__main__ import Bench

LANGUAGES = {
    "gcf": "fey tòl,pòt,finèt,lapòt,boutèy,chèz", "ht": "fèy tòl,pòt,fenèt,blòk,chèz,tab",
    "en": "door,window,beam,roof tile,brick,sheet metal", "es": "puerta,ventana,viga,teja,ladrillo,lavabo",
    "pt": "porta,janela,viga,telha,tijolo,lavatório", "fr": "portes,fenêtres,poutres,tuiles,briques,évier",
}  # fmt: skip
WRITES = 10  # a second
ROUNDS = 3
CONNECTIONS = 2  # so that a time is what an answer takes, not what it waits for others


def questions(count: int = 60) -> dict[str, list[str]]:
    """Paths by kind, seeded; their words are in every catalogue."""
    chance = random.Random(11)
    rare = [row["title"].split()[-1] for row in itertools.islice(catalogue.rows(200), 200)]
    nouns = [chance.choice(catalogue.NOUNS) for _ in range(count)]

    def asked(*queries: str) -> list[str]:
        return [f"/api/v1/listings?{query}" for query in queries]

    return {
        "rare word": asked(*(f"q={chance.choice(rare)}" for _ in nouns)),
        "frequent word": asked("q=bois", "q=démonté", "q=lot"),
        "no word": asked("", "kind=material", "category=bois", "place=la-sphere"),
        "two words": asked(*(f"q={noun}+{chance.choice(catalogue.ADJECTIVES)}" for noun in nouns)),
        "two things": asked(*(f"q={noun}+{chance.choice(catalogue.NOUNS)}" for noun in nouns)),
        "word and filter": asked(
            *(f"q={noun}&category={chance.choice(('bois', 'metal', 'toiture'))}" for noun in nouns)
        ),
        "three filters": asked(*(f"q={noun}&condition=to_repair&commune=97213&free=true" for noun in nouns)),
        "beginning of a word": asked(*(f"q={noun[:4]}" for noun in nouns)),
        "typo": asked(*(f"q={catalogue.misspelt(noun)}" for noun in nouns)),
        "six languages": asked(*(f"q={word}" for words in LANGUAGES.values() for word in words.split(","))),
        "size": asked(*(f"q={noun}+2m" for noun in nouns)),
        "quantity": asked(*(f"q={chance.randint(30, 80)}+{noun}" for noun in nouns)),
        "commune in words": asked(*(f"q={noun}+lamentin" for noun in nouns)),
        "near": asked(*(f"q={noun}&near={14.6 + chance.random() / 20:.4f},-61.0&radius_km=3" for noun in nouns)),
        "near, far from all": asked(*(f"q={noun}&near=14.40,-60.87&radius_km=2" for noun in nouns)),
        "price": asked(*(f"q={noun}&price_max_cents=100&free=false" for noun in nouns)),
        "reservable now": asked(*(f"q={noun}&available=true" for noun in nouns)),
        "facets": asked(*(f"q={noun}&facets=true" for noun in nouns), "facets=true"),
        "nothing has it": asked("q=zzzzzz", "q=qwertyuiop", "q=????"),
        "the page": [f"/?q={noun}" for noun in nouns],
    }


def growing(bench: Bench, sizes: dict[int, str], ports: Sequence[int], engine: str = "") -> None:
    """Figures of each kind: the p50 of each larger catalogue over that of the smallest."""
    with contextlib.ExitStack() as stack:
        writers: dict[int, Writer] = {}
        asked: dict[int, dict[str, list[str]]] = {}
        for (count, url), port in zip(sizes.items(), ports, strict=True):
            settings.use(settings.load({"DATABASE_URL": url}))
            db.open_database(url)
            db.connect()
            headers = {"Authorization": f"Bearer {people.issue_token('admin')}"}
            codes = [code for (code,) in db.rows("SELECT code FROM listing ORDER BY id DESC LIMIT 200")]
            mix = questions()
            db.close()
            stack.enter_context(bench.served(url, port))
            asked[count] = {**mix, "page ten": _deep(port), "listing": [f"/api/v1/listings/{code}" for code in codes]}
            writers[count] = stack.enter_context(Writer(port, headers))
        results: dict[str, dict[int, list[dict[str, Any]]]] = {}
        for kind in asked[next(iter(sizes))]:
            results[kind] = {count: [] for count in sizes}
            for _ in range(ROUNDS):
                for (count, writer), port in zip(writers.items(), ports, strict=True):
                    requests = [["GET", urllib.parse.quote(path, safe="/?&=+%"), {}, ""] for path in asked[count][kind]]
                    with writer.writing():
                        results[kind][count].append(
                            bench.load(port, requests, seconds=bench.seconds / 8, connections=CONNECTIONS)
                        )
        for kind, found in results.items():
            _note(bench, f"{engine}{kind}", {count: _median(found[count]) for count in sizes})
        whole = {
            count: tuple(statistics.mean(_median(found[count])[n] for found in results.values()) for n in (0, 1))
            for count in sizes
        }
        _note(bench, f"{engine}mean of all kinds", whole)
        _note(bench, f"{engine}publishing, meanwhile",
              {count: (statistics.median(writer.times), max(writer.times)) for count, writer in writers.items()})  # fmt: skip


def _median(rounds: list[dict[str, Any]]) -> tuple[float, float]:
    return statistics.median(one["p50"] for one in rounds), statistics.median(one["p99"] for one in rounds)


def _note(bench: Bench, what: str, taken: dict[int, tuple[float, ...]]) -> None:
    small, *larger = taken
    for count in larger:
        (p50, p99), (reference, other) = taken[count], taken[small]
        bench.note(f"{what}, p50 at {name_of(count)} over {name_of(small)} (p99 {p99:.0f} over {other:.0f} ms)",
                   f"{p50:.2f} ms", f"{reference:.2f} ms", p50 / reference, 2.0, 1.5, more_is_better=False)  # fmt: skip


def _deep(port: int, pages: int = 10) -> list[str]:
    """The paths of tenth pages."""
    found = []
    for noun in catalogue.NOUNS[:6]:
        path = f"/api/v1/listings?q={urllib.parse.quote(noun)}"
        for _ in range(pages - 1):
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=30) as answer:
                path = json.load(answer)["next"] or path
        found.append(path)
    return found


class Writer:
    """Somebody who publishes and reserves while others read, WRITES times a second."""

    def __init__(self, port: int, headers: dict[str, str]) -> None:
        self.port, self.headers = port, headers
        self.times: list[float] = []  # milliseconds of each publication
        self._busy, self._ended = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._rows = _endless()

    def __enter__(self) -> Writer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Write until the block ends."""
        self._busy.set()
        try:
            yield
        finally:
            self._busy.clear()

    def _run(self) -> None:
        while not self._ended.wait(1 / WRITES):
            if self._busy.is_set():
                start = time.perf_counter()
                made = self._post("/api/v1/listings", next(self._rows))
                self.times.append((time.perf_counter() - start) * 1000)
                order = {"listing": made["code"], "quantity": 1, "phone": "+596696123456"}
                held = self._post("/api/v1/reservations", order)
                self._post(f"/api/v1/reservations/{held['id']}/cancel", {})

    def _post(self, path: str, body: dict[str, Any]) -> Any:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}", json.dumps(body).encode(),
            {**self.headers, "Content-Type": "application/json", "Idempotency-Key": uuid.uuid4().hex},
        )  # fmt: skip
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)


def _endless() -> Iterator[dict[str, Any]]:
    chance = random.Random(3)
    while True:
        yield {
            "kind": "material", "title": f"{chance.choice(catalogue.NOUNS)} {chance.choice(catalogue.ADJECTIVES)}",
            "category": "bois", "quantity": 5, "unit": "piece", "place": chance.choice(catalogue.PLACES),
        }  # fmt: skip

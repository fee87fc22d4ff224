"""A seeded catalogue of N listings, written through the catalogue's own code and kept under var/bench for the next run.

What is kept is never served: each run works on a copy, so that no run measures what an earlier one left behind.
"""

from __future__ import annotations

import hashlib
import itertools
import pathlib
import random
import shutil
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from circular import catalog, categories, cli, db, imports, search, settings
from circular.imports.loading import BATCH
from circular.people import Actor

ADMIN = Actor(None, "admin", "cli")
KEPT = pathlib.Path("var/bench")
SHAPES = ("bench/catalogue.py", "circular/catalog.py", "circular/categories.py", "circular/search.py",
          "circular/vocabulary.py", "circular/text.py", "circular/ranges.py", "circular/checks.py",
          "circular/migrations/*.py", "fixtures/demo/*", "fixtures/vocabulary/*")  # fmt: skip
NOUNS = (
    "poutre planche porte fenêtre tuile brique parpaing carrelage lavabo évier radiateur câble tôle zinc palette volet "
    "chevron lambris gouttière robinet"
).split()
ADJECTIVES = "sapin chêne acier blanc ancien récup lourd rouge brut double creux plein émaillé galvanisé".split()
SYLLABLES = "ba be bi bo da de di do fa fe fi fo ga go ja ka la le li lo ma me mi mo na ne".split()
PLACES = ("la-sphere", "trois-lieu", "up-and-space", "kalibouka", "mairie-lamentin")
PRICES = (0, 0, 0, 100, 500, 2500)  # cents
CONDITIONS = ("good", "good", "good", "as_new", "to_repair")


def rows(count: int) -> Iterator[dict[str, Any]]:
    """`count` listings: `bois` in a tenth of the titles, `lot` in four fifths of the texts, a long tail of made-up words.

    The first rows of a longer catalogue are those of a shorter one.
    """
    chance, other = random.Random(41271), random.Random(7391)
    codes = [category["code"] for category in categories.every() if category["unit"] == "piece"]
    for _ in range(count):
        wood = "bois " if chance.random() < 0.1 else ""
        lot = "Lot de " if chance.random() < 0.8 else ""
        yield {
            "kind": "material",
            "title": f"{chance.choice(NOUNS)} {wood}{chance.choice(ADJECTIVES)} {_made_up(chance)}",
            "description": f"{lot}{chance.choice(NOUNS)} {chance.choice(ADJECTIVES)}, bon état, démonté avec soin.",
            "category": chance.choice(codes),
            "quantity": chance.randint(20, 90),
            "unit": "piece",
            "place": chance.choice(PLACES),
            "mass_kg": 3,
            "price_cents": other.choice(PRICES),
            "condition": other.choice(CONDITIONS),
        }


def _made_up(chance: random.Random) -> str:
    return "".join(chance.choices(SYLLABLES, k=4))


def put(pending: Iterable[dict[str, Any]], name: str) -> None:
    """Write listings as the import of a file does: durable and searchable batch by batch."""
    numbered = enumerate(pending)
    while batch := list(itertools.islice(numbered, BATCH)):
        names = [(row["place"], f"{name}-{number}") for number, row in batch]
        with db.transaction(), catalog.bulk(names):
            for number, row in batch:
                catalog.put(ADMIN, row, f"{name}-{number}")


def fill(url: str, count: int) -> None:
    """The tables, the demo's places and `count` listings in all, in an empty database."""
    settings.use(settings.load({"DATABASE_URL": url}))
    db.open_database(url)
    cli.upgrade()
    imports.seed(cli.DEMO)
    put(rows(count - db.value("SELECT COUNT(*) FROM listing")), "bench")
    if db.is_sqlite():
        db.run("INSERT INTO listing_search (listing_search) VALUES ('optimize')")
    db.close()


def database(count: int, folder: pathlib.Path) -> str:
    """URL of a SQLite database with `count` listings, in `folder`: a copy of the one kept for this version of the code."""
    version = hashlib.sha256()
    for shape in SHAPES:
        for path in sorted(pathlib.Path().glob(shape)):
            version.update(path.read_bytes())
    kept, copy = KEPT / f"{count}-{version.hexdigest()[:12]}.db", folder.absolute() / f"{count}.db"
    url = f"sqlite:///{copy}"
    if kept.exists():
        shutil.copy(kept, copy)
    else:
        for old in KEPT.glob(f"{count}-*.db"):
            old.unlink()
        fill(url, count)
        shutil.copy(copy, kept)
    db.open_database(url)
    db.connect()
    assert search.installed() and db.value("SELECT COUNT(*) FROM listing") == count
    db.close()
    return url


class Question(NamedTuple):
    """A search: its kind, how it is asked of us, and what a reference that completes no word needs besides."""

    kind: str
    query: str
    more: str = ""


def questions(count: int = 400) -> list[Question]:
    """A seeded mix over words that both catalogues hold, in the shares of the design's measurements."""
    chance = random.Random(7)
    rare = [row["title"].split()[-1] for row in rows(200)]
    shares = {
        "frequent": 10, "two words": 20, "category": 25, "commune": 15, "prefix": 12, "rare": 6, "unaccented": 6, "typo": 6,
    }  # fmt: skip
    made = []
    for kind in chance.choices(list(shares), list(shares.values()), k=count):
        noun, adjective = chance.choice(NOUNS), chance.choice(ADJECTIVES)
        made.append(
            {
                "frequent": Question(kind, "q=bois"),
                "two words": Question(kind, f"q={noun}+{adjective}"),
                "category": Question(kind, f"q={noun}&category=bois"),
                "commune": Question(kind, f"q={noun}&commune=97213"),
                "prefix": Question(kind, f"q={noun[:4]}", "&prefix=1"),
                "rare": Question(kind, f"q={chance.choice(rare)}"),
                "unaccented": Question(kind, "q=fenetre"),
                "typo": Question(kind, f"q={misspelt(noun)}"),
            }[kind]
        )
    return made


def name_of(count: int) -> str:
    """`10k`, `1M`."""
    return f"{count // 1000}k" if count % 1_000_000 else f"{count // 1_000_000}M"


def misspelt(word: str) -> str:
    """A word without its third letter."""
    return word[:2] + word[3:]

"""A seeded catalogue of N listings, written through the catalogue's own code and kept under var/bench for the next run."""

from __future__ import annotations

import pathlib
import random
from collections.abc import Iterator
from typing import Any

from circular import catalog, cli, db, imports, search, settings
from circular.people import Actor

ADMIN = Actor(None, "admin", "cli")
NOUNS = (
    "poutre planche porte fenêtre tuile brique parpaing carrelage lavabo évier radiateur câble tôle zinc palette volet "
    "chevron lambris gouttière robinet"
).split()
ADJECTIVES = "sapin chêne acier blanc ancien récup lourd rouge brut double creux plein émaillé galvanisé".split()
SYLLABLES = "ba be bi bo da de di do fa fe fi fo ga go ja ka la le li lo ma me mi mo na ne".split()
PLACES = ("la-sphere", "trois-lieu", "up-and-space", "kalibouka", "mairie-lamentin")


def rows(count: int) -> Iterator[dict[str, Any]]:
    """`count` listings: `bois` in a tenth of the titles, `lot` in four fifths of the texts, a long tail of made-up words."""
    chance = random.Random(41271)
    categories = [category["code"] for category in catalog.categories() if category["unit"] == "piece"]
    for _ in range(count):
        word = "".join(chance.choices(SYLLABLES, k=4))
        wood = "bois " if chance.random() < 0.1 else ""
        lot = "Lot de " if chance.random() < 0.8 else ""
        yield {
            "kind": "material",
            "title": f"{chance.choice(NOUNS)} {wood}{chance.choice(ADJECTIVES)} {word}",
            "description": f"{lot}{chance.choice(NOUNS)} {chance.choice(ADJECTIVES)}, bon état, démonté avec soin.",
            "category": chance.choice(categories),
            "quantity": chance.randint(20, 90),
            "unit": "piece",
            "place": chance.choice(PLACES),
            "mass_kg": 3,
        }


def database(count: int) -> tuple[str, float]:
    """URL of a SQLite database with `count` listings, and how many were written a second (0 when it was there)."""
    path = pathlib.Path("var/bench") / f"{count}.db"
    url = f"sqlite:///{path.absolute()}"
    settings.use(settings.load({"DATABASE_URL": url}))
    db.open_database(url)
    cli.upgrade()
    have = db.value("SELECT COUNT(*) FROM listing")
    speed = 0.0
    if not have:
        import time

        imports.seed(cli.DEMO)
        have, start = db.value("SELECT COUNT(*) FROM listing"), time.perf_counter()
        pending = list(rows(count - have))
        for n in range(0, len(pending), 500):
            with db.transaction(), catalog.bulk():
                for number, row in enumerate(pending[n : n + 500], n):
                    catalog.put(ADMIN, row, f"bench-{number}")
        speed = len(pending) / (time.perf_counter() - start)
        db.run("INSERT INTO listing_search (listing_search) VALUES ('optimize')")
    assert search.installed()
    db.close()
    return url, speed


def queries(count: int = 400) -> list[str]:
    """A seeded mix: frequent word, two words, word and category, word and commune, prefix, rare word, no accent, typo."""
    chance = random.Random(7)
    kinds = {
        "q=bois": 10,
        "two": 20,
        "category": 25,
        "commune": 15,
        "prefix": 12,
        "rare": 6,
        "unaccented": 6,
        "typo": 6,
    }
    made = []
    for kind in chance.choices(list(kinds), list(kinds.values()), k=count):
        noun, adjective = chance.choice(NOUNS), chance.choice(ADJECTIVES)
        made.append(
            {
                "q=bois": "q=bois",
                "two": f"q={noun}+{adjective}",
                "category": f"q={noun}&category=bois",
                "commune": f"q={noun}&commune=97213",
                "prefix": f"q={noun[:4]}",
                "rare": f"q={''.join(chance.choices(SYLLABLES, k=4))}",
                "unaccented": "q=fenetre",
                "typo": f"q={noun[:2]}{noun[3:]}",
            }[kind]
        )
    return made

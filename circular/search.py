"""Full-text search over published listings, on the engines' own machinery: FTS5 on SQLite, tsvector on PostgreSQL.

Both index the same words: `text.analyse` of the title (`title_terms`) and of everything else that describes a listing
(`terms`: description, category in every language, place, commune, and one token for each facet), so no extension and
no dictionary is needed and both find the same listings.

Order: listings whose title holds every word, newest first; then those that hold every word anywhere, newest first.
Reading in rowid order stays flat (0.04 ms at 10k, 100k and 1M rows for a word in 80 % of them) where ranking by bm25
grows with the matches (7, 81, 1,054 ms): figures of design/performance.md. When no listing holds every word, words
are completed (`carrel` finds carrelage), then any one of them will do.
"""

from __future__ import annotations

import base64
import binascii
import json
from typing import NamedTuple

from circular import db
from circular.errors import Refusal
from circular.text import analyse, fold

MOST_WORDS = 8
# Little words that say nothing about a thing; a query of only these searches for them all the same.
STOP_WORDS = frozenset(
    "de du des la le les un une et au aux en pour avec sans sur par the of for and with el los las del para con y o os "
    "as do da dos das com e ki nan pou ak epi an ek".split()
)
EXACT, PREFIX, ANY = "exact", "prefix", "any"


class Match(NamedTuple):
    """SQL that walks matching listings newest first: a FROM source, a condition, its parameters."""

    source: str
    condition: str
    params: tuple[object, ...]
    order: str


class Cursor(NamedTuple):
    """Where a page ended: how words were matched, in the title or anywhere, and the last listing's id."""

    mode: str
    in_title: bool
    last_id: int

    def encode(self) -> str:
        """Text for a link."""
        return base64.urlsafe_b64encode(json.dumps(self).encode()).decode().rstrip("=")


def decode_cursor(text: str) -> Cursor:
    """Raises: Refusal("bad_cursor")."""
    try:
        mode, in_title, last_id = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        if mode in (EXACT, PREFIX, ANY) and isinstance(in_title, bool) and 0 <= last_id < 2**63:
            return Cursor(mode, in_title, int(last_id))
    except (ValueError, TypeError, binascii.Error, RecursionError):
        pass
    raise Refusal("bad_cursor")


def words(query: str) -> list[str]:
    """The words of a query that say something, at most MOST_WORDS."""
    found = list(dict.fromkeys(analyse(query)))
    return [word for word in found if word not in STOP_WORDS][:MOST_WORDS] or found[:MOST_WORDS]


def facet(kind: str, value: object) -> str:
    """One token for a facet: `facet("k", "material")` -> `xkmaterial`. Letters and digits only, so that no engine cuts it."""
    return f"x{kind}" + "".join(c if c.isalnum() else "0" for c in fold(str(value)))


def install() -> None:
    """Create what the engine needs, and fill it when it is new. Run after every migration: a rebuilt table loses it."""
    with db.transaction():
        if db.is_sqlite():
            if not installed():
                db.run(
                    "CREATE VIRTUAL TABLE listing_search USING fts5(title_terms, terms, content='listing', "
                    "content_rowid='id', detail='column', prefix='2 3', tokenize='unicode61 remove_diacritics 0')"
                )
                db.run("INSERT INTO listing_search (listing_search) VALUES ('rebuild')")
        else:
            db.run(
                "ALTER TABLE listing ADD COLUMN IF NOT EXISTS tsv tsvector GENERATED ALWAYS AS "
                "(setweight(to_tsvector('simple', title_terms), 'A') || setweight(to_tsvector('simple', terms), 'B')) "
                "STORED"
            )
            # fastupdate=off: a pending list makes searches slow after a bulk load (4.2 ms against 0.1 to 1.4).
            db.run("CREATE INDEX IF NOT EXISTS listing_tsv ON listing USING gin (tsv) WITH (fastupdate = off)")


def installed() -> bool:
    """True when the engine has what `install` creates."""
    if db.is_sqlite():
        return db.value("SELECT 1 FROM sqlite_master WHERE name = 'listing_search'") is not None
    return db.value("SELECT 1 FROM pg_indexes WHERE indexname = 'listing_tsv'") is not None


def put(listing_id: int, old: tuple[str, str] | None, new: tuple[str, str]) -> None:
    """Bring the index up to date after (title_terms, terms) of a listing went from `old` to `new`.

    PostgreSQL's column follows by itself. FTS5 must be given the words to forget.
    """
    if not db.is_sqlite() or old == new:
        return
    if old is not None:
        db.run(
            "INSERT INTO listing_search (listing_search, rowid, title_terms, terms) VALUES ('delete', ?, ?, ?)",
            listing_id,
            *old,
        )
    db.run("INSERT INTO listing_search (rowid, title_terms, terms) VALUES (?, ?, ?)", listing_id, *new)


def match(query_words: list[str], facets: list[str], mode: str, in_title: bool) -> Match:
    """The listings that hold `facets` and every word (any word in mode ANY), in the title or only elsewhere."""
    sqlite = db.is_sqlite()
    if not query_words and not facets:
        return Match("listing l", "l.status = 'published'", (), "l.id")
    joiner = (" OR " if sqlite else " | ") if mode == ANY else (" AND " if sqlite else " & ")
    both = " AND " if sqlite else " & "

    def term(word: str, column: str) -> str:
        if sqlite:
            return f'{column}"{word}"' + (" *" if mode == PREFIX else "")
        star = "*" if mode == PREFIX else ""
        weight = "A" if column else ""
        return f"'{word}'" + (f":{star}{weight}" if star or weight else "")

    titled = joiner.join(term(word, "title_terms : ") for word in query_words)
    anywhere = joiner.join(term(word, "") for word in query_words)
    narrowed = both.join((f'terms : "{token}"' if sqlite else f"'{token}':B") for token in facets)
    if not query_words:
        expression = narrowed
    elif in_title:
        expression = f"({titled})" + (f"{both}{narrowed}" if narrowed else "")
    else:
        wanted = f"({anywhere})" + (f"{both}{narrowed}" if narrowed else "")
        expression = f"({wanted}) NOT ({titled})" if sqlite else f"({wanted}) & !({titled})"
    if sqlite:
        return Match(
            "listing_search f CROSS JOIN listing l ON l.id = f.rowid",
            "f.listing_search MATCH ? AND l.status = 'published'",
            (expression,),
            "f.rowid",
        )
    return Match("listing l", "l.tsv @@ to_tsquery('simple', ?) AND l.status = 'published'", (expression,), "l.id")

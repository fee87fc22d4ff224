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
import functools
import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from peewee import BigIntegerField, TextField

from circular import clock, db
from circular.checks import Fields
from circular.errors import Refusal
from circular.people import Actor
from circular.text import LONGEST_WORD, analyse, fold

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
    """The words of a query that say something, at most MOST_WORDS; a synonym stands for the words of its meaning."""
    means = _meanings()
    found = list(dict.fromkeys(word for given in analyse(query) for word in means.get(given, (given,))))
    return [word for word in found if word not in STOP_WORDS][:MOST_WORDS] or found[:MOST_WORDS]


# --- synonyms ---------------------------------------------------------------------------------------------------------
class Synonym(db.Table):
    """This word means that, say the staff: `word` as it is searched (`analyse`), `means` as they wrote it."""

    word = TextField(primary_key=True)
    means = TextField()
    added_by = BigIntegerField(null=True)
    created_at = db.UtcDateTimeField()


MEANING_LIMIT = 80  # characters
MOST_SYNONYMS = 5000  # every process keeps them all


def _meanings() -> dict[str, tuple[str, ...]]:
    version = db.value("SELECT last FROM counter WHERE name = 'synonyms'")
    return _read_meanings(version, db.database.obj) if version else {}


@functools.lru_cache(maxsize=2)
def _read_meanings(_version: int, _database: object) -> dict[str, tuple[str, ...]]:
    """The words that each synonym stands for, read again in every process when one was added or removed."""
    return {word: tuple(analyse(means)) for word, means in db.rows("SELECT word, means FROM synonym")}


def synonyms(actor: Actor, wanted: Mapping[str, Any]) -> tuple[list[dict[str, Any]], str | None]:
    """A page of the synonyms by their word, and the `cursor` of the next. Raises: Refusal("wrong_role" | "invalid")."""
    actor.require("staff")
    fields = Fields(wanted, partial=True)
    fields.text("cursor", LONGEST_WORD)
    fields.whole("limit", most=100)
    if fields.clean.get("limit") == 0:
        fields.errors.add("limit", "positive")
    clean = {"cursor": "", "limit": 20, **fields.done()}
    query = "SELECT word, means, created_at FROM synonym WHERE word > ? ORDER BY word LIMIT ?"
    limit = clean["limit"]
    found = db.dicts(query, clean["cursor"], limit + 1)
    return found[:limit], found[limit - 1]["word"] if len(found) > limit else None


def add_synonym(actor: Actor, values: Mapping[str, Any]) -> dict[str, Any]:
    """From now on `word` finds what `means` finds, by the staff of any place; a word known already means this instead.

    Raises: Refusal("wrong_role" | "invalid").
    """
    actor.require("staff")
    fields = Fields(values)
    fields.text("word", LONGEST_WORD, required=True)
    fields.text("means", MEANING_LIMIT, required=True)
    found, meant = analyse(fields.clean.get("word", "")), analyse(fields.clean.get("means", ""))
    if "word" in fields.clean and len(found) != 1:
        fields.errors.add("word", "one_word")
    if "means" in fields.clean and (not meant or meant == found):
        fields.errors.add("means", "other_words")
    means = fields.done()["means"]
    with db.transaction():
        _note_change()
        if db.value("SELECT COUNT(*) FROM synonym WHERE word <> ?", found[0]) >= MOST_SYNONYMS:
            raise Refusal("too_many_synonyms", limit=MOST_SYNONYMS)
        db.run(
            "INSERT INTO synonym (word, means, added_by, created_at) VALUES (?, ?, ?, ?) "
            "ON CONFLICT (word) DO UPDATE SET means = excluded.means, added_by = excluded.added_by",
            found[0], means, actor.person_id, db.to_ms(clock.now()),
        )  # fmt: skip
        return db.dicts("SELECT word, means, created_at FROM synonym WHERE word = ?", found[0])[0]


def remove_synonym(actor: Actor, word: str) -> None:
    """`word` means itself again. Raises: Refusal("wrong_role" | "no_such_synonym")."""
    actor.require("staff")
    with db.transaction():
        _note_change()
        if not db.run("DELETE FROM synonym WHERE word = ?", "".join(analyse(word)[:1])):
            raise Refusal("no_such_synonym", word=word)


def _note_change() -> None:
    """Tell every process; and take the lock that keeps changes apart."""
    db.run(
        "INSERT INTO counter (name, last) VALUES ('synonyms', 1) ON CONFLICT (name) DO UPDATE SET last = counter.last + 1"
    )


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

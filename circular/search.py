"""Full-text search over published listings, on the engines' own machinery: FTS5 on SQLite, tsvector on PostgreSQL.

Both index the same tokens, so no extension and no dictionary is needed and both find the same listings in the same order:
the words of a title (`title_terms`, there once more as `xt` + word) and of everything else that describes a listing
(`terms`), as `text.analyse` leaves them, and tokens that say what the words mean: `xv` + concept for each thing that
its title or category names and for all that is broader (a plank is wood), `xd` for what its description does, `xh` for
what the listing itself is (a wooden door is a door; wood is what it is made of), `xi` for what single words of longer
terms name besides, `xb` + the word that begins its title, `xz` + mm for each of its sizes, one token for each facet, and
steps of what has a range (ranges.py). A query becomes units (concepts, or a word that is none), sizes, a quantity and a
place (`wishes.read`); a list walks tiers (`wishes.tiers`), each of them newest first: the thing itself by the very word and
as it was described, the thing itself, in the title, anywhere.

Why this engine. Reading in rowid order stays flat (0.04 ms at 10k, 100k and 1M rows for a word in 80 % of them) where
ranking by bm25 grows with the matches (7, 81, 1,054 ms): what matters is a token or the order of rows, never a sum over
matches. Meaning costs nothing when it is asked for: `tol` is one token, not an OR of forty words. tantivy ranks a frequent
word in 1.1 ms at 1M, but is a second store with one writer, 7 ms a commit. Trigrams for typos cost 175 ms (FTS5) or 611 ms
(pg_trgm by distance) at 1M; a word is held against the vocabulary instead (0.2 to 1 ms, and only when nothing has it).
Figures: design/performance.md.
"""

from __future__ import annotations

import base64
import binascii
import functools
import itertools
import json
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, TypeVar

import orjson
from peewee import BigIntegerField, TextField

from circular import clock, db
from circular.checks import Fields
from circular.errors import Refusal
from circular.people import Actor
from circular.text import LONGEST_WORD, Pattern, analyse, fold

T = TypeVar("T")
EXACT, ANY = "exact", "any"  # whether what is found has all that was asked for
REINDEX = "reindex"  # the counter of the listing from which down the index is brought up to date (catalog.reindex_some)
MOST_SHOWN = 200  # listings of a window that a cursor can name


class Match(NamedTuple):
    """SQL that walks matching listings newest first: a FROM source, a condition, its parameters, what to order by."""

    source: str
    condition: str
    params: tuple[object, ...]
    order: str


class Cursor(NamedTuple):
    """Where a page ended: how much of what was asked for is left out (`rung`), which tier, below which listing's id its
    window begins (0: at the newest), and which of the window were shown. What is published meanwhile is newer than the
    window, and what is withdrawn shifts nothing.
    """

    rung: int
    tier: int
    top: int
    shown: tuple[int, ...] = ()

    def encode(self) -> str:
        """Text for a link."""
        numbers = (self.rung, self.tier, self.top, *(self.top - one for one in self.shown))
        return base64.urlsafe_b64encode(orjson.dumps(numbers)).decode().rstrip("=")


def decode_cursor(text: str) -> Cursor:
    """Raises: Refusal("bad_cursor")."""
    try:
        rung, tier, top, *shown = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        whole = all(type(one) is int and abs(one) < 2**63 for one in (rung, tier, top, *shown))
        if whole and rung >= 0 and tier >= 0 and top >= 0 and len(shown) <= MOST_SHOWN:
            return Cursor(rung, tier, top, tuple(top - one for one in shown))
    except (ValueError, TypeError, binascii.Error, RecursionError):
        pass
    raise Refusal("bad_cursor")


# --- synonyms ---------------------------------------------------------------------------------------------------------
class Synonym(db.Table):
    """This word means that, say the staff: `word` as it is searched (`analyse`), `means` as they wrote it."""

    word = TextField(primary_key=True)
    means = TextField()
    added_by = BigIntegerField(null=True)
    created_at = db.UtcDateTimeField()


SYNONYMS = "synonyms"  # the counter of their changes
MEANING_LIMIT = 80  # characters
MOST_SYNONYMS = 5000  # every process keeps them all


def meanings(counters: Mapping[str, int]) -> dict[str, tuple[str, ...]]:
    """The words that each synonym of the staff stands for."""
    version = counters.get(SYNONYMS)
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
        db.count_up(SYNONYMS)
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
        db.count_up(SYNONYMS)
        if not db.run("DELETE FROM synonym WHERE word = ?", "".join(analyse(word)[:1])):
            raise Refusal("no_such_synonym", word=word)


# --- tokens -----------------------------------------------------------------------------------------------------------
def facet(kind: str, value: object) -> str:
    """One token for a facet: `facet("k", "material")` -> `xkmaterial`. Letters and digits only, so that no engine cuts it."""
    return f"x{kind}" + "".join(c if c.isalnum() else "0" for c in fold(str(value)))


_NUMBER = r"(\d{1,6}(?:[.,]\d{1,3})?)"
_PAIR = Pattern(
    rf"(?<![\w.,]){_NUMBER}\s*(mm|cm|m)?\s*[x×*]\s*{_NUMBER}\s*(mm|cm|m)?(?:\s*[x×*]\s*{_NUMBER}\s*(mm|cm|m)?)?(?!\w)"
)
_METRES = re.compile(r"(?<![\w.,])(\d{1,3})\s?m\s?(\d{2})(?!\w)")  # 2m50
_LENGTH = re.compile(rf"(?<![\w.,]){_NUMBER}\s*(mm|cm|metres?|metros?|meters?|m)(?!\w)")
FAR = 9.0  # the mismatch of a listing whose sizes nobody wrote
MM = {"mm": 1, "cm": 10, "m": 1000}


def millimetres(number: str, unit: str) -> int:
    """A length: `2,5` and `m` -> 2500. Never nothing: sheets of 0.4 mm are of 1."""
    return max(1, round(float(number.replace(",", ".")) * MM[unit if unit in MM else "m"]))


def sizes_of(title: str, dimensions: Mapping[str, Any]) -> list[int]:
    """The lengths (mm) that a listing has: its dimensions, and what its title says (`200x20 cm`, `2 m`)."""
    found, rest = [int(number) for number in dimensions.values()], fold(title)
    for pair in _PAIR.finditer(rest):
        numbers = [number for number in pair.group(1, 3, 5) if number]
        unit = pair.group(6) or pair.group(4) or pair.group(2) or ("cm" if len(numbers) < 3 else "mm")
        found += [millimetres(number, unit) for number in numbers]
    rest = _PAIR.sub(" ", rest)
    found += [int(whole) * 1000 + int(part) * 10 for whole, part in _METRES.findall(rest)]
    found += [millimetres(number, unit) for number, unit in _LENGTH.findall(_METRES.sub(" ", rest))]
    return [size for size in found if 0 < size < 10**6]


def longest(title: str, dimensions: Mapping[str, Any]) -> int:
    """The longest side (mm) that a title says, else that is known; 0 when nobody wrote one. What a door says is its width."""
    return max(sizes_of(title, {}) or sizes_of("", dimensions), default=0)


def is_of_size(ways: Iterable[tuple[int, ...]], title: str, dimensions: Mapping[str, Any]) -> bool:
    """True when a listing has every size of one of the ways to read them, a size that is asked for twice twice."""
    sizes = Counter(sizes_of(title, {})) | Counter(sizes_of("", dimensions))  # what both say is one
    return any(Counter(way) <= sizes for way in ways)


def standing(ways: Iterable[tuple[int, ...]], title: str, dimensions: Mapping[str, Any]) -> int:
    """Where the first size asked for stands among a listing's: a block `de 20` is 20 thick, and says that first."""
    sizes = sizes_of(title, dimensions)
    return min((sizes.index(way[0]) for way in ways if way[0] in sizes), default=len(sizes))


def titled(token: str) -> str:
    """The token of a token that stands in the title. An index that knew where in a row each word stands would still read
    every row that has it, to find the few that have it there (1.8 s for a word of all, at 1M on PostgreSQL).
    """
    return f"xt{token}"


def begun(stem: str) -> str:
    """The token of the word that begins a title."""
    return f"xb{stem}"


def word(stem: str) -> str:
    """The token of a word. Tokens that are no words begin with one x, words that do with two: nobody can type a facet."""
    return f"x{stem}" if stem[0] == "x" else stem


def mismatch(wanted: Iterable[tuple[int, ...]], title: str, dimensions: Mapping[str, Any]) -> float:
    """How far a listing's sizes are from the nearest way to read those wanted: 0 for the same, 1 for twice or half."""
    sizes = sizes_of(title, dimensions)[:6]
    ways = (
        sum(abs(math.log2(one / size)) for one, size in zip(way, chosen, strict=True)) / len(way)
        for way in wanted
        for chosen in itertools.permutations(sizes, len(way))
    )
    return round(min(ways, default=FAR), 1)


def size(mm: int) -> str:
    """The token of a size."""
    return f"xz{mm}"


# --- the index --------------------------------------------------------------------------------------------------------
def install() -> None:
    """Create what the engine needs, and fill it when it is new. Run after every migration: a rebuilt table loses it."""
    if installed():
        return
    with db.transaction():
        if db.is_sqlite():
            db.run("DROP TABLE IF EXISTS listing_search")
            db.run(_FTS5)
            db.run("INSERT INTO listing_search (listing_search, rank) VALUES ('pgsz', ?)", _LEAF)
            db.run("INSERT INTO listing_search (listing_search) VALUES ('rebuild')")
        else:
            db.run("ALTER TABLE listing DROP COLUMN IF EXISTS tsv")
            db.run(f"ALTER TABLE listing ADD COLUMN tsv tsvector GENERATED ALWAYS AS ({_TSV}) STORED")
            # fastupdate=off: a pending list makes searches slow after a bulk load (4.2 ms against 0.1 to 1.4).
            db.run("CREATE INDEX listing_tsv ON listing USING gin (tsv) WITH (fastupdate = off)")


# Which rows have a word, and no more: a quarter of the size of an index that knows where in a row it stands.
_FTS5 = (
    "CREATE VIRTUAL TABLE listing_search USING fts5(title_terms, terms, content='listing', content_rowid='id', "
    "detail='none', tokenize='unicode61 remove_diacritics 0')"
)
# Bytes of a leaf of that index. To walk down from the newest, FTS5 reads the whole leaf in which it begins: with its own
# 4050 bytes that is half the time of a first page (48 µs, 22 so) and three quarters of a deep one (145, 33), at 100k.
_LEAF = 1000
_TSV = "strip(to_tsvector('simple', title_terms || ' ' || terms))"


def installed() -> bool:
    """True when the engine has what `install` creates."""
    if db.is_sqlite():
        if db.value("SELECT sql FROM sqlite_master WHERE name = 'listing_search'") != _FTS5:
            return False
        return bool(db.value("SELECT v FROM listing_search_config WHERE k = 'pgsz'") == _LEAF)
    made = "SELECT generation_expression FROM information_schema.columns WHERE table_name = 'listing' AND column_name = 'tsv'"
    return str(db.value(made)).startswith("strip(")  # PostgreSQL writes the rest in its own way


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


class TitleWord(db.Table):
    """A word of titles that no dictionary has."""

    word = TextField(primary_key=True)


def noted_words(start: str, most: int) -> list[str]:
    """Words of titles that no dictionary has, by what they begin with."""
    query = "SELECT word FROM title_word WHERE word >= ? AND word < ? ORDER BY word LIMIT ?"
    return [word for (word,) in db.rows(query, start, start + "\U0010ffff", most)]


def note_words(words: list[str]) -> None:
    """Keep the words of titles that no dictionary has, so that a typo finds them too."""
    kept = [word for word in words if len(word) > 3 and word.isalpha() and word[0] != "x"]
    for some in (kept[start : start + 100] for start in range(0, len(kept), 100)):
        rows = ", ".join(["(?)"] * len(some))
        db.run(f"INSERT INTO title_word (word) VALUES {rows} ON CONFLICT DO NOTHING", *some)


def matching(expression: str) -> Match:
    """The published listings that an expression (`has`, `all_of`, `any_of`, `but_not`) fits; every one when it is empty."""
    if not expression:
        return Match("listing l", "l.status = 'published'", (), "l.id")
    if db.is_sqlite():
        return Match(
            "listing_search f CROSS JOIN listing l ON l.id = f.rowid",
            "f.listing_search MATCH ? AND l.status = 'published'",
            (expression,),
            "f.rowid",
        )
    return Match("listing l", f"l.{_asked(expression)} AND l.status = 'published'", (), "l.id")


WALKED = 2000  # ids
DEARER = 10  # ids that are walked in the time in which the index brings one row


def newest(
    expression: str, fetch: Callable[[Match, int], list[T]], most: int, looked_at: int = 0, below: int = 2**62
) -> list[T]:
    """What `fetch` reads (of a match, so many rows at most, in descending order of ids) of the newest that fit an
    expression and have an id below another: `most` at most. With `looked_at`, about so many are looked at, not more.

    SQLite's index is in the order of ids: it is read until there are enough. PostgreSQL's knows no order, and its planner
    believes in thousands of every word that is not among the most frequent: rather than look it up, it walks down the
    newest until it has found them, which for one that ten have is all (1.8 s at 1M listings). So some of the newest ids are
    walked (2 ms), where what is frequent is met; more, if so many were met that this promises enough sooner than the index
    would; and what is still wanted is looked up.
    """
    if not expression:
        source, condition = "listing l", "l.status = 'published' AND l.id < ?"
        if looked_at:
            some = "SELECT id FROM listing WHERE status = 'published' AND id < ? ORDER BY id DESC LIMIT ?"
            source, condition = f"({some}) f JOIN listing l ON l.id = f.id", "TRUE"
        return fetch(Match(source, condition, (below, looked_at) if looked_at else (below,), "l.id"), most)
    if db.is_sqlite():
        return fetch(_down(expression, looked_at, below), most)
    top = min(below, (db.value("SELECT MAX(id) FROM listing") or 0) + 1)
    bound = top - WALKED
    found = fetch(_walk(expression, looked_at, bound, top), most)
    missing = most - len(found)
    ids = 2 * WALKED * missing // max(len(found), 1)
    if missing and ids <= DEARER * len(found) * top // WALKED:
        bound, top = bound - ids, bound
        found += fetch(_walk(expression, looked_at, bound, top), missing)
    if len(found) < most:
        found += fetch(_look_up(expression, looked_at, bound), most - len(found))
    return found


def _down(expression: str, looked_at: int, below: int) -> Match:
    """Down SQLite's index."""
    if not looked_at:
        match = matching(expression)
        return match._replace(condition=f"{match.condition} AND f.rowid < ?", params=(*match.params, below))
    some = "SELECT rowid FROM listing_search WHERE listing_search MATCH ? AND rowid < ? ORDER BY rowid DESC LIMIT ?"
    source = f"({some}) f CROSS JOIN listing l ON l.id = f.rowid"
    return Match(source, "l.status = 'published'", (expression, below, looked_at), "f.rowid")


def _walk(expression: str, looked_at: int, bound: int, top: int) -> Match:
    """What fits in a range of ids, on PostgreSQL. OFFSET 0 keeps its planner from asking the index about all others too."""
    some = "SELECT * FROM listing WHERE id >= ? AND id < ? AND status = 'published' ORDER BY id DESC OFFSET 0"
    asked = _asked(expression)
    if not looked_at:
        return Match(f"({some}) l", f"l.{asked}", (bound, top), "l.id")
    newest = f"SELECT id FROM ({some}) l WHERE l.{asked} LIMIT ?"
    return Match(f"({newest}) f JOIN listing l ON l.id = f.id", "TRUE", (bound, top, looked_at), "l.id")


def _look_up(expression: str, looked_at: int, below: int) -> Match:
    """What fits below an id, by PostgreSQL's index: it may not read the table instead, to stop at the first."""
    some = f"SELECT id FROM listing WHERE {_asked(expression)} AND id < ? AND status = 'published'"
    given, limit = ((below, looked_at), "LIMIT ?") if looked_at else ((below,), "")
    source = f"(WITH found AS MATERIALIZED ({some}) SELECT id FROM found ORDER BY id DESC {limit}) f"
    return Match(f"{source} JOIN listing l ON l.id = f.id", "TRUE", given, "l.id")


def _asked(expression: str) -> str:
    """Written into the statement, since one plan suits no two searches. Tokens are letters and digits."""
    assert not _UNSAFE.search(expression), expression
    return "tsv @@ to_tsquery('simple', '" + expression.replace("'", "''") + "')"


_UNSAFE = re.compile(r"[^\w'&|!() ]|_")


def has(token: str) -> str:
    """Listings with a token, which is letters and digits alone."""
    return f'"{token}"' if db.is_sqlite() else f"'{token}'"


def all_of(expressions: Iterable[str]) -> str:
    """Listings that every expression fits; an empty one fits all."""
    found = [one for one in dict.fromkeys(expressions) if one]
    return found[0] if len(found) == 1 else (" AND " if db.is_sqlite() else " & ").join(f"({one})" for one in found)


def any_of(expressions: Iterable[str]) -> str:
    """Listings that some expression fits."""
    found = list(dict.fromkeys(expressions))
    return found[0] if len(found) == 1 else (" OR " if db.is_sqlite() else " | ").join(f"({one})" for one in found)


def but_not(expression: str, without: str) -> str:
    """Listings that one expression fits and another does not."""
    return f"({expression}) NOT ({without})" if db.is_sqlite() else f"({expression}) & !({without})"


def exists(token: str) -> bool:
    """True when a published listing has a token."""
    return bool(_some(matching(has(token)), 1))


def fits_any(expression: str) -> bool:
    """True when a published listing fits an expression, which none may."""
    return bool(newest(expression, _some, 1))


def _some(match: Match, most: int) -> list[tuple[Any, ...]]:
    return db.rows(f"SELECT 1 FROM {match.source} WHERE {match.condition} LIMIT ?", *match.params, most)


def frequency(token: str, most: int = 1000) -> int:
    """How many published listings hold a token (any of those joined by |), counted up to `most`."""
    match = matching(any_of(has(one) for one in token.split("|")))
    sql = f"SELECT 1 AS one FROM {match.source} WHERE {match.condition} LIMIT ?"
    return int(db.value(f"SELECT COUNT(*) FROM ({sql}) AS counted", *match.params, most))

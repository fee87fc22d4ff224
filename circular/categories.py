"""Categories: what a thing is filed under, in a tree over the PEMD and REP families, with a label in each language."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from peewee import FloatField, IntegerField, TextField

from circular import db, search, vocabulary, wishes
from circular.text import analyse


class Category(db.Table):
    """What a thing is, in a tree over the PEMD and REP families. Labels: JSON by language."""

    code = TextField(primary_key=True)
    parent = TextField(default="")
    unit = TextField()
    labels = TextField()
    unverified = TextField(default="")  # languages whose label no native reader has checked, joined by |
    waste_code = TextField(default="")
    co2e_kg_per_kg = FloatField(null=True)
    co2e_source = TextField(default="")
    position = IntegerField(default=0)


def put(values: Mapping[str, Any]) -> str:
    """Add a category or correct it: "created", "updated" or "unchanged". Call inside a transaction."""
    found = db.dicts("SELECT * FROM category WHERE code = ?", values["code"])
    if found and all(found[0][name] == value for name, value in values.items()):
        return "unchanged"
    db.run("DELETE FROM category WHERE code = ?", values["code"])
    Category.insert(**values).execute()
    db.count_up("categories")
    return "updated" if found else "created"


def every() -> list[dict[str, Any]]:
    """Every category in the town's order, labels by language."""
    found = db.dicts(
        "SELECT code, parent, unit, labels, unverified, waste_code, co2e_kg_per_kg, co2e_source FROM category "
        "ORDER BY position, code"
    )
    for category in found:
        category["labels"] = json.loads(category["labels"])
        category["unverified"] = [language for language in category["unverified"].split("|") if language]
        category["parent"] = category["parent"] or None
    return found


def exists(code: str) -> bool:
    """True when `code` is a category."""
    return db.value("SELECT 1 FROM category WHERE code = ?", code) is not None


def below(code: str) -> list[str]:
    """A category and all that are below it."""
    token = search.facet("c", code)
    return [other for other, facts in tree().items() if token in facts.terms.split()]


class Facts(NamedTuple):
    """What the catalogue needs to know of a category."""

    terms: str  # the words of its labels and of its parents', and a facet token for each
    labels: tuple[frozenset[str], ...]  # the words of each of its own labels
    depth: int  # 1 for a family
    filed: frozenset[str]  # its code, those above and those below it
    position: int  # in the town's order; what is filed under a family itself comes after the rest of the family
    co2e_kg_per_kg: float | None


class Tree(dict[str, Facts]):
    """Facts by code, in the town's order."""

    @functools.cached_property
    def families(self) -> frozenset[str]:
        """The categories that have several others below them."""
        return frozenset(code for code, facts in self.items() if len(facts.filed) > facts.depth + 2)


def tree(counters: Mapping[str, int] | None = None) -> Tree:
    """Facts by code, in the town's order."""
    known = db.counters() if counters is None else counters
    return _tree(known.get("categories"), known.get(vocabulary.VERSION), id(db.database.obj))


@functools.lru_cache(maxsize=2)
def _tree(_version: int | None, _vocabulary: int | None, _database: int) -> Tree:
    """Facts by category, read again in every process when one was added or corrected."""
    found = {category["code"]: category for category in every()}
    lines = {}
    for code in found:
        lines[code], parent = [code], found[code]["parent"]
        while parent and parent in found and parent not in lines[code]:
            lines[code].append(parent)
            parent = found[parent]["parent"]
    last = {one: n for n, line in enumerate(lines.values()) for one in line}
    lexicon = vocabulary.lexicon()
    facts = Tree()
    for code, category in found.items():
        lineage = lines[code]
        labels = " ".join(label for ancestor in lineage for label in found[ancestor]["labels"].values())
        named = dict.fromkeys(
            lexicon.mention[concept]
            for ancestor in lineage
            for language, label in found[ancestor]["labels"].items()
            for term in lexicon.terms(analyse(label), language)
            for concept in term.concepts
        )
        terms = [
            *dict.fromkeys(map(search.word, analyse(labels))),
            *named,
            *(search.facet("c", ancestor) for ancestor in lineage),
        ]
        own = tuple(frozenset(analyse(label)) for label in category["labels"].values())
        filed = frozenset([*lineage, *(other for other, line in lines.items() if code in line)])
        facts[code] = Facts(
            " ".join(terms),
            own,
            len(lineage),
            filed,
            1 + last[code],
            category["co2e_kg_per_kg"],
        )
    return facts


def guess(text: str) -> str | None:
    """The category that a text names: that of the first thing in it, else that of which most of its words are in the
    labels (of the parents too), then a label said whole, then the word that comes first, then the narrower; None when
    nothing names one.
    """
    wish, lexicon, known = wishes.read(text), vocabulary.lexicon(), tree()
    for unit in wish.units:
        for concept in unit.concepts:
            for code in lexicon.categories[concept]:
                if code in known:
                    return str(code)
    words = [word for unit in wish.units for word in unit.typed.split()]
    best, found = (0, False, 0, 0), None
    for code, category in known.items():
        named = [n for n, word in enumerate(words) if any(word in label for label in category.labels)]
        if named:
            terms = set(category.terms.split())
            whole = any(label <= set(words) for label in category.labels)
            rank = (sum(word in terms for word in words), whole, -named[0], category.depth)
            if rank > best:
                best, found = rank, code
    return found

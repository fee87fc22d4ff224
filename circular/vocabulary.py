"""What things are and what people call them: concepts under broader ones, and their words in six languages.

`tol`, `fey tol`, `tôle`, `sheet metal` and `chapa` are words of one concept; `wood` is broader than `plank`. The rows come
from `fixtures/vocabulary` (its README says how they are read), by `flask migrate`, whenever those files have changed. Every
process keeps them in one dictionary (`Lexicon`), read again when the counter `vocabulary` says that they changed.

Words are compared as `text.analyse` leaves them; the plurals that it does not undo (batteries, colores, papéis) are made
when the dictionary is read, for each word in its own language.
"""

from __future__ import annotations

import bisect
import csv
import functools
import hashlib
import itertools
import pathlib
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from peewee import CompositeKey, TextField

from circular import db, settings
from circular.text import analyse, fold

FOLDER = settings.ROOT / "fixtures" / "vocabulary"
VERSION = "vocabulary"  # the counter that says which version of the files the tables hold
SUBSTANCE = "substance"  # of which things are made
# A `quality` is none of these: it only ranks.
THINGS = frozenset({"material", SUBSTANCE, "tool", "machine", "room", "workshop", "project", "action"})
MADE = frozenset({"material", SUBSTANCE})  # what may be of some substance: a wood chipper is not
SEATED = frozenset({"room", "workshop"})  # measured in people
ALONE, NEVER = "alone", "never"
ROWS = 200  # of one statement
# Words inside a term that many leave out: `feuille zinc` for `feuille de zinc`.
_LINKS = frozenset("a au aux d da de del des do dos du el en et for la le les of para pour the".split())
# Behind one of these stands what a thing is for or from, and not what it is itself made of: `laine de verre`.
_OF = frozenset(
    "a au aux com con contra contre d da das de del des do dos du for of para pour pou sou sur with".split()
)
# Before a number in a title, what says that so many of something stand beside the thing, or are the thing.
_BESIDE = frozenset("a ak and avec con com de e et of plu with y".split())
# What follows one of these is not wanted, or not there; what follows one of NOT right away.
LACKING = frozenset("san sans without sin sem sauf excepte excepto exceto hormi hor except".split())
NOT = frozenset("pa pas non not no nao".split())
WITHOUT = LACKING | {"pa", "pas", "non", "not"}
# Words that stand for no thing and tell nothing about one, folded. A thing of such a name is in collisions.csv.
LITTLE = frozenset(
    """
a about ai ak al algo alguien algum alguma algun alguna alguno algunos alguns all alor alors alquilar alugar am an anba
and ani anni anpil any anyone ao aos ap apre aqui are as at au aujourd aujourdhui aurai aussi autre aux avai available
avais avec avez avoir avon avons ay ba ban barata baratas barato baratos bay be been bem ben besoin bezwen bien bizwen
bjr boa bom bon bonjou bonjour bonsoir bonswa bsr buen buena buenas bueno buenos buscando buscar busco but buy by byen
ca can ce cela ces cet cette chache cheap cheche cher cherche chercher cherchon cherchons chere cheres chers com combien
comme comment como con connaitre coucou could cual cuando cuanto cuantos da dan dans dapre das de dear deja del dela
dele des desde di dia dias did dispo disponible disponibles dite dites do doe does donc donde donner dont dos doute du e
ek ekip el ela ele ella elle em en encore enki enpe epi era es esa ese eske eso essa esse est esta este esto estou et
etait ete eti etre eu eur except excepte excepto exceto faire fait faudrai faudrait faut favor fe foi fois fok for free
from fui g gen genyen get give good gostaria got gracia gracias ha had has have hay he hello help her here hey hi his
hola hor hormi how hui i ici if il ils in is isso isto it its j ja jai jaimerai jaimerais jan je just jwen jwenn ka kap
ki kindly kisa know ko kod kon konbyen konmen kote la lan las le les less leur lhe li like lo location look looking los
louer m ma madame mai mais man mande map mas max maximum me meno menos merci mes mesdame mesdames mesi messieur
messieurs meu mi minha mis moi moin moins mon monsieur moun muito muy mwen mwin my n na nada nan nao nap nas ne near
necesita necesito need needed nem ni no non nos nosso not notre nou nous nu o obrigada obrigado of oi oken ola on onde
one ont or os oswa ou oui our out pa pani par para pas pela pelo people pero persona personas personne personnes pessoa
pessoas peu peut peux pi plait please pls plu plus plz pode por porque pou pour pouvez pra pran pre precio precisa
preciso preco prend prendrai prendre pres pri price prix procurando procuro pue puedo pues pwal qu quand quando que quel
quelle quelles quelque quelques quels quem queria quero qui quien quiero quisiera quoi recherche rent reserver reste
rete s sa salut san sans sauf se sean sem ser ses seu she si sil silvouple sim sin slt so sobre some somebody someone
son sont sou souci souple sous still stp su sua sur sus svp ta tala tan tanpri tap tarde tardes te tem tengo tenho ter
teria tes than thank thanks that the their them then there these they thi this those ti tiene tienen to todo toi ton tou
tous tout toute toutes tre tres trop trouve trouver tu tudo twop um uma umas un una unas under une uno unos uns up us
usted va vai van vao veu veut veux vle voce voces voi voir vois vos votre vou voudrai voudrais voulez vous want wanted
wap was we were what when where which who why wi will with without would y ya yes yo yon you your zot
""".split()
)


class Concept(db.Table):
    """A kind of thing: `broader` and `category` codes joined by |; `kind` as in listings, or project, quality, action."""

    code = TextField(primary_key=True)
    broader = TextField()
    category = TextField()
    kind = TextField()


class ConceptWord(db.Table):
    """One or several words that name a concept in a language, and who says so."""

    concept = TextField()
    language = TextField()
    word = TextField()
    source = TextField()

    class Meta:
        primary_key = CompositeKey("concept", "language", "word")


class Collision(db.Table):
    """A word (folded) with a second meaning: when it means the concept (`counts`, `alone`), or that it `never` means one."""

    word = TextField()
    concept = TextField()
    rule = TextField()

    class Meta:
        primary_key = CompositeKey("word", "concept")


TABLES = (
    ("concept", "concepts.csv", {"code": "concept", "broader": "broader", "category": "category", "kind": "kind"}),
    ("concept_word", "words.csv", {name: name for name in ("concept", "language", "word", "source")}),
    ("collision", "collisions.csv", {name: name for name in ("word", "concept", "rule")}),
)


# --- loading ----------------------------------------------------------------------------------------------------------
def load(folder: pathlib.Path = FOLDER) -> bool:
    """Bring the tables to what the files of a folder say; False when they say that already."""
    digest = hashlib.sha256()
    for _, file, _ in TABLES:
        digest.update((folder / file).read_bytes())
    version = int.from_bytes(digest.digest()[:7], "big")
    with db.transaction():
        if not db.note(VERSION, version):
            return False
        for table, _, _ in reversed(TABLES):
            db.run(f"DELETE FROM {table}")
        for table, file, columns in TABLES:
            with (folder / file).open(encoding="utf-8", newline="") as stream:
                found = [tuple(row[name] for name in columns.values()) for row in csv.DictReader(stream, strict=True)]
            marks = f"({', '.join('?' * len(columns))})"
            for some in (found[start : start + ROWS] for start in range(0, len(found), ROWS)):
                values = ", ".join([marks] * len(some))
                db.run(f"INSERT INTO {table} ({', '.join(columns)}) VALUES {values}", *itertools.chain(*some))
    return True


# --- the dictionary ---------------------------------------------------------------------------------------------------
class Term(NamedTuple):
    """Words in a row that name something: where they begin, how many they are, what they may name (numbers of concepts)."""

    start: int
    length: int
    concepts: tuple[int, ...]


class Lexicon:
    """The whole vocabulary, compact: concepts are numbers, a word's meanings a tuple of `number * 64 + languages`."""

    def __init__(self, concepts: Iterable[Any], words: Iterable[Any], collisions: Iterable[Any]) -> None:
        rows = sorted(concepts)
        self.codes = [code for code, *_ in rows]
        number = {code: n for n, code in enumerate(self.codes)}
        parents = [[number[one] for one in broader.split("|") if one in number] for _, broader, *_ in rows]
        self.above = [tuple(_ancestors(n, parents)) for n in range(len(rows))]
        self.categories = [tuple(category.split("|")) if category else () for *_, category, _ in rows]
        self.is_thing = [kind in THINGS for *_, kind in rows]
        self.is_substance = [kind == SUBSTANCE for *_, kind in rows]
        self.is_object = [kind in THINGS - {SUBSTANCE, "action"} for *_, kind in rows]
        self.is_made = [kind in MADE for *_, kind in rows]
        self.has_seats = [kind in SEATED for *_, kind in rows]
        self.mention = [f"xv{code.replace('-', '')}" for code in self.codes]
        self.told = [f"xd{code.replace('-', '')}" for code in self.codes]
        self.inner = [f"xi{code.replace('-', '')}" for code in self.codes]
        self.head = [f"xh{code.replace('-', '')}" for code in self.codes]
        spread: list[set[str]] = [set() for _ in rows]
        for n, above in enumerate(self.above):
            for one in (n, *above):
                spread[one].update(self.categories[n])
        self.spread = [frozenset(found) for found in spread]  # where it and all that is narrower is filed
        self.filed = [
            frozenset(own) or wide for own, wide in zip(self.categories, self.spread, strict=True)
        ]  # where it is filed, or what is narrower
        self._read_words(words, number)
        self.alone: dict[str, set[int]] = defaultdict(set)
        self.never: set[str] = set()
        self.collides: set[str] = set()
        for word, concept, rule in collisions:
            key = " ".join(analyse(word)) or word
            self.collides.add(key)
            if rule == NEVER:
                self.never.add(key)
            elif rule == ALONE:
                self.alone[key].add(number[concept])

    def _read_words(self, words: Iterable[Any], number: dict[str, int]) -> None:
        self.meanings: dict[str, tuple[int, ...]] = {}
        self.longest: dict[str, int] = {}  # words of the longest term that begins with this word, where it has several
        shared: dict[tuple[int, ...], tuple[int, ...]] = {}
        behind: set[tuple[int, str]] = set()
        for concept, language, word in words:
            bit = 1 << settings.LANGUAGES.index(language)
            behind.update((number[concept], one) for one in _behind(word))
            for key in _written(analyse(word), language):
                packed = {one // 64: one for one in self.meanings.get(key, ())}
                packed[number[concept]] = packed.get(number[concept], number[concept] * 64) | bit
                meaning = tuple(packed[one] for one in sorted(packed))
                self.meanings[key] = shared.setdefault(meaning, meaning)
                first, _, rest = key.partition(" ")
                if rest:
                    self.longest[first] = max(self.longest.get(first, 1), 2 + rest.count(" "))
        self.apart = frozenset((one, other) for one, word in behind for other in self.named(word))

    def named(self, key: str, language: str = "") -> tuple[int, ...]:
        """What a term may name, in one language or in any."""
        bits = 1 << settings.LANGUAGES.index(language) if language else 63
        return tuple(packed // 64 for packed in self.meanings.get(key, ()) if packed & bits)

    def terms(self, words: list[str], language: str = "", most: int = 9) -> Iterator[Term]:
        """The terms of a text, the longest at each place, none over another."""
        at = 0
        while at < len(words):
            length = min(self.longest.get(words[at], 1), len(words) - at, most)
            while length:
                key = words[at] if length == 1 else " ".join(words[at : at + length])
                if key in self.meanings and (concepts := self.named(key, language)):
                    yield Term(at, length, concepts)
                    break
                length -= 1
            at += max(1, length)

    def mentioned(self, words: list[str], language: str, *, foreign: bool = False) -> list[Term]:
        """The terms of a listing's text, in its language. With `foreign`, words that this language does not have may be
        of another, unless they have a second meaning: many a title is in no language that its writer chose.
        """
        found = [term for term in self.terms(words, language) if not term.start or words[term.start - 1] not in WITHOUT]
        if not foreign:
            return found
        covered = {place for term in found for place in range(term.start, term.start + term.length)}
        others = [
            term for term in self.terms(words)
            if covered.isdisjoint(range(term.start, term.start + term.length))
            and not (term.length == 1 and (words[term.start] in LITTLE or words[term.start] in self.collides))
        ]  # fmt: skip
        return sorted([*found, *others])

    def counted(self, words: list[str], terms: list[Term]) -> list[Term]:
        """The terms of a title that say how many of something a thing has: the doors of `armoire 2 portes`, not the chairs of
        `table et 4 chaises`.
        """
        return [
            term
            for at, term in enumerate(terms)
            if term.start > 1 and words[term.start - 1].isdigit() and words[term.start - 2] not in _BESIDE
            and any(self.is_object[one] for before in terms[:at] for one in before.concepts)
        ]  # fmt: skip

    def inside(self, words: list[str], terms: Iterable[Term], language: str) -> dict[int, None]:
        """What the single words of longer terms name besides: the closet in `porte de placard`."""
        return dict.fromkeys(
            concept
            for term in terms if term.length > 1
            for word in words[term.start : term.start + term.length]
            for concept in self.named(word, language)
        )  # fmt: skip

    def attributes(self, words: list[str], terms: Iterable[Term], language: str) -> list[Term]:
        """The words of longer terms that say of what or of what sort a thing is: the steel of `évier inox`, the red of
        `brique rouge`. None that stands for the thing itself (the first, in English the last), nor what it is for or from:
        in `carreau de ciment` is no cement, nor in `cement tile`, since some language says `of` there.
        """
        found = []
        for term in terms:
            for at in range(term.start, term.start + term.length) if term.length > 1 else ():
                if (
                    at == (term.start + term.length - 1 if language == "en" else term.start)
                    or words[at] in self.collides
                ):
                    continue
                concepts = tuple(
                    one for one in self.named(words[at], language)
                    if not self.is_thing[one] or (
                        self.is_substance[one] and all(
                            self.is_made[whole] and (whole, one) not in self.apart for whole in term.concepts
                        )
                    )
                )  # fmt: skip
                if concepts:
                    found.append(Term(at, 1, concepts))
        return found

    def meaning(self, words: list[str], terms: list[Term], language: str) -> dict[int, None]:
        """What a listing's text speaks of by its terms, in its language: the things, of what and of what sort they are, and
        all that is broader.
        """
        return self.closure([*terms, *self.attributes(words, terms, language)])

    def closure(self, terms: Iterable[Term]) -> dict[int, None]:
        """What terms name, and all that is broader."""
        return dict.fromkeys(
            one for term in terms for concept in term.concepts for one in (concept, *self.above[concept])
        )

    def says(self, concepts: Iterable[int], substances: Iterable[int]) -> bool:
        """True when a thing is of some of these substances by what it is, or of one that is broader: wire is metal."""
        broad = {
            one for substance in substances for one in (substance, *self.above[substance]) if self.is_substance[one]
        }
        return any(not broad.isdisjoint((concept, *self.above[concept])) for concept in concepts)

    def says_of_what(self, thing: str, things: tuple[int, ...], word: str, concepts: tuple[int, ...]) -> bool:
        """True when a word and the next are a thing and its substance, one of which may be a little word elsewhere."""
        made = any(self.is_made[one] and not self.is_substance[one] for one in things)
        return made and all(self.is_substance[one] for one in concepts) and (thing in self.alone or word in self.alone)

    def heads(self, terms: list[Term], filed: frozenset[str], language: str) -> dict[int, None]:
        """What the listing of a title is: the first thing in it that is filed where the listing is (`filed`: its category,
        those above and those below), else the first thing (in English the last); and what is broader and filed there too.
        What it is made of it is only where nothing else fits: `wooden pallets` are pallets.
        """
        things = [term for term in terms if any(self.is_thing[one] for one in term.concepts)]
        for term in sorted(things, key=lambda term: all(self.is_substance[one] for one in term.concepts)):
            fitting = [one for one in term.concepts if not filed.isdisjoint(self.spread[one])]
            if fitting:
                broader = (
                    above for one in fitting for above in self.above[one]
                    if not self.categories[above] or not filed.isdisjoint(self.categories[above])
                )  # fmt: skip
                return dict.fromkeys((*fitting, *broader))
        return self.closure(things[-1:] if language == "en" else things[:1])

    @functools.cached_property
    def singles(self) -> list[str]:
        """Every single word of a term, in order: what typos are held against."""
        return sorted({word for key in self.meanings for word in key.split() if len(word) > 2} - self.never - _LINKS)

    @functools.cached_property
    def joined(self) -> dict[str, str]:
        """Terms of several words by their letters run on: `ferabeton` is not in any word list, `fer beton` is."""
        return {key.replace(" ", ""): key for key in self.meanings if " " in key}

    @functools.cached_property
    def run_on(self) -> list[str]:
        """The keys of `joined`, in order."""
        return sorted(self.joined)

    @functools.cached_property
    def sounds(self) -> dict[str, list[str]]:
        """Single words by how a French speaker says them."""
        found: dict[str, list[str]] = {}
        for word in self.singles:
            found.setdefault(sound(word), []).append(word)
        return found

    def beginning(self, start: str, most: int = 40) -> Sequence[str]:
        """Single words that begin so."""
        return starting(self.singles, start)[:most]


def starting(words: Sequence[str], start: str) -> Sequence[str]:
    """The words that begin so, of words in order."""
    return words[bisect.bisect_left(words, start) : bisect.bisect_left(words, f"{start}\U0010ffff")]


def _ancestors(concept: int, parents: list[list[int]]) -> list[int]:
    """Every broader concept, the nearest first."""
    found: dict[int, None] = {}
    level = parents[concept]
    while level:
        found.update(dict.fromkeys(level))
        level = [one for parent in level for one in parents[parent] if one not in found]
    return list(found)


def words_of(concept: str) -> list[str]:
    """How a concept is written, in every language."""
    return [str(word) for (word,) in db.rows("SELECT word FROM concept_word WHERE concept = ?", concept)]


def lexicon(counters: Mapping[str, int] | None = None) -> Lexicon:
    """The vocabulary as it stands in the tables."""
    return _read((db.counters() if counters is None else counters).get(VERSION))


@functools.lru_cache(maxsize=1)
def _read(version: int | None) -> Lexicon:
    """The dictionary of a version. Its number stands for its content: two databases of one version share it."""
    if version is None:
        return Lexicon((), (), ())
    return Lexicon(
        db.rows("SELECT code, broader, category, kind FROM concept"),
        _words(),
        db.rows("SELECT word, concept, rule FROM collision"),
    )


def _words() -> Iterator[tuple[str, str, str]]:
    """The words of every concept, one language in memory at a time."""
    for language in settings.LANGUAGES:
        for concept, word in db.rows("SELECT concept, word FROM concept_word WHERE language = ?", language):
            yield concept, language, word


def _behind(term: str) -> Iterator[str]:
    """The words of a term that stand behind `of` or its like: `planche d'échafaudage` -> echafaudage."""
    behind = False
    for word in re.findall(r"[^\W_]+", fold(term)):
        if behind and word not in _OF:
            yield from analyse(word)
        behind = behind or word in _OF


# --- spelling ---------------------------------------------------------------------------------------------------------
def _written(stems: list[str], language: str) -> Iterator[str]:
    """A term as people write it: whole, in the plural, without its little words."""
    head = -1 if language == "en" else 0
    for head_word in (stems[head], *_plurals(stems[head], language)):
        words = [*stems]
        words[head] = head_word
        yield " ".join(words)
        if len(words) > 2 and (short := [word for word in words if word not in _LINKS]) != words and len(short) > 1:
            yield " ".join(short)


def _plurals(stem: str, language: str) -> list[str]:
    """Plurals of a stem that are more than an s or x at its end (that one is gone on both sides)."""
    endings = {
        "fr": (("al", "au"), ("ail", "au")),
        "en": (("y", "ie"), ("ch", "che"), ("sh", "she"), ("ss", "sse"), ("x", "xe"), ("lf", "lve"), ("fe", "ve")),
        "es": (("z", "ce"), ("on", "one"), ("or", "ore"), ("ar", "are"), ("er", "ere"), ("al", "ale"), ("el", "ele"),
               ("il", "ile"), ("ol", "ole"), ("d", "de"), ("n", "ne")),
        "pt": (("ao", "oe"), ("ao", "ae"), ("al", "ai"), ("el", "ei"), ("ol", "oi"), ("il", "i"), ("m", "n"),
               ("or", "ore"), ("ar", "are"), ("er", "ere"), ("z", "ze")),
    }  # fmt: skip
    return [stem[: -len(end)] + many for end, many in endings.get(language, ()) if stem.endswith(end) and len(stem) > 3]


_SOUNDS = tuple(
    (re.compile(pattern), said)
    for pattern, said in (
        (r"(.)\1+", r"\1"), (r"ph", "f"), (r"[sc]h", "S"), (r"qu|q|ck|k|c(?![eiy])", "k"), (r"c", "s"), (r"x", "ks"),
        (r"g(?=[eiy])", "j"), (r"gu(?=[eiy])", "g"), (r"(?<!^)h|^h", ""), (r"eaux?|aux?", "o"), (r"oua|oi|wa", "wa"),
        (r"ou", "u"),
        (r"ain|ein|yn|ym|im(?=[bp])|in(?![aeiouy])", "in"), (r"[ae][nm](?![aeiouy])", "an"), (r"om(?=[bp])", "on"),
        (r"y", "i"), (r"ai|ei", "e"), (r"[z]", "s"), (r"tion$", "sion"), (r"(?<=n)g$", ""),
        (r"er$|et$|ez$|ee?$|[tdspx]$", ""),
        (r"[etdspx]$", ""), (r"(.)\1+", r"\1"),
    )
)  # fmt: skip


@functools.lru_cache(maxsize=2048)
def sound(word: str) -> str:
    """How a word sounds in French, roughly: `parké` and `parquet` are one."""
    for pattern, said in _SOUNDS:
        word = pattern.sub(said, word)
    return word

"""Every sentence that the program says is translated, with the facts of the original; Creole says that it is unchecked."""

from __future__ import annotations

import ast
import itertools
import pathlib
import re
from collections.abc import Iterator

import pytest
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po

from circular import catalog, errors, http, i18n, places, projects, reservations
from sms import commands, messages

ROOT = pathlib.Path(i18n.__file__).parent
Key = tuple[str | None, str]  # context, message id
KEYWORDS = {"_": None, "gettext": None, "ngettext": (1, 2), "pgettext": ((1, "c"), 2)}
# Codes that people see: their message id is the code, in the context of its list.
CODES = {
    "unit": catalog.UNITS,
    "kind": catalog.KINDS,
    "condition": catalog.CONDITIONS,
    "hazard": catalog.HAZARDS,
    "hazard_state": catalog.HAZARD_STATES,
    "dimension": catalog.DIMENSIONS,
    "difficulty": projects.DIFFICULTIES,
    "site": places.SITE_KINDS,
    "state": reservations.STATES,
    "message_state": messages.STATES,
    "intent": commands.INTENTS,
}


def _in_templates() -> Iterator[Key]:
    found = itertools.chain.from_iterable(
        extract_from_dir(folder, [("**.html", "jinja2.ext:babel_extract")], {"**": {"trimmed": "true"}}, KEYWORDS)
        for folder in (ROOT, ROOT.parent / "sms")
    )
    for _file, _line, message, _comments, context in found:
        yield context, message[0] if isinstance(message, tuple) else message


def _in_code() -> Iterator[Key]:
    for path in ROOT.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            texts = [value.value for value in node.args if isinstance(value, ast.Constant)]
            if name in ("gettext", "ngettext") and texts and isinstance(texts[0], str):
                yield None, texts[0]
            elif name == "pgettext" and len(texts) == 2:
                yield str(texts[0]), str(texts[1])


def said() -> set[Key]:
    """Every message that the program may say, codes aside."""
    sentences = [rule.sentence for rule in errors.REFUSALS.values()]
    tables = [*sentences, *errors.FIELD_ERRORS.values(), *http.TITLES.values()]
    return {*_in_templates(), *_in_code(), *((None, text) for text in tables)}


def codes() -> set[Key]:
    return {(context, code) for context, found in CODES.items() for code in found}


def texts(language: str) -> dict[Key, tuple[str, ...]]:
    """The translations of a language by message."""
    with (ROOT / "locale" / language / "LC_MESSAGES" / "messages.po").open("rb") as file:
        found = read_po(file, locale=i18n.STAND_INS[language])
    written = {}
    for message in found:
        if message.id:
            key = message.context, message.id[0] if isinstance(message.id, tuple) else str(message.id)
            written[key] = tuple(message.string) if isinstance(message.string, tuple | list) else (message.string,)
    return written


def test_messages_are_found() -> None:
    """The two searches see something: an empty one would pass every other test."""
    assert {(None, "Reserve"), (None, "Free"), (None, "Conflict")} <= said()
    assert len(said()) > 150


@pytest.mark.parametrize("language", ["fr", "es", "pt"])
def test_every_message_is_translated(language: str) -> None:
    """French, Spanish and Portuguese lack nothing."""
    written = texts(language)

    assert {key for key in said() | codes() if not all(written.get(key, ("",)))} == set()


def test_codes_have_english_names() -> None:
    """A code is no word: English needs its name too."""
    assert codes() - texts("en").keys() == set()


@pytest.mark.parametrize("language", i18n.LANGUAGES)
def test_translations_hold_the_same_facts(language: str) -> None:
    """A placeholder lost or invented would drop a fact or break the sentence."""
    for (_, message), written in texts(language).items():
        for text in written:
            assert set(re.findall(r"{\w+}", text)) == set(re.findall(r"{\w+}", message)), text


@pytest.mark.parametrize("language", i18n.LANGUAGES)
def test_nothing_is_translated_that_nobody_says(language: str) -> None:
    """A text without a use is a text that nobody keeps right."""
    assert texts(language).keys() - said() - codes() == set()


@pytest.mark.parametrize("language", ["gcf", "ht"])
def test_creole_is_marked_unverified(language: str) -> None:
    """No native reader has checked these, and each says so."""
    assert i18n.unverified("messages", language) == len(texts(language)) > 0

"""How well single messages are understood: the labelled corpus of `fixtures/understanding`, scored.

`python -m bench.understanding` prints the table, and what the tuning set gets wrong; the set kept aside stays unread.
"""

from __future__ import annotations

import json
import pathlib
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from sms.commands import Command, parse

CORPUS = pathlib.Path(__file__).parents[1] / "fixtures" / "understanding"
SETS = ("tuning", "aside")
ARGUMENTS = ("code", "quantity", "pickup_code", "choice", "language", "words")
# What takes something away from somebody, or from everybody else.
ACTS = frozenset({"stop", "cancel", "erase", "reserve"})


class Message(NamedTuple):
    """A labelled message. `intents`: where several answers serve a person equally, each of them is right."""

    text: str
    context: str
    intents: tuple[str, ...]
    args: dict[str, Any]
    language: str | None
    set: str


class Scored(NamedTuple):
    """A message and what was understood."""

    message: Message
    command: Command

    @property
    def right_intent(self) -> bool:
        return self.command.intent in self.message.intents

    @property
    def right_args(self) -> bool:
        """Every argument as labelled; words that no label gives may be any."""
        got = {name: value for name, value in self.command.args.items() if name in ARGUMENTS}
        if "words" not in self.message.args:
            got.pop("words", None)
        return self.right_intent and (len(self.message.intents) > 1 or got == self.message.args)

    @property
    def right_language(self) -> bool:
        """The language, or none shown: a wrong one answers somebody in words that they do not read."""
        return self.command.language in (None, self.message.language) or self.message.language is None

    @property
    def unsafe(self) -> bool:
        """An act that was not asked for, or on something else. A yes counts as one: a question may be open."""
        if self.command.intent in ACTS:
            return not self.right_args
        return self.command.intent == "yes" and "yes" not in self.message.intents


def corpus() -> list[Message]:
    """Every labelled message, in the order of the files."""
    return [
        Message(row["text"], row["context"], tuple(row["intent"].split("|")), row["args"], row["language"], row["set"])
        for path in sorted(CORPUS.glob("*.jsonl"))
        for row in map(json.loads, path.read_text("utf-8").splitlines())
    ]


def score(messages: Iterable[Message]) -> list[Scored]:
    """What is understood of each."""
    return [Scored(message, parse(message.text, message.context)) for message in messages]


def table(scored: list[Scored]) -> Iterator[str]:
    """Lines of figures by set and language, then the unsafe acts."""
    yield f"{'understanding':22} {'messages':>9} {'intent':>8} {'args':>8} {'language':>9} {'unsafe':>7}"
    languages = [*dict.fromkeys(one.message.language for one in scored)]
    for name in SETS:
        chosen = [one for one in scored if one.message.set == name]
        yield _line(f"{name}, all", chosen)
        for language in languages:
            yield _line(f"{name}, {language or 'mixed'}", [one for one in chosen if one.message.language == language])
    for one in scored:
        if one.unsafe:
            yield f"UNSAFE {one.message.text!r} ({one.message.context}): {one.command.intent} {one.command.args}"


def _line(name: str, scored: list[Scored]) -> str:
    figures = [share(scored, what) for what in ("right_intent", "right_args", "right_language")]
    intent, args, language = (f"{100 * figure:.1f} %" for figure in figures)
    unsafe = sum(one.unsafe for one in scored)
    return f"{name:22} {len(scored):>9} {intent:>8} {args:>8} {language:>9} {unsafe:>7}"


def share(scored: list[Scored], what: str) -> float:
    """The part of messages for which `what` is so."""
    return sum(getattr(one, what) for one in scored) / len(scored) if scored else 1.0


def main() -> None:
    scored = score(corpus())
    for line in table(scored):
        print(line)
    for one in scored:
        if one.message.set == "tuning" and not (one.right_args and one.right_language):
            wanted = f"{'|'.join(one.message.intents)} {one.message.args} {one.message.language}"
            print(f"{one.message.text!r} ({one.message.context}): {tuple(one.command)} not {wanted}")


if __name__ == "__main__":
    main()

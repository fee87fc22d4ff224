"""The search understands people: one table of queries, the same on both engines."""

from __future__ import annotations

from bench import finding
from circular import cli, imports
from tests.town import Town


def test_people_find_what_they_mean(town: Town) -> None:
    """The `tune` rows of fixtures/search: six languages, typos, sizes, quantities, places; nothing where nothing is."""
    imports.seed(cli.DEMO)

    scored = finding.score(list(finding.ask(finding.queries("tune"))))

    assert scored.recall >= 0.97
    assert scored.mrr >= 0.95
    assert scored.misled <= 0.03
    assert scored.silent == 1

"""What the contract suite asks of a gateway's author: the gateway beside its provider, and what that provider writes.

One file for each gateway, `case_NAME.py`, with a `CASE`; `test_contract.py` lists them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from hypothesis import strategies as st

from sms.gateways.base import Gateway, Inbound, Knock, OptOut, Receipt

FIXTURES = Path(__file__).parents[3] / "fixtures" / "gateways"
SECRET = "a-key-that-nobody-may-see"
PHONE = "+596696123456"


@dataclass(frozen=True)
class Running:
    """A gateway beside its provider: `sent` is what the provider saw, `break_it` takes the provider away."""

    gateway: Gateway
    sent: Callable[[], str]
    break_it: Callable[[], object]


@dataclass(frozen=True, kw_only=True)
class Case:
    """A gateway under contract. Each knock stands beside what it means; nothing, where the provider sends none.

    `settings` are what the gateway cannot do without, every secret of them `SECRET`. `malformed` are (which parser, what
    comes, a word of the error). `anything` is what a stranger may send. `waiting` is what `collect` finds, once, when
    the provider was just started.
    """

    settings: dict[str, Any] = field(default_factory=dict)
    running: Callable[[], AbstractContextManager[Running]]
    inbound: Sequence[tuple[Knock, Inbound | None]]
    receipts: Sequence[tuple[Knock, Receipt]]
    opt_outs: Sequence[tuple[Knock, OptOut]] = ()
    malformed: Sequence[tuple[str, Knock, str]]
    anything: st.SearchStrategy[Knock]
    waiting: Sequence[Inbound | Receipt] = ()


def posted(path: str) -> Knock:
    """A recorded form of `fixtures/gateways`, as the webhook hands it over."""
    body = (FIXTURES / path).read_bytes().strip()
    return Knock(form=dict(parse_qsl(body.decode(), keep_blank_values=True)), body=body)


def asked(path: str) -> Knock:
    """A recorded query, of a provider that knocks with GET."""
    query = (FIXTURES / path).read_bytes().strip()
    return Knock(form=dict(parse_qsl(query.decode(), keep_blank_values=True)), query=query)


def any_form(*fields: str) -> st.SearchStrategy[Knock]:
    """Forms with some of `fields`, whatever stands in them."""
    return st.dictionaries(st.sampled_from(fields), st.text()).map(lambda form: Knock(form=form))

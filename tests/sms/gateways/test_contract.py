"""One suite for every gateway: what the rest of the program may rely on, whoever the provider is."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st

from circular import settings
from sms import gateways
from sms.gateways.base import (
    Accepted,
    Failed,
    Gateway,
    Inbound,
    Knock,
    MalformedError,
    OptOut,
    Outgoing,
    Receipt,
    Retry,
    Unknown,
)
from tests.sms.gateways import case_android, case_forms, case_gammu, case_kannel
from tests.sms.gateways.case import PHONE, SECRET, Case, Running

CASES: dict[str, Case] = {
    "console": case_forms.CONSOLE,
    "africastalking": case_forms.AFRICASTALKING,
    "kannel": case_kannel.KANNEL,
    "android": case_android.ANDROID,
    "gammu": case_gammu.GAMMU,
}
OUTCOMES = (Accepted, Retry, Unknown, Failed)


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> Case:
    """Every gateway in turn."""
    return CASES[request.param]


@pytest.fixture
def running(case: Case) -> Iterator[Running]:
    """Every gateway in turn, beside its provider."""
    with case.running() as beside:
        yield beside


def built(name: str) -> Gateway:
    """A gateway as the webhooks build it."""
    return gateways.build(settings.Settings(sms_gateway=name, **CASES[name].settings))


def each(kind: str) -> Any:
    """Every knock of a kind beside what it means, by gateway."""
    return pytest.mark.parametrize(
        ("name", "knock", "meaning"),
        [
            pytest.param(name, *entry, id=f"{name}-{number}")
            for name, case in CASES.items()
            for number, entry in enumerate(getattr(case, kind))
        ],
    )


def test_every_gateway_is_under_contract() -> None:
    """A gateway that is registered is one that may be chosen and one that this suite runs over."""
    assert set(gateways.GATEWAYS) == set(settings.GATEWAYS) == set(CASES)


@pytest.mark.parametrize("name", gateways.GATEWAYS)
def test_build_by_name_and_by_settings(name: str) -> None:
    """The webhook asks by name, the sender takes what the settings chose."""
    assert gateways.known(name)
    assert built(name).name == name
    assert gateways.build(settings.Settings(), name).name == name


def test_unknown_name_is_not_known() -> None:
    """Whatever stands in a webhook's path can be asked about."""
    assert not gateways.known("pigeon")


# --- out --------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("text", ["Réservé: 3 {[€]} à 7h, code 7391", "Réservé : 3 tôles, ça y est 🙂"])
def test_send_is_accepted(running: Running, text: str) -> None:
    """The text reaches the provider whole, in GSM 03.38 and beyond, and the answer carries an id."""
    outcome = running.gateway.send(Outgoing("12", PHONE, text))

    assert isinstance(outcome, Accepted)
    assert outcome.provider_id
    assert text in running.sent()


@pytest.mark.parametrize("to", [PHONE, "", "40404", "Orange", "+٥٩٦٦٩٦١٢٣٤٥٦", "+596696123456\n", "\0"])
@pytest.mark.parametrize("text", ["bois", "", "🙂" * 300, "\ud800", "\0", "a\r\nb"])
def test_send_never_raises(running: Running, to: str, text: str) -> None:
    """Whatever is handed over, the answer is an outcome."""
    assert isinstance(running.gateway.send(Outgoing("12", to, text)), OUTCOMES)


def test_send_without_provider_is_an_outcome_without_secrets(running: Running) -> None:
    """The provider is gone: nothing is raised, and the reason names neither number nor key nor text."""
    running.break_it()

    outcome = running.gateway.send(Outgoing("12", PHONE, "code 7391"))

    assert isinstance(outcome, Retry | Unknown | Failed)
    assert not any(word in outcome.reason for word in (SECRET, "696123456", "7391"))


def test_health_is_a_line_without_secrets(running: Running) -> None:
    """Nothing is wrong beside a provider that runs; without one nothing is raised and no secret told."""
    assert running.gateway.health() == ""

    running.break_it()

    said = running.gateway.health()
    assert "\n" not in said
    assert SECRET not in said


def test_repr_has_no_secret(running: Running) -> None:
    """A gateway may be printed."""
    assert SECRET not in repr(running.gateway)
    assert SECRET not in str(running.gateway)


# --- in ---------------------------------------------------------------------------------------------------------------
@each("inbound")
def test_parse_inbound_recorded(name: str, knock: Knock, meaning: Inbound | None) -> None:
    """A message as its provider writes it."""
    assert built(name).parse_inbound(knock) == meaning


@each("receipts")
def test_parse_receipt_recorded(name: str, knock: Knock, meaning: Receipt) -> None:
    """Every documented status has a meaning; a new one is kept as it is."""
    assert built(name).parse_receipt(knock) == meaning


@each("opt_outs")
def test_parse_opt_out_recorded(name: str, knock: Knock, meaning: OptOut) -> None:
    """Who told the provider STOP."""
    assert built(name).parse_opt_out(knock) == meaning


@pytest.mark.parametrize(
    ("name", "parser", "knock", "word"),
    [
        pytest.param(name, *entry, id=f"{name}-{number}")
        for name, case in CASES.items()
        for number, entry in enumerate(case.malformed)
    ],
)
def test_parse_what_nobody_sends(name: str, parser: str, knock: Knock, word: str) -> None:
    """No sender, no id, no number: one kind of error, which names the field and no value."""
    with pytest.raises(MalformedError, match=word) as caught:
        getattr(built(name), parser)(knock)

    assert not any(value in str(caught.value) for value in (PHONE, SECRET))


@pytest.mark.parametrize("name", CASES)
@hypothesis.settings(deadline=None)  # a busy machine is no failure
@hypothesis.given(data=st.data())
def test_parse_anything(name: str, data: st.DataObject) -> None:
    """Whatever a stranger sends, a knock is read or malformed; nothing else is ever raised."""
    gateway, knock = built(name), data.draw(CASES[name].anything)

    for parse in (gateway.parse_inbound, gateway.parse_receipt, gateway.parse_opt_out, gateway.parse_ussd):
        with contextlib.suppress(MalformedError):
            parse(knock)


# --- fetched ----------------------------------------------------------------------------------------------------------
class Kept:
    """An inbox. While `full`, it keeps nothing."""

    def __init__(self) -> None:
        self.kept: list[Inbound | Receipt] = []
        self.full = False

    def message(self, message: Inbound) -> None:
        """Keep a message."""
        self.receipt(message)

    def receipt(self, receipt: Inbound | Receipt) -> None:
        """Keep a receipt."""
        if self.full:
            raise OSError("no space left")
        self.kept.append(receipt)


def test_collect_hands_over_what_waits_once(case: Case, running: Running) -> None:
    """A provider that does not knock is asked: everything that waits, and nothing twice."""
    inbox = Kept()

    assert running.gateway.collect(inbox) == len(case.waiting)
    assert running.gateway.collect(inbox) == 0
    assert inbox.kept == list(case.waiting)


def test_collect_forgets_nothing_that_was_not_kept(case: Case, running: Running) -> None:
    """A disk that is full costs no message: it waits where it was."""
    inbox = Kept()
    inbox.full = True
    with contextlib.suppress(OSError):
        running.gateway.collect(inbox)

    inbox.full = False
    running.gateway.collect(inbox)

    assert inbox.kept == list(case.waiting)

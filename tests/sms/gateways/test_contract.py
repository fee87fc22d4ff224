"""One suite for every gateway: what the rest of the program may rely on, whoever the provider is."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import parse_qsl

import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from circular import settings
from sms import gateways
from sms.gateways.africastalking import AfricasTalking
from sms.gateways.base import (
    Accepted,
    Failed,
    Gateway,
    Inbound,
    Knock,
    MalformedError,
    OptOut,
    Outgoing,
    Retry,
    Unknown,
)
from sms.gateways.console import Console
from tests.fake_africastalking import FakeAfricasTalking

FIXTURES = Path(__file__).parents[3] / "fixtures" / "gateways"
SECRET = "a-key-that-nobody-may-see"
PHONE = "+596696123456"
OUTCOMES = (Accepted, Retry, Unknown, Failed)


def body(name: str, gateway: str = "africastalking") -> dict[str, str]:
    """A recorded form, as Flask reads it."""
    return dict(parse_qsl((FIXTURES / gateway / name).read_text().strip(), keep_blank_values=True))


@dataclass
class Case:
    """A gateway beside its provider: `sent` is what the provider saw, `break_it` takes the provider away."""

    gateway: Gateway
    sent: Callable[[], str]
    break_it: Callable[[], object]


def _console() -> Iterator[Case]:
    stream = io.StringIO()
    yield Case(Console(stream), stream.getvalue, stream.close)


def _africastalking() -> Iterator[Case]:
    with FakeAfricasTalking() as provider:
        gateway = AfricasTalking(username="sandbox", api_key=SECRET, api_url=provider.url, timeout=(5.0, 5.0))
        yield Case(gateway, lambda: str([m["text"] for m in provider.messages]), provider.stop)


CASES: dict[str, Callable[[], Iterator[Case]]] = {"console": _console, "africastalking": _africastalking}


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> Iterator[Case]:
    """Every gateway in turn."""
    yield from CASES[request.param]()


def test_every_gateway_is_under_contract() -> None:
    """A gateway that is registered is one that may be chosen and one that this suite runs over."""
    assert set(gateways.GATEWAYS) == set(settings.GATEWAYS) == set(CASES)


@pytest.mark.parametrize("name", gateways.GATEWAYS)
def test_build_by_name_and_by_settings(name: str) -> None:
    """The webhook asks by name, the sender takes what the settings chose."""
    chosen = settings.Settings(sms_gateway=name, africastalking_api_key=SECRET)

    assert gateways.known(name)
    assert gateways.build(chosen).name == name
    assert gateways.build(settings.Settings(), name).name == name


def test_unknown_name_is_not_known() -> None:
    """Whatever stands in a webhook's path can be asked about."""
    assert not gateways.known("pigeon")


def test_send_is_accepted(case: Case) -> None:
    """The text reaches the provider whole, accents included, and the answer carries an id."""
    outcome = case.gateway.send(Outgoing("12", PHONE, "Réservé : 3 tôles, code 7391"))

    assert isinstance(outcome, Accepted)
    assert outcome.provider_id
    assert "Réservé : 3 tôles, code 7391" in case.sent()


@pytest.mark.parametrize("to", [PHONE, "", "40404", "Orange", "+٥٩٦٦٩٦١٢٣٤٥٦", "+596696123456\n", "\0"])
@pytest.mark.parametrize("text", ["bois", "", "🙂" * 300, "\ud800", "\0", "a\r\nb"])
def test_send_never_raises(case: Case, to: str, text: str) -> None:
    """Whatever is handed over, the answer is an outcome."""
    assert isinstance(case.gateway.send(Outgoing("12", to, text)), OUTCOMES)


def test_send_without_provider_is_an_outcome_without_secrets(case: Case) -> None:
    """The provider is gone: nothing is raised, and the reason names neither number nor key nor text."""
    case.break_it()

    outcome = case.gateway.send(Outgoing("12", PHONE, "code 7391"))

    assert isinstance(outcome, Retry | Unknown | Failed)
    assert not any(word in outcome.reason for word in (SECRET, "696123456", "7391"))


def test_repr_has_no_secret(case: Case) -> None:
    """A gateway may be printed."""
    assert SECRET not in repr(case.gateway)
    assert SECRET not in str(case.gateway)


def test_parse_inbound_recorded(case: Case) -> None:
    """A recorded message is read, in both shapes of its date."""
    assert case.gateway.parse_inbound(Knock(form=body("inbound.form"))) == Inbound(
        "ee2f8a4c-1d1b-4b0e-9f6e-0d9f1c5f7a11",
        PHONE,
        "40404",
        "R 41271 3",
        datetime(2026, 11, 27, 21, 4, 45, tzinfo=UTC),
    )

    accents = case.gateway.parse_inbound(Knock(form=body("inbound-accents.form")))
    assert accents.text == "Chèche tòl épi bwa, ça fini ? 🙂"
    assert accents.sent_at == datetime(2026, 11, 27, 21, 4, 45, tzinfo=UTC)


def test_parse_inbound_with_little_in_it(case: Case) -> None:
    """A sender is enough; what a database's key cannot hold is no id."""
    assert case.gateway.parse_inbound(Knock(form={"from": PHONE})) == Inbound(None, PHONE, "", "", None)

    for odd in ("", " ", "a\0b", "x" * 201):
        assert case.gateway.parse_inbound(Knock(form={"from": PHONE, "id": odd})).external_id is None
    for odd in ("", "yesterday", "2026-13-01 00:00:00", "2026-11-27", "\0"):
        assert case.gateway.parse_inbound(Knock(form={"from": PHONE, "date": odd})).sent_at is None


def test_parse_receipt_recorded(case: Case) -> None:
    """Delivered, and failed with the provider's reason."""
    delivered = case.gateway.parse_receipt(Knock(form=body("receipt-success.form")))
    assert (delivered.status, delivered.provider_status, delivered.reason) == ("delivered", "Success", "")
    assert delivered.provider_id == "ATXid_0123456789abcdef0123456789abcdef"

    failed = case.gateway.parse_receipt(Knock(form=body("receipt-failed.form")))
    assert (failed.status, failed.provider_status, failed.reason) == ("failed", "Failed", "DeliveryFailure")


@pytest.mark.parametrize(
    ("said", "status"),
    [
        ("Sent", "sent"),
        ("Submitted", "sent"),
        ("Buffered", "sent"),
        ("Success", "delivered"),
        ("Rejected", "failed"),
        ("Failed", "failed"),
        ("Expired", "failed"),
        ("Teleported", "unknown"),
        ("", "unknown"),
    ],
)
def test_parse_receipt_status(case: Case, said: str, status: str) -> None:
    """Every documented status has a meaning; a new one is kept as it is."""
    receipt = case.gateway.parse_receipt(Knock(form={"id": "ATXid_1", "status": said}))

    assert (receipt.status, receipt.provider_status) == (status, said)


def test_parse_opt_out_recorded(case: Case) -> None:
    """Who told the provider STOP."""
    assert case.gateway.parse_opt_out(Knock(form=body("optout.form"))) == OptOut(PHONE)


@pytest.mark.parametrize("form", [{}, {"from": "", "id": "", "phoneNumber": ""}, {"from": " ", "id": "\0"}])
def test_parse_form_that_nobody_sends(case: Case, form: Mapping[str, str]) -> None:
    """No sender, no id, no number: one kind of error, which names the field."""
    for parse, field in (
        (case.gateway.parse_inbound, "from"),
        (case.gateway.parse_receipt, "id"),
        (case.gateway.parse_opt_out, "phoneNumber"),
    ):
        with pytest.raises(MalformedError, match=field):
            parse(Knock(form=form))


fields = st.sampled_from(["id", "from", "to", "text", "date", "status", "failureReason", "phoneNumber", "linkId"])


@pytest.mark.parametrize("name", gateways.GATEWAYS)
@hypothesis.settings(deadline=None)  # a busy machine is no failure
@given(form=st.dictionaries(fields, st.text()))
def test_parse_any_form(name: str, form: dict[str, str]) -> None:
    """Whatever a stranger posts, a form is read or malformed; nothing else is ever raised."""
    gateway = gateways.build(settings.Settings(), name)

    for parse in (gateway.parse_inbound, gateway.parse_receipt, gateway.parse_opt_out, gateway.parse_ussd):
        try:
            parse(Knock(form=form))
        except MalformedError as error:
            assert "missing" in str(error)

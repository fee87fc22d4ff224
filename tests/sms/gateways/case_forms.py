"""Africa's Talking and the console, which reads the same forms."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from sms.gateways.africastalking import AfricasTalking
from sms.gateways.base import Inbound, Knock, OptOut, Receipt, ReceiptStatus
from sms.gateways.console import Console
from tests.fake_africastalking import FakeAfricasTalking
from tests.sms.gateways.case import PHONE, SECRET, Case, Running, any_form, posted


@contextmanager
def _console() -> Iterator[Running]:
    stream = io.StringIO()
    yield Running(Console(stream), stream.getvalue, stream.close)


@contextmanager
def _africastalking() -> Iterator[Running]:
    with FakeAfricasTalking() as provider:
        gateway = AfricasTalking(username="sandbox", api_key=SECRET, api_url=provider.url, timeout=(5.0, 5.0))
        yield Running(gateway, lambda: str([m["text"] for m in provider.messages]), provider.stop)


_SENT_AT = datetime(2026, 11, 27, 21, 4, 45, tzinfo=UTC)
_STATUSES: dict[str, ReceiptStatus] = {
    "Sent": "sent",
    "Submitted": "sent",
    "Buffered": "sent",
    "Success": "delivered",
    "Rejected": "failed",
    "Failed": "failed",
    "Expired": "failed",
    "Teleported": "unknown",  # a new one is kept as it is
    "": "unknown",
}
_NOTHING: tuple[dict[str, str], ...] = (
    {},
    {"from": "", "id": "", "phoneNumber": ""},
    {"from": " ", "id": "\0", "text": SECRET},
)
_FORMS: dict[str, Any] = {
    "inbound": [
        # both shapes of its date
        (
            posted("africastalking/inbound.form"),
            Inbound("ee2f8a4c-1d1b-4b0e-9f6e-0d9f1c5f7a11", PHONE, "40404", "R 41271 3", _SENT_AT),
        ),
        (
            posted("africastalking/inbound-accents.form"),
            Inbound(
                "5b0c5b70-7c7b-4f0a-8a55-3d3f8f0b2c22", PHONE, "40404", "Chèche tòl épi bwa, ça fini ? 🙂", _SENT_AT
            ),
        ),
        # a sender is enough; what a database's key cannot hold is no id
        *[
            (Knock(form={"from": PHONE, **more}), Inbound(None, PHONE, "", "", None))
            for more in (
                *[{"id": odd} for odd in ("", " ", "a\0b", "x" * 201)],
                *[{"date": odd} for odd in ("", "yesterday", "2026-13-01 00:00:00", "2026-11-27", "\0")],
            )
        ],
    ],
    "receipts": [
        (
            posted("africastalking/receipt-success.form"),
            Receipt("ATXid_0123456789abcdef0123456789abcdef", "delivered", "Success", ""),
        ),
        (
            posted("africastalking/receipt-failed.form"),
            Receipt("ATXid_0123456789abcdef0123456789abcdef", "failed", "Failed", "DeliveryFailure"),
        ),
        *[
            (Knock(form={"id": "ATXid_1", "status": said}), Receipt("ATXid_1", status, said, ""))
            for said, status in _STATUSES.items()
        ],
    ],
    "opt_outs": [(posted("africastalking/optout.form"), OptOut(PHONE))],
    "malformed": [
        (parser, Knock(form=form), field)
        for form in _NOTHING
        for parser, field in (("parse_inbound", "from"), ("parse_receipt", "id"), ("parse_opt_out", "phoneNumber"))
    ],
    "anything": any_form(
        "id", "from", "to", "text", "date", "status", "failureReason", "phoneNumber", "linkId", "sessionId", "hopsCount"
    ),
}

CONSOLE = Case(running=_console, **_FORMS)
AFRICASTALKING = Case(running=_africastalking, settings={"africastalking_api_key": SECRET}, **_FORMS)

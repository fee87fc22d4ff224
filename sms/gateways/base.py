"""What every gateway promises: texts out (`send`), forms in (`parse_inbound`, `parse_receipt`, `parse_opt_out`).

A gateway turns one provider's language into these values and back. It keeps nothing, knows no table and never says a
phone number or a secret in a reason.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import ClassVar, Literal, Self, TypeAlias

from circular.settings import Settings

ReceiptStatus: TypeAlias = Literal["sent", "delivered", "failed", "unknown"]


class MalformedError(Exception):
    """A form that no provider sends (no sender, say). Its text names the field, never the value."""


@dataclass(frozen=True, slots=True)
class Inbound:
    """A message for us, as the provider wrote it. `sent_at` is aware, UTC; `external_id` is what repeats carry again."""

    external_id: str | None
    sender: str
    recipient: str
    text: str
    sent_at: datetime | None


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a message of ours. `unknown` is a status that we have no word for: kept, and changes nothing."""

    provider_id: str
    status: ReceiptStatus
    provider_status: str
    reason: str


@dataclass(frozen=True, slots=True)
class OptOut:
    """The provider was told STOP by this number, as the provider writes it."""

    phone: str


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A text to send. `reference` is ours, the same at every try; `to` is E.164."""

    reference: str
    to: str
    text: str


@dataclass(frozen=True, slots=True)
class Accepted:
    """The provider took it. `cost` is as it says it (`EUR 0.0500`)."""

    provider_id: str | None
    cost: str | None


@dataclass(frozen=True, slots=True)
class Retry:
    """Not taken, and worth another try: in `after` seconds, or when the caller's own back-off says.

    `everybody`: no other text would pass either (no connection, an empty account). False: this recipient's alone.
    """

    reason: str
    after: float | None = None
    everybody: bool = True


@dataclass(frozen=True, slots=True)
class Unknown:
    """The provider may have taken it: no answer in time, or a connection cut after the request left."""

    reason: str


@dataclass(frozen=True, slots=True)
class Failed:
    """Refused for good. `opt_out`: the recipient told the provider to stop us."""

    reason: str
    opt_out: bool = False


Outcome: TypeAlias = Accepted | Retry | Unknown | Failed


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a gateway can do. `idempotent_id`: a repeat with the same reference is sent once by the provider itself."""

    needs_internet: bool
    receipts: bool
    idempotent_id: bool
    messages_per_second: float
    ussd: bool


class Gateway(ABC):
    """One provider. Safe to share between threads."""

    name: ClassVar[str]
    capabilities: ClassVar[Capabilities]

    @classmethod
    @abstractmethod
    def from_settings(cls, settings: Settings) -> Self:
        """The gateway that `settings` describe."""

    @abstractmethod
    def send(self, message: Outgoing) -> Outcome:
        """Hand one text to the provider. Blocks until it answers or its time is over; never raises."""

    @abstractmethod
    def parse_inbound(self, form: Mapping[str, str]) -> Inbound:
        """The message in a form. Raises: MalformedError without a sender."""

    def parse_receipt(self, form: Mapping[str, str]) -> Receipt:  # noqa: ARG002 - for the gateways that override it
        """The delivery receipt in a form. Raises: MalformedError, always where the provider sends none."""
        raise MalformedError(f"{self.name} sends no receipts")

    def parse_opt_out(self, form: Mapping[str, str]) -> OptOut:  # noqa: ARG002 - for the gateways that override it
        """The opt-out in a form. Raises: MalformedError, always where the provider sends none."""
        raise MalformedError(f"{self.name} sends no opt-outs")


# Longer than any provider's: what is longer, or holds a control character, would not fit a key of the database.
LONGEST_ID = 200
_DATE_SHAPES = ("%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%d %H:%M:%S")
_STATUSES: dict[str, ReceiptStatus] = {
    "Success": "delivered",
    "Sent": "sent",
    "Submitted": "sent",
    "Buffered": "sent",
    "Rejected": "failed",
    "Failed": "failed",
    "Expired": "failed",
}


class FormGateway(Gateway):
    """A gateway whose provider posts the forms of Africa's Talking (docs.africastalking.com/sms/notifications)."""

    def parse_inbound(self, form: Mapping[str, str]) -> Inbound:
        """From `id from to text date`; only `from` must be there. Raises: MalformedError."""
        return Inbound(
            external_id=_identifier(form),
            sender=_required(form, "from"),
            recipient=form.get("to", "").strip(),
            text=form.get("text", ""),
            sent_at=_moment(form.get("date", "")),
        )

    def parse_receipt(self, form: Mapping[str, str]) -> Receipt:
        """From `id status failureReason`; only `id` must be there. Raises: MalformedError."""
        provider_id = _identifier(form)
        if provider_id is None:
            raise MalformedError("id is missing")
        status = form.get("status", "").strip()
        reason = form.get("failureReason", "").strip()
        return Receipt(provider_id, _STATUSES.get(status, "unknown"), status, reason)

    def parse_opt_out(self, form: Mapping[str, str]) -> OptOut:
        """From `senderId phoneNumber`. Raises: MalformedError without a number."""
        return OptOut(_required(form, "phoneNumber"))


def _required(form: Mapping[str, str], field: str) -> str:
    value = form.get(field, "").strip()
    if not value:
        raise MalformedError(f"{field} is missing")
    return value


def _identifier(form: Mapping[str, str]) -> str | None:
    value = form.get("id", "").strip()
    return value if value.isprintable() and 0 < len(value) <= LONGEST_ID else None


def _moment(text: str) -> datetime | None:
    for shape in _DATE_SHAPES:
        try:
            return datetime.strptime(text.strip(), shape).replace(tzinfo=UTC)
        except ValueError:
            continue
    return None

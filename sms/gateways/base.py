"""What every gateway promises: texts out (`send`), forms in (`parse_inbound`, `parse_receipt`, `parse_opt_out`).

A gateway turns one provider's language into these values and back. It keeps nothing, knows no table and never says a
phone number or a secret in a reason.
"""

from __future__ import annotations

import hashlib
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import ClassVar, Literal, Protocol, Self, TypeAlias

from circular.settings import Settings

ReceiptStatus: TypeAlias = Literal["sent", "delivered", "failed", "unknown"]


class MalformedError(Exception):
    """A form that no provider sends (no sender, say). Its text names the field, never the value."""


class NotTheProviderError(MalformedError):
    """A knock that the provider did not sign: to whoever sent it, there is no such page. Its text is for our log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Knock:
    """A request at our webhook, as it came: what a provider wrote, without a web framework.

    `form` holds the fields of the body or, where there is none, of the query; `query` and `body` are their raw bytes (a
    signature is over bytes, and Kannel's text may be in another charset). Header names are lower case.
    """

    form: Mapping[str, str]
    query: bytes = b""
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


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
class UssdInput:
    """One step of a USSD session. `text` is all that was typed so far, joined by `*`, as Africa's Talking sends it."""

    session: str
    phone: str
    service_code: str
    text: str


@dataclass(frozen=True, slots=True)
class UssdEnd:
    """A session is over, says the provider: `complete`, or dropped on the way."""

    session: str
    complete: bool


News: TypeAlias = Inbound | Receipt | None  # None: news of another kind, which nobody needs


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A text to send. `reference` is ours, the same at every try; `to` is E.164."""

    reference: str
    to: str
    text: str

    @property
    def key(self) -> str:
        """An id for providers that send an id once: at most 36 letters, digits and hyphens, the same at every try.

        The text is in it: a database that was restored or begun anew gives old numbers to new texts, and a provider
        that remembers the old ones would swallow them.
        """
        seed = f"{self.reference}\0{self.to}\0{self.text}"
        digest = hashlib.sha256(seed.encode("utf-8", "replace")).hexdigest()
        return f"{self.reference if _PLAIN.fullmatch(self.reference) else digest[-20:]}-{digest[:12]}"


_PLAIN = re.compile(r"[A-Za-z0-9-]{1,23}")


class Inbox(Protocol):
    """Where a gateway that is asked for its messages (`collect`) puts them: each is durable once the call returns."""

    def message(self, message: Inbound) -> None:
        """Keep a message."""

    def receipt(self, receipt: Receipt) -> None:
        """Keep a receipt."""


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

    def health(self) -> str:
        """What is wrong with the way to the provider, in a line without secrets; "" when nothing is known to be."""
        return ""

    @abstractmethod
    def parse_inbound(self, knock: Knock) -> News:
        """The message in a request, or None for news of another kind. Raises: MalformedError without a sender.

        A provider that takes one address for all its news may bring a receipt here, and a message to `parse_receipt`.
        """

    def parse_receipt(self, knock: Knock) -> News:  # noqa: ARG002 - for the gateways that override it
        """The delivery receipt in a request. Raises: MalformedError, always where the provider sends none."""
        raise MalformedError(f"{self.name} sends no receipts")

    def parse_opt_out(self, knock: Knock) -> OptOut:  # noqa: ARG002 - for the gateways that override it
        """The opt-out in a request. Raises: MalformedError, always where the provider sends none."""
        raise MalformedError(f"{self.name} sends no opt-outs")

    def parse_ussd(self, knock: Knock) -> UssdInput | UssdEnd:  # noqa: ARG002 - for the gateways that override it
        """The step of a session, or its end. Raises: MalformedError, always where the provider has no USSD."""
        raise MalformedError(f"{self.name} has no USSD")

    def answer_ussd(self, text: str, *, ends: bool) -> str:
        """The body of the answer to a step: Africa's Talking's `CON …` or `END …`."""
        return f"{'END' if ends else 'CON'} {text}"

    def collect(self, inbox: Inbox) -> int:  # noqa: ARG002 - for the gateways that override it
        """Fetch what waits at a provider that does not knock; how much it was. Raises: OSError."""
        return 0


# Arabic digits and a trailing newline, which `\d` and `$` let through, are no number.
E164 = re.compile(r"\+[1-9][0-9]{6,14}")
# Seconds: what only a person can mend (a key, a balance, an address) is not tried every minute.
ASK_A_PERSON = 300.0
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

    def parse_inbound(self, knock: Knock) -> Inbound | None:
        """From `id from to text date`; only `from` must be there. Raises: MalformedError."""
        form = knock.form
        return Inbound(
            external_id=identifier(form),
            sender=required(form, "from"),
            recipient=form.get("to", "").strip(),
            text=form.get("text", ""),
            sent_at=_moment(form.get("date", "")),
        )

    def parse_receipt(self, knock: Knock) -> Receipt:
        """From `id status failureReason`; only `id` must be there. Raises: MalformedError."""
        form = knock.form
        provider_id = identifier(form)
        if provider_id is None:
            raise MalformedError("id is missing")
        status = form.get("status", "").strip()
        reason = form.get("failureReason", "").strip()
        return Receipt(provider_id, _STATUSES.get(status, "unknown"), status, reason)

    def parse_opt_out(self, knock: Knock) -> OptOut:
        """From `senderId phoneNumber`. Raises: MalformedError without a number."""
        return OptOut(required(knock.form, "phoneNumber"))

    def parse_ussd(self, knock: Knock) -> UssdInput | UssdEnd:
        """From `sessionId phoneNumber serviceCode text`, or the notice of a session's end (`status`, `hopsCount`…).

        Raises: MalformedError.
        """
        form = knock.form
        session = required(form, "sessionId")
        if "hopsCount" in form or "durationInMillis" in form:
            return UssdEnd(session, form.get("status", "") == "Success")
        return UssdInput(session, required(form, "phoneNumber"), form.get("serviceCode", ""), form.get("text", ""))


def required(form: Mapping[str, str], field: str) -> str:
    """A field that must say something. Raises: MalformedError."""
    value = form.get(field, "").strip()
    if not value:
        raise MalformedError(f"{field} is missing")
    return value


def identifier(form: Mapping[str, str]) -> str | None:
    """The field `id`, or None for what a database's key cannot hold."""
    value = form.get("id", "").strip()
    return value if value.isprintable() and 0 < len(value) <= LONGEST_ID else None


def _moment(text: str) -> datetime | None:
    for shape in _DATE_SHAPES:
        try:
            return datetime.strptime(text.strip(), shape).replace(tzinfo=UTC)
        except ValueError:
            continue
    return None

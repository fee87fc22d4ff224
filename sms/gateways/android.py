"""An old Android phone with the app SMS Gateway (capcom6/android-sms-gateway), by its local HTTP API and its webhooks.

Requests are made by `requests`, which is here already. The app's own client (PyPI android-sms-gateway 4.3.3, 30 kB) asks
without any time-out: a phone that left the network would hold a thread for ever, and it checks no signature either.

The facts are the app's: its swagger.json and Kotlin sources of 2026. docs/gateways.md tells how to set the phone up.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self

from circular import clock
from circular.settings import Settings
from sms.gateways import http
from sms.gateways.base import (
    ASK_A_PERSON,
    E164,
    LONGEST_ID,
    Accepted,
    Capabilities,
    Failed,
    Gateway,
    Inbound,
    Knock,
    MalformedError,
    News,
    NotTheProviderError,
    Outcome,
    Outgoing,
    Receipt,
    ReceiptStatus,
    Retry,
    Unknown,
)

if TYPE_CHECKING:
    import requests

VALID = 86_400  # seconds that the phone may try: a mast can be gone for hours
MANY = 3  # texts that failed in an hour while none was sent: it is not the numbers any more
SKEW = 300.0  # seconds between the phone's clock and ours within which a signature counts
_STATUSES: dict[str, ReceiptStatus] = {"sms:sent": "sent", "sms:delivered": "delivered", "sms:failed": "failed"}


class Android(Gateway):
    """One phone. `timeout` is (to connect, to read) in seconds.

    The app takes an id of ours and refuses it a second time (409), so a text may be handed over again safely.
    """

    name = "android"
    # As a modem's: the same radio. Android itself asks its owner beyond 30 in 30 minutes until that is raised.
    capabilities = Capabilities(
        needs_internet=False, receipts=True, idempotent_id=True, messages_per_second=0.15, ussd=False
    )

    def __init__(
        self,
        *,
        url: str,
        username: str,
        password: str,
        signing_key: str,
        sender: str = "",
        timeout: tuple[float, float] = (3.05, 9.05),
    ) -> None:
        self._url = url.rstrip("/")
        self._account = (username.encode(), password.encode())
        self._signing_key = signing_key.encode()
        self._sender = sender
        self._timeout = timeout

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """The phone that `ANDROID_*` describe."""
        return cls(
            url=settings.android_url,
            username=settings.android_username,
            password=settings.android_password,
            signing_key=settings.android_signing_key,
            sender=settings.sms_sender,
        )

    # --- out ----------------------------------------------------------------------------------------------------------
    def send(self, message: Outgoing) -> Outcome:
        """One text, one request; blocks as long as `timeout` allows. Never raises."""
        if not E164.fullmatch(message.to):
            return Failed("the recipient is no international number")
        if not message.text:
            return Failed("the text is empty")
        import requests

        text = {
            "id": message.key,
            "textMessage": {"text": message.text},
            "phoneNumbers": [message.to],
            "withDeliveryReport": True,
            "ttl": VALID,
        }
        try:
            # The phone is asked not to judge the number: we did, and its list of ranges is as old as the app.
            answer = self._ask("POST", "/messages?skipPhoneValidation=true", text)
        except requests.RequestException as error:
            return http.broken(error)
        except Exception as error:  # an address that urllib3 chokes on, say: whatever left, a repeat is safe
            return Unknown(f"the request broke off: {type(error).__name__}")
        return _read(answer, message)

    def health(self) -> str:
        """Whether the app answers, and sends anything.

        Its own verdict is not asked for: without internet it calls itself failed, and one number that nobody can reach
        is enough for that in a quiet hour.
        """
        try:
            checks = _object(self._ask("GET", "/health").content).get("checks")
            failed = checks["messages:failed"] if isinstance(checks, dict) else {}
            count = int(failed["observedValue"]) if failed["status"] == "fail" else 0
        except Exception as error:  # whatever it is, the phone cannot be asked
            return f"the phone does not answer: {type(error).__name__}"
        return f"the phone sent none of its last {count} texts" if count >= MANY else ""

    def _ask(self, method: str, path: str, body: object = None) -> requests.Response:
        """An answer, whatever its status. Raises: requests.RequestException and what lies below it."""
        import requests

        with requests.Session() as session:
            session.trust_env = False  # a phone beside us is not behind the office's proxy
            return session.request(
                method, self._url + path, json=body, auth=requests.auth.HTTPBasicAuth(*self._account),
                timeout=self._timeout, allow_redirects=False,
            )  # fmt: skip

    # --- in -----------------------------------------------------------------------------------------------------------
    def parse_inbound(self, knock: Knock) -> News:
        """Any event of the phone: it knows one address for each, and a person may well give it the same for all.

        Raises: NotTheProviderError without its signature, MalformedError without a sender or an id.
        """
        event = self._signed(knock)
        payload = event.get("payload")
        if not isinstance(payload, dict):
            payload = {}
        kind = event.get("event")
        if kind == "sms:received":
            # No id: the app's messageId is a hash of the text, and a repeat has an event id of its own (#288, #372).
            # Who, when and what tell a repeat, and those the store compares when there is no id.
            return Inbound(
                None,
                _required(payload, "sender", "phoneNumber"),
                _word(payload, "recipient") or self._sender,
                payload["message"] if isinstance(payload.get("message"), str) else "",
                _moment(payload.get("receivedAt")),
            )
        if isinstance(kind, str) and kind in _STATUSES:
            message_id = _required(payload, "messageId")
            if len(message_id) > LONGEST_ID:
                raise MalformedError("messageId is missing: what is there is too long")
            return Receipt(message_id, _STATUSES[kind], kind, _word(payload, "reason"))
        return None

    def parse_receipt(self, knock: Knock) -> News:
        """The same as `parse_inbound`."""
        return self.parse_inbound(knock)

    def _signed(self, knock: Knock) -> dict[str, Any]:
        """The event in a request that the phone signed: hex HMAC-SHA256 of the body's bytes and the time's digits."""
        stamp = knock.headers.get("x-timestamp", "")
        right = hmac.new(self._signing_key, knock.body + stamp.encode("utf-8", "replace"), hashlib.sha256).hexdigest()
        said = knock.headers.get("x-signature", "").encode("utf-8", "replace")
        if not self._signing_key or not hmac.compare_digest(right.encode(), said):
            raise NotTheProviderError("signature is missing or wrong: see ANDROID_SIGNING_KEY")
        away = abs(clock.now().timestamp() - int(stamp)) if re.fullmatch(r"[0-9]{1,12}", stamp) else float("inf")
        if away > SKEW:
            raise NotTheProviderError(f"signed {away:.0f} seconds from our time: an old request, or a clock is wrong")
        return _object(knock.body)


def _read(answer: requests.Response, message: Outgoing) -> Outcome:
    """The outcome in an answer. Whatever was taken in spite of it, a repeat is told by its id."""
    status = answer.status_code
    if status == 409:
        return Accepted(message.key, None)
    if 200 <= status < 300:
        try:
            taken = _object(answer.content).get("id") == message.key
        except MalformedError:
            taken = False
        return Accepted(message.key, None) if taken else Retry("the answer is not the phone's")
    if status == 400:
        return Failed("400 the phone refuses the text")
    if status in (401, 403, 404):
        return Retry(f"{status} the phone refuses the user name, the password or the address", after=ASK_A_PERSON)
    return Retry(f"the phone answered with an error: {status}")


def _object(body: bytes) -> dict[str, Any]:
    """The object in a JSON body. Raises: MalformedError."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise MalformedError("event is missing: this is no JSON object")
    return found


def _required(payload: dict[str, Any], *fields: str) -> str:
    """The first of `fields` that holds something. Raises: MalformedError, which names the first."""
    for field in fields:
        value = _word(payload, field)
        if value:
            return value
    raise MalformedError(f"{fields[0]} is missing")


def _word(payload: dict[str, Any], field: str) -> str:
    """A word of the event without what no key of a database holds; "" when it has none."""
    value = payload.get(field)
    return "".join(c for c in value if c.isprintable()).strip() if isinstance(value, str) else ""


def _moment(value: object) -> datetime | None:
    """An ISO 8601 time of the phone's, in UTC; None when it has no offset or is no time."""
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    try:
        return moment.astimezone(UTC) if moment and moment.tzinfo else None
    except OverflowError:
        return None

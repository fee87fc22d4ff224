"""Africa's Talking, by its own SDK (africastalking 2.0.3, which has no option for the host and none for retries).

The SDK is imported by the first `send`: it costs 100 ms and 28 MB, which a process that only receives never pays.
"""

from __future__ import annotations

import json
from typing import Any, Self

from circular.settings import Settings
from sms.gateways import http
from sms.gateways.base import (
    ASK_A_PERSON,
    E164,
    Accepted,
    Capabilities,
    Failed,
    FormGateway,
    Outcome,
    Outgoing,
    Retry,
    Unknown,
)

# Recipients[].statusCode, as third parties read the provider's documentation; the words name outcomes in reasons.
_ACCEPTED = frozenset({100, 101, 102})
_REFUSED = {
    401: "RiskHold",
    402: "InvalidSenderId",
    403: "InvalidPhoneNumber",
    404: "UnsupportedNumberType",
    405: "InsufficientBalance",
    406: "UserInBlacklist",
    407: "CouldNotRoute",
    409: "DoNotDisturbRejection",
    500: "InternalServerError",
    501: "GatewayError",
    502: "RejectedByGateway",
}
_CODES = {word: code for code, word in _REFUSED.items()}


class AfricasTalking(FormGateway):
    """One account. `api_url` replaces the SDK's host (scheme, host and port; "" keeps it), `sender` "" is none.

    `timeout` is (to connect, to read) in seconds. Forms: docs.africastalking.com/sms/notifications, /deliveryreports.
    """

    name = "africastalking"
    # The provider documents no rate: 100 is a courtesy.
    capabilities = Capabilities(
        needs_internet=True, receipts=True, idempotent_id=False, messages_per_second=100.0, ussd=True
    )

    def __init__(
        self,
        *,
        username: str,
        api_key: str,
        api_url: str = "",
        sender: str = "",
        timeout: tuple[float, float] = (3.05, 9.05),
    ) -> None:
        self._username = username
        self._api_key = api_key
        self._api_url = api_url.rstrip("/")
        self._sender = sender or None
        self._timeout = timeout

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """The account that `AFRICASTALKING_*` and `SMS_SENDER` describe."""
        return cls(
            username=settings.africastalking_username,
            api_key=settings.africastalking_api_key,
            api_url=settings.africastalking_api_url,
            sender=settings.sms_sender,
        )

    def send(self, message: Outgoing) -> Outcome:
        """One text, one request, no retry; blocks as long as `timeout` allows. Never raises."""
        if not E164.fullmatch(message.to):
            return Failed("the recipient is no international number")
        import requests
        from africastalking.Service import AfricasTalkingException

        try:
            answer = self._service().send(message.text, [message.to], self._sender, timeout=self._timeout)
        except AfricasTalkingException as error:
            return _error_answer(str(error))
        except requests.RequestException as error:
            return http.broken(error)
        except Exception as error:  # the SDK's own faults: it is not known whether the request left
            return Unknown(f"the SDK broke off: {type(error).__name__}")
        return _read(answer)

    def _service(self) -> Any:
        """The SDK's service for one request: a handful of strings, and nothing for threads to share."""
        from africastalking.SMS import SMSService

        # Not africastalking.initialize(): that writes module globals, so that a process has one account.
        service = SMSService(self._username, self._api_key)
        if self._api_url:
            service._baseUrl = service._contentUrl = f"{self._api_url}/version1"
        return service


# Reasons are made of our own words and class names: an exception's text holds the number, the text or the key.
def _error_answer(body: str) -> Outcome:
    """An answer outside 2xx. The SDK drops the status: 401, 429 and 500 differ by their body alone."""
    if "authentication is invalid" in body.lower():
        return Retry("the provider refuses the user name or the key", after=ASK_A_PERSON)
    return Retry("the provider answered with an error")


def _read(answer: object) -> Outcome:
    """The outcome in a 2xx answer, which may well hold a refusal."""
    if isinstance(answer, str):  # the SDK parses only what is exactly `application/json`, without a charset
        try:
            answer = json.loads(answer)
        except (ValueError, RecursionError):
            return Retry("the answer is not JSON")
    data = answer.get("SMSMessageData") if isinstance(answer, dict) else None
    if not isinstance(data, dict):
        return Retry("the answer has no SMSMessageData")
    recipients = data.get("Recipients")
    if isinstance(recipients, list) and recipients and isinstance(recipients[0], dict):
        return _recipient(recipients[0])
    code = _CODES.get(str(data.get("Message")))
    return _refused(code) if code else Retry("the answer names no recipient")


def _recipient(recipient: dict[str, object]) -> Outcome:
    try:
        code = int(str(recipient.get("statusCode")))
    except ValueError:
        code = 0
    if code in _REFUSED:
        return _refused(code)
    if code in _ACCEPTED or recipient.get("status") in ("Success", "Sent"):
        return Accepted(_word(recipient.get("messageId")), _word(recipient.get("cost")))
    return Retry("the answer has a status that we do not know", everybody=False)


def _refused(code: int) -> Outcome:
    reason = f"{code} {_REFUSED[code]}"
    if code in (402, 405):  # a wrong SMS_SENDER, an empty account: nobody's text passes until a person mends it
        return Retry(reason, after=ASK_A_PERSON)
    return Retry(reason, everybody=False) if code >= 500 else Failed(reason, opt_out=code == 406)


def _word(value: object) -> str | None:
    """A word of the answer, or None for what the provider writes when it has none."""
    return value if isinstance(value, str) and value not in ("", "None") else None

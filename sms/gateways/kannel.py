"""Kannel's smsbox, in front of an operator's account: texts go out by its `/cgi-bin/sendsms`, it knocks with GET.

What it answers and forgets was seen with 1.4.5 (Debian); docs/gateways.md has the configuration that this expects.
"""

from __future__ import annotations

import http.client
import re
import urllib.parse
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Self

from circular.settings import Settings
from sms import segments
from sms.gateways.base import (
    ASK_A_PERSON,
    E164,
    Accepted,
    Capabilities,
    Failed,
    Gateway,
    Inbound,
    Knock,
    MalformedError,
    Outcome,
    Outgoing,
    Receipt,
    ReceiptStatus,
    Retry,
    Unknown,
    identifier,
    required,
)

SENDSMS = "/cgi-bin/sendsms"
MOST_SEGMENTS = 10  # `max-messages` of our configuration: Kannel cuts off what is longer and still says "Accepted"
LONGEST_ANSWER = 400  # bytes; Kannel's longest is 66
# Delivered, failed, rejected by the operator. Not 4 and 8 (waits, taken): each would be one more durable write for a
# status that changes nothing.
RECEIPTS_WANTED = 1 + 2 + 16
_UNUSABLE = Retry("KANNEL_URL, KANNEL_USERNAME, KANNEL_PASSWORD or SMS_SENDER cannot be used", after=ASK_A_PERSON)
_STATUSES: dict[str, ReceiptStatus] = {"1": "delivered", "2": "failed", "4": "sent", "8": "sent", "16": "failed"}
_CHARSETS = frozenset({"utf-8", "utf-16be", "iso-8859-1", "windows-1252"})


class Kannel(Gateway):
    """One `sendsms-user`. `receipts` is our own address for delivery receipts, as Kannel reaches it.

    `timeout` is (to connect, to read) in seconds. `url` has scheme, host and port.
    """

    name = "kannel"
    # Kannel keeps to the operator's pace by itself (`throughput`, 20 in our configuration) and stores what waits.
    capabilities = Capabilities(
        needs_internet=False, receipts=True, idempotent_id=False, messages_per_second=20.0, ussd=False
    )

    def __init__(
        self,
        *,
        url: str,
        username: str,
        password: str,
        receipts: str,
        sender: str = "",
        timeout: tuple[float, float] = (3.05, 9.05),
    ) -> None:
        self._url = url
        self._username = username
        self._password = password
        self._receipts = receipts
        self._sender = sender
        self._timeout = timeout

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """The account of `KANNEL_*` and `SMS_SENDER`. Without a `PUBLIC_URL` Kannel is on this machine, as it should be."""
        ours = settings.public_url.rstrip("/") or f"http://{settings.host}:{settings.port}"
        return cls(
            url=settings.kannel_url,
            username=settings.kannel_username,
            password=settings.kannel_password,
            receipts=f"{ours}/sms/{cls.name}/{settings.sms_webhook_secret}/receipt",
            sender=settings.sms_sender,
        )

    # --- out ----------------------------------------------------------------------------------------------------------
    def send(self, message: Outgoing) -> Outcome:
        """One text, one request, no retry; blocks as long as `timeout` allows. Never raises.

        The provider's id is our own key: the receipt's address carries it, Kannel's answer has none.
        """
        if not E164.fullmatch(message.to):
            return Failed("the recipient is no international number")
        size = segments.measure(message.text)
        if size.segments > MOST_SEGMENTS:
            return Failed(f"the text is longer than {MOST_SEGMENTS} segments")
        answer = self._ask(
            message.text,
            {
                "to": message.to,
                "from": self._sender,
                # Kannel does not choose: what is not in GSM 03.38 would reach the phone as `?`.
                "coding": "0" if size.encoding == "GSM-7" else "2",
                "dlr-mask": str(RECEIPTS_WANTED),
                # Kannel fills in what begins with `%`, a percent-encoded letter too: nothing in a key is encoded.
                "dlr-url": f"{self._receipts}?id={message.key}&status=%d&answer=%A",
            },
        )
        return answer if isinstance(answer, Retry | Unknown) else _outcome(*answer, message.key)

    def health(self) -> str:
        """Asks smsbox for a text to nobody: it checks the account first, then misses the number, and sends nothing."""
        answer = self._ask("", {})
        if isinstance(answer, Retry | Unknown):
            return answer.reason
        status, words = answer
        if status == 400 and "receiver" in words:
            return ""
        outcome = _outcome(status, words, "")
        return "Kannel's answer is not what it used to be" if isinstance(outcome, Accepted) else outcome.reason

    def _ask(self, text: str, fields: Mapping[str, str]) -> tuple[int, str] | Retry | Unknown:
        """Status and words of smsbox's answer. Retry only where it is certain that nobody took anything.

        POST, so that neither number nor password is part of an address; smsbox reads no forms, but these headers.
        """
        headers = {f"X-Kannel-{name}": value for name, value in fields.items() if value}
        headers |= {"X-Kannel-Username": self._username, "X-Kannel-Password": self._password}
        to_connect, to_read = self._timeout
        try:
            # Headers are bytes to Kannel, which compares a password with those of its configuration.
            sent = {name: value.encode("utf-8", "surrogateescape").decode("latin-1") for name, value in headers.items()}
            connection = _connection(self._url, to_connect)
            connection.connect()
        except OSError as error:  # refused, no such host, no TLS there
            return Retry(f"no connection to Kannel: {type(error).__name__}")
        except ValueError:  # an address that is none
            return _UNUSABLE
        try:
            connection.sock.settimeout(to_read)
            connection.request(
                "POST",
                SENDSMS,
                text.encode("utf-8", "replace"),
                {"Content-Type": "text/plain; charset=UTF-8", **sent, "Connection": "close"},
            )
            answer = connection.getresponse()
            return answer.status, answer.read(LONGEST_ANSWER).decode("latin-1")
        except ValueError:  # a line break in a header: the request was not even made
            return _UNUSABLE
        except TimeoutError:
            return Unknown("no answer of Kannel's in time")
        except http.client.HTTPException as error:
            if isinstance(error, OSError):  # RemoteDisconnected is both
                return Unknown("connection cut")
            return Retry("what answers is not Kannel", after=ASK_A_PERSON)
        except OSError:
            return Unknown("connection cut")
        finally:
            connection.close()

    # --- in -----------------------------------------------------------------------------------------------------------
    def parse_inbound(self, knock: Knock) -> Inbound | None:
        """From `id ts from to text charset`, of the query's bytes; only `from` must be there. Raises: MalformedError."""
        raw = _fields(knock.query)
        form = _words(raw)
        return Inbound(
            external_id=identifier(form),
            sender=required(form, "from"),
            recipient=form.get("to", "").strip(),
            text=_text(raw.get("text", b""), form.get("charset", "")),
            sent_at=_moment(form.get("ts", "")),
        )

    def parse_receipt(self, knock: Knock) -> Receipt:
        """From `id status answer` of the address that `send` gave. Raises: MalformedError without our key."""
        form = _words(_fields(knock.query))
        key = identifier(form)
        if key is None:
            raise MalformedError("id is missing")
        said = form.get("status", "").strip()
        status = _STATUSES.get(said, "unknown")
        return Receipt(key, status, said, _reason(form.get("answer", "")) if status == "failed" else "")


def _connection(url: str, timeout: float) -> http.client.HTTPConnection:
    """Not yet connected. Raises: ValueError for a port that is none."""
    parts = urllib.parse.urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    return kind(parts.hostname or "", parts.port, timeout=timeout)


def _outcome(status: int, words: str, key: str) -> Outcome:
    """What an answer means. Reasons are our own words: Kannel's may name the number."""
    if status in (200, 202) and words.startswith(
        ("0:", "3:", "Sent.")
    ):  # 3: the link to the operator is down, it waits
        return Accepted(key, None)
    if status == 202:
        return Unknown("taken, in words that are not Kannel's")
    if status == 400 and ("receiver" in words or words.startswith(("Number(s)", "Charset"))):
        return Failed("400 Kannel refuses the number or the text")
    if status == 400:
        return Retry("400 Kannel wants other settings: a sender, an address for receipts", after=ASK_A_PERSON)
    if status == 403 and words.startswith("Not routable"):
        return Retry("403 Kannel has no route to this number", after=ASK_A_PERSON, everybody=False)
    if status in (401, 403):
        return Retry(f"{status} Kannel refuses the user name, the password or our address", after=ASK_A_PERSON)
    if 400 <= status < 500:
        return Retry(f"{status} what answers is not Kannel's sendsms", after=ASK_A_PERSON)
    return Retry(f"{status} no answer of Kannel's")


def _fields(query: bytes) -> dict[str, bytes]:
    """The first value of each field, undone of its percent signs and nothing else."""
    fields: dict[str, bytes] = {}
    for pair in query.split(b"&"):
        name, _, value = pair.partition(b"=")
        fields.setdefault(name.decode("latin-1"), urllib.parse.unquote_to_bytes(value.replace(b"+", b" ")))
    return fields


def _words(fields: Mapping[str, bytes]) -> dict[str, str]:
    return {name: value.decode("utf-8", "replace") for name, value in fields.items()}


def _text(raw: bytes, charset: str) -> str:
    """A message in the charset that Kannel names: UTF-8, or UTF-16BE for what was sent as UCS-2."""
    if charset.lower() in _CHARSETS:
        return raw.decode(charset, "replace")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def _moment(seconds: str) -> datetime | None:
    """From seconds since 1970."""
    if not (seconds.isascii() and seconds.isdigit() and len(seconds) <= 11):
        return None
    return datetime.fromtimestamp(int(seconds), UTC)


def _reason(answer: str) -> str:
    """`UNDELIV 001` of an operator's receipt, `Submit failed` of `NACK/0x00000045/Submit failed`: never the text in it."""
    found = re.search(r"\bstat:(\w{1,15})(?: err:(\w{1,9}))?", answer)
    if found:
        return " ".join(word for word in found.groups() if word)
    found = re.match(r"NACK/(?:0x[0-9a-fA-F]+/)?([A-Za-z ]{1,80})", answer)
    return found[1].strip() if found else ""

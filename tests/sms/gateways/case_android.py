"""The phone app beside a stand-in; its events, signed as they are posted."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from hypothesis import strategies as st

from sms.gateways.android import Android
from sms.gateways.base import Inbound, Knock, Receipt
from tests.fake_android import USERNAME, FakeAndroid, signed
from tests.sms.gateways.case import FIXTURES, PHONE, SECRET, Case, Running


class Signed(Mapping[str, str]):
    """Headers that are signed when they are read: a signature is worth five minutes, a run of tests may take longer."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def __getitem__(self, name: str) -> str:
        return signed(SECRET, self._body)[name]

    def __iter__(self) -> Iterator[str]:
        return iter(("x-timestamp", "x-signature"))

    def __len__(self) -> int:
        return 2


def event(kind: str, **payload: Any) -> Knock:
    """An event with this payload."""
    return posted(json.dumps({"event": kind, "payload": payload}).encode())


def posted(body: bytes) -> Knock:
    """A body that the phone signed."""
    return Knock(form={}, body=body, headers=Signed(body))


def recorded(name: str) -> Knock:
    """A recorded event."""
    return posted((FIXTURES / "android" / name).read_bytes().strip())


@contextmanager
def _android() -> Iterator[Running]:
    with FakeAndroid(SECRET, SECRET) as phone:
        gateway = Android(url=phone.url, username=USERNAME, password=SECRET, signing_key=SECRET, timeout=(5.0, 5.0))
        yield Running(gateway, lambda: str([message["text"] for message in phone.messages]), phone.stop)


_AT = datetime(2026, 11, 27, 21, 4, 45, tzinfo=UTC)
_KEY = "12-8a6738e89d5c"
_RECEIPTS = [
    (recorded("sent.json"), Receipt(_KEY, "sent", "sms:sent", "")),
    (recorded("delivered.json"), Receipt(_KEY, "delivered", "sms:delivered", "")),
    (recorded("failed.json"), Receipt(_KEY, "failed", "sms:failed", "RESULT_ERROR_NO_SERVICE")),
    (event("sms:failed", messageId="a", reason=["?"]), Receipt("a", "failed", "sms:failed", "")),
]
_MESSAGES = [
    (
        recorded("received.json"),
        Inbound(None, PHONE, "+596696000000", "Chèche tòl épi bwa, ça fini ? 🌴", _AT),
    ),
    (recorded("received-old.json"), Inbound(None, PHONE, "", "R 41271 3", _AT)),
    # a sender is enough
    *[
        (event("sms:received", sender=PHONE, **more), Inbound(None, PHONE, "", "", None))
        for more in (
            {},
            {"message": None, "recipient": None},
            {"message": ["BOIS"], "recipient": 7},
            *[
                {"receivedAt": odd}
                for odd in ("", "yesterday", 1764277485, "2026-11-27T17:04:45", "0001-01-01T00:00:00+23:59")
            ],
        )
    ],
]
_OTHERS = [
    (knock, None)
    for knock in (
        recorded("ping.json"),
        *[event(kind) for kind in ("mms:received", "app:started", "sms:cancelled", "sms:data-received", "new:event")],
        posted(b"{}"),
        posted(b'{"event": ["sms:received"], "payload": []}'),
    )
]
_NOT_JSON = (b"", b"null", b"[]", b"{", b"\xff", b"[" * 100_000, b"from=%2B596696123456")
_BODY = (FIXTURES / "android" / "received.json").read_bytes().strip()
_LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)
_NOT_SIGNED: list[tuple[Mapping[str, str], str]] = [
    ({}, "signature"),
    ({"x-timestamp": "1", "x-signature": ""}, "signature"),
    (signed("another key", _BODY), "signature"),
    (signed("", _BODY), "signature"),
    (signed(SECRET, _BODY + b" "), "signature"),
    ({**signed(SECRET, _BODY), "x-timestamp": "1764277485"}, "signature"),
    ({**signed(SECRET, _BODY), "x-signature": "é\ud800"}, "signature"),
    (signed(SECRET, _BODY, _LONG_AGO), "seconds from our time"),
]
_PARSERS = ("parse_inbound", "parse_receipt")

ANDROID = Case(
    settings={"android_username": USERNAME, "android_password": SECRET, "android_signing_key": SECRET},
    running=_android,
    # The phone has one address for each event, and a person may give it the same for all.
    inbound=[*_MESSAGES, *_OTHERS, *_RECEIPTS],
    receipts=[*_RECEIPTS, *_OTHERS, *_MESSAGES],
    malformed=[
        *[
            (parser, Knock(form={}, body=_BODY, headers=headers), word)
            for headers, word in _NOT_SIGNED
            for parser in _PARSERS
        ],
        *[(parser, posted(body), "event") for body in _NOT_JSON for parser in _PARSERS],
        *[
            (parser, event("sms:received", message=SECRET, **more), "sender")
            for more in ({}, {"sender": " ", "phoneNumber": 1})
            for parser in _PARSERS
        ],
        *[
            (parser, event("sms:sent", recipient=PHONE, **more), "messageId")
            for more in ({}, {"messageId": "\0"}, {"messageId": "x" * 201})
            for parser in _PARSERS
        ],
        ("parse_opt_out", recorded("received.json"), "no opt-outs"),
    ],
    anything=st.one_of(
        st.builds(
            Knock,
            form=st.just({}),
            body=st.binary(),
            headers=st.dictionaries(st.sampled_from(["x-timestamp", "x-signature"]), st.text()),
        ),
        st.binary().map(posted),
        st.recursive(
            st.none() | st.text() | st.floats() | st.sampled_from(["sms:received", "sms:sent", PHONE]),
            lambda inner: (
                st.lists(inner)
                | st.dictionaries(st.sampled_from(["event", "payload", "sender", "messageId", "receivedAt"]), inner)
            ),
        ).map(lambda value: posted(json.dumps(value).encode())),
    ),
)

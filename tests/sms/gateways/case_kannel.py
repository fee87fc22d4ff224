"""Kannel beside a stand-in for its smsbox; what it writes was recorded from 1.4.5."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from hypothesis import strategies as st

from sms.gateways.base import Inbound, Knock, Receipt
from sms.gateways.kannel import Kannel
from tests.fake_kannel import USERNAME, FakeKannel
from tests.sms.gateways.case import PHONE, SECRET, Case, Running, asked

RECEIPTS = "http://127.0.0.1:8000/sms/kannel/demo/receipt"


@contextmanager
def _kannel() -> Iterator[Running]:
    with FakeKannel(SECRET) as provider:
        gateway = Kannel(
            url=provider.url, username=USERNAME, password=SECRET, receipts=RECEIPTS, sender="40404", timeout=(5.0, 5.0)
        )
        yield Running(gateway, lambda: str([message["text"] for message in provider.messages]), provider.stop)


def _moment(second: int) -> datetime:
    return datetime(2026, 11, 25, 19, 52, second, tzinfo=UTC)


def _inbound(query: bytes, text: str = "") -> tuple[Knock, Inbound]:
    return Knock(form={}, query=b"from=%2B596696123456&" + query), Inbound(None, PHONE, "", text, None)


KANNEL = Case(
    running=_kannel,
    settings={"kannel_username": USERNAME, "kannel_password": SECRET},
    inbound=[
        (
            asked("kannel/inbound.query"),
            Inbound("a1fe7fd3-d91e-412e-aeab-5a32e251cc21", PHONE, "40404", "R 41271 3", _moment(15)),
        ),
        (
            asked("kannel/inbound-accents.query"),
            Inbound("6d6643db-31fb-438b-8841-6309df26a3ec", PHONE, "40404", "Chèche tòl épi bwa à 10 € ?", _moment(9)),
        ),
        (
            asked("kannel/inbound-ucs2.query"),
            Inbound("ff1d1b44-3847-4896-9e14-7c5e1455a73b", PHONE, "40404", "ça alors, tôle ? 🙂", _moment(9)),
        ),
        # a sender is enough; what a database's key cannot hold is no id
        *[
            _inbound(more)
            for more in (
                b"",
                b"id=",
                b"id=+",
                b"id=a%00b",
                b"id=" + b"x" * 201,
                b"ts=",
                b"ts=now",
                b"ts=%D9%A1",
                b"ts=999999999999",
                b"ts=-1",
                b"text",
            )
        ],
        # the charset is believed when it may be; else the bytes decide
        _inbound(b"text=%C3%A9+%2B", "é +"),
        _inbound(b"text=%E9", "é"),
        _inbound(b"text=%E9&charset=UTF-8", "\ufffd"),
        _inbound(b"text=%E9&charset=ISO-8859-1", "é"),
        _inbound(b"text=%80&charset=windows-1252", "€"),
        _inbound(b"text=%D8%3D%DE%42&charset=UTF-16BE", "🙂"),
        _inbound(b"text=%D8%3D%00a&charset=utf-16be", "\ufffda"),
        _inbound(b"text=ab&charset=punycode", "ab"),
        _inbound(b"text=ab&text=cd", "ab"),
    ],
    receipts=[
        (asked("kannel/receipt-delivered.query"), Receipt("12", "delivered", "1", "")),
        (asked("kannel/receipt-undelivered.query"), Receipt("13", "failed", "2", "UNDELIV 001")),
        (asked("kannel/receipt-taken.query"), Receipt("13", "sent", "8", "")),
        (asked("kannel/receipt-rejected.query"), Receipt("14", "failed", "16", "Submit failed")),
        *[
            (Knock(form={}, query=f"id=12&status={said}&answer=ACK%2F".encode()), Receipt("12", status, said, ""))
            for said, status in {
                "1": "delivered",
                "2": "failed",
                "4": "sent",
                "8": "sent",
                "16": "failed",
                "3": "unknown",
                "": "unknown",
                "33": "unknown",
                "one": "unknown",
            }.items()
        ],
        (Knock(form={}, query=b"id=a%2Bb%20%C3%A9%25d&status=1"), Receipt("a+b é%d", "delivered", "1", "")),
        # a number or a text that an operator puts into an answer is not kept
        (
            Knock(form={}, query=b"id=12&status=16&answer=NACK%2F0x0000000b%2F%2B596696123456"),
            Receipt("12", "failed", "16", ""),
        ),
    ],
    malformed=[
        ("parse_inbound", Knock(form={}), "from"),
        ("parse_inbound", Knock(form={"from": PHONE}), "from"),  # a body is nobody's
        ("parse_inbound", Knock(form={}, query=f"from=+&text={SECRET}".encode()), "from"),
        ("parse_receipt", Knock(form={}), "id"),
        ("parse_receipt", Knock(form={}, query=f"status=1&answer={SECRET}".encode()), "id"),
        ("parse_opt_out", Knock(form={"phoneNumber": PHONE}), "kannel"),
        ("parse_ussd", Knock(form={"phoneNumber": PHONE}), "kannel"),
    ],
    anything=st.one_of(
        st.binary(),
        st.lists(
            st.tuples(
                st.sampled_from([b"id", b"ts", b"from", b"to", b"text", b"coding", b"charset", b"status", b"answer"]),
                st.one_of(st.binary(), st.sampled_from([b"UTF-16BE", b"UTF-8", b"2", b"%D8%3D"])),
            )
        ).map(lambda pairs: b"&".join(b"=".join(pair) for pair in pairs)),
    ).map(lambda query: Knock(form={}, query=query)),
)

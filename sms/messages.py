"""The SMS door's noun: messages in and out, receipts, and what each person was last shown.

A message in is stored before anything else, once whatever the number of deliveries. A reply is a row before it is a
request. The rows are the truth; queues in memory only wake somebody up.

    in:  received -> handled | ignored | failed
    out: queued -> sending -> sent -> delivered
                     |  |        `-> failed
                     |  `-> unknown (the provider may have taken it) -> sending once more, if somebody asked for it
                     `----> queued again, later | failed | cancelled
"""

from __future__ import annotations

import hashlib
import json
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from peewee import BigAutoField, BigIntegerField, IntegerField, TextField

from circular import clock, db, people
from circular.text import clean
from sms.gateways.base import Inbound, Receipt

KEPT_CHARACTERS = 480  # three segments' worth; a longer message is cut and flagged
RESEND_UNKNOWN_AFTER = timedelta(minutes=2)
GIVE_UP_AFTER = timedelta(hours=48)
ANSWER, NOTICE = "answer", "notice"  # what somebody asked for, and what nobody asked for
LAST = "last"  # the answer to STOP: the one text that goes to somebody who opted out
UNWANTED = (
    "kind <> 'last' AND EXISTS (SELECT 1 FROM person p WHERE p.id = outbound_message.person_id "
    "AND p.opted_out_at IS NOT NULL)"
)


class InboundMessage(db.Table):
    """A message as it came, characters that no phone shows taken out."""

    id = BigAutoField()
    gateway = TextField()
    external_id = TextField()
    sender = TextField()
    recipient = TextField()
    text = TextField()
    truncated = IntegerField(default=0)
    sent_at = db.UtcDateTimeField(null=True)
    received_at = db.UtcDateTimeField()
    state = TextField(default="received")
    reason = TextField(default="")
    person_id = BigIntegerField(null=True)
    intent = TextField(default="")
    language = TextField(default="")
    attempts = IntegerField(default=0)
    next_attempt_at = BigIntegerField(default=0)
    handled_at = BigIntegerField(null=True)


class OutboundMessage(db.Table):
    """A text for somebody. `in_reply_to` and `notice_id` are unique: one answer a message, one text a notice."""

    id = BigAutoField()
    person_id = BigIntegerField()
    recipient = TextField()
    text = TextField()
    kind = TextField()
    language = TextField()
    gateway = TextField(null=True)
    in_reply_to = BigIntegerField(null=True, unique=True)
    notice_id = BigIntegerField(null=True, unique=True)
    state = TextField(default="queued")
    attempts = IntegerField(default=0)
    next_attempt_at = BigIntegerField(default=0)
    claimed_by = TextField(null=True)
    provider_id = TextField(null=True)
    cost = TextField(null=True)
    reason = TextField(default="")
    created_at = db.UtcDateTimeField()
    sent_at = BigIntegerField(null=True)


class DeliveryReceipt(db.Table):
    """What a provider said of a message; it may come before our own note that the message was sent."""

    id = BigAutoField()
    gateway = TextField()
    provider_id = TextField()
    status = TextField()
    provider_status = TextField()
    reason = TextField(default="")
    received_at = db.UtcDateTimeField()


class Conversation(db.Table):
    """What a person was last shown: a number means that line, whatever has changed since."""

    person_id = BigIntegerField(primary_key=True)
    shown = TextField()
    updated_at = db.UtcDateTimeField()


# --- in ---------------------------------------------------------------------------------------------------------------
class Pending(NamedTuple):
    id: int
    gateway: str
    external_id: str
    sender: str
    text: str
    attempts: int


def store_inbound(gateway: str, message: Inbound) -> bool:
    """Keep a message before anything else; False when it was delivered before."""
    now = clock.now()
    text = clean(message.text, KEPT_CHARACTERS)
    with db.transaction():
        return db.insert_once(
            InboundMessage,
            gateway=gateway,
            external_id=message.external_id or _fingerprint(message, now),
            sender=clean(message.sender, 40),
            recipient=clean(message.recipient, 40),
            text=text,
            truncated=int(len(message.text) > KEPT_CHARACTERS),
            sent_at=message.sent_at,
            received_at=now,
        )


def _fingerprint(message: Inbound, now: datetime) -> str:
    """An id for a message that came without one: who, what, and when (its own time, else the minute it came)."""
    when = message.sent_at or now.replace(second=0, microsecond=0)
    seed = f"{message.sender}\0{message.text}\0{when.isoformat()}"
    return "h:" + hashlib.sha256(seed.encode("utf-8", "replace")).hexdigest()[:32]


def pending(limit: int) -> list[Pending]:
    """The oldest message of each sender that waits to be handled, locked where rows are shared. Inside a transaction."""
    found = db.rows(
        "SELECT id, gateway, external_id, sender, text, attempts FROM inbound_message m "
        "WHERE state = 'received' AND next_attempt_at <= ? AND NOT EXISTS (SELECT 1 FROM inbound_message e "
        "WHERE e.sender = m.sender AND e.id < m.id AND e.state = 'received') ORDER BY id LIMIT ?" + db.skip_locked(),
        _now(),
        limit,
    )
    return [Pending(*row) for row in found]


def inbound_id(gateway: str, external_id: str) -> int:
    """Our number of a message that a gateway delivered."""
    return int(db.value("SELECT id FROM inbound_message WHERE gateway = ? AND external_id = ?", gateway, external_id))


def inbound_state(message_id: int) -> str:
    """`received`, `handled`, `ignored` or `failed`."""
    return str(db.value("SELECT state FROM inbound_message WHERE id = ?", message_id))


def mark_inbound(
    message_id: int, state: str, *, reason: str = "", person_id: int | None = None, intent: str = "", language: str = ""
) -> None:
    """A message is dealt with: `handled`, `ignored` (with the rule that says so) or `failed`."""
    db.run(
        "UPDATE inbound_message SET state = ?, reason = ?, person_id = ?, intent = ?, language = ?, handled_at = ? "
        "WHERE id = ?",
        state,
        reason,
        person_id,
        intent,
        language,
        _now(),
        message_id,
    )


def postpone_inbound(message_id: int, attempts: int) -> None:
    """Handling failed: try again in 2, 4, 8… seconds."""
    again = _now() + 1000 * 2**attempts
    db.run("UPDATE inbound_message SET attempts = ?, next_attempt_at = ? WHERE id = ?", attempts, again, message_id)


# --- what a person was shown ------------------------------------------------------------------------------------------
def state(person_id: int, hours: int = 24) -> dict[str, Any]:
    """The state of the conversation with a person, forgotten after `hours`."""
    found = db.row("SELECT shown, updated_at FROM conversation WHERE person_id = ?", person_id)
    if found is None or found[1] < _now() - hours * 3_600_000:
        return {}
    return dict(json.loads(found[0]))


def keep_state(person_id: int, what: dict[str, Any]) -> None:
    """Keep the state of the conversation, with what the person is about to be shown."""
    db.run(
        "INSERT INTO conversation (person_id, shown, updated_at) VALUES (?, ?, ?) ON CONFLICT (person_id) "
        "DO UPDATE SET shown = excluded.shown, updated_at = excluded.updated_at",
        person_id,
        json.dumps(what),
        _now(),
    )


def close_question(person_id: int) -> None:
    """A text that asks something itself is about to reach a person: OUI and NON no longer answer what was asked before."""
    known = state(person_id)
    if {"yes", "no"} & known.keys():
        keep_state(person_id, {name: value for name, value in known.items() if name not in ("yes", "no", "context")})


# --- out --------------------------------------------------------------------------------------------------------------
class Claimed(NamedTuple):
    id: int
    recipient: str
    text: str
    kind: str
    attempts: int
    created_at: int
    was_unknown: int


def queue(
    person_id: int,
    recipient: str,
    text: str,
    kind: str,
    language: str,
    *,
    in_reply_to: int | None = None,
    notice_id: int | None = None,
    gateway: str | None = None,
) -> bool:
    """Write a text to send; False when that message or notice was answered before. `gateway` pins it to one."""
    return db.insert_once(
        OutboundMessage,
        person_id=person_id, recipient=recipient, text=text, kind=kind, language=language,
        in_reply_to=in_reply_to, notice_id=notice_id, gateway=gateway, created_at=clock.now(),
    )  # fmt: skip


def claim(gateway: str, worker: str, limit: int) -> list[Claimed]:
    """Take texts to send: the oldest of each recipient, so that nobody reads answers out of order."""
    with db.transaction():
        found = db.rows(
            "SELECT id, recipient, text, kind, attempts, created_at, CASE WHEN state = 'unknown' THEN 1 ELSE 0 END "
            "FROM outbound_message m "
            "WHERE state IN ('queued', 'unknown') AND next_attempt_at <= ? AND (gateway IS NULL OR gateway = ?) "
            # What is pinned to another gateway (a conversation in a terminal) holds nobody up.
            "AND NOT EXISTS (SELECT 1 FROM outbound_message e WHERE e.recipient = m.recipient AND e.id < m.id "
            "AND e.state IN ('queued', 'sending') AND (e.gateway IS NULL OR e.gateway = ?)) ORDER BY id LIMIT ?"
            + db.skip_locked(),
            _now(),
            gateway,
            gateway,
            limit,
        )
        for row in found:
            db.run(
                "UPDATE outbound_message SET state = 'sending', claimed_by = ?, attempts = attempts + 1 WHERE id = ?",
                worker,
                row[0],
            )
        return [Claimed(*row) for row in found]


def mark_sent(message_id: int, gateway: str, provider_id: str | None, cost: str | None) -> None:
    """The provider took it. A receipt that came first counts now."""
    db.run(
        "UPDATE outbound_message SET state = 'sent', gateway = ?, provider_id = ?, cost = ?, sent_at = ?, "
        "claimed_by = NULL, reason = '' WHERE id = ?",
        gateway,
        provider_id,
        cost,
        _now(),
        message_id,
    )
    if provider_id is not None:
        early = db.rows(
            "SELECT status, reason FROM delivery_receipt WHERE gateway = ? AND provider_id = ? ORDER BY id",
            gateway,
            provider_id,
        )
        for status, reason in early:
            _apply_receipt(gateway, provider_id, status, reason)


def mark_for_retry(message_id: int, reason: str, seconds: float) -> None:
    """The provider did not take it: try again in `seconds`."""
    db.run(
        f"UPDATE outbound_message SET state = CASE WHEN {UNWANTED} THEN 'cancelled' ELSE 'queued' END, "
        "claimed_by = NULL, reason = ?, next_attempt_at = ? WHERE id = ?",
        reason,
        _now() + int(seconds * 1000),
        message_id,
    )


def mark_unknown(message: Claimed, reason: str) -> None:
    """The provider may have taken it. What somebody asked for is sent once more after two minutes, the rest is not."""
    once_more = message.kind != NOTICE and not message.was_unknown
    again = _now() + RESEND_UNKNOWN_AFTER // timedelta(milliseconds=1) if once_more else 2**62
    db.run(
        f"UPDATE outbound_message SET state = CASE WHEN {UNWANTED} THEN 'cancelled' ELSE 'unknown' END, "
        "claimed_by = NULL, reason = ?, next_attempt_at = ? WHERE id = ?",
        reason,
        again,
        message.id,
    )


def mark_failed(message_id: int, reason: str) -> None:
    """The provider refused it for good, or it is too old to make sense."""
    db.run(
        "UPDATE outbound_message SET state = 'failed', claimed_by = NULL, reason = ? WHERE id = ?", reason, message_id
    )


def cancel_unsent(person_id: int) -> int:
    """STOP: what waits for this person is not sent any more; how many texts."""
    return db.run(
        "UPDATE outbound_message SET state = 'cancelled', reason = 'opted_out' WHERE person_id = ? "
        "AND state IN ('queued', 'unknown')",
        person_id,
    )


def stop(phone: str) -> None:
    """Opt out the person of an E.164 number: what waits for them is not sent any more."""
    with db.transaction():
        people.opt_out_phone(phone)
        cancel_unsent(people.ensure(phone))


def claimants() -> set[str]:
    """The workers that have texts in their hands."""
    return {str(row[0]) for row in db.rows("SELECT DISTINCT claimed_by FROM outbound_message WHERE state = 'sending'")}


def give_back(worker: str) -> int:
    """Queue again what a worker that died had claimed (an answer may arrive twice, never not at all); how many."""
    with db.transaction():
        return db.run(
            f"UPDATE outbound_message SET state = CASE WHEN {UNWANTED} THEN 'cancelled' ELSE 'queued' END, "
            "claimed_by = NULL, reason = 'worker_died', next_attempt_at = 0 WHERE state = 'sending' AND claimed_by = ?",
            worker,
        )


# --- receipts ---------------------------------------------------------------------------------------------------------
def store_receipt(gateway: str, receipt: Receipt) -> None:
    """Keep a receipt and apply it. Repeats, late ones and unknown statuses change nothing that is settled."""
    with db.transaction():
        DeliveryReceipt.insert(
            gateway=gateway, provider_id=clean(receipt.provider_id, 200), status=receipt.status,
            provider_status=clean(receipt.provider_status, 60), reason=clean(receipt.reason, 200), received_at=clock.now(),
        ).execute()  # fmt: skip
        _apply_receipt(gateway, receipt.provider_id, receipt.status, clean(receipt.reason, 200))


def _apply_receipt(gateway: str, provider_id: str, status: str, reason: str) -> None:
    """Statuses only move forward: sent -> delivered or failed; nothing comes back from those two."""
    if status in ("delivered", "failed"):
        db.run(
            "UPDATE outbound_message SET state = ?, reason = ? WHERE gateway = ? AND provider_id = ? "
            "AND state IN ('sent', 'unknown')",
            status,
            reason,
            gateway,
            provider_id,
        )


def reply_to(message_id: int) -> dict[str, Any] | None:
    """The answer to a message, or None."""
    found = db.dicts("SELECT id, text, state, language FROM outbound_message WHERE in_reply_to = ?", message_id)
    return found[0] if found else None


class Bubble(NamedTuple):
    """A message of a conversation, as a phone would show it: `ours` or the person's."""

    ours: bool
    at: int
    text: str
    language: str
    intent: str
    state: str


def thread(person_id: int, limit: int = 20) -> list[Bubble]:
    """The last messages from and to somebody, oldest first."""
    found = db.rows(
        "SELECT ours, at, text, language, intent, state FROM ("
        "SELECT 0 AS ours, received_at AS at, text, language, intent, state, id AS n FROM inbound_message "
        "WHERE person_id = ? UNION ALL "
        "SELECT 1, created_at, text, language, kind, state, COALESCE(in_reply_to, 0) FROM outbound_message "
        "WHERE person_id = ?) AS both_ways ORDER BY at DESC, ours DESC, n DESC LIMIT ?",
        person_id,
        person_id,
        limit,
    )
    return [Bubble(bool(ours), *rest) for ours, *rest in reversed(found)]


def _now() -> int:
    return db.to_ms(clock.now())

"""The SMS door's noun: messages in and out, receipts, and what each person was last shown.

A message in is stored before anything else, once whatever the number of deliveries. A reply is a row before it is a
request. The rows are the truth; queues in memory only wake somebody up.

    in:  received -> handled | ignored | failed
    out: queued -> sending -> sent -> delivered
                     |  |        `-> failed
                     |  `-> unknown (the provider may have taken it) -> sending once more, if somebody asked for it
                     `----> queued again, later | failed | cancelled

A provider that sends a reference once is handed what it may have taken until it says so: an answer is then `queued` again.

Who is sent to first: STOP's confirmation and answers, then offers, then the rest. One recipient reads them in that order,
one text at a time; what waits for the morning holds up nothing that came later.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import orjson
from peewee import BigAutoField, BigIntegerField, IntegerField, TextField

from circular import catalog, clock, db, limits, notices, people, personal, reservations, settings, sign_in, waitlist
from circular.checks import Fields
from circular.errors import Refusal
from circular.logs import mask
from circular.people import Actor
from circular.text import clean
from sms import segments, ways
from sms.gateways.base import Inbound, Receipt

KEPT_CHARACTERS = 480  # three segments' worth; a longer message is cut and flagged
RESEND_UNKNOWN_AFTER = timedelta(minutes=2)
GIVE_UP_AFTER = timedelta(hours=48)  # on a number that the provider does not reach
OUTAGE_GIVE_UP_AFTER = timedelta(days=7)  # on a provider that is down: an answer is worth as much as a hold lasts
PLAYED = re.compile(r"\+59669600[1-9][0-9]{3}")  # nobody's: of a block of 0696 that was never opened to the public
MOST_HELD = 100  # reservations of one person that are looked at
TEXTS_A_DAY = 100  # to one recipient: whoever makes us send more than that is no reader
LAST = "last"  # goes to somebody who opted out all the same: the answer to STOP, a code that they sign in with
DAY = 86_400_000  # milliseconds
NEVER = 2**62  # when what is not sent again will be tried
FORGOTTEN = "recipient = '', text = '', to_forget = 0, person_id = ?"
ANSWER, OFFER, NOTICE = "answer", "offer", "notice"  # what somebody asked for; waits for a reply; nobody asked for
PRIORITIES = {LAST: 0, ANSWER: 1, OFFER: 2, NOTICE: 3}
ASKED_FOR = (LAST, ANSWER)
LAST_WORD = "(kind = 'last' AND notice_id IS NULL)"  # what is still said to somebody who is erased
UNWANTED = (
    f"((kind <> 'last' AND {people.OPTED_OUT.format(row='outbound_message')}) OR (to_forget = 1 AND NOT {LAST_WORD}))"
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
    missed = IntegerField(default=0)  # 1: not understood, or a search that found nothing


class OutboundMessage(db.Table):
    """A text for somebody. `in_reply_to` and `notice_id` are unique: one answer a message, one text a notice."""

    id = BigAutoField()
    person_id = BigIntegerField()
    recipient = TextField()
    text = TextField()
    kind = TextField()
    priority = IntegerField(default=1)
    language = TextField()
    segments = IntegerField(default=1)
    gateway = TextField(null=True)
    in_reply_to = BigIntegerField(null=True, unique=True)
    notice_id = BigIntegerField(null=True, unique=True)
    state = TextField(default="queued")
    attempts = IntegerField(default=0)
    next_attempt_at = BigIntegerField(default=0)
    claimed_by = TextField(null=True)
    good_until = BigIntegerField(null=True)  # what it says is untrue afterwards
    unknown_by = TextField(null=True)  # the gateway that may have taken it
    resend_at = BigIntegerField(null=True)  # when another may send it all the same
    provider_id = TextField(null=True)
    cost = TextField(null=True)
    reason = TextField(default="")
    created_at = db.UtcDateTimeField()
    sent_at = BigIntegerField(null=True)
    to_forget = IntegerField(default=0)  # 1: its person is forgotten: number and text go once it is sent


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
    """An id for a message that came without one: who, what, and when (its own time, else the minute it came).

    It outlives number and text, so nobody may find them by trying: it is made with the site's own secret.
    """
    when = message.sent_at or now.replace(second=0, microsecond=0)
    seed = f"{message.sender}\0{message.text}\0{when.isoformat()}"
    key = settings.get().secret_key.encode()
    return "h:" + hmac.new(key, seed.encode("utf-8", "replace"), hashlib.sha256).hexdigest()[:32]


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


def inbound_reason(message_id: int) -> str:
    """The rule by which a message was ignored; "" when it was not."""
    return str(db.value("SELECT reason FROM inbound_message WHERE id = ?", message_id))


def mark_inbound(
    message_id: int,
    state: str,
    *,
    reason: str = "",
    person_id: int | None = None,
    intent: str = "",
    language: str = "",
    missed: bool = False,
) -> None:
    """A message is dealt with: `handled`, `ignored` (by the rule named) or `failed`; nothing came of a `missed` one."""
    db.run(
        "UPDATE inbound_message SET state = ?, reason = ?, person_id = ?, intent = ?, language = ?, missed = ?, "
        "handled_at = ? WHERE id = ?",
        state,
        reason,
        person_id,
        intent,
        language,
        int(missed),
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
    return dict(orjson.loads(found[0]))


def keep_state(person_id: int, what: dict[str, Any]) -> None:
    """Keep the state of the conversation, with what the person is about to be shown."""
    db.run(
        "INSERT INTO conversation (person_id, shown, updated_at) VALUES (?, ?, ?) ON CONFLICT (person_id) "
        "DO UPDATE SET shown = excluded.shown, updated_at = excluded.updated_at",
        person_id,
        orjson.dumps(what).decode(),
        _now(),
    )


def close_question(person_id: int) -> None:
    """A text that asks something itself is about to reach a person: OUI and NON no longer answer what was asked before."""
    known = state(person_id)
    if {"yes", "no"} & known.keys():
        keep_state(person_id, {name: value for name, value in known.items() if name not in ("yes", "no", "context")})


def offers_shown(person_id: int, seen: Iterable[str] = ()) -> set[str]:
    """The offers of the waitlist that a person may still take and whose text has left, or that they have `seen` otherwise,
    by reference: OUI answers no other.

    A page that plays a phone shows its texts before they leave.
    """
    live = {offer["reference"] for offer in waitlist.offers_of(person_id)}
    if not live:
        return live
    left = db.rows(
        "SELECT m.notice_id FROM outbound_message m WHERE m.person_id = ? AND m.kind = ? "
        "AND (m.state IN ('sending', 'sent', 'delivered', 'unknown') OR m.gateway = 'console')",
        person_id, OFFER,
    )  # fmt: skip
    told = (notices.get(notice_id) for (notice_id,) in left)
    return live & {*seen, *(notice.facts.get("wait") for notice in told if notice is not None)}


# --- out --------------------------------------------------------------------------------------------------------------
class Claimed(NamedTuple):
    """A text in a worker's hand. Times are milliseconds since 1970."""

    worker: str
    day: str
    claimed_at: int
    id: int
    recipient: str
    text: str
    kind: str
    attempts: int
    created_at: int
    segments: int
    unknown_by: str | None
    good_until: int | None
    forgotten: int
    opted_out: int

    @property
    def reference(self) -> str:
        """Ours, the same at every try. With the time in it: a database that was restored gives old numbers again."""
        return f"{self.id}-{self.created_at:x}"


def pinned(phone: str) -> str | None:
    """The gateway that texts to a number must go by: those that `/phone` plays never cost a real SMS."""
    return "console" if PLAYED.fullmatch(phone) else None


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
    good_until: int | None = None,
) -> bool:
    """Write a text to send; False when that message or notice was answered before. `gateway` pins it to one.

    What is still unsent at `good_until` (milliseconds) is not sent any more. Beyond TEXTS_A_DAY it is written, and not
    sent.
    """
    # Not the person: who is erased and writes on has not cost less.
    too_many = limits.count(f"texts:{people.alias(recipient)}", DAY // 1000) > TEXTS_A_DAY
    return db.insert_once(
        OutboundMessage,
        person_id=person_id, recipient=recipient, text=text, kind=kind, priority=PRIORITIES[kind], language=language,
        segments=segments.measure(text).segments, in_reply_to=in_reply_to, notice_id=notice_id, gateway=gateway,
        state="cancelled" if too_many else "queued", reason="too_many_today" if too_many else "", good_until=good_until,
        created_at=clock.now(),
    )  # fmt: skip


# The first of each recipient's line, by priority and number, whoever else of it may be sent later; what may have been
# taken already stands outside the line. What is pinned to another gateway (a conversation in a terminal) holds nobody up.
WAITING = (
    "FROM outbound_message m WHERE m.state IN ('queued', 'unknown') AND m.priority = ? AND m.next_attempt_at <= ? "
    "AND (m.gateway IS NULL OR m.gateway = ?) AND (m.unknown_by IS NULL OR m.unknown_by = ? OR m.resend_at <= ?) "
    "AND NOT EXISTS (SELECT 1 FROM outbound_message s WHERE s.recipient = m.recipient AND s.state = 'sending') "
    "AND (m.state = 'unknown' OR m.id = (SELECT e.id FROM outbound_message e WHERE e.recipient = m.recipient "
    "AND e.state = 'queued' AND (e.gateway IS NULL OR e.gateway = ?) ORDER BY e.priority, e.id LIMIT 1)) "
    "ORDER BY m.next_attempt_at, m.id LIMIT ?"
)
COLUMNS = (
    "SELECT m.id, m.recipient, m.text, m.kind, m.attempts, m.created_at, m.segments, m.unknown_by, m.good_until, "
    f"CASE WHEN m.to_forget = 1 AND NOT {LAST_WORD} THEN 1 ELSE 0 END, "
    f"CASE WHEN {people.OPTED_OUT.format(row='m')} THEN 1 ELSE 0 END "
)


def due(gateway: str, *, idempotent: bool = False) -> bool:
    """Whether `claim` would find a text now. Takes no lock, writes nothing."""
    return any(
        db.rows(f"SELECT 1 {WAITING}", *_waiting(priority, gateway, idempotent), 1)
        for priority, room in _open_classes(ways.today())
        if room
    )


def claim(gateway: str, worker: str, limit: int, *, idempotent: bool = False) -> list[Claimed]:
    """Take texts to send by a gateway: the most urgent first, one of each recipient, as many as the day's limit allows.

    `idempotent`: the gateway sends a reference once, so what it may have taken is safely handed to it again.
    """
    taken: list[Claimed] = []
    day = ways.today()
    with db.transaction():
        spent = 0
        for priority, room in _open_classes(day):
            dropped = True
            while dropped and (wanted := min(limit - len(taken), room - spent)) > 0:
                dropped = False  # what stands behind a text that nobody is to read any more need not wait for it
                query = COLUMNS + WAITING + db.skip_locked()
                found = db.rows(query, *_waiting(priority, gateway, idempotent), wanted)
                for row in found:
                    message = Claimed(worker, day, _now(), *row)
                    if message.recipient in {one.recipient for one in taken}:
                        continue  # two that stand outside the line: one at a time
                    if _take(message):
                        taken.append(message)
                        spent += message.segments
                    else:
                        dropped = True
        if spent:
            ways.spend(day, spent)
    return taken


def _open_classes(day: str) -> list[tuple[int, int]]:
    """The priorities that may be sent now, most urgent first, and how many segments of each."""
    asked_for, rest = ways.left(day)
    limits = {LAST: NEVER, ANSWER: asked_for, OFFER: rest, NOTICE: rest}
    now = clock.now()
    quiet = clock.waking(now, settings.get().timezone) != now
    kinds = ASKED_FOR if quiet else tuple(PRIORITIES)
    return [(PRIORITIES[kind], limits[kind]) for kind in kinds]


def _waiting(priority: int, gateway: str, idempotent: bool) -> tuple[object, ...]:
    """The parameters of WAITING, but for the last."""
    now = _now()
    return priority, now, gateway, gateway if idempotent else None, now, gateway


def _take(message: Claimed) -> bool:
    """Mark a text as in hand; False when nobody is to read it any more, for which its reason says why."""
    reason = (
        "opted_out" if message.opted_out and message.kind != LAST  # STOP came while it was neither waiting nor sent
        else "forgotten" if message.forgotten or not message.recipient
        else "too_late" if message.good_until is not None and message.good_until < message.claimed_at
        else "no_longer_true" if message.kind not in ASKED_FOR and not _still_true(message.id)
        else ""
    )  # fmt: skip
    db.run(
        "UPDATE outbound_message SET state = ?, claimed_by = ?, reason = ?, attempts = attempts + 1 WHERE id = ?",
        "cancelled" if reason else "sending",
        None if reason else message.worker,
        reason,
        message.id,
    )
    if message.kind == OFFER and not reason:  # OUI and NON answer it from now on, whatever was asked while it waited
        close_question(db.value("SELECT person_id FROM outbound_message WHERE id = ?", message.id))
    return not reason


def _still_true(message_id: int) -> bool:
    """Whether what a notice's text says is so at this moment: it may have waited for the morning, or for a provider."""
    notice_id = db.value("SELECT notice_id FROM outbound_message WHERE id = ?", message_id)
    notice = None if notice_id is None else notices.get(notice_id)
    if notice is None:
        return True
    _, person_id, kind, facts = notice
    match kind:
        case "offer":
            return any(offer["reference"] == facts.get("wait") for offer in waitlist.offers_of(person_id))
        case "reminder" | "moved" | "slot_reminder" | "slot_moved":
            held = {(one["pickup_code"], one["expires_at"]) for one in reservations.mine(person_id, MOST_HELD)}
            return (facts["pickup_code"], facts["expires_at"]) in held
        case "alert_hit":
            return _available(facts["code"])
    return True


def _available(code: str) -> bool:
    try:
        return bool(catalog.get(code)["available"])
    except Refusal:
        return False


def mark_sent(message_id: int, gateway: str, provider_id: str | None, cost: str | None) -> None:
    """The provider took it. A receipt that came first counts now."""
    db.run(
        "UPDATE outbound_message SET state = CASE WHEN state IN ('delivered', 'failed') THEN state ELSE 'sent' END, "
        "gateway = ?, provider_id = ?, cost = ?, sent_at = ?, claimed_by = NULL, unknown_by = NULL, reason = '' WHERE id = ?",
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


# What comes back from a gateway counts while the text is still in that worker's hand: not when a receipt was faster, nor
# when the worker was taken for dead and another has it.
IN_HAND = "WHERE id = ? AND state = 'sending' AND claimed_by = ?"


# Back in its place in the recipient's line, unless it may have been taken and nobody asked for it: it may wait for long.
BACK = (
    f"CASE WHEN {UNWANTED} THEN 'cancelled' WHEN unknown_by IS NULL OR kind IN ('last', 'answer') THEN 'queued' "
    "ELSE 'unknown' END"
)


def mark_for_retry(message: Claimed, reason: str, seconds: float) -> None:
    """The provider did not take it: try again in `seconds`, and what stands behind it in the recipient's line after it."""
    again = _now() + int(seconds * 1000) if seconds else 0
    db.run(
        f"UPDATE outbound_message SET state = {BACK}, claimed_by = NULL, reason = ?, next_attempt_at = ? {IN_HAND}",
        reason,
        again,
        message.id,
        message.worker,
    )
    db.run(
        "UPDATE outbound_message SET next_attempt_at = ? WHERE recipient = ? AND state = 'queued' AND priority >= ? "
        "AND next_attempt_at < ?",
        again,
        message.recipient,
        PRIORITIES[message.kind],
        again,
    )


def mark_unknown(message: Claimed, gateway: str, reason: str, *, seconds: float | None = None) -> None:
    """The gateway may have taken it. What somebody asked for is sent once more after two minutes, the rest is not.

    With `seconds` the gateway is idempotent: it is handed the text again then, and again until it says what became of it.
    """
    asked_for = message.kind in ASKED_FOR
    once_more = asked_for and message.unknown_by is None
    resend_at = _now() + RESEND_UNKNOWN_AFTER // timedelta(milliseconds=1) if once_more else None
    again = _now() + int(seconds * 1000) if seconds is not None else resend_at or NEVER
    db.run(
        f"UPDATE outbound_message SET state = CASE WHEN {UNWANTED} THEN 'cancelled' ELSE ? END, claimed_by = NULL, "
        "reason = ?, next_attempt_at = ?, unknown_by = ?, resend_at = "
        f"CASE WHEN unknown_by = ? THEN COALESCE(resend_at, ?) ELSE ? END {IN_HAND}",
        # It keeps its place in the line while it is soon known what became of it.
        "queued" if asked_for and seconds is not None else "unknown",
        reason, again, gateway, gateway if seconds is not None else None, resend_at, resend_at, message.id, message.worker,
    )  # fmt: skip


def mark_failed(message: Claimed, reason: str) -> None:
    """The provider refused it for good, or it is too old to make sense."""
    db.run(
        f"UPDATE outbound_message SET state = 'failed', claimed_by = NULL, reason = ? {IN_HAND}",
        reason,
        message.id,
        message.worker,
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
        person_id = people.ensure(phone)
        people.opt_out(person_id)
        cancel_unsent(person_id)


def claimants() -> set[str]:
    """The workers that have texts in their hands."""
    return {str(row[0]) for row in db.rows("SELECT DISTINCT claimed_by FROM outbound_message WHERE state = 'sending'")}


def give_back(worker: str) -> int:
    """Queue again what a worker that died had claimed (an answer may arrive twice, never not at all); how many."""
    with db.transaction():
        return db.run(
            f"UPDATE outbound_message SET state = {BACK}, claimed_by = NULL, reason = 'worker_died', next_attempt_at = 0 "
            "WHERE state = 'sending' AND claimed_by = ?",
            worker,
        )


gateways = ways.gateways  # who reads messages also asks how they go


def waiting() -> dict[str, int]:
    """How many texts of each kind are to be sent."""
    found = dict(
        db.rows("SELECT kind, COUNT(*) FROM outbound_message WHERE state IN ('queued', 'sending') GROUP BY kind")
    )
    return {kind: found.get(kind, 0) for kind in PRIORITIES}


def longest_wait() -> int:
    """Milliseconds for which the oldest answer has waited; 0 when none does."""
    oldest = db.value(
        "SELECT MIN(created_at) FROM outbound_message WHERE state IN ('queued', 'unknown') AND priority <= ? "
        "AND state = 'queued' AND gateway IS NULL",
        PRIORITIES[ANSWER],
    )
    return max(0, _now() - oldest) if oldest else 0


def not_handled() -> int:
    """How many messages could not be handled."""
    return int(db.value("SELECT COUNT(*) FROM inbound_message WHERE state = 'failed'"))


# --- receipts ---------------------------------------------------------------------------------------------------------
REFERENCE = re.compile(r"([0-9]{1,18})-([0-9a-f]{1,14})(?:-[0-9a-f]+)?")  # `Claimed.reference`, and what a gateway adds


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
    if status not in ("delivered", "failed"):
        return
    settled = db.run(
        "UPDATE outbound_message SET state = ?, reason = ? WHERE gateway = ? AND provider_id = ? AND state = 'sent'",
        status,
        reason,
        gateway,
        provider_id,
    )
    ours = REFERENCE.fullmatch(provider_id)
    if not settled and ours:
        # The gateway goes by our reference, and it is not noted there that this one sent the text: its answer was lost,
        # the text waits to be sent again, or another gateway has sent it. If it arrived, it arrived.
        db.run(
            "UPDATE outbound_message SET state = ?, reason = ?, claimed_by = NULL WHERE id = ? AND created_at = ? "
            "AND ((? = 'delivered' AND state IN ('queued', 'sending', 'unknown', 'sent')) "
            "OR (state = 'unknown' AND unknown_by = ?))",
            status, reason, int(ours[1]), int(ours[2], 16), status, gateway,
        )  # fmt: skip


class GatewayInbox:
    """Where a gateway that is asked for its messages puts them (`base.Inbox`)."""

    def __init__(self, gateway: str) -> None:
        self._gateway = gateway

    def message(self, message: Inbound) -> None:
        """Keep a message."""
        store_inbound(self._gateway, message)

    def receipt(self, receipt: Receipt) -> None:
        """Keep a receipt, and apply it."""
        store_receipt(self._gateway, receipt)


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


# --- what staff see ---------------------------------------------------------------------------------------------------
DIRECTIONS = ("in", "out")
FIRST = 10**18 - 1  # above every id
STATES = (
    "received", "handled", "ignored", "failed", "queued", "sending", "sent", "delivered", "unknown", "cancelled",
)  # fmt: skip
# A code that signs somebody in is theirs alone: who read it here would sign in as them.
_TEXT = f"CASE WHEN {notices.OF_KIND.format(row='m')} THEN '' ELSE m.text END"
_COLUMNS = {
    "in": "m.id, m.person_id, m.received_at AS at, m.sender AS phone, m.text, m.state, m.reason, m.gateway, m.language, "
    "m.intent, m.missed",
    "out": f"m.id, m.person_id, m.created_at AS at, m.recipient AS phone, {_TEXT} AS text, m.state, m.reason, m.gateway, "
    "m.language, m.kind, m.segments, m.cost, m.in_reply_to, m.sent_at",
}
_PIN = re.compile(r"(?<![0-9])([0-9]{2}) ?([0-9]{2})(?![0-9])")  # a pickup code; people also write 73 91
_TABLES = {"in": "inbound_message", "out": "outbound_message"}


class Filter(NamedTuple):
    """Which messages to list. `before` holds, for each direction, the id below which a page starts."""

    direction: str = ""
    state: str = ""
    intent: str = ""
    not_understood: bool = False
    before: tuple[int, int] = (FIRST, FIRST)
    limit: int = 20


def filter_of(values: Mapping[str, Any]) -> Filter:
    """A filter from what a link says. Raises: Refusal("invalid" | "bad_cursor")."""
    fields = Fields({name: value for name, value in values.items() if value != ""}, partial=True)
    fields.choice("direction", DIRECTIONS)
    fields.choice("state", STATES)
    fields.text("intent", 40)
    fields.choice("not_understood", ("true", "false"))
    fields.whole("limit", most=100)
    if fields.clean.get("limit") == 0:
        fields.errors.add("limit", "positive")
    clean_ = fields.done()
    before = re.fullmatch(r"([0-9]{1,18})\.([0-9]{1,18})", str(values.get("cursor") or f"{FIRST}.{FIRST}"))
    if before is None:
        raise Refusal("bad_cursor")
    not_understood = clean_.pop("not_understood", "") == "true"
    return Filter(before=(int(before[1]), int(before[2])), not_understood=not_understood, **clean_)


class Page(NamedTuple):
    """Messages, the newest first, and where the next page starts (None: this is the last)."""

    items: list[dict[str, Any]]
    next: str | None


def find(actor: Actor, wanted: Filter) -> Page:
    """Messages in and out of the people whom the place where one works knows, and of those whom no place knows yet (these
    without their number); an admin sees all. The newest first. Pickup codes of other places are starred.

    Raises: Refusal("wrong_role").
    """
    actor.require("staff")
    only_in = wanted.intent or wanted.not_understood
    last = dict(zip(DIRECTIONS, wanted.before, strict=True))
    piles = {
        direction: _some(actor, direction, before, wanted)
        for direction, before in last.items()
        if wanted.direction in ("", direction) and not (only_in and direction == "out")
    }
    items: list[dict[str, Any]] = []
    # Each direction stays in the order of its ids, by which pages go on: clocks may differ between processes.
    while len(items) < wanted.limit and any(piles.values()):
        direction = max((name for name, pile in piles.items() if pile), key=lambda name: int(piles[name][0]["at"]))
        message = piles[direction].pop(0)
        last[direction] = message["id"]
        items.append(_seen(actor, {**message, "direction": direction}))
    return Page(items, f"{last['in']}.{last['out']}" if any(piles.values()) else None)


def _some(actor: Actor, direction: str, before: int, wanted: Filter) -> list[dict[str, Any]]:
    """The newest messages of one direction with ids below `before`, one more than wanted."""
    conditions, params = ["m.id < ?"], list[object]([before])
    known, place = "1", list[object]()
    if actor.role != "admin":
        since = [personal.known_since()] * 2
        known, place = f"CASE WHEN CAST(? AS BIGINT) IN {personal.TIES} THEN 1 ELSE 0 END", [actor.place_id, *since]
        conditions.append(f"({known} = 1 OR NOT EXISTS {personal.TIES})")
        params += [*place, *since]
    for name in ("state", "intent"):
        if getattr(wanted, name):
            conditions.append(f"m.{name} = ?")
            params.append(getattr(wanted, name))
    if wanted.not_understood:
        conditions.append("m.missed = 1")
    return db.dicts(
        f"SELECT {_COLUMNS[direction]}, {known} AS known FROM {_TABLES[direction]} m WHERE {' AND '.join(conditions)} "
        "ORDER BY m.id DESC LIMIT ?",
        *([sign_in.KIND] if direction == "out" else []), *place, *params, wanted.limit + 1,
    )  # fmt: skip


# Numbers as people write them, here or abroad; the codes of listings and reservations side by side are none.
_PHONES = re.compile(
    r"(?<![\w+])(?:(?:\+|00)\d(?:[ .\-\u00a0\u202f]?\d){6,14}|0\d(?:[ .\-\u00a0\u202f]?\d\d){4}"
    r"|0\d{3}(?:[ .\-\u00a0\u202f]?\d\d){3}|\d{8,15})(?!\d)"
)


def _mask_phone(found: re.Match[str]) -> str:
    return f"{found[0][:4]}•••••{found[0][-2:]}"


def _seen(actor: Actor, message: dict[str, Any]) -> dict[str, Any]:
    """A message as somebody may see it: without numbers, unless the person is known at their place, and without what
    fetches something elsewhere. It is measured whole.
    """
    message["measure"] = segments.measure(message["text"])
    person_id = message.pop("person_id")
    if not message.pop("known"):
        message["phone"], message["text"] = mask(message["phone"]), _PHONES.sub(_mask_phone, message["text"])
    if actor.role != "admin" and person_id is not None and _PIN.search(message["text"]):
        hidden = reservations.codes_elsewhere(person_id, actor.place_id)
        message["text"] = _PIN.sub(lambda pin: "****" if pin[1] + pin[2] in hidden else pin[0], message["text"])
    return message


# --- personal data ----------------------------------------------------------------------------------------------------
def export(person_id: int) -> dict[str, Any]:
    """What a person wrote, what was written to them, and where the conversation is."""
    received = db.dicts(
        "SELECT received_at, text, state, intent, language FROM inbound_message WHERE person_id = ? ORDER BY id",
        person_id,
    )
    sent = db.dicts(
        "SELECT created_at, sent_at, text, kind, state, language FROM outbound_message WHERE person_id = ? ORDER BY id",
        person_id,
    )
    return {"received": received, "sent": sent, "conversation": state(person_id)}


def erase(person_id: int) -> None:
    """Forget what a person wrote and was told; that a message came stays known, so that a repeat of it is one.

    What waits is not sent, but for the last word; it and what is being sent are forgotten afterwards (`forget_sent`).
    Inside a transaction.
    """
    db.run("UPDATE inbound_message SET sender = '', text = '', person_id = NULL WHERE person_id = ?", person_id)
    db.run(
        "UPDATE outbound_message SET state = 'cancelled', reason = 'erased' WHERE person_id = ? "
        f"AND state IN ('queued', 'unknown') AND NOT {LAST_WORD}",
        person_id,
    )
    db.run("UPDATE outbound_message SET to_forget = 1 WHERE person_id = ? AND recipient <> ''", person_id)
    db.run("DELETE FROM conversation WHERE person_id = ?", person_id)  # after the texts: `claim` locks in that order
    forget_sent()


def forget_sent() -> int:
    """Drop number and text of what was meant for somebody who is forgotten, once it will not be sent (again); how many."""
    sent = "to_forget = 1 AND NOT (state IN ('queued', 'sending') OR (state = 'unknown' AND next_attempt_at < ?))"
    if db.value(f"SELECT 1 FROM outbound_message WHERE {sent} LIMIT 1", NEVER) is None:
        return 0
    return db.run(f"UPDATE outbound_message SET {FORGOTTEN} WHERE {sent}", people.nobody(), NEVER)


def blank_codes() -> int:
    """Drop the texts of codes to sign in that are worth nothing any more; how many. Inside a transaction."""
    spent = sign_in.take_spent()
    for notice_id in spent:
        db.run("UPDATE outbound_message SET text = '' WHERE notice_id = ?", notice_id)
    return len(spent)


def forget_old(days: int, limit: int = 500) -> int:
    """Drop number, text and person of messages older than `days`, their receipts, and conversations nobody can go on with;
    how many went.

    What stays names nobody: ids (so that repeats are known), states, costs, intents.
    """
    before = _now() - days * DAY
    with db.transaction():
        done = db.prune("conversation", "person_id", "updated_at < ?", _now() - DAY)
        done += db.prune("delivery_receipt", "id", "received_at < ?", before)
        old = "SELECT id FROM inbound_message WHERE received_at < ? AND sender <> '' AND state <> 'received' LIMIT ?"
        forgotten = "sender = '', text = '', person_id = NULL"
        done += db.run(f"UPDATE inbound_message SET {forgotten} WHERE id IN ({old})", before, limit)
        old = "SELECT id FROM outbound_message WHERE created_at < ? AND recipient <> '' AND state <> 'sending' LIMIT ?"
        ended = "state = CASE WHEN state IN ('queued', 'unknown') THEN 'failed' ELSE state END"  # nobody will send it
        if db.value(old, before, 1) is None:
            return done
        changes = f"UPDATE outbound_message SET {ended}, {FORGOTTEN} WHERE id IN ({old})"
        return done + db.run(changes, people.nobody(), before, limit)


def _now() -> int:
    return clock.now_ms()

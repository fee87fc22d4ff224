"""From a stored message to its answer, once: effect, answer and mark are one transaction, so a crash anywhere repeats all
of it or none of it.
"""

from __future__ import annotations

import logging
import time
import uuid
from typing import Any

from circular import db, i18n, limits, people, settings
from circular.errors import Refusal
from sms import commands, conversation, dialogue, messages, replies, screens
from sms.gateways.base import Inbound

FLOOD_LIMIT = 20  # messages of one number in FLOOD_WINDOW; told once, then silence for the window (contract)
FLOOD_WINDOW = 600  # seconds
GIVE_UP = 4  # times that handling a message may break before the person is told to say it otherwise
log = logging.getLogger(__name__)


def handle_pending(limit: int = 48) -> int:
    """Handle the oldest messages that wait, `limit` at most; how many.

    On SQLite they share one durable commit; on PostgreSQL each has its own, as workers that held many listings' locks
    would wait for each other in a ring.
    """
    if db.is_sqlite():
        return _handle_batch(limit)
    done = 0
    while done < limit and _handle_batch(1):
        done += 1
    return done


def _handle_batch(limit: int) -> int:
    with db.transaction():
        batch = messages.pending(limit)
        for message in batch:
            try:
                with db.transaction():
                    _handle(message)
            except Exception:  # whatever one message does, the others and the queue go on; it is tried again
                log.exception("message %s could not be handled", message.id)
                _postpone(message)
    return len(batch)


def _handle(message: messages.Pending) -> None:
    chosen = settings.get()
    try:
        phone = people.normalize_phone(message.sender)
    except Refusal:
        messages.mark_inbound(message.id, "ignored", reason="unanswerable_sender")
        return
    if not phone.startswith(chosen.sms_allowed_prefixes):
        messages.mark_inbound(message.id, "ignored", reason="prefix_not_allowed")
        return
    person = people.meet(phone)
    person_id, opted_out = person.id, person.opted_out_at is not None
    language = person.language or person.shown_language or chosen.default_locale
    state = messages.state(person_id)
    turn = dialogue.Turn(person_id, f"sms:{message.gateway}:{message.external_id}")
    command = commands.plain(message.text) or commands.parse(message.text, dialogue.context_of(turn, state))
    if opted_out and command.intent != "start":
        messages.mark_inbound(message.id, "ignored", reason="opted_out", person_id=person_id, intent=command.intent)
        return
    alias = people.alias(phone)  # not the person: who is erased and writes on has not written less
    received = limits.count(f"sms:{alias}", FLOOD_WINDOW)
    back = command.intent == "start" and opted_out and received <= 2 * FLOOD_LIMIT
    freeing = command.intent == "stop" or back  # STOP is always obeyed; STOP and START in turn cost no endless replies
    if received > FLOOD_LIMIT and not freeing:
        if limits.count(f"flood:{alias}", FLOOD_WINDOW) == 1:
            minutes = -(-limits.remaining(FLOOD_WINDOW) // 60)
            _reply(message, person_id, phone, replies.render("flood", language, minutes=str(minutes)), language)
        messages.mark_inbound(message.id, "ignored", reason="flooding", person_id=person_id, intent=command.intent)
        return
    if command.language and not person.language:
        language = command.language
    with i18n.use(language):
        said = dialogue.converse(turn, state, command)
    if command.language:  # after the answer: a listing is always locked before its person
        people.note_shown_language(person_id, command.language)
    language = people.language(person_id, language)
    shown = screens.as_sms(said.screen, language)
    _reply(message, person_id, phone, shown.text, language, last=said.screen.last)
    messages.keep_state(
        person_id, {**(said.state or {}), **({} if shown.choices is None else {"choices": shown.choices})}
    )
    messages.mark_inbound(
        message.id,
        "handled",
        person_id=person_id,
        intent=command.intent,
        language=command.language or "",
        missed=said.screen.key in conversation.NOT_UNDERSTOOD,
    )
    if said.screen.key == "erased":
        messages.erase(person_id)  # this message too, and its answer once it is sent


def _reply(
    message: messages.Pending, person_id: int, phone: str, text: str, language: str, *, last: bool = False
) -> None:
    pinned = "console" if message.gateway == "console" else None  # a terminal's conversation never costs a real SMS
    kind = messages.LAST if last else messages.ANSWER
    messages.queue(person_id, phone, text, kind, language, in_reply_to=message.id, gateway=pinned)


def _postpone(message: messages.Pending) -> None:
    """Try a message again later; after GIVE_UP times its sender is asked to say it otherwise."""
    attempts = message.attempts + 1
    if attempts < GIVE_UP:
        messages.postpone_inbound(message.id, attempts)
        return
    phone = people.normalize_phone(message.sender)
    person_id = people.ensure(phone)
    language = people.language(person_id, settings.get().default_locale)
    _reply(message, person_id, phone, replies.render("unknown", language, text=message.text), language)
    messages.mark_inbound(message.id, "failed", reason="could_not_be_handled", person_id=person_id, missed=True)


def at_once(gateway: str, phone: str, text: str) -> dict[str, Any]:
    """Store a line and handle it here and now, for a terminal or a page that plays a phone: its answer, or `text` None
    and the `reason` of the silence.

    The same tables and the same code as a real SMS; the answer counts as sent, and stays on this machine.
    """
    external_id = f"try-{uuid.uuid4()}"
    messages.store_inbound(gateway, Inbound(external_id, phone, "", text, None))
    message_id = messages.inbound_id(gateway, external_id)
    for _ in range(100):
        handle_pending()
        if messages.inbound_state(message_id) != "received":
            break
        time.sleep(0.05)  # a running worker has it in hand
    answer = messages.reply_to(message_id)
    if answer is None:
        return {"text": None, "reason": messages.inbound_reason(message_id)}
    messages.mark_sent(answer["id"], gateway, None, None)
    return answer

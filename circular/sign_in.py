"""Signing in at the desk without a password: a code by SMS to a phone that is known to be staff's, then a short token.

Who asks learns nothing: the answer is the same whether or not a number is staff's. A code counts once, for ten minutes and
five tries. Until then it is the one that is sent again: whoever asks in another's name takes nothing from them.
"""

from __future__ import annotations

import hmac
import secrets

from peewee import BigIntegerField, IntegerField, TextField

from circular import clock, db, limits, notices, people, settings
from circular.errors import Refusal
from circular.people import Actor

KIND = "sign_in"  # of notice
CODE_SECONDS = 600
TRIES = 5
STAY_SECONDS = 12 * 3600  # a working day
ASKED_PER_HOUR = 5  # codes sent to one phone for one address
PHONE_PER_HOUR = 30  # codes sent to one phone: a stranger who asks for codes leaves some to its owner
VISITOR_PER_HOUR = 30  # codes and tries of one address: a guesser of a million codes gets nowhere


class SignIn(db.Table):
    """What the code that was last sent to somebody is made of, with the site's own secret: no row tells it."""

    person_id = BigIntegerField(primary_key=True)
    salt = TextField()
    tries = IntegerField()
    expires_at = db.UtcDateTimeField()


def ask(phone: str, visitor: str) -> str | None:
    """Send a code to the phone of staff; for the demo, the code, or None when this is nobody's here.

    `visitor` is whose tries are counted (an address). Raises: Refusal("bad_phone" | "too_many_requests").
    """
    number = people.reachable_phone(phone)
    with db.transaction():  # apart: what is refused counts all the same
        limits.take(f"sign_in:{visitor}", VISITOR_PER_HOUR, 3600)
        limits.take(f"sign_in:{people.alias(number)}:{visitor}", ASKED_PER_HOUR, 3600)
        limits.take(f"sign_in:{people.alias(number)}", PHONE_PER_HOUR, 3600)
    with db.transaction():
        person_id = people.staff_of(number)
        if person_id is None:
            return None
        now, expires_at = clock.now_ms(), db.to_ms(clock.later(CODE_SECONDS))
        db.run("DELETE FROM sign_in WHERE person_id = ? AND (expires_at <= ? OR tries >= ?)", person_id, now, TRIES)
        db.insert_once(SignIn, person_id=person_id, salt=secrets.token_hex(16), tries=0, expires_at=expires_at)
        db.run("UPDATE sign_in SET expires_at = ? WHERE person_id = ?", expires_at, person_id)
        code = _code(person_id, db.value("SELECT salt FROM sign_in WHERE person_id = ?", person_id))
        notices.tell(person_id, KIND, pin=code, expires_at=expires_at)
        return code


def enter(phone: str, code: str, visitor: str) -> str:
    """A token of the person's role and place for a right code, good for STAY_SECONDS.

    Raises: Refusal("bad_phone" | "wrong_sign_in_code" | "too_many_requests").
    """
    number = people.reachable_phone(phone)
    with db.transaction():
        limits.take(f"sign_in:{visitor}", VISITOR_PER_HOUR, 3600)
    token = None
    with db.transaction():  # a wrong try is kept, so it commits before the refusal
        person_id = people.staff_of(number)
        if person_id is not None and _right(person_id, code.strip()):
            token = people.issue_session(person_id, clock.later(STAY_SECONDS))
    if token is None:
        raise Refusal("wrong_sign_in_code")
    return token


def _right(person_id: int, code: str) -> bool:
    """Count a try, and say whether it is right; a right one is spent."""
    counted = db.run(
        "UPDATE sign_in SET tries = tries + 1 WHERE person_id = ? AND tries < ? AND expires_at > ?",
        person_id,
        TRIES,
        db.to_ms(clock.now()),
    )
    salt = db.value("SELECT salt FROM sign_in WHERE person_id = ?", person_id)
    right = bool(counted) and hmac.compare_digest(_code(person_id, salt).encode(), code.encode("utf-8", "replace"))
    if right:
        db.run("DELETE FROM sign_in WHERE person_id = ?", person_id)
        notices.spend(person_id, KIND)
    return right


def take_spent() -> list[int]:
    """The notices of codes that were used or are over, each once: their words are to be blanked. Inside a transaction."""
    return notices.take_spent(KIND, clock.now_ms() - CODE_SECONDS * 1000)


def forget() -> int:
    """Drop what the codes that are over were made of; how many. Inside a transaction."""
    return db.run("DELETE FROM sign_in WHERE expires_at <= ?", clock.now_ms())


def actor_for(token: str | None) -> Actor:
    """Who is signed in with a token of a cookie. Raises: Refusal("sign_in_needed")."""
    try:
        actor = people.actor_for(token or "", "web")
    except Refusal:
        raise Refusal("sign_in_needed") from None
    if actor.role not in ("staff", "admin"):
        raise Refusal("sign_in_needed")
    return actor


def _code(person_id: int, salt: str) -> str:
    """Six digits that only this site can tell from what it keeps."""
    made = hmac.digest(settings.get().secret_key.encode(), f"sign_in:{person_id}:{salt}".encode(), "sha256")
    return f"{int.from_bytes(made) % 10**6:06}"

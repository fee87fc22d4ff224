"""Signing in at the desk without a password: a code by SMS to a phone that is known to be staff's, then a short token.

Who asks learns nothing: the answer is the same whether or not a number is staff's. A code counts once, for ten minutes and
five tries.
"""

from __future__ import annotations

import hashlib
import secrets

from peewee import BigIntegerField, IntegerField, TextField

from circular import clock, db, limits, notices, people
from circular.errors import Refusal
from circular.people import Actor

CODE_SECONDS = 600
TRIES = 5
STAY_SECONDS = 12 * 3600  # a working day
ASKED_PER_HOUR = 5  # codes sent to one phone
VISITOR_PER_HOUR = 30  # codes and tries of one address: a guesser of a million codes gets nowhere


class SignIn(db.Table):
    """The code that was last sent to somebody; only its SHA-256, salted by the person, is kept."""

    person_id = BigIntegerField(primary_key=True)
    digest = TextField()
    tries = IntegerField()
    expires_at = db.UtcDateTimeField()


def ask(phone: str, visitor: str) -> str | None:
    """Send a code to the phone of staff; for the demo, the code, or None when this is nobody's here.

    `visitor` is whose tries are counted (an address). Raises: Refusal("bad_phone" | "too_many_requests").
    """
    number = people.reachable_phone(phone)
    with db.transaction():  # apart: what is refused counts all the same
        limits.take(f"sign_in:{visitor}", VISITOR_PER_HOUR, 3600)
        limits.take(f"sign_in:{people.alias(number)}", ASKED_PER_HOUR, 3600)
    with db.transaction():
        person_id = people.staff_of(number)
        if person_id is None:
            return None
        code = f"{secrets.randbelow(10**6):06}"
        db.run("DELETE FROM sign_in WHERE person_id = ?", person_id)
        SignIn.insert(
            person_id=person_id, digest=_hash(f"{person_id}:{code}"), tries=0, expires_at=clock.later(CODE_SECONDS)
        ).execute()
        notices.tell(person_id, "sign_in", pin=code)
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
    digest = db.value("SELECT digest FROM sign_in WHERE person_id = ?", person_id)
    right = bool(counted) and secrets.compare_digest(digest, _hash(f"{person_id}:{code}"))
    if right:
        db.run("DELETE FROM sign_in WHERE person_id = ?", person_id)
    return right


def actor_for(token: str | None) -> Actor:
    """Who is signed in with a token of a cookie. Raises: Refusal("sign_in_needed")."""
    try:
        actor = people.actor_for(token or "", "web")
    except Refusal:
        raise Refusal("sign_in_needed") from None
    if actor.role not in ("staff", "admin"):
        raise Refusal("sign_in_needed")
    return actor


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()

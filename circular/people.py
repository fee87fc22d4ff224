"""People: residents known by a phone number, staff of a place, builders, admins; and the tokens they act with."""

from __future__ import annotations

import functools
import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from peewee import BigAutoField, BigIntegerField, ForeignKeyField, TextField

from circular import clock, db, settings
from circular.errors import Refusal

# A lasting token: a session of one's own proves nothing, or it would make the next one when the token is revoked.
STAFF = "t.role IN ('admin', 'staff') AND t.revoked_at IS NULL AND t.expires_at IS NULL"
ROLES = ("resident", "builder", "staff", "admin")
NOBODY = 0  # whose reservations and texts are that must lead to nobody any more


class Person(db.Table):
    """Somebody who reserves or works here. `phone` is E.164, never shown outside the staff of the place concerned."""

    id = BigAutoField()
    phone = TextField(null=True, unique=True)
    name = TextField(default="")
    language = TextField(null=True)  # chosen by the person
    shown_language = TextField(null=True)  # shown by the words they wrote
    opted_out_at = db.UtcDateTimeField(null=True)
    created_at = db.UtcDateTimeField()


class Token(db.Table):
    """A bearer token: only the SHA-256 of its 256 random bits is kept, so it is shown once."""

    id = BigAutoField()
    digest = TextField(unique=True)
    person = ForeignKeyField(Person, backref="tokens")
    role = TextField()
    place_id = BigIntegerField(null=True)
    created_at = db.UtcDateTimeField()
    revoked_at = db.UtcDateTimeField(null=True)
    expires_at = db.UtcDateTimeField(null=True)
    parent_id = BigIntegerField(null=True)  # of a session: the token that it ends with


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts: a person in a role, by a door (`api`, `web`, `sms`, `cli`). Staff act for one place, admins for any."""

    person_id: int | None
    role: str
    door: str
    place_id: int | None = None

    def require(self, *roles: str) -> None:
        """Raises: Refusal("wrong_role") unless the actor has one of `roles`; an admin may do what staff may."""
        if self.role not in roles and not (self.role == "admin" and "staff" in roles):
            raise Refusal("wrong_role", role=roles[0])

    def require_place(self, place_id: int | None, place_code: str) -> None:
        """Raises: Refusal("wrong_role") or Refusal("not_your_place") unless staff of that place, or admin."""
        self.require("staff")
        if not self.works_at(place_id):
            raise Refusal("not_your_place", place=place_code)

    def works_at(self, place_id: int | None) -> bool:
        """True for an admin and for the staff of that place."""
        return self.role == "admin" or (self.role == "staff" and place_id is not None and place_id == self.place_id)


def normalize_phone(text: str) -> str:
    """The E.164 form of a mobile number as people write it (0696 12 34 56, 00596…, +596 696…, 0612345678).

    Dialled forms are read as the first of PHONE_REGIONS would, then as the others, whose people live and work here too:
    0690, 0694 and 0612… parsed as Martinique's come out invalid, so each region must agree by itself (phonenumbers 9.0).
    Raises: Refusal("bad_phone") for fixed lines, short codes and anything that no SMS reaches.
    """
    import phonenumbers  # 10 ms, for the first who reads a number

    regions = settings.get().phone_regions
    if _mobiles(regions).fullmatch(text):  # as a gateway writes a sender: a twentieth of the time
        return text
    for region in regions:
        try:
            number = phonenumbers.parse(text.strip(), region)
        except phonenumbers.NumberParseException:
            continue
        if phonenumbers.number_type(number) in (  # of an invalid number it is UNKNOWN
            phonenumbers.PhoneNumberType.MOBILE,
            phonenumbers.PhoneNumberType.FIXED_LINE_OR_MOBILE,
        ):
            return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    raise Refusal("bad_phone")


@functools.cache
def _mobiles(regions: tuple[str, ...]) -> re.Pattern[str]:
    """What the mobile numbers of some regions look like in E.164 form, by the very patterns of `phonenumbers`."""
    from phonenumbers import PhoneMetadata

    known = filter(None, map(PhoneMetadata.metadata_for_region, regions))
    patterns = [(one.country_code, one.mobile.national_number_pattern) for one in known if one.mobile]
    return re.compile("|".join(rf"\+{country}(?:{pattern})" for country, pattern in patterns))


def national(phone: str) -> str:
    """A number as people here dial it: +596596501234 -> 0596501234; one of elsewhere stays in its E.164 form."""
    import phonenumbers

    try:
        number = phonenumbers.parse(phone)
    except phonenumbers.NumberParseException:
        return phone
    if phonenumbers.region_code_for_number(number) != settings.get().phone_regions[0]:
        return phone
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.NATIONAL).replace(" ", "")


def reachable_phone(text: str) -> str:
    """The E.164 form of a mobile number to which this town sends. Raises: Refusal("bad_phone")."""
    phone = normalize_phone(text)
    if not phone.startswith(settings.get().sms_allowed_prefixes):
        raise Refusal("bad_phone")
    return phone


def ensure(phone: str) -> int:
    """The id of the person with this E.164 number, made when first met. Call inside a transaction."""
    return meet(phone).id


class Met(NamedTuple):
    """A person as a message meets them."""

    id: int
    language: str | None  # chosen
    shown_language: str | None  # shown by their words
    opted_out_at: int | None


def meet(phone: str) -> Met:
    """The person with this E.164 number, made when first met. Call inside a transaction."""
    query = "SELECT id, language, shown_language, opted_out_at FROM person WHERE phone = ?"
    found = db.row(query, phone)
    if found is None:
        made = "INSERT INTO person (phone, created_at) VALUES (?, ?) ON CONFLICT DO NOTHING RETURNING id"
        number = db.value(made, phone, _now())
        found = (number, None, None, None) if number else db.row(query, phone)
        assert found is not None
    return Met(*found)


def known(phone: str) -> int | None:
    """The id of the person with this E.164 number; None when nobody has it."""
    found: int | None = db.value("SELECT id FROM person WHERE phone = ?", phone)
    return found


def alias(phone: str) -> str:
    """A name for an E.164 number that only this site can make: what counts a number without keeping it, and goes on
    counting when the number is forgotten.
    """
    return hmac.digest(settings.get().secret_key.encode(), phone.encode(), "sha256").hex()[:24]


# The condition that a row's person opted out; `{row}` is its table, or another name of it.
OPTED_OUT = "EXISTS (SELECT 1 FROM person p WHERE p.id = {row}.person_id AND p.opted_out_at IS NOT NULL)"


def reach(person_id: int) -> tuple[str | None, bool]:
    """The E.164 number of a person (None for those who have none, or have it no more), and whether they opted out."""
    phone, opted_out_at = db.row("SELECT phone, opted_out_at FROM person WHERE id = ?", person_id) or (None, None)
    return phone, opted_out_at is not None


def phone_of(person_id: int) -> str | None:
    """The E.164 number of a person; None for those who have none, or have it no more."""
    found: str | None = db.value("SELECT phone FROM person WHERE id = ?", person_id)
    return found


def lock(person_id: int) -> None:
    """Take a person's lock by writing it: after a listing's, where both are taken. Inside a transaction."""
    db.run("UPDATE person SET language = language WHERE id = ?", person_id)


def export(person_id: int) -> dict[str, Any]:
    """What is kept of a person here, and the roles they were given; times are milliseconds since 1970."""
    query = "SELECT phone, name, language, shown_language, opted_out_at, created_at FROM person WHERE id = ?"
    tokens = "SELECT role, place_id, created_at, revoked_at FROM token WHERE person_id = ? ORDER BY id"
    return {**db.dicts(query, person_id)[0], "tokens": db.dicts(tokens, person_id)}


def nobody() -> int:
    """NOBODY, made when first needed. Inside a transaction."""
    db.insert_once(Person, id=NOBODY, created_at=clock.now())
    return NOBODY


def forget(person_id: int) -> None:
    """Nothing tells who this was any more: no number, no name, no STOP, no token that works. Takes the person's lock.

    The language stays, for statistics. Inside a transaction.
    """
    db.run("UPDATE person SET phone = NULL, name = '', opted_out_at = NULL WHERE id = ?", person_id)
    db.run("UPDATE token SET revoked_at = ? WHERE person_id = ? AND revoked_at IS NULL", _now(), person_id)


def forget_sessions(days: int) -> int:
    """Drop the sessions that ended more than `days` ago, a batch at most; how many went. Inside a transaction."""
    return db.prune("token", "id", "expires_at < ?", _now() - days * 86_400_000)


def whose(actor: Actor, phone: str | None) -> int:
    """Whom an actor reserves for: themselves, or the person of a phone number when staff act for someone.

    Raises: Refusal("bad_phone" | "phone_not_allowed"). Call inside a transaction.
    """
    if phone is None:
        assert actor.person_id is not None
        return actor.person_id
    if actor.role not in ("staff", "admin"):
        raise Refusal("phone_not_allowed")
    return ensure(reachable_phone(phone))


def is_builder(person_id: int) -> bool:
    """True for somebody with a live builder's token: they build for a living, also when they text."""
    query = (
        "SELECT 1 FROM token t WHERE t.person_id = ? AND t.role = 'builder' AND t.revoked_at IS NULL "
        "AND (t.expires_at IS NULL OR t.expires_at > ?) LIMIT 1"
    )
    return db.value(query, person_id, _now()) is not None


def language(person_id: int, default: str) -> str:
    """The language to write to somebody in: chosen, else shown by their words, else `default`."""
    found = db.row("SELECT language, shown_language FROM person WHERE id = ?", person_id)
    return (found and (found[0] or found[1])) or default


def choose_language(person_id: int, code: str) -> None:
    """Keep the language that somebody chose; it wins over what their words show."""
    db.run("UPDATE person SET language = ? WHERE id = ?", code, person_id)


def note_shown_language(person_id: int, code: str) -> None:
    """Keep the language that somebody's words show."""
    db.run("UPDATE person SET shown_language = ? WHERE id = ? AND language IS NULL", code, person_id)


def opt_out(person_id: int) -> None:
    """STOP: nothing more is sent to this person until START. Reservations stay valid."""
    db.run("UPDATE person SET opted_out_at = ? WHERE id = ? AND opted_out_at IS NULL", _now(), person_id)


def opt_out_phone(phone: str) -> None:
    """Opt out the person of an E.164 number, as their operator or the provider asked; nobody is made of it."""
    person_id = known(phone)
    if person_id is not None:
        opt_out(person_id)


def opt_in(person_id: int) -> None:
    """START: messages are wanted again."""
    db.run("UPDATE person SET opted_out_at = NULL WHERE id = ?", person_id)


def is_opted_out(person_id: int) -> bool:
    return db.value("SELECT opted_out_at FROM person WHERE id = ?", person_id) is not None


def issue_token(role: str, place_id: int | None = None, phone: str | None = None) -> str:
    """A new token, in clear: it cannot be read again. With a phone, the token acts as the person of that number.

    Raises: Refusal("bad_phone").
    """
    assert role in ROLES, role
    token = secrets.token_urlsafe(32)
    with db.transaction():
        # Without a phone the token is somebody of its own, whom no SMS reaches.
        person_id = ensure(normalize_phone(phone)) if phone else Person.insert(created_at=clock.now()).execute()
        Token.insert(
            digest=_digest(token), person=person_id, role=role, place_id=place_id, created_at=clock.now()
        ).execute()
    return token


def staff_of(phone: str) -> int | None:
    """The person of an E.164 number who has a lasting token of staff or admin; None when nobody has."""
    found: int | None = db.value(
        "SELECT p.id FROM person p WHERE p.phone = ? AND EXISTS "
        f"(SELECT 1 FROM token t WHERE t.person_id = p.id AND {STAFF})",
        phone,
    )
    return found


def issue_session(person_id: int, expires_at: datetime) -> str:
    """A token that ends by itself, or with the widest token of a member of staff, whose role and place it has.

    Inside a transaction.
    """
    widest = (
        f"SELECT t.id, t.role, t.place_id FROM token t WHERE t.person_id = ? AND {STAFF} ORDER BY t.role, t.id DESC"
    )
    parent_id, role, place_id = db.row(f"{widest} LIMIT 1", person_id) or (None, "resident", None)
    token = secrets.token_urlsafe(32)
    Token.insert(
        digest=_digest(token),
        person=person_id,
        role=role,
        place_id=place_id,
        created_at=clock.now(),
        expires_at=expires_at,
        parent_id=parent_id,
    ).execute()
    return token


def revoke_token(token: str) -> bool:
    """Make a token, and the sessions that came from it, worth nothing from now on; False when it is worth nothing already."""
    with db.transaction():
        query = "UPDATE token SET revoked_at = ? WHERE digest = ? AND revoked_at IS NULL"
        return bool(db.run(query, _now(), _digest(token)))


def actor_for(token: str, door: str) -> Actor:
    """Whom a bearer token stands for. Raises: Refusal("bad_token")."""
    found = db.row(
        "SELECT person_id, role, place_id FROM token t WHERE digest = ? AND revoked_at IS NULL "
        "AND (expires_at IS NULL OR expires_at > ?) "
        "AND NOT EXISTS (SELECT 1 FROM token p WHERE p.id = t.parent_id AND p.revoked_at IS NOT NULL)",
        _digest(token),
        _now(),
    )
    if found is None:
        raise Refusal("bad_token")
    return Actor(found[0], found[1], door, found[2])


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def _now() -> int:
    return clock.now_ms()

"""What `flask doctor` looks at: each finding names what is wrong and what to do about it.

A door that has something to look at hands its own examiners over (`app.py` does).
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
from typing import Literal, NamedTuple, TypeAlias

from peewee import PeeweeException

from circular import db, i18n, search, settings

LOW_SPACE = 500 * 1024 * 1024  # bytes


class Finding(NamedTuple):
    level: Literal["ok", "mind", "wrong"]
    subject: str
    text: str


Examiner: TypeAlias = Callable[[], list[Finding]]


def examine(others: Iterable[Examiner] = ()) -> list[Finding]:
    """Every finding, the reassuring ones too; those of `others` once there is a database whose tables are up to date."""
    found = [*_settings(), *_database(), *_texts()]
    if not any(finding.level == "wrong" and finding.subject in ("database", "migrations") for finding in found):
        found += [finding for look in others for finding in look()]
    return found


def _settings() -> list[Finding]:
    chosen = settings.get()
    found = [Finding("ok", "mode", chosen.mode)]
    for name in ("secret_key", "sms_webhook_secret"):
        if getattr(chosen, name) == settings.DEMO_SECRET:
            found.append(
                Finding("mind", name.upper(), "still the public default: set it before anybody outside can reach this")
            )
    if chosen.secret_key == chosen.sms_webhook_secret and chosen.secret_key != settings.DEMO_SECRET:
        found.append(
            Finding("mind", "SECRET_KEY", "the same as SMS_WEBHOOK_SECRET, which stands in an address: make two")
        )
    if not chosen.demo and chosen.sms_gateway == "africastalking" and chosen.africastalking_username == "sandbox":
        found.append(
            Finding("mind", "AFRICASTALKING_USERNAME", "the sandbox sends no real SMS: give the account's name")
        )
    if not chosen.sms_sender and chosen.sms_gateway != "console":
        found.append(Finding("mind", "SMS_SENDER", "empty: the pages cannot say where to text"))
    return [*found, Finding("ok", "SMS_GATEWAY", chosen.sms_gateway)]


def _database() -> list[Finding]:
    try:
        db.connect()
        pending = db.pending_migrations()
    except PeeweeException as error:
        remedy = "check DATABASE_URL, and that its server runs"
        return [Finding("wrong", "database", f"{db.first_line(error)}: {remedy}")]
    found = [Finding("ok", "database", "SQLite" if db.is_sqlite() else "PostgreSQL")]
    if pending:
        return [*found, Finding("wrong", "migrations", f"{', '.join(pending)} pending: run `flask migrate`")]
    if db.is_sqlite():
        durable = db.value("PRAGMA synchronous") == 2 and db.value("PRAGMA journal_mode") == "wal"
        found.append(
            Finding("ok", "durability", "WAL, synchronous=FULL")
            if durable
            else Finding("wrong", "durability", "not WAL with synchronous=FULL: a power cut may lose reservations")
        )
        free = shutil.disk_usage(db.sqlite_path().parent).free
        if free < LOW_SPACE:
            found.append(Finding("wrong", "storage", f"{free // 2**20} MB left: free some space"))
    if not search.installed():
        found.append(Finding("wrong", "search", "the index is missing: run `flask migrate`"))
    if not db.value("SELECT 1 FROM concept LIMIT 1"):
        found.append(Finding("wrong", "search", "the vocabulary is missing: run `flask migrate`"))
    if db.counters().get(search.REINDEX):
        found.append(Finding("mind", "search", "listings are being indexed anew, by the server or `flask sms deliver`"))
    if not db.value("SELECT 1 FROM place LIMIT 1"):
        found.append(Finding("mind", "places", "none yet: run `flask seed` or `flask import places FILE`"))
    return found


def _texts() -> list[Finding]:
    found = []
    for domain in i18n.DOMAINS:
        for language in i18n.LANGUAGES:
            count = i18n.unverified(domain, language)
            if count:
                found.append(Finding("mind", f"texts {domain}/{language}", f"{count} wait for a native reader"))
    return found

"""Refusals in HTTP's words: the status, the headers and the sentence that the API and the web door share."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from flask import request
from werkzeug.exceptions import HTTPException

from circular import db, i18n, settings, sign_in
from circular.errors import FIELD_ERRORS, FieldError, FieldErrors, Kind, Refusal
from circular.people import Actor

STATUS = {
    Kind.UNREADABLE: 400,
    Kind.UNAUTHENTICATED: 401,
    Kind.FORBIDDEN: 403,
    Kind.MISSING: 404,
    Kind.WRONG_METHOD: 405,
    Kind.CONFLICT: 409,
    Kind.STALE: 412,
    Kind.TOO_LARGE: 413,
    Kind.UNSUPPORTED: 415,
    Kind.INVALID: 422,
    Kind.UNCONDITIONAL: 428,
    Kind.TOO_MANY: 429,
    Kind.BROKEN: 500,
    Kind.UNAVAILABLE: 503,
}
TITLES = {
    400: "Bad request", 401: "Not signed in", 403: "Not allowed", 404: "Not found", 405: "Method not allowed",
    409: "Conflict", 412: "Changed meanwhile", 413: "Too large", 415: "Wrong content type", 422: "Not valid",
    428: "Precondition required", 429: "Too many requests", 500: "Broken", 503: "Unavailable",
}  # fmt: skip
# Facts that are codes of a list: their name in a sentence is `pgettext(context, code)`.
CODES = {"unit": "unit", "state": "state", "kind": "kind"}
log = logging.getLogger(__name__)


def status_of(refusal: Refusal) -> int:
    """The HTTP status of a refusal."""
    return STATUS[refusal.rule.kind]


def title_of(status: int) -> str:
    """What a status is called, in the language of the request."""
    return i18n.gettext(TITLES[status])


def sentence(refusal: Refusal) -> str:
    """What a refusal says, in the language of the request."""
    return i18n.gettext(refusal.rule.sentence, **_readable(refusal.facts))


def field_sentences(errors: Mapping[str, FieldError]) -> dict[str, list[str]]:
    """What is wrong with each field, in the language of the request."""
    return {name: [i18n.gettext(FIELD_ERRORS[error.code], **_readable(error.facts))] for name, error in errors.items()}


def _readable(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Facts as people read them: local days and times, decimals with the language's mark, names instead of codes."""
    return {name: _read_aloud(name, fact) for name, fact in facts.items() if name != "language"}


def _read_aloud(name: str, fact: Any) -> Any:
    language, timezone = i18n.current(), settings.get().timezone
    if isinstance(fact, datetime):
        return f"{i18n.format_day(fact, language, timezone)} {i18n.format_time(fact, language, timezone)}"
    if isinstance(fact, float):
        return i18n.format_number(fact, language)
    return i18n.pgettext(CODES[name], fact) if name in CODES and isinstance(fact, str) else fact


def headers_of(refusal: Refusal, error: Exception) -> dict[str, str]:
    """The headers that say the rest: when to try again, which methods would do, how to sign in."""
    status = status_of(refusal)
    headers = {"Content-Language": i18n.current(), "Cache-Control": "no-store"}
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if "retry_after" in refusal.facts:
        headers["Retry-After"] = str(refusal.facts["retry_after"])
    elif status == 503:
        headers["Retry-After"] = "2"
    allowed = getattr(error, "valid_methods", None)
    if allowed:
        headers["Allow"] = ", ".join(sorted(allowed))
    return headers


def refusal_of(error: Exception) -> Refusal:
    """The refusal that an exception amounts to. What nobody foresaw is logged under a number and told as `broken`."""
    if isinstance(error, Refusal):
        return error
    if isinstance(error, HTTPException):
        return _http(error)
    if isinstance(error, RecursionError):  # JSON nested thousands deep
        return Refusal("bad_json")
    known = db.refusal_for(error)
    db.drop_broken_connection(error)
    if known is not None:
        log.warning("refused with %s: %s", known.code, type(error).__name__)
        return known
    incident = secrets.token_hex(4)
    log.error("incident %s", incident, exc_info=error)
    return Refusal("broken", incident=incident)


def _http(error: HTTPException) -> Refusal:
    if error.code == 422:
        return _invalid(getattr(error, "data", {}).get("messages", {}))
    if error.code == 413:
        return Refusal("too_large", limit=request.max_content_length)
    if error.code == 405:
        return Refusal("wrong_method", method=request.method)
    if error.code == 415:
        return Refusal("wrong_content_type", expected="application/json")
    return Refusal("no_such_page" if error.code == 404 else "bad_json")


def _invalid(messages: Mapping[str, Any]) -> Refusal:
    """Field errors from webargs ({location: {field: messages}}), said by the codes of `errors.FIELD_ERRORS`."""
    errors = FieldErrors()
    for by_field in messages.values():
        for field, said in by_field.items() if isinstance(by_field, Mapping) else [("body", by_field)]:
            text = str(said)
            code = "unknown_field" if "Unknown" in text else "required" if "Missing" in text else "wrong_type"
            errors.add(str(field), code)
    return Refusal("invalid", errors=errors)


def refuse_foreign_form() -> None:
    """Raises: Refusal("foreign_form") when another host's page sent this. Browsers without Sec-Fetch-Site name an Origin."""
    site = request.headers.get("Sec-Fetch-Site")
    origin = request.headers.get("Origin")
    foreign = (
        site not in ("same-origin", "none") if site else origin is not None and urlsplit(origin).netloc != request.host
    )
    if foreign:
        raise Refusal("foreign_form")


DESK_COOKIE = "desk"


def signed_in() -> Actor:
    """The member of staff who is signed in at the desk. Raises: Refusal("sign_in_needed")."""
    return sign_in.actor_for(request.cookies.get(DESK_COOKIE))

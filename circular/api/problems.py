"""Refusals as RFC 9457 problems: `application/problem+json` in the reader's language, with the code and its facts."""

from __future__ import annotations

import json
import logging
import secrets
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from flask import Response, request
from werkzeug.exceptions import HTTPException

from circular import clock, db, i18n
from circular.errors import FIELD_ERRORS, FieldError, FieldErrors, Kind, Refusal

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
log = logging.getLogger(__name__)


def sentence(refusal: Refusal) -> str:
    """What a refusal says, in the language of the request."""
    return i18n.gettext(refusal.rule.sentence, **_readable(refusal.facts))


def field_sentences(errors: Mapping[str, FieldError]) -> dict[str, list[str]]:
    """What is wrong with each field, in the language of the request."""
    return {name: [i18n.gettext(FIELD_ERRORS[error.code], **error.facts)] for name, error in errors.items()}


def _readable(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {name: clock.rfc3339(fact) if isinstance(fact, datetime) else fact for name, fact in facts.items()}


def status_of(refusal: Refusal) -> int:
    """The HTTP status of a refusal."""
    return STATUS[refusal.rule.kind]


def problem(refusal: Refusal) -> Response:
    """A refusal as a response."""
    status = status_of(refusal)
    body: dict[str, Any] = {
        **_readable({name: fact for name, fact in refusal.facts.items() if name != "errors"}),
        "type": f"urn:circular:problem:{refusal.code}",
        "title": i18n.gettext(TITLES[status]),
        "status": status,
        "detail": sentence(refusal),
        "code": refusal.code,
    }
    if "errors" in refusal.facts:
        body["errors"] = field_sentences(refusal.facts["errors"])
    response = Response(
        json.dumps(body, ensure_ascii=False, default=str), status, content_type="application/problem+json"
    )
    response.headers["Content-Language"] = i18n.current()
    response.headers["Cache-Control"] = "no-store"
    if status == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
    if "retry_after" in refusal.facts:
        response.headers["Retry-After"] = str(refusal.facts["retry_after"])
    elif status == 503:
        response.headers["Retry-After"] = "2"
    return response


def refusal_of(error: Exception) -> Refusal:
    """The refusal that an exception amounts to. What nobody foresaw is logged under a number and told as `broken`."""
    if isinstance(error, Refusal):
        return error
    if isinstance(error, HTTPException):
        return _http(error)
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

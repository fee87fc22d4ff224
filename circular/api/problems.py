"""Refusals as RFC 9457 problems: `application/problem+json` in the reader's language, with the code and its facts."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from flask import Response

from circular import clock
from circular.api import writing
from circular.http import field_sentences, headers_of, refusal_of, sentence, status_of, title_of

# The contract has one code for a number under which there is nothing. That it was mistyped is told beside it.
MISTYPED = {"bad_code": "no_such_listing"}


def problem(error: Exception) -> Response:
    """An exception as a problem. Its members are facts for programs (RFC 3339, codes); its sentences are for people."""
    refusal = refusal_of(error)
    status = status_of(refusal)
    code = MISTYPED.get(refusal.code, refusal.code)
    body: dict[str, Any] = {
        **{name: _plain(name, fact) for name, fact in refusal.facts.items() if name != "errors"},
        "type": f"urn:circular:problem:{code}",
        "title": title_of(status),
        "status": status,
        "detail": sentence(refusal),
        "code": code,
    }
    if refusal.code in MISTYPED:
        body["mistyped"] = True
    if "errors" in refusal.facts:
        body["errors"] = field_sentences(refusal.facts["errors"])
    response = Response(
        json.dumps(body, ensure_ascii=False, default=str), status, content_type="application/problem+json"
    )
    response.headers.update(headers_of(refusal, error))
    return response


def _plain(name: str, fact: Any) -> Any:
    if name == "needs":  # of a project that cannot be built
        return [writing.feasible_need(need) for need in fact]
    return clock.rfc3339(fact) if isinstance(fact, datetime) else fact

"""Who asks (a bearer token), and how a write is done once."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Callable
from typing import Any

from flask import Response, current_app, g, request

from circular import idempotency, people
from circular.api import writing
from circular.errors import Refusal
from circular.people import Actor

ANYBODY = Actor(None, "resident", "api")


def actor() -> Actor:
    """The actor of the token. Raises: Refusal("no_token" | "bad_token")."""
    found = visitor()
    if found is ANYBODY:
        raise Refusal("no_token")
    return found


def visitor() -> Actor:
    """The actor of the token, or anybody when none was sent. Raises: Refusal("bad_token")."""
    found: Actor | None = g.get("actor")
    if found is None:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if not scheme:
            found = ANYBODY
        elif scheme.lower() != "bearer":
            raise Refusal("no_token")
        else:
            found = people.actor_for(token.strip(), "api")
        g.actor = found
    return found


def idempotency_key() -> str | None:
    """The Idempotency-Key of the request, cut to 255 characters."""
    return request.headers.get("Idempotency-Key", "").strip()[:255] or None


def origin(who: Actor, body: Any) -> str:
    """The name of this request in the noun's log: the same for a repeat with the same Idempotency-Key and body, for ever
    (first answers are forgotten after two days; a key used again for something else is then another request).
    """
    key = idempotency_key()
    if not key:
        return f"api:{uuid.uuid4()}"
    return f"api:{who.person_id}:{key}:{hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()[:16]}"


def once(who: Actor, body: Any, act: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Do a write that creates, once for each Idempotency-Key of this person."""
    request_is = [request.method, request.path, body]
    return idempotency.once(who.person_id, idempotency_key(), request_is, _limit(), act)


def write(who: Actor, act: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Do a write that repeats harmlessly by itself."""
    return idempotency.once(who.person_id, None, None, _limit(), act)


def done(
    written: Callable[[dict[str, Any], Actor], dict[str, Any]], verb: Callable[..., dict[str, Any]], /, *args: object
) -> Response:
    """Let whoever asks do a noun's `verb`, which repeats harmlessly by itself; its facts as `written` for them."""
    who = actor()
    return writing.respond(write(who, lambda: written(verb(who, *args), who)))


def _limit() -> int:
    return int(current_app.config["CIRCULAR"].writes_per_minute)


def revision() -> int | None:
    """The revision that the client read, from If-Match; None for `*`.

    Raises: Refusal("precondition_required" | "stale").
    """
    text = request.headers.get("If-Match", "").strip()
    if not text:
        raise Refusal("precondition_required")
    if text == "*":
        return None
    number = text.strip('"')
    if not (number.isascii() and number.isdigit() and len(number) < 10):
        raise Refusal("stale")
    return int(number)

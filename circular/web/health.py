"""For machines that watch this one: `/healthz` (the process answers), `/readyz` (it can work)."""

from __future__ import annotations

import logging

from flask import Blueprint, Response, current_app

from circular import db

blueprint = Blueprint("health", __name__)
log = logging.getLogger(__name__)


@blueprint.get("/healthz")
def healthz() -> Response:
    """The process answers: nothing else is asked, so that a slow database restarts no process."""
    return _say("ok", 200)


@blueprint.get("/readyz")
def readyz() -> Response:
    """The database answers and its tables are up to date. What else is wrong is said in more lines: the site works."""
    try:
        db.value("SELECT 1")
        if db.pending_migrations():
            return _say("migrations are pending: run `flask migrate`", 503)
        alarms = [alarm for look in current_app.config["ALARMS"] for alarm in look()]
    except Exception as error:  # whatever it is, the answer is that it cannot work
        log.warning("not ready: %s", type(error).__name__)
        db.drop_broken_connection(error)  # the next time asks by another one
        return _say("the database does not answer", 503)
    return _say("\n".join(["ok", *(f"{alarm.subject}: {alarm.text}" for alarm in alarms)]), 200)


def _say(text: str, status: int) -> Response:
    return Response(
        f"{text}\n", status, content_type="text/plain; charset=utf-8", headers={"Cache-Control": "no-store"}
    )

"""kill -9 at every statement: after a restart the message has one effect and one answer, or it is done over; never half."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest
from flask.testing import FlaskClient

from circular import db, reservations, settings
from sms import inbox, messages
from sms.gateways.base import Inbound
from tests.town import FABIOLA, Town

CHILD = """
import sys
from tests.fatal import die_before
from circular import db, settings
from sms import inbox
settings.use(settings.load({"DATABASE_URL": sys.argv[1]}))
db.open_database(sys.argv[1]); db.connect()
die_before(int(sys.argv[2]))
inbox.handle_pending()
"""


def test_kill_at_every_statement(town: Town, database_url: str) -> None:
    """A worker is killed before its 1st, 2nd, 3rd… statement, until it lives; each time the next one finishes the work."""
    code = town.listing(quantity=1000)["code"]
    for point in range(300):
        with db.transaction():
            db.run("DELETE FROM tally")
        external_id = f"kill-{point}"
        messages.store_inbound("africastalking", Inbound(external_id, FABIOLA, "40404", f"R {code}", None))
        db.close()
        child = subprocess.run(
            [sys.executable, "-c", CHILD, database_url, str(point)], check=False, capture_output=True, text=True,
            cwd=settings.ROOT, env={**os.environ, "PYTHONPATH": str(settings.ROOT)},
        )  # fmt: skip
        db.connect()
        assert child.returncode in (0, -signal.SIGKILL), child.stderr

        inbox.handle_pending()

        answers = db.rows("SELECT text FROM outbound_message WHERE in_reply_to = ?",
                          messages.inbound_id("africastalking", external_id))  # fmt: skip
        held = reservations.mine(town.person().person_id or 0)
        assert len(answers) == 1 and answers[0][0].startswith("Réservé")
        assert len(held) == 1 and town.available(code) == 999
        reservations.cancel(town.person(), held[0]["reference"])
        if child.returncode == 0:
            break
    assert child.returncode == 0 and point > 10


def test_nothing_acknowledged_is_lost_when_the_disk_is_full(
    town: Town, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What cannot be stored is not acknowledged: the provider is told to come again."""
    from peewee import OperationalError

    def full(*_args: object, **_kwargs: object) -> None:
        raise OperationalError("database or disk is full")

    monkeypatch.setattr(messages, "store_inbound", full)
    form = {"id": "1", "from": FABIOLA, "to": "1", "text": "bois", "date": ""}

    assert client.post("/sms/africastalking/demo/inbound", data=form).status_code == 503

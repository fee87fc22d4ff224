"""Fault points: a process dies with SIGKILL before its n-th statement; and what must be so whenever one has died."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Callable
from typing import Any

from circular import db, settings


def die_before(left: int) -> None:
    """Kill this process before the statement (a commit is one) that follows `left` others. The database must be open."""
    opened = type(db.database.obj)

    def counted(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            nonlocal left
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            left -= 1
            return real(*args, **options)

        return call

    for name in ("execute_sql", "commit"):
        setattr(opened, name, counted(getattr(opened, name)))
    if db.is_sqlite():  # which most statements reach without peewee
        db._execute = counted(db._execute)


def killed_before(point: int, act: Callable[[], object]) -> bool:
    """Do `act` in a process of its own that dies before its statement number `point` (from 0): True when it died, False
    when it lived to acknowledge. Whatever it held is let go when this returns.

    A fork, as a fresh interpreter for each statement takes half a second. Raises: AssertionError when `act` failed.
    """
    url = settings.get().database_url
    db.close()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            db.open_database(url)
            db.connect()
            die_before(point)
            act()
            code = 0
        except BaseException:
            traceback.print_exc(file=sys.__stderr__)
        os._exit(code)
    _, status = os.waitpid(child, 0)
    db.connect()
    if not db.is_sqlite():
        # PostgreSQL's server notices a dead client when it next reads from it, a moment later on a busy machine. Until then
        # the row is locked, and who skips locked rows (a worker) finds nothing to do: this test failed once by that.
        db.rows(
            "SELECT pg_terminate_backend(pid, 30000) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    died = os.WIFSIGNALED(status)
    assert (os.WTERMSIG(status) == signal.SIGKILL) if died else os.WEXITSTATUS(status) == 0
    return died


# What is half-done, in one query each: nothing, ever.
HALVES = {
    "a hold without its line in the log": "SELECT 1 FROM reservation r WHERE (SELECT COUNT(*) FROM reservation_event e "
    "WHERE e.reservation_id = r.id AND e.verb = 'reserve') <> 1",
    "an end without its line in the log": "SELECT 1 FROM reservation r WHERE r.ended_at IS NOT NULL "
    "AND r.starts_at IS NULL AND (SELECT COUNT(*) FROM reservation_event e WHERE e.reservation_id = r.id AND "
    "CASE r.state WHEN 'expired' THEN e.verb = 'expire' WHEN 'no_show' THEN e.verb = 'no_show' "
    "WHEN 'cancelled' THEN e.verb IN ('cancel', 'withdraw', 'refuse', 'give_up') ELSE e.verb = 'pick_up' END) <> 1",
    "ready without its line in the log": "SELECT 1 FROM reservation r WHERE (r.state = 'prepared') AND "
    "(SELECT COUNT(*) FROM reservation_event e WHERE e.reservation_id = r.id AND e.verb = 'prepare') <> 1",
    "forgiven without its line in the log": "SELECT 1 FROM reservation r WHERE (r.forgiven_at IS NOT NULL) <> EXISTS "
    "(SELECT 1 FROM reservation_event e WHERE e.reservation_id = r.id AND e.verb = 'forgive')",
    "an end that is none": "SELECT 1 FROM reservation WHERE (ended_at IS NULL) <> (state IN ('held', 'prepared'))",
    "more promised than there is": "SELECT 1 FROM listing l WHERE l.quantity < COALESCE((SELECT SUM(r.quantity) "
    "FROM reservation r WHERE r.listing_id = l.id AND r.starts_at IS NULL AND r.state IN ('held', 'prepared')), 0)",
    "one hour of one thing for two": "SELECT 1 FROM reservation a JOIN reservation b ON b.listing_id = a.listing_id "
    "AND b.id > a.id AND b.starts_at < a.ends_at AND a.starts_at < b.ends_at JOIN listing l ON l.id = a.listing_id "
    "WHERE l.quantity = 1000 AND a.state IN ('held', 'prepared', 'picked_up') "
    "AND b.state IN ('held', 'prepared', 'picked_up')",
    "two offers of one thing": "SELECT 1 FROM waiting a JOIN waiting b ON b.listing_id = a.listing_id AND b.id > a.id "
    "WHERE a.state = 'offered' AND b.state = 'offered' "
    "AND (a.starts_at IS NULL OR (a.starts_at < b.ends_at AND b.starts_at < a.ends_at))",
    "an offer of which nobody was told": "SELECT 1 FROM waiting w WHERE w.state = 'offered' AND NOT EXISTS "
    "(SELECT 1 FROM notice n WHERE n.person_id = w.person_id AND n.kind = 'offer')",
    "a winner without a reservation": "SELECT 1 FROM entry e WHERE (e.state = 'won') <> EXISTS "
    "(SELECT 1 FROM reservation r WHERE r.origin = e.origin)",
    "a draw that is half drawn": "SELECT 1 FROM entry e JOIN draw d ON d.id = e.draw_id "
    "WHERE (d.state = 'planned') <> (e.state = 'entered') AND e.state <> 'withdrawn'",
    "a rule without its window": "SELECT 1 FROM listing l WHERE (l.allocation <> 'first_come') <> EXISTS "
    "(SELECT 1 FROM draw d WHERE d.listing_id = l.id AND d.state = 'planned')",
    "an answer to what was not handled, or none": "SELECT 1 FROM inbound_message m WHERE (m.state = 'handled') <> EXISTS "
    "(SELECT 1 FROM outbound_message o WHERE o.in_reply_to = m.id)",
}


def halves() -> list[str]:
    """What is half-done in the database: an empty list, whatever died."""
    return [name for name, query in HALVES.items() if db.value(f"{query} LIMIT 1") is not None]

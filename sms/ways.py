"""The ways out: the town's gateways, which of them are down, the pace of each, and what a day may cost.

All of it is in rows, so that every process sees the same: who takes the next place, who tries the gateway that was down,
and how much was spent. The functions that write run inside the transaction of whoever claims or marks texts, after
`take_turn`.

A gateway works until it fails DOWN_AFTER times in a row. Then it is down: the next one in order sends, and now and then
one text tries the way back.
"""

from __future__ import annotations

import logging
import math
import random
from collections.abc import Sequence
from typing import Any, NamedTuple

from peewee import BigIntegerField, IntegerField, TextField

from circular import clock, db, settings
from sms.gateways.base import Gateway

DOWN_AFTER = 3  # failures in a row
LONGEST_PAUSE = 60.0  # seconds between two tries of a gateway while nothing else sends
LONGEST_PAUSE_BESIDE = 300.0  # the same while another one does: a try may delay somebody's text
LOOK = 30.0  # seconds between two questions how a gateway is: a modem's spool takes texts though nothing leaves it
TRY_LASTS = 60.0  # seconds: longer than any gateway takes for one text; then another process may try
FIRST_ALARM, FULL = 80, 100  # per cent of SMS_DAILY_LIMIT: from here on answers alone, from here on nothing
log = logging.getLogger(__name__)


class GatewayState(db.Table):
    """What became of the last texts of a gateway. `next_at` is its pace: the moment from which it is idle."""

    name = TextField(primary_key=True)
    next_at = BigIntegerField(default=0)
    failures = IntegerField(default=0)
    retry_at = BigIntegerField(default=0)
    down_since = BigIntegerField(null=True)
    last_ok_at = BigIntegerField(null=True)
    last_failed_at = BigIntegerField(default=0)
    last_reason = TextField(default="")


class SmsDay(db.Table):
    """What was sent on a local day (ISO), and the highest alarm that was raised for it, in per cent."""

    day = TextField(primary_key=True)
    segments = BigIntegerField(default=0)
    alarm = IntegerField(default=0)


class State(NamedTuple):
    next_at: int = 0
    failures: int = 0
    retry_at: int = 0
    down_since: int | None = None


# --- which gateway ----------------------------------------------------------------------------------------------------
def order() -> tuple[str, ...]:
    """The names of the gateways that send, in the order in which they are asked."""
    chosen = settings.get()
    return tuple(dict.fromkeys((chosen.sms_gateway, *chosen.sms_fallback_gateways)))


def register(names: Sequence[str]) -> None:
    """Make the rows of gateways that have none yet."""
    with db.transaction():
        for name in names:
            db.insert_once(GatewayState, name=name, next_at=0, failures=0, retry_at=0, last_failed_at=0, last_reason="")


def take_turn(name: str) -> None:
    """Wait until no other process claims or marks texts: the first statement of the transaction that does."""
    db.run("UPDATE gateway_state SET next_at = next_at WHERE name = ?", name)


def read() -> dict[str, State]:
    """The state of every gateway that was ever used, by name."""
    found = db.rows("SELECT name, next_at, failures, retry_at, down_since FROM gateway_state")
    return {name: State(*rest) for name, *rest in found}


def may_try(state: State, now: int) -> bool:
    """Whether a gateway that failed may be tried again (a clock that was set back keeps nobody waiting)."""
    return not now < state.retry_at <= now + 2000 * LONGEST_PAUSE_BESIDE


def health(gateway: Gateway) -> str:
    """What is wrong with the way to a provider; "" when nothing is known to be. May block as long as a text; never raises."""
    try:
        return gateway.health()
    except Exception as error:  # it answers nothing else either
        return type(error).__name__


def trying(name: str) -> None:
    """A text tries a gateway that failed: no other process does until it is known what came of it."""
    db.run("UPDATE gateway_state SET retry_at = ? WHERE name = ?", _now() + int(1000 * TRY_LASTS), name)


def works(name: str) -> None:
    """A gateway answered. Raises the all-clear when it was down."""
    if db.run("UPDATE gateway_state SET down_since = NULL WHERE name = ? AND down_since IS NOT NULL", name):
        log.error("gateway %s works again", name)  # where the alarm went
    db.run("UPDATE gateway_state SET failures = 0, retry_at = 0, last_ok_at = ? WHERE name = ?", _now(), name)


def fails(name: str, reason: str, since: int, *, wait: float | None, taken: bool, beside: bool) -> None:
    """A gateway took nothing of what it was handed at `since`, or did not say so (`taken`: perhaps it did).

    What failed at one moment counts once. `wait` is the pause that the gateway asked for, in seconds: a long one means
    that nothing passes until somebody mends it, and takes it down at once. `beside`: another gateway sends meanwhile.
    """
    now = _now()
    hopeless = wait is not None and wait >= LONGEST_PAUSE
    first = db.run(
        "UPDATE gateway_state SET failures = failures + ?, last_failed_at = ?, last_reason = ? "
        "WHERE name = ? AND (last_failed_at <= ? OR last_failed_at > ?)",
        DOWN_AFTER if hopeless else 1, now, reason, name, since, now,
    )  # fmt: skip
    if not first:
        return
    failures = int(db.value("SELECT failures FROM gateway_state WHERE name = ?", name))
    if wait is None:
        # Whoever waited in vain for an answer has waited long enough.
        wait = (
            0 if taken and failures < DOWN_AFTER else pause(failures, LONGEST_PAUSE_BESIDE if beside else LONGEST_PAUSE)
        )
    again = now + int(1000 * min(wait, LONGEST_PAUSE_BESIDE))
    db.run("UPDATE gateway_state SET retry_at = ? WHERE name = ?", again, name)
    if failures >= DOWN_AFTER and db.run(
        "UPDATE gateway_state SET down_since = ? WHERE name = ? AND down_since IS NULL", now, name
    ):
        log.error("gateway %s is down: %s", name, reason)


def pause(failures: int, longest: float, first: float = 1.0) -> float:
    """1, 2, 4… times `first` up to `longest` seconds, with a little chance in it: processes do not knock together."""
    wait = min(longest, first * 2.0 ** min(max(failures, 1) - 1, 20))
    return wait * random.uniform(0.8, 1.2)  # noqa: S311 - spreads tries, guards nothing


def gateways() -> list[dict[str, Any]]:
    """The gateways that send, in order, for people to read: `state` is up, failing or down; times are milliseconds."""
    query = "SELECT name, failures, down_since, retry_at, last_ok_at, last_failed_at, last_reason FROM gateway_state"
    found = {row["name"]: row for row in db.dicts(query)}
    blank: dict[str, Any] = {"failures": 0, "down_since": None, "retry_at": 0, "last_ok_at": None, "last_failed_at": 0}
    shown = []
    for name in order():
        row = {"name": name, **blank, "last_reason": "", **found.get(name, {})}
        state = "down" if row["down_since"] is not None else "failing" if row["failures"] else "up"
        shown.append({**row, "state": state, "last_failed_at": row["last_failed_at"] or None})
    return shown


# --- pace -------------------------------------------------------------------------------------------------------------
def places(next_at: int, now: int, per_second: float) -> int:
    """How many texts a gateway may be handed now: after a second of rest a second's worth, and one at least."""
    interval, window, ahead = _pace(next_at, now, per_second)
    return int((window - ahead) / interval + 1e-9)


def after(next_at: int, now: int, per_second: float, count: int) -> int:
    """`next_at` once `count` more texts were handed over."""
    interval, _, ahead = _pace(next_at, now, per_second)
    return now + ahead + math.ceil(count * interval)


def hand_over(name: str, next_at: int) -> None:
    """Texts were claimed for a gateway: the places are taken."""
    db.run("UPDATE gateway_state SET next_at = ? WHERE name = ?", next_at, name)


def _pace(next_at: int, now: int, per_second: float) -> tuple[float, float, int]:
    """Milliseconds: between two texts, of the longest burst, and of work that the gateway has before it."""
    interval = 1000 / per_second
    window = interval * max(1, int(per_second))
    ahead = next_at - now
    return interval, window, ahead if 0 < ahead <= window + 1 else 0  # more is a clock that was set back since


# --- spending ---------------------------------------------------------------------------------------------------------
def today() -> str:
    """The local day, ISO."""
    return clock.local(clock.now(), settings.get().timezone).date().isoformat()


def left(day: str) -> tuple[int, int]:
    """Segments that a day has left: for what somebody asked for, and for the rest (which leaves the last fifth alone)."""
    limit = settings.get().sms_daily_limit
    sent = db.value("SELECT segments FROM sms_day WHERE day = ?", day) or 0
    return max(0, limit - sent), max(0, limit * FIRST_ALARM // 100 - sent)


def spend(day: str, segments: int) -> None:
    """Texts are on their way. Raises the alarm, once a day each, at 80 and at 100 per cent of the limit."""
    limit = settings.get().sms_daily_limit
    sent = int(
        db.value(
            "INSERT INTO sms_day (day, segments, alarm) VALUES (?, ?, 0) ON CONFLICT (day) "
            "DO UPDATE SET segments = sms_day.segments + excluded.segments RETURNING segments",
            day,
            segments,
        )
    )
    reached = FULL if sent >= limit else FIRST_ALARM if sent * 100 >= limit * FIRST_ALARM else 0
    if reached and db.run("UPDATE sms_day SET alarm = ? WHERE day = ? AND alarm < ?", reached, day, reached):
        what = "nothing more is sent" if reached == FULL else "answers alone are sent"
        log.error("%s of %s texts of the day are spent: %s until tomorrow (SMS_DAILY_LIMIT)", sent, limit, what)


def refund(day: str, segments: int) -> None:
    """Texts were certainly not taken."""
    db.run("UPDATE sms_day SET segments = segments - ? WHERE day = ? AND segments >= ?", segments, day, segments)


def spending() -> dict[str, Any]:
    """What today has cost, for people to read: `alarm` is 0, 80 or 100 (per cent of the limit, reached or not)."""
    found = db.row("SELECT segments, alarm FROM sms_day WHERE day = ?", today()) or (0, 0)
    return {"day": today(), "segments": found[0], "limit": settings.get().sms_daily_limit, "alarm": found[1]}


def _now() -> int:
    return db.to_ms(clock.now())

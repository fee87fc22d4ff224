"""The only clock. Times are aware UTC datetimes inside; local wall time is for opening hours and for reading aloud."""

import time
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo


def now() -> datetime:
    """The present moment, UTC, to the millisecond (what the database keeps)."""
    moment = datetime.now(UTC)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def now_ms() -> int:
    """The present moment in milliseconds since 1970."""
    return time.time_ns() // 1_000_000


def local(moment: datetime, timezone: str) -> datetime:
    """`moment` as the wall clock of `timezone` (an IANA name) shows it."""
    return moment.astimezone(ZoneInfo(timezone))


def rfc3339(moment: datetime) -> str:
    """`2026-11-27T21:00:00Z`: the one form in which times leave by the API and by exports."""
    text = moment.astimezone(UTC).isoformat(timespec="milliseconds")
    return text.replace(".000+00:00", "Z").replace("+00:00", "Z")


def midnight(day: date, timezone: str) -> datetime:
    """The first moment of a local day, UTC."""
    return datetime.combine(day, datetime.min.time(), ZoneInfo(timezone)).astimezone(UTC)


def later(seconds: float) -> datetime:
    """The moment `seconds` from now, UTC."""
    return now() + timedelta(seconds=seconds)


# When people may be written to about what they did not ask for at that moment: local hours, Monday to Saturday (contract).
WAKING_FROM, WAKING_TO = 8, 20
SUNDAY = 6


def waking(moment: datetime, timezone: str) -> datetime:
    """The first moment from `moment` on, UTC, that is within waking hours in `timezone`."""
    here = local(moment, timezone)
    if WAKING_FROM <= here.hour < WAKING_TO and here.weekday() != SUNDAY:
        return moment
    start = here.replace(hour=WAKING_FROM, minute=0, second=0, microsecond=0)
    while start <= here or start.weekday() == SUNDAY:
        start += timedelta(days=1)
    return start.astimezone(UTC)


def after_waking(moment: datetime, hours: float, timezone: str) -> datetime:
    """The moment, UTC, at which so many waking hours have passed since `moment`."""
    left = timedelta(hours=hours)
    while True:
        moment = waking(moment, timezone)
        evening = local(moment, timezone).replace(hour=WAKING_TO, minute=0, second=0, microsecond=0).astimezone(UTC)
        if left <= evening - moment:
            return moment + left
        left -= evening - moment
        moment = evening

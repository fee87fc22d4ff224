"""The only clock. Times are aware UTC datetimes inside; local wall time is for opening hours and for reading aloud."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo


def now() -> datetime:
    """The present moment, UTC, to the millisecond (what the database keeps)."""
    moment = datetime.now(UTC)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def local(moment: datetime, timezone: str) -> datetime:
    """`moment` as the wall clock of `timezone` (an IANA name) shows it."""
    return moment.astimezone(ZoneInfo(timezone))


def rfc3339(moment: datetime) -> str:
    """`2026-11-27T21:00:00Z`: the one form in which times leave by the API and by exports."""
    text = moment.astimezone(UTC).isoformat(timespec="milliseconds")
    return text.replace(".000+00:00", "Z").replace("+00:00", "Z")


def later(seconds: float) -> datetime:
    """The moment `seconds` from now, UTC."""
    return now() + timedelta(seconds=seconds)

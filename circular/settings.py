"""Settings from the environment or a `.env` file: read once, checked once, immutable afterwards.

A wrong value stops the program with one line that names the setting (`SettingsError`). README documents every one of
them; `tests/test_docs.py` fails when it does not.
"""

from __future__ import annotations

import contextlib
import dataclasses
import ipaddress
import os
import pathlib
import re
import urllib.parse
import zoneinfo
from collections.abc import Mapping

import opening_hours
from dotenv import dotenv_values

ROOT = pathlib.Path(__file__).resolve().parent.parent
DEMO_SECRET = "demo"  # noqa: S105 - refused in production, reported by `flask doctor`
LANGUAGES = ("fr", "gcf", "ht", "en", "es", "pt")
GATEWAYS = ("console", "africastalking", "android", "kannel", "gammu")
# What a gateway cannot do without.
NEEDED = {
    "africastalking": ("africastalking_api_key",),
    "kannel": ("kannel_username", "kannel_password"),
    "gammu": ("gammu_spool",),
    "android": ("android_username", "android_password", "android_signing_key"),
}
FRENCH = ("MQ", "FR", "GP", "GF", "RE")  # regions
MODES = ("demo", "production")
_BOOLEANS = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}


class SettingsError(Exception):
    """One line: which setting is wrong, what was read and what is expected. Never holds a secret's value."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Every knob of the program. Durations are seconds unless the name says otherwise."""

    mode: str = "demo"
    database_url: str = f"sqlite:///{ROOT}/var/circular.db"
    secret_key: str = DEMO_SECRET
    host: str = "127.0.0.1"
    port: int = 8000
    threads: int = 3
    trusted_proxy: str = ""
    background: bool = True
    default_locale: str = "fr"
    timezone: str = "America/Martinique"
    country: str = "FR"
    town: str = "Le Lamentin"
    service_name: str = "Réemploi Lamentin"
    phone_regions: tuple[str, ...] = FRENCH
    default_opening_hours: str = "Mo-Sa 09:00-17:00"
    hold_opening_days: int = 7
    resident_max_holds: int = 3
    builder_max_holds: int = 2000
    no_show_limit: int = 3
    no_show_months: int = 6
    waitlist_offer_hours: int = 2
    writes_per_minute: int = 20_000
    web_reservations_per_hour: int = 120
    messages_kept_days: int = 90
    reservations_kept_days: int = 365
    sms_gateway: str = "console"
    sms_webhook_secret: str = DEMO_SECRET
    sms_sender: str = ""
    sms_allowed_prefixes: tuple[str, ...] = ("+596", "+590", "+594", "+262", "+33")
    africastalking_username: str = "sandbox"
    africastalking_api_key: str = ""
    africastalking_api_url: str = ""
    sms_fallback_gateways: tuple[str, ...] = ()
    sms_daily_limit: int = 10_000
    public_url: str = ""
    kannel_url: str = "http://127.0.0.1:13013"
    kannel_username: str = ""
    kannel_password: str = ""
    gammu_spool: str = ""
    android_url: str = "http://127.0.0.1:8080"
    android_username: str = ""
    android_password: str = ""
    android_signing_key: str = ""

    @property
    def demo(self) -> bool:
        """Demo mode shows pickup codes on the page and says everywhere that the data is made up."""
        return self.mode == "demo"


def _check(name: str, ok: bool, expected: str, value: object) -> None:
    if not ok:
        raise SettingsError(f"{name}: {expected}; got {value!r}")


def variable(field: str) -> str:
    """The environment's name of a field: `CIRCULAR_MODE` for `mode` (`MODE` alone is too common), else upper case."""
    return "CIRCULAR_MODE" if field == "mode" else field.upper()


def load(environ: Mapping[str, str | None] | None = None) -> Settings:
    """Read `.env` and the environment, which wins (or `environ` alone, in tests). An empty value is the default.

    Raises: SettingsError, whose text is one line that names the setting.
    """
    source = {**dotenv_values(ROOT / ".env"), **os.environ} if environ is None else environ
    values: dict[str, object] = {}
    for field in dataclasses.fields(Settings):
        text = (source.get(variable(field.name)) or "").strip()
        if text:
            values[field.name] = _read(variable(field.name), text, field.default)
    settings = Settings(**values)  # type: ignore[arg-type]  # each was read by its default's type
    _validate(settings)
    return settings


def _read(name: str, text: str, like: object) -> object:
    """`text` as the type of the default `like`."""
    if isinstance(like, bool):
        _check(name, text.lower() in _BOOLEANS, "true or false", text)
        return _BOOLEANS[text.lower()]
    if isinstance(like, int):
        _check(name, text.isascii() and text.isdigit(), "a whole number", text)
        return int(text)
    return tuple(text.replace(",", " ").split()) if isinstance(like, tuple) else text


def _validate(s: Settings) -> None:
    _check("CIRCULAR_MODE", s.mode in MODES, f"one of {', '.join(MODES)}", s.mode)
    database = re.fullmatch(r"sqlite:///(?!:memory:).*[^/]|postgres(ql)?://.*", s.database_url)
    scheme = s.database_url.partition(":")[0]  # what follows may hold a password
    _check("DATABASE_URL", database is not None, "sqlite:///FILE or postgresql://…", f"{scheme}:…")
    _check("PORT", 0 < s.port < 65536, "a port from 1 to 65535", s.port)
    _check("THREADS", 1 <= s.threads <= 64, "1 to 64", s.threads)
    _check("TRUSTED_PROXY", _is_address(s.trusted_proxy), "an IP address such as 127.0.0.1", s.trusted_proxy)
    _check("HOLD_OPENING_DAYS", 1 <= s.hold_opening_days <= 366, "1 to 366", s.hold_opening_days)
    for name in ("resident_max_holds", "builder_max_holds", "writes_per_minute", "web_reservations_per_hour"):
        _check(name.upper(), getattr(s, name) >= 1, "1 or more", getattr(s, name))
    _check("DEFAULT_LOCALE", s.default_locale in LANGUAGES, f"one of {', '.join(LANGUAGES)}", s.default_locale)
    _check("SMS_GATEWAY", s.sms_gateway in GATEWAYS, f"one of {', '.join(GATEWAYS)}", s.sms_gateway)
    _check("NO_SHOW_LIMIT", 0 <= s.no_show_limit <= 100, "0 to 100", s.no_show_limit)
    _check("NO_SHOW_MONTHS", 1 <= s.no_show_months <= 60, "1 to 60", s.no_show_months)
    _check("WAITLIST_OFFER_HOURS", 1 <= s.waitlist_offer_hours <= 72, "1 to 72 waking hours", s.waitlist_offer_hours)
    try:
        zoneinfo.ZoneInfo(s.timezone)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError):
        _check("TIMEZONE", False, "an IANA zone such as America/Martinique", s.timezone)
    _check("COUNTRY", _is_region(s.country), "an ISO country such as FR", s.country)
    fits = 0 < len(s.service_name) <= 30
    _check("SERVICE_NAME", fits, "a name of 30 characters at most", s.service_name)
    for region in s.phone_regions:
        _check("PHONE_REGIONS", _is_region(region), "ISO countries such as MQ FR", region)
    _check("PHONE_REGIONS", bool(s.phone_regions), "ISO countries such as MQ FR", "none")
    hours = s.default_opening_hours
    _check("DEFAULT_OPENING_HOURS", _hours_work(hours), "OpenStreetMap syntax: Mo-Sa 09:00-17:00", hours)
    plain = re.fullmatch(r"[A-Za-z0-9._~-]+", s.sms_webhook_secret) is not None
    _check("SMS_WEBHOOK_SECRET", plain, "letters, digits and - . _ ~ alone, as it is part of an address", "others")
    for prefix in s.sms_allowed_prefixes:
        _check("SMS_ALLOWED_PREFIXES", prefix[0] == "+" and prefix[1:].isdigit(), "prefixes such as +596", prefix)
    for gateway in s.sms_fallback_gateways:
        _check("SMS_FALLBACK_GATEWAYS", gateway in GATEWAYS, f"some of {', '.join(GATEWAYS)}", gateway)
    for gateway, needed in NEEDED.items():
        if gateway in (s.sms_gateway, *s.sms_fallback_gateways):
            for name in needed:
                _check(name.upper(), bool(getattr(s, name)), f"a value, as {gateway} sends", "nothing")
    for name in ("messages_kept_days", "reservations_kept_days"):  # a text may wait for a week to be sent
        _check(name.upper(), 8 <= getattr(s, name) <= 3650, "8 to 3650 days", getattr(s, name))
    for name in ("africastalking_api_url", "public_url", "kannel_url", "android_url"):
        url = getattr(s, name)
        _check(name.upper(), not url or _is_site(url), "scheme, host and port", "?")
    _check("SMS_DAILY_LIMIT", s.sms_daily_limit > 0, "a number of texts above zero", s.sms_daily_limit)
    if s.mode == "production":
        _check("SMS_GATEWAY", s.sms_gateway != "console", "a real gateway in production", s.sms_gateway)
        for name in ("secret_key", "sms_webhook_secret"):
            strong = len(getattr(s, name)) >= 16 and getattr(s, name) != DEMO_SECRET
            _check(
                name.upper(), strong, "a secret of 16 characters or more in production", "the default or a short one"
            )


def _is_address(text: str) -> bool:
    """An IP address, none, or waitress's `*` (any peer). A host's name would never be the peer's: silently no proxy."""
    with contextlib.suppress(ValueError):
        return text in ("", "*") or bool(ipaddress.ip_address(text))
    return False


def _is_site(text: str) -> bool:
    with contextlib.suppress(ValueError):  # a port out of range, half an IPv6 address
        url = urllib.parse.urlsplit(text)
        return url.scheme in ("http", "https") and bool(url.hostname) and url.port != 0
    return False


def _is_region(code: str) -> bool:
    """Whether a code is a country's. Of the French ones, nobody waits 10 ms for the library that knows them all."""
    if code in FRENCH:
        return True
    import phonenumbers

    return code in phonenumbers.SUPPORTED_REGIONS


def _hours_work(hours: str) -> bool:
    try:
        opening_hours.OpeningHours(hours)
    except Exception:  # its errors are the extension module's own; any of them means that it cannot read this
        return False
    return True


_active: list[Settings] = []


def use(settings: Settings) -> None:
    """Make `settings` those of this process (`create_app` and the tests call it)."""
    _active[:] = [settings]


def get() -> Settings:
    """The settings of this process, read from the environment when nobody chose any."""
    if not _active:
        use(load())
    return _active[0]

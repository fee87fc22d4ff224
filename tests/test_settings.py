"""Settings: a wrong one is refused at start, with one line that names it."""

from __future__ import annotations

import pytest

from circular.settings import Settings, SettingsError, load

PRODUCTION = {"CIRCULAR_MODE": "production", "SECRET_KEY": "k" * 20, "SMS_WEBHOOK_SECRET": "s" * 20,
              "SMS_GATEWAY": "africastalking", "AFRICASTALKING_API_KEY": "key"}  # fmt: skip


def test_defaults_are_safe() -> None:
    """Nothing set: the demo, on this machine alone; an empty value is the default."""
    assert load({"PORT": ""}) == Settings()
    assert load(PRODUCTION).mode == "production"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "abc"), ("PORT", "70000"), ("THREADS", "0"), ("TIMEZONE", "Mars"), ("COUNTRY", "ZZ"),
        ("DEFAULT_OPENING_HOURS", "lundi 9h"), ("DATABASE_URL", "mysql://x"), ("DEFAULT_LOCALE", "de"),
        ("SMS_GATEWAY", "pigeon"), ("SMS_WEBHOOK_SECRET", "a/b"), ("SMS_ALLOWED_PREFIXES", "596"), ("BACKGROUND", "maybe"),
        ("AFRICASTALKING_API_URL", "here"), ("CIRCULAR_MODE", "live"), ("AFRICASTALKING_API_URL", "http://:80"),
        ("AFRICASTALKING_API_URL", "http://host:99999"), ("DATABASE_URL", "sqlite:town.db"), ("DATABASE_URL", "sqlite:///"),
        ("DATABASE_URL", "sqlite:///:memory:"), ("TRUSTED_PROXY", "caddy"), ("HOLD_OPENING_DAYS", "0"),
        ("HOLD_OPENING_DAYS", "999999999"), ("RESIDENT_MAX_HOLDS", "0"), ("WRITES_PER_MINUTE", "0"),
        ("MESSAGES_KEPT_DAYS", "1"), ("RESERVATIONS_KEPT_DAYS", "99999"),
    ],
)  # fmt: skip
def test_a_wrong_setting(name: str, value: str) -> None:
    """One line, with its name."""
    with pytest.raises(SettingsError, match=f"^{name}: ") as caught:
        load({name: value})

    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"), [("SECRET_KEY", "demo"), ("SMS_WEBHOOK_SECRET", "tiny"), ("SMS_GATEWAY", "console")]
)
def test_production_refuses(name: str, value: str) -> None:
    """Default secrets, short ones, and a gateway that sends nothing; the secret itself is never shown."""
    with pytest.raises(SettingsError, match=f"^{name}: ") as caught:
        load({**PRODUCTION, name: value})

    assert name == "SMS_GATEWAY" or value not in str(caught.value).split("got")[1]

"""The gateways by name. A new one is a file here, a line in `GATEWAYS`, and recorded bodies in `fixtures/gateways/`."""

from __future__ import annotations

from collections.abc import Callable

from circular.settings import Settings
from sms.gateways.africastalking import AfricasTalking
from sms.gateways.android import Android
from sms.gateways.base import Gateway
from sms.gateways.console import Console
from sms.gateways.gammu import Gammu
from sms.gateways.kannel import Kannel

GATEWAYS: dict[str, Callable[[Settings], Gateway]] = {
    "console": Console.from_settings,
    "kannel": Kannel.from_settings,
    "africastalking": AfricasTalking.from_settings,
    "android": Android.from_settings,
    "gammu": Gammu.from_settings,
}


def known(name: str) -> bool:
    """True for the name of a gateway."""
    return name in GATEWAYS


def build(settings: Settings, name: str | None = None) -> Gateway:
    """The gateway `name`, or the one that the settings chose. Cheap: nothing is opened. Ask `known` first."""
    return GATEWAYS[name or settings.sms_gateway](settings)

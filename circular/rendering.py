"""What the doors with pages share: templates with the texts of the reader's language, and values as people read them.

The one stylesheet is the web door's, inlined; its hash is in the Content-Security-Policy.
"""

from __future__ import annotations

import base64
import hashlib
import pathlib
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

from flask import Flask, Response, render_template, request
from markupsafe import Markup

from circular import clock, db, i18n, settings

# Markup, so that it is not escaped: it is our own file.
STYLE = Markup((pathlib.Path(__file__).parent / "web" / "static" / "base.css").read_text(encoding="utf-8").strip())  # noqa: S704
STYLE_HASH = f"sha256-{base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()}"


def init_app(app: Flask) -> None:
    """Give the templates what they call."""
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.jinja_env.globals.update(
        _=i18n.gettext, ngettext=i18n.ngettext, pgettext=i18n.pgettext, quantity=quantity, number=number, money=money,
        day=day, calendar_day=calendar_day, moment=moment, hours=hours, label=label, price=price, sms_link=sms_link,
    )  # fmt: skip


def page(template: str, status: int = 200, /, *, at: str | None = None, **facts: Any) -> Response:
    """A page. `at` is the address of the same in another language, when it is not the one asked for."""
    language = i18n.current()
    text = render_template(
        template, settings=settings.get(), language=language, style=STYLE, at=at or request.path,
        languages=[(code, name, _address(at, code)) for code, name in i18n.NAMES.items()], **facts,
    )  # fmt: skip
    response = Response(text, status, content_type="text/html; charset=utf-8")
    response.headers["Content-Language"] = language
    response.headers["Vary"] = "Accept-Language, Cookie"
    # What is left changes with every reservation. Going back may show the page again: its form is still good.
    response.headers["Cache-Control"] = "no-store" if request.method == "POST" else "private, no-cache"
    return response


def _address(at: str | None, language: str) -> str:
    given = {} if at else {name: value for name, value in request.args.items() if name != "lang"}
    return f"{at or request.path}?{urlencode({**given, 'lang': language})}"


# --- values -----------------------------------------------------------------------------------------------------------
def number(value: float | Decimal) -> str:
    """`12,5`."""
    return i18n.format_number(value, i18n.current())


def quantity(milli: int, unit: str) -> str:
    """`12 pieces`, `2,5 m²`: thousandths with their unit."""
    amount = Decimal(milli) / 1000
    if unit == "piece":
        return i18n.ngettext("{number} piece", "{number} pieces", int(amount), number=number(amount))
    if unit == "lot":
        return i18n.ngettext("{number} lot", "{number} lots", int(amount), number=number(amount))
    return f"{number(amount)} {i18n.pgettext('unit', unit)}"


def money(cents: int, currency: str) -> str:
    """`12,50 EUR`."""
    return i18n.format_money(cents, currency, i18n.current())


def price(listing: Mapping[str, Any]) -> str:
    """`Free`, `2,50 EUR / m²`; what a machine's price is for, its place says."""
    if not listing["price_cents"]:
        return i18n.gettext("Free")
    amount = money(listing["price_cents"], listing["currency"])
    return f"{amount} / {i18n.pgettext('unit', listing['unit'])}" if listing["kind"] == "material" else amount


def day(milliseconds: int) -> str:
    """`vendredi 27 novembre`: the local day of a time kept in milliseconds since 1970."""
    return calendar_day(clock.local(db.from_ms(milliseconds), settings.get().timezone).date().isoformat())


def calendar_day(iso: str) -> str:
    """`vendredi 27 novembre`: a day kept as `2026-11-27`."""
    from babel.dates import format_date  # 9 ms, for pages alone

    return format_date(date.fromisoformat(iso), "EEEE d MMMM", locale=i18n.STAND_INS[i18n.current()])


def moment(milliseconds: int) -> str:
    """`vendredi 27 novembre, 17h`."""
    time = i18n.format_time(db.from_ms(milliseconds), i18n.current(), settings.get().timezone)
    return f"{day(milliseconds)}, {time}"


def hours(opening_hours: str) -> str:
    """OpenStreetMap's opening hours as people write them: `Mo-Sa 09:00-17:00; PH off` -> `lun-sam 9h-17h`."""
    return i18n.hours(opening_hours, i18n.current()).replace(",", ", ")


def label(category: Mapping[str, Any]) -> str:
    """A category's name in the reader's language, else in French."""
    labels = category["labels"]
    return str(labels.get(i18n.current()) or labels.get("fr") or category["code"])


def sms_link(number: str, text: str) -> str:
    """Opens a phone's messages on `text`, already addressed (RFC 5724)."""
    return f"sms:{number}?{urlencode({'body': text}).replace('+', '%20')}"

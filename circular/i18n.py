"""Six languages: their catalogues, which one somebody wants, and numbers, money, days and times as SMS can carry them.

Catalogues are `.po` files and nothing else: they are compiled in memory when first asked for, so there is no build step
to forget. Message ids of the domain `messages` are English sentences; those of `sms` are keys, as texts there must fit a
segment.

Formats stay inside GSM 03.38: Babel's own put U+202F into French numbers and English times, and one such character
halves an SMS.
"""

from __future__ import annotations

import contextlib
import functools
import io
import re
from collections.abc import Iterator
from contextvars import ContextVar
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from babel.numbers import get_currency_precision

from circular import clock, settings

if TYPE_CHECKING:
    from babel.support import Translations

LANGUAGES = settings.LANGUAGES
NAMES = {
    "fr": "Français",
    "gcf": "Kréyòl Matnik",
    "ht": "Kreyòl ayisyen",
    "en": "English",
    "es": "Español",
    "pt": "Português",
}
# CLDR knows no Martinican Creole (gcf): Guadeloupe's French counts as it does. It knows Haitian's plurals, but names
# its days and months in French, hence DAYS.
STAND_INS = {"fr": "fr_MQ", "gcf": "fr_GP", "ht": "ht", "en": "en", "es": "es", "pt": "pt"}
DAYS = {
    "fr": ("lun", "mar", "mer", "jeu", "ven", "sam", "dim"),
    "gcf": ("lun", "mar", "mer", "jeu", "ven", "sam", "dim"),  # no Martinican form attested in our sources: French
    # From lendi madi mèkredi jedi vandredi samdi dimanch; madi, vandredi and dimanch occur in the Mission 4636 messages
    # (data/sms_mission4636_sample.csv), the four others are unverified.
    "ht": ("len", "mad", "mèk", "jed", "van", "sam", "dim"),
    "en": ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"),
    "es": ("lun", "mar", "mie", "jue", "vie", "sab", "dom"),
    "pt": ("seg", "ter", "qua", "qui", "sex", "sab", "dom"),
}
# Domain -> folder. The doors keep their own texts; this file names the folder so that ground imports no door.
DOMAINS = {"messages": settings.ROOT / "circular" / "locale", "sms": settings.ROOT / "sms" / "locale"}
# Where a missing text is looked for. English sentences are the message ids themselves, so en, es and pt end there and
# never in French; a key of `sms` is no sentence, so there everything ends in French.
FALLBACKS = {
    "messages": {"gcf": "fr", "ht": "fr", "es": "en", "pt": "en"},
    "sms": {language: "fr" for language in LANGUAGES if language != "fr"},
}
_ALIASES = {"acf": "gcf"}  # Saint Lucia's and Dominica's Creole: the nearest to Martinique's
_WEIGHT = re.compile(r"q\s*=\s*(0(?:\.\d{0,3})?|1(?:\.0{0,3})?)", re.IGNORECASE)
_language: ContextVar[str | None] = ContextVar("language", default=None)


# --- which language ---------------------------------------------------------------------------------------------------
def current() -> str:
    """The language of this request or message; `DEFAULT_LOCALE` when nobody chose one."""
    return _language.get() or settings.get().default_locale


def set_language(language: str) -> None:
    """Speak `language` from here on in this context. Raises: ValueError when it is not one of LANGUAGES."""
    _language.set(_known(language))


@contextlib.contextmanager
def use(language: str) -> Iterator[None]:
    """Speak `language` inside a `with` block. Raises: ValueError when it is not one of LANGUAGES."""
    token = _language.set(_known(language))
    try:
        yield
    finally:
        _language.reset(token)


def _known(language: str) -> str:
    if language not in LANGUAGES:
        raise ValueError(f"{language!r} is not one of {', '.join(LANGUAGES)}")
    return language


@functools.lru_cache(maxsize=256)
def negotiate(header: str | None) -> str | None:
    """The language that an Accept-Language header likes best among ours, or None. Junk in it is passed over."""
    wanted: list[tuple[float, str]] = []
    for item in (header or "").split(","):
        tag, _, parameter = item.partition(";")
        primary = re.split("[-_]", tag.strip().lower(), maxsplit=1)[0]
        language = _ALIASES.get(primary, primary)
        weight = _WEIGHT.fullmatch(parameter.strip()) if parameter else None
        if language in LANGUAGES and (weight or not parameter):
            wanted.append((float(weight.group(1)) if weight else 1.0, language))
    best = max(wanted, key=lambda pair: pair[0], default=(0.0, ""))  # of equals, the first
    return best[1] if best[0] > 0 else None


# --- catalogues -------------------------------------------------------------------------------------------------------
@functools.cache
def catalogue(domain: str, language: str) -> Translations:
    """The texts of a domain in a language, with those it falls back to. Read once in a process.

    Raises: KeyError (unknown domain or language), ValueError (its `Language` header is unknown to CLDR: Babel would
    drop `Plural-Forms` and count 0 as plural).
    """
    from babel.messages.mofile import write_mo  # 20 ms with the others, for the first who reads a text
    from babel.messages.pofile import read_po
    from babel.support import Translations

    stand_in = STAND_INS[language]
    path = DOMAINS[domain] / language / "LC_MESSAGES" / f"{domain}.po"
    with path.open("rb") as file:
        source = read_po(file, locale=stand_in, domain=domain)
    if source.locale is None:
        raise ValueError(f"{path}: CLDR knows no {source.locale_identifier}; write Language: {stand_in}")
    compiled = io.BytesIO()
    write_mo(compiled, source)
    compiled.seek(0)
    texts = Translations(compiled, domain)
    if language in FALLBACKS[domain]:
        texts.add_fallback(catalogue(domain, FALLBACKS[domain][language]))
    return texts


def _messages(language: str | None) -> Translations:
    return catalogue("messages", language or current())


def gettext(message: str, /, language: str | None = None, **facts: object) -> str:
    """`message` in `language` (the current one by default), its `{name}` filled from `facts`.

    Raises: KeyError when a fact is missing.
    """
    return _fill(_messages(language).gettext(message), facts)


def ngettext(one: str, many: str, count: int, /, language: str | None = None, **facts: object) -> str:
    """`one` or `many` as the language counts `count`, which fills `{count}`. Raises: KeyError for a missing fact."""
    return _fill(_messages(language).ngettext(one, many, count), {"count": count, **facts})


def pgettext(context: str, message: str, /, language: str | None = None, **facts: object) -> str:
    """`message` in the sense that `context` gives it. Raises: KeyError when a fact is missing."""
    return _fill(str(_messages(language).pgettext(context, message)), facts)


def _fill(text: str, facts: dict[str, object]) -> str:
    return text.format_map(facts) if "{" in text else text


# --- numbers, money, days, times --------------------------------------------------------------------------------------
def format_number(value: Decimal | float, language: str) -> str:
    """`12,5` (`12.5` in English): no grouping, no trailing zeros; a float to the thousandth, as quantities are kept."""
    exact = value if isinstance(value, Decimal) else Decimal(str(round(value, 3)))
    text = f"{exact:f}"
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return _decimal_mark("0" if text == "-0" else text, language)


def format_money(cents: int, currency: str, language: str) -> str:
    """`12,50 EUR`: `cents` are the ISO 4217 minor unit of `currency`; the code, because € costs two septets."""
    digits = get_currency_precision(currency)
    return f"{_decimal_mark(f'{Decimal(cents).scaleb(-digits):.{digits}f}', language)} {currency}"


def _decimal_mark(text: str, language: str) -> str:
    return text if language == "en" else text.replace(".", ",")


@functools.lru_cache(maxsize=4096)  # most holds of a place end at the same moments
def format_day(moment: datetime, language: str, timezone: str) -> str:
    """`ven 27/11`: the local day of an aware `moment` in `timezone`, in ten characters at most."""
    day = clock.local(moment, timezone)
    return f"{DAYS[language][day.weekday()]} {day:%d/%m}"


@functools.lru_cache(maxsize=4096)
def format_time(moment: datetime, language: str, timezone: str) -> str:
    """`17h`, `17h30`; `17:00` in English: the local time of an aware `moment` in `timezone`."""
    return wall_time(*(clock.local(moment, timezone).timetuple()[3:5]), language)


def wall_time(hour: int, minute: int, language: str) -> str:
    """A time of day on the wall clock, as `format_time` writes it."""
    if language == "en":
        return f"{hour}:{minute:02}"
    return f"{hour}h{minute:02}" if minute else f"{hour}h"


_OSM_DAYS = ("Mo", "Tu", "We", "Th", "Fr", "Sa", "Su")
_OSM_DAY = re.compile(rf"\b({'|'.join(_OSM_DAYS)})\b")
_OSM_TIME = re.compile(r"\b(\d\d?):(\d\d)\b")


def hours(opening_hours: str, language: str) -> str:
    """OpenStreetMap's opening hours as people write them: `Mo-Sa 09:00-17:00; PH off` -> `lun-sam 9h-17h`."""
    every_week = opening_hours.partition(";;")[0]  # places.SINGLE_DAYS
    rules = [rule.strip() for rule in every_week.split(";")]
    said = "; ".join(rule for rule in rules if rule and not rule.endswith(("off", "closed")))
    said = _OSM_DAY.sub(lambda found: DAYS[language][_OSM_DAYS.index(found[1])], said)
    return _OSM_TIME.sub(lambda found: wall_time(int(found[1]), int(found[2]), language), said)


def unverified(domain: str, language: str) -> int:
    """How many texts of a language carry the translator comment `unverified`: no native reader has checked them."""
    from babel.messages.pofile import read_po

    path = DOMAINS[domain] / language / "LC_MESSAGES" / f"{domain}.po"
    with path.open("rb") as file:
        source = read_po(file, locale=STAND_INS[language], domain=domain)
    return sum("unverified" in " ".join(text.user_comments + text.auto_comments) for text in source if text.id)

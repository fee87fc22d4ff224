"""Languages: whose is chosen, how they count, and formats that an SMS can carry."""

import io
import pathlib
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from babel import Locale
from babel.messages.pofile import read_po
from hypothesis import given
from hypothesis import strategies as st

from circular import i18n, settings
from circular.i18n import LANGUAGES
from sms.segments import septets

MARTINIQUE = "America/Martinique"
FRIDAY_5_PM = datetime(2026, 11, 27, 21, 0, tzinfo=UTC)  # 17:00 in Le Lamentin, four hours behind UTC


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("fr-MQ,fr;q=0.9,en;q=0.8", "fr"),
        ("gcf", "gcf"),
        ("acf, fr;q=0.5", "gcf"),
        ("ht-HT", "ht"),
        ("pt_BR", "pt"),
        ("EN-us", "en"),
        ("de, es;q=0.4, en;q=0.7", "en"),
        ("fr;q=0, en;q=0.1", "en"),
        ("fr;q=0.5, gcf;q=0.5", "fr"),
        ("de-DE", None),
        ("*", None),
        ("fr;q=0", None),
        ("", None),
        (None, None),
        ("fr;q=nan, en;q=2, es;q=-1, pt;level=1, ;;;,=,q", None),
        ("\x00\ud800;q=0.1,ht ; q = 0.3", "ht"),
    ],
)
def test_negotiate_chooses_what_is_liked_best(header: str | None, language: str | None) -> None:
    """The heaviest of our languages wins, the first of equals, and junk counts for nothing."""
    assert i18n.negotiate(header) == language


@given(st.text())
def test_negotiate_never_raises(header: str) -> None:
    """A header is whatever a stranger sends."""
    assert i18n.negotiate(header) in (None, *LANGUAGES)


def test_language_is_the_default_until_chosen() -> None:
    """A choice holds inside its block and nowhere else."""
    before = i18n.current()

    with i18n.use("ht"):
        assert i18n.current() == "ht"
        i18n.set_language("es")
        assert i18n.current() == "es"

    assert i18n.current() == before
    with pytest.raises(ValueError, match="'de' is not one of fr, gcf"):
        i18n.set_language("de")


def test_every_language_has_a_name_days_and_a_stand_in() -> None:
    """A seventh language cannot be half there."""
    for table in (i18n.NAMES, i18n.DAYS, i18n.STAND_INS):
        assert tuple(table) == LANGUAGES
    assert all(Locale.parse(stand_in) for stand_in in i18n.STAND_INS.values())


@pytest.mark.parametrize("domain", i18n.DOMAINS)
@pytest.mark.parametrize("language", LANGUAGES)
def test_plural_forms_survive(domain: str, language: str) -> None:
    """Babel drops Plural-Forms for a locale that it does not know, and the count of 0 with it."""
    path = i18n.DOMAINS[domain] / language / "LC_MESSAGES" / f"{domain}.po"

    compiled = i18n.catalogue(domain, language)

    rule = "n > 1" if language in ("fr", "gcf", "ht") else "n != 1"
    assert f"Plural-Forms: nplurals=2; plural=({rule});" in path.read_text("utf-8")
    assert compiled.info()["plural-forms"] == f"nplurals=2; plural=({rule});"


@pytest.mark.parametrize(
    ("language", "counted"),
    [
        ("fr", ["0 annonce", "1 annonce", "2 annonces"]),
        ("en", ["0 listings", "1 listing", "2 listings"]),
        ("es", ["0 anuncios", "1 anuncio", "2 anuncios"]),
    ],
)
def test_ngettext_counts_as_the_language_does(language: str, counted: list[str]) -> None:
    """Zero is singular in French and plural in English and Spanish."""
    assert [i18n.ngettext("{count} listing", "{count} listings", n, language) for n in (0, 1, 2)] == counted


def test_ngettext_in_martinican_creole_counts_zero_as_singular(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """0 and 1 are singular and 2 is plural, as the header of gcf says."""
    text = (i18n.DOMAINS["messages"] / "gcf" / "LC_MESSAGES" / "messages.po").read_text("utf-8")
    folder = tmp_path / "gcf" / "LC_MESSAGES"
    folder.mkdir(parents=True)
    folder.joinpath("counting.po").write_text(
        text + '\nmsgid "one"\nmsgid_plural "many"\nmsgstr[0] "yonn"\nmsgstr[1] "plizyè"\n', "utf-8"
    )
    monkeypatch.setitem(i18n.DOMAINS, "counting", tmp_path)
    monkeypatch.setitem(i18n.FALLBACKS, "counting", {})

    texts = i18n.catalogue("counting", "gcf")

    assert [texts.ngettext("one", "many", n) for n in (0, 1, 2)] == ["yonn", "yonn", "plizyè"]


def test_catalogue_refuses_a_header_that_loses_plurals(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`Language: gcf` is what a tool would write, and it is refused with the remedy."""
    folder = tmp_path / "gcf" / "LC_MESSAGES"
    folder.mkdir(parents=True)
    folder.joinpath("broken.po").write_text('msgid ""\nmsgstr "Language: gcf\\n"\n', "utf-8")
    monkeypatch.setitem(i18n.DOMAINS, "broken", tmp_path)

    with pytest.raises(ValueError, match="write Language: fr_GP"):
        i18n.catalogue("broken", "gcf")
    with pytest.raises(KeyError):
        i18n.catalogue("messages", "../fr")


def test_texts_are_filled_in_the_language_of_the_context() -> None:
    """A text without a translation is its English sentence, filled all the same."""
    with i18n.use("fr"):
        assert i18n.ngettext("{count} listing", "{count} listings", 3) == "3 annonces"
        assert i18n.gettext("Nobody translated {this}.", this="that") == "Nobody translated that."
        assert i18n.pgettext("shop", "Nobody translated {this}.", this="that") == "Nobody translated that."
    assert i18n.gettext("No facts, no braces.", language="pt") == "No facts, no braces."
    with pytest.raises(KeyError):
        i18n.gettext("Nobody gave {this}.", language="en")


@pytest.mark.parametrize("language", ("gcf", "ht"))
def test_creole_entries_are_marked_unverified(language: str) -> None:
    """No native speaker has read them: a page can say so only while each entry does."""
    text = (i18n.DOMAINS["messages"] / language / "LC_MESSAGES" / "messages.po").read_bytes()

    entries = [entry for entry in read_po(io.BytesIO(text)) if entry.id]

    assert entries
    assert all("unverified" in entry.auto_comments for entry in entries)


@pytest.mark.parametrize(
    ("value", "french", "english"),
    [
        (Decimal("12.500"), "12,5", "12.5"),
        (Decimal("12"), "12", "12"),
        (Decimal("1E+3"), "1000", "1000"),
        (Decimal("-0.0"), "0", "0"),
        (1_234_567, "1234567", "1234567"),
        (100, "100", "100"),
        (0.1 + 0.2, "0,3", "0.3"),
        (0.0004, "0", "0"),
        (2.5e-7, "0", "0"),
    ],
)
def test_format_number_has_no_grouping(value: Decimal | float, french: str, english: str) -> None:
    """A comma or a point, and nothing outside ASCII."""
    assert i18n.format_number(value, "fr") == french
    assert i18n.format_number(value, "en") == english


def test_format_money_in_minor_units() -> None:
    """Cents are the currency's own smallest unit, and yens have none."""
    assert i18n.format_money(1250, "EUR", "fr") == "12,50 EUR"
    assert i18n.format_money(5, "EUR", "en") == "0.05 EUR"
    assert i18n.format_money(0, "EUR", "gcf") == "0,00 EUR"
    assert i18n.format_money(1250, "JPY", "pt") == "1250 JPY"


@pytest.mark.parametrize(
    ("language", "day", "time"),
    [
        ("fr", "ven 27/11", "17h"),
        ("gcf", "ven 27/11", "17h"),
        ("ht", "van 27/11", "17h"),
        ("en", "Fri 27/11", "17:00"),
        ("es", "vie 27/11", "17h"),
        ("pt", "sex 27/11", "17h"),
    ],
)
def test_day_and_time_are_local_and_short(language: str, day: str, time: str) -> None:
    """A person reads their own clock, not Greenwich's."""
    assert i18n.format_day(FRIDAY_5_PM, language, MARTINIQUE) == day
    assert i18n.format_time(FRIDAY_5_PM, language, MARTINIQUE) == time


def test_day_and_time_near_midnight() -> None:
    """Half past two in the night of Greenwich is the evening before in Martinique."""
    moment = datetime(2026, 11, 28, 2, 30, tzinfo=UTC)

    assert i18n.format_day(moment, "fr", MARTINIQUE) == "ven 27/11"
    assert i18n.format_time(moment, "fr", MARTINIQUE) == "22h30"
    assert i18n.format_time(moment, "en", MARTINIQUE) == "22:30"


@given(
    st.integers(0, 2**32).map(lambda seconds: datetime.fromtimestamp(seconds, UTC)),
    st.sampled_from(LANGUAGES),
    st.decimals(allow_nan=False, allow_infinity=False, places=3),
)
def test_formats_stay_in_gsm7(moment: datetime, language: str, value: Decimal) -> None:
    """No format costs a second segment."""
    said = [
        i18n.format_day(moment, language, MARTINIQUE),
        i18n.format_time(moment, language, MARTINIQUE),
        i18n.format_number(value, language),
        i18n.format_money(int(value), "EUR", language),
    ]

    assert all(septets(text) == len(text) for text in said)
    assert len(said[0]) == 9


def test_languages_are_those_of_the_settings() -> None:
    """There is one list."""
    assert settings.LANGUAGES is LANGUAGES

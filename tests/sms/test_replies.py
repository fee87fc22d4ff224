"""Every text in six languages, in one segment, whatever it is filled with."""

import io
import string
from decimal import Decimal

import pytest
from babel.messages.pofile import read_po
from hypothesis import given
from hypothesis import strategies as st

from circular import errors, i18n
from circular.i18n import LANGUAGES
from sms import replies
from sms.segments import septets

# The longest that each fact really is; `{title}` and `{lines}` take what is left (TITLE_ROOM says how little that may be).
LONGEST = {
    "available": "12,5 m2",
    "code": "412710",
    "count": "999",
    "day": "ven 27/11",
    "hours": "mar-sam 9h-17h",
    "limit": "2000",
    "lines": "",
    "minimum": "12,5 m2",
    "minutes": "10",
    "n": "3",
    "needs": "",
    "phone": "0596501234",
    "pin": "7391",
    "place": "Fablab Lamentin!",
    "price": "12,50 EUR",
    "quantity": "12,5 m2",
    "rank": "99",
    "step": "12,5 m2",
    "text": "carrelage gres",
    "time": "16h30",
    "title": "",
    "words": "CARRELAGE GRES",
}
TITLE_ROOM = 22  # septets of a title in a text of its own
LISTS = {
    "results": "results_line", "results_end": "results_line", "mine": "mine_line", "cancel_which": "mine_line",
    "extend_which": "mine_line", "projects": "project_line", "projects_end": "project_line", "machines": "machine_line",
    "machines_end": "machine_line",
}  # fmt: skip
LIST_TITLE_ROOM = 17  # septets of each title in a list of three
# Refusals that a phone can meet (circular/errors.py has those of the other doors as well).
REFUSALS = (
    "no_such_listing", "bad_code", "sold_out", "not_reservable", "hazard", "no_longer_available", "below_minimum",
    "not_a_step", "whole_number_needed", "quantity_not_positive", "too_many_reservations", "no_such_reservation",
    "already_ended", "expired", "already_extended", "still_available", "too_many_waits", "offer_lapsed",
    "too_many_alerts", "alert_too_wide", "no_such_alert", "storage_full", "busy",
)  # fmt: skip
NASTY = (
    "",
    "Planche sapin 200x20 cm " * 500,
    "🌴" * 10_000,
    "خشب للبيع " * 40,
    "\x00\x1b\u202e\ud800",
    "[{€}]" * 60,
    "…œ" * 200,
)


def entries(language: str) -> dict[str, tuple[str, list[str]]]:
    """Key -> (text, translator's comments) of a language's file itself, without what it falls back to."""
    path = i18n.DOMAINS["sms"] / language / "LC_MESSAGES" / "sms.po"
    found = read_po(io.BytesIO(path.read_bytes()))
    return {str(entry.id): (str(entry.string), entry.auto_comments) for entry in found if entry.id}


TEXTS = {language: entries(language) for language in LANGUAGES}


def names(text: str) -> set[str]:
    """The placeholders of a text."""
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


def longest(language: str) -> dict[str, str]:
    """LONGEST and the longest words of the language itself."""

    def widest(prefix: str) -> str:
        return max((text for key, (text, _) in TEXTS[language].items() if key.startswith(prefix)), key=len)

    return {**LONGEST, "condition": widest("condition_"), "state": widest("state_"), "unit": widest("unit_"),
            "difficulty": widest("difficulty_")}  # fmt: skip


@pytest.mark.parametrize("language", LANGUAGES)
def test_catalogue_is_complete(language: str) -> None:
    """Each language has the keys of French, none of them empty, with the same placeholders, listed for translators."""
    assert list(TEXTS[language]) == list(TEXTS["fr"])
    for key, (text, comments) in TEXTS[language].items():
        assert text, key
        assert names(text) == names(TEXTS["fr"][key][0]), key
        listed = next(comment for comment in comments if comment.startswith("placeholders: "))
        assert names(listed) == names(text), key


@pytest.mark.parametrize("language", LANGUAGES)
def test_creole_alone_is_marked_unverified(language: str) -> None:
    """No native speaker has read the Creole texts, and each of them says so."""
    marked = {key for key, (_, comments) in TEXTS[language].items() if "unverified" in comments}

    assert marked == (set(TEXTS[language]) if language in ("gcf", "ht") else set())


@pytest.mark.parametrize("code", REFUSALS)
def test_refusals_have_words(code: str) -> None:
    """A refusal that a phone can meet is a refusal of the program, and has its text."""
    assert code in errors.REFUSALS
    assert f"refusal_{code}" in TEXTS["fr"]


@pytest.mark.parametrize("language", LANGUAGES)
def test_texts_fit_with_their_longest_facts(language: str) -> None:
    """One segment holds every text with a title that can still be read."""
    facts = longest(language)
    room = {}
    for key, (text, _) in TEXTS[language].items():
        filled = septets(text.format(**facts))
        assert filled is not None, f"{key} is not GSM-7"
        room[key] = 160 - filled
    for key, line_key in LISTS.items():
        line = septets(TEXTS[language][line_key][0].format(**facts))
        assert line is not None
        assert (room[key] - 3 * line - 2) // 3 >= LIST_TITLE_ROOM, key

    titled = {key for key, (text, _) in TEXTS[language].items() if "{title}" in text} - set(LISTS.values())

    assert {key: room[key] for key in titled if room[key] < TITLE_ROOM} == {}
    assert {key: left for key, left in room.items() if left < 0} == {}


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("nasty", NASTY, ids=range(len(NASTY)))
def test_render_fits_whatever_every_fact_is(language: str, nasty: str) -> None:
    """No key in no language leaves its segment, even when each of its facts is junk."""
    for key, (text, _) in TEXTS[language].items():
        said = septets(replies.render(key, language, **dict.fromkeys(names(text), nasty)))

        assert said is not None, key
        assert said <= 160, key


@given(
    st.sampled_from(LANGUAGES),
    st.sampled_from(
        [key for key, (text, _) in TEXTS["fr"].items() if names(text) & {"title", "place", "words", "text"}]
    ),
    st.text(alphabet=st.characters(), max_size=300),
    st.text(alphabet=st.characters(), max_size=300),
)
def test_render_keeps_one_segment_and_its_numbers(language: str, key: str, one: str, other: str) -> None:
    """Titles and places give way; the code, the pin and the phone are said whole."""
    facts = {**longest(language), "title": one, "place": other, "words": other, "text": one, "hours": other}

    said = replies.render(key, language, **facts)

    length = septets(said)
    assert length is not None
    assert length <= 160
    for name in names(TEXTS[language][key][0]) & {"code", "pin", "phone", "quantity", "available", "day"}:
        assert facts[name] in said


@given(
    st.sampled_from(LANGUAGES), st.sampled_from(list(LISTS)), st.lists(st.text(alphabet=st.characters()), max_size=5)
)
def test_render_list_keeps_one_segment_and_every_code(language: str, key: str, titles: list[str]) -> None:
    """Three lines and what to answer are always there, however long the titles are."""
    rows = [{**longest(language), "n": str(n), "title": title} for n, title in enumerate(titles, 1)]

    said = replies.render_list(key, LISTS[key], language, rows, words="carrelage " * 20, count=999)

    length = septets(said)
    assert length is not None
    assert length <= 160
    assert said.count("\n") == 1 + max(1, min(3, len(rows)))
    assert said.endswith(TEXTS[language][key][0].rsplit("\n", 1)[1])
    assert said.count("412710" if "code" in names(TEXTS[language][LISTS[key]][0]) else "7391") == min(3, len(rows))


def test_render_list_shares_the_room_between_titles() -> None:
    """A short title leaves its room to the long ones."""
    rows = [
        {"n": n, "title": title, "quantity": "12", "code": "41271", "place": "Fablab"}
        for n, title in enumerate(
            ("Vis", "Planche de sapin rabotée 200x20 cm", "Porte en bois avec son cadre et sa poignée neuve"), 1
        )
    ]

    said = replies.render_list("results", "results_line", "fr", rows, words="BOIS", count=12)

    assert said == (
        "BOIS (12):\n1 Vis x12 41271\n2 Planche de sapin rabotée 200x20 cm x12 41271\n"
        "3 Porte en bois avec son cadre et sa poignée x12 41271\n1=détails R1=réserver S=suite"
    )


@pytest.mark.parametrize("words", ["BOIS", "CARRELAGE GRES CERAME 30X30 " * 3])
def test_a_list_of_alerts_fits(words: str) -> None:
    """Its words share the room as titles do."""
    said = replies.render_list("alerts", "alert_line", "fr", [{"n": n, "words": words} for n in (1, 2, 3)])

    assert (septets(said) or 999) <= 160
    assert [line[:6] for line in said.splitlines()[1:4]] == [f"{n} {words[:4]}" for n in (1, 2, 3)]


def test_render_says_a_reservation_in_french() -> None:
    """The proof that somebody shows at the counter."""
    said = replies.render(
        "reserved",
        "fr",
        title="Tôle ondulée – 2 m",
        quantity="3",
        pin="7391",
        place="Fablab Lamentin",
        day="ven 27/11",
        time="17h",
    )

    assert said == (
        "Réservé: Tole ondulée - 2 m (3). CODE 7391. Fablab Lamentin, avant ven 27/11 17h. Montrez ce SMS sur place. "
        "A 7391 = annuler"
    )


def test_render_shortens_the_title_before_the_place() -> None:
    """A long title is cut between words, the rest of the text is whole."""
    said = replies.render(
        "details_slot",
        "fr",
        code="41271",
        title="Raboteuse dégauchisseuse à bois " * 5,
        place="Atelier",
        phone="0596501234",
    )

    assert said.startswith("41271 Raboteuse dégauchisseuse à bois")
    assert said.endswith(", Atelier. Pour réserver une date, appelez: 0596501234. 0 = aide")


def test_render_without_a_phone_names_the_town_hall() -> None:
    """Nobody reads "appelez:" and nothing after it."""
    assert "appelez: la mairie" in replies.render("details_slot", "fr", code="1", title="t", place="p", phone="")


def test_render_of_an_unknown_key_is_a_bug() -> None:
    """A text that nobody wrote stops the program in tests, and so does a fact that nobody gave."""
    with pytest.raises(KeyError):
        replies.render("no_such_text", "fr")
    with pytest.raises(KeyError):
        replies.render("withdrawn", "fr")


@pytest.mark.parametrize(
    ("amount", "unit", "language", "said"),
    [
        (Decimal("12.000"), "piece", "fr", "12"),
        (Decimal("12.5"), "m2", "fr", "12,5 m2"),
        (Decimal("12.5"), "m2", "en", "12.5 m2"),
        (3, "lot", "es", "3 lote"),
    ],
)
def test_quantity_has_its_unit(amount: Decimal | int, unit: str, language: str, said: str) -> None:
    """Pieces are only counted; everything else is measured."""
    assert replies.quantity(amount, unit, language) == said


@pytest.mark.parametrize(
    ("opening_hours", "language", "said"),
    [
        ("Mo-Sa 09:00-17:00", "fr", "lun-sam 9h-17h"),
        ("Tu-Fr 08:30-12:30,14:00-17:00; Sa 09:00-12:00; PH off", "fr", "mar-ven 8h30-12h30,14h-17h; sam 9h-12h"),
        ("Mo,We 09:00-17:00", "en", "Mon,Wed 9:00-17:00"),
        ("Mo-Sa 09:00-17:00", "ht", "len-sam 9h-17h"),
        ("24/7", "pt", "24/7"),
        ("", "fr", "heures à demander"),
        ("off", "en", "ask for hours"),
    ],
)
def test_hours_read_as_people_write_them(opening_hours: str, language: str, said: str) -> None:
    """OpenStreetMap's syntax is for programs."""
    assert replies.hours(opening_hours, language) == said

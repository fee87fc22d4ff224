"""Every text in six languages, in one segment, whatever it is filled with."""

import csv
import io
import itertools
import pathlib
import re
import string
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from babel.messages.pofile import read_po
from hypothesis import given
from hypothesis import strategies as st

from circular import catalog, categories, cli, db, errors, i18n, imports, queries, reservations
from circular.i18n import LANGUAGES
from circular.text import shorten
from sms import dialogue, replies, screens, segments
from sms.commands import Command, parse
from sms.conversation import LANGUAGE_OPTIONS, MENU, Hours, Option, Row, Screen, State
from sms.segments import septets
from tests.town import FABIOLA, Town

# The longest that each fact really is; `{title}` and `{lines}` take what is left (TITLE_ROOM says how little that may be).
LONGEST = {
    "address": ", Zone de la Lézarde",
    "available": "12,5 m2",
    "code": "412710",
    "count": "999",
    "some": "12.5",
    "until": "13h30",
    "share": "100",
    "service": "Récup & Réemploi du Lamentin 1",
    "day": "ven 27/11",
    "from_day": "ven 20/11",
    "hours": "mar-sam 9h-17h",
    "limit": "2000",
    "machine": "412710",
    "machine_day": "ven 27/11",
    "machine_time": "16h30",
    "lines": "",
    "maximum": "12,5 m2",
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
    "there": "12,5 m2",
    "ticket": "WM7MWQ9W",
    "time": "16h30",
    "title": "",
    "words": "CARRELAGE GRES",
}
TITLE_ROOM = 22  # septets of a title in a text of its own
LISTS = {
    "results": "results_line", "results_end": "results_line", "results_near": "results_line",
    "results_near_end": "results_line", "nearest": "results_line", "mine": "mine_line",
    "mine_more": "mine_line", "mine_asked": "mine_wait_line", "cancel_which": "mine_line",
    "extend_which": "mine_line", "projects": "project_line", "projects_end": "project_line", "machines": "machine_line",
    "machines_end": "machine_line", "waits": "wait_line", "results_taken": "taken_line", "results_taken_end": "taken_line",
}  # fmt: skip
LIST_TITLE_ROOM = 17  # septets of each title in a list of three
PLACED_TITLE_ROOM = 15  # where each line says the place
BESIDE_TITLE_ROOM = 10  # of what a title says besides what was searched
# Refusals that a phone can meet (circular/errors.py has those of the other doors as well).
REFUSALS = (
    "no_such_listing", "bad_code", "sold_out", "not_reservable", "hazard", "no_longer_available", "below_minimum",
    "not_a_step", "whole_number_needed", "quantity_not_positive", "too_many_reservations", "no_such_reservation",
    "already_ended", "expired", "storage_full", "busy", "too_many_gifts", "no_such_place",
    "already_extended", "slot_not_extendable", "still_available", "already_booked", "too_many_waits", "offer_lapsed",
    "too_many_alerts", "alert_too_wide",
    "no_such_alert", "not_open_yet", "entries_only", "window_closed", "already_entered", "above_maximum",
    "outside_hours", "slot_taken", "slot_in_past", "too_soon", "too_far", "quota_exceeded",
    "training_required", "too_late", "not_buildable", "below_builder_minimum", "kept_for_residents",
)  # fmt: skip
# What a USSD screen offers besides its text (sms/conversation.py).
OFFERED = {
    "project_ready": ("do_reserve",), "kit_confirm": ("do_yes",),
    "details": ("do_reserve",), "details_later": ("do_reserve",), "details_none_left": ("do_wait",), "confirm": ("do_yes",),
    "entered": ("do_leave",), "entered_queue": ("do_leave",), "wait_one": ("do_pause", "do_leave"),
    "wait_paused": ("do_resume", "do_leave"), "offer": ("do_yes", "do_no"),
    "cancel_ask": ("do_yes",), "mine_one": ("do_extend", "do_cancel"), "erase_ask": ("do_yes",),
    "too_few": ("do_yes", "do_no"), "none_left": ("do_yes", "do_no"), "offer_human": ("do_yes", "do_no"),
}  # fmt: skip
NO_HELP = re.compile(r" 0 = \w+$")  # on a USSD screen, 0 goes back
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


def offered(key: str) -> tuple[Option, ...]:
    """The choices of a screen."""
    return tuple(Option(label, Command("help")) for label in OFFERED.get(key, ()))


def longest(language: str) -> dict[str, str]:
    """LONGEST and the longest words of the language itself."""

    def widest(prefix: str) -> str:
        return max((text for key, (text, _) in TEXTS[language].items() if key.startswith(prefix)), key=len)

    return {**LONGEST, "condition": widest("condition_"), "state": widest("state_"), "unit": widest("unit_"),
            "difficulty": widest("difficulty_"), "mark": widest("mark_")}  # fmt: skip


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


def test_refusals_have_words() -> None:
    """A refusal that a phone can meet is a refusal of the program, and has its text; no text is for another."""
    assert set(REFUSALS) <= set(errors.REFUSALS)
    assert {f"refusal_{code}" for code in REFUSALS} == {key for key in TEXTS["fr"] if key.startswith("refusal_")}


@pytest.mark.parametrize("language", LANGUAGES)
def test_words_to_answer_with_mean_the_same(language: str) -> None:
    """What a text asks to be texted (`R`, YES, KRIYE) is understood as the French word in its place is."""
    for key, (text, _) in TEXTS[language].items():
        assert asked(text) == asked(TEXTS["fr"][key][0]), key


def asked(text: str) -> set[str]:
    """The intents of the capital words of a text, but for words to search."""
    text = text.removeprefix("OK")  # an English way to begin
    words = re.findall(r"\b(?:[A-Z]{2,}|[A-Z](?=\d| ?=| \{| \d))\b", re.sub(r"\b([A-Z])1\b", r"\1 1", text))
    return {parse(word, "after_question_yes_no").intent for word in words} - {"search", "help"}


@pytest.mark.parametrize("language", LANGUAGES)
def test_menus_number_their_options(language: str) -> None:
    """A menu by SMS names as many choices as there are, in order, and says the last of them."""
    for key, options in (("menu", MENU.options), ("language_menu", LANGUAGE_OPTIONS)):
        numbers = [int(number) for number in re.findall(r"\b[1-9]\b", TEXTS[language][key][0])]
        assert numbers == [*range(1, len(options) + 1), 1, len(options)], key


@pytest.mark.parametrize("language", LANGUAGES)
def test_labels_are_short(language: str) -> None:
    """A choice of a USSD screen is 20 characters at most, none of which costs two."""
    labels = {key: text for key, (text, _) in TEXTS[language].items() if key.startswith(("do_", "language_"))}
    del labels["language_menu"], labels["language_set"]
    for key, text in labels.items():
        assert len(text) <= 20, key
        assert segments.BASIC.issuperset(text), key


@pytest.mark.parametrize("language", LANGUAGES)
def test_ussd_texts_need_no_extension_table(language: str) -> None:
    """Screens of some phones show no brackets and no euro: no text holds one, its placeholders apart."""
    for key, (text, _) in TEXTS[language].items():
        assert segments.BASIC.issuperset(text.format(**dict.fromkeys(names(text), ""))), key


@pytest.mark.parametrize("language", LANGUAGES)
def test_screens_fit_with_their_longest_facts(language: str) -> None:
    """A USSD screen shows a title that can be read, its longest facts whole, and its choices."""
    title = "Planche sapin 200x20 c"
    assert len(title) == TITLE_ROOM
    facts = {**longest(language), "title": title}
    for key, (text, _) in TEXTS[language].items():
        if key.endswith("_line") or key.startswith("ussd_") or "{lines}" in text:
            continue
        shown = screens.as_ussd(Screen(key, facts, options=offered(key)), {}, language).text
        assert shown.startswith(NO_HELP.sub("", TEXTS[language].get(f"ussd_{key}", (text, []))[0].format(**facts))), key
        assert (septets(shown) or 0) <= screens.USSD_SCREEN, key


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
        line = septets(TEXTS[language][line_key][0].replace(" {place}", "").format(**facts))  # said when there is room
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
    told = next(name for name in ("code", "pin", "rank") if name in names(TEXTS[language][LISTS[key]][0]))
    assert said.count(longest(language)[told]) >= min(3, len(rows))


def test_render_list_shares_the_room_between_titles() -> None:
    """A short title leaves its room to the long ones; where each is is said, of a long name what tells it from others."""
    rows = [
        {"n": n, "title": title, "quantity": "12", "code": "41271", "place": "Commune du Lamentin"}
        for n, title in enumerate(
            ("Vis", "Planche de sapin rabotée 200x20 cm", "Porte en bois avec son cadre et sa poignée neuve"), 1
        )
    ]

    said = replies.render_list("results", "results_line", "fr", rows, words="BOIS", count=12)

    assert said == (
        "BOIS (12):\n1 Vis x12 Lamentin 41271\n2 Planche de sapin rabotée x12 Lamentin 41271\n"
        "3 Porte en bois avec son x12 Lamentin 41271\n1=détails R1=réserver S=suite"
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
        price="5,00 EUR",
        phone="0596501234",
    )

    assert said.startswith("41271 Raboteuse dégauchisseuse à bois")
    assert said.endswith(". R 41271 = heures libres. R 41271 VEN 14H = réserver. Tel 0596501234. 0 = aide")


def test_render_without_a_phone_names_the_town_hall() -> None:
    """Nobody reads "appelez:" and nothing after it."""
    assert "Tel la mairie" in replies.render(
        "details_slot", "fr", code="1", title="t", place="p", price="gratuit", phone=""
    )


@pytest.mark.parametrize(
    ("room", "said"),
    [
        (
            160,
            "P: lun,mer,ven 8h-13h; mar,jeu 8h-13h,14h-17h. Appelez: la mairie. Venez avec le code de votre réservation.",
        ),
        (
            120,
            "P: lun,mer,ven 8h-13h etc. Appelez: la mairie. Venez avec le code de votre réservation. M = mes réservations",
        ),
    ],
)
def test_render_cuts_hours_between_rules(room: int, said: str) -> None:
    """Half a rule would send people to a closed door."""
    opening = replies.hours("Mo,We,Fr 08:00-13:00; Tu,Th 08:00-13:00,14:00-17:00", "fr")

    assert replies.render("hours", "fr", room, place="P", address="", hours=opening, phone="").startswith(said)


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


# --- real data --------------------------------------------------------------------------------------------------------
DEMO_PLACES = cli.DEMO / "places.csv"
REAL_NAMES = {"france_services_martinique_20240801.csv": "lib_fs", "tiers_lieux_cget_2019_sample.csv": "NOM_TL",
              "lamentin_lieux.csv": "nom"}  # fmt: skip
KEY_FACTS = ("code", "pin", "phone", "quantity", "available", "day", "from_day", "time", "rank", "price")
# A number with what belongs to it: 200x20, 1,5, 30x30, IPN140.
MEASURE = re.compile(r"\S*\d\S*")


def column(path: pathlib.Path, name: str) -> list[str]:
    """The different values of a column, longest first."""
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        return sorted({row[name] for row in csv.DictReader(file) if row[name]}, key=lambda value: (-len(value), value))


def place_names() -> list[str]:
    """Names of the demo's places, and of Martinique's where the project's data lie beside it."""
    found = column(DEMO_PLACES, "nom")
    for above in DEMO_PLACES.parents:
        for file, name in REAL_NAMES.items():
            if (above / "shared" / "data" / file).is_file():
                found += column(above / "shared" / "data" / file, name)
    return sorted(found, key=len, reverse=True)


def fits(screen: Screen, state: State, language: str, least: int) -> tuple[str, str]:
    """The two skins of a screen, each in its limit, all numbers whole, no title cut inside a measure."""
    sms, ussd = screens.as_sms(screen, language).text, f"CON {screens.as_ussd(screen, state, language).text}"
    for shown in (sms, ussd):
        length = septets(shown)
        assert length is not None, shown
        assert length <= 160, shown
    own = f"ussd_{screen.key}" if replies.exists(f"ussd_{screen.key}") else screen.key
    facts = screens.said(screen.facts, screen.language or language)
    for shown, key in ((sms, screen.key), (ussd, own)):
        wanted = names(TEXTS[language][key][0])
        for name in wanted & set(KEY_FACTS):
            assert segments.fit(facts[name]) in shown, (name, shown)
        if "title" in wanted:
            title = segments.fit(facts["title"])
            assert whole(title, shown, least), (title, shown)
        for n, row in enumerate(screen.rows if screen.row_key != "slot_line" else (), 1):  # no titles in it
            line = next(line for line in shown.splitlines() if line.startswith(f"{n} "))
            told = screens.said(row.facts, language)
            for name in {"pin", "code"} & set(told):
                line = line.replace(told[name], "#")  # its digits may go on as those that were cut
            title = segments.fit(told["title" if "title" in names(TEXTS[language][screen.row_key][0]) else "words"])
            placed = any(word[:3] in line for word in told.get("place", "").split() if word[0].isupper())
            room = PLACED_TITLE_ROOM if placed else LIST_TITLE_ROOM
            beside = title.partition(" ")[2]  # without the word that was searched, which stands above the list
            while beside != title and not line[2:].startswith((beside[:3], title[:3])):
                beside = beside.partition(" ")[2]
            above = bool(beside) and shown.removeprefix("CON ").lower().startswith(title[:3].lower())
            assert whole(title, line[2:], room) or (above and whole(beside, line[2:], BESIDE_TITLE_ROOM)), (
                title,
                shown,
            )
    return sms, ussd


def whole(title: str, shown: str, least: int) -> bool:
    """True when as much of a title is shown as `least` septets hold, and the cut goes through no measure."""
    start = shown.find(title[:4])
    kept = sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], zip(title, shown[start:], strict=False)))
    inside = any(match.start() < kept < match.end() for match in MEASURE.finditer(title))
    return start >= 0 and not inside and kept >= len(shorten(title, least))


def walk(person: int) -> Iterator[tuple[Screen, State]]:
    """What somebody is shown who looks at each listing, reserves it, looks at it again and gives it back."""
    turns = itertools.count(1)

    def take(intent: str, state: State, **args: Any) -> tuple[Screen, State]:
        said = dialogue.converse(dialogue.Turn(person, f"walk:{next(turns)}"), state, Command(intent, args))
        return said.screen, said.state or {}

    for (code,) in db.rows("SELECT code FROM listing ORDER BY id"):
        screen, state = take("details", {}, code=code)
        yield screen, state
        if screen.key == "details":
            yield take("ask_quantity", state, code=code)
            yield take("confirm", state, code=code, quantity=catalog.amount(catalog.get(code)["available"]))
            yield take("reserve", state, code=code, quantity=123_456)  # more than there is
        made, state = take("reserve", state, code=code)
        yield made, state
        if made.key == "reserved":
            pin = made.facts["pin"]
            yield take("mine", {})
            yield take("mine", {}, pickup_code=pin)
            yield take("extend", {}, pickup_code=pin)
            yield take("extend", {}, pickup_code=pin)  # once only
            yield take("cancel", {})
            yield take("cancel", {}, pickup_code=pin)
    _, missed = take("search", {}, words="amphithéâtre démontable")
    yield take("search", {}, words="amphithéâtre démontable")
    yield take("search", missed, words="amphithéâtre démontable")
    for words in (*column(cli.DEMO / "categories.csv", "fr")[:3], "amphithéâtre démontable"):
        yield take("alert", {}, words=words)
        yield take("alert", {})
    for held in reservations.mine(person):  # what is not there yet was kept
        yield take("cancel", {}, pickup_code=held["pickup_code"])
    for (code,) in db.rows("SELECT code FROM project ORDER BY id"):
        yield take("details", {}, code=code)
        yield take("confirm_kit", {}, code=code)
        made, _ = take("reserve", {}, code=code)
        yield made, {}
        if made.key.startswith("kit_reserved"):
            pin = made.facts["pin"]
            yield take("mine", {})
            yield take("mine", {}, pickup_code=pin)
            yield take("extend", {}, pickup_code=pin)
            yield take("cancel", {}, pickup_code=pin)
    for category in categories.every():
        screen, state = take("search", {}, words=category["labels"]["fr"])
        while True:
            yield screen, state
            if not state.get("more"):
                break
            screen, state = take("more", state)
    for intent in ("projects", "machines"):
        screen, state = take(intent, {})
        while True:
            yield screen, state
            if not state.get("more"):
                break
            screen, state = take("more", state)


def test_demo_fits_in_every_language(town: Town) -> None:
    """All that can be shown of the demo's listings, projects and lists fits an SMS and a USSD screen in six languages."""
    imports.seed(cli.DEMO)
    seen = set()
    with db.transaction():
        person = town.person(FABIOLA).person_id
        assert person is not None
        for screen, state in walk(person):
            seen.add(screen.key)
            for language in LANGUAGES:
                fits(screen, state, language, TITLE_ROOM)
    assert seen >= {"details", "details_slot", "ask_quantity", "confirm", "too_few", "reserved", "mine", "mine_one",
                    "cancel_ask", "cancelled", "results", "results_end", "projects", "machines", "none",
                    "offer_human", "extended", "alert_added", "alerts", "refusal_already_extended",
                    "slots", "project_ready", "project_missing", "kit_confirm", "kit_reserved",
                    "kit_reserved_machine",
                    "refusal_not_buildable"}  # fmt: skip


@pytest.mark.parametrize("language", LANGUAGES)
def test_longest_real_values_fit_every_text(language: str) -> None:
    """Each text, also those that the walk does not meet, with the longest titles, places and hours that there are."""
    titles = column(cli.DEMO / "listings.csv", "title")[:12] + column(cli.DEMO / "projects.csv", "title")[:3]
    names_of_places, hours = place_names()[:12], column(DEMO_PLACES, "horaires")
    needs = ", ".join(f"12.5 {label}" for label in column(cli.DEMO / "categories.csv", "fr")[:4])
    words = [label.upper() for label in column(cli.DEMO / "categories.csv", "fr")[:12]]
    for n, title in enumerate(titles):
        facts: dict[str, Any] = {**longest(language), "title": title, "place": names_of_places[n % len(names_of_places)],
                                 "hours": Hours(hours[n % len(hours)]), "needs": needs, "text": title,
                                 "words": words[n % len(words)]}  # fmt: skip
        for key, (text, _) in TEXTS[language].items():
            if key.endswith("_line") or key.startswith("ussd_"):
                continue
            rows: tuple[Row, ...] = ()
            if "{lines}" in text:
                rows = tuple(Row({**facts, "n": line, "title": titles[(n + line) % len(titles)]}, Command("mine"))
                             for line in (1, 2, 3))  # fmt: skip
                row_key = LISTS.get(key, "alert_line")
                sms, ussd = fits(Screen(key, {**facts, "count": 999}, row_key, rows), {}, language, 0)
                assert sms.count("\n") >= 3
                assert ussd.count("\n") >= 3
            else:
                fits(Screen(key, facts, options=offered(key)), {}, language, LIST_TITLE_ROOM)


@pytest.mark.parametrize("language", LANGUAGES)
def test_words_that_are_suggested_find_something(language: str, town: Town) -> None:
    """Who is told to try another word, finds something in the demo by each of them."""
    imports.seed(cli.DEMO)
    suggested = TEXTS[language]["none"][0].split(": ")[-1].split(".")[0].split(", ")
    assert len(suggested) >= 4
    for word in suggested:
        assert queries.find(queries.Query(q=word, min_quantity=1, limit=1)).items, word

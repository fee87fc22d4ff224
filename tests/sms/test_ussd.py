"""USSD: each step is taken once, a choice is the line that was seen, every screen fits, and a drop loses nothing."""

from __future__ import annotations

import itertools
import pathlib
import re

import pytest
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from circular import clock, db, draws, people, reservations, waitlist
from circular.i18n import LANGUAGES
from sms import outbox, screens, ussd
from sms.commands import Command
from sms.conversation import HANDLERS, LANGUAGE_OPTIONS, MENU, Row, Screen
from tests.sms.conversation import GIVEN, PROJECT, matches, publish
from tests.sms.test_replies import NASTY, TEXTS, names
from tests.town import ADMIN, FABIOLA, JOSEPH, Town

URL = "/sms/africastalking/demo/ussd"
SCRIPTS = sorted((pathlib.Path(__file__).parents[2] / "fixtures" / "conversations" / "ussd").glob("*.txt"))
_sessions = itertools.count(1)


def step(client: FlaskClient, session: str, text: str, phone: str = FABIOLA) -> str:
    """What the phone shows after one step, through the provider's real form."""
    form = {"sessionId": session, "serviceCode": "*384#", "phoneNumber": phone, "text": text, "networkCode": "34001"}
    response = client.post(URL, data=form)
    assert response.status_code == 200
    assert response.mimetype == "text/plain"
    shown = response.get_data(as_text=True)
    assert shown.startswith(("CON ", "END "))
    assert len(shown) <= 160, shown
    choices = [line for line in shown.splitlines()[1:] if re.match(r"(?!98 |0 )\d+ ", line)]
    assert len(choices) <= 5, shown
    return shown


class Phone:
    """A keypad: inputs are joined by `*`, as the provider replays them."""

    def __init__(self, client: FlaskClient, phone: str = FABIOLA) -> None:
        self.client, self.phone = client, phone
        self.session, self.path = "", [""]

    def dial(self, tail: str = "") -> str:
        """A new session."""
        self.session, self.path = f"ATUid_{next(_sessions)}", [tail] if tail else []
        return self.again()

    def press(self, typed: str) -> str:
        """One more input."""
        self.path.append(typed)
        return self.again()

    def again(self) -> str:
        """The same step, delivered again."""
        return step(self.client, self.session, "*".join(self.path), self.phone)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_conversation(script: pathlib.Path, client: FlaskClient) -> None:
    """What the script promises is what the phone shows."""
    phone, pins = Phone(client), list[str]()
    shown, expected = "", list[str]()

    def check() -> None:
        if expected:
            matches("\n".join(expected), shown, pins)
            expected.clear()

    for line in script.read_text("utf-8").splitlines():
        if line.startswith("< "):
            expected.append(line[2:])
            continue
        check()
        if line.startswith("given "):
            match = GIVEN.fullmatch(line) or PROJECT.fullmatch(line)
            assert match, line
            publish(match)
        elif line.startswith("dial"):
            shown = phone.dial(line[5:].strip())
        elif line.startswith("> "):
            shown = phone.press(line[2:])
        elif line.startswith("sms < "):
            outbox.tell_notices()
            text = db.value("SELECT text FROM outbound_message ORDER BY id DESC LIMIT 1")
            matches(line[6:], text, pins)
        else:
            assert not line or line.startswith("#"), line
    check()


def test_a_step_delivered_again(town: Town, client: FlaskClient) -> None:
    """The same screen, and one reservation, whatever the number of deliveries."""
    code = town.listing(quantity=5)["code"]
    phone = Phone(client)
    phone.dial(code)
    for typed in ("1", "2"):
        phone.press(typed)

    first = phone.press("1")

    assert first.startswith("END Réservé")
    assert [phone.again(), phone.again()] == [first, first]
    assert town.available(code) == 3


def test_an_earlier_step_delivered_late(town: Town, client: FlaskClient) -> None:
    """It shows where the session is by now, and leads nowhere else."""
    town.listing(title="Planche sapin")
    for path in ("", "1", "1*planche"):
        shown = step(client, "s1", path)
    assert step(client, "s1", "1") == shown
    assert step(client, "s1", "") == shown
    assert "Planche sapin" in step(client, "s1", "1*planche*1")


def test_a_choice_is_the_line_that_was_seen(town: Town, client: FlaskClient) -> None:
    """What is published between two steps does not shift the lines."""
    town.listing(title="Planche un")
    phone = Phone(client)
    phone.dial()
    phone.press("1")
    assert "1 Planche un" in phone.press("planche")

    town.listing(title="Planche deux")

    assert "Planche un" in phone.press("1")


def test_a_path_that_is_not_ours(town: Town, client: FlaskClient) -> None:
    """Another path starts again at the menu, and nothing is done."""
    code = town.listing(quantity=5)["code"]
    phone = Phone(client)
    phone.dial(code)
    phone.press("1")

    phone.path = ["7", "1"]
    assert "1 Chercher" in phone.again()
    phone.path = []
    assert "1 Chercher" in phone.again()

    assert town.available(code) == 5


def test_a_session_that_ends(town: Town, client: FlaskClient) -> None:
    """The notice of an end is taken; a session that was dropped can be resumed, one that ended cannot."""
    code = town.listing(quantity=1)["code"]
    phone = Phone(client)
    phone.dial(code)
    phone.press("1")
    notice = {"sessionId": phone.session, "status": "Incomplete", "hopsCount": "2", "durationInMillis": "9000",
              "phoneNumber": FABIOLA, "input": "1", "lastAppResponse": "CON"}  # fmt: skip
    assert client.post(URL, data=notice).status_code == 200

    assert "Reprendre" in phone.dial()
    assert "Réserver 1" in phone.press("1")
    assert phone.press("1").startswith("END")

    assert "1 Chercher" in phone.dial()


def test_who_may_dial(client: FlaskClient) -> None:
    """Numbers that no SMS of ours reaches are told so; a form without a session or a number is no form."""
    for odd in ("+4412345", "Orange", "+15551234567", "+596596501234"):
        assert step(client, f"s{odd}", "", odd).startswith("END Ce service")
    for form in ({"text": ""}, {"sessionId": "1"}, {"sessionId": "", "phoneNumber": FABIOLA}):
        assert client.post(URL, data=form).status_code == 400
    assert client.post("/sms/africastalking/wrong/ussd", data={"sessionId": "1"}).status_code == 404


def test_a_session_of_another_number(town: Town, client: FlaskClient) -> None:
    """A session belongs to who opened it."""
    code = town.listing()["code"]
    step(client, "same", code)

    assert step(client, "same", f"{code}*1", JOSEPH).startswith("END Ce service")


def test_our_side_breaks(town: Town, client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bug ends the session with a sentence: anything but 200 and CON or END is a dead screen."""

    def broken(_gateway: str, _step: object) -> ussd.Answer:
        raise RuntimeError("a bug")

    monkeypatch.setattr(ussd, "answer", broken)

    assert step(client, "s", "").startswith("END Beaucoup de monde")


def test_an_opted_out_person_may_dial(town: Town, client: FlaskClient) -> None:
    """Dialling asks for an answer on the screen; no SMS follows."""
    code = town.listing(quantity=1)["code"]
    with db.transaction():
        people.opt_out(people.ensure(FABIOLA))
    phone = Phone(client)
    phone.dial(code)
    phone.press("1")

    assert "CODE" in phone.press("1")
    outbox.tell_notices()
    assert db.value("SELECT COUNT(*) FROM outbound_message") == 0


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(
    inputs=st.lists(
        st.one_of(
            st.sampled_from(["0", "00", "98", "1", "2", "3", "4", "5", "9", "", "bois", "41271", "R 41271 3", "stop"]),
            st.text(max_size=30),
        ),
        max_size=8,
    ),
    language=st.sampled_from(LANGUAGES),
)
def test_any_inputs_get_a_screen(town: Town, client: FlaskClient, inputs: list[str], language: str) -> None:
    """Whatever is typed, in every language, each step gets one screen that fits; its repeat gets the same."""
    with db.transaction():
        person_id = people.ensure(FABIOLA)
        people.opt_in(person_id)
        people.choose_language(person_id, language)
        reservations.expire()
    phone = Phone(client)
    shown = phone.dial()
    for typed in inputs:
        shown = phone.press(typed)
        assert phone.again() == shown
        if shown.startswith("END"):
            break


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("nasty", NASTY, ids=range(len(NASTY)))
def test_any_screen_fits(language: str, nasty: str) -> None:
    """Every text as a screen, whatever its facts, with as many choices as there may be."""
    row_keys = {"results": "results_line", "results_end": "results_line", "results_near": "results_line",
                "results_near_end": "results_line", "nearest": "results_line", "mine": "mine_line",
                "mine_more": "mine_line", "mine_asked": "mine_wait_line",
                "projects": "project_line", "machines": "machine_line", "cancel_which": "mine_line"}  # fmt: skip
    state = {"more": ["go_on", {}], "yes": ["human", {}], "no": ["leave_it", {}]}
    for key, (text, _) in TEXTS["fr"].items():
        if key.endswith("_line") or key.startswith("ussd_"):
            continue
        ussd_text = TEXTS["fr"].get(f"ussd_{key}", ("", []))[0]
        facts = dict.fromkeys(names(text) | names(ussd_text), nasty)
        rows: tuple[Row, ...] = ()
        if key in row_keys:
            line = dict.fromkeys(names(TEXTS["fr"][row_keys[key]][0]), nasty)
            rows = tuple(Row({**line, "n": n}, Command("mine")) for n in (1, 2, 3))
        facts.pop("lines", None)
        if "{lines}" in text and not rows:
            continue
        for screen in (Screen(key, facts, row_keys.get(key, ""), rows),
                       Screen(key, facts, row_keys.get(key, ""), rows, LANGUAGE_OPTIONS)):  # fmt: skip
            shown = screens.as_ussd(screen, state, language)
            assert len(shown.text) <= screens.USSD_SCREEN, key
            assert len(set(shown.text) & set("^{}\\[~]|€\f")) == 0, key
    assert screens.as_ussd(MENU, {}, language).more


def test_a_queue_among_ones_things(town: Town, client: FlaskClient) -> None:
    """What one waits for is set aside there, taken up again and given up; what a draw will give out is left there, too."""
    code = town.listing(title="Porte", quantity=1)["code"]
    town.reserve(town.person(JOSEPH), code)
    waiting = waitlist.join(town.person(), town.person().person_id or 0, code, None, "test:ussd")
    drawn = town.listing(title="Machine")["code"]
    draws.plan(ADMIN, drawn, {"allocation": "draw", "closes_at": clock.later(7200)})
    draws.ask(town.person(), town.person().person_id or 0, drawn, 1, "test:ussd-draw")
    phone = Phone(client)

    phone.dial()
    shown = phone.press("2")
    assert "1 Machine résultat" in shown and "2 Porte attente, rang 1" in shown
    assert phone.press("2") == "CON Porte: vous attendez, rang 1\n1 Pause, rang gardé\n2 Se retirer\n0 Retour"
    paused = "CON En pause: Porte. Vous gardez votre rang, sans offre\n1 Reprendre\n2 Se retirer\n0 Retour"
    assert phone.press("1") == phone.again() == paused
    assert waitlist.get(town.person(), waiting["reference"])["state"] == "suspended"
    assert phone.press("1").startswith("END Noté: Porte")
    assert waitlist.get(town.person(), waiting["reference"])["state"] == "waiting"

    phone.dial()
    phone.press("2")
    phone.press("2")
    assert "vous n'attendez plus Porte" in phone.press("2")
    phone.press("00")
    assert "attente" not in phone.press("2")
    entered = phone.press("1")
    assert "billet" in entered and entered.endswith("\n1 Se retirer\n0 Retour")
    assert phone.press("1").startswith("END C'est retiré: Machine")
    assert draws.mine(town.person().person_id or 0) == []


def test_every_look_is_a_command() -> None:
    """What 0 comes back to is what the dialogue knows."""
    assert set(HANDLERS) >= ussd.LOOKS

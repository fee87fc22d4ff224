"""`GET /messages`: what staff see of what came and what went."""

from __future__ import annotations

from typing import Any

import time_machine
from flask.testing import FlaskClient

from circular import callbacks, clock, db, gifts, reservations, settings, sign_in
from sms import inbox, messages, outbox
from tests.api.test_listings import problem
from tests.sms.conversation import text
from tests.town import FABIOLA, JOSEPH, MIRTHA, Town

URL = "/api/v1/messages"


def read(client: FlaskClient, headers: dict[str, str], path: str = URL) -> list[dict[str, Any]]:
    """Every message, page by page."""
    found: list[dict[str, Any]] = []
    while path:
        page = client.get(path, headers=headers)
        assert page.status_code == 200, page.text
        found += page.json["items"]
        path = page.json["next"]
    return found


def test_what_came_and_what_went(town: Town, client: FlaskClient) -> None:
    """Newest first: words, intent, language, state, gateway, segments, cost, and which answers which."""
    code = town.listing()["code"]
    text(client, f"R {code}", message_id="m1")
    (claimed,) = messages.claim("africastalking", "worker-9", 9)
    messages.mark_sent(claimed.id, "africastalking", "x", "EUR 0.0500")

    answer, came = read(client, town.token("staff", "la-sphere"))

    assert {name: came[name] for name in ("direction", "phone", "text", "state", "intent", "understood", "gateway")} == {
        "direction": "in", "phone": FABIOLA, "text": f"R {code}", "state": "handled", "intent": "reserve",
        "understood": True, "gateway": "africastalking",
    }  # fmt: skip
    assert answer["text"].startswith("Réservé")
    names = ("direction", "phone", "state", "kind", "cost", "segments", "language", "in_reply_to")
    assert {name: answer[name] for name in names} == {
        "direction": "out", "phone": FABIOLA, "state": "sent", "kind": "answer", "cost": "EUR 0.0500", "segments": 1,
        "language": "fr", "in_reply_to": came["id"],
    }  # fmt: skip


def test_whose_messages_staff_see(town: Town, client: FlaskClient) -> None:
    """Those of people whom their place knows; of people known nowhere, without the number; an admin sees all."""
    here, there, admin = town.token("staff", "la-sphere"), town.token("staff", "trois-lieu"), town.token("admin")
    town.reserve(town.person(FABIOLA), town.listing()["code"])
    text(client, "girafe, appelez le 0696 11 22 33", FABIOLA)
    text(client, "lion, appelez le 0696 11 22 33", JOSEPH)

    def seen(headers: dict[str, str]) -> list[tuple[str, str]]:
        return [(one["phone"], one["text"]) for one in read(client, headers, f"{URL}?direction=in")]

    known = (FABIOLA, "girafe, appelez le 0696 11 22 33")
    assert seen(here) == [("+596•••••02", "lion, appelez le 0696•••••33"), known]
    assert seen(there) == [("+596•••••02", "lion, appelez le 0696•••••33")]
    assert seen(admin) == [(JOSEPH, "lion, appelez le 0696 11 22 33"), known]
    problem(client.get(URL, headers=town.token("builder")), 403, "wrong_role")
    problem(client.get(URL), 401, "no_token")


def test_a_code_of_another_place_is_not_shown(town: Town, client: FlaskClient) -> None:
    """Staff of a place that knows somebody read neither the code that fetches something elsewhere, nor its quotation."""
    here, there, admin = town.token("staff", "la-sphere"), town.token("staff", "trois-lieu"), town.token("admin")
    codes = []
    for place in ("la-sphere", "trois-lieu"):
        text(client, f"R {town.listing(place=place)['code']}")
        codes.append(db.value("SELECT pickup_code FROM reservation ORDER BY id DESC LIMIT 1"))
    assert codes[0] != codes[1]
    for pin in codes:
        text(client, f"c'est quoi {pin[:2]} {pin[2:]}")

    def shown(headers: dict[str, str]) -> str:
        return " / ".join(one["text"] for one in read(client, headers)).replace(" ", "")

    assert [pin in shown(here) for pin in codes] == [True, False]
    assert [pin in shown(there) for pin in codes] == [False, True]
    assert [pin in shown(admin) for pin in codes] == [True, True]


def test_a_place_forgets_whom_it_knew(town: Town, client: FlaskClient) -> None:
    """What ended longer ago than texts are kept shows nobody's number any more."""
    held = town.reserve(town.person(FABIOLA), town.listing()["code"])
    reservations.cancel(town.person(FABIOLA), held["reference"])
    headers, kept = town.token("staff", "la-sphere"), settings.get().messages_kept_days * 86_400
    with time_machine.travel(clock.later(kept - 60), tick=False):
        text(client, "girafe")
        assert {one["phone"] for one in read(client, headers)} == {FABIOLA}
    with time_machine.travel(clock.later(kept + 60), tick=False):
        assert FABIOLA not in {one["phone"] for one in read(client, headers)}


def test_a_call_or_a_gift_makes_somebody_known(town: Town, client: FlaskClient) -> None:
    """While a call is open, and as long as the gift is remembered."""
    here, there = town.token("staff", "la-sphere"), town.token("staff", "trois-lieu")
    text(client, "girafe", JOSEPH)
    text(client, "lion", MIRTHA)
    joseph, mirtha = town.person(JOSEPH).person_id, town.person(MIRTHA).person_id
    assert joseph is not None and mirtha is not None
    asked = callbacks.ask(joseph, "", "test:1")
    gifts.give(mirtha, "tole", None, "test:2")

    assert [one["phone"] for one in read(client, here, f"{URL}?direction=in")] == [MIRTHA, JOSEPH]
    assert read(client, there) == []
    callbacks.done(town.staff, asked["reference"])
    assert [one["phone"] for one in read(client, here, f"{URL}?direction=in")] == [MIRTHA, "+596•••••02"]


def test_codes_are_no_phone_numbers(town: Town, client: FlaskClient) -> None:
    """In the text of somebody whom no place knows, phone numbers are masked and nothing else."""
    said = "41271 31704 et 0696 12 34 56 ou +596 696 00 00 01, 1000 2000"
    text(client, said)

    shown = read(client, town.token("staff", "la-sphere"), f"{URL}?direction=in")[0]

    assert shown["text"] == "41271 31704 et 0696•••••56 ou +596•••••01, 1000 2000"


def test_the_ones_not_understood(town: Town, client: FlaskClient) -> None:
    """Searches that found nothing too, and what broke: what to make synonyms of."""
    town.listing(title="Porte")
    for words in ("porte", "girafe", "M"):
        text(client, words)
    staff = town.token("staff", "la-sphere")

    assert [one["text"] for one in read(client, staff, f"{URL}?not_understood=true")] == ["girafe"]
    assert [one["text"] for one in read(client, staff, f"{URL}?intent=mine")] == ["M"]
    assert [one["understood"] for one in read(client, staff, f"{URL}?direction=in")] == [True, False, True]
    assert read(client, staff, f"{URL}?not_understood=true&direction=out") == []
    assert len(read(client, staff, f"{URL}?not_understood=false")) == 6


def test_states_and_wrong_filters(town: Town, client: FlaskClient) -> None:
    """Filters of the contract's words; others are refused by field."""
    text(client, "girafe", "Orange")
    text(client, "girafe")
    admin = town.token("admin")

    assert [(one["phone"], one["reason"]) for one in read(client, admin, f"{URL}?state=ignored")] == [
        ("Orange", "unanswerable_sender")
    ]
    assert [one["direction"] for one in read(client, admin, f"{URL}?state=queued")] == ["out"]
    for field, value in (("state", "x"), ("direction", "up"), ("not_understood", "1"), ("limit", "0"), ("colour", "x")):
        errors = problem(client.get(f"{URL}?{field}={value}", headers=admin), 422, "invalid")["errors"]
        assert list(errors) == [field]
    for cursor in ("x", "1", "1.x", "-1.1", "1.2.3", "9" * 30 + ".1"):
        problem(client.get(f"{URL}?cursor={cursor}", headers=admin), 422, "bad_cursor")


def test_pages_of_messages(town: Town, client: FlaskClient) -> None:
    """None twice, none skipped, whatever the mixture and whatever the clocks say."""
    for n in range(7):
        with time_machine.travel(f"2026-11-23T15:0{n % 3}:00Z"):
            text(client, f"girafe{n}", message_id=f"m{n}")
    client.post("/sms/africastalking/demo/inbound", data={"id": "w", "from": JOSEPH, "text": "attend"})
    admin = town.token("admin")

    whole = read(client, admin, f"{URL}?limit=100")
    for limit in (1, 2, 4, 14, 15):
        assert read(client, admin, f"{URL}?limit={limit}") == whole
    assert len(whole) == len({one["id"] for one in whole}) == 15
    assert [one["text"] for one in whole if one["direction"] == "in"] == [
        "attend",
        *(f"girafe{n}" for n in range(6, -1, -1)),
    ]


def test_messages_that_were_forgotten(town: Town, client: FlaskClient) -> None:
    """State and cost are still there, number and text are not."""
    with time_machine.travel("2026-08-01T15:00:00Z"):
        text(client, "girafe")
        for message in messages.claim("africastalking", "worker-9", 9):
            messages.mark_sent(message.id, "africastalking", "x", "EUR 0.0500")
    with time_machine.travel("2026-11-23T15:00:00Z"):
        messages.forget_old(90)

    answer, came = read(client, town.token("staff", "trois-lieu"))

    assert (came["phone"], came["text"], came["segments"], came["intent"]) == ("", "", 0, "search")
    assert (answer["phone"], answer["text"], answer["cost"], answer["state"]) == ("", "", "EUR 0.0500", "sent")


def test_erasing_by_sms_says_a_last_word(town: Town, client: FlaskClient) -> None:
    """It goes out to the number, which is then gone; the messages that asked for it too."""
    code = town.listing(quantity=5)["code"]
    text(client, f"R {code} 2")
    text(client, "EFFACE")
    assert town.available(code) == 3

    assert text(client, "OUI") == "C'est effacé. Nous n'avons plus votre numéro. Au revoir."

    assert town.available(code) == 5
    assert db.value("SELECT COUNT(*) FROM person WHERE phone IS NOT NULL") == 0
    assert db.rows("SELECT DISTINCT sender, text, person_id FROM inbound_message") == [("", "", None)]
    waiting = messages.claim("africastalking", "worker-9", 9)
    assert [(message.recipient, message.text) for message in waiting] == [
        (FABIOLA, "C'est effacé. Nous n'avons plus votre numéro. Au revoir.")
    ]
    messages.give_back("worker-9")
    assert messages.forget_sent() == 0
    (message,) = messages.claim("africastalking", "worker-9", 9)
    messages.mark_sent(message.id, "africastalking", "x", None)
    assert messages.forget_sent() == 1
    assert db.rows("SELECT DISTINCT recipient, text FROM outbound_message") == [("", "")]


def test_an_erased_flood_is_still_a_flood(town: Town, client: FlaskClient) -> None:
    """Who is forgotten in between has not written less."""
    heard = []
    for _ in range(inbox.FLOOD_LIMIT):
        heard += [text(client, "EFFACE"), text(client, "OUI")]

    assert sum(reply is not None for reply in heard) == inbox.FLOOD_LIMIT + 1


def test_a_code_that_signs_in_is_not_shown(town: Town, client: FlaskClient) -> None:
    """Staff who read the messages cannot sign in as the admin."""
    town.token("admin", phone=FABIOLA)
    code = sign_in.ask(FABIOLA, "somewhere")
    outbox.tell_notices()
    assert code and db.value("SELECT 1 FROM outbound_message WHERE text LIKE ?", f"%{code}%")

    for headers in (town.token("staff", "la-sphere"), town.token("admin")):
        assert [one["text"] for one in read(client, headers)] == [""]


def test_erasing_by_ussd(town: Town, client: FlaskClient) -> None:
    """Asked on one screen, done on the next; that screen sent again brings nobody back."""

    def dial(path: str) -> str:
        form = {"sessionId": "s1", "phoneNumber": FABIOLA, "serviceCode": "*384#", "text": path, "networkCode": "99999"}
        return client.post("/sms/africastalking/demo/ussd", data=form).text

    town.reserve(town.person(), town.listing()["code"])
    dial("")
    assert dial("EFFACE").startswith("CON ")
    gone = dial("EFFACE*1")

    assert gone.startswith("END C'est effacé.")
    assert dial("EFFACE*1") == gone
    assert db.rows("SELECT typed, state FROM ussd_session") == [("", "{}")]
    assert db.value("SELECT COUNT(*) FROM person WHERE phone IS NOT NULL") == 0
    assert db.value("SELECT COUNT(*) FROM reservation WHERE state = 'held'") == 0

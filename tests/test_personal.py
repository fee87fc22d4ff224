"""What is kept of somebody: shown to them, forgotten when they ask, and when its time is over."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import time_machine
from flask.testing import FlaskClient

from circular import (
    alerts,
    callbacks,
    catalog,
    clock,
    db,
    exports,
    gifts,
    idempotency,
    logs,
    notices,
    people,
    personal,
    reservations,
    slots,
    waitlist,
)
from circular.people import Actor
from sms import messages, worker
from sms.gateways.base import Receipt
from tests.api.test_listings import problem
from tests.sms.conversation import text
from tests.test_reservations import refused
from tests.town import FABIOLA, JOSEPH, MIRTHA, Town

TABLES = {
    "person": "phone", "notice": "facts", "repeat": "answer", "gift": "text", "callback": "words", "conversation": "shown",
    "inbound_message": "sender || text", "outbound_message": "recipient || text", "ussd_session": "typed || state || screen",
    "listing": "title || description", "alert": "asked", "unfound": "words", "tally": "name", "reservation": "origin",
}  # fmt: skip


def mentions(what: str) -> list[str]:
    """The tables that hold `what`."""
    return [
        name
        for name, columns in TABLES.items()
        if db.value(f"SELECT 1 FROM {name} WHERE LOWER({columns}) LIKE ? LIMIT 1", f"%{what}%")
    ]


def live_a_little(town: Town, client: FlaskClient, phone: str = FABIOLA) -> dict[str, Any]:
    """Somebody searches, reserves, asks for a call, offers something, by SMS and USSD; staff reserve for them too."""
    code = town.listing(quantity=10)["code"]
    person = town.person(phone).person_id
    assert person is not None
    text(client, "girafe", phone)
    text(client, f"R {code} 2", phone)
    callbacks.ask(person, "girafe", f"test:call:{phone}")
    gift = gifts.give(person, "tole rouillee", 20, f"test:gift:{phone}")
    alerts.add(person, {"q": "rhinoceros"}, f"test:alert:{phone}")
    scarce = town.listing(title="Volet", quantity=1)["code"]
    town.reserve(town.builder(), scarce)
    waitlist.join(Actor(person, "resident", "sms"), person, scarce, 1, f"test:wait:{phone}")
    staff = {**town.token("staff", "la-sphere"), "Idempotency-Key": f"k{person}"}
    body = {"listing": code, "quantity": 3, "phone": phone}
    assert client.post("/api/v1/reservations", json=body, headers=staff).status_code == 201
    form = {"sessionId": f"s{person}", "phoneNumber": phone, "serviceCode": "*384#", "text": "", "networkCode": "99999"}
    assert client.post("/sms/africastalking/demo/ussd", data=form).status_code == 200
    return {"code": code, "person": person, "gift": gift["code"]}


def test_an_export_holds_everything(town: Town, client: FlaskClient) -> None:
    """Who one is, what one holds, asked, offered, wrote and was told; of nobody else."""
    lived = live_a_little(town, client)
    live_a_little(town, client, JOSEPH)

    response = client.get("/api/v1/me/export", headers=town.token("builder", phone=FABIOLA))

    kept = response.json
    assert response.status_code == 200 and "attachment" in response.headers["Content-Disposition"]
    assert (kept["person"]["phone"], kept["person"]["tokens"][0]["role"]) == (FABIOLA, "builder")
    assert kept["person"]["created_at"].endswith("Z")
    assert [(one["listing"], one["quantity"], one["state"]) for one in kept["reservations"]] == [
        (lived["code"], 3, "held"), (lived["code"], 2, "held"),
    ]  # fmt: skip
    assert [(one["title"], one["state"]) for one in kept["waitlist"]] == [("Volet", "waiting")]
    assert [one["asked"] for one in kept["alerts"]] == [{"q": "rhinoceros"}]
    assert [(one["words"], one["place"]) for one in kept["callbacks"]] == [("girafe", "la-sphere")]
    assert [(one["text"], one["listing"]) for one in kept["gifts"]] == [("20 tole rouillee", lived["gift"])]
    assert [one["text"] for one in kept["messages"]["received"]] == ["girafe", f"R {lived['code']} 2"]
    assert len(kept["messages"]["sent"]) == 2 and kept["messages"]["sent"][1]["text"].startswith("Réservé")
    assert len(kept["ussd"]) == 1
    assert JOSEPH not in response.text


def test_an_export_of_many_reservations(town: Town, client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many there are."""
    monkeypatch.setattr(personal, "PAGE", 2)
    builder = town.token("builder")
    code = town.listing(quantity=10)["code"]
    for _ in range(5):
        client.post("/api/v1/reservations", json={"listing": code}, headers=builder)

    assert len(client.get("/api/v1/me/export", headers=builder).json["reservations"]) == 5


def test_erasing_leaves_no_way_to_the_number(town: Town, client: FlaskClient) -> None:
    """What was held is free, what was written is gone, the token ends; others keep theirs; the number comes back as new."""
    lived = live_a_little(town, client)
    other = live_a_little(town, client, JOSEPH)
    token = town.token("builder", phone=FABIOLA)
    assert mentions(FABIOLA)

    gone = client.delete("/api/v1/me", headers=token)

    assert (gone.status_code, gone.data) == (204, b"")
    problem(client.get("/api/v1/me/export", headers=token), 401, "bad_token")
    assert mentions(FABIOLA) == []
    assert mentions("rouillee") == ["gift", "listing"]  # Joseph's
    assert db.value("SELECT COUNT(*) FROM alert") == db.value("SELECT COUNT(*) FROM waiting") == 1
    assert set(mentions(JOSEPH)) >= {"person", "inbound_message", "outbound_message", "repeat"}
    assert town.available(lived["code"]) == 10 and town.available(other["code"]) == 5
    assert [one["phone"] for one in callbacks.open_for(town.staff)] == [JOSEPH]
    assert [one["phone"] for one in gifts.find(town.staff)] == [JOSEPH]
    kept = db.rows("SELECT state, origin FROM reservation WHERE person_id = ?", lived["person"])
    assert [state for state, _ in kept] == ["cancelled", "cancelled"]
    assert str(text(client, "M")).startswith("Aucune réservation en cours.")
    assert town.person().person_id != lived["person"]


def test_who_waits_behind_somebody_erased(town: Town) -> None:
    """Moves up: what the erased person held or was offered is offered to the next, and to nobody who is gone."""
    listing = town.listing(quantity=1)["code"]
    town.reserve(town.person(FABIOLA), listing)
    for phone in (JOSEPH, MIRTHA):
        waiter = town.person(phone)
        assert waiter.person_id is not None
        waitlist.join(waiter, waiter.person_id, listing, 1, f"test:wait:{phone}")

    personal.erase(town.person(FABIOLA))
    personal.erase(town.person(JOSEPH))

    mirtha = town.person(MIRTHA).person_id
    assert mirtha is not None and waitlist.offers_of(mirtha)
    assert [(notice.person_id, notice.kind) for notice in notices.untold(9)] == [(mirtha, "offer")]


def test_a_published_gift_stays(town: Town, client: FlaskClient) -> None:
    """It is the place's by now; who gave it is forgotten."""
    lived = live_a_little(town, client)
    from circular import catalog

    catalog.revise(town.staff, lived["gift"], {"status": "published"}, None)

    personal.erase(Actor(lived["person"], "resident", "api"))

    assert catalog.get(lived["gift"])["title"] == "Tole rouillee"
    assert gifts.find(town.staff) == []


def test_a_stop_is_forgotten_too(town: Town) -> None:
    """Erased means forgotten: nothing is written to the number until it writes, or staff act for it."""
    person = town.person()
    assert person.person_id is not None
    people.opt_out(person.person_id)

    personal.erase(person)

    again = town.person()
    assert again.person_id is not None and not people.is_opted_out(again.person_id)


def test_a_token_without_a_number(town: Town, client: FlaskClient) -> None:
    """Nothing tells who it is: it sees what it did, and cannot erase."""
    builder = town.token("builder")

    assert client.get("/api/v1/me/export", headers=builder).json["person"]["phone"] is None
    problem(client.delete("/api/v1/me", headers=builder), 409, "no_phone")
    problem(client.delete("/api/v1/me"), 401, "no_token")
    problem(client.get("/api/v1/me/export"), 401, "no_token")


def test_a_late_repeat_of_a_message_of_somebody_erased(town: Town, client: FlaskClient) -> None:
    """The provider delivers it again: it has no second effect, and the number does not come back by it."""
    assert text(client, "girafe", message_id="late")
    personal.erase(town.person())

    text(client, "girafe", message_id="late")

    assert db.value("SELECT COUNT(*) FROM inbound_message") == 1
    assert mentions(FABIOLA) == []


def test_what_waits_for_somebody_erased_is_not_sent(town: Town, client: FlaskClient) -> None:
    """Neither texts nor notices; what a worker has in hand is forgotten once it is marked."""
    live_a_little(town, client)
    (first, *_) = messages.claim("africastalking", "worker-9", 1)

    personal.erase(town.person())

    assert db.rows("SELECT state FROM outbound_message ORDER BY id") == [("sending",), ("cancelled",)]
    assert notices.untold(9) == []
    assert mentions(FABIOLA) == ["outbound_message"]
    messages.mark_sent(first.id, "africastalking", "x", None)
    worker.chores("worker-8")
    assert mentions(FABIOLA) == []


def test_messages_are_forgotten_after_their_time(town: Town, client: FlaskClient) -> None:
    """Ninety days: number, text and person go; what came stays known, so that a repeat is one; younger ones stay."""
    with time_machine.travel("2026-08-25T15:00:00Z"):
        text(client, "girafe rose", message_id="old")
        worker_sends()
    with time_machine.travel("2026-11-22T15:00:00Z"):
        text(client, "girafe bleue", JOSEPH)
        worker_sends()
    with time_machine.travel("2026-11-23T14:00:00Z"):
        assert worker.forget_old() == 2  # the old conversation's state, the count of its words
        assert mentions("rose") == ["inbound_message", "outbound_message"]

    with time_machine.travel("2026-11-23T16:00:00Z"):
        assert worker.forget_old() == 3  # a message, its answer, the other conversation's state
        assert worker.forget_old() == 0
        text(client, "girafe rose", message_id="old")

        assert mentions("rose") == []
        assert db.rows("SELECT sender, text, person_id, intent FROM inbound_message ORDER BY id LIMIT 1") == [
            ("", "", None, "search")
        ]
        assert db.rows("SELECT recipient, text, state FROM outbound_message ORDER BY id LIMIT 1") == [("", "", "sent")]
        assert set(mentions("bleue")) == {"inbound_message", "outbound_message", "unfound"}
        assert db.value("SELECT COUNT(*) FROM inbound_message") == 2


def worker_sends() -> None:
    """Everything that waits is taken by the provider."""
    for message in messages.claim("africastalking", "worker-9", 99):
        messages.mark_sent(message.id, "africastalking", f"p{message.id}", "EUR 0.0500")


def test_reservations_are_unlinked_after_their_time(town: Town, client: FlaskClient) -> None:
    """A year after the end: what was taken stays counted, by nobody; live ones and younger ones stay somebody's."""
    code = town.listing(quantity=10)["code"]
    with time_machine.travel("2025-11-03T15:00:00Z"):
        old = town.reserve(town.person(), code, 2)
        reservations.pick_up(town.staff, old["reference"], old["pickup_code"])
    with time_machine.travel("2026-10-30T15:00:00Z"):
        young = town.reserve(town.person(), code, 1)
        reservations.cancel(town.person(), young["reference"])
        live = town.reserve(town.person(), code, 1)

    with time_machine.travel("2026-11-03T14:00:00Z"):
        assert reservations.unlink(365) == 0
    with time_machine.travel("2026-11-03T16:00:00Z"):
        personal.forget_old()
        own = reservations.find(town.person(), reservations.Filter())
        whole = reservations.find(town.staff, reservations.Filter())

    assert [one["reference"] for one in own] == [live["reference"], young["reference"]]
    assert [(one["reference"], one["phone"], one["picked_quantity"]) for one in whole][-1] == (
        old["reference"],
        None,
        2000,
    )
    assert db.rows(
        "SELECT DISTINCT e.person_id FROM reservation_event e JOIN reservation r ON r.id = e.reservation_id "
        "WHERE r.reference = ?", old["reference"],
    ) == [(None,)]  # fmt: skip
    assert str(town.person().person_id) not in db.value(
        "SELECT origin FROM reservation WHERE reference = ?", old["reference"]
    ).split(":")


def test_what_else_has_its_time(town: Town) -> None:
    """Calls that were made go with the messages, gifts' words with the reservations; open calls stay."""
    with time_machine.travel("2025-11-03T15:00:00Z"):
        person = town.person().person_id
        assert person is not None
        done = callbacks.ask(person, "girafe", "test:1")
        callbacks.done(town.staff, done["reference"])
        callbacks.ask(person, "lion", "test:2")
        gifts.give(person, "tole", None, "test:3")
        with db.transaction():
            notices.tell(person, "expired", title="x", code="1")
            notices.mark_told(notices.untold(1)[0].id)

    with time_machine.travel("2026-11-04T15:00:00Z"):
        personal.forget_old()

    assert db.rows("SELECT words FROM callback") == [("lion",)]
    assert db.value("SELECT COUNT(*) FROM gift") == db.value("SELECT COUNT(*) FROM notice") == 0


def test_receipts_and_sessions_have_their_time(town: Town, client: FlaskClient) -> None:
    """What a provider said of a text goes with the texts, and a session some time after its end; lasting tokens stay."""
    town.token("staff", "la-sphere", FABIOLA)
    with time_machine.travel("2025-11-03T15:00:00Z"):
        messages.store_receipt("africastalking", Receipt("x", "delivered", "Success", ""))
        with db.transaction():
            people.issue_session(town.person().person_id or 0, clock.later(60))
    with time_machine.travel("2025-11-04T15:00:00Z"):
        worker.forget_old()
        assert db.value("SELECT COUNT(*) FROM delivery_receipt") == 1
        assert db.value("SELECT COUNT(*) FROM token") == 2

    with time_machine.travel("2026-11-04T15:00:00Z"):
        worker.forget_old()

    assert db.value("SELECT COUNT(*) FROM delivery_receipt") == 0
    assert db.rows("SELECT expires_at FROM token") == [(None,)]


def test_much_is_forgotten_in_batches(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that nobody waits for long."""
    monkeypatch.setattr(db, "PRUNED", 2)
    with time_machine.travel("2025-11-03T15:00:00Z"), db.transaction():
        for _ in range(3):
            notices.tell(town.person().person_id or 0, "expired", title="x", code="1")
        for notice in notices.untold(9):
            notices.mark_told(notice.id)
    with time_machine.travel("2026-11-04T15:00:00Z"):
        assert [personal.forget_old() for _ in range(3)] == [2, 1, 0]


# --- the canary -------------------------------------------------------------------------------------------------------
@pytest.fixture
def written() -> Iterator[io.StringIO]:
    """All that is logged, down to the least; the process's logging is put back afterwards."""
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    root.handlers = []
    logs.configure("DEBUG")
    stream = io.StringIO()
    handler = root.handlers[0]
    assert isinstance(handler, logging.StreamHandler)
    handler.setStream(stream)

    yield stream

    root.handlers = before
    root.setLevel(level)


def test_no_number_gets_out(
    town: Town, client: FlaskClient, written: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever breaks or is refused: not in logs, not in CSV, not in problems, not in what others see."""
    lived = live_a_little(town, client)
    builder, stranger = town.token("builder", phone=FABIOLA), town.token("staff", "trois-lieu")
    said = [
        client.get(path, headers=stranger).text
        for path in (
            "/api/v1/callbacks",
            "/api/v1/gifts",
            "/api/v1/messages",
            "/api/v1/unfound",
            "/api/v1/reservations",
        )
    ]
    said += [
        client.get(f"/api/v1/{path}").text for path in ("listings?q=tole", f"listings/{lived['gift']}", "me/export")
    ]
    said.append(client.post(f"/api/v1/callbacks/{FABIOLA}/done", headers=stranger).json["detail"])
    for kind in exports.KINDS:
        stream = io.StringIO()
        exports.export(kind, stream)
        said.append(stream.getvalue())

    def broken(*_args: object) -> None:
        raise RuntimeError(f"{FABIOLA} broke it")

    monkeypatch.setattr(idempotency, "forget_mentions", broken)
    said.append(problem(client.delete("/api/v1/me", headers=builder), 500, "broken")["detail"])
    assert town.available(lived["code"]) == 5  # all or nothing
    monkeypatch.undo()
    assert client.delete("/api/v1/me", headers=builder).status_code == 204
    said += [written.getvalue(), json.dumps(messages.find(town.staff, messages.filter_of({})).items)]

    assert "broke it" in written.getvalue()
    for number in (FABIOLA, FABIOLA[1:], "0" + FABIOLA[4:]):
        assert [one for one in said if number in one] == []


def test_a_provider_says_stop_of_somebody_erased(town: Town) -> None:
    """Refusing the last word, it does not bring the number back."""
    personal.erase(town.person())

    people.opt_out_phone(FABIOLA)

    assert mentions(FABIOLA) == []


def test_what_is_booked_within_the_hour_goes_too(town: Town) -> None:
    """The deadline to give a slot up is the place's wish; being forgotten is a right."""
    with time_machine.travel(datetime(2026, 11, 23, 14, 0, tzinfo=UTC), tick=False):
        code = town.listing(kind="machine", category="machine-bois", quantity=1)["code"]
        free = slots.free(catalog.get(code), clock.now_ms(), clock.now_ms() + slots.LONGEST_LOOK, 1)
        who = town.person()
        slot = slots.Slot(free[0].starts_at, free[0].ends_at)
        made = reservations.reserve(who, who.person_id or 0, code, None, "a", slot=slot)
        with refused("too_late"):
            reservations.cancel(who, made["reference"])

        personal.erase(who)

        assert slots.free(catalog.get(code), clock.now_ms(), clock.now_ms() + slots.LONGEST_LOOK, 1) == free

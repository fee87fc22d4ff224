"""The rules of reservations, on both engines."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import time_machine

from circular import catalog, consequences, db, draws, notices, queries, reservations, settings, waitlist
from circular.errors import Refusal
from circular.people import Actor
from tests.town import FABIOLA, JOSEPH, Town

MONDAY = datetime(2026, 11, 23, 14, 0, tzinfo=UTC)  # 10:00 in Martinique


def refused(code: str) -> pytest.RaisesExc[Refusal]:
    return pytest.RaisesExc(Refusal, check=lambda refusal: refusal.code == code)


def test_reserve_takes_stock(town: Town) -> None:
    """What one person holds, nobody else may have."""
    code = town.listing(quantity=10)["code"]

    made = town.reserve(town.person(), code, 3)

    assert (made["state"], catalog.amount(made["quantity"])) == ("held", 3)
    assert len(made["pickup_code"]) == 4 and made["pickup_code"].isdigit()
    assert town.available(code) == 7


def test_reserve_more_than_there_is(town: Town) -> None:
    """The refusal says how much is left."""
    code = town.listing(quantity=2)["code"]
    town.reserve(town.person(), code, 1)

    with refused("sold_out") as caught:
        town.reserve(town.person(JOSEPH), code, 2)

    assert caught.value.facts["available"] == 1


def test_reserve_again_by_the_same_line(town: Town) -> None:
    """A retry of the same message gets the first result and takes nothing more."""
    code = town.listing(quantity=10)["code"]

    first = town.reserve(town.person(), code, 3, origin="sms:africastalking:1")
    again = town.reserve(town.person(), code, 3, origin="sms:africastalking:1")

    assert first == again
    assert town.available(code) == 7


def test_reserve_a_mistyped_code(town: Town) -> None:
    """A slip of one digit is never somebody else's item."""
    with refused("bad_code"):
        town.reserve(town.person(), "41272", 1)


def test_reserve_without_quantity_takes_the_smallest(town: Town) -> None:
    """R 41271 alone takes the least that may be had."""
    code = town.listing(unit="m2", quantity=12.5, min_quantity=2.5, step_quantity=0.5)["code"]

    assert catalog.amount(town.reserve(town.person(), code)["quantity"]) == 2.5


@pytest.mark.parametrize(
    ("quantity", "code"),
    [
        (0, "quantity_not_positive"), (-1, "quantity_not_positive"), ("NaN", "quantity_not_positive"),
        ("1e400", "quantity_not_positive"), (0.0001, "quantity_not_positive"), (True, "quantity_not_positive"),
        (1, "below_minimum"), (2.7, "not_a_step"),
    ],
)  # fmt: skip
def test_reserve_a_wrong_quantity(town: Town, quantity: object, code: str) -> None:
    """Minimum, step and sense are checked, each with its own refusal."""
    listing = town.listing(unit="m2", quantity=12.5, min_quantity=2.5, step_quantity=0.5)

    with refused(code):
        town.reserve(town.person(), listing["code"], quantity)


def test_reserve_half_a_door(town: Town) -> None:
    """Pieces are whole."""
    with refused("whole_number_needed"):
        town.reserve(town.person(), town.listing()["code"], 1.5)


def test_reserve_a_fourth_time(town: Town) -> None:
    """A resident holds three at most; a builder more."""
    codes = [town.listing(title=f"Porte {n}")["code"] for n in range(4)]
    resident, builder = town.person(), town.builder()

    for code in codes[:3]:
        town.reserve(resident, code, 1)

    with refused("too_many_reservations"):
        town.reserve(resident, codes[3], 1)
    for code in codes:
        town.reserve(builder, code, 1)


def test_reserve_a_machine(town: Town) -> None:
    """Machines are booked by the slot, not carried away."""
    code = town.listing(kind="machine", title="Scie à ruban", category="machine-bois", quantity=1)["code"]

    with refused("not_reservable"):
        town.reserve(town.person(), code, 1)


def test_publish_asbestos(town: Town) -> None:
    """Suspected asbestos or lead is never on offer; as a draft it may be kept."""
    with refused("hazard"):
        town.listing(hazards=["asbestos:suspected"])

    draft = town.listing(hazards=[{"kind": "lead", "state": "declared"}], status="draft")
    with refused("hazard"):
        catalog.revise(town.staff, draft["code"], {"status": "published"}, None)


def test_pick_up_after_asbestos_was_found(town: Town) -> None:
    """A hazard found after the reservation stops the hand-over."""
    code = town.listing()["code"]
    made = town.reserve(town.person(), code, 1)
    catalog.revise(town.staff, code, {"hazards": "asbestos:suspected", "status": "draft"}, None)

    with refused("hazard"):
        reservations.pick_up(town.staff, made["reference"], made["pickup_code"])


def test_hold_lapses_at_closing_of_the_seventh_opening_day(town: Town) -> None:
    """Open Monday to Saturday until 17:00: what is held on a Monday is held until the next Tuesday at 17:00, Sunday apart."""
    code = town.listing(quantity=1)["code"]

    with time_machine.travel(MONDAY, tick=False):
        made = town.reserve(town.person(), code, 1)
    closing = datetime(2026, 12, 1, 21, 0, tzinfo=UTC)

    assert reservations.moment(made, "expires_at") == closing
    with time_machine.travel(closing - timedelta(seconds=1), tick=False):
        assert town.available(code) == 0
    with time_machine.travel(closing, tick=False):
        assert town.available(code) == 1  # by itself: nothing swept
        assert reservations.get(town.staff, made["reference"])["state"] == "expired"
        with refused("expired"):
            reservations.pick_up(town.staff, made["reference"], made["pickup_code"])
        assert reservations.expire() == 1
        assert reservations.expire() == 0
        assert [notice.kind for notice in notices.untold(9)] == ["expired"]


def test_hold_of_a_lot_not_yet_taken_down(town: Town) -> None:
    """The seven days start when the lot can be fetched."""
    code = town.listing(available_from="2027-01-11T12:00:00Z")["code"]

    with time_machine.travel(MONDAY, tick=False):
        made = town.reserve(town.person(), code, 1)

    assert reservations.moment(made, "expires_at") == datetime(2027, 1, 19, 21, 0, tzinfo=UTC)


def test_reserve_after_the_last_day(town: Town) -> None:
    """A lot that had to go by a date is not reserved after it."""
    code = town.listing(available_until="2026-11-20")["code"]

    with time_machine.travel(MONDAY, tick=False), refused("no_longer_available"):
        town.reserve(town.person(), code, 1)


def test_cancel_frees_the_stock(town: Town) -> None:
    """Cancelling twice changes nothing; a stranger finds nothing to cancel."""
    code = town.listing(quantity=5)["code"]
    resident = town.person()
    made = town.reserve(resident, code, 5)

    with refused("no_such_reservation"):
        reservations.cancel(town.person(JOSEPH), made["reference"])
    assert reservations.cancel(resident, made["reference"])["state"] == "cancelled"
    assert reservations.cancel(resident, made["reference"])["state"] == "cancelled"

    assert town.available(code) == 5


def test_cancel_by_staff_is_told(town: Town) -> None:
    """The person hears of it."""
    made = town.reserve(town.person(), town.listing()["code"], 1)

    reservations.cancel(town.staff, made["reference"])

    assert [notice.kind for notice in notices.untold(9)] == ["cancelled_by_place"]


def test_pick_up_consumes_stock(town: Town) -> None:
    """What is carried away leaves the quantity; the code works once."""
    code = town.listing(quantity=10)["code"]
    made = town.reserve(town.person(), code, 4)

    handed = reservations.pick_up(town.staff, made["reference"], made["pickup_code"])

    assert (handed["state"], catalog.amount(handed["picked_quantity"])) == ("picked_up", 4)
    assert (catalog.amount(catalog.get(code)["quantity"]), town.available(code)) == (6, 6)
    reservations.pick_up(town.staff, made["reference"], made["pickup_code"])
    assert town.available(code) == 6
    with refused("already_ended"):
        reservations.cancel(town.person(), made["reference"])


def test_pick_up_a_part_frees_the_rest(town: Town) -> None:
    """Two of five taken: three are free again."""
    code = town.listing(quantity=10)["code"]
    made = town.reserve(town.person(), code, 5)

    handed = reservations.pick_up(town.staff, made["reference"], made["pickup_code"], 2)

    assert handed["state"] == "partly_picked_up"
    assert town.available(code) == 8
    assert reservations.mine(made["person_id"]) == []
    assert reservations.pick_up(town.staff, made["reference"], made["pickup_code"], 2) == handed  # sent again
    for quantity in (1, None):
        with refused("already_ended"):  # somebody else hands over once more
            reservations.pick_up(town.staff, made["reference"], made["pickup_code"], quantity)
    assert town.available(code) == 8


def test_pick_up_more_than_reserved(town: Town) -> None:
    """Nobody leaves with more than was promised."""
    made = town.reserve(town.person(), town.listing()["code"], 2)

    with refused("more_than_reserved"):
        reservations.pick_up(town.staff, made["reference"], made["pickup_code"], 3)


def test_pick_up_elsewhere(town: Town) -> None:
    """The staff of another place do not even learn that the reservation exists."""
    made = town.reserve(town.person(), town.listing()["code"], 2)

    with refused("no_such_reservation"):
        reservations.pick_up(town.other_staff, made["reference"], made["pickup_code"])
    with refused("wrong_role"):
        reservations.pick_up(town.person(), made["reference"], made["pickup_code"])


def test_guessing_pickup_codes(town: Town) -> None:
    """After five wrong codes the place waits, even for the right one."""
    made = town.reserve(town.person(), town.listing()["code"], 2)
    wrong = "0000"

    for _ in range(5):
        with refused("wrong_pickup_code"):
            reservations.pick_up(town.staff, made["reference"], wrong)

    with refused("too_many_attempts"):
        reservations.pick_up(town.staff, made["reference"], made["pickup_code"])
    with time_machine.travel(datetime.now(UTC) + timedelta(minutes=16)):
        assert reservations.pick_up(town.staff, made["reference"], made["pickup_code"])["state"] == "picked_up"


def test_withdraw_a_listing_that_is_held(town: Town) -> None:
    """Whoever held some of it is told, and it is gone for everybody."""
    code = town.listing()["code"]
    made = town.reserve(town.person(), code, 1)

    consequences.withdraw_listing(town.staff, code)
    consequences.withdraw_listing(town.staff, code)

    assert [notice.kind for notice in notices.untold(9)] == ["withdrawn"]
    assert reservations.get(town.staff, made["reference"])["state"] == "cancelled"
    with refused("no_such_listing"):
        town.reserve(town.person(JOSEPH), code, 1)
    assert queries.find(queries.Query(q="planche")).items == []


def test_every_change_is_logged(town: Town) -> None:
    """Who, by which door, when."""
    made = town.reserve(town.person(), town.listing()["code"], 2)
    reservations.pick_up(town.staff, made["reference"], made["pickup_code"])

    log = reservations.events(made["id"])

    assert [(event["verb"], event["role"], event["door"]) for event in log] == [
        ("reserve", "resident", "sms"),
        ("pick_up", "staff", "api"),
    ]


def test_limits_are_settings(town: Town) -> None:
    """A town chooses how many a resident may hold."""
    settings.use(settings.load({"DATABASE_URL": settings.get().database_url, "RESIDENT_MAX_HOLDS": "1"}))
    codes = [town.listing(title=f"Porte {n}")["code"] for n in range(2)]
    town.reserve(town.person(FABIOLA), codes[0], 1)

    with refused("too_many_reservations") as caught:
        town.reserve(town.person(FABIOLA), codes[1], 1)

    assert caught.value.facts == {"limit": 1}


def test_refused_reservation_leaves_no_trace(town: Town) -> None:
    """A refusal writes nothing at all."""
    code = town.listing(quantity=1)["code"]
    before = db.rows("SELECT version FROM listing WHERE code = ?", code)

    with refused("sold_out"):
        town.reserve(town.person(), code, 2)

    assert db.rows("SELECT version FROM listing WHERE code = ?", code) == before
    assert db.value("SELECT COUNT(*) FROM reservation_event") == 0


def test_importing_again_what_was_given_away(town: Town) -> None:
    """A file that says the same as last time brings nothing back; another number is a new count."""
    row = {
        "kind": "material", "title": "Porte", "category": "menuiserie-porte", "quantity": "5", "unit": "piece",
        "place": "la-sphere",
    }  # fmt: skip

    def load(quantity: str) -> str:
        with db.transaction():
            return catalog.put(town.staff, {**row, "quantity": quantity}, "lot-1")

    assert load("5") == "created"
    code = queries.find(queries.Query(q="porte")).items[0]["code"]
    made = town.reserve(town.person(), code, 2)
    reservations.pick_up(town.staff, made["reference"], made["pickup_code"])

    assert (load("5"), town.available(code)) == ("unchanged", 3)
    assert (load("4"), town.available(code)) == ("updated", 4)
    assert (load("4"), town.available(code)) == ("unchanged", 4)


def test_a_hand_over_is_a_new_revision(town: Town) -> None:
    """Whoever counted the stock before it must look again."""
    listing = town.listing(quantity=10)
    made = town.reserve(town.person(), listing["code"], 4)
    reservations.pick_up(town.staff, made["reference"], made["pickup_code"])

    with refused("stale"):
        catalog.revise(town.staff, listing["code"], {"quantity": 12}, listing["revision"])


def test_a_sweep_that_comes_between(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hold that a sweep has ended meanwhile is not handed over too: one end, one word about it."""
    made = town.reserve(town.person(), town.listing(quantity=5)["code"], 2)
    real = reservations._check_live

    def sweep_first(found: dict[str, object]) -> None:
        real(found)
        db.run("UPDATE reservation SET state = 'expired' WHERE id = ?", found["id"])

    monkeypatch.setattr(reservations, "_check_live", sweep_first)
    with refused("already_ended"):
        reservations.pick_up(town.staff, made["reference"], made["pickup_code"])

    assert notices.untold(9) == []
    assert catalog.amount(catalog.get(made["listing"])["quantity"]) == 5


def test_the_same_form_for_somebody_else(town: Town) -> None:
    """A shared computer: the form sent again with another phone or lot is another reservation."""
    first, second = town.listing(title="Porte")["code"], town.listing(title="Volet")["code"]

    made = [
        draws.ask_by_phone(phone, code, quantity, "web:form", visitor="1")
        for phone, code, quantity in ((FABIOLA, first, "1"), (JOSEPH, second, "4"), (FABIOLA, first, "1"))
    ]

    assert [found["listing"] for found in made] == [first, second, first]
    assert made[0]["reference"] == made[2]["reference"]
    assert made[0]["person_id"] != made[1]["person_id"]


def test_tries_that_are_refused_count(town: Town) -> None:
    """Asking about other people's numbers has an end."""
    settings.use(settings.load({"DATABASE_URL": settings.get().database_url, "WEB_RESERVATIONS_PER_HOUR": "2"}))
    code = town.listing(quantity=1)["code"]

    for _ in range(2):
        with refused("sold_out"):
            draws.ask_by_phone(FABIOLA, code, "9", "web:x", visitor="1")
    with refused("too_many_requests"):
        draws.ask_by_phone(FABIOLA, code, "1", "web:y", visitor="1")


def test_a_phone_that_we_never_write_to(town: Town) -> None:
    """Nothing is held for a number that no text of ours reaches."""
    with refused("bad_phone"):
        draws.ask_by_phone("+1 202 555 0123", town.listing()["code"], "1", "web:x", visitor="1")


@pytest.mark.parametrize("date", ["9999-12-31", "9999-06-01", "2500-01-01T00:00:00Z", "0001-01-01"])
def test_dates_that_are_slips(town: Town, date: str) -> None:
    """The year 9999 is refused as a date, not stored to break things later."""
    with refused("invalid") as caught:
        town.listing(available_until=date)

    assert set(caught.value.facts["errors"]) == {"available_until"}


def test_asbestos_is_found_in_what_is_held(town: Town) -> None:
    """Whoever held some of it loses the hold and is told."""
    code = town.listing()["code"]
    made = town.reserve(town.person(), code, 1)

    changes = {"hazards": "asbestos:suspected", "status": "draft"}
    consequences.revise_listing(town.staff, code, changes, None)

    assert [notice.kind for notice in notices.untold(9)] == ["withdrawn"]
    assert reservations.get(town.staff, made["reference"])["state"] == "cancelled"


@pytest.mark.parametrize("changes", [{"unit": "m2"}, {"kind": "machine"}, {"place": "trois-lieu"}])
def test_what_was_promised_stays(town: Town, changes: dict[str, str]) -> None:
    """Unit, kind and place are fixed while some is reserved, and free again afterwards."""
    admin = Actor(None, "admin", "api")
    code = town.listing()["code"]
    made = town.reserve(town.person(), code, 1)

    with refused("invalid") as caught:
        catalog.revise(admin, code, changes, None)
    assert set(caught.value.facts["errors"]) == set(changes)

    reservations.cancel(town.person(), made["reference"])
    catalog.revise(admin, code, changes, None)


@pytest.mark.parametrize("changes", [{"min_quantity": 11}, {"unit": "piece"}])
def test_a_minimum_that_nobody_can_meet(town: Town, changes: dict[str, object]) -> None:
    """More than there is, or half a piece."""
    code = town.listing(unit="m2", min_quantity=0.5, step_quantity=0.5)["code"]

    with refused("invalid") as caught:
        catalog.revise(town.staff, code, changes, None)

    assert "min_quantity" in caught.value.facts["errors"]


def test_a_place_that_is_renamed(town: Town) -> None:
    """Its listings are found by its new name and commune, and no longer by the old."""
    town.listing(title="Porte")

    catalog.revise_place(town.staff, "la-sphere", {"name": "Le Globe", "commune": "97209"}, None)

    def titles(**query: str) -> list[str]:
        return [found["title"] for found in queries.find(queries.Query(**query)).items]

    assert titles(q="globe") == titles(commune="97209") == ["Porte"]
    assert titles(q="sphere") == titles(commune="97213") == []


# --- more time, reminders ---------------------------------------------------------------------------------------------
def test_extend(town: Town) -> None:
    """Two opening days from the present expiry; the log says who and until when; the same line again changes nothing."""
    with time_machine.travel(MONDAY, tick=False):
        made = town.reserve(town.person(), town.listing()["code"])
        until = reservations.moment(made, "expires_at")

        extended = reservations.extend(town.person(), made["reference"], "sms:1")
        again = reservations.extend(town.person(), made["reference"], "sms:1")
        with refused("already_extended"):
            reservations.extend(town.person(), made["reference"], "sms:2")

    assert until and reservations.moment(extended, "expires_at") == until + timedelta(days=2)
    assert again == extended
    log = [(event["verb"], event["role"], event["door"]) for event in reservations.events(made["id"])]
    assert log == [("reserve", "resident", "sms"), ("extend", "resident", "sms")]


def test_staff_extend_without_using_up_the_persons_own(town: Town) -> None:
    """Theirs does not count; other staff may not."""
    made = town.reserve(town.person(), town.listing()["code"])
    with refused("no_such_reservation"):
        reservations.extend(town.other_staff, made["reference"], "a")

    for n in range(3):
        reservations.extend(town.staff, made["reference"], f"staff:{n}")

    assert reservations.extend(town.person(), made["reference"], "own")
    with refused("already_extended"):
        reservations.extend(town.person(), made["reference"], "once more")


def test_extend_what_is_over(town: Town) -> None:
    """Neither what lapsed nor what was given up."""
    with time_machine.travel(MONDAY, tick=False) as traveller:
        lapsed, given_up = (town.reserve(town.person(), town.listing()["code"]) for _ in range(2))
        reservations.cancel(town.person(), given_up["reference"])
        with refused("already_ended"):
            reservations.extend(town.person(), given_up["reference"], "a")
        traveller.shift(timedelta(days=9))
        for _ in range(2):
            with refused("expired"):
                reservations.extend(town.person(), lapsed["reference"], "b")
            reservations.expire()


def test_extend_while_somebody_waits(town: Town) -> None:
    """The hold was promised with it."""
    code = town.listing(quantity=1)["code"]
    made = town.reserve(town.person(), code)
    person_id = town.person(JOSEPH).person_id
    assert person_id
    waitlist.join(town.person(JOSEPH), person_id, code, None, "w")

    assert reservations.extend(town.person(), made["reference"], "a")["extended_at"]


def test_remind_once_for_each_expiry(town: Town) -> None:
    """From a day before; what is prepared or lasts no day needs no reminder."""
    with time_machine.travel(MONDAY, tick=False) as traveller:
        made = town.reserve(town.person(), town.listing()["code"])
        until = reservations.moment(made, "expires_at")
        assert until
        reminders = []
        for moment in (until - timedelta(hours=25), until - timedelta(hours=24), until - timedelta(hours=1), until):
            traveller.move_to(moment, tick=False)
            reminders.append(reservations.remind())
            if moment == until - timedelta(hours=1):
                reservations.extend(town.person(), made["reference"], "a")
        traveller.move_to(until + timedelta(days=1, hours=1), tick=False)
        reminders.append(reservations.remind())

        assert reminders == [0, 1, 0, 0, 1]
        told = [notice.facts for notice in notices.untold(10) if notice.kind == "reminder"]
        assert [facts["pickup_code"] for facts in told] == [made["pickup_code"]] * 2
        assert told[0]["expires_at"] == db.to_ms(until)


def test_no_reminder_of_what_was_just_reserved(town: Town) -> None:
    """With a hold of one opening day, reserved in the evening: its own text has said so."""
    settings.use(settings.load({"DATABASE_URL": settings.get().database_url, "HOLD_OPENING_DAYS": "1"}))
    with time_machine.travel(MONDAY + timedelta(hours=9), tick=False) as traveller:
        town.reserve(town.person(), town.listing()["code"])
        assert reservations.remind() == 0
        traveller.shift(timedelta(hours=20))
        assert reservations.remind() == 0

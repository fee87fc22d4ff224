"""Which text goes first, by which gateway, how fast, at what hour and up to what cost."""

from __future__ import annotations

import importlib
import logging
import pathlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
import time_machine
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st

from circular import clock, db, draws, people, reservations, settings
from sms import inbox, messages, ways
from sms.gateways.base import Outcome, Outgoing, Receipt, Retry
from sms.messages import ANSWER, LAST, NOTICE, OFFER
from tests.sms.conversation import text
from tests.sms.post import MORNING, Line, Post, states, write
from tests.town import FABIOLA, JOSEPH, MIRTHA, Town

NIGHT = datetime(2026, 11, 25, 3, tzinfo=UTC)  # eleven in the evening in Martinique
SUNDAY = datetime(2026, 11, 29, 15, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _a_working_day() -> Iterator[None]:
    with time_machine.travel(MORNING, tick=True):
        yield


def choose(**environment: str) -> None:
    """Change settings of the running test."""
    now = {"DATABASE_URL": settings.get().database_url, "BACKGROUND": "false"}
    settings.use(settings.load({**now, **environment}))


def alarms(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]


# --- who is first -----------------------------------------------------------------------------------------------------
def test_what_was_asked_for_goes_first(town: Town) -> None:
    """STOP's confirmation, then answers, then offers, then the rest, whatever came first."""
    for n, kind in enumerate((NOTICE, OFFER, ANSWER, LAST)):
        write(kind, kind, f"+59669600010{n}")
    line = Line(per_second=1)

    Post(line).rounds(0, 1, 2, 3)

    assert line.texts == [LAST, ANSWER, OFFER, NOTICE]


def test_one_person_reads_in_that_order_too(town: Town) -> None:
    """An older alert holds up no answer; answers come in the order in which they were given; none is left out."""
    for kind, words in ((NOTICE, "alert"), (ANSWER, "first"), (OFFER, "offer"), (ANSWER, "second")):
        write(words, kind)
    line = Line()

    Post(line).round()

    assert line.texts == ["first", "second", "offer", "alert"]


def test_one_text_at_a_time_in_one_person_s_hands(town: Town) -> None:
    """While one is on its way nobody, in whatever process, takes another for the same person."""
    for words in ("first", "second"):
        write(words)
    write("theirs", phone=JOSEPH)

    (mine,) = messages.claim("console", "worker-1", 1)
    others = messages.claim("console", "worker-2", 9)

    assert (mine.text, [one.text for one in others]) == ("first", ["theirs"])


@pytest.mark.parametrize("waiting", ["alerts of the night", "alerts by day", "numbers out of reach"])
def test_claiming_costs_the_same_however_much_waits(town: Town, engine: str, waiting: str) -> None:
    """An answer is found at once before 20,000 other texts: the engine reads as little as before ten."""
    person = town.person(MIRTHA).person_id

    def fill(count: int) -> None:
        later = db.to_ms(clock.now()) + 600_000 if waiting == "numbers out of reach" else 0
        db.run(
            "INSERT INTO outbound_message (person_id, recipient, text, kind, priority, language, next_attempt_at, "
            "created_at) WITH RECURSIVE n (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < ?) "
            "SELECT CAST(? AS BIGINT), 'n' || x, 'alert', 'notice', 3, 'fr', CAST(? AS BIGINT), 0 FROM n",
            count,
            person,
            later,
        )

    with time_machine.travel(NIGHT if waiting == "alerts of the night" else MORNING):
        fill(10)
        few = _cost(engine)
        fill(20_000)
        many = _cost(engine)

    assert many <= few * 3 + 30


def _cost(engine: str) -> int:
    """What the engine reads for one round of claiming: instructions of SQLite's machine, pages of PostgreSQL's."""
    write("answer")
    if engine == "sqlite":
        steps = []
        db.database.connection().set_progress_handler(lambda: steps.append(1), 100)
        (found, *_) = messages.claim("console", "worker-1", 4)
        db.database.connection().set_progress_handler(None, 0)
        cost = len(steps)
    else:
        query = f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {messages.COLUMNS}{messages.WAITING}"
        plans = [db.value(query, *messages._waiting(p, "console", False), 4)[0]["Plan"] for p in range(4)]
        cost = sum(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] for plan in plans)
        (found, *_) = messages.claim("console", "worker-1", 4)
    assert found.text == "answer"
    db.run("DELETE FROM outbound_message WHERE text = 'answer'")
    db.run("UPDATE outbound_message SET state = 'queued' WHERE state = 'sending'")
    return cost


def test_numbers_out_of_reach_take_what_follows_with_them(town: Town) -> None:
    """What waits behind a text that the provider would not take for this number waits as long as it does, no longer."""
    for words in ("first", "second"):
        write(words)
    line = Line()
    line.mode = "choosy"
    post = Post(line)
    post.round()
    write("urgent", LAST)
    line.mode = "ok"

    post.round()
    assert line.texts == ["urgent"]

    post.rounds(20)
    assert line.texts == ["urgent", "first", "second"]


def test_an_upgrade_keeps_the_queue(tmp_path: pathlib.Path) -> None:
    """What waited before there were priorities is sent in the new order; what may have been taken keeps its rule."""
    db.open_database(f"sqlite:///{tmp_path}/old.db")
    db.connect()
    names = ("0001_initial", "0003_people", "0004_outbox")
    *before, ours = (importlib.import_module(f"circular.migrations.{name}") for name in names)
    for migration in before:
        migration.up(None, db.database.obj)
    db.run("INSERT INTO person (id, created_at) VALUES (1, 0)")
    for n, (kind, state, at) in enumerate((("notice", "queued", 0), ("answer", "queued", 0), ("answer", "unknown", 5))):
        db.run("INSERT INTO outbound_message (person_id, recipient, text, kind, language, state, next_attempt_at, "
               "created_at) VALUES (1, ?, ?, ?, 'fr', ?, ?, 0)", f"n{n}", kind + state, kind, state, at)  # fmt: skip

    ours.up(None, db.database.obj)

    found = [claimed.text for claimed in messages.claim("console", "worker-1", 9)]
    assert found == ["answerqueued", "answerunknown", "noticequeued"]
    db.close()


# --- pace -------------------------------------------------------------------------------------------------------------
@given(
    per_second=st.one_of(st.just(8 / 60), st.floats(0.05, 500)),
    looks=st.lists(st.tuples(st.integers(0, 20_000), st.integers(1, 40)), max_size=40),
    start=st.integers(0, 10**13),
)
def test_no_gateway_is_handed_more_than_its_pace(per_second: float, looks: list[tuple[int, int]], start: int) -> None:
    """Whoever looks whenever: in no stretch of time more than its pace gives, and one second's worth of a burst."""
    now, next_at, taken = start, 0, []
    for pause, wanted in looks:
        now += pause
        count = min(wanted, ways.places(next_at, now, per_second))
        assert count >= 0
        if count:
            next_at = ways.after(next_at, now, per_second, count)
            taken += [now] * count

    burst = max(1, int(per_second))
    for first, moment in enumerate(taken):
        for last in range(first, len(taken)):
            assert last - first + 1 <= burst + (taken[last] - moment) * per_second / 1000 + 1e-6
    assert ways.places(next_at, now + int(2000 * max(1, 1 / per_second)) + 1, per_second) == burst


def test_a_clock_that_was_set_back_stops_nobody(town: Town) -> None:
    """Two years too late on Monday, right on Tuesday: the queue moves on."""
    line = Line(per_second=8 / 60)
    post = Post(line)
    with time_machine.travel(MORNING + timedelta(days=728), tick=True):
        write("then")
        post.round()
    write("now", phone=JOSEPH)

    post.rounds(10)

    assert line.texts == ["then", "now"]


def test_two_processes_share_the_pace_of_a_modem(town: Town) -> None:
    """Eight a minute in all, whoever sends, and all of them used."""
    for n in range(60):
        write(f"alert {n}", NOTICE, f"+5966960001{n:02}")
    line = Line(per_second=8 / 60)
    one, other = Post(line, worker="worker-1"), Post(line, worker="worker-2")

    for second in range(0, 300, 2):
        (one if second % 4 else other).rounds(second)

    assert 38 <= len(line.read) <= 41


def test_a_reply_takes_the_next_place(town: Town, client: FlaskClient) -> None:
    """Among fifty alerts on a modem somebody asks: the answer is the very next text."""
    for n in range(50):
        write(f"alert {n}", NOTICE, f"+5966960001{n:02}")
    line = Line(per_second=8 / 60)
    post = Post(line)
    post.rounds(0, 8, 16)
    assert len(line.read) == 3

    said = text(client, "bois")
    post.rounds(24)

    assert line.texts[3:] == [said]


# --- quiet hours ------------------------------------------------------------------------------------------------------
ZONES = ("America/Martinique", "Europe/Paris", "Australia/Lord_Howe", "Africa/Casablanca", "Asia/Kathmandu")


@given(
    moment=st.datetimes(MORNING.replace(2020, tzinfo=None), MORNING.replace(2035, tzinfo=None)),
    zone=st.sampled_from(ZONES),
)
def test_nobody_is_disturbed(moment: datetime, zone: str) -> None:
    """Awake is what the wall clock of the town says, whatever the season; and everybody wakes within a day and a half."""
    aware = moment.replace(tzinfo=UTC)
    wall = aware.astimezone(ZoneInfo(zone)).strftime("%a %H:%M:%S")
    awake = wall[:3] != "Sun" and "08:00:00" <= wall[4:] < "20:00:00"

    woken = clock.waking(aware, zone)

    assert (woken == aware) is awake
    assert clock.waking(woken, zone) == woken
    assert timedelta(0) <= woken - aware <= timedelta(hours=37)
    assert awake or woken.astimezone(ZoneInfo(zone)).strftime("%H:%M:%S.%f") == "08:00:00.000000"


@pytest.mark.parametrize("moment", [NIGHT, SUNDAY])
def test_at_night_answers_go_and_alerts_wait(town: Town, client: FlaskClient, moment: datetime) -> None:
    """Whoever writes is answered, STOP too; what nobody asked for comes on the next working day, after the answer."""
    line = Line()
    post = Post(line)
    with time_machine.travel(moment, tick=True):
        write("alert", NOTICE)
        write("offer", OFFER)
        answer = text(client, "bois")
        stopped = text(client, "STOP", JOSEPH)
        post.round()
        assert sorted(line.texts) == sorted([answer or "", stopped or ""])

    with time_machine.travel(datetime(2026, 11, 30, 12, 0, 1, tzinfo=UTC), tick=True):
        post.round()
    assert line.texts[2:] == ["offer", "alert"]


def test_a_pickup_code_waits_for_no_morning(town: Town) -> None:
    """What was reserved on the web at night is confirmed at night; that a lot was withdrawn is told in the morning."""
    line = Line()
    post = Post(line)
    with time_machine.travel(NIGHT, tick=True):
        made = draws.ask_by_phone(FABIOLA, town.listing()["code"], 1, "web:1", visitor="v")
        reservations.cancel(town.staff, made["reference"])
        post.round()
        assert len(line.read) == 1 and made["pickup_code"] in line.texts[0]

    with time_machine.travel(NIGHT + timedelta(hours=9, seconds=1), tick=True):
        post.round()
    assert len(line.read) == 2


def test_what_has_become_untrue_is_not_sent(town: Town) -> None:
    """An offer that could not be sent while it stood is not sent afterwards."""
    write("an offer until noon", OFFER, good_until=db.to_ms(MORNING + timedelta(hours=2)))
    line = Line()

    Post(line).round(timedelta(hours=3))

    assert line.read == []
    assert db.row("SELECT state, reason FROM outbound_message") == ("cancelled", "too_late")


# --- failover ---------------------------------------------------------------------------------------------------------
@pytest.fixture
def lines() -> tuple[Line, Line]:
    """What a town with a provider and something in reserve has."""
    choose(SMS_GATEWAY="africastalking", AFRICASTALKING_API_KEY="k", SMS_FALLBACK_GATEWAYS="console")
    return Line("africastalking"), Line("console")


def test_the_next_gateway_takes_over_and_hands_back(
    town: Town, lines: tuple[Line, Line], caplog: pytest.LogCaptureFixture
) -> None:
    """Three failures in a row, and the second sends; once the first works again it sends. Said once each way."""
    first, second = lines
    post = Post(first, second)
    first.mode = "refusing"
    for n in range(6):
        write(f"text {n}", phone=f"+5966960001{n:02}")
    post.rounds(0, 2, 5, 10)
    assert sorted(second.texts) == [f"text {n}" for n in range(6)]
    assert [way["state"] for way in messages.gateways()] == ["down", "up"]
    assert messages.gateways()[0]["last_reason"] == "refused"

    write("still down")
    post.rounds(400)
    assert second.texts[-1] == "still down"

    first.mode = "ok"
    write("the way back")
    post.rounds(800)
    write("and so on")
    post.rounds(801)
    assert first.texts == ["the way back", "and so on"]
    assert [way["state"] for way in messages.gateways()] == ["up", "up"]
    assert alarms(caplog) == ["gateway africastalking is down: refused", "gateway africastalking works again"]


def test_a_moment_s_trouble_changes_no_gateway(town: Town, lines: tuple[Line, Line]) -> None:
    """One failure, one pause of a second: the same gateway sends."""
    first, second = lines
    post = Post(first, second)
    first.mode = "refusing"
    write("text")
    post.round()
    first.mode = "ok"

    post.rounds(2)

    assert (first.texts, second.texts) == (["text"], [])


def test_many_failures_of_one_moment_count_once(town: Town, lines: tuple[Line, Line]) -> None:
    """Eight texts on their way when the line broke for a second are one failure."""
    first, second = lines
    for n in range(8):
        write(f"text {n}", phone=f"+5966960001{n:02}")
    first.mode = "refusing"
    with time_machine.travel(MORNING, tick=False):
        Post(first, second).sender.tick()
    Post(first, second).sender.close()

    assert messages.gateways()[0]["failures"] <= 1


def test_a_refused_key_hands_over_at_once(town: Town, lines: tuple[Line, Line]) -> None:
    """What only a person can mend is not tried three times first."""
    first, second = lines
    first.mode = "keyless"
    write("text")

    Post(first, second).round()

    assert second.texts == ["text"]


def test_a_gateway_that_knows_it_is_ill_is_risked_no_text(town: Town, lines: tuple[Line, Line]) -> None:
    """The way back is tried by asking first: nothing is handed over until the answer is good."""
    first, second = lines
    first.mode = "keyless"
    post = Post(first, second)
    write("one")
    post.round()
    handed, first.ill, first.mode = len(first.handed), "the spool is gone", "ok"
    write("two")
    post.rounds(800)
    assert (len(first.handed), second.texts) == (handed, ["one", "two"])

    first.ill = ""
    write("three")
    post.rounds(1600)
    assert first.texts == ["three"]


@pytest.mark.parametrize(("looks", "by"), [(2, "console"), (1, "africastalking")])
def test_a_gateway_that_takes_texts_and_sends_none(town: Town, lines: tuple[Line, Line], looks: int, by: str) -> None:
    """A spool takes whatever it is handed: that its modem sends nothing is learnt by asking, twice. The next one sends."""
    first, second = lines
    post = Post(first, second)
    first.ill = "nothing leaves the spool"
    post.rounds(*(31 * look for look in range(looks)))
    first.ill = "" if looks == 1 else first.ill
    post.rounds(31 * looks, 31 * looks + 1)

    write("text")
    post.rounds(31 * looks + 2)

    assert {line.name: line.texts for line in lines}[by] == ["text"]
    assert (messages.gateways()[0]["state"] == "down") is (looks == 2)


def test_all_gateways_are_down(town: Town, lines: tuple[Line, Line]) -> None:
    """Everything waits, in order for each person, and goes out by whichever works first."""
    first, second = lines
    first.mode = second.mode = "refusing"
    post = Post(first, second)
    for n in range(3):
        for phone in (FABIOLA, JOSEPH):
            write(f"{n}", phone=phone)
    post.rounds(*range(0, 300, 5))
    assert first.read == second.read == []

    second.mode = "ok"
    post.rounds(*range(600, 700, 5))

    for phone in (FABIOLA, JOSEPH):
        assert [words for number, words in second.read if number == phone] == ["0", "1", "2"]


def test_an_answer_that_may_have_gone_out_goes_once_more_elsewhere(town: Town, lines: tuple[Line, Line]) -> None:
    """Not before two minutes, whoever sends then; what nobody asked for does not."""
    first, second = lines
    first.mode = "silent"
    post = Post(first, second)
    for n, kind in enumerate((ANSWER, NOTICE, ANSWER)):
        write(f"{kind} {n}", kind, f"+59669600010{n}")
    post.rounds(0, 1)
    first.mode = "keyless"
    write("another", phone=JOSEPH)
    post.rounds(2, 60)
    assert states() == ["unknown"] * 3 + ["sent"] and second.texts == ["another"]

    post.rounds(125, 126, 127)

    assert sorted(second.texts) == ["another", "answer 0", "answer 2"]
    post.rounds(400)
    assert len(second.read) == 3
    assert db.value("SELECT state FROM outbound_message WHERE kind = 'notice'") == "unknown"


def test_an_idempotent_gateway_is_asked_again(town: Town) -> None:
    """Where the provider sends a reference once, what it may have taken is handed to it again, alerts too: none doubled."""
    line = Line(once=True)
    line.mode = "silent"
    post = Post(line)
    write("answer")
    write("alert", NOTICE, JOSEPH)
    post.round()

    line.mode = "ok"
    post.rounds(5, 10, 70)

    assert sorted(line.texts) == ["alert", "answer"]
    assert states() == ["sent", "sent"]
    assert len(line.handed) > len(set(line.handed)) == 2


def test_an_idempotent_gateway_that_lost_it(town: Town) -> None:
    """The same, when it had not arrived: sent by the second try, alerts too."""
    line = Line(once=False)
    line.capabilities = Line(once=True).capabilities
    line.mode = "deaf"
    post = Post(line)
    write("alert", NOTICE)
    post.round()
    line.handed.clear()  # it never knew

    line.mode = "ok"
    post.rounds(5, 10)

    assert line.texts == ["alert"]


def test_one_text_that_nobody_takes_stops_no_other(town: Town) -> None:
    """A text on which the provider breaks is tried later each time; the others pass it."""
    line = Line()
    real = line.send

    def send(message: Outgoing) -> Outcome:
        return Retry("the provider answered with an error") if message.text == "poison" else real(message)

    line.send = send  # type: ignore[method-assign]
    for n, words in enumerate(("poison", "good 0", "good 1", "good 2", "good 3", "good 4")):
        write(words, phone=f"+59669600010{n}")

    Post(line).rounds(*range(0, 60, 2))

    assert sorted(line.texts) == [f"good {n}" for n in range(5)]


def test_everybody_sees_the_state_of_the_gateways(
    town: Town, lines: tuple[Line, Line], app: Flask, client: FlaskClient
) -> None:
    """`doctor` and /readyz name the gateway that is down; the site is ready all the same."""
    app.config["CIRCULAR"] = settings.get()
    assert client.get("/readyz").text == "ok\n"
    lines[0].mode = "keyless"
    write("text")
    Post(*lines).round()

    answer = client.get("/readyz")
    said = app.test_cli_runner().invoke(args=["doctor"]).output

    assert answer.status_code == 200 and "gateway africastalking: down since 2026-11-24T14:00" in answer.text
    assert "[wrong] gateway africastalking: down, last took a text: never; 3 failures in a row: 401" in said
    assert "[ok] gateway console: up, last took a text: 2026-11-24T14:00" in said
    assert "[ok] messages: 0 last, 0 answer, 0 offer, 0 notice to send" in said


def test_doctor_sees_that_nobody_sends(town: Town, app: Flask) -> None:
    """An answer that has waited for half an hour is news."""
    write("text")

    with time_machine.travel(MORNING + timedelta(minutes=30)):
        result = app.test_cli_runner().invoke(args=["doctor"])

    assert "an answer has waited for 30 minutes" in result.output
    assert result.exit_code == 1


# --- spending ---------------------------------------------------------------------------------------------------------
def test_a_day_has_a_limit(town: Town, client: FlaskClient, caplog: pytest.LogCaptureFixture) -> None:
    """From 80 % on answers alone, at 100 % nothing but STOP's confirmation; the rest tomorrow; two alarms."""
    choose(SMS_DAILY_LIMIT="10")
    line = Line()
    post = Post(line)
    for n in range(12):
        write(f"alert {n}", NOTICE, f"+5966960001{n:02}")
    post.round()
    assert len(line.read) == 8
    assert "answers alone" in client.get("/readyz").text

    for n in range(3):
        write(f"answer {n}", ANSWER, f"+5966960002{n:02}")
    post.rounds(0, 60)
    write("stopped", LAST, "+596696000300")
    post.round()
    assert line.texts[8:] == ["answer 0", "answer 1", "stopped"]

    post.round(timedelta(days=1))
    assert len(line.read) == 16
    found = alarms(caplog)
    assert [("answers alone" in words, "nothing more" in words) for words in found] == [(True, False), (False, True)]


def test_the_day_of_the_limit_is_the_town_s(town: Town) -> None:
    """It begins at midnight in Martinique, four hours after UTC's."""
    choose(SMS_DAILY_LIMIT="10")
    line = Line()
    post = Post(line)
    for n in range(12):
        write(f"answer {n}", ANSWER, f"+5966960001{n:02}")

    for hour, sent in ((14, 10), (27, 10), (28, 12)):
        with time_machine.travel(MORNING.replace(hour=0) + timedelta(hours=hour, minutes=1), tick=True):
            post.round()
        assert len(line.read) == sent


def test_what_was_not_taken_costs_nothing(town: Town) -> None:
    """A day of a provider that refuses leaves the limit untouched; a text that may have gone out counts."""
    line = Line()
    post = Post(line)
    line.mode = "refusing"
    write("answer")
    post.rounds(0, 5, 15, 40)
    assert ways.spending()["segments"] == 0

    line.mode = "silent"
    post.rounds(200)
    assert ways.spending()["segments"] == 1


def test_one_number_gets_so_many_texts_a_day(town: Town) -> None:
    """The hundred and first is written, not sent; tomorrow they are read to again, and others are served."""
    for n in range(messages.TEXTS_A_DAY + 3):
        write(f"{n}", ANSWER)
    write("theirs", phone=JOSEPH)

    assert states().count("cancelled") == 3
    assert db.value("SELECT COUNT(*) FROM outbound_message WHERE reason = 'too_many_today'") == 3
    with time_machine.travel(MORNING + timedelta(days=1)):
        write("tomorrow")
    assert states(of=["theirs", "tomorrow"]) == ["queued", "queued"]


def test_every_text_knows_what_it_costs(town: Town, client: FlaskClient) -> None:
    """One segment by construction; were it more, it would count as more."""
    text(client, "bois")
    write("x" * 161, phone=JOSEPH)

    Post(Line()).round()

    assert db.rows("SELECT segments FROM outbound_message ORDER BY id") == [(1,), (2,)]
    assert ways.spending()["segments"] == 3


# --- receipts ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("told", "state"),
    [
        (["delivered", "delivered"], "delivered"),
        (["sent", "unknown", "delivered", "failed"], "delivered"),
        (["failed", "delivered", "sent"], "failed"),
        (["unknown", "sent", "unknown"], "sent"),
    ],
)
def test_receipts_move_a_text_forward_only(town: Town, told: list[str], state: str) -> None:
    """Repeats, disorder and words that nobody knows change nothing that is settled; each is kept."""
    write("text")
    line = Line()
    Post(line).round()
    provider_id = db.value("SELECT provider_id FROM outbound_message")

    for status in told:
        messages.store_receipt("console", Receipt(provider_id, status, status, ""))  # type: ignore[arg-type]

    assert states() == [state]
    assert db.value("SELECT COUNT(*) FROM delivery_receipt") == len(told)


def test_a_receipt_of_another_gateway_is_not_ours(town: Town, lines: tuple[Line, Line]) -> None:
    """The same id at two providers is two texts."""
    write("text")
    Post(*lines).round()
    provider_id = db.value("SELECT provider_id FROM outbound_message")

    messages.store_receipt("console", Receipt(provider_id, "failed", "Failed", ""))

    assert states() == ["sent"]


@pytest.mark.parametrize("when", ["unknown", "sending", "sent elsewhere", "queued"])
def test_a_receipt_that_carries_our_reference(town: Town, lines: tuple[Line, Line], when: str) -> None:
    """Its answer was lost, but the text arrived: it is not sent again, whatever we were about to do."""
    first, second = lines
    post = Post(first, second)
    write("text")
    first.mode = "silent"
    if when in ("unknown", "sent elsewhere"):
        post.round()
    if when == "sent elsewhere":
        db.run(
            "UPDATE gateway_state SET failures = 3, down_since = 1, retry_at = ? WHERE name = 'africastalking'", 2**60
        )
        db.run("UPDATE gateway_state SET retry_at = ? WHERE name = 'africastalking'", db.to_ms(MORNING) + 300_000)
        post.rounds(125)
    if when in ("sending", "queued"):
        (claimed,) = messages.claim("africastalking", "worker-3", 1)
        if when == "queued":
            messages.give_back("worker-3")
    sent = len(first.read) + len(second.read)
    reference = db.row("SELECT id, created_at FROM outbound_message")
    assert reference is not None

    messages.store_receipt("africastalking", Receipt(f"{reference[0]}-{reference[1]:x}", "delivered", "1", ""))

    assert states() == ["delivered"]
    if when == "sending":
        with db.transaction():
            messages.mark_sent(claimed.id, "africastalking", "late", None)
        assert states() == ["delivered"]
    first.mode = "ok"
    post.rounds(130, 500)
    assert len(first.read) + len(second.read) == sent


@pytest.mark.parametrize("strange", ["", "12", "12-zz", "9" * 40 + "-1", "12-" + "f" * 40, "-", "é-1", "1-1-"])
def test_a_receipt_for_nothing_of_ours(town: Town, strange: str) -> None:
    """Kept, and nothing happens."""
    write("text")

    messages.store_receipt("console", Receipt(strange, "delivered", "1", ""))

    assert states() == ["queued"]


# --- nobody to read it ------------------------------------------------------------------------------------------------
def test_stop_between_two_marks(town: Town) -> None:
    """A text that was put back in the queue while STOP was being noted is not sent all the same."""
    person = write("text")
    with db.transaction():
        people.opt_out(person.person_id or 0)
    line = Line()

    Post(line).round()

    assert line.read == []
    assert db.row("SELECT state, reason FROM outbound_message") == ("cancelled", "opted_out")


def test_a_recipient_who_was_forgotten(town: Town) -> None:
    """Their number is gone from the row: nothing is sent, and nobody else waits for it."""
    write("text")
    write("other", phone=JOSEPH)
    db.run("UPDATE outbound_message SET recipient = '', text = '' WHERE text = 'text'")
    line = Line()

    Post(line).round()

    assert line.texts == ["other"]
    assert db.row("SELECT state, reason FROM outbound_message WHERE text = ''") == ("cancelled", "forgotten")


def test_a_worker_taken_for_dead_changes_nothing_any_more(town: Town) -> None:
    """Another has its text: what it says of it, but that it was taken, comes too late."""
    write("text")
    (lost,) = messages.claim("console", "worker-1", 1)
    messages.give_back("worker-1")
    messages.claim("console", "worker-2", 1)

    with db.transaction():
        messages.mark_for_retry(lost, "500", 0)
        messages.mark_failed(lost, "403")
        messages.mark_unknown(lost, "console", "timeout")

    assert db.row("SELECT state, claimed_by FROM outbound_message") == ("sending", "worker-2")


def test_an_answer_beyond_the_day_s_hundred(town: Town, client: FlaskClient) -> None:
    """What was asked for is done; only the text about it is not sent."""
    with db.transaction():
        person_id = people.ensure(FABIOLA)
        for n in range(messages.TEXTS_A_DAY):
            messages.queue(person_id, FABIOLA, f"{n}", NOTICE, "fr")
    code = town.listing(quantity=5)["code"]

    text(client, f"R {code}")
    while inbox.handle_pending():
        pass

    assert town.available(code) == 4
    assert db.value("SELECT COUNT(*) FROM outbound_message WHERE reason = 'too_many_today'") == 1

"""Every refusal is reached by a public door, and says what is wrong and what to do in each language.

`WAYS` is the table: a code, and how somebody meets it. A refusal that nobody can meet has no business in `errors.py`, and
one that is added there gets its line here.
"""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from flask.testing import FlaskClient
from stdnum import damm

from circular import (
    alerts,
    categories,
    consequences,
    db,
    errors,
    i18n,
    people,
    projects,
    reservations,
    search,
    waitlist,
)
from tests.conftest import ENGINES
from tests.sms import test_replies
from tests.sms.conversation import text
from tests.town import ADMIN, FABIOLA, JOSEPH, Town

API = "/api/v1"
MONDAY = datetime(2026, 11, 23, 14, 0, tzinfo=UTC)
PLANK = {"kind": "material", "title": "Planche", "category": "bois-planche", "quantity": 3, "unit": "piece",
         "place": "la-sphere"}  # fmt: skip
Send = Callable[[dict[str, str]], Any]  # asks, with more headers; what was answered: a response, or an SMS


class World:
    """A town on Monday, its doors, and who knocks."""

    def __init__(self, town: Town, client: FlaskClient, clock: time_machine.Coordinates, engine: str) -> None:
        self.town, self.client, self.clock, self.engine = town, client, clock, engine
        self.staff = town.token("staff", "la-sphere")
        self.builder = town.token("builder")
        self.resident = town.token("resident", phone=FABIOLA)
        self.me = town.person(FABIOLA)
        self.opened: list[Any] = []  # connections that others have

    def send(self, method: str, path: str, who: dict[str, str] | None = None, **options: Any) -> Send:
        """A request to the API."""
        headers = {**(who or {}), **options.pop("headers", {})}
        return lambda more: self.client.open(f"{API}{path}", method=method, headers={**headers, **more}, **options)

    def get(self, path: str, who: dict[str, str] | None = None) -> Send:
        return self.send("GET", path, who)

    def post(self, path: str, body: Any, who: dict[str, str] | None = None, **options: Any) -> Send:
        return self.send("POST", path, who, json=body, **options)

    def form(self, path: str, data: dict[str, str], **headers: str) -> Send:
        """A form of a page."""
        return lambda more: self.client.post(path, data=data, headers={**headers, **more})

    def text(self, words: str, phone: str = FABIOLA) -> Send:
        """A text message; the answer is in the language of the person, so that is chosen first."""

        def send(more: dict[str, str]) -> str:
            with db.transaction():
                people.choose_language(people.ensure(phone), more["Accept-Language"])
            return text(self.client, words, phone) or ""

        return send

    def reserve(self, who: dict[str, str] | None = None, quantity: object = 1, **listing: Any) -> Send:
        """A reservation of a new listing, which is refused."""
        code = self.town.listing(**listing)["code"]
        return self.post("/reservations", {"listing": code, "quantity": quantity}, who or self.resident)

    def held(self, **listing: Any) -> dict[str, Any]:
        """A hold of one's own."""
        return self.town.reserve(self.me, self.town.listing(**listing)["code"])

    def collect(self, pickup_code: str = "", quantity: object = None) -> Send:
        """A hand-over at the desk, which is refused."""
        held = self.held()
        body = {"pickup_code": pickup_code or held["pickup_code"], "quantity": quantity}
        return self.post(f"/reservations/{held['reference']}/pick-up", body, self.staff)

    def window(self, opens: int = 0, closes: int = 2, **rule: Any) -> str:
        """A listing of which entries are taken between so many hours from now; its code."""
        code = str(self.town.listing()["code"])
        times = {"opens_at": MONDAY + timedelta(hours=opens), "closes_at": MONDAY + timedelta(hours=closes)}
        body = {"allocation": "draw", **{name: at.isoformat() for name, at in times.items()}, **rule}
        assert self.send("PUT", f"/listings/{code}/draw", self.staff, json=body)({}).status_code == 200
        return code

    def ask(self, code: str, quantity: int = 1) -> Send:
        return self.post("/reservations", {"listing": code, "quantity": quantity}, self.resident)

    def machine(self, **rules: Any) -> str:
        """A machine of La Sphère, open from 9 to 17 but for Sundays; its code."""
        code = str(self.town.listing(kind="machine", category="machine-bois", quantity=1)["code"])
        if rules:
            assert self.send("PUT", f"/listings/{code}/rules", self.staff, json=rules)({}).status_code == 200
        return code

    def book(self, code: str, hours: float = 2, minutes: int = 60) -> Send:
        """A slot so many hours after Monday 10:00."""
        start = MONDAY + timedelta(hours=hours)
        slot = {"starts_at": start.isoformat(), "ends_at": (start + timedelta(minutes=minutes)).isoformat()}
        return self.post("/reservations", {"listing": code, "slot": slot}, self.resident)

    def upload(self, content: bytes) -> Send:
        return lambda more: self.client.post(
            f"{API}/listings/import", data={"file": (io.BytesIO(content), "x.csv")}, headers={**self.staff, **more}
        )


# --- ways -------------------------------------------------------------------------------------------------------------
def _mistyped(w: World) -> Send:
    code = str(w.town.listing()["code"])
    return w.get(f"/listings/{code[:-1]}{(int(code[-1]) + 1) % 10}")


def _too_many_reservations(w: World) -> Send:
    for _ in range(3):
        w.held()
    return w.reserve()


def _already_ended(w: World) -> Send:
    held = w.held()
    reservations.cancel(w.me, held["reference"])
    return w.post(f"/reservations/{held['reference']}/extend", None, w.resident)


def _expired(w: World) -> Send:
    held = w.held()
    w.clock.shift(timedelta(days=30))
    return w.post(f"/reservations/{held['reference']}/cancel", None, w.resident)


def _already_extended(w: World) -> Send:
    held = w.held()
    send = w.post(f"/reservations/{held['reference']}/extend", None, w.resident)
    assert send({}).status_code == 200
    return send


def _slot_not_extendable(w: World) -> Send:
    made = w.book(w.machine())({})
    return w.post(f"/reservations/{made.json['id']}/extend", None, w.resident)


def _wrong_pickup_code(w: World) -> Send:
    send = w.collect("0000")

    def now_and_then(more: dict[str, str]) -> Any:
        w.clock.shift(timedelta(seconds=reservations.WRONG_CODES_WINDOW))
        return send(more)

    return now_and_then


def _too_many_attempts(w: World) -> Send:
    send = w.collect("0000")
    for _ in range(reservations.WRONG_CODES):
        send({})
    return send


def _not_buildable(w: World) -> Send:
    with db.transaction():
        projects.put({"title": "Banc", "needs": "bois-palette:3:piece"}, "B1")
    return w.post(f"/projects/{projects.find('banc')[0]['code']}/reserve", {}, w.resident)


def _opted_out(w: World) -> Send:
    people.opt_out_phone(FABIOLA)
    code = w.town.listing()["code"]
    return w.form(f"/l/{code}/reserve", {"tel": FABIOLA, "quantity": "1", "form": "x" * 20})


def _window_closed(w: World) -> Send:
    code = w.window()
    w.clock.shift(timedelta(hours=3))
    return w.ask(code)


def _window_open(w: World) -> Send:
    return w.send("PUT", f"/listings/{w.window()}/draw", w.staff, json={"allocation": "first_come"})


def _already_entered(w: World) -> Send:
    send = w.ask(w.window())
    assert send({}).status_code == 202
    return send


def _too_many_gifts(w: World) -> Send:
    for n in range(5):
        text(w.client, f"DON {n + 2} portes en bois")
    return w.text("DON 20 tole 2m")


def _too_many_synonyms(w: World) -> Send:
    with db.transaction():
        db.run(
            "INSERT INTO synonym (word, means, created_at) WITH RECURSIVE n (x) AS "
            "(SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < ?) SELECT 'mot' || x, 'porte', 0 FROM n",
            search.MOST_SYNONYMS,
        )
    return w.post("/synonyms", {"word": "truc", "means": "porte"}, w.staff)


def _waiting(w: World) -> tuple[str, str]:
    """A listing that somebody else holds and one waits for: its hold, its code."""
    code = str(w.town.listing(quantity=1)["code"])
    held = w.town.reserve(w.town.person(JOSEPH), code)
    waitlist.join(w.me, w.me.person_id or 0, code, 1, f"wait:{code}")
    return str(held["reference"]), code


def _too_many_waits(w: World) -> Send:
    taken = []
    for n in range(waitlist.MOST_WAITS + 1):
        taken.append(w.town.listing(quantity=1)["code"])
        w.town.reserve(w.town.builder(), taken[-1], 1, f"hold:{n}")
    for code in taken[:-1]:
        waitlist.join(w.me, w.me.person_id or 0, code, 1, f"wait:{code}")
    return w.post("/waitlist", {"listing": taken[-1]}, w.resident)


def _offer_lapsed(w: World) -> Send:
    held, _ = _waiting(w)
    reservations.cancel(w.town.person(JOSEPH), held)
    w.clock.shift(timedelta(hours=5))
    return w.text("OUI")


def _too_many_alerts(w: World) -> Send:
    for kind in categories.every()[: alerts.MOST_ALERTS]:
        alerts.add(w.me.person_id or 0, {"category": kind["code"]}, f"alert:{kind['code']}")
    return w.post("/alerts", {"q": "tuile"}, w.resident)


def _held_for_others(w: World) -> Send:
    code = w.town.listing(quantity=3)["code"]
    w.town.reserve(w.me, code, 3)
    return w.send("PATCH", f"/listings/{code}", w.staff, json={"quantity": 1}, headers={"If-Match": "*"})


def _code_taken(w: World) -> Send:
    send = w.post("/sites", {"code": "friche-1", "kind": "friche", "name": "Friche"}, w.staff)
    assert send({}).status_code == 201
    return send


def _withdrawn(w: World) -> Send:
    code = w.town.listing()["code"]
    consequences.withdraw_listing(ADMIN, code)
    return w.send("PATCH", f"/listings/{code}", w.staff, json={"title": "x"}, headers={"If-Match": "*"})


def _no_phone(w: World) -> Send:
    return w.send("DELETE", "/me", w.builder)


def _wrong_sign_in_code(w: World) -> Send:
    w.town.token("staff", "la-sphere", FABIOLA)
    return w.form("/desk/login", {"tel": FABIOLA, "code": "123456"})


def _key_reused(w: World) -> Send:
    key = {"Idempotency-Key": "one", **w.resident}
    assert w.reserve(key)({}).status_code == 201
    return w.reserve(key)


def _in_progress(w: World) -> Send:
    """Another process is at the first request: it holds the name of the key (PostgreSQL; on SQLite one waits)."""
    name = f"{w.me.person_id}:slow"
    number = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big", signed=True)
    other = db.database.obj._connect()
    other.autocommit = True
    other.execute("SELECT pg_advisory_lock(%s)", (number,))
    w.opened.append(other)
    return w.reserve({"Idempotency-Key": "slow", **w.resident})


def _too_many_requests(w: World) -> Send:
    code = w.town.listing()["code"]
    send = w.form(f"/l/{code}/reserve", {"tel": "no phone", "quantity": "1", "form": "x" * 20})
    while send({}).status_code != 429:
        pass
    return send


def _below_builder_minimum(w: World) -> Send:
    return w.reserve(w.town.token("builder", phone=JOSEPH), quantity=1, min_quantity=1, builder_min_quantity=5)


def _broken(w: World) -> Send:
    db.run("ALTER TABLE commune RENAME TO gone")
    return w.get("/communes")


def _storage_full(w: World) -> Send:
    send = w.post("/listings", {**PLANK, "description": "x" * 2000}, w.staff)
    if w.engine == "sqlite":
        db.value(f"PRAGMA max_page_count = {db.value('PRAGMA page_count')}")
        while send({}).status_code == 201:  # until the last page is full
            pass
        return send
    with db.transaction():  # what a full disk says there
        db.run(
            "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS "
            "'BEGIN RAISE EXCEPTION ''could not extend file: No space left on device''; END'"
        )
        db.run("CREATE TRIGGER full_disk BEFORE INSERT ON listing EXECUTE FUNCTION full_disk()")
    return send


def _busy(w: World) -> Send:
    send = w.post("/listings", PLANK, w.staff)
    if w.engine == "sqlite":  # somebody has the writers' turn, longer than anybody waits

        def while_another_writes(more: dict[str, str]) -> Any:
            with db._turn:
                return send(more)

        return while_another_writes

    def cut_off(more: dict[str, str]) -> Any:
        """The server ends our connection just before the request."""
        db.connect()
        number = db.value("SELECT pg_backend_pid()")
        other = db.database.obj._connect()
        other.execute("SELECT pg_terminate_backend(%s, 10000)", (number,))
        other.close()
        return send(more)

    return cut_off


def _slot_taken(w: World) -> Send:
    send = w.book(w.machine())
    assert send({}).status_code == 201
    return send


def _already_booked(w: World) -> Send:
    code = w.machine()
    made = w.book(code)({}).json
    return w.post("/waitlist", {"listing": code, "slot": made["slot"]}, w.resident)


def _quota_exceeded(w: World) -> Send:
    code = w.machine(quota_minutes=60)
    assert w.book(code)({}).status_code == 201
    return w.book(code, 4)


def _too_late(w: World) -> Send:
    made = w.book(w.machine(cancel_minutes=600))({})
    assert made.status_code == 201
    return w.post(f"/reservations/{made.json['id']}/cancel", None, w.resident)


def _needs_approval(w: World) -> Send:
    for _ in range(3):
        made = w.town.reserve(w.me, w.town.listing()["code"])
        reservations.no_show(w.town.staff, made["reference"])
    asked = w.town.reserve(w.me, w.town.listing()["code"])
    return w.post(f"/reservations/{asked['reference']}/prepare", None, w.staff)


NOBODYS = f"9999{damm.calc_check_digit('9999')}"
WAYS: dict[str, Callable[[World], Send]] = {
    "no_such_listing": lambda w: w.get(f"/listings/{NOBODYS}"),
    "bad_code": _mistyped,
    "sold_out": lambda w: w.reserve(quantity=99),
    "not_reservable": lambda w: w.reserve(kind="machine"),
    "hazard": lambda w: w.post("/listings", {**PLANK, "hazards": "asbestos:declared"}, w.staff),
    "no_longer_available": lambda w: w.reserve(available_until="2026-11-20"),
    "below_minimum": lambda w: w.reserve(min_quantity=2),
    "not_a_step": lambda w: w.reserve(quantity=3, min_quantity=2, step_quantity=2),
    "whole_number_needed": lambda w: w.reserve(quantity=1.5),
    "quantity_not_positive": lambda w: w.reserve(quantity=0),
    "too_many_reservations": _too_many_reservations,
    "no_such_reservation": lambda w: w.get("/reservations/nothing", w.resident),
    "already_ended": _already_ended,
    "expired": _expired,
    "already_extended": _already_extended,
    "slot_not_extendable": _slot_not_extendable,
    "wrong_pickup_code": _wrong_pickup_code,
    "too_many_attempts": _too_many_attempts,
    "more_than_reserved": lambda w: w.collect(quantity=99),
    "not_buildable": _not_buildable,
    "below_builder_minimum": _below_builder_minimum,
    "kept_for_residents": lambda w: w.reserve(w.town.token("builder", phone=JOSEPH), resident_share=100),
    "opted_out": _opted_out,
    "not_open_yet": lambda w: w.ask(w.window(1)),
    "entries_only": lambda w: w.post("/waitlist", {"listing": w.window(), "quantity": 99}, w.resident),
    "window_closed": _window_closed,
    "window_open": _window_open,
    "already_entered": _already_entered,
    "above_maximum": lambda w: w.ask(w.window(max_per_person=1), 2),
    "slot_not_allowed": lambda w: w.book(w.town.listing()["code"]),
    "slot_taken": _slot_taken,
    "outside_hours": lambda w: w.book(w.machine(), 10),
    "not_on_grid": lambda w: w.book(w.machine(), 2.25),
    "slot_in_past": lambda w: w.book(w.machine(), -1),
    "too_soon": lambda w: w.book(w.machine(notice_minutes=600)),
    "too_far": lambda w: w.book(w.machine(horizon_days=1), 48),
    "too_long": lambda w: w.book(w.machine(longest_minutes=60), 2, 120),
    "quota_exceeded": _quota_exceeded,
    "training_required": lambda w: w.book(w.machine(training="scie")),
    "too_late": _too_late,
    "no_such_closure": lambda w: w.send("DELETE", "/places/la-sphere/closures/nothing", w.staff),
    "no_such_calendar": lambda w: w.send("DELETE", "/calendars/nothing", w.builder),
    "not_a_no_show": lambda w: w.post(
        f"/reservations/{w.town.reserve(w.me, w.town.listing()['code'])['reference']}/forgive", {}, w.staff
    ),
    "needs_approval": _needs_approval,
    "no_such_block": lambda w: w.send("DELETE", f"/listings/{w.machine()}/blocks/nothing", w.staff),
    "no_such_draw": lambda w: w.get("/draws/nothing"),
    "no_such_entry": lambda w: w.get("/entries/nothing", w.resident),
    "no_such_callback": lambda w: w.post("/callbacks/nothing/done", None, w.staff),
    "too_many_gifts": _too_many_gifts,
    "no_such_synonym": lambda w: w.send("DELETE", "/synonyms/truc", w.staff),
    "too_many_synonyms": _too_many_synonyms,
    "still_available": lambda w: w.post("/waitlist", {"listing": w.town.listing()["code"]}, w.resident),
    "already_booked": _already_booked,
    "too_many_waits": _too_many_waits,
    "no_such_wait": lambda w: w.get("/waitlist/nothing", w.resident),
    "offer_lapsed": _offer_lapsed,
    "too_many_alerts": _too_many_alerts,
    "alert_too_wide": lambda w: w.post("/alerts", {"q": "le"}, w.resident),
    "no_such_alert": lambda w: w.send("DELETE", "/alerts/nothing", w.resident),
    "invalid": lambda w: w.post("/listings", {}, w.staff),
    "held_for_others": _held_for_others,
    "no_approval_needed": lambda w: w.post(f"/reservations/{w.held()['reference']}/refuse", {"reason": "non"}, w.staff),
    "code_taken": _code_taken,
    "withdrawn": _withdrawn,
    "no_such_place": lambda w: w.get("/places/nowhere"),
    "no_such_project": lambda w: w.get(f"/projects/{NOBODYS}"),
    "no_such_site": lambda w: w.get("/sites/nowhere"),
    "no_token": lambda w: w.get("/reservations"),
    "bad_token": lambda w: w.get("/reservations", {"Authorization": "Bearer stolen"}),
    "sign_in_needed": lambda w: w.form("/desk/callbacks/x", {}),
    "wrong_sign_in_code": _wrong_sign_in_code,
    "wrong_role": lambda w: w.post("/listings", PLANK, w.builder),
    "not_your_place": lambda w: w.post("/listings", {**PLANK, "place": "trois-lieu"}, w.staff),
    "bad_phone": lambda w: w.post("/reservations", {"listing": w.town.listing()["code"], "phone": "12"}, w.staff),
    "phone_not_allowed": lambda w: w.post(
        "/reservations", {"listing": w.town.listing()["code"], "phone": JOSEPH}, w.builder
    ),
    "no_phone": _no_phone,
    "idempotency_key_reused": _key_reused,
    "in_progress": _in_progress,
    "precondition_required": lambda w: w.send("PATCH", f"/listings/{w.town.listing()['code']}", w.staff, json={}),
    "stale": lambda w: w.send(
        "PATCH", f"/listings/{w.town.listing()['code']}", w.staff, json={}, headers={"If-Match": '"99"'}
    ),
    "too_many_requests": _too_many_requests,
    "bad_cursor": lambda w: w.get("/listings?cursor=x"),
    "foreign_form": lambda w: w.form(f"/l/{w.town.listing()['code']}/reserve", {}, Origin="https://evil.example"),
    "bad_json": lambda w: w.send("POST", "/listings", w.staff, data="{", content_type="application/json"),
    "wrong_content_type": lambda w: w.send("POST", "/listings", w.staff, data="x", content_type="text/plain"),
    "too_large": lambda w: w.post("/listings", {"title": "x" * 70_000}, w.staff),
    "no_such_page": lambda w: w.get("/nothing"),
    "wrong_method": lambda w: w.send("PUT", "/listings", w.staff),
    "broken": _broken,
    "unreadable_file": lambda w: w.upload(b"PK\x03\x04junk"),
    "missing_columns": lambda w: w.upload(b"kind,title\nmaterial,Porte\n"),
    "storage_full": _storage_full,
    "busy": _busy,
}
ONLY = {"in_progress": "postgresql"}  # on SQLite the second request waits, and gets the first answer


@pytest.fixture
def clock() -> Iterator[time_machine.Coordinates]:
    with time_machine.travel(MONDAY, tick=False) as found:
        yield found


def said(answer: Any, code: str) -> str:
    """The sentence of an answer, which must be this refusal: an SMS, a page, or a problem."""
    if isinstance(answer, str):
        return answer
    assert answer.status_code >= 400, (code, answer.status_code, answer.text[:300])
    if answer.content_type != "application/problem+json":
        return str(answer.text)
    body = answer.json
    assert body["code"] == ("no_such_listing" if code == "bad_code" else code), body
    assert (code == "bad_code") == body.get("mistyped", False)
    return str(body["detail"])


def readable(sentence: str) -> re.Pattern[str]:
    """A sentence of the catalogue with anything where its facts are, as it may stand in a page."""
    parts = [re.escape(part).replace("'", "(?:'|&#39;)") for part in re.split(r"\{\w+\}", sentence)]
    return re.compile(".+?".join(parts), re.S)


@pytest.mark.parametrize(
    ("engine", "code"),
    [(engine, code) for code in WAYS for engine in ENGINES if ONLY.get(code, engine) == engine],
    indirect=["engine"],
)
def test_a_refusal_is_reached(
    engine: str, code: str, town: Town, client: FlaskClient, clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a public door, again and again, in each of the six languages, with its facts filled in."""
    monkeypatch.setattr(db, "PATIENCE", 0.01)  # seconds that a writer waits for its turn
    world = World(town, client, clock, engine)
    send = WAYS[code](world)

    for language in i18n.LANGUAGES:
        answer = send({"Accept-Language": language})
        if code == "sign_in_needed":  # its words are the page that signs in
            assert (answer.status_code, answer.location) == (303, "/desk/login")
            continue
        expected = i18n.catalogue("messages", language).gettext(errors.REFUSALS[code].sentence)
        if isinstance(answer, str):
            expected = i18n.catalogue("sms", language).gettext(f"refusal_{code}")
        assert readable(expected).search(said(answer, code)), (language, expected, said(answer, code))
    for other in world.opened:
        other.close()


def test_every_refusal_has_its_way() -> None:
    """Each code of `errors.py` is in the table, and none that is not; many more than the twenty that were asked for."""
    assert WAYS.keys() == errors.REFUSALS.keys()
    assert len(WAYS) >= 20 and set(test_replies.REFUSALS) <= WAYS.keys()

"""The desk: staff sign in with a code by SMS; who asks learns nothing, and a guesser gets nowhere."""

from __future__ import annotations

import re

import time_machine
from flask.testing import FlaskClient

from circular import callbacks, clock, db, gifts, notices, people, sign_in
from sms import messages, outbox, worker
from tests.sms.conversation import text
from tests.town import FABIOLA, JOSEPH, MIRTHA, Town
from tests.web.conftest import read


def _code(phone: str = FABIOLA) -> str:
    """The code that came by SMS."""
    outbox.tell_notices()
    text = db.value("SELECT text FROM outbound_message WHERE recipient = ? ORDER BY id DESC LIMIT 1", phone)
    return re.findall(r"\d{6}", text)[0]


def _ask(client: FlaskClient, tel: str = "0696 00 00 01") -> str:
    response = client.post("/desk/login", data={"tel": tel})
    assert response.status_code == 200
    return response.text


def test_sign_in_and_out(town: Town, client: FlaskClient) -> None:
    """A code by SMS opens the desk of one's place; signing out closes it for good."""
    town.token("staff", "la-sphere", FABIOLA)
    assert client.get("/desk").location == "/desk/login"

    _ask(client)
    response = client.post("/desk/login", data={"tel": "0696 00 00 01", "code": _code()})
    assert response.status_code == 303
    assert "HttpOnly" in response.headers["Set-Cookie"]
    assert "SameSite=Strict" in response.headers["Set-Cookie"]
    assert "La Sphère" in client.get("/desk").text
    cookie = client.get_cookie("desk")
    assert cookie

    client.post("/desk/logout")
    client.set_cookie("desk", cookie.value)
    assert client.get("/desk").status_code == 303


def test_who_asks_learns_nothing(town: Town, client: FlaskClient) -> None:
    """The answer is the same for staff, for a resident and for a number never seen; only staff get an SMS."""
    town.token("staff", "la-sphere", FABIOLA)
    town.token("builder", phone=JOSEPH)
    pages = set()
    for tel in (FABIOLA, JOSEPH, MIRTHA):
        page = read(client.post("/desk/login", data={"tel": tel}))
        pages.add(page.one(class_="ok")["text"].split("Démonstration")[0].strip())

    assert len(pages) == 1
    outbox.tell_notices()
    assert db.rows("SELECT recipient FROM outbound_message") == [(FABIOLA,)]


def test_guessing_a_code(town: Town, client: FlaskClient) -> None:
    """Five tries, then the right code is worth nothing either; so it is after ten minutes, or once used."""
    town.token("staff", "la-sphere", FABIOLA)
    _ask(client)
    right = _code()
    for _ in range(sign_in.TRIES):
        response = client.post("/desk/login", data={"tel": FABIOLA, "code": "000000" if right != "000000" else "1"})
        assert response.status_code == 409
    assert client.post("/desk/login", data={"tel": FABIOLA, "code": right}).status_code == 409

    _ask(client)
    with time_machine.travel(clock.later(sign_in.CODE_SECONDS + 1), tick=False):
        assert client.post("/desk/login", data={"tel": FABIOLA, "code": _code()}).status_code == 409


def test_asking_without_end(town: Town, client: FlaskClient) -> None:
    """Nobody's phone is rung without end, and an address tries so often and no more."""
    town.token("staff", "la-sphere", FABIOLA)
    for _ in range(sign_in.ASKED_PER_HOUR):
        _ask(client)
    assert client.post("/desk/login", data={"tel": FABIOLA}).status_code == 429
    for visitor in range(sign_in.PHONE_PER_HOUR):
        client.post("/desk/login", data={"tel": FABIOLA}, environ_base={"REMOTE_ADDR": f"192.0.2.{visitor}"})
    outbox.tell_notices(100)
    assert db.value("SELECT COUNT(*) FROM outbound_message") <= sign_in.PHONE_PER_HOUR

    statuses = [client.post("/desk/login", data={"tel": MIRTHA, "code": "1"}).status_code for _ in range(40)]
    assert statuses[-1] == 429


def test_a_stranger_who_asks_for_codes(town: Town, client: FlaskClient) -> None:
    """Whoever asks without end in the name of staff neither spoils the code that these have, nor keeps them from asking."""
    town.token("staff", "la-sphere", FABIOLA)
    _ask(client)
    code = _code()
    for _ in range(sign_in.ASKED_PER_HOUR + 1):
        client.post("/desk/login", data={"tel": FABIOLA}, environ_base={"REMOTE_ADDR": "192.0.2.7"})
    _ask(client)
    assert _code() == code
    assert client.post("/desk/login", data={"tel": FABIOLA, "code": code}).status_code == 303


def test_a_code_is_kept_nowhere(town: Town, client: FlaskClient) -> None:
    """Once it was used, or is over, no row tells a code."""
    town.token("staff", "la-sphere", FABIOLA)
    kept = "SELECT COUNT(*) FROM notice n, outbound_message m WHERE n.facts LIKE ? OR m.text LIKE ?"
    _ask(client)
    used = _code()
    assert db.value(kept, f"%{used}%", f"%{used}%")
    client.post("/desk/login", data={"tel": FABIOLA, "code": used})
    worker.chores("worker-test")
    assert not db.value(kept, f"%{used}%", f"%{used}%")

    _ask(client)
    never = _code()
    with time_machine.travel(clock.later(sign_in.CODE_SECONDS + 1), tick=False):
        worker.chores("worker-test")
        assert not db.value(kept, f"%{never}%", f"%{never}%")
        assert db.value("SELECT COUNT(*) FROM sign_in") == 0


def test_staff_who_wrote_stop(town: Town, client: FlaskClient) -> None:
    """A code that they ask for at the desk reaches them all the same; news do not."""
    town.token("staff", "la-sphere", FABIOLA)
    text(client, "STOP")
    _ask(client)
    code = _code()
    with db.transaction():
        notices.tell(town.person(FABIOLA).person_id or 0, "withdrawn", title="Porte")
    outbox.tell_notices()
    found = [message.text for _ in range(3) for message in _sent()]
    assert code in found[-1] and "Porte" not in "".join(found)


def _sent() -> list[messages.Claimed]:
    """The next texts on their way."""
    claimed = messages.claim("africastalking", "worker-test", 9)
    for message in claimed:
        messages.mark_sent(message.id, "africastalking", None, None)
    return claimed


def test_who_is_not_staff_any_more(town: Town, client: FlaskClient) -> None:
    """A day's session ends by itself, and with the token that it came from; no code is sent any more either."""
    headers = town.token("staff", "la-sphere", FABIOLA)
    _ask(client)
    client.post("/desk/login", data={"tel": FABIOLA, "code": _code()})
    assert client.get("/desk").status_code == 200

    with time_machine.travel(clock.later(sign_in.STAY_SECONDS + 1), tick=False):
        assert client.get("/desk").status_code == 303

    people.revoke_token(headers["Authorization"].removeprefix("Bearer "))
    assert client.get("/desk").location == "/desk/login"
    client.post("/desk/login", data={"tel": FABIOLA})
    outbox.tell_notices()
    assert db.value("SELECT COUNT(*) FROM outbound_message WHERE recipient = ?", FABIOLA) == 1


def test_a_code_of_before_the_token_was_revoked(town: Town, client: FlaskClient) -> None:
    """A right code opens nothing once the token is revoked; what another token opened stays open."""
    headers = town.token("staff", "trois-lieu", FABIOLA)
    _ask(client)
    people.revoke_token(headers["Authorization"].removeprefix("Bearer "))
    assert client.post("/desk/login", data={"tel": FABIOLA, "code": _code()}).status_code == 409

    _sign_in(town, client)
    assert client.get("/desk").status_code == 200


def test_another_sites_form(town: Town, client: FlaskClient) -> None:
    """A page elsewhere cannot sign anybody in or out."""
    for path in ("/desk/login", "/desk/logout"):
        assert client.post(path, headers={"Origin": "https://elsewhere.example"}).status_code == 403
        for site in ("cross-site", "same-site"):  # the latter: another host of this domain
            assert client.post(path, headers={"Sec-Fetch-Site": site}).status_code == 403
        for site in ("same-origin", "none"):
            assert client.post(path, headers={"Sec-Fetch-Site": site}).status_code != 403


def _sign_in(town: Town, client: FlaskClient, place: str = "la-sphere") -> None:
    town.token("staff", place, FABIOLA)
    _ask(client)
    assert client.post("/desk/login", data={"tel": FABIOLA, "code": _code()}).status_code == 303


def test_what_waits(town: Town, client: FlaskClient) -> None:
    """A call that is wanted, a gift, and words that found nothing; a call that was made goes."""
    for words in ("rappel", "don 20 tole 2m", "girafe"):
        text(client, words, JOSEPH)
    _sign_in(town, client)

    page = client.get("/desk").text
    assert JOSEPH in page
    assert "20 tole 2m" in page
    assert "girafe" in page
    client.post(read(client.get("/desk")).all("form", method="post")[0]["action"])
    assert "Personne." in client.get("/desk").text


def test_more_than_a_page_waits(town: Town, client: FlaskClient) -> None:
    """Every caller and every gift is reached, page by page, each list by itself."""
    with db.transaction():
        for n in range(41):
            person_id = people.ensure(f"+5966960020{n:02}")
            callbacks.ask(person_id, f"appel {n}.", f"test:c{n}")
            gifts.give(person_id, f"tole {n}.", None, f"test:g{n}")
    _sign_in(town, client)

    for name, said in (("calls", "appel"), ("gifts", "tole")):
        path, seen = "/desk", set[str]()
        for _ in range(3):
            page = client.get(path).text
            seen.update(re.findall(rf"{said} \d+\.", page))
            following = [
                one["href"] for one in read(client.get(path)).all("a", rel="next") if one["href"].endswith(f"#{name}")
            ]
            path = following[0] if following else ""
        assert len(seen) == 41 and not path
    assert client.get("/desk?calls=x&gifts=-1").status_code == 200


def test_another_places_callers(town: Town, client: FlaskClient) -> None:
    """Staff of another place see nobody's number."""
    text(client, "rappel", JOSEPH)
    _sign_in(town, client, "trois-lieu")

    assert JOSEPH not in client.get("/desk").text
    assert JOSEPH not in client.get("/desk/messages").text


def test_messages_and_a_synonym(town: Town, client: FlaskClient) -> None:
    """What was not understood becomes a word that means something; the next one who writes it finds it."""
    town.listing(title="Tole ondulée", category="metal-tole")
    text(client, "fèblan", JOSEPH)
    _sign_in(town, client)
    assert client.get("/desk/messages").status_code == 200
    assert "fèblan" in client.get("/desk/messages?not_understood=true").text

    refused = client.post("/desk/synonyms", data={"word": "", "means": "tole"})
    assert refused.status_code == 422
    assert read(refused).one(role="alert")["text"].strip()
    added = client.post("/desk/synonyms", data={"word": "fèblan", "means": "tole"})
    assert added.status_code == 303

    assert "tole" in read(client.get(added.location)).one(role="status")["text"]
    assert "Tole ondulée" in (text(client, "fèblan", JOSEPH) or "")


def test_words_are_listed_and_removed(town: Town, client: FlaskClient) -> None:
    """A meaning that finds nothing is said to; every word is shown, and can be removed, twice if need be."""
    _sign_in(town, client)
    added = client.post("/desk/synonyms", data={"word": "zouti", "means": "girafe"})
    assert "girafe" in read(client.get(added.location)).one("span", class_="bad")["text"]
    client.post("/desk/synonyms", data={"word": "fèblan", "means": "tole"})
    assert "feblan = tole" in client.get("/desk/synonyms").text

    for _ in range(2):
        assert client.post("/desk/synonyms/remove", data={"word": "zouti"}).location == "/desk/synonyms"

    assert "zouti" not in client.get("/desk/synonyms").text
    assert "feblan = tole" in client.get("/desk/synonyms").text


def test_messages_page_by_page(town: Town, client: FlaskClient) -> None:
    """Pages follow one another to the end, and odd filters are refused with a page."""
    for n in range(12):
        text(client, "girafe", JOSEPH, f"m{n}")
    _sign_in(town, client)
    path, seen = "/desk/messages", 0
    for _ in range(5):
        page = read(client.get(path))
        seen += len([one for one in page.all("p", class_="hint") if "·" in one["text"]])
        following = page.all("a", rel="next")
        if not following:
            break
        path = following[0]["href"]

    assert seen == 25  # twelve in, twelve out, and the code that signed in
    assert client.get("/desk/messages?state=odd").status_code == 422
    assert client.get("/desk/messages?cursor=x").status_code == 422


def test_nobody_sees_the_desk(town: Town, client: FlaskClient) -> None:
    """Without signing in, every page of the desk leads to the form, and nothing is done."""
    for path in ("/desk", "/desk/messages"):
        assert client.get(path).location == "/desk/login"
    assert client.get("/desk/synonyms").location == "/desk/login"
    for path in ("/desk/synonyms", "/desk/synonyms/remove", "/desk/callbacks/x"):
        assert client.post(path, data={"word": "a", "means": "b"}).location == "/desk/login"
    assert db.value("SELECT COUNT(*) FROM synonym") == 0

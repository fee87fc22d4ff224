"""Somebody asks for a human; the staff of their place call."""

from __future__ import annotations

from flask.testing import FlaskClient

from circular import callbacks
from tests.api.test_listings import problem
from tests.town import FABIOLA, JOSEPH, Town

URL = "/api/v1/callbacks"


def ask(town: Town, phone: str = FABIOLA, words: str = "", origin: str | None = None) -> dict[str, object]:
    person = town.person(phone).person_id
    assert person is not None
    return callbacks.ask(person, words, origin or f"test:{phone}:{words}")


def test_staff_see_whom_to_call_and_note_it(town: Town, client: FlaskClient) -> None:
    """The number, the language, what the person could not find; once called, it is off the list."""
    staff = town.token("staff", "la-sphere")
    ask(town, words="girafe")

    found = client.get(URL, headers=staff).json["items"]
    assert [(one["phone"], one["words"], one["place"], one["done_at"]) for one in found] == [
        (FABIOLA, "girafe", "la-sphere", None)
    ]
    called = client.post(f"{URL}/{found[0]['id']}/done", headers=staff)
    again = client.post(f"{URL}/{found[0]['id']}/done", headers=staff)

    assert called.status_code == 200 and called.json["done_at"]
    assert again.json == called.json
    assert client.get(URL, headers=staff).json == {"items": [], "next": None}


def test_asking_again_while_it_is_open(town: Town) -> None:
    """One request a person until they were called; then another."""
    first = ask(town, words="girafe")

    assert ask(town, words="zebre")["reference"] == first["reference"]
    callbacks.done(town.staff, str(first["reference"]))
    second = ask(town, words="lion")

    assert second["reference"] != first["reference"]
    assert [one["words"] for one in callbacks.open_for(town.staff)] == ["lion"]


def test_a_retry_of_the_line_that_asked(town: Town) -> None:
    """Even after the call, the same line asks once."""
    first = ask(town, words="girafe", origin="sms:x:1")
    callbacks.done(town.staff, str(first["reference"]))

    assert ask(town, words="girafe", origin="sms:x:1")["reference"] == first["reference"]
    assert callbacks.open_for(town.staff) == []


def test_the_place_where_something_is_held_calls(town: Town, client: FlaskClient) -> None:
    """Not the town's first; another place's staff neither see nor close it, an admin does."""
    town.reserve(town.person(JOSEPH), town.listing(place="trois-lieu")["code"])
    asked = ask(town, JOSEPH)

    assert asked["place"] == "trois-lieu"
    assert client.get(URL, headers=town.token("staff", "la-sphere")).json["items"] == []
    refused = client.post(f"{URL}/{asked['reference']}/done", headers=town.token("staff", "la-sphere"))
    problem(refused, 404, "no_such_callback")
    assert callbacks.open_for(town.other_staff)
    assert len(client.get(URL, headers=town.token("admin")).json["items"]) == 1


def test_pages_of_callbacks(town: Town, client: FlaskClient) -> None:
    """The longest wait first, page by page, none twice."""
    phones = [f"+59669600010{n}" for n in range(5)]
    for phone in phones:
        ask(town, phone)
    staff = town.token("staff", "la-sphere")
    seen, path = [], f"{URL}?limit=2"
    while path:
        page = client.get(path, headers=staff).json
        seen += [one["phone"] for one in page["items"]]
        path = page["next"]

    assert seen == phones


def test_callbacks_are_for_staff(town: Town, client: FlaskClient) -> None:
    """A builder sees nobody's number."""
    asked = ask(town)

    problem(client.get(URL), 401, "no_token")
    problem(client.get(URL, headers=town.token("builder")), 403, "wrong_role")
    problem(client.post(f"{URL}/{asked['reference']}/done", headers=town.token("builder")), 403, "wrong_role")
    problem(client.post(f"{URL}/nothing/done", headers=town.token("admin")), 404, "no_such_callback")

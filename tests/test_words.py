"""What people did not find is counted, and staff give such words a meaning."""

from __future__ import annotations

import time_machine
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from circular import db, queries, search, unfound
from tests.api.test_listings import problem
from tests.town import Town

SYNONYMS, UNFOUND = "/api/v1/synonyms", "/api/v1/unfound"


def words_found(client: FlaskClient, q: str) -> list[str]:
    return [one["title"] for one in client.get("/api/v1/listings", query_string={"q": q}).json["items"]]


def test_a_word_gets_a_meaning(town: Town, client: FlaskClient) -> None:
    """Nobody finds it, staff see it, add what it means, and everybody finds it; without it, nobody does again."""
    staff = town.token("staff", "la-sphere")
    town.listing(title="Plaque de plâtre BA13", category="platre")
    assert words_found(client, "Zigotos") == []
    client.get("/?q=zigoto")
    (missing,) = [one for one in client.get(UNFOUND, headers=staff).json["items"] if one["words"] == "zigotos"]
    assert (missing["count"], missing["doors"], missing["languages"]) == (1, ["api"], ["fr"])

    added = client.post(SYNONYMS, json={"word": "Zigoto", "means": "plaque de plâtre"}, headers=staff)

    assert (added.status_code, added.json["word"], added.json["means"]) == (201, "zigoto", "plaque de plâtre")
    assert words_found(client, "Zigotos") == ["Plaque de plâtre BA13"]
    assert "BA13" in client.get("/?q=zigoto").text
    assert client.get(UNFOUND, headers=staff).json["items"] == []
    assert [one["word"] for one in client.get(SYNONYMS, headers=staff).json["items"]] == ["zigoto"]
    assert client.delete(f"{SYNONYMS}/zigotos", headers=staff).status_code == 204
    assert words_found(client, "Zigotos") == []
    problem(client.delete(f"{SYNONYMS}/zigoto", headers=staff), 404, "no_such_synonym")


def test_a_synonym_said_again_means_something_else(town: Town, client: FlaskClient) -> None:
    """The last meaning counts; a meaning is not followed further, so that no circle can be made."""
    staff = town.token("staff", "la-sphere")
    town.listing(title="Porte")
    for word, means in (("zinzin", "chaise"), ("zinzin", "machin"), ("machin", "zinzin"), ("truc", "porte")):
        assert client.post(SYNONYMS, json={"word": word, "means": means}, headers=staff).status_code == 201

    assert words_found(client, "zinzin") == words_found(client, "machin") == []
    assert words_found(client, "le truc") == ["Porte"]
    assert len(client.get(SYNONYMS, headers=staff).json["items"]) == 3


def test_a_synonym_finds_the_same_pages(town: Town, client: FlaskClient) -> None:
    """Count and next pages see the meaning too."""
    for n in range(5):
        town.listing(title=f"Porte {n}")
    search.add_synonym(town.staff, {"word": "truc", "means": "porte"})

    page = queries.find(queries.query({"q": "truc", "limit": 2}))
    rest = queries.find(queries.query({"q": "truc", "limit": 10, "cursor": page.next}))

    assert [one["title"] for one in [*page.items, *rest.items]] == [f"Porte {n}" for n in (4, 3, 2, 1, 0)]
    assert queries.count(queries.query({"q": "truc", "limit": 2}), page) == "5"


def test_synonyms_that_say_nothing(town: Town, client: FlaskClient) -> None:
    """One word that means others, written by staff."""
    staff = town.token("staff", "la-sphere")

    for body, field in (
        ({"word": "deux mots", "means": "porte"}, "word"), ({"word": "!!", "means": "porte"}, "word"),
        ({"word": "porte", "means": "Portes"}, "means"), ({"word": "truc", "means": "…"}, "means"),
        ({"word": "truc"}, "means"), ({"word": "x" * 41, "means": "porte"}, "word"),
    ):  # fmt: skip
        assert list(problem(client.post(SYNONYMS, json=body, headers=staff), 422, "invalid")["errors"]) == [field]
    for method, path in (("get", SYNONYMS), ("post", SYNONYMS), ("delete", f"{SYNONYMS}/truc"), ("get", UNFOUND)):
        body = {"json": {"word": "truc", "means": "porte"}} if method == "post" else {}
        problem(getattr(client, method)(path, headers=town.token("builder"), **body), 403, "wrong_role")
        problem(getattr(client, method)(path, **body), 401, "no_token")


def test_pages_of_synonyms(town: Town, client: FlaskClient) -> None:
    """By word, none twice."""
    staff = town.token("staff", "la-sphere")
    for word in ("e", "d", "c", "b", "a"):
        search.add_synonym(town.staff, {"word": f"truc{word}", "means": "porte"})
    seen, path = [], f"{SYNONYMS}?limit=2"
    while path:
        page = client.get(path, headers=staff).json
        seen += [one["word"] for one in page["items"]]
        path = page["next"]

    assert seen == ["truca", "trucb", "trucc", "trucd", "truce"]


def test_what_is_counted_as_not_found(town: Town, client: FlaskClient) -> None:
    """Words alone, folded; not what other filters hid, not the second page, not signs; never a phone number."""
    for q in ("Girafe", "girafe!", "GIRAFÉ", "tôle rouge 0696 12 34 56", "+596696123456", "?!"):
        client.get("/api/v1/listings", query_string={"q": q})
    client.get("/api/v1/listings?q=lion&place=la-sphere")
    client.get("/?q=lion&condition=good")

    assert [(one["words"], one["count"]) for one in unfound.top(town.staff, {})] == [("girafe", 3), ("tole rouge", 1)]


def test_the_most_wanted_first(town: Town) -> None:
    """However many of them are synonyms by now, as many are listed as there are; doors and languages are told."""
    with db.transaction():
        for n in range(unfound.LOOKED_AT + 5):
            for _ in range(2):
                unfound.note(f"mot{chr(97 + n // 26)}{chr(97 + n % 26)}k", "web")
        unfound.note("girafe", "web")
        unfound.note("girafe", "api")
        unfound.note("lion", "sms")
        db.run(
            "INSERT INTO synonym (word, means, created_at) SELECT words, 'tole', 0 FROM unfound WHERE words LIKE ?",
            "mot%",
        )

    found = [(one["words"], one["count"], one["doors"]) for one in unfound.top(town.staff, {})]
    assert found == [("girafe", 2, ["api", "web"]), ("lion", 1, ["sms"])]
    assert [one["words"] for one in unfound.top(town.staff, {"limit": 1})] == ["girafe"]


def test_junk_does_not_fill_the_table(town: Town) -> None:
    """So many different words a day and door, of so many letters; what comes after is counted together."""
    with db.transaction():
        unfound.note("girafe", "web")
        for n in range(unfound.MOST_WORDS + 50):
            unfound.note(f"{'x' * 100}{chr(97 + n % 26)} {n}a", "web")
        for n in range(unfound.MOST_WORDS + 50):
            unfound.note("abcdefghijklmnopqrstuvwxyz"[n % 26] + "z" * (n // 26), "web")
        unfound.note("girafe", "web")
        unfound.note("lion", "sms")

    assert db.value("SELECT COUNT(*) FROM unfound WHERE door = 'web'") == unfound.MOST_WORDS + 1
    assert db.value("SELECT MAX(LENGTH(words)) FROM unfound") == unfound.WORDS_LIMIT
    assert db.rows("SELECT count FROM unfound WHERE words IN ('girafe', 'lion') ORDER BY words") == [(2,), (1,)]
    assert "" not in {one["words"] for one in unfound.top(town.staff, {"limit": 100})}


def test_counting_stops_with_the_day(town: Town) -> None:
    """A door counts so many searches a day at most, since each is a write."""
    with db.transaction():
        db.run(
            "INSERT INTO unfound (day, door, language, words, count) VALUES ('2026-11-23', 'web', 'fr', 'x', ?)",
            unfound.MOST_SEARCHES,
        )
    with time_machine.travel("2026-11-23T15:00:00Z"), db.transaction():
        unfound.note("girafe", "web")
        unfound.note("girafe", "api")
    with time_machine.travel("2026-11-24T15:00:00Z"):
        with db.transaction():
            unfound.note("girafe", "web")
        found = unfound.top(town.staff, {})

    assert {one["words"]: one["count"] for one in found} == {"x": unfound.MOST_SEARCHES, "girafe": 2}


def test_old_counts_go(town: Town) -> None:
    """After 90 days."""
    with time_machine.travel("2026-08-01T15:00:00Z"), db.transaction():
        unfound.note("girafe", "web")
    with time_machine.travel("2026-10-29T15:00:00Z"), db.transaction():
        assert unfound.forget() == 0
        assert [one["words"] for one in unfound.top(town.staff, {"days": 90})] == ["girafe"]
    with time_machine.travel("2026-10-30T15:00:00Z"), db.transaction():
        assert unfound.forget() == 1


def test_a_search_is_answered_though_it_cannot_be_counted(town: Town, client: FlaskClient) -> None:
    """Reading works while nothing can be written."""
    with db.transaction():
        db.run("DROP TABLE unfound")

    assert client.get("/api/v1/listings?q=girafe").json["items"] == []
    assert client.get("/?q=girafe").status_code == 200
    assert client.get("/t?do=search&words=girafe").status_code == 200


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    before=st.text(max_size=20),
    after=st.text(max_size=20),
    written=st.sampled_from(["{}", "0{}", "+596{}", "00596 {}", "appelez le 0{}!", "0{}/0{}"]),
    digits=st.from_regex(r"69[67][0-9]{6}", fullmatch=True),
    gap=st.sampled_from(["", " ", ".", "-", "\u202f", " / "]),
)
def test_no_number_is_counted(town: Town, before: str, after: str, written: str, digits: str, gap: str) -> None:
    """However somebody writes it into a search."""
    number = gap.join((digits[:3], digits[3:5], digits[5:7], digits[7:]))
    said = f"{before} {written.replace('{}', number)} {after}"

    with db.database.atomic() as undo:
        unfound.note(said.encode("utf-8", "surrogatepass").decode("utf-8", "replace"), "web")
        kept = [row[0] for row in db.rows("SELECT words FROM unfound")]
        undo.rollback()

    assert all(sum(c.isdigit() for c in words) < 5 for words in kept)

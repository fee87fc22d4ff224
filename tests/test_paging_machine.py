"""Any sequence of publishing, revising, withdrawing, reserving and turning pages: no listing twice, none left out."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from flask import Flask
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from circular import catalog, db
from tests.machines import run_machine
from tests.town import ADMIN, Town

TITLES = ("Planche bois", "Planche sapin", "Porte bois", "Poutre chêne", "Tôle ondulée", "Chaise en bois")
TEXTS = ("", "en bois", "va avec une planche", "près de la porte")
PLACES = ("la-sphere", "trois-lieu")
CHANGES = ({"condition": "parts"}, {"price_cents": 0}, {"min_quantity": 1}, {"quantity": 9}, {"hazards": ["dust"]})
NEAR = {"near": "14.6154,-61.003", "radius_km": "50"}
ASKED: tuple[dict[str, str], ...] = (
    {}, {"q": "bois"}, {"q": "planche"}, {"q": "planche bois"}, {"q": "bois", **NEAR}, {"q": "planche chaise"},
    {"place": "la-sphere"}, {"q": "plonche"}, {"q": "bois", "category": "bois"}, NEAR, {"q": "bois ducos"},
    {"q": "2 planches"}, {"q": "bois", "free": "true"}, {"q": "planche", "facets": "true"},
)  # fmt: skip


class Machine(RuleBasedStateMachine):
    """Somebody turns pages; `due` are the listings that must be shown once, `shown` those that were."""

    def __init__(self, app: Flask) -> None:
        super().__init__()
        self.client = app.test_client()
        self.town = Town()
        self.staff = self.town.token("admin")
        self.numbers = iter(range(10**6))

    @initialize(seed=st.integers(0, 10**6), stock=st.integers(1, 150))
    def begin(self, seed: int, stock: int) -> None:
        chance = random.Random(seed)
        with db.transaction(), catalog.bulk():
            for _ in range(stock):
                drawn = (chance.randrange(6) for _ in range(4))
                catalog.put(ADMIN, self.made(*drawn), f"first-{next(self.numbers)}")
        self.codes = [code for (code,) in db.rows("SELECT code FROM listing ORDER BY id")]
        self.path: str | None = None

    def made(self, title: int, text: int, place: int, quantity: int) -> dict[str, Any]:
        """A listing as it is published."""
        return {
            "kind": "material", "title": f"{TITLES[title]} n{next(self.numbers)}", "description": TEXTS[text % 4],
            "category": ("bois-planche", "menuiserie-porte", "divers")[title % 3], "quantity": quantity + 1, "unit": "piece",
            "place": PLACES[place % 2], "price_cents": 100 * (text // 3),
        }  # fmt: skip

    def get(self, path: str) -> Any:
        response = self.client.get(path)
        assert response.status_code == 200, response.json
        return response.json

    # --- who looks ---
    @precondition(lambda self: self.path is None)
    @rule(asked=st.sampled_from(ASKED), limit=st.sampled_from((1, 2, 3, 7, 20, 41)))
    def look(self, asked: dict[str, str], limit: int) -> None:
        """Ask, note what there is to be shown at this moment, and read the first page: the list goes on as that one began,
        though something that fits better comes in meanwhile.
        """
        self.due: set[str] = set()
        path: str | None = f"/api/v1/listings?{urlencode({**asked, 'limit': 100})}"
        while path:
            page = self.get(path)
            codes = [one["code"] for one in page["items"]]
            assert len({*codes}) == len(codes) and self.due.isdisjoint(codes)
            self.due.update(codes)
            path = page["next"]
        self.exempt: set[str] = set()
        self.shown: list[str] = []
        self.path = f"/api/v1/listings?{urlencode({**asked, 'limit': limit})}"
        self.turn(1)

    @precondition(lambda self: self.path is not None)
    @rule(pages=st.integers(1, 3))
    def turn(self, pages: int) -> None:
        """Read on; at the end, everything was shown, and nothing twice."""
        while pages and self.path:
            pages -= 1
            page = self.get(self.path)
            codes = [one["code"] for one in page["items"]]
            again = {*self.shown} & {*codes} - self.exempt
            assert not again and len({*codes}) == len(codes), (self.path, again)
            self.shown += codes
            self.path = page["next"]
        if self.path is None:
            assert self.due - self.exempt <= {*self.shown}, self.due - self.exempt - {*self.shown}

    def teardown(self) -> None:
        if getattr(self, "path", None):
            self.turn(10**6)

    # --- what happens meanwhile ---
    @rule(drawn=st.tuples(*(st.integers(0, 5) for _ in range(4))))
    def publish(self, drawn: tuple[int, ...]) -> None:
        made = self.client.post("/api/v1/listings", json=self.made(*drawn), headers=self.staff)
        assert made.status_code == 201, made.json
        self.codes.append(made.json["code"])

    @rule(which=st.integers(0, 500), several=st.integers(1, 12))
    def withdraw(self, which: int, several: int) -> None:
        """What is gone need not be shown."""
        for code in self.some(which, several):
            assert self.client.delete(f"/api/v1/listings/{code}", headers=self.staff).status_code == 204
            self.codes.remove(code)
            self.excuse(code)

    @rule(which=st.integers(0, 500), several=st.integers(1, 12), changes=st.sampled_from(CHANGES))
    def revise(self, which: int, several: int, changes: dict[str, Any]) -> None:
        """What is found by the same words as before is still shown, once."""
        for code in self.some(which, several):
            self.patch(code, changes)

    @rule(which=st.integers(0, 500), title=st.sampled_from(TITLES))
    def rename(self, which: int, title: str) -> None:
        """What is called something else may stand elsewhere in the list: it alone."""
        for code in self.some(which, 1):
            self.patch(code, {"title": title, "description": ""})
            self.excuse(code)

    @rule(which=st.integers(0, 500), several=st.integers(1, 12), quantity=st.integers(1, 6))
    def reserve(self, which: int, several: int, quantity: int) -> None:
        """What is all reserved moves back in the list, no further than among those not yet shown."""
        for code in self.some(which, several):
            taken = self.client.post("/api/v1/reservations", json={"listing": code, "quantity": quantity},
                                     headers=self.town.token("builder"))  # fmt: skip
            assert taken.status_code in (201, 409), taken.json
            if "2+planches" in (self.path or ""):  # too few are left for who asks for two
                self.excuse(code)

    def some(self, which: int, several: int) -> list[str]:
        """Listings published one after another."""
        start = which % max(1, len(self.codes))
        return self.codes[start : start + several]

    def patch(self, code: str, changes: dict[str, Any]) -> None:
        revision = self.client.get(f"/api/v1/listings/{code}").headers["ETag"]
        done = self.client.patch(f"/api/v1/listings/{code}", json=changes, headers={**self.staff, "If-Match": revision})
        assert done.status_code in (200, 422, 409), done.json
        if "price_cents" in changes and "free=" in (self.path or ""):
            self.excuse(code)

    def excuse(self, code: str) -> None:
        if self.path:
            self.exempt.add(code)


def test_pages_show_everything_once(another_town: Callable[..., None], _app: Flask) -> None:
    """Whatever others do between two pages, and wherever a page ends."""

    def fresh() -> Machine:
        another_town()
        return Machine(_app)

    run_machine(fresh, examples=25, steps=30)

"""The cast: La Sphère and Le Trois Lieu, their staff, a builder, residents; and what they publish."""

from __future__ import annotations

import itertools
from typing import Any

from circular import catalog, cli, db, imports, people, places, reservations, settings
from circular.people import Actor

ADMIN = Actor(None, "admin", "cli")
FABIOLA, JOSEPH, MIRTHA = "+596696000001", "+596696000002", "+596697000003"
_numbers = itertools.count(1)


def build(url: str) -> None:
    """Make the tables at `url` and what every town has."""
    settings.use(settings.load({"DATABASE_URL": url}))
    db.open_database(url)
    cli.upgrade()
    with (cli.DEMO / "communes.csv").open("rb") as file:
        imports.import_communes(file)
    with (cli.DEMO / "categories.csv").open("rb") as file:
        imports.import_categories(file)
    with db.transaction():
        places.put_place("la-sphere", {"name": "La Sphère", "commune": "97213", "lat": 14.6154, "lon": -61.003,
                                       "opening_hours": "Mo-Sa 09:00-17:00", "phone": "+596596500000"})  # fmt: skip
        places.put_place("trois-lieu", {"name": "Le Trois Lieu", "commune": "97209", "lat": 14.6041, "lon": -61.0734,
                                        "opening_hours": "Tu-Fr 08:00-13:00"})  # fmt: skip
    db.close()


class Town:
    """What a test needs to say in one line."""

    @property
    def staff(self) -> Actor:
        """Somebody who works at La Sphère."""
        return Actor(None, "staff", "api", places.get_place("la-sphere")["id"])

    @property
    def other_staff(self) -> Actor:
        """Somebody who works at Le Trois Lieu."""
        return Actor(None, "staff", "api", places.get_place("trois-lieu")["id"])

    def person(self, phone: str = FABIOLA) -> Actor:
        """A resident who texts."""
        with db.transaction():
            return Actor(people.ensure(phone), "resident", "sms")

    def builder(self) -> Actor:
        """A builder, by the API."""
        return people.actor_for(people.issue_token("builder"), "api")

    def token(self, role: str, place: str | None = None, phone: str | None = None) -> dict[str, str]:
        """Headers of a new token."""
        place_id = places.get_place(place)["id"] if place else None
        return {"Authorization": f"Bearer {people.issue_token(role, place_id, phone)}"}

    def listing(self, **fields: Any) -> dict[str, Any]:
        """Publish a lot of planks, or something else."""
        plank = {"kind": "material", "title": "Planche sapin 200x20", "category": "bois-planche", "quantity": 10,
                 "unit": "piece", "place": "la-sphere"}  # fmt: skip
        return catalog.publish(ADMIN, {**plank, **fields})

    def reserve(self, who: Actor, code: str, quantity: object = None, origin: str | None = None) -> dict[str, Any]:
        """Reserve for oneself."""
        assert who.person_id is not None
        return reservations.reserve(who, who.person_id, code, quantity, origin or f"test:{next(_numbers)}")

    def available(self, code: str) -> float:
        """How much of a listing anybody may reserve now."""
        return catalog.amount(catalog.get(code)["available"])

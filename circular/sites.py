"""Sites: materials that are known before the building comes down, and what follows when its day changes.

A listing of a site is reserved early and handed over at the site, when that has hours of its own. Its day follows the
site's: whoever holds some of it, or waits for it, is told, and may give it up; the hold's end counts from the new day.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

from circular import catalog, consequences, db, places, reservations
from circular.people import Actor


def revise(actor: Actor, code: str, changes: Mapping[str, Any], revision: int | None) -> dict[str, Any]:
    """Change fields of a site, by the staff of its place or an admin; with its day, its listings move.

    Raises: Refusal("no_such_site" | "wrong_role" | "not_your_place" | "invalid" | "stale").
    """
    with db.transaction():
        before = places.get_site(code)["available_from"]
        site = places.revise_site(actor, code, changes, revision)
        if {"lat", "lon", "name"} & set(changes):
            catalog.reindex("site", site["id"])
        if site["available_from"] != before:
            moved = catalog.move_with_site(site["id"], before, site["available_from"])
            held = itertools.chain.from_iterable(consequences.follow_day(actor, *each) for each in moved)
            consequences.tell_moved(reservations.together(held))  # a kit is told once
        return site

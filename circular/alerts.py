"""Alerts: saved searches. When something is published that one finds, its person is told, once a day at the most.

What an alert finds is what `queries.find` finds exactly: listings that hold a token of each thing, size and facet that it
asks for (`queries.tokens`). So a listing is matched by its words alone: each
alert waits under its rarest token, a batch of new listings looks up the tokens that it holds, and an alert is read once
for each batch at the most (10,000 alerts and 1,000 listings: not ten million comparisons). An alert that has a hit looks no
further until its person was told; what to tell, the search itself chooses then: the lot that was found, if it is still there.
"""

from __future__ import annotations

import itertools
import json
import secrets
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from peewee import BigAutoField, BigIntegerField, TextField

from circular import catalog, clock, db, notices, people, queries, search, settings, vocabulary
from circular.errors import Refusal
from circular.people import Actor
from circular.text import analyse

MOST_ALERTS = 10  # of one person: a text a day at the most cannot tell of more
KEPT = 60 * 86_400_000  # milliseconds that an alert lasts, as its text says ("pendant 60 jours")
FORGOTTEN = 2 * 86_400_000  # milliseconds after its end that it is erased: by then nobody was told today
ASKED = ("q", "kind", "category", "place", "commune", "condition", "near", "radius_km", "min_quantity")
READ = 500  # alerts read anew in one sweep
LOOKED_UP = 100  # tokens in one query


class Alert(db.Table):
    """A search that goes on. `asked`: JSON, as the person gave it; `tokens`: what a listing must hold, `token` the rarest."""

    id = BigAutoField()
    reference = TextField(unique=True)
    person_id = BigIntegerField()
    asked = TextField()
    tokens = TextField()
    token = TextField()
    origin = TextField(unique=True)
    created_at = db.UtcDateTimeField()
    ends_at = BigIntegerField()
    hit_id = BigIntegerField(null=True)  # the first listing found since its person was told
    read_with = BigIntegerField(default=0)  # the `_words` that its tokens are of
    told_on = TextField(default="")  # the local day on which its person was last told of any alert of theirs


COLUMNS = "id, reference, person_id, asked, tokens, created_at, ends_at, hit_id, told_on"


# --- reading ----------------------------------------------------------------------------------------------------------
def mine(person_id: int, limit: int = MOST_ALERTS) -> list[dict[str, Any]]:
    """A person's alerts, oldest first."""
    return _select("person_id = ? AND ends_at > ? ORDER BY id LIMIT ?", person_id, _now(), limit)


def get(actor: Actor, reference: str) -> dict[str, Any]:
    """An alert of one's own. Raises: Refusal("no_such_alert"), also for somebody else's."""
    found = _select("reference = ? AND person_id = ? AND ends_at > ?", reference, actor.person_id, _now())
    if not found:
        raise Refusal("no_such_alert")
    return found[0]


def _select(condition: str, *params: object) -> list[dict[str, Any]]:
    found = db.dicts(f"SELECT {COLUMNS} FROM alert WHERE {condition}", *params)
    for alert in found:
        alert["asked"] = json.loads(alert["asked"])
        alert["words"] = alert["asked"].get("q") or " ".join(map(str, alert["asked"].values()))
    return found


# --- asking -----------------------------------------------------------------------------------------------------------
def add(person_id: int, values: Mapping[str, Any], origin: str) -> dict[str, Any]:
    """Save a search (the fields of ASKED) for a person; the same search again lasts as long anew.

    `origin` names the line or request that asks: asking again by the same one returns the first result.
    Raises: Refusal("invalid" | "alert_too_wide" | "too_many_alerts").
    """
    query = queries.query({name: values[name] for name in ASKED if name in values})
    asked = {name: values[name] for name in ASKED if values.get(name) not in (None, "")}
    if query.q:
        asked["q"] = query.q
    tokens = queries.tokens(query)
    if not tokens:  # it would find everything
        raise Refusal("alert_too_wide")
    with db.transaction():
        earlier = _select("origin = ?", origin)
        if earlier:
            return earlier[0]
        people.lock(person_id)  # their limit is counted in one hand
        alerts, now = mine(person_id), _now()
        for alert in alerts:
            if {**alert["asked"], "q": alert["tokens"]} == {**asked, "q": " ".join(tokens)}:
                db.run("UPDATE alert SET ends_at = ? WHERE id = ?", now + KEPT, alert["id"])
                return {**alert, "ends_at": now + KEPT}
        if len(alerts) >= MOST_ALERTS:
            raise Refusal("too_many_alerts", limit=MOST_ALERTS)
        reference = secrets.token_hex(10)
        Alert.insert(
            reference=reference, person_id=person_id, asked=json.dumps(asked), tokens=" ".join(tokens),
            token=min(tokens, key=search.frequency), read_with=_words(), origin=origin, created_at=now, ends_at=now + KEPT,
            told_on=db.value("SELECT MAX(told_on) FROM alert WHERE person_id = ?", person_id) or "",
        ).execute()  # fmt: skip
        return _select("reference = ?", reference)[0]


def read_again(limit: int = 10**6) -> None:
    """Read anew what alerts ask for that were read before the vocabulary or a synonym changed, `limit` of them at most."""
    with db.transaction():
        words = _words()
        # Below and above, since an index finds those, and reads every row for <>. The number is a digest: it falls too.
        others = (_select(f"read_with {side} ? AND ends_at > ? LIMIT ?", words, _now(), limit) for side in "<>")
        for alert in itertools.islice(itertools.chain.from_iterable(others), limit):
            db.run("UPDATE alert SET read_with = ? WHERE id = ?", words, alert["id"])
            try:
                tokens = queries.tokens(queries.query(alert["asked"]))
            except Refusal:  # a place or a category of it is gone
                continue
            if tokens and tokens != alert["tokens"].split():
                rarest = min(tokens, key=search.frequency)
                db.run("UPDATE alert SET tokens = ?, token = ? WHERE id = ?", " ".join(tokens), rarest, alert["id"])


def _words() -> int:
    """A number that is another one whenever words begin to mean something else."""
    versions = db.counters()
    return versions.get(vocabulary.VERSION, 0) + versions.get(search.SYNONYMS, 0)


def remove(actor: Actor, reference: str) -> None:
    """End an alert of one's own. Raises: Refusal("no_such_alert")."""
    with db.transaction():
        if not db.run(
            "UPDATE alert SET ends_at = ? WHERE reference = ? AND person_id = ? AND ends_at > ?",
            _now(), reference, actor.person_id, _now(),
        ):  # fmt: skip
            raise Refusal("no_such_alert")


def stop(person_id: int, choice: int | None = None, words: str = "") -> int:
    """End every alert of a person, the one at `choice` (from 1) of their list, or those that ask for `words`; how many.

    Raises: Refusal("no_such_alert") for a choice that is not in the list, for words that no alert asks for.
    """
    with db.transaction():
        alerts = mine(person_id)
        if choice is not None:
            if not 1 <= choice <= len(alerts):
                raise Refusal("no_such_alert")
            alerts = [alerts[choice - 1]]
        elif words:
            named, typed = set(queries.tokens(queries.query({"q": words}))), set(analyse(words))
            alerts = [
                alert for alert in alerts
                if (named and named <= set(alert["tokens"].split()))
                or (typed and typed <= set(analyse(alert["asked"].get("q", ""))))  # whatever it means by now
            ]  # fmt: skip
            if not alerts:
                raise Refusal("no_such_alert")
        for alert in alerts:
            db.run("UPDATE alert SET ends_at = ? WHERE id = ?", _now(), alert["id"])
        return len(alerts)


# --- finding ----------------------------------------------------------------------------------------------------------
def sweep(listings: int = 1000, texts: int = 200) -> int:
    """Match what was published since the last sweep, tell people of their hits; how many listings and hits it was.

    One sweep runs at a time. What is more than `listings` and `texts` waits for the next.
    """
    with db.transaction():
        if not db.try_name("alerts"):
            return 0
        db.run("DELETE FROM alert WHERE ends_at <= ?", _now() - FORGOTTEN)
        read_again(READ)
        fresh = catalog.take_fresh(listings)
        _match(fresh)
        return len(fresh) + _tell(texts)


def _match(fresh: list[catalog.Fresh]) -> None:
    """Give each alert without a hit the first of these listings, published after it, that holds all of its tokens."""
    held = {listing.id: set(listing.words.split()) for listing in fresh}
    holders: dict[str, list[catalog.Fresh]] = defaultdict(list)
    for listing in fresh:
        for token in held[listing.id]:
            holders[token].append(listing)
    for (token,) in db.rows("SELECT DISTINCT token FROM alert WHERE token LIKE ? AND hit_id IS NULL", "%|%"):
        found = {one for part in token.split("|") for one in holders.get(part, ())}
        if found:
            holders[token] = sorted(found)
    marks = ", ".join("?" * LOOKED_UP)
    columns = "id, token, tokens, created_at"
    query = f"SELECT {columns} FROM alert WHERE token IN ({marks}) AND hit_id IS NULL AND ends_at > ?"
    for some in _chunks(sorted(holders)):
        for alert_id, token, tokens, since in db.rows(query, *some, _now()):
            wanted = [part.split("|") for part in tokens.split()]
            hits = (
                one.id for one in holders[token]
                if one.published_at >= since and not any(held[one.id].isdisjoint(part) for part in wanted)
            )  # fmt: skip
            hit = next(hits, None)
            if hit is not None:
                db.run("UPDATE alert SET hit_id = ? WHERE id = ?", hit, alert_id)


def _chunks(tokens: list[str]) -> Iterator[list[str]]:
    """Lists of LOOKED_UP tokens, the last one filled up with nothing, so that one statement serves all."""
    for start in range(0, len(tokens), LOOKED_UP):
        some = tokens[start : start + LOOKED_UP]
        yield some + [""] * (LOOKED_UP - len(some))


def _tell(limit: int) -> int:
    """Tell of hits, in waking hours, those who were not told anything today; how many hits were seen to."""
    chosen, now = settings.get(), clock.now()
    if clock.waking(now, chosen.timezone) != now:
        return 0
    today = clock.local(now, chosen.timezone).date().isoformat()
    told: set[int] = set()
    waiting = "hit_id IS NOT NULL AND told_on < ? AND ends_at > ? ORDER BY told_on, id LIMIT ?"
    hits = _select(waiting, today, _now(), limit)
    for alert in hits:
        if alert["person_id"] in told:  # their other alert waits for tomorrow
            continue
        listing = _found(alert)
        db.run("UPDATE alert SET hit_id = NULL WHERE id = ?", alert["id"])
        if listing is None:
            continue
        notices.tell(
            alert["person_id"], "alert_hit", title=listing["title"], quantity=listing["available"],
            unit=listing["unit"], place_name=listing["place_name"], code=listing["code"],
        )  # fmt: skip
        db.run("UPDATE alert SET told_on = ? WHERE person_id = ?", today, alert["person_id"])
        told.add(alert["person_id"])
    return len(hits)


def _found(alert: Mapping[str, Any]) -> dict[str, Any] | None:
    """The listing to tell of: the hit if it still matches and there is some left, else a newer one; None if none."""
    try:
        query = queries.query({"min_quantity": 0.001, **alert["asked"]})
    except Refusal:  # a place or a category of it is gone
        return None
    return queries.match_of(query, alert["hit_id"])


# --- personal data ----------------------------------------------------------------------------------------------------
def export(person_id: int) -> list[dict[str, Any]]:
    """A person's alerts, those too that ended a moment ago; times are milliseconds since 1970."""
    found = _select("person_id = ? ORDER BY id", person_id)
    return [{name: one[name] for name in ("asked", "created_at", "ends_at")} for one in found]


def erase(person_id: int) -> None:
    """A person never asked to be told. Inside a transaction."""
    db.run("DELETE FROM alert WHERE person_id = ?", person_id)


def _now() -> int:
    return db.to_ms(clock.now())

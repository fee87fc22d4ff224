"""What a careful person writes by hand: bare Flask, raw sqlite3, newest-first FTS5 on the same file and the same server.

`python -m bench.reference PORT [DATABASE]` serves `/hello`, and with a database `/search` (the same JSON as ours, field
for field), `/lean` (ten columns as they stand in the row), `/item/<code>` and `POST /reserve/<code>`.
"""

from __future__ import annotations

import json
import logging
import sqlite3
import sys
import threading
import time
import unicodedata
from datetime import UTC, datetime
from typing import Any

from flask import Flask, Response, request
from waitress import serve

local = threading.local()
turn = threading.Lock()
factors: dict[str, float | None] = {}
LEAN = "code kind title description category condition quantity unit price_cents created_at".split()
# A constant statement and one row at a time: nothing here is general.
SAME = """SELECT l.code, l.kind, l.title, l.description, l.category, l.condition, l.quantity, l.unit,
  l.quantity - COALESCE((SELECT SUM(r.quantity) FROM reservation r WHERE r.listing_id = l.id
    AND r.state IN ('held', 'prepared') AND (r.state = 'prepared' OR r.expires_at > ?)), 0),
  p.code, s.code, COALESCE(l.latitude, s.latitude, p.latitude), COALESCE(l.longitude, s.longitude, p.longitude),
  l.price_cents, l.currency, l.hazards, l.dimensions, l.mass_g, l.available_from, l.available_until, l.opening_hours,
  l.min_quantity, l.step_quantity, l.allocation, l.builder_min_quantity, l.resident_share, l.resident_share_until, l.lang,
  l.status, l.external_id, l.created_at, l.updated_at FROM """
JOINS = " JOIN place p ON p.id = l.place_id LEFT JOIN site s ON s.id = l.site_id WHERE "
FOUND = "listing_search f CROSS JOIN listing l ON l.id = f.rowid"
NEWEST = "f.listing_search MATCH ? AND l.status = 'published' ORDER BY f.rowid DESC LIMIT 20"


def connection() -> sqlite3.Connection:
    """One connection per thread, WAL and synchronous=FULL."""
    if not hasattr(local, "connection"):
        local.connection = sqlite3.connect(sys.argv[2], isolation_level=None, timeout=10)
        local.connection.execute("PRAGMA synchronous = 2")
    found: sqlite3.Connection = local.connection
    return found


def answer(body: object, status: int = 200) -> Response:
    return Response(
        json.dumps(body, ensure_ascii=False, separators=(",", ":")), status, content_type="application/json"
    )


def number(milli: int) -> int | float:
    return milli // 1000 if milli % 1000 == 0 else milli / 1000


def moment(milliseconds: int | None) -> str | None:
    if milliseconds is None:
        return None
    text = datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="milliseconds")
    return text.replace(".000+00:00", "Z").replace("+00:00", "Z")


def written(row: tuple[Any, ...]) -> dict[str, object]:
    """A row of `SAME` as the API's contract has it."""
    (code, kind, title, description, category, condition, quantity, unit, available, place, site, latitude, longitude,
     price_cents, currency, hazards, dimensions, mass_g, available_from, available_until, opening_hours, min_quantity,
     step_quantity, allocation, builder_min, share, share_until, lang, status, external_id, created_at,
     updated_at) = row  # fmt: skip
    factor = factors.get(category)
    co2e = None if mass_g is None or factor is None else round(mass_g / 1000 * quantity / 1000 * factor, 1)
    return {
        "code": code, "kind": kind, "title": title, "description": description, "category": category,
        "condition": condition, "quantity": number(quantity), "unit": unit, "available": number(max(0, available)),
        "place": place, "site": site, "lat": latitude, "lon": longitude, "price_cents": price_cents,
        "currency": currency, "photos": [], "hazards": json.loads(hazards), "dimensions": json.loads(dimensions),
        "mass_kg": None if mass_g is None else number(mass_g), "co2e_kg": co2e,
        "available_from": moment(available_from), "available_until": moment(available_until),
        "opening_hours": opening_hours, "min_quantity": number(min_quantity), "step_quantity": number(step_quantity),
        "allocation": allocation, "builder_min_quantity": builder_min and number(builder_min), "resident_share": share,
        "resident_share_until": moment(share_until),
        "lang": lang, "status": status, "external_id": external_id, "created_at": moment(created_at),
        "updated_at": moment(updated_at),
    }  # fmt: skip


def expression() -> str:
    """The query of a request in FTS5's words: folded, singular, `*` after each word when `prefix` is asked for."""
    folded = unicodedata.normalize("NFKD", request.args.get("q", "")).encode("ascii", "ignore").decode().lower()
    star = "*" if "prefix" in request.args else ""
    terms = [f'"{word.rstrip("sx") if len(word) > 3 else word}"{star}' for word in folded.split()]
    if "category" in request.args:
        terms.append(f'"xc{request.args["category"]}"')
    if "commune" in request.args:
        terms.append(f'"xm{request.args["commune"]}"')
    return " AND ".join(terms)


app = Flask(__name__, static_folder=None)


@app.get("/hello")
def hello() -> Response:
    return answer({"hello": "world"})


@app.get("/search")
def search() -> Response:
    now = int(time.time() * 1000)
    return answer({"items": [written(row) for row in connection().execute(
        f"{SAME}{FOUND}{JOINS}{NEWEST}", (now, expression()))], "next": None})  # fmt: skip


@app.get("/lean")
def lean() -> Response:
    columns = ", ".join(f"l.{name}" for name in LEAN)
    rows = connection().execute(f"SELECT {columns} FROM {FOUND} WHERE {NEWEST}", (expression(),))
    return answer({"items": [dict(zip(LEAN, row, strict=True)) for row in rows]})


@app.get("/item/<code>")
def item(code: str) -> Response:
    now = int(time.time() * 1000)
    return answer(written(connection().execute(f"{SAME}listing l{JOINS}l.code = ?", (now, code)).fetchone()))


@app.post("/reserve/<code>")
def reserve(code: str) -> Response:
    database = connection()
    with turn:
        database.execute("BEGIN IMMEDIATE")
        taken = database.execute("UPDATE reference_stock SET free = free - 1 WHERE code = ? AND free >= 1", (code,))
        if taken.rowcount:
            database.execute("INSERT INTO reference_hold (code) VALUES (?)", (code,))
        database.execute("COMMIT")
    return answer({"code": code}, 201 if taken.rowcount else 409)


def prepare() -> None:
    """Tables of its own for reserving, and what it knows by heart."""
    setup = connection()
    setup.execute("CREATE TABLE IF NOT EXISTS reference_hold (id INTEGER PRIMARY KEY, code TEXT)")
    setup.execute("CREATE INDEX IF NOT EXISTS reference_hold_code ON reference_hold (code)")
    setup.execute("CREATE TABLE IF NOT EXISTS reference_stock (code TEXT PRIMARY KEY, free INTEGER)")
    setup.execute("INSERT OR IGNORE INTO reference_stock SELECT code, 1000000 FROM listing")
    factors.update(setup.execute("SELECT code, co2e_kg_per_kg FROM category").fetchall())


if __name__ == "__main__":
    if len(sys.argv) > 2:
        prepare()
    # As ours does: left on, this line for each request that waits costs a quarter of the hellos.
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)
    serve(app, host="127.0.0.1", port=int(sys.argv[1]), threads=4, connection_limit=1000, channel_timeout=20,
          asyncore_use_poll=True, clear_untrusted_proxy_headers=True, ident=None)  # fmt: skip

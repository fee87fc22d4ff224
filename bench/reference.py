"""What a careful person writes by hand: bare Flask, raw sqlite3, newest-first FTS5 on the same file and the same server.

`python -m bench.reference DATABASE PORT` serves `/hello`, `/search`, `/item/<code>` and `POST /reserve/<code>`.
"""

from __future__ import annotations

import json
import sqlite3
import sys
import threading
import unicodedata

from flask import Flask, Response, request
from waitress import serve

local = threading.local()
turn = threading.Lock()
COLUMNS = (
    "l.code, l.kind, l.title, l.description, l.category, l.condition, l.quantity, l.unit, l.price_cents, l.created_at"
)


def connection() -> sqlite3.Connection:
    """One connection per thread, WAL and synchronous=FULL."""
    if not hasattr(local, "connection"):
        local.connection = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=10)
        local.connection.execute("PRAGMA synchronous = 2")
    found: sqlite3.Connection = local.connection
    return found


def answer(body: object, status: int = 200) -> Response:
    return Response(json.dumps(body, ensure_ascii=False), status, content_type="application/json")


app = Flask(__name__, static_folder=None)


@app.get("/hello")
def hello() -> Response:
    return answer({"hello": "world"})


@app.get("/search")
def search() -> Response:
    folded = unicodedata.normalize("NFKD", request.args.get("q", "")).encode("ascii", "ignore").decode().lower()
    terms = [f'"{word.rstrip("sx")}"' for word in folded.split()]
    if "category" in request.args:
        terms.append(f'"xc{request.args["category"]}"')
    if "commune" in request.args:
        terms.append(f'"xm{request.args["commune"]}"')
    rows = connection().execute(
        f"SELECT {COLUMNS} FROM listing_search f CROSS JOIN listing l ON l.id = f.rowid "
        "WHERE f.listing_search MATCH ? ORDER BY f.rowid DESC LIMIT 20",
        (" AND ".join(terms) or '"bois"',),
    )
    names = [column.split(".")[1] for column in COLUMNS.split(", ")]
    return answer({"items": [dict(zip(names, row, strict=True)) for row in rows]})


@app.get("/item/<code>")
def item(code: str) -> Response:
    row = connection().execute(f"SELECT {COLUMNS} FROM listing l WHERE l.code = ?", (code,)).fetchone()
    return answer(row)


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


if __name__ == "__main__":
    setup = connection()
    setup.execute("CREATE TABLE IF NOT EXISTS reference_hold (id INTEGER PRIMARY KEY, code TEXT)")
    setup.execute("CREATE TABLE IF NOT EXISTS reference_stock (code TEXT PRIMARY KEY, free INTEGER)")
    setup.execute("INSERT OR REPLACE INTO reference_stock SELECT code, 1000000 FROM listing LIMIT 2000")
    serve(app, port=int(sys.argv[2]), threads=4, connection_limit=1000, asyncore_use_poll=True, ident=None)

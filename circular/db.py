"""The one file that knows SQLite from PostgreSQL.

What the nouns rely on, the same on both:
* `transaction()` is all or nothing. On SQLite writers first take a turn (a lock in the process, a file lock between
  processes): measured at 8 clients, p99 209 ms in SQLite's own busy handler and 9 ms in this queue. The lock is for
  fairness only; correctness lies in `BEGIN IMMEDIATE`, in write-first locking and in constraints.
* SQLite runs WAL with `synchronous=FULL`: what was acknowledged survives a power cut (measured: NORMAL lost 396 of
  3,281 acknowledged reservations in 8 cuts, FULL none of 1,901).
* A connection is kept per thread, and hot paths use `row`, `rows`, `run` with constant SQL: opening a connection per
  request costs two thirds of the throughput.
* Times are BIGINT milliseconds since 1970 UTC (aware datetimes shift on PostgreSQL); quantities BIGINT thousandths.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import functools
import hashlib
import os
import pathlib
import sqlite3
import threading
import urllib.parse
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import IO, Any, TypeVar

import peewee
from peewee import (
    BigIntegerField,
    Database,
    DatabaseProxy,
    IntegrityError,
    InterfaceError,
    InternalError,
    Model,
    OperationalError,
    PostgresqlDatabase,
    SqliteDatabase,
)

from circular.errors import Refusal

T = TypeVar("T")
database = DatabaseProxy()
MIGRATIONS = pathlib.Path(__file__).parent / "migrations"
HISTORY = "schema_migration"  # the table of those that ran
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
PATIENCE = 10.0  # seconds that a writer waits, first for its turn, then for SQLite, before it is told `busy`
_turn = threading.Lock()
_turn_files: dict[tuple[int, str], IO[bytes]] = {}  # this process's, at most one


class Table(Model):
    """Base of every table: names as written, one shared database."""

    class Meta:
        database = database
        legacy_table_names = False


def to_ms(moment: datetime) -> int:
    """Milliseconds since 1970 of an aware datetime."""
    return (moment - EPOCH) // timedelta(milliseconds=1)


def from_ms(value: int) -> datetime:
    """The aware UTC datetime of milliseconds since 1970."""
    return EPOCH + timedelta(milliseconds=value)


class UtcDateTimeField(BigIntegerField):
    """An aware UTC datetime, kept as BIGINT milliseconds: the same on both engines."""

    def db_value(self, value: datetime | int | None) -> int | None:
        return to_ms(value) if isinstance(value, datetime) else value

    def python_value(self, value: int | None) -> datetime | None:
        return None if value is None else from_ms(value)


# --- opening ----------------------------------------------------------------------------------------------------------
def open_database(url: str) -> Database:
    """Point every table at `url` (`sqlite:///FILE` or `postgresql://…`). Connections open later, one per thread."""
    if not database.obj or database.obj.is_closed() is False:
        close()
    parts = urllib.parse.urlsplit(url)
    if parts.scheme == "sqlite":
        path = pathlib.Path(urllib.parse.unquote(url.removeprefix("sqlite:///")))
        path.parent.mkdir(parents=True, exist_ok=True)
        if (
            not path.exists()
        ):  # it holds phone numbers: for its owner alone, and so are the files that SQLite puts beside it
            path.touch(mode=0o600)
        opened: Database = SqliteDatabase(
            str(path),
            timeout=PATIENCE,
            lock_type="IMMEDIATE",
            autoconnect=False,
            pragmas={"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "cache_size": -1024},
        )
    else:
        opened = PostgresqlDatabase(url, autoconnect=False, prefer_psycopg3=True, options="-c timezone=UTC")
    database.initialize(opened)
    return opened


def is_sqlite() -> bool:
    return isinstance(database.obj, SqliteDatabase)


def sqlite_path() -> pathlib.Path:
    """The database file (SQLite only)."""
    return pathlib.Path(database.obj.database)


def connect() -> None:
    """Make sure that this thread has a connection; it is kept until `close` or until it breaks."""
    if database.is_closed():
        database.connect(reuse_if_open=True)


def close() -> None:
    """Give up this thread's connection."""
    if database.obj is not None and not database.is_closed():
        database.close()


def drop_broken_connection(error: BaseException) -> bool:
    """True when `error` means that the server went away: the connection is dropped, the next `connect` opens another."""
    if isinstance(error, InterfaceError | OperationalError) and not is_sqlite():
        with contextlib.suppress(Exception):
            database.rollback()
        with contextlib.suppress(Exception):
            database.close()
        return True
    return False


def passing(error: BaseException) -> bool:
    """True when an engine broke off for its own sake (a deadlock, a lost connection): the same may succeed later."""
    return isinstance(error, OperationalError | InterfaceError | InternalError)


def first_line(error: BaseException) -> str:
    """What an engine says is wrong, on one line."""
    return (str(error) or type(error).__name__).splitlines()[0].strip()


def refusal_for(error: BaseException | None) -> Refusal | None:
    """`storage_full` or `busy` for the database errors that a person can only wait out; None for any other (a bug).

    peewee's failing ROLLBACK hides "database or disk is full" behind another error: the chain of contexts is walked.
    """
    while error is not None:
        text = str(error).lower()
        if "disk is full" in text or "no space left" in text or "disk i/o error" in text:
            return Refusal("storage_full")
        if isinstance(error, OperationalError | InterfaceError) and (
            "locked" in text or "busy" in text or "connect" in text or "terminat" in text or "deadlock" in text
        ):
            return Refusal("busy")
        error = error.__cause__ or error.__context__
    return None


# --- transactions -----------------------------------------------------------------------------------------------------
@contextlib.contextmanager
def transaction() -> Iterator[None]:
    """All or nothing; inside another one, a savepoint. Takes the writers' turn first (see the module)."""
    if not database.in_transaction():
        with _writers_turn(), database.atomic():
            yield
        return
    # The innermost savepoint of one name is meant, so one name will do. peewee makes up a name each time, and the engine
    # compiles each: 42 µs a savepoint against 12.
    run("SAVEPOINT part")
    try:
        yield
        run("RELEASE SAVEPOINT part")
    except BaseException:
        run("ROLLBACK TO SAVEPOINT part")
        run("RELEASE SAVEPOINT part")
        raise


@contextlib.contextmanager
def _writers_turn() -> Iterator[None]:
    if not is_sqlite():
        yield
        return
    # While something else keeps the file locked, each waits PATIENCE in SQLite; without a limit here, those behind would
    # wait for one another, 10 seconds more each, and soon hold every thread of the server.
    if not _turn.acquire(timeout=PATIENCE):
        raise Refusal("busy")
    try:
        handle = _turn_file()
        fcntl.flock(handle, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(handle, fcntl.LOCK_UN)
    finally:
        _turn.release()


def _turn_file() -> IO[bytes]:
    """The file by which processes take turns, opened once in each: a descriptor inherited by a fork would be one lock."""
    key = (os.getpid(), str(database.obj.database))
    if key not in _turn_files:
        _close_turn_files()
        _turn_files[key] = _lock_file("turn").open("ab")
    return _turn_files[key]


@atexit.register
def _close_turn_files() -> None:
    while _turn_files:
        _turn_files.popitem()[1].close()


def _lock_file(name: str) -> pathlib.Path:
    path = sqlite_path()
    return path.with_name(f"{path.name}.{name}.lock")


def retrying(act: Callable[[], T], tries: int = 3) -> T:
    """Run `act`, a whole transaction, again when PostgreSQL broke it for another's sake: a deadlock (40P01), a
    serialization conflict (40001), or a name that both looked for and both found free (23505): now it sees the other's.
    """
    while True:
        try:
            return act()
        except (OperationalError, IntegrityError) as error:
            tries -= 1
            state = getattr(error.__cause__ or error.__context__, "sqlstate", None)
            if tries == 0 or state not in ("40P01", "40001", "23505"):
                raise


def try_name(name: str) -> bool:
    """Take `name` until the end of the running transaction; False when another transaction has it.

    PostgreSQL only: on SQLite one writer runs at a time, so a name is always free.
    """
    if is_sqlite():
        return True
    number = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big", signed=True)
    return bool(value("SELECT pg_try_advisory_xact_lock(?)", number))


class ProcessLock:
    """A name held by one process at a time and let go by its death, however it dies.

    SQLite: a file lock beside the database; PostgreSQL: an advisory lock on a connection of its own.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._handle: Any = None  # an open file, or a connection of PostgreSQL

    def acquire(self, wait: bool = False) -> bool:
        """Take the lock; False when another process has it (with `wait`, wait for it)."""
        if is_sqlite():
            handle = _lock_file(self.name).open("ab")
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            except BlockingIOError:
                handle.close()
                return False
            self._handle = handle
            return True
        number = int.from_bytes(hashlib.sha256(self.name.encode()).digest()[:8], "big", signed=True)
        connection = database.obj._connect()
        connection.autocommit = True
        function = "pg_advisory_lock" if wait else "pg_try_advisory_lock"
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT {function}(%s)", (number,))
            taken = cursor.fetchone()[0] is not False
        if taken:
            self._handle = connection
        else:
            connection.close()
        return taken

    def held(self) -> bool:
        """True while the lock is ours: PostgreSQL lets go of it when its server restarts or the connection breaks."""
        if self._handle is None or is_sqlite():
            return self._handle is not None
        try:
            self._handle.execute("SELECT 1")
        except Exception:  # whatever broke the connection, the lock went with it
            return False
        return True

    def release(self) -> None:
        """Let go; harmless when not held."""
        if self._handle is not None:
            with contextlib.suppress(Exception):  # a connection that broke is let go all the same
                self._handle.close()
            self._handle = None


# --- statements -------------------------------------------------------------------------------------------------------
@functools.lru_cache(maxsize=512)
def _native(statement: str) -> str:
    return statement.replace("?", "%s")


def _storable(params: tuple[object, ...]) -> tuple[object, ...]:
    """Parameters without what an engine cannot take in a text: NUL (PostgreSQL) and half a surrogate pair (both).

    What is kept was cleaned before (`text.clean`); this is for what people look up: no code or key holds either.
    """
    for place, param in enumerate(params):
        if type(param) is str and ("\0" in param or not param.isascii()):
            clean = param.replace("\0", "").encode("utf-8", "ignore").decode()
            if clean != param:
                return _storable((*params[:place], clean, *params[place + 1 :]))
    return params


def _execute(statement: str, params: tuple[object, ...]) -> Any:
    """The cursor of one statement. On SQLite peewee is asked for its connection and the names of its errors alone: through
    it a statement takes 1.5 µs longer, and a reservation by SMS is thirty of them.
    """
    opened = database.obj
    if not isinstance(opened, SqliteDatabase):
        return opened.execute_sql(_native(statement), _storable(params))
    try:
        cursor: sqlite3.Cursor = opened.cursor()  # type: ignore[no-untyped-call]  # peewee says no more of it
        return cursor.execute(statement, _storable(params))
    except sqlite3.Error as error:
        raise getattr(peewee, type(error).__name__)(*error.args) from error


def run(statement: str, *params: object) -> int:
    """Execute one statement (`?` marks a parameter); the number of rows that it touched."""
    return int(_execute(statement, params).rowcount)


def rows(statement: str, *params: object) -> list[tuple[Any, ...]]:
    """Every row of a query, as tuples."""
    found: list[tuple[Any, ...]] = _execute(statement, params).fetchall()
    return found


def row(statement: str, *params: object) -> tuple[Any, ...] | None:
    """The first row of a query, or None."""
    found: tuple[Any, ...] | None = _execute(statement, params).fetchone()
    return found


def value(statement: str, *params: object) -> Any:
    """The first column of the first row, or None."""
    found = _execute(statement, params).fetchone()
    return None if found is None else found[0]


def dicts(statement: str, *params: object) -> list[dict[str, Any]]:
    """Every row of a query, as dicts by column name."""
    cursor = _execute(statement, params)
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, values, strict=True)) for values in cursor.fetchall()]


def insert_once(table: type[Table], **values: object) -> bool:
    """Insert a row unless a unique key is taken: True when it was inserted. Never breaks the running transaction.

    Columns that are not given get the table's own defaults. The statement is constant: peewee takes longer to build one
    than either engine to execute it.
    """
    names = tuple(values)
    given = (to_ms(value) if isinstance(value, datetime) else value for value in values.values())
    return run(_insert_once(table._meta.table_name, names), *given) == 1


@functools.lru_cache(maxsize=128)
def _insert_once(table: str, names: tuple[str, ...]) -> str:
    return f"INSERT INTO {table} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))}) ON CONFLICT DO NOTHING"


PRUNED = 500  # rows


def prune(table: str, key: str, condition: str, *params: object) -> int:
    """Delete rows that meet a condition, PRUNED at most, so that nobody waits for long; how many. In a transaction."""
    some = f"SELECT {key} FROM {table} WHERE {condition} LIMIT ?"
    return run(f"DELETE FROM {table} WHERE {key} IN ({some})", *params, PRUNED)


def counters() -> dict[str, int]:
    """Every counter by its name: one statement tells what has changed since it was last read (`count_up`)."""
    return dict(rows("SELECT name, last FROM counter"))


def count_up(name: str) -> None:
    """Tell every process that something changed; and take the lock that keeps such changes apart. In a transaction."""
    run("INSERT INTO counter (name, last) VALUES (?, 1) ON CONFLICT (name) DO UPDATE SET last = counter.last + 1", name)


def note(name: str, number: int) -> bool:
    """Set a counter; False when it says that already. In a transaction, which keeps others who would note it waiting."""
    return bool(
        run(
            "INSERT INTO counter (name, last) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET last = excluded.last "
            "WHERE counter.last <> excluded.last",
            name, number,
        )
    )  # fmt: skip


def skip_locked() -> str:
    """The clause by which several workers share rows: none on SQLite, where one writer runs at a time."""
    return "" if is_sqlite() else " FOR UPDATE SKIP LOCKED"


# --- migrations -------------------------------------------------------------------------------------------------------
def migrate() -> list[str]:
    """Bring the tables up to date; the names of the migrations that ran. Several processes may call it at once.

    `playhouse.migrations` takes no lock of its own: 4 processes at once broke 3 of them.
    """
    from playhouse.migrations import Runner

    lock = ProcessLock("migrate")
    lock.acquire(wait=True)
    try:
        return [str(name) for name in Runner(database.obj, str(MIGRATIONS), HISTORY).up() or ()]
    finally:
        lock.release()


def pending_migrations() -> list[str]:
    """Names of the migrations that have not run yet. Asked at each start and by each probe: the runner takes 7 ms to ask."""
    names = sorted(path.stem for path in MIGRATIONS.glob("[0-9]*.py"))
    known = database.table_exists(HISTORY)
    applied = {name for (name,) in rows(f"SELECT name FROM {HISTORY}")} if known else set()
    return [name for name in names if name not in applied]

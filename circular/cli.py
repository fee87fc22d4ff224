"""The command line: what the town's technician types. `flask --help` lists it; README shows it."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import shutil
import sqlite3
import subprocess
import sys
import urllib.parse
from collections.abc import Callable
from typing import IO, Any, TextIO, cast

import click
from flask import Flask, current_app
from flask.cli import with_appcontext
from peewee import PeeweeException

from circular import (
    alerts,
    catalog,
    db,
    draws,
    exports,
    imports,
    people,
    places,
    reservations,
    search,
    settings,
    vocabulary,
)
from circular.errors import Refusal
from circular.people import Actor

ROOT = Actor(None, "admin", "cli")
BATCHES = 10  # of listings that are indexed anew before the server starts
DEMO = settings.ROOT / "fixtures" / "demo"


def register(app: Flask) -> None:
    """Add the commands to the application."""
    for command in (migrate, seed, import_, export, token, revoke, expire, draw, backup, restore, doctor):
        app.cli.add_command(command)


def connect() -> None:
    """Connect to the database, or end with one line: no server, no driver, or a file that is no database."""
    try:
        db.connect()
        db.value("SELECT 1")
    except PeeweeException as error:
        sys.exit(f"The database does not answer ({db.first_line(error)}): check DATABASE_URL and its server.")


def upgrade() -> list[str]:
    """Bring tables and search index up to date; the names of the migrations that ran."""
    connect()
    ran = db.migrate()
    search.install()
    if vocabulary.load() | catalog.renew_terms():
        catalog.reindex_all()
        alerts.read_again()
        for _ in range(BATCHES):  # the worker does the rest
            catalog.reindex_some()
    return ran


def _open() -> None:
    """Connect to a database whose tables are as this version wants them, or end with the remedy."""
    connect()
    if db.pending_migrations():
        sys.exit("The tables are not up to date: run `flask migrate` first.")


def _fail(refusal: Refusal) -> None:
    """End with what a refusal says, on one line."""
    from circular import i18n
    from circular.http import field_sentences

    said = i18n.gettext(refusal.rule.sentence, **refusal.facts)
    errors: Any = refusal.facts.get("errors")
    details = (
        "".join(f" {name}: {' '.join(texts)}" for name, texts in field_sentences(errors).items()) if errors else ""
    )
    sys.exit(f"{said}{details}")


@click.command()
def migrate() -> None:
    """Create the tables or bring them up to date."""
    ran = upgrade()
    click.echo(f"Ran {', '.join(ran)}." if ran else "The tables are up to date.")


@click.command()
@click.option("--if-empty", is_flag=True, help="Do nothing when there are listings already.")
def seed(if_empty: bool) -> None:
    """Load the demonstration data: real places, made-up stock. Refused in production."""
    if not settings.get().demo:
        sys.exit("This is made-up stock, and CIRCULAR_MODE is production: import the town's own files instead.")
    _open()
    if if_empty and db.value("SELECT 1 FROM listing LIMIT 1"):
        click.echo("There are listings already: kept as they are.")
        return
    for name, report in imports.seed(DEMO).items():
        click.echo(f"{name}: {_summary(report)}")


@click.command(name="import")
@click.argument(
    "kind", type=click.Choice(["places", "listings", "rules", "projects", "categories", "communes", "sites"])
)
@click.argument("file", type=click.File("rb"))
@click.option("--dry-run", is_flag=True, help="Write nothing; say what would happen.")
def import_(kind: str, file: Any, dry_run: bool) -> None:
    """Load a CSV or XLSX FILE. Good rows pass without the bad ones, which are named with a remedy, and then the end is 1.

    Every thousand rows are kept for good: after a power cut, the same command does the rest.
    """
    _open()
    loaders: dict[str, Callable[..., imports.Report]] = {
        "listings": lambda: _import_listings(file, dry_run),
        "places": lambda: imports.import_places(file, dry_run=dry_run),
        "rules": lambda: imports.import_rules(ROOT, file, dry_run=dry_run),
        "projects": lambda: imports.import_projects(file, dry_run=dry_run),
        "categories": lambda: imports.import_categories(file, dry_run=dry_run),
        "communes": lambda: imports.import_communes(file, dry_run=dry_run),
        "sites": lambda: imports.import_sites(file, dry_run=dry_run),
    }
    try:
        report = loaders[kind]()
    except Refusal as refusal:
        _fail(refusal)
        return
    if report.updated and not dry_run and kind in ("places", "categories", "communes", "sites"):
        catalog.reindex_all()
        while catalog.reindex_some():
            pass
    click.echo(("Nothing was written. " if dry_run else "") + _summary(report))
    for error in imports.as_json(report)["errors"]:
        click.echo(f"row {error['row']}, column {error['column']}: {error['value']!r}. {error['message']}", err=True)
    if report.errors:
        sys.exit(1)


def _import_listings(file: IO[bytes], dry_run: bool) -> imports.Report:
    """Import listings under a progress bar, where there is a terminal to show it."""
    bars: list[Any] = []

    def progress(done: int, total: int) -> None:
        if not bars:
            bars.append(shown.enter_context(click.progressbar(length=total, file=sys.stderr, item_show_func=str)))
        bars[0].update(done - bars[0].pos, f"{done} rows")

    with contextlib.ExitStack() as shown:
        return imports.import_listings(ROOT, file, dry_run=dry_run, progress=progress if sys.stderr.isatty() else None)


def _summary(report: imports.Report) -> str:
    return (
        f"{report.created} created, {report.updated} updated, {report.unchanged} unchanged, {len(report.errors)} errors"
    )


@click.command()
@click.argument("kind", type=click.Choice(["listings", "places", "projects", "reservations"]))
@click.argument("file", type=click.Path(dir_okay=False), default="-")
def export(kind: str, file: str) -> None:
    """Write listings, places, projects or reservations as CSV to FILE (standard output when absent). No phone numbers."""
    _open()
    with click.open_file(file, "w", encoding="utf-8") as stream:
        exports.export(kind, cast(TextIO, stream))


@click.command()
@click.option("--role", type=click.Choice(["staff", "builder", "admin"]), required=True)
@click.option("--place", help="Code of the place where a staff member works.")
@click.option("--phone", help="The person's mobile number, such as +596696123456.")
def token(role: str, place: str | None, phone: str | None) -> None:
    """Make a token and print it, alone. It cannot be shown again."""
    _open()
    if role == "staff" and not place:
        sys.exit("Staff work at a place: add --place CODE.")
    try:
        place_id = places.get_place(place)["id"] if place else None
        click.echo(people.issue_token(role, place_id, phone))
    except Refusal as refusal:
        _fail(refusal)


@click.command()
@click.argument("token")
def revoke(token: str) -> None:
    """Make a token worth nothing: a phone was lost, somebody has left."""
    _open()
    if not people.revoke_token(token.strip()):
        sys.exit("This token is unknown, or revoked already.")
    click.echo("Revoked.")


@click.command()
def expire() -> None:
    """Note the holds that have lapsed, draw what has closed, and tell the people (the server does it by itself)."""
    _open()
    total = drawn = 0
    while done := reservations.expire():
        total += done
    while done := draws.sweep():
        drawn += done
    click.echo(f"{total} expired, {drawn} drawn.")


@click.group()
def draw() -> None:
    """Draws: what is given out by lot."""


@draw.command()
@click.argument("file", type=click.File("rb"))
def verify(file: Any) -> None:
    """Recheck the draw in FILE (- for standard input), as GET /api/v1/draws/ID gave it. Needs no database."""
    try:
        published = json.load(file)
    except ValueError:
        sys.exit("This is not JSON.")
    wrong = draws.check(published)
    if wrong:
        sys.exit("\n".join(wrong))
    won = sum(one["outcome"] == "won" for one in published["entries"])
    click.echo(f"Right: {len(published['entries'])} entries, {won} won.")


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=pathlib.Path))
def backup(file: pathlib.Path) -> None:
    """Copy the database to FILE while everything runs. It holds phone numbers: keep it encrypted."""
    _open()
    os.umask(0o077)  # nobody else on this machine reads it
    if db.is_sqlite():
        try:
            with sqlite3.connect(file) as target:
                db.database.connection().backup(target)
            target.close()
        except sqlite3.Error as error:
            sys.exit(f"{file} cannot be written ({error}): give a file in a folder that exists, with room on its disk.")
    else:
        _pg_tool("pg_dump", "--format=custom", "--file", str(file))
    click.echo(f"Saved to {file}.")


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=pathlib.Path))
@click.confirmation_option(prompt="Replace everything in the database by what is in the file?")
def restore(file: pathlib.Path) -> None:
    """Replace the database by the backup in FILE (stop the server first)."""
    connect()
    working = db.ProcessLock("worker-1")
    if not working.acquire():
        sys.exit("The server is running, or `flask sms deliver`: stop it first. Nothing was changed.")
    if db.is_sqlite():
        source = sqlite3.connect(f"file:{file}?mode=ro", uri=True)
        try:
            found = source.execute("PRAGMA integrity_check").fetchone()[0]
            if found != "ok" or not source.execute("SELECT 1 FROM sqlite_master WHERE name = 'listing'").fetchone():
                sys.exit(f"{file} is not a backup of Circular, or it is damaged. Nothing was changed.")
            source.backup(db.database.connection())
        except sqlite3.DatabaseError:
            sys.exit(f"{file} is not a backup of Circular, or it is damaged. Nothing was changed.")
        finally:
            source.close()
    else:
        _pg_tool("pg_restore", "--clean", "--if-exists", "--single-transaction", str(file))
    upgrade()
    working.release()
    click.echo(f"Restored from {file}.")


def _pg_tool(name: str, *arguments: str) -> None:
    """Run one of PostgreSQL's own tools on our database. The password goes by the environment: anybody can list arguments."""
    path = shutil.which(name)
    if path is None:
        sys.exit(f"{name} is not installed: it comes with PostgreSQL's client package (apt install postgresql-client).")
    public, secret = settings.get().database_url, {}
    url = urllib.parse.urlsplit(public)
    if url.password:
        user, _, host = url.netloc.rpartition("@")
        public = public.replace(url.netloc, f"{user.partition(':')[0]}@{host}", 1)
        secret["PGPASSWORD"] = urllib.parse.unquote(url.password)
    ran = subprocess.run([path, "--dbname", public, *arguments], check=False, env={**os.environ, **secret})  # noqa: S603
    if ran.returncode:
        sys.exit(f"{name} failed, for the reason that it gives above.")


@click.command()
@with_appcontext
def doctor() -> None:
    """Check settings, database, search, gateways and texts, and say what is wrong."""
    from circular import diagnosis

    findings = diagnosis.examine(current_app.config["EXAMINERS"])
    for finding in findings:
        click.echo(f"[{finding.level}] {finding.subject}: {finding.text}")
    if any(finding.level == "wrong" for finding in findings):
        sys.exit(1)

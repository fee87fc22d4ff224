"""Projects: what can be built by upcycling, and what each needs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from peewee import BigAutoField, BigIntegerField, ForeignKeyField, IntegerField, TextField

from circular import catalog, categories, clock, db, places, settings, wishes
from circular.checks import MISSING, Fields
from circular.errors import Refusal
from circular.people import Actor

DIFFICULTIES = ("easy", "medium", "hard")


class Project(db.Table):
    """Something to build. Its code comes from the same number space as the listings'."""

    id = BigAutoField()
    code = TextField(unique=True)
    external_id = TextField(null=True)
    title = TextField()
    description = TextField(default="")
    place_id = BigIntegerField(null=True)
    difficulty = TextField(default="easy")
    duration_minutes = IntegerField(default=0)
    lang = TextField(default="fr")
    revision = IntegerField(default=1)
    created_at = db.UtcDateTimeField()
    updated_at = db.UtcDateTimeField()


class Need(db.Table):
    """So much of a category that a project takes; `quantity` in thousandths of `unit`."""

    id = BigAutoField()
    project = ForeignKeyField(Project, backref="needs", on_delete="CASCADE")
    category = TextField()
    quantity = BigIntegerField()
    unit = TextField()
    position = IntegerField()


COLUMNS = (
    "j.id, j.code, j.external_id, j.title, j.description, j.place_id, p.code AS place, j.difficulty, "
    "j.duration_minutes, j.lang, j.revision, j.created_at, j.updated_at"
)
SOURCE = "FROM project j LEFT JOIN place p ON p.id = j.place_id"


def get(code: str) -> dict[str, Any]:
    """One project with its needs. Raises: Refusal("no_such_project")."""
    found = db.dicts(f"SELECT {COLUMNS} {SOURCE} WHERE j.code = ?", code)
    if not found:
        raise Refusal("no_such_project", code=code)
    return _with_needs(found)[0]


def exists(code: str) -> bool:
    """True when `code` is a project's."""
    return db.value("SELECT 1 FROM project WHERE code = ?", code) is not None


def find(q: str = "", after: int = 0, limit: int = 20) -> list[dict[str, Any]]:
    """Projects by age, from the one after id `after`; with words, those whose title or description holds them all."""
    wanted = wishes.tokens(wishes.read(q))
    if q.strip() and not wanted:
        return []
    found: list[dict[str, Any]] = []
    while len(found) < limit:
        batch = db.dicts(f"SELECT {COLUMNS} {SOURCE} WHERE j.id > ? ORDER BY j.id LIMIT 100", after)
        if not batch:
            break
        after = batch[-1]["id"]
        found += [
            project
            for project in batch
            if not wanted or wishes.fits(wanted, f"{project['title']} {project['description']}", project["lang"])
        ]
    return _with_needs(found[:limit])


def _with_needs(projects: list[dict[str, Any]]) -> list[dict[str, Any]]:
    by_id: dict[int, dict[str, Any]] = {project["id"]: {**project, "needs": []} for project in projects}
    if by_id:
        marks = ", ".join("?" * len(by_id))
        for need in db.dicts(
            f"SELECT project_id, category, quantity, unit FROM need WHERE project_id IN ({marks}) ORDER BY position, id",
            *by_id,
        ):
            by_id[need.pop("project_id")]["needs"].append(need)
    return list(by_id.values())


def check(values: Mapping[str, Any], *, partial: bool = False) -> dict[str, Any]:
    """Clean fields of a project; `needs` comes out as a list of (category, milli, unit). Raises: Refusal("invalid")."""
    fields = Fields(values, partial=partial)
    fields.text("title", catalog.TITLE_LIMIT, required=True)
    fields.text("description", 2000)
    fields.choice("difficulty", DIFFICULTIES, default="easy")
    fields.whole("duration_minutes", most=100_000, default=0)
    fields.choice("lang", settings.LANGUAGES, default="fr")
    fields.text("place", 40, default=None)
    if "place" in fields.clean:
        code = fields.clean.pop("place")
        fields.clean["place_id"] = None if code is None else places.id_of(code)
        if code is not None and fields.clean["place_id"] is None:
            fields.errors.add("place", "unknown_place", value=code)
    _check_needs(fields)
    return fields.done()


def _check_needs(fields: Fields) -> None:
    """Needs as objects {category, quantity, unit}, or text `bois-planche:3:piece|quincaillerie:12:piece`."""
    given = fields.raw("needs", [])
    if given is MISSING:
        return
    entries = given.split("|") if isinstance(given, str) else given
    needs = []
    for entry in entries if isinstance(entries, list | tuple) else [None]:
        parts = (
            entry
            if isinstance(entry, Mapping)
            else dict(zip(("category", "quantity", "unit"), str(entry).split(":"), strict=False))
        )
        need = Fields({name: parts.get(name) for name in ("category", "quantity", "unit")})
        need.text("category", 40, required=True)
        need.choice("unit", catalog.UNITS, required=True)
        need.milli("quantity", whole=need.clean.get("unit") in catalog.WHOLE_UNITS, required=True)
        if need.errors:
            fields.errors.add("needs", "needs")
            return
        if not categories.exists(need.clean["category"]):
            fields.errors.add("needs", "unknown_category", value=need.clean["category"])
            return
        needs.append((need.clean["category"], need.clean["quantity"], need.clean["unit"]))
    fields.clean["needs"] = needs


def add(actor: Actor, values: Mapping[str, Any]) -> dict[str, Any]:
    """Add a project, by the staff of its place or an admin.

    Raises: Refusal("wrong_role" | "not_your_place" | "invalid").
    """
    actor.require("staff")
    clean = check(values)
    if clean["place_id"] is None:
        clean["place_id"] = actor.place_id
    elif not actor.works_at(clean["place_id"]):
        raise Refusal("not_your_place", place=values.get("place"))
    with db.transaction():
        return get(_insert(clean, None, None))


def _insert(clean: dict[str, Any], code: str | None, external_id: str | None) -> str:
    needs = clean.pop("needs")
    now = clock.now()
    code = code or catalog.next_code()
    project_id = Project.insert(code=code, external_id=external_id, created_at=now, updated_at=now, **clean).execute()
    _write_needs(project_id, needs)
    return code


def _write_needs(project_id: int, needs: list[tuple[str, int, str]]) -> None:
    db.run("DELETE FROM need WHERE project_id = ?", project_id)
    for position, (category, quantity, unit) in enumerate(needs):
        Need.insert(project=project_id, category=category, quantity=quantity, unit=unit, position=position).execute()


def revise(actor: Actor, code: str, changes: Mapping[str, Any], revision: int | None) -> dict[str, Any]:
    """Change fields of a project, by the staff of its place or an admin.

    Raises: Refusal("no_such_project" | "wrong_role" | "not_your_place" | "invalid" | "stale").
    """
    with db.transaction():
        found = get(code)
        actor.require_place(found["place_id"], found["place"] or code)
        clean = check(changes, partial=True)
        if "place_id" in clean and not actor.works_at(clean["place_id"]):
            raise Refusal("not_your_place", place=changes.get("place"))
        needs = clean.pop("needs", None)
        places.revise("project", found["id"], revision, clean)
        if needs is not None:
            _write_needs(found["id"], needs)
        return get(code)


def put(values: Mapping[str, Any], external_id: str | None, code: str | None = None) -> str:
    """Add a project from a file or bring it up to date: "created", "updated" or "unchanged". Inside a transaction.

    Raises: Refusal("invalid").
    """
    clean = check(values)
    column, key = ("external_id", external_id) if external_id else ("code", code)
    found = db.dicts(f"SELECT * FROM project WHERE {column} = ?", key) if key else []
    if not found:
        _insert(clean, code, external_id)
        return "created"
    needs = clean.pop("needs")
    stored = db.rows("SELECT category, quantity, unit FROM need WHERE project_id = ? ORDER BY position", found[0]["id"])
    if all(found[0][name] == value for name, value in clean.items()) and [tuple(need) for need in stored] == needs:
        return "unchanged"
    places.revise("project", found[0]["id"], None, clean)
    _write_needs(found[0]["id"], needs)
    return "updated"

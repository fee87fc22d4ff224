"""What an import did: how many rows came in, and what is wrong with the others, by row, column, value and remedy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from circular import i18n
from circular.errors import FIELD_ERRORS, FieldError, Refusal

VALUE_LIMIT = 200  # characters of a wrong value that a report repeats
# Refusals that are not about one field: the column that can put it right, and how that is said of a field.
REFUSED = {
    "hazard": ("hazards", "publishing_hazard"),
    "not_your_place": ("place", "another_place"),
    "held_for_others": ("quantity", "below_reserved"),
    "withdrawn": ("status", "fixed"),
}


class RowError(NamedTuple):
    """What is wrong with one cell. `row` is numbered as a spreadsheet shows it, `column` is the file's own name for it."""

    row: int
    column: str
    value: str
    error: FieldError


@dataclass
class Report:
    """How many rows were created, brought up to date or left as they were; and the errors of the rows that were not."""

    created: int = 0
    updated: int = 0
    unchanged: int = 0
    errors: list[RowError] = field(default_factory=list)

    def count(self, outcome: str) -> None:
        """Count one row: `outcome` is "created", "updated" or "unchanged"."""
        setattr(self, outcome, getattr(self, outcome) + 1)

    def note(self, row: int, column: str, value: str, error: FieldError) -> None:
        """Note what is wrong with a cell."""
        self.errors.append(RowError(row, column, value[:VALUE_LIMIT], error))

    def refused(self, row: int, cells: Mapping[str, str], refusal: Refusal, columns: Mapping[str, str]) -> None:
        """Note why a noun refused a row; `columns` names the file's column where it differs from the noun's field.

        Raises: the refusal, when it is about more than this row (role, storage).
        """
        if refusal.code == "invalid":
            errors: Any = refusal.facts["errors"]
        elif refusal.code in REFUSED:
            name, code = REFUSED[refusal.code]
            errors = {name: FieldError(code, refusal.facts)}
        else:
            raise refusal
        for name, error in errors.items():
            column = columns.get(name, name)
            self.note(row, column, cells.get(column, ""), error)

    def add(self, other: Report) -> None:
        """Take in the report of further rows."""
        self.created += other.created
        self.updated += other.updated
        self.unchanged += other.unchanged
        self.errors += other.errors


def as_json(report: Report) -> dict[str, Any]:
    """The report as the contract has it, its messages in the current language."""
    return {
        "created": report.created,
        "updated": report.updated,
        "unchanged": report.unchanged,
        "errors": [
            {
                "row": row,
                "column": column,
                "value": value,
                "message": i18n.gettext(FIELD_ERRORS[error.code], **error.facts),
            }
            for row, column, value, error in report.errors
        ],
    }

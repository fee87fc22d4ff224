"""A fault point: the process dies with SIGKILL before its n-th statement."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

from circular import db


def die_before(left: int) -> None:
    """Kill this process before the statement (a commit is one) that follows `left` others. The database must be open."""
    opened = type(db.database.obj)

    def counted(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            nonlocal left
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            left -= 1
            return real(*args, **options)

        return call

    for name in ("execute_sql", "commit"):
        setattr(opened, name, counted(getattr(opened, name)))
    if db.is_sqlite():  # which most statements reach without peewee
        db._execute = counted(db._execute)

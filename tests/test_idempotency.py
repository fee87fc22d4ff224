"""Two requests with one key at once."""

from __future__ import annotations

import threading

from circular import db, idempotency
from circular.errors import Refusal
from tests.town import Town


def test_a_repeat_while_the_first_runs(town: Town, engine: str) -> None:
    """PostgreSQL says in_progress; SQLite lets the second wait its turn; both times one effect."""
    inside, go_on = threading.Event(), threading.Event()
    effects: list[int] = []
    outcomes: list[object] = []

    def slow() -> dict[str, object]:
        inside.set()
        assert go_on.wait(10)
        effects.append(1)
        return {"made": 1}

    def fast() -> dict[str, object]:
        effects.append(2)
        return {"made": 2}

    def run(act: object) -> None:
        db.connect()
        try:
            outcomes.append(idempotency.once(7, "key", {"a": 1}, 100, act))  # type: ignore[arg-type]
        except Refusal as refusal:
            outcomes.append(refusal.code)
        db.close()

    first, second = threading.Thread(target=run, args=(slow,)), threading.Thread(target=run, args=(fast,))
    first.start()
    assert inside.wait(10)
    second.start()
    if engine == "postgresql":
        second.join(10)  # refused at once, the first still running
    go_on.set()
    first.join(10)
    second.join(10)

    assert effects == [1]
    expected = ["in_progress", {"made": 1}] if engine == "postgresql" else [{"made": 1}, {"made": 1}]
    assert outcomes == expected
    assert idempotency.once(7, "key", {"a": 1}, 100, fast) == {"made": 1}

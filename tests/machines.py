"""What the tests share that let Hypothesis or several threads loose on a town."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import time_machine
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

from circular import db
from circular.errors import Refusal
from tests.town import Town

START = datetime(2026, 11, 23, 14, 0, tzinfo=UTC)  # a Monday, 10:00 in Martinique


class TownMachine(RuleBasedStateMachine):
    """A town in which time stands still until a rule moves it: `now`, by `clock`."""

    def __init__(self) -> None:
        super().__init__()
        self.town = Town()
        self._travel = time_machine.travel(START, tick=False)
        self.clock = self._travel.start()
        self.now = START
        self._names = 0

    def teardown(self) -> None:
        self._travel.stop()

    def name(self) -> str:
        """What a request is known by: another one each time."""
        self._names += 1
        return f"machine:{self._names}"


def run_machine(fresh: Callable[[], RuleBasedStateMachine], examples: int = 40, steps: int = 40) -> None:
    """So many sequences of steps, each on a `fresh` machine."""
    run_state_machine_as_test(
        fresh,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            database=None,
        ),
    )


def at_once(*acts: Callable[[], str]) -> list[str]:
    """What came of each act, all begun together, each in a thread with a connection of its own; the code of a refusal."""
    start = threading.Barrier(len(acts))

    def run(act: Callable[[], str]) -> str:
        db.connect()
        try:
            start.wait(60)
            return act()
        except Refusal as refusal:
            return refusal.code
        finally:
            db.close()

    with ThreadPoolExecutor(len(acts)) as pool:
        return [running.result(120) for running in [pool.submit(run, act) for act in acts]]

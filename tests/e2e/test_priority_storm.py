"""Urgent work that comes again and again while low work has every slot: `tests.bench.preempting`, smaller."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bench.preempting import SLOTS, STEPS, storm, wait_of_an_urgent_run
from tests.e2e.stack import Stack
from tests.servers import open_folder

PREEMPTION_LIMIT = 5


@pytest.fixture(scope="module")
def desk() -> Iterator[Stack]:
    """A stack with two slots."""
    with open_folder() as folder, Stack(folder / "home", BLOTTER_WORKER_CONCURRENCY=str(SLOTS)) as stack:
        yield stack


def test_every_level_gets_through_a_storm_and_no_step_is_done_twice(desk: Stack) -> None:
    """Low runs make way, some more than once, none without end; all of them succeed."""
    found = storm(desk, bursts=6)

    assert {task["state"] for task in found.tasks.values()} == {"SUCCESS"}
    assert set(found.completed.values()) == {1}
    assert len(found.completed) == STEPS * len(found.tasks)
    assert found.preemptions > 0
    assert max(task["preemptions"] for task in found.tasks.values()) <= PREEMPTION_LIMIT
    assert sum(task["preemptions"] for task in found.of_level("high")) == 0
    assert sum(task["attempts"] - 1 for task in found.tasks.values()) == found.preemptions


def test_an_urgent_run_starts_at_once_however_often_it_comes(desk: Stack, gates: Path) -> None:
    """Every slot is taken by a low run each time; the reminder of a lost interrupt would take a second."""
    waits = sorted(wait_of_an_urgent_run(desk, gates) for _ in range(10))
    assert waits[len(waits) // 2] < 1
    assert waits[-1] < 5

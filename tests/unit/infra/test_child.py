"""When an ended process is started again."""

from __future__ import annotations

import signal
from datetime import timedelta
from pathlib import Path

import pytest

from infra.local.child import LONGEST_DELAY, Child, Program, restart_delay


def never() -> Child:
    """A child that is not started in these tests."""

    def start() -> None:
        raise AssertionError("started")

    return Child(
        Program(
            name="never",
            start=start,  # type: ignore[arg-type]
            log=Path("never.log"),
            ends_by=signal.SIGTERM,
            dies_by=signal.SIGKILL,
            stops_within=timedelta(seconds=1),
        )
    )


@pytest.mark.parametrize(("failures", "seconds"), [(1, 0.1), (2, 0.2), (3, 0.4), (6, 3.2), (7, 5), (10_000, 5)])
def test_the_delay_doubles_up_to_its_limit(failures: int, seconds: float) -> None:
    """From a tenth of a second to five seconds, for any number of failures."""
    assert restart_delay(failures) == timedelta(seconds=seconds)
    assert restart_delay(failures) <= LONGEST_DELAY


def test_ends_in_a_row_are_counted_and_put_the_next_start_off() -> None:
    """Two ends soon after the start: the second wait is longer."""
    child = never()
    child.plan_restart(now=100.0)
    assert (child.failures, child.restart_at) == (1, 100.1)
    child.plan_restart(now=200.0)
    assert (child.failures, child.restart_at) == (2, 200.2)

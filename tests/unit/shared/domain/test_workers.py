"""What state a worker is in, by how long it has been silent and what it said last."""

from __future__ import annotations

from datetime import timedelta

import pytest

from shared.domain.workers import OFFLINE_AFTER, UNRESPONSIVE_AFTER, WorkerState, worker_state

MOMENT = timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("silence", "draining", "expected"),
    [
        (timedelta(), False, WorkerState.ONLINE),
        (timedelta(), True, WorkerState.DRAINING),
        (UNRESPONSIVE_AFTER - MOMENT, False, WorkerState.ONLINE),
        (UNRESPONSIVE_AFTER, False, WorkerState.UNRESPONSIVE),
        (UNRESPONSIVE_AFTER, True, WorkerState.UNRESPONSIVE),
        (OFFLINE_AFTER - MOMENT, False, WorkerState.UNRESPONSIVE),
        (OFFLINE_AFTER, False, WorkerState.OFFLINE),
        (OFFLINE_AFTER, True, WorkerState.OFFLINE),
    ],
)
def test_silence_makes_a_worker_unresponsive_and_then_offline(
    silence: timedelta, draining: bool, expected: WorkerState
) -> None:
    """Only one that is heard can drain."""
    assert worker_state(silence, draining=draining) is expected


@pytest.mark.parametrize("silence", [timedelta(), UNRESPONSIVE_AFTER, OFFLINE_AFTER])
def test_one_that_said_goodbye_is_offline_at_once(silence: timedelta) -> None:
    """However short ago that was."""
    assert worker_state(silence, draining=True, left=True) is WorkerState.OFFLINE

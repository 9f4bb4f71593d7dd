"""When a worker that is to leave has heard of it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from services.executor.drains import GIVE_UP_AFTER, is_settled
from shared.domain.deciding import metadata
from shared.domain.worker_events import DrainRequested, worker_stream
from shared.heartbeats import WorkerHeartbeat
from tests.builders import NOW, WORKER, stamp
from tests.heartbeats import heartbeat

REQUEST = DrainRequested(
    originator_id=worker_stream(WORKER),
    originator_version=1,
    **metadata(stamp()),
    name=WORKER,
    started_at=heartbeat().started_at,
)


@pytest.mark.parametrize(
    ("known", "settled"),
    [
        (heartbeat(), False),
        (heartbeat(draining=True), True),
        (heartbeat(left=True), True),
        (heartbeat(started_at=NOW + timedelta(minutes=1)), True),
    ],
)
def test_a_worker_is_told_until_it_drains_or_is_gone(known: WorkerHeartbeat, settled: bool) -> None:
    """One that took the name later was not meant."""
    assert is_settled(REQUEST, known, NOW + timedelta(hours=1)) is settled


def test_a_worker_of_which_nothing_is_known_is_waited_for_a_while() -> None:
    """A Redis that lost everything hears of it again within a second."""
    assert not is_settled(REQUEST, None, NOW + timedelta(minutes=1))
    assert is_settled(REQUEST, None, NOW + GIVE_UP_AFTER + timedelta(seconds=1))

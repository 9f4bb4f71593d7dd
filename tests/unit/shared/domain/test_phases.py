"""Which phases end a run, and which let a worker start."""

from __future__ import annotations

import pytest

from shared.domain.phases import Phase, celery_state, status

ENDED = {Phase.SUCCEEDED, Phase.FAILED, Phase.CANCELLED}
CLAIMABLE = {Phase.WAITING, Phase.RETRY_DUE, Phase.LOST, Phase.PREEMPTED, Phase.JOINED}
AT_WORK = {Phase.RUNNING, Phase.CANCELLING}


@pytest.mark.parametrize("phase", Phase)
def test_a_phase_knows_whether_it_is_an_end_and_whether_it_may_be_claimed(phase: Phase) -> None:
    """A retry may be claimed only once it is due, and a run at a join only once it is joined; what has ended never."""
    assert phase.ended is (phase in ENDED)
    assert phase.claimable is (phase in CLAIMABLE)
    assert phase.at_work is (phase in AT_WORK)


def test_each_status_belongs_to_one_state() -> None:
    """Lists narrowed by Celery's state look up statuses, and that must not bring others along."""
    states = {word: {celery_state(phase) for phase in Phase if status(phase) is word} for word in map(status, Phase)}
    assert {word: len(found) for word, found in states.items()} == dict.fromkeys(states, 1)

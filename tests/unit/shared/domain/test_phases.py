"""Which phases end a run, and which let a worker start."""

from __future__ import annotations

import pytest

from shared.domain.phases import Phase, celery_state, status

ENDED = {Phase.SUCCEEDED, Phase.FAILED, Phase.CANCELLED}
CLAIMABLE = {Phase.WAITING, Phase.RETRY_DUE, Phase.LOST, Phase.PREEMPTED}


@pytest.mark.parametrize("phase", Phase)
def test_a_phase_knows_whether_it_is_an_end_and_whether_it_may_be_claimed(phase: Phase) -> None:
    """A retry may be claimed only once it is due; nothing that has ended may."""
    assert phase.ended is (phase in ENDED)
    assert phase.claimable is (phase in CLAIMABLE)


def test_each_status_belongs_to_one_state() -> None:
    """Lists narrowed by Celery's state look up statuses, and that must not bring others along."""
    states = {word: {celery_state(phase) for phase in Phase if status(phase) is word} for word in map(status, Phase)}
    assert {word: len(found) for word, found in states.items()} == dict.fromkeys(states, 1)

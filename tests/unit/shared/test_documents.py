"""The sentences that a task's own record tells of itself."""

from __future__ import annotations

import pytest

from shared.documents import default_reason
from shared.domain.views import task_view
from tests.builders import WORKER, running, stamp


@pytest.mark.parametrize(
    ("number", "says"), [(1, ""), (2, ", for the 2nd time"), (3, ", for the 3rd time"), (11, ", for the 11th time")]
)
def test_a_preempted_task_says_for_whom_it_made_way(number: int, says: str) -> None:
    """The time is that of the last one; how often is told from the second one on."""
    run = running()
    for attempt in range(1, number + 1):
        if attempt > 1:
            run.claim(stamp(attempt), attempt=attempt, worker=WORKER)
        run.request_preemption(stamp(attempt), attempt=attempt, preempted_by="t-9")
        run.make_way(stamp(attempt), attempt=attempt)
    assert default_reason(task_view(run)) == (
        f"preempted by task t-9 at 2026-03-02T14:30:{number:02}Z{says}; "
        "resumes from its checkpoint as soon as a worker is free"
    )

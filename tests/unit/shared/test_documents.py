"""What the documents of a task are made of."""

from __future__ import annotations

import pytest

from shared.documents import default_reason, task_document
from shared.domain.orders import OrderState
from shared.domain.views import task_view
from shared.objects.memory import MemoryObjectStore
from shared.workflow.codec import encode
from tests.builders import NOW, WORKER, complete_next, outcome, running, stamp, submitted, with_order


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


def test_a_held_task_says_that_its_schedule_holds_it() -> None:
    """Until it is let go: then it waits for a worker."""
    run = submitted(held=True)
    assert default_reason(task_view(run)) == "its schedule holds it until the run before it has ended"
    run.release(stamp(1))
    assert default_reason(task_view(run)) == "waiting for a free worker"


@pytest.mark.parametrize("kept_elsewhere", [False, True])
def test_a_result_shows_its_orders_as_the_ledger_has_them_by_now(kept_elsewhere: bool) -> None:
    """One that was filled after the run's end is filled, in a result of any size; all else stays as it was."""
    objects = MemoryObjectStore()
    run = with_order(running(), "o-1", stamp(2))
    run.settle_order(stamp(3), attempt=1, client_order_id="o-1", outcome=outcome())
    result = {
        "decisions": ["d"] * (30_000 if kept_elsewhere else 1),
        "orders": [{"client_order_id": "o-1", "state": "placed"}],
    }
    while run.next_position() is not None:
        complete_next(run, stamp(4))
    run.succeed(stamp(5), attempt=1, result=encode(result, dict, store=objects, subject="The result"))
    before = task_document(task_view(run), now=NOW, objects=objects)["result"]
    run.follow_order(stamp(9), client_order_id="o-1", outcome=outcome(state="filled", filled_quantity="10"))
    document = task_document(task_view(run), now=NOW, objects=objects)

    (filled,) = document["result"]["orders"]
    assert (filled["state"], filled["filled_quantity"]) == (OrderState.FILLED, "10")
    assert before == result
    assert document["result"]["decisions"] == before["decisions"]
    assert "late_orders" not in document

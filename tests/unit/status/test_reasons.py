"""The sentences that say why a task is not running."""

from __future__ import annotations

from typing import Any

import pytest

from services.status.queries import COUNT_LIMIT, Ahead
from services.status.reasons import busy_reason, held_reason, limit_reason, queued_reason, retry_reason
from shared.domain.overlap import Hold
from shared.domain.priority import Priority
from shared.domain.views import step_views
from tests.builders import PLAN, stamp, waiting_for_retry
from tests.schedule_builders import fire, schedule


@pytest.mark.parametrize(
    ("high", "normal", "low", "reason"),
    [
        (0, 0, 0, None),
        (1, 0, 0, "waiting behind 1 high-priority task"),
        (3, 0, 0, "waiting behind 3 high-priority tasks"),
        (0, 0, 1, "waiting behind 1 low-priority task"),
        (3, 2, 0, "waiting behind 3 high-priority and 2 normal-priority tasks"),
        (3, 2, 1, "waiting behind 3 high-priority, 2 normal-priority and 1 low-priority tasks"),
        (1000, 0, 0, "waiting behind 1,000 high-priority tasks"),
        (COUNT_LIMIT + 1, 0, 0, "waiting behind more than 1,000 high-priority tasks"),
    ],
)
def test_a_queued_task_counts_those_before_it(high: int, normal: int, low: int, reason: str | None) -> None:
    """Levels without any are left out; counting stops at a thousand."""
    ahead = [Ahead(Priority.HIGH, high), Ahead(Priority.NORMAL, normal), Ahead(Priority.LOW, low)]
    assert queued_reason(ahead) == reason


@pytest.mark.parametrize(
    ("due", "reason"),
    [
        (stamp(3).at, "retry 1 of 3 at 2026-03-02T14:30:03Z, after TemporaryError"),
        (None, "retry 1 of 3 is due, after TemporaryError; waiting for a free worker"),
    ],
)
def test_a_retrying_task_names_retry_time_and_error(due: Any, reason: str) -> None:
    """With the time while it waits, without once it is due."""
    step = next(iter(step_views(waiting_for_retry())))
    assert retry_reason(step, PLAN, max_retries=3, next_retry_at=due) == reason


@pytest.mark.parametrize(
    ("slots", "lower", "reason"),
    [
        (1, 0, "waiting for the worker to be free"),
        (1, 1, "waiting for the worker to be free; a task of a lower level makes way unless"),
        (4, 0, "waiting for a free worker: all 4 are taken by tasks of its own level or a higher one"),
        (4, 1, "waiting for a free worker: all 4 are taken; a task of a lower level makes way unless"),
        (4, 3, "waiting for a free worker: all 4 are taken; 3 tasks of lower levels make way unless"),
    ],
)
def test_the_next_task_tells_who_has_the_workers(slots: int, lower: int, reason: str) -> None:
    """Those of lower levels are to make way."""
    assert busy_reason(slots, lower=lower).startswith(reason)


def test_a_task_under_a_full_limit_says_which() -> None:
    """Every limit whose places are taken is named, with its number."""
    assert limit_reason({"venue:alpaca": 5}) == (
        "waiting for a place under the limit of venue:alpaca (at most 5 at once)"
    )
    assert limit_reason({"b": 1, "a": 2}) == (
        "waiting for a place under the limit of a (at most 2 at once) and b (at most 1 at once)"
    )
    assert limit_reason({}) is None


def test_a_held_task_names_what_is_before_it() -> None:
    """What runs is, and what was held earlier; one that was held later, or is to be cancelled, is not."""
    known = schedule()
    runs = fire(known, stamp(1))
    first = fire(known, stamp(2), verdict=Hold())
    second = fire(known, stamp(3), verdict=Hold())
    assert held_reason(known.state, first) == (f"its schedule holds it until the run before it, task {runs}, has ended")
    assert held_reason(known.state, second) == (
        f"its schedule holds it until the 2 runs before it have ended, first task {runs}"
    )
    third = fire(known, stamp(4), verdict=Hold(cancels=(first, second)))
    assert held_reason(known.state, third) == (f"its schedule holds it until the run before it, task {runs}, has ended")


def test_a_run_that_has_come_back_is_before_those_that_are_held() -> None:
    """Although it was fired, and is listed, after them."""
    known = schedule()
    back = fire(known, stamp(1))
    held = fire(known, stamp(2), verdict=Hold(), ended=(back,))
    assert held_reason(known.state, held) is None
    known.return_run(stamp(3), back)
    assert f"task {back}, has ended" in str(held_reason(known.state, held))

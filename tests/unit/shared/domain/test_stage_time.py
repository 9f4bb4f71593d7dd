"""The time of runs at a join: what of it counts, when it is over, and delays that are cut short."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.branch import time_at_work
from shared.domain.errors import NotRetrying, Refused
from shared.domain.outputs import Output
from shared.domain.phases import Phase
from tests.builders import (
    WORKER,
    at_join,
    claimed,
    complete_member,
    retry_member,
    stamp,
)


def test_time_of_branches_that_are_at_work_at_once_counts_once() -> None:
    """And time in which none is at work not at all; the attempts before and after count too."""
    run = at_join(timeout_seconds=100.0)
    assert run.time_left(stamp(10).at) == timedelta(seconds=98)
    claimed(run, "AAPL", stamp(10))
    claimed(run, "MSFT", stamp(15))
    assert run.time_left(stamp(18).at) == timedelta(seconds=90)
    complete_member(run, "AAPL", stamp(20))
    assert run.time_left(stamp(22).at) == timedelta(seconds=86)
    retry_member(run, "MSFT", stamp(25))
    assert run.time_left(stamp(500).at) == timedelta(seconds=83)
    run.retry_now(stamp(500))
    complete_member(run, "MSFT", stamp(501))
    run.settle_stage(stamp(501))
    run.claim(stamp(600), attempt=2, worker=WORKER)
    assert run.time_left(stamp(603).at) == timedelta(seconds=80)


def test_the_time_of_a_branch_that_is_asked_to_make_way_goes_on_until_it_does() -> None:
    """It is at work until then, and so is its next attempt from its start."""
    run = at_join(timeout_seconds=100.0)
    branch = claimed(run, "AAPL", stamp(10))
    branch.request_preemption(stamp(12), attempt=1, preempted_by="t-2")
    assert run.time_left(stamp(15).at) == timedelta(seconds=93)
    branch.make_way(stamp(16), attempt=1)
    assert run.time_left(stamp(50).at) == timedelta(seconds=92)
    claimed(run, "AAPL", stamp(60))
    assert run.time_left(stamp(61).at) == timedelta(seconds=91)


def seconds_at_work(spans: Sequence[tuple[int, int | None]], now: int) -> int:
    """Count the seconds in which something was at work, one by one."""
    return len({second for start, end in spans for second in range(start, now if end is None else end)})


SPANS = st.lists(
    st.tuples(st.integers(0, 50), st.integers(0, 30)).map(lambda span: (span[0], span[0] + span[1])), max_size=8
)


@given(spans=SPANS, open_since=st.none() | st.integers(0, 80))
def test_time_at_work_is_that_of_all_spans_laid_over_one_another(
    spans: list[tuple[int, int]], open_since: int | None
) -> None:
    """However they overlap, touch or contain one another, and whether the last one still goes on."""
    run = at_join()
    first, second = run.stage()
    now = 80
    worked = [*spans, *([(open_since, None)] if open_since is not None else [])]
    for number, (start, end) in enumerate(worked):
        at_once: list[tuple[datetime, datetime | None]] = (first, second)[number % 2].worked
        at_once.append((stamp(start).at, None if end is None else stamp(end).at))
    expected = timedelta(seconds=seconds_at_work(worked, now))
    assert time_at_work([first, second], stamp(now).at) == expected


def test_a_run_past_its_time_fails_at_the_join() -> None:
    """No step is to blame, and the members at work are stopped."""
    run = at_join(timeout_seconds=12.0)
    branch = claimed(run, "AAPL", stamp(10))
    with pytest.raises(Refused, match="time left"):
        run.time_out_in_stage(stamp(19.9))
    run.time_out_in_stage(stamp(20))
    assert run.failure is not None
    assert (run.failure.failure.type, run.failure.failure.timed_out) == ("timeout", True)
    assert (run.failure.step, run.failure.symbol, run.phase) == (None, None, Phase.FAILED)
    with pytest.raises(Refused):
        branch.complete(stamp(21), attempt=1, output=Output(), started_at=stamp(10).at)


def test_a_run_at_a_join_in_which_nobody_is_at_work_has_all_the_time_in_the_world() -> None:
    """Waiting costs nothing."""
    run = at_join(timeout_seconds=12.0)
    with pytest.raises(Refused, match="time left"):
        run.time_out_in_stage(stamp(100_000))


def test_a_run_that_is_being_cancelled_does_not_time_out_at_the_join() -> None:
    """Only cancelled may end it."""
    run = at_join(timeout_seconds=12.0)
    claimed(run, "AAPL", stamp(10))
    run.request_cancel(stamp(11))
    with pytest.raises(Refused, match="waits at no join"):
        run.time_out_in_stage(stamp(100))


def test_retrying_now_ends_the_delay_of_every_branch_that_waits_for_a_retry() -> None:
    """The others are left as they are; once the delays are over, asking again changes nothing."""
    run = at_join(symbols=("AAPL", "MSFT", "IBM"))
    retry_member(run, "AAPL", stamp(4))
    retry_member(run, "MSFT", stamp(4))
    claimed(run, "IBM", stamp(4))
    run.collect_events()
    run.retry_now(stamp(5))
    assert [branch.phase for branch in run.stage()] == [Phase.RETRY_DUE, Phase.RETRY_DUE, Phase.RUNNING]
    assert len(run.collect_events()) == 2
    run.retry_now(stamp(6))
    assert run.collect_events() == []


def test_a_stage_in_which_no_branch_waits_for_a_retry_has_nothing_to_bring_forward() -> None:
    """Waiting for a worker is no retry."""
    run = at_join()
    complete_member(run, "AAPL", stamp(4))
    run.collect_events()
    with pytest.raises(NotRetrying):
        run.retry_now(stamp(5))
    assert run.collect_events() == []

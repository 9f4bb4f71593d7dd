"""What the gateway relies on in the status service of metrics: one suite for the fake and for the real one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.gateway.metric_answers import MetricHistory, MetricPoint, MetricsAnswer
from services.gateway.queries import HistoryQuery, MetricsQuery
from shared.domain.execution import WorkflowExecution
from shared.domain.outputs import Output
from shared.domain.phases import Phase
from shared.domain.priority import Priority
from tests.builders import NOW, WORKER, complete_next, in_phase, stamp, submitted
from tests.contract.status_services import KINDS, Side
from tests.heartbeats import heartbeat


@pytest.fixture(params=KINDS)
async def side(request: pytest.FixtureRequest) -> AsyncIterator[Side]:
    """The fake, then the real one."""
    async with KINDS[request.param](request) as opened:
        yield opened


async def figures(side: Side, **query: Any) -> MetricsAnswer:
    """The figures, in the form in which the gateway documents them."""
    return MetricsAnswer.model_validate_json(await side.client.metrics(MetricsQuery(**query).parameters()))


async def points(side: Side, **query: Any) -> list[MetricPoint]:
    """The points of a history."""
    answer = await side.client.metric_history(HistoryQuery(**query).parameters())
    return MetricHistory.model_validate_json(answer).points


def completed(seconds: float, *, ended: datetime, trace: str | None = None, **changes: Any) -> WorkflowExecution:
    """A run that took so long, and ended then."""
    began = (ended - NOW).total_seconds() - seconds
    run = submitted(at=stamp(began - 1, trace=trace), **changes)
    run.claim(stamp(began), attempt=1, worker=WORKER)
    while run.next_position() is not None:
        complete_next(run, stamp(began))
    run.succeed(stamp(began + seconds), attempt=1, result=Output(inline={"decisions": []}))
    return run


async def test_before_anything_has_happened_there_are_zeros_and_no_times(side: Side) -> None:
    """Nothing is left out."""
    found = await figures(side)
    assert set(found.tasks.model_dump().values()) == {0}
    assert (found.as_of_position, found.throughput_per_minute, found.workers) == (0, 0.0, 0)
    assert (found.average_duration_seconds, found.p95_duration_seconds) == (None, None)
    assert found.queue_length.model_dump() == {"high": 0, "normal": 0, "low": 0}
    assert found.queue_oldest_seconds.model_dump() == {"high": None, "normal": None, "low": None}


async def test_tasks_are_counted_by_their_status(side: Side) -> None:
    """One in each phase: several phases are one status."""
    for phase in Phase:
        side.show(in_phase(phase, priority=Priority.LOW))
    found = await figures(side)
    assert found.tasks.model_dump() == {
        "queued": 3,
        "active": 4,
        "retrying": 2,
        "preempted": 1,
        "completed": 1,
        "failed": 1,
        "cancelled": 1,
    }
    assert found.queue_length.model_dump() == {"high": 0, "normal": 0, "low": 3}
    assert found.as_of_position > len(Phase)


async def test_durations_are_those_of_what_completed_within_the_window(side: Side) -> None:
    """What ended before it does not count; the percentile is within 10 % of the exact one."""
    now = datetime.now(UTC)
    for seconds in range(1, 21):
        side.show(completed(float(seconds), ended=now))
    side.show(completed(3_000.0, ended=now - timedelta(minutes=30)))
    found = await figures(side, window_seconds=600)
    assert found.average_duration_seconds == pytest.approx(10.5)
    assert found.p95_duration_seconds == pytest.approx(19.0, rel=0.1)
    assert found.throughput_per_minute * 11 >= 20 >= found.throughput_per_minute * 10
    assert found.window_from.second == 0
    longer = await figures(side, window_seconds=7_200)
    assert longer.average_duration_seconds == pytest.approx((210 + 3_000) / 21)


async def test_a_history_has_a_point_for_each_minute(side: Side) -> None:
    """Minutes in which nothing happened are zeros; the last one is the minute that runs."""
    now = datetime.now(UTC)
    side.show(
        completed(2.0, ended=now.replace(second=30) - timedelta(minutes=3), strategy_id="momentum-rank"),
        completed(4.0, ended=now.replace(second=30) - timedelta(minutes=3), priority=Priority.HIGH),
    )
    found = await points(side, minutes=5)
    assert [point.at - found[0].at for point in found] == [timedelta(minutes=number) for number in range(5)]
    assert now - timedelta(minutes=1) < found[-1].at <= datetime.now(UTC)
    assert [point.completed for point in found if point.at == now.replace(second=0, microsecond=0)] == [0]
    (busy,) = [point for point in found if point.completed]
    assert (busy.submitted, busy.completed, busy.failed, busy.average_duration_seconds) == (2, 2, 0, 3.0)
    assert busy.at == now.replace(second=0, microsecond=0) - timedelta(minutes=3)


async def test_a_history_may_be_that_of_a_strategy_or_a_level(side: Side) -> None:
    """Both at once narrow it to what meets both."""
    ended = datetime.now(UTC) - timedelta(seconds=90)
    side.show(
        completed(2.0, ended=ended, strategy_id="momentum-rank"),
        completed(4.0, ended=ended, strategy_id="momentum-rank", priority=Priority.HIGH),
        completed(8.0, ended=ended, priority=Priority.HIGH),
    )

    async def count(**part: Any) -> int:
        return sum(point.completed for point in await points(side, minutes=5, **part))

    assert await count(strategy_id="momentum-rank") == 2
    assert await count(priority=Priority.HIGH) == 2
    assert await count(strategy_id="momentum-rank", priority=Priority.HIGH) == 1
    assert await count(strategy_id="nobody") == 0


async def test_sums_of_all_time_are_told_of_every_place(side: Side) -> None:
    """By strategy and level; of a level that has had a task, every status."""
    run = completed(3.0, ended=datetime.now(UTC), priority=Priority.HIGH)
    side.show(run, in_phase(Phase.WAITING), in_phase(Phase.FAILED))
    found = await side.client.metric_totals()
    counts = {(row["priority"], row["status"]): row["count"] for row in found["tasks"]}
    assert (counts["high", "completed"], counts["high", "queued"], counts["normal", "queued"]) == (1, 0, 1)
    assert len(counts) == 2 * 7
    sums = {(row["strategy_id"], row["priority"]): row for row in found["sums"]}
    assert {priority: sums[name, priority]["submitted"] for name, priority in sums} == {"high": 1, "normal": 2}
    assert {priority: sums[name, priority]["failed"] for name, priority in sums} == {"high": 0, "normal": 1}
    assert [queue["depth"] for queue in found["queues"]] == [0, 1, 0]


async def test_histograms_count_up_to_each_bound(side: Side) -> None:
    """3 s lies between the bounds of about 2 and 4 s; the last one, which has no bound, has all."""
    side.show(completed(3.0, ended=datetime.now(UTC)), completed(0.5, ended=datetime.now(UTC)))
    found = await side.client.metric_totals()
    (told,) = [h for h in found["histograms"] if (h["figure"], h["priority"]) == ("duration", "normal")]
    assert told["sum_seconds"] == pytest.approx(3.5)
    counts = {bucket["le"]: bucket["count"] for bucket in told["buckets"]}
    assert (counts[0.256], counts[0.512], counts[2.048], counts[4.096], counts[None]) == (0, 1, 1, 2, 2)
    assert list(counts.values()) == sorted(counts.values())


async def test_an_example_of_a_bucket_is_the_trace_of_a_task_in_it(side: Side) -> None:
    """The task's own trace, at its own duration."""
    side.show(completed(3.0, ended=datetime.now(UTC), trace=f"00-{7:032x}-{1:016x}-01"))
    found = await side.client.metric_totals()
    examples = [(b["le"], b["example"]) for h in found["histograms"] for b in h["buckets"] if b["example"]]
    ((bound, example),) = examples
    assert (bound, example["trace_id"], example["seconds"]) == (4.096, f"{7:032x}", pytest.approx(3.0))


async def test_workers_are_those_that_live_now(side: Side) -> None:
    """One that drains finishes its tasks, and counts; one that said goodbye does not."""
    side.show_worker(heartbeat("a@here"))
    side.show_worker(heartbeat("b@here", draining=True))
    side.show_worker(heartbeat("c@here", left=True))
    found = await figures(side)
    assert found.workers == 2
    assert found.worker_states is not None
    assert found.worker_states.model_dump() == {"online": 1, "draining": 1, "unresponsive": 0, "offline": 1}

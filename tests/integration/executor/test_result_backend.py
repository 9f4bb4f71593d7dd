"""What Celery's own result backend says of a run, on a real Redis."""

from collections.abc import Iterator
from time import monotonic
from typing import Any

import msgspec
import pytest
import redis
import sqlalchemy as sa
from celery import Celery
from celery.result import AsyncResult

from services.executor.final_results import FinalResults
from services.executor.progress import INTERVAL, RedisBoard, RunProgress
from shared.domain.execution import WorkflowExecution
from shared.log.event_log import EventLog
from shared.objects.memory import MemoryObjectStore
from shared.result_backend import (
    PROGRESS_CHANNEL,
    WRITE,
    ProgressReport,
    ResultMeta,
    result_key,
    write_arguments,
    write_keys,
)
from shared.settings import sqlalchemy_url
from shared.workflow.context import Position, Progress
from tests.builders import complete_all, complete_next, failure, running, stamp
from tests.unit.executor.bench import Clock
from tests.waiting import until


class Backend:
    """A Redis as Celery sees it."""

    def __init__(self, url: str) -> None:
        self.client = redis.Redis.from_url(url)
        self._app = Celery(broker=url, backend=url)

    def result(self, execution: WorkflowExecution) -> AsyncResult[Any]:
        """Return Celery's own view of a run."""
        return AsyncResult(str(execution.id), app=self._app)

    def state(self, execution: WorkflowExecution) -> str:
        """Return Celery's word for the state of a run."""
        return self.result(execution).state


@pytest.fixture
def backend(redis_url: str) -> Backend:
    """An empty backend."""
    return Backend(redis_url)


@pytest.fixture
def log(migrated_database_url: str) -> Iterator[EventLog]:
    """An empty event log."""
    with EventLog(migrated_database_url) as log:
        yield log


@pytest.fixture
def results(log: EventLog, migrated_database_url: str, backend: Backend) -> Iterator[FinalResults]:
    """The follower under test, with a clock at the time of the events."""
    engine = sa.create_engine(sqlalchemy_url(migrated_database_url))
    clock = Clock()
    clock.forward(seconds=10)
    yield FinalResults(log, engine, backend.client, MemoryObjectStore(), now=clock)
    engine.dispose()


def follow(results: FinalResults, log: EventLog) -> None:
    """Take in all that the log holds."""
    results.process(log.read(results.start(), topics=results.topics))


def test_a_success_is_the_result_with_its_time_to_live(results: FinalResults, log: EventLog, backend: Backend) -> None:
    """AsyncResult answers SUCCESS and the result object; the key lives as long as the submission says."""
    execution = running(result_ttl_seconds=100.0)
    complete_all(execution, stamp(10))
    log.save_execution(execution)
    follow(results, log)

    result = backend.result(execution)
    assert result.state == "SUCCESS"
    assert result.get(timeout=5)["decisions"] == []
    assert 95 <= backend.client.ttl(result_key(str(execution.id))) <= 100


def test_a_result_whose_time_is_over_is_not_written(results: FinalResults, log: EventLog, backend: Backend) -> None:
    """What is left of the time to live counts, not the whole of it."""
    execution = running(result_ttl_seconds=1.0)
    complete_all(execution, stamp(2))
    log.save_execution(execution)
    follow(results, log)

    assert not backend.client.exists(result_key(str(execution.id)))


def test_a_failure_raises_what_went_wrong(results: FinalResults, log: EventLog, backend: Backend) -> None:
    """AsyncResult answers FAILURE, its traceback, and `get` raises an exception of that name."""
    execution = running()
    execution.fail(stamp(2), attempt=1, failure=failure(type="ValueError", message="bad price", traceback="at line 3"))
    log.save_execution(execution)
    follow(results, log)

    result = backend.result(execution)
    assert backend.state(execution) == "FAILURE"
    assert str(result.traceback) == "at line 3"
    with pytest.raises(Exception, match="bad price") as raised:
        result.get(timeout=5)
    assert type(raised.value).__name__ == "ValueError"


def test_a_cancelled_run_is_revoked(results: FinalResults, log: EventLog, backend: Backend) -> None:
    """AsyncResult answers REVOKED."""
    execution = running()
    execution.request_cancel(stamp(2), reason="wrong day")
    execution.end_cancelled(stamp(3), attempt=1)
    log.save_execution(execution)
    follow(results, log)

    assert backend.state(execution) == "REVOKED"


def test_events_that_come_twice_change_nothing(results: FinalResults, log: EventLog, backend: Backend) -> None:
    """A batch after a lost position is written again, and the end is the same."""
    execution = running()
    complete_all(execution, stamp(10))
    log.save_execution(execution)
    batch = log.read(0, topics=results.topics)
    results.process(batch)
    before = backend.client.get(result_key(str(execution.id)))
    results.process(batch)

    assert backend.client.get(result_key(str(execution.id))) == before


def test_progress_of_a_late_worker_never_overwrites_its_successor(backend: Backend) -> None:
    """A write is newer by (attempt, sequence), or it does not happen."""
    write = backend.client.register_script(WRITE)

    def put(attempt: int, sequence: int) -> int:
        meta = ResultMeta(task_id="t", status="STARTED", result=None, attempt=attempt, sequence=sequence)  # type: ignore[arg-type]
        written: int = write(keys=write_keys(meta), args=write_arguments(meta, ttl_seconds=60))
        return written

    assert put(1, 5) == 1
    assert put(1, 4) == 0
    assert put(2, 1) == 1
    assert put(1, 99) == 0


def test_who_listens_is_told_of_steps_four_times_a_second_at_most(backend: Backend) -> None:
    """However often a step speaks; the last word is told in the end, and a boundary is not: the log tells it."""
    execution = running()
    progress, said = RunProgress(RedisBoard(backend.client)), 0
    with backend.client.pubsub(ignore_subscribe_messages=True) as channel:  # type: ignore[no-untyped-call]
        channel.subscribe(PROGRESS_CHANNEL)
        until(lambda: backend.client.pubsub_numsub(PROGRESS_CHANNEL)[0][1])
        progress.at_boundary(execution)
        began = monotonic()
        while monotonic() - began < 4 * INTERVAL.total_seconds():
            said += 1
            progress.within_step(Position("load", None), Progress(said, 10**9, ""))
        reports: list[ProgressReport] = []

        def last_is_told() -> bool:
            if message := channel.get_message():
                reports.append(msgspec.json.decode(message["data"], type=ProgressReport))
            return bool(reports) and reports[-1].progress["step_progress"]["done"] == said

        until(last_is_told)
    assert len(reports) <= (monotonic() - began) / INTERVAL.total_seconds() + 1
    assert {(report.task_id, report.attempt) for report in reports} == {(execution.id, 1)}
    assert [report.at for report in reports] == sorted(report.at for report in reports)


def test_progress_is_what_async_result_says_of_a_running_task(backend: Backend) -> None:
    """State STARTED, and the progress of SPEC R4.2 in `info`; the latest report is always written in the end."""
    execution = running(symbols=("AAPL", "MSFT", "IBM"))
    progress = RunProgress(RedisBoard(backend.client))
    progress.at_boundary(execution)
    complete_next(execution, stamp(2))
    complete_next(execution, stamp(3))
    progress.at_boundary(execution)
    for done in range(1, 101):
        progress.within_step(Position("analyse", "MSFT"), Progress(done, 100, "bars"))

    result = backend.result(execution)
    until(lambda: (result.info or {}).get("step_progress") == {"done": 100, "total": 100, "message": "bars"})
    assert result.state == "STARTED"
    assert result.info["current_step"] == "analyse"
    assert (result.info["current_symbol"], result.info["completed_symbols"]) == ("MSFT", ["AAPL"])
    assert (result.info["total_steps"], result.info["total_symbols"]) == (3, 3)

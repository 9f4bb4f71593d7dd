"""Metrics are a count over the log up to the position that they name, whatever happens to the projector."""

from __future__ import annotations

import random
import signal
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from services.status.metrics import Part, figures, history
from services.status.projector import TOPICS
from services.status.resources import Tables
from services.status.settings import StatusSettings
from shared.domain.execution import WorkflowExecution, fold
from shared.domain.phases import Status
from shared.domain.priority import Priority
from shared.domain.views import TaskView, task_view
from shared.log.event_log import EventLog
from shared.log.runs import Recorded, run_of
from tests.builders import NOW
from tests.histories import ACTIONS, write_history
from tests.integration.status.test_processes import process
from tests.waiting import until

WORDS = {"active": Status.RUNNING} | {str(each): each for each in Status if each is not Status.RUNNING}
LATER = NOW + timedelta(minutes=30)
"""When the histories, which begin at `NOW`, are looked at."""


def views_at(events: list[Recorded], position: int) -> list[TaskView]:
    """All tasks as a fold over the log has them at a position."""
    runs: dict[Any, WorkflowExecution] = {}
    for recorded in events:
        if recorded.position <= position:
            run = fold(runs.get(run_of(recorded.event)), [recorded.event])
            assert run is not None
            runs[run.id] = run
    return [task_view(run) for run in runs.values()]


def counted(views: list[TaskView]) -> dict[str, Any]:
    """The figures that a count over tasks gives."""
    waiting = [view.priority for view in views if view.waiting_since is not None]
    return {
        "tasks": {word: sum(view.status is status for view in views) for word, status in WORDS.items()},
        "queue_length": {level: waiting.count(level) for level in Priority},
    }


def write_some(log: EventLog, chance: random.Random, moves: int) -> None:
    """Append a history of four more runs."""
    write_history(log, [(chance.randrange(4), chance.choice(ACTIONS)) for _ in range(moves)], topics=TOPICS)


def write_until(enough: threading.Event, log: EventLog) -> None:
    """Append histories, one after the other."""
    chance = random.Random(7)
    while not enough.wait(0.03):
        write_some(log, chance, 40)


async def test_every_answer_is_a_count_over_the_log_up_to_its_position(
    settings: StatusSettings, log: EventLog, api: httpx.AsyncClient
) -> None:
    """Asked while others append, the projector works, is killed in the middle of it, and another one takes over."""
    enough = threading.Event()
    writer = threading.Thread(target=write_until, args=(enough, log))
    writer.start()
    answers: list[dict[str, Any]] = []
    for _ in range(3):
        with process("services.status.projector", settings) as projector:
            seen = len(answers)
            while len({answer["as_of_position"] for answer in answers[seen:]}) < 4:
                answers.append((await api.get("/metrics")).raise_for_status().json())
            projector.send_signal(signal.SIGKILL)
    enough.set()
    writer.join()
    with process("services.status.projector", settings):
        until(lambda: _at(settings, log.head()))
        answers.append((await api.get("/metrics")).raise_for_status().json())
    events = log.read(0, limit=100_000, topics=TOPICS)
    assert len({answer["as_of_position"] for answer in answers}) > 5
    for answer in {answer["as_of_position"]: answer for answer in answers}.values():
        expected = counted(views_at(events, answer["as_of_position"]))
        assert {name: answer[name] for name in expected} == expected


def _at(settings: StatusSettings, position: int) -> bool:
    engine = sa.create_engine(settings.sqlalchemy_url)
    try:
        with engine.connect() as connection:
            found = connection.scalar(
                sa.text("SELECT position FROM status.positions WHERE follower = 'status.projector'")
            )
        return bool(found == position)
    finally:
        engine.dispose()


async def test_times_and_minutes_are_those_of_the_events(
    log: EventLog, engine: sa.Engine, project: Callable[[], None]
) -> None:
    """Averages are exact and percentiles within 10 %; the points of a history sum up to what the log has."""
    steady = ("claim", "complete", "complete", "complete", "complete", "succeed", "retry", "due")
    for number in range(30):
        chance = random.Random(number)
        write_history(log, [(chance.randrange(4), chance.choice(steady)) for _ in range(150)], topics=TOPICS)
    project()
    tables = Tables(engine)
    events = log.read(0, limit=100_000, topics=TOPICS)
    views = views_at(events, log.head())
    durations = sorted(view.duration_seconds or 0.0 for view in views if view.status is Status.COMPLETED)
    assert len(durations) > 50
    found = await tables.ask_at_once(figures, timedelta(hours=1), LATER)
    assert found["average_duration_seconds"] == pytest.approx(sum(durations) / len(durations))
    assert found["p95_duration_seconds"] == pytest.approx(durations[-(-95 * len(durations) // 100) - 1], rel=0.1)
    assert found["throughput_per_minute"] == pytest.approx(len(durations) / 60)
    points = (await tables.ask_at_once(history, 61, Part(), LATER))["points"]
    topics = [recorded.event.TOPIC for recorded in events]
    assert {name: sum(point[name] for point in points) for name in ("submitted", "started", "retried")} == {
        "submitted": topics.count("execution.submitted"),
        "started": topics.count("execution.attempt_started"),
        "retried": topics.count("execution.retry_scheduled"),
    }
    assert len({point["at"] for point in points}) == 61


async def test_all_statements_see_the_tables_of_one_moment(engine: sa.Engine) -> None:
    """What is committed between two of them is not in the second."""

    def twice(connection: sa.Connection) -> tuple[Any, Any]:
        count = sa.text("SELECT count(*) FROM status.metric_tasks")
        first = connection.scalar(count)
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as other:
            other.execute(sa.text("INSERT INTO status.metric_tasks VALUES ('low', 'queued', 1)"))
        return first, connection.scalar(count)

    assert await Tables(engine).ask_at_once(twice) == (0, 0)
    assert (
        await Tables(engine).ask(
            lambda connection: connection.scalar(sa.text("SELECT count(*) FROM status.metric_tasks"))
        )
        == 1
    )


@pytest.mark.parametrize(
    "query", ["window_seconds=59", "window_seconds=86401", "window_seconds=x", "minutes=5", "window=60"]
)
async def test_what_is_not_a_window_is_refused(api: httpx.AsyncClient, query: str) -> None:
    """With the field that is wrong."""
    assert (await api.get(f"/metrics?{query}")).status_code == 422


@pytest.mark.parametrize("query", ["minutes=0", "minutes=1441", "priority=urgent", "strategy_id=", "strategy_id=a%00"])
async def test_what_is_not_a_history_is_refused(api: httpx.AsyncClient, query: str) -> None:
    """With the field that is wrong."""
    assert (await api.get(f"/metrics/history?{query}")).status_code == 422

"""Schedules and their histories by the query API: what a task tells of its schedule, what is refused, what it costs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
import sqlalchemy as sa

from services.status import queries, schedule_queries
from services.status.cursors import TimeCursor
from services.status.filters import ScheduleFilter
from shared.domain.events import Stamp
from shared.domain.execution import WorkflowExecution
from shared.domain.overlap import Hold
from shared.domain.priority import Priority
from shared.domain.views import task_view
from shared.log.event_log import EventLog
from tests.builders import NOW, running, stamp, submitted
from tests.projection_check import differences
from tests.schedule_builders import fire, schedule, scheduled_run

Project = Callable[[], None]


def save(log: EventLog, project: Project, *runs: WorkflowExecution) -> None:
    """Let the log and the tables know runs, after all else that the log holds by then."""
    for run in runs:
        log.save_execution(run)
    project()


async def task(api: httpx.AsyncClient, task_id: UUID) -> Any:
    """A task as it is answered."""
    return (await api.get(f"/tasks/{task_id}")).raise_for_status().json()


async def test_a_task_tells_of_its_schedule_and_for_which_time_it_was_fired(
    api: httpx.AsyncClient, log: EventLog, project: Project
) -> None:
    """One that somebody submitted has neither."""
    known = schedule()
    scheduled = scheduled_run(known, fire(known, stamp(1)), stamp(1))
    log.append(known.collect_events())
    own = submitted()
    save(log, project, scheduled, own)
    fields = ("schedule_id", "scheduled_at", "held")
    assert [(await task(api, scheduled.id))[name] for name in fields] == [
        str(known.id),
        "2026-03-02T14:30:01Z",
        False,
    ]
    assert [(await task(api, own.id))[name] for name in fields] == [None, None, False]


async def test_a_held_task_tells_which_runs_it_waits_for(
    api: httpx.AsyncClient, log: EventLog, project: Project
) -> None:
    """Until it is let go; then it waits for a worker like any other."""
    known = schedule()
    first = scheduled_run(known, fire(known, stamp(1)), stamp(1))
    second = scheduled_run(known, fire(known, stamp(2), verdict=Hold()), stamp(2), held=True)
    third = scheduled_run(known, fire(known, stamp(3), verdict=Hold()), stamp(3), held=True)
    log.append(known.collect_events())
    save(log, project, first, second, third)
    told = await task(api, second.id)
    assert (told["held"], told["state"], told["status"]) == (True, "PENDING", "queued")
    assert told["reason"] == f"its schedule holds it until the run before it, task {first.id}, has ended"
    assert (await task(api, third.id))["reason"] == (
        f"its schedule holds it until the 2 runs before it have ended, first task {first.id}"
    )
    known.release(stamp(4), second.id, ended=(first.id,))
    second.release(stamp(4))
    log.append(known.collect_events())
    save(log, project, second)
    told = await task(api, second.id)
    assert told["held"] is False
    assert "holds" not in told["reason"]
    assert (await task(api, third.id))["reason"].endswith(f"before it, task {second.id}, has ended")


@pytest.mark.parametrize("schedule_id", [None, "s-1", str(uuid4())])
async def test_a_held_task_whose_schedule_is_not_known_says_so_much(
    api: httpx.AsyncClient, log: EventLog, project: Project, schedule_id: str | None
) -> None:
    """Its schedule is not projected, or its id is none: the sentence goes without the id of the other run."""
    run = submitted(held=True, schedule_id=schedule_id)
    save(log, project, run)
    assert (await task(api, run.id))["reason"] == "its schedule holds it until the run before it has ended"
    (listed,) = (await api.get("/tasks")).json()["items"]
    assert listed["reason"] == "its schedule holds it until the run before it has ended"


async def test_held_tasks_are_before_nobody(
    api: httpx.AsyncClient, log: EventLog, project: Project, engine: sa.Engine
) -> None:
    """They wait for no worker: those that do are counted without them, whatever their level."""
    waits = submitted(at=stamp(9))
    save(
        log,
        project,
        submitted(at=stamp(0)),
        submitted(at=stamp(1), held=True),
        submitted(at=stamp(2), held=True, priority=Priority.HIGH),
        waits,
    )
    with engine.connect() as connection:
        ahead = queries.ahead(connection, task_view(waits))
    assert ahead == [(Priority.HIGH, 0), (Priority.NORMAL, 1)]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=501", "limit"),
        ("enabled=perhaps", "enabled"),
        ("strategy_id=", "strategy_id"),
        ("user_id=a%00b", "user_id"),
        ("cursor=x", "cursor"),
        ("cursor=MjAyNi0wMy0wMixh", "cursor"),
        ("name=a", "name"),
    ],
)
async def test_a_list_that_cannot_be_asked_for_is_refused(api: httpx.AsyncClient, query: str, field: str) -> None:
    """With the field that is wrong."""
    response = await api.get(f"/schedules?{query}")
    assert response.status_code == 422
    assert [error["field"] for error in response.json()["errors"]] == [field]


@pytest.mark.parametrize("query", ["limit=0", "cursor=x", "cursor=-1", "type=fired"])
async def test_a_history_that_cannot_be_asked_for_is_refused(api: httpx.AsyncClient, query: str) -> None:
    """With the field that is wrong, whether the schedule is known or not."""
    response = await api.get(f"/schedules/{uuid4()}/history?{query}")
    assert response.status_code == 422
    assert [error["field"] for error in response.json()["errors"]] == [query.partition("=")[0]]


async def test_a_schedule_is_no_task_and_a_task_no_schedule(
    api: httpx.AsyncClient, log: EventLog, project: Project
) -> None:
    """Each has its own addresses, although the log holds both."""
    known, run = schedule(), running()
    log.append(known.collect_events())
    save(log, project, run)
    for rest in ("", "/steps", "/events"):
        response = await api.get(f"/tasks/{known.id}{rest}")
        assert (response.status_code, response.json()["code"]) == (404, "task_not_found")
    response = await api.get(f"/schedules/{run.id}/history")
    assert (response.status_code, response.json()["code"]) == (404, "schedule_not_found")
    assert response.headers["content-type"] == "application/problem+json"
    assert "GET /api/schedules" in response.json()["detail"]


async def test_pages_stay_whole_while_newer_schedules_come(
    api: httpx.AsyncClient, log: EventLog, project: Project
) -> None:
    """Seven schedules, five of one moment, by pages of two: each once, none of the newer ones."""
    known = [schedule(at=stamp(second)) for second in (0, 5, 5, 5, 5, 5, 9)]
    log.append([event for each in known for event in each.collect_events()])
    project()
    seen: list[str] = []
    query: dict[str, Any] = {"limit": 2}
    while True:
        page = (await api.get("/schedules", params=query)).json()
        seen += [item["id"] for item in page["items"]]
        if page["next_cursor"] is None:
            break
        query["cursor"] = page["next_cursor"]
        log.append(schedule(at=stamp(99)).collect_events())
        project()
    assert len(seen) == len(known)
    assert set(seen) == {str(each.id) for each in known}


async def test_a_history_stays_whole_while_the_schedule_fires_on(
    api: httpx.AsyncClient, log: EventLog, project: Project, migrated_database_url: str
) -> None:
    """By pages of two, from the newest event there was down to the creation."""
    known = schedule()
    for second in range(1, 5):
        fire(known, stamp(second))
    log.append(known.collect_events())
    project()
    seen: list[str] = []
    query: dict[str, Any] = {"limit": 2}
    for second in range(10, 20):
        page = (await api.get(f"/schedules/{known.id}/history", params=query)).json()
        seen += [row["at"] for row in page["items"]]
        if page["next_cursor"] is None:
            break
        query["cursor"] = page["next_cursor"]
        fire(known, stamp(second))
        log.append(known.collect_events())
        project()
    assert seen == [f"2026-03-02T14:30:0{second}Z" for second in (4, 3, 2, 1, 0)]
    assert differences(migrated_database_url) == []


async def test_events_of_schedules_count_in_the_lag(api: httpx.AsyncClient, log: EventLog, project: Project) -> None:
    """Until they are projected."""
    now = Stamp(at=datetime.now(UTC), actor="user:ada")
    known = schedule(at=now)
    fire(known, now)
    log.append(known.collect_events())
    lag = (await api.get("/health/ready")).json()["parts"]["projector"]["lag_events"]
    project()
    after = (await api.get("/health/ready")).json()["parts"]["projector"]["lag_events"]
    assert (lag, after) == (2, 0)


def test_no_question_reads_a_whole_table(log: EventLog, project: Project, engine: sa.Engine) -> None:
    """With 5,000 schedules, most of them deleted, 5,000 runs and 50,000 events, each has an index."""
    known, waits = schedule(), submitted()
    log.append(known.collect_events())
    save(log, project, waits)
    copies = """
        INSERT INTO status.workflow_executions SELECT (jsonb_populate_record(w, jsonb_build_object(
            'task_id', gen_random_uuid(), 'status', CASE WHEN n % 100 = 0 THEN 'queued' ELSE 'completed' END))).*
        FROM status.workflow_executions w, generate_series(1, 5000) n;
        INSERT INTO status.schedules SELECT (jsonb_populate_record(s, jsonb_build_object(
            'schedule_id', gen_random_uuid(), 'created_at', s.created_at + n * interval '1 second',
            'deleted', n % 5 > 0, 'user_id', 'u' || n % 500, 'strategy_id', 's' || n % 500))).*
        FROM status.schedules s, generate_series(1, 5000) n;
        INSERT INTO status.schedule_history (schedule_id, position, at, type, actor)
        SELECT s.schedule_id, 1000 + n, s.created_at, 'fired', 'scheduler.beat' FROM generate_series(1, 10) n,
        status.schedules s
    """
    with engine.begin() as connection:
        connection.execute(sa.text(copies))
    with engine.connect() as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT").execute(
            sa.text("VACUUM ANALYZE status.workflow_executions, status.schedules, status.schedule_history")
        )
        after = TimeCursor(NOW, known.id)
        with explained(connection) as plans:
            for wanted in (ScheduleFilter(), ScheduleFilter(user_id="u7"), ScheduleFilter(strategy_id="s7")):
                schedule_queries.schedules(connection, wanted, None)
                schedule_queries.schedules(connection, wanted, after)
            schedule_queries.schedule(connection, known.id)
            schedule_queries.history(connection, known.id, before=10_000, limit=51)
            queries.ahead(connection, task_view(waits))
    assert len(plans) == 9
    assert [plan for plan in plans if "Seq Scan" in plan] == []
    assert plans[-1].count("Index Only Scan using workflow_executions_queue") == 2


@contextmanager
def explained(connection: sa.Connection) -> Iterator[list[str]]:
    """How PostgreSQL answers each question that is put to it until the context ends; filled then."""
    asked: list[tuple[str, Any]] = []
    plans: list[str] = []

    def note(_: object, __: object, statement: str, parameters: Any, *___: object) -> None:
        asked.append((statement, parameters))

    sa.event.listen(connection, "before_cursor_execute", note)
    yield plans
    sa.event.remove(connection, "before_cursor_execute", note)
    for statement, parameters in asked:
        plans.append("\n".join(connection.exec_driver_sql(f"EXPLAIN {statement}", parameters).scalars()))

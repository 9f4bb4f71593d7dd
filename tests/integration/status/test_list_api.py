"""Lists of tasks by the query API: filters, pages and what is refused."""

from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import httpx
import pytest
import sqlalchemy as sa

from shared.domain.execution import WorkflowExecution
from shared.domain.phases import CeleryState, Phase
from shared.domain.priority import Priority
from shared.log.event_log import EventLog
from tests.builders import NOW, in_phase, stamp, submitted

Project = Callable[[], None]


async def ids(api: httpx.AsyncClient, **query: Any) -> list[str]:
    """The ids that a list answers."""
    response = await api.get("/tasks", params=query)
    assert response.status_code == 200, response.text
    return [item["task_id"] for item in response.json()["items"]]


def save(log: EventLog, **runs: WorkflowExecution) -> dict[str, str]:
    """Append the runs, and return their ids by name."""
    for run in runs.values():
        log.save_execution(run)
    return {name: str(run.id) for name, run in runs.items()}


@pytest.mark.parametrize("state", CeleryState)
async def test_a_state_finds_the_tasks_in_it(
    api: httpx.AsyncClient, log: EventLog, project: Project, state: CeleryState
) -> None:
    """Of one task in each phase, those come back whose own document shows the state; status finds the same."""
    save(log, **{phase.name: in_phase(phase) for phase in Phase})
    project()
    everything = (await api.get("/tasks")).json()["items"]
    assert len(everything) == len(Phase)
    wanted = [item for item in everything if item["state"] == state]
    assert wanted
    assert await ids(api, state=state) == [item["task_id"] for item in wanted]
    by_status = {task_id for item in wanted for task_id in await ids(api, status=item["status"])}
    assert by_status == {item["task_id"] for item in wanted}


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({}, ["c", "b", "a"]),
        ({"strategy_id": "rsi-reversion"}, ["b"]),
        ({"symbol": "IBM"}, ["c", "b"]),
        ({"symbol": "IB"}, []),
        ({"user_id": "bob"}, ["c"]),
        ({"priority": "high"}, ["b"]),
        ({"schedule_id": "s-1"}, ["c"]),
        ({"label": "desk:eu"}, ["c", "a"]),
        ({"label": ["desk:eu", "run:7"]}, ["c"]),
        ({"label": ["desk:eu", "desk:us"]}, []),
        ({"label": "url:http://x:1"}, ["b"]),
        ({"since": "2026-03-02T14:30:01Z"}, ["c", "b"]),
        ({"until": "2026-03-02T14:30:01Z"}, ["a"]),
        ({"since": "2026-03-02T15:30:01+01:00", "until": "2026-03-02T14:30:02Z"}, ["b"]),
        ({"symbol": "IBM", "user_id": "ada"}, ["b"]),
    ],
)
async def test_filters_narrow_the_list(
    api: httpx.AsyncClient, log: EventLog, project: Project, query: dict[str, Any], found: list[str]
) -> None:
    """Each filter by itself and several together, newest first."""
    names = save(
        log,
        a=submitted(at=stamp(0)),
        b=submitted(
            at=stamp(1),
            symbols=("IBM",),
            strategy_id="rsi-reversion",
            priority=Priority.HIGH,
            labels={"url": "http://x:1"},
        ),
        c=submitted(
            at=stamp(2), symbols=("GOOG", "IBM"), user_id="bob", schedule_id="s-1", labels={"desk": "eu", "run": "7"}
        ),
    )
    project()
    assert await ids(api, **query) == [names[name] for name in found]


async def test_pages_give_each_task_once_also_when_many_came_at_once(
    api: httpx.AsyncClient, log: EventLog, project: Project
) -> None:
    """Seven tasks, five of one moment, by pages of two, while newer ones come in between."""
    runs = [submitted(at=stamp(second)) for second in (0, 5, 5, 5, 5, 5, 9)]
    for run in runs:
        log.save_execution(run)
    project()
    seen: list[str] = []
    query: dict[str, Any] = {"limit": 2}
    while True:
        page = (await api.get("/tasks", params=query)).json()
        seen += [item["task_id"] for item in page["items"]]
        if page["next_cursor"] is None:
            break
        query["cursor"] = page["next_cursor"]
        log.save_execution(submitted(at=stamp(99)))
        project()
    assert len(seen) == len(runs)
    assert set(seen) == {str(run.id) for run in runs}
    assert (seen[0], seen[-1]) == (str(runs[-1].id), str(runs[0].id))


def cursor(text: str) -> str:
    """A cursor that looks like one and holds `text`."""
    return base64.urlsafe_b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=501", "limit"),
        ("limit=x", "limit"),
        ("state=RUNNING", "state"),
        ("status=STARTED", "status"),
        ("priority=urgent", "priority"),
        ("label=desk", "label.0"),
        ("label=:eu", "label.0"),
        ("label=a:%00", "label.0"),
        ("user_id=a%00b", "user_id"),
        ("symbol=", "symbol"),
        ("since=yesterday", "since"),
        ("since=2026-03-02T14:30:00", "since"),
        ("colour=red", "colour"),
        ("cursor=nonsense", "cursor"),
        ("cursor=%C3%A9", "cursor"),
        (f"cursor={cursor('1,2')}", "cursor"),
        (f"cursor={cursor(f'2026-03-02T14:30:00,{uuid4()}')}", "cursor"),
    ],
)
async def test_what_is_wrong_is_refused_by_field(api: httpx.AsyncClient, query: str, field: str) -> None:
    """A problem document with the field's name, not an empty list and not a fault."""
    response = await api.get(f"/tasks?{query}")
    assert response.status_code == 422, response.text
    document = response.json()
    assert document["code"] == "invalid_request"
    assert [error["field"] for error in document["errors"]] == [field]


@pytest.mark.parametrize("rest", ["steps", "events"])
@pytest.mark.parametrize("bad", ["-1", "x", "1.5", "9" * 19, "9" * 100, "²"])
async def test_a_cursor_that_does_not_count_is_refused(api: httpx.AsyncClient, rest: str, bad: str) -> None:
    """Steps count by index and events by version; neither goes beyond what the database can hold."""
    response = await api.get(f"/tasks/{uuid4()}/{rest}?cursor={quote(bad)}")
    assert response.status_code == 422, response.text
    assert response.json()["errors"][0]["field"] == "cursor"


async def test_lists_use_an_index_whatever_they_are_narrowed_by(
    log: EventLog, project: Project, engine: sa.Engine
) -> None:
    """With 5,000 rows, no plan reads the whole table, nor does that of the queue's count."""
    log.save_execution(submitted())
    project()
    copies = """
        INSERT INTO status.workflow_executions
        SELECT (jsonb_populate_record(w, jsonb_build_object(
            'task_id', gen_random_uuid(), 'submitted_at', w.submitted_at + n * interval '1 second',
            'user_id', 'u' || n % 500, 'strategy_id', 's' || n % 500, 'schedule_id', 'c' || n % 500,
            'status', CASE WHEN n % 500 = 0 THEN 'queued' ELSE 'completed' END,
            'labels', jsonb_build_object('run', n::text), 'symbols', jsonb_build_array('S' || n % 2000)))).*
        FROM status.workflow_executions w, generate_series(1, 5000) n
    """
    with engine.begin() as connection:
        connection.execute(sa.text(copies))
    with engine.connect() as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT").execute(
            sa.text("VACUUM ANALYZE status.workflow_executions")
        )
        for condition in (
            "true",
            "user_id = 'u7'",
            "strategy_id = 's7'",
            "schedule_id = 'c7'",
            "status = 'queued'",
            "symbols @> '{S7}'",
            """labels @> '{"run": "7"}'""",
            f"submitted_at >= '{NOW + timedelta(seconds=100)}'",
            f"(submitted_at, task_id) < ('{NOW + timedelta(seconds=100)}', '{uuid4()}')",
            "status = 'queued' AND NOT held AND priority = 'high'",
        ):
            statement = f"EXPLAIN SELECT * FROM status.workflow_executions WHERE {condition}"
            plan = connection.scalars(sa.text(f"{statement} ORDER BY submitted_at DESC, task_id DESC LIMIT 50")).all()
            assert not any("Seq Scan" in line for line in plan), (condition, plan)


def test_times_are_aware(log: EventLog, project: Project, engine: sa.Engine) -> None:
    """A time read from the tables is UTC, whatever the server's zone."""
    log.save_execution(submitted())
    project()
    with engine.connect() as connection:
        at = connection.scalar(sa.text("SELECT submitted_at FROM status.workflow_executions"))
    assert isinstance(at, datetime)
    assert at.utcoffset() == timedelta(0)

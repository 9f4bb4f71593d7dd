"""Whether the status tables are what a fold over the log says, row by row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from services.status.database import create_engine
from services.status.projector import TOPICS
from services.status.rows import order_of, step_of, task_of
from services.status.tables import execution_steps, orders, workflow_executions
from shared.domain.execution import WorkflowExecution, fold
from shared.domain.views import ledger_views, step_views, task_view
from shared.log.event_log import EventLog
from shared.log.runs import Recorded, run_of
from shared.settings import Settings

_PAGE = 5_000


def differences(database_url: str) -> list[str]:
    """A sentence for each row that is missing, too many or different; none when projections and log agree.

    The whole log is folded, so the projector must have taken in all of it, and nobody may append meanwhile.
    """
    log = EventLog(database_url)
    try:
        runs = _folded(log)
    finally:
        log.close()
    tasks, steps, ledger = _stored(database_url)
    expected_tasks = {task_id: (task_view(run), position) for task_id, (run, position) in runs.items()}
    expected_steps = {(task_id, view.index): view for task_id, (run, _) in runs.items() for view in step_views(run)}
    expected_ledger = {view.client_order_id: view for run, _ in runs.values() for view in ledger_views(run)}
    return [
        *_compare(workflow_executions.fullname, expected_tasks, tasks),
        *_compare(execution_steps.fullname, expected_steps, steps),
        *_compare(orders.fullname, expected_ledger, ledger),
    ]


def _folded(log: EventLog) -> dict[UUID, tuple[WorkflowExecution, int]]:
    runs: dict[UUID, tuple[WorkflowExecution, int]] = {}
    for recorded in _everything(log):
        task_id = run_of(recorded.event)
        execution = fold(runs[task_id][0] if task_id in runs else None, [recorded.event])
        assert execution is not None
        runs[task_id] = (execution, recorded.position)
    return runs


def _everything(log: EventLog) -> Iterator[Recorded]:
    position = 0
    while page := log.read(position, limit=_PAGE, topics=TOPICS):
        yield from page
        position = page[-1].position


def _stored(database_url: str) -> tuple[dict[Any, Any], dict[Any, Any], dict[Any, Any]]:
    engine = create_engine(Settings(database_url=database_url).sqlalchemy_url)
    try:
        with engine.connect() as connection:
            tasks = connection.execute(sa.select(workflow_executions)).mappings().all()
            steps = connection.execute(sa.select(execution_steps)).mappings().all()
            ledger = connection.execute(sa.select(orders)).mappings().all()
    finally:
        engine.dispose()
    return (
        {row["task_id"]: (task_of(row), row["position"]) for row in tasks},
        {(row["task_id"], row["index"]): step_of(row) for row in steps},
        {row["client_order_id"]: order_of(row) for row in ledger},
    )


def _compare(table: str, expected: Mapping[Any, Any], found: Mapping[Any, Any]) -> Iterator[str]:
    for key in expected.keys() - found.keys():
        yield f"{table} has no row {key}"
    for key in found.keys() - expected.keys():
        yield f"{table} has a row {key} that the log does not know"
    for key in expected.keys() & found.keys():
        if expected[key] != found[key]:
            yield f"{table} {key} is {found[key]!r}, and by the log {expected[key]!r}"

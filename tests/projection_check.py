"""Whether the status tables are what a fold over the log says, row by row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from services.status.alert_projection import alert_of, evolved
from services.status.database import create_engine
from services.status.projector import TOPICS
from services.status.queue_projection import queue_row
from services.status.rebuild import tables
from services.status.retention_projection import cleanup_row
from services.status.rows import order_of, step_of, task_of
from services.status.schedule_rows import history_row, schedule_row
from services.status.tables import (
    alerts,
    cleanups,
    execution_steps,
    metric_buckets,
    metric_minutes,
    metric_tasks,
    notification_preferences,
    orders,
    queues,
    schedule_history,
    schedules,
    webhooks,
    workflow_executions,
)
from services.status.webhook_projection import preferences_row, webhook_row
from shared.domain.alert import Alert
from shared.domain.alert_events import AlertEvent
from shared.domain.execution import WorkflowExecution, fold
from shared.domain.retention_events import CleanupFinished, ExecutionsExpired
from shared.domain.schedule import Schedule
from shared.domain.schedule import fold as fold_schedule
from shared.domain.schedule_events import ScheduleEvent
from shared.domain.views import ledger_views, step_views, task_view
from shared.domain.webhook_events import WebhookEvent
from shared.log.archives import OpenStore
from shared.log.event_log import EventLog
from shared.log.runs import Recorded, run_of
from shared.settings import Settings
from tests.metric_fold import NUMBERS, MetricFold, task_rows

_PAGE = 5_000


def differences(database_url: str, open_store: OpenStore | None = None) -> list[str]:
    """A sentence for each row that is missing, too many or different; none when projections and log agree.

    The whole log is folded, archives too, so the projector must have taken in all of it; nobody may append meanwhile.
    """
    log = EventLog(database_url, open_store=open_store)
    try:
        expected = _Folded(log)
    finally:
        log.close()
    found = _stored(database_url)
    runs = expected.runs
    return [
        *_compare(
            workflow_executions,
            {task_id: (task_view(run), position) for task_id, (run, position) in runs.items()},
            {row["task_id"]: (task_of(row), row["position"]) for row in found[workflow_executions]},
        ),
        *_compare(
            execution_steps,
            {(task_id, view.index): view for task_id, (run, _) in runs.items() for view in step_views(run)},
            {(row["task_id"], row["index"]): step_of(row) for row in found[execution_steps]},
        ),
        *_compare(
            orders,
            {view.client_order_id: view for run, _ in runs.values() for view in ledger_views(run)},
            {row["client_order_id"]: order_of(row) for row in found[orders]},
        ),
        *_compare(
            schedules,
            {each.id: schedule_row(each.state, position) for each, position in expected.schedules.values()},
            {row["schedule_id"]: dict(row) for row in found[schedules]},
        ),
        *_compare(
            schedule_history,
            {row["position"]: row for row in expected.history},
            {row["position"]: dict(row) for row in found[schedule_history]},
        ),
        *_compare(
            metric_tasks,
            task_rows({task_id: run for task_id, (run, _) in expected.all_runs.items()}),
            {(row["priority"], row["status"]): row["count"] for row in found[metric_tasks]},
        ),
        *_compare(
            metric_minutes,
            expected.metrics.minute_rows(),
            {_place(row): tuple(row[name] for name in NUMBERS) for row in found[metric_minutes]},
        ),
        *_compare(
            metric_buckets,
            expected.metrics.buckets,
            {(*_place(row), row["figure"], row["bucket"]): row["count"] for row in found[metric_buckets]},
        ),
        *_compare(alerts, expected.alerts, {row["id"]: alert_of(row) for row in found[alerts]}),
        *_compare(queues, expected.queues, {row["priority"]: dict(row) for row in found[queues]}),
        *_compare(cleanups, expected.cleanups, {row["position"]: dict(row) for row in found[cleanups]}),
        *_compare(
            webhooks,
            {each[0].event.originator_id: webhook_row(None, each) for each in expected.webhooks.values()},
            {row["webhook_id"]: dict(row) for row in found[webhooks]},
        ),
        *_compare(
            notification_preferences,
            expected.preferences,
            {row["user_id"]: dict(row) for row in found[notification_preferences]},
        ),
    ]


class _Folded:
    """The fold over the log: runs and schedules by id, each with the position of its last event, histories, queues,
    clean-ups, webhooks and preferences. Runs whose rows have expired are remembered apart: they are rows again when
    something happens to them."""

    def __init__(self, log: EventLog) -> None:
        self.alerts: dict[UUID, Alert] = {}
        self.runs: dict[UUID, tuple[WorkflowExecution, int]] = {}
        self.schedules: dict[UUID, tuple[Schedule, int]] = {}
        self.history: list[dict[str, Any]] = []
        self.queues: dict[str, dict[str, Any]] = {}
        self.cleanups: dict[int, dict[str, Any]] = {}
        self._expired: dict[UUID, tuple[WorkflowExecution, int]] = {}
        self.metrics = MetricFold()
        self.webhooks: dict[UUID, list[Recorded]] = {}
        self.preferences: dict[str, dict[str, Any]] = {}
        for recorded in _everything(log):
            if isinstance(recorded.event, AlertEvent):
                self.alerts = evolved(self.alerts, [recorded.event])
            elif isinstance(recorded.event, ScheduleEvent):
                self._take_in_schedule(recorded)
            elif (row := queue_row(*recorded)) is not None:
                self.queues[row["priority"]] = row
            elif isinstance(recorded.event, CleanupFinished):
                self.cleanups[recorded.position] = cleanup_row(recorded.position, recorded.event)
            elif isinstance(recorded.event, ExecutionsExpired):
                self._expire(recorded.event)
            elif (row := preferences_row(recorded)) is not None:
                self.preferences[row["user_id"]] = row
            elif isinstance(recorded.event, WebhookEvent):
                self.webhooks.setdefault(recorded.event.originator_id, []).append(recorded)
            else:
                self._take_in_run(recorded)

    @property
    def all_runs(self) -> dict[UUID, tuple[WorkflowExecution, int]]:
        """Those whose rows are gone, too."""
        return self.runs | self._expired

    def _take_in_run(self, recorded: Recorded) -> None:
        task_id = run_of(recorded.event)
        known = self.runs.get(task_id) or self._expired.pop(task_id, None)
        waiting_since = known[0].waiting_since if known else None
        execution = fold(known[0] if known else None, [recorded.event])
        assert execution is not None
        self.metrics.take_in(waiting_since, recorded.event, execution)
        self.runs[task_id] = (execution, recorded.position)

    def _expire(self, event: ExecutionsExpired) -> None:
        self.metrics.forget(event.before)
        for task_id, (run, position) in list(self.runs.items()):
            if run.phase.ended and run.submitted.at < event.before and position <= event.through:
                self._expired[task_id] = self.runs.pop(task_id)

    def _take_in_schedule(self, recorded: Recorded) -> None:
        schedule_id = recorded.event.originator_id
        known = self.schedules[schedule_id][0] if schedule_id in self.schedules else None
        schedule = fold_schedule(known, [recorded.event])
        assert schedule is not None
        self.schedules[schedule_id] = (schedule, recorded.position)
        self.history.append(history_row(recorded))


def _place(row: sa.RowMapping) -> tuple[Any, ...]:
    return row["minute"], row["strategy_id"], row["priority"]


def _everything(log: EventLog) -> Iterator[Recorded]:
    position = 0
    while page := log.read(position, limit=_PAGE, topics=TOPICS):
        yield from page
        position = page[-1].position


def _stored(database_url: str) -> dict[sa.Table, Sequence[sa.RowMapping]]:
    engine = create_engine(Settings(database_url=database_url).sqlalchemy_url)
    try:
        with engine.connect() as connection:
            return {table: connection.execute(sa.select(table)).mappings().all() for table in tables()}
    finally:
        engine.dispose()


def _compare(of: sa.Table, expected: Mapping[Any, Any], found: Mapping[Any, Any]) -> Iterator[str]:
    table = of.fullname
    for key in expected.keys() - found.keys():
        yield f"{table} has no row {key}"
    for key in found.keys() - expected.keys():
        yield f"{table} has a row {key} that the log does not know"
    for key in expected.keys() & found.keys():
        if expected[key] != found[key]:
            yield f"{table} {key} is {found[key]!r}, and by the log {expected[key]!r}"

"""The projector: follows the log and keeps the tables equal to a fold over it.

It remembers what it has seen by its position, committed in one transaction with the rows. What was seen before is
passed over, whether the log repeats it or another replica was faster.
"""

import time
from collections.abc import Sequence
from datetime import timedelta
from functools import partial

import sqlalchemy as sa

from services.status.alert_projection import project as project_alerts
from services.status.database import create_engine
from services.status.folds import CAPACITY, FoldedRun, Folds
from services.status.metric_projection import Tally
from services.status.queue_projection import project as project_queues
from services.status.retention_projection import parts
from services.status.retention_projection import project as project_retention
from services.status.rows import order_row, step_row, task_row
from services.status.schedule_projection import TOPICS as SCHEDULE_TOPICS
from services.status.schedule_projection import project as project_schedules
from services.status.settings import StatusSettings
from services.status.tables import execution_steps, orders, positions, upsert, workflow_executions
from services.status.webhook_projection import TOPICS as WEBHOOK_TOPICS
from services.status.webhook_projection import project as project_webhooks
from shared.domain.alert_events import ALERT_TOPICS
from shared.domain.branch import Branch
from shared.domain.events import EVENTS
from shared.domain.execution import WorkflowExecution
from shared.domain.execution_events import Cancelled, Failed, Succeeded
from shared.domain.queue_events import QUEUE_TOPICS
from shared.domain.retention_events import RETENTION_TOPICS
from shared.domain.schedule_events import ScheduleEvent
from shared.domain.views import task_view
from shared.log.event_log import EventLog
from shared.log.follower import Follower
from shared.log.positions import ASYNCHRONOUS_COMMIT, advance, read_position, unseen
from shared.log.process import run_followers
from shared.log.runs import Recorded
from shared.logging import configure_logging
from shared.objects import open_store
from shared.telemetry import TASK_ID, configure_telemetry, record_span
from shared.telemetry.tracing import Attributes

PROJECTOR = "status.projector"
PACE = timedelta(milliseconds=20)
RUN_TOPICS = tuple(
    topic for topic in EVENTS.topics if topic.startswith((f"{WorkflowExecution.TOPIC}.", f"{Branch.TOPIC}."))
)
"""Every event of a run and of its branches."""
_OF_RUNS = frozenset(RUN_TOPICS)
ENDS = (Succeeded, Failed, Cancelled)
TOPICS = (*RUN_TOPICS, *SCHEDULE_TOPICS, *QUEUE_TOPICS, *RETENTION_TOPICS, *WEBHOOK_TOPICS, *ALERT_TOPICS)
"""All that is projected."""


class Projector:
    """The handler that a `Follower` feeds."""

    name = PROJECTOR
    topics: Sequence[str] = TOPICS

    def __init__(self, log: EventLog, engine: sa.Engine, *, capacity: int = CAPACITY) -> None:
        self._engine = engine
        self._folds = Folds(lambda task_id, until: log.execution(task_id, until=until), capacity=capacity)
        self._position = 0

    def start(self) -> int:
        """Drop what is in memory and return the committed position."""
        self._folds.clear()
        with self._engine.connect() as connection:
            self._position = read_position(connection, positions, self.name)
        return self._position

    def process(self, batch: Sequence[Recorded]) -> None:
        """Fold a batch and write what it changed; raises AlreadyProcessed when another replica wrote as well."""
        for part in parts(unseen(batch, self._position)):
            self._process(part)

    def _process(self, new: Sequence[Recorded]) -> None:
        began_at = time.time_ns()
        of_runs = [recorded for recorded in new if recorded.event.TOPIC in _OF_RUNS]
        tally = Tally()
        touched = self._folds.take_in(of_runs, tally.see) if of_runs else {}
        changed = {task_id: run.changed_steps() for task_id, run in touched.items()}
        ledger = {task_id: run.changed_orders() for task_id, run in touched.items()}
        with self._engine.begin() as connection:
            advance(connection, positions, self.name, after=self._position, position=new[-1].position)
            if touched:
                connection.execute(_UPSERT_TASKS, [_task_row(run) for run in touched.values()])
            steps = [step_row(task_id, view) for task_id, views in changed.items() for view in views]
            if steps:
                connection.execute(_UPSERT_STEPS, steps)
            if rows := [order_row(view) for views in ledger.values() for view in views]:
                connection.execute(_UPSERT_ORDERS, rows)
            project_schedules(connection, [each for each in new if isinstance(each.event, ScheduleEvent)])
            project_queues(connection, new)
            project_alerts(connection, new)
            tally.write(connection, {task_id: run.execution.phase for task_id, run in touched.items()})
            project_retention(connection, new)
            project_webhooks(connection, new)
        self._position = new[-1].position
        for task_id, views in changed.items():
            touched[task_id].written.update((view.index, view) for view in views)
        for task_id, orders_written in ledger.items():
            touched[task_id].written_orders.update((view.client_order_id, view) for view in orders_written)
        self._folds.keep(touched)
        _trace(new, began_at)

    def tick(self) -> timedelta | None:
        """Nothing is due by the clock."""
        return None


def _task_row(run: FoldedRun) -> dict[str, object]:
    return task_row(task_view(run.execution), run.position)


def _trace(batch: Sequence[Recorded], began_at: int) -> None:
    """Let the trace of each run that has ended tell when its end could be read: one span for all of its last events."""
    for position, event in batch:
        if isinstance(event, ENDS) and event.trace is not None:
            attributes: Attributes = {TASK_ID: str(event.originator_id), "blotter.position": position}
            record_span("projection", parent=event.trace, attributes=attributes, began_at=began_at)


_UPSERT_TASKS = upsert(workflow_executions)
_UPSERT_STEPS = upsert(execution_steps)
_UPSERT_ORDERS = upsert(orders)


def main() -> None:
    """Follow the log until SIGTERM or SIGINT."""
    settings = StatusSettings()
    configure_logging(settings.log_format, settings.log_level)
    configure_telemetry(PROJECTOR, settings.telemetry_options)
    log = EventLog(settings.database_url, open_store=partial(open_store, settings))
    engine = create_engine(settings.sqlalchemy_url, options=ASYNCHRONOUS_COMMIT)
    try:
        run_followers([Follower(log, settings.database_url, Projector(log, engine), pace=PACE)])
    finally:
        engine.dispose()
        log.close()


if __name__ == "__main__":
    main()

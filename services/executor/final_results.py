"""Follows the log and copies the end of each run into Celery's result backend, with the time to live that is left.

What it has seen is its position; a repeated write changes nothing, because the meta's (attempt, sequence) is not
newer than what is there. A Redis that has lost what it was given gets it again (`services.executor.restoring`).
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

import redis
import sqlalchemy as sa
import structlog

from services.executor.restoring import Restoration
from services.executor.stamps import is_worker
from services.executor.tables import positions
from shared.documents import result_document
from shared.domain import execution_events as happened
from shared.domain.events import Event
from shared.domain.execution import WorkflowExecution
from shared.domain.phases import Phase, celery_state
from shared.domain.views import late_orders
from shared.log.event_log import EventLog
from shared.log.positions import advance, read_position, unseen
from shared.log.runs import Recorded
from shared.objects import ObjectCorrupt, ObjectMissing, ObjectStore
from shared.result_backend import AFTER_ATTEMPT, FINAL, WRITE, ResultMeta, done_at, write_arguments, write_keys

FINAL_RESULTS = "executor.results"

ORDERS = (happened.OrderPlaced, happened.OrderUpdated, happened.OrderRejected)
"""What may still happen to the orders of a run that has ended."""

logger = structlog.get_logger()


class FinalResults:
    """The handler that a `Follower` feeds."""

    name = FINAL_RESULTS
    topics: Sequence[str] = (
        happened.RetryScheduled.TOPIC,
        happened.Succeeded.TOPIC,
        happened.Failed.TOPIC,
        happened.Cancelled.TOPIC,
        happened.Restarted.TOPIC,
        *(event.TOPIC for event in ORDERS),
    )

    def __init__(
        self,
        log: EventLog,
        engine: sa.Engine,
        client: redis.Redis,
        objects: ObjectStore,
        *,
        now: Callable[[], datetime],
    ) -> None:
        self._log = log
        self._engine = engine
        self._redis = client
        self._write = client.register_script(WRITE)
        self._objects = objects
        self._now = now
        self._position = 0
        self._restoration = Restoration(log, client, self._write_ends, topics=self.topics, now=now)

    def start(self) -> int:
        """Return the position processed so far."""
        with self._engine.connect() as connection:
            self._position = read_position(connection, positions, self.name)
        return self._position

    def process(self, batch: Sequence[Recorded]) -> None:
        """Write the metas of a batch in one round trip, then move the position."""
        new = unseen(batch, self._position)
        if not new:
            return
        wanted = (recorded for recorded in new if not _is_of_attempt(recorded.event))
        runs = (self._log.execution(each.event.originator_id, until=each.position) for each in wanted)
        self._write_ends([run for run in runs if run.phase.ended or run.phase in (Phase.RETRY_WAIT, Phase.WAITING)])
        with self._engine.begin() as connection:
            advance(connection, positions, self.name, after=self._position, position=new[-1].position)
        self._position = new[-1].position

    def _write_ends(self, executions: Sequence[WorkflowExecution]) -> None:
        pipeline = self._redis.pipeline(transaction=False)
        for execution in executions:
            ttl = execution.submitted.result_ttl_seconds - (self._now() - _over_at(execution)).total_seconds()
            if ttl <= 0:
                continue
            try:
                meta = result_meta(execution, self._objects)
            except (ObjectMissing, ObjectCorrupt) as error:  # one lost object must not hold up all other results
                logger.error("results.not_written", task_id=str(execution.id), error=error.detail)
                continue
            self._write(keys=write_keys(meta), args=write_arguments(meta, ttl_seconds=ttl), client=pipeline)
        pipeline.execute()

    def tick(self) -> timedelta | None:
        """Look whether Redis has lost results, and restore some; return the time until more is due."""
        return self._restoration.tick()


def result_meta(execution: WorkflowExecution, objects: ObjectStore) -> ResultMeta:
    """Return what Celery's backend is to say of a run that has ended, waits for a retry, or goes on after its end."""
    final = execution.phase.ended or execution.phase is Phase.WAITING
    ended = execution.phase.ended
    return ResultMeta(
        task_id=str(execution.id),
        status=celery_state(execution.phase),
        result=_result(execution, objects),
        attempt=execution.attempts,
        sequence=FINAL + execution.version if final else AFTER_ATTEMPT,
        traceback=execution.failure.failure.traceback if execution.failure else None,
        date_done=done_at(_over_at(execution)) if ended else None,
    )


def _is_of_attempt(event: Event) -> bool:
    """Tell whether an attempt has settled an order of its own: its run is at work."""
    return isinstance(event, ORDERS) and is_worker(event.actor)


def _over_at(execution: WorkflowExecution) -> datetime:
    """Return when the run ended; its orders may change after it."""
    return execution.finished_at or execution.changed_at


def _result(execution: WorkflowExecution, objects: ObjectStore) -> Any:
    match execution.phase:
        case Phase.SUCCEEDED if execution.result is not None:
            return result_document(execution.result, late_orders(execution), objects)
        case Phase.FAILED if execution.failure is not None:
            failure = execution.failure.failure
            return _exception(failure.type, failure.message, module="blotter")
        case Phase.CANCELLED:
            return _exception("TaskRevokedError", execution.cancel_reason or "cancelled", module="celery.exceptions")
        case Phase.RETRY_WAIT | Phase.RETRY_DUE:
            waiting = next(r for r in execution.steps.values() if r.failure is not None and not r.settled)
            assert waiting.failure is not None
            return _exception(waiting.failure.type, waiting.failure.message, module="blotter")
        case _:
            return None


def _exception(name: str, message: str, *, module: str) -> dict[str, Any]:
    """Return an exception as Celery's JSON backend writes it, so that `AsyncResult.get()` raises it."""
    return {"exc_type": name, "exc_message": [message], "exc_module": module}

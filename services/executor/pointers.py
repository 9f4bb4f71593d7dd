"""Celery messages that point at runs: what they hold, and under which id they travel."""

from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import Any, Protocol
from uuid import UUID, uuid5

import msgspec
import redis
import structlog
from celery import Celery, group
from celery.canvas import Signature
from opentelemetry.trace import SpanKind

from services.executor.commands import Commands, impatient
from services.executor.interruption import EXIT_GRACE
from services.executor.live_run import LiveRun
from services.executor.messages import queued, queued_runs, remove
from services.executor.queues import BRANCH, INTERRUPT_RUN, POINTERS, RUN
from shared.heartbeats import FULL_LIMITS_KEY, FULL_LIMITS_TTL
from shared.routing import level_queue
from shared.telemetry import TASK_ID, spans

logger = structlog.get_logger()

TRACE_HEADER = "traceparent"
HARD_LIMIT_AFTER = 2 * EXIT_GRACE
"""How long after a run's time its child is killed by the worker, should it not have ended by itself."""


class Sender(Protocol):
    """Puts a pointer to a waiting run where workers find it."""

    def send(self, runs: Sequence[LiveRun]) -> None:
        """Send the pointer to one run, or to branches of one stage as a group; raises when Redis does not take them."""

    def withdraw(self, runs: Sequence[LiveRun]) -> int:
        """Take the pointers of runs that have ended out of their queues; return how many no worker had taken."""

    def clear(self, wanted: Collection[str]) -> int:
        """Take every pointer out of the queues whose message is not `wanted`; return how many no worker had taken."""

    def interrupt(self, run: LiveRun, *, grace: timedelta | None) -> None:
        """Have the worker of a running attempt interrupt it, and end its child after `grace`; may get lost."""

    def tell_full(self, limits: Sequence[str]) -> None:
        """Let it be known for whose places runs wait, for people who ask why; may get lost."""


class CelerySender:
    """Sends through a Celery application, over connections that it keeps."""

    def __init__(self, app: Celery, client: redis.Redis) -> None:
        self._app = app
        self._redis = client
        self._producer: Any = None
        self._commands = Commands(app)

    def send(self, runs: Sequence[LiveRun]) -> None:
        """Send the pointers to the queue of their level; those of branches as a Celery group, of their stage's id."""
        if self._producer is None:
            self._producer = self._app.amqp.Producer(impatient(self._app))
        try:
            with spans("dispatch", [(run.trace, _told(run)) for run in runs], kind=SpanKind.PRODUCER) as traces:
                pointers = [self._signature(run, trace) for run, trace in zip(runs, traces, strict=True)]
                if (opening := runs[0].opening) is None:
                    pointers[0].apply_async(producer=self._producer)
                else:
                    stage = group(pointers, app=self._app)
                    stage.apply_async(task_id=group_id(runs[0].task_id, opening), producer=self._producer)
        except Exception:
            self._producer = None
            raise

    def _signature(self, run: LiveRun, trace: str | None) -> Signature:
        options: dict[str, Any] = {
            "task_id": message_id(run.id, run.attempt),
            "queue": _queue(run),
            "headers": {TRACE_HEADER: trace} if trace else None,
            "time_limit": _time_limit(run).total_seconds(),
            "ignore_result": True,
            "retry": False,
        }
        return self._app.signature(BRANCH if run.is_branch else RUN, kwargs=arguments(run), options=options)

    def withdraw(self, runs: Sequence[LiveRun]) -> int:
        """Look through the queues that the pointers were sent to, which hold no more than a window each.

        A pointer that stays, because Redis is away, is refused by whoever takes it.
        """
        ids = {message_id(run.id, run.attempt) for run in runs}
        queues = {_queue(run) for run in runs}
        try:
            found = [message for queue in queues for message in queued(self._redis, queue) if message.id in ids]
            return remove(self._redis, found)
        except redis.RedisError as error:
            logger.warning("pointers.not_withdrawn", pointers=len(ids), error=str(error))
            return 0

    def clear(self, wanted: Collection[str]) -> int:
        """Look through the queues of runs, which hold no more than a window each."""
        try:
            found = [message for message in queued_runs(self._redis) if message.task in POINTERS]
            return remove(self._redis, [message for message in found if message.id not in wanted])
        except redis.RedisError as error:
            logger.warning("pointers.not_cleared", error=str(error))
            return 0

    def interrupt(self, run: LiveRun, *, grace: timedelta | None) -> None:
        """Send a control command to the one worker that has the attempt."""
        arguments = {
            "message_id": message_id(run.id, run.attempt),
            "grace_seconds": grace.total_seconds() if grace is not None else None,
        }
        self._commands.tell(str(run.worker), INTERRUPT_RUN, arguments)

    def tell_full(self, limits: Sequence[str]) -> None:
        """Write it down for a few seconds."""
        try:
            self._redis.set(FULL_LIMITS_KEY, msgspec.json.encode(limits), px=FULL_LIMITS_TTL)
        except redis.RedisError as error:
            logger.warning("limits.not_told", error=str(error))


def _time_limit(run: LiveRun) -> timedelta:
    """Return when the worker kills the child; a run that has no time left is claimed all the same, and fails then."""
    return max(run.time_left, timedelta()) + HARD_LIMIT_AFTER


def _queue(run: LiveRun) -> str:
    return level_queue(run.sent_level or run.level, resumed=run.resumed)


def _told(run: LiveRun) -> dict[str, str | int]:
    return {TASK_ID: str(run.task_id), "blotter.attempt": run.attempt, "blotter.queue": _queue(run)}


def arguments(run: LiveRun) -> dict[str, Any]:
    """Return the message's body: the pointer, and what people who look at a queue want to see in it."""
    branch = {"id": str(run.id), "opening": run.opening, "step": run.step, "symbol": run.symbol}
    return {
        "task_id": str(run.task_id),
        "attempt": run.attempt,
        **({"branch": branch} if run.is_branch else {}),
        "strategy_id": run.strategy_id,
        "symbols": list(run.symbols),
        "priority": str(run.level),
        "user_id": run.user_id,
    }


def group_id(task_id: UUID, opening: int) -> str:
    """Return Celery's id of the group in which the branches of a stage are sent."""
    return str(uuid5(task_id, f"stage {opening}"))


def message_id(stream: UUID, attempt: int) -> str:
    """Return Celery's id of an attempt's message: for the first the task or branch id, derived from it for later ones.

    Workers remember a revoked id; an attempt of its own id is not held against the next one.
    """
    return str(stream) if attempt == 1 else str(uuid5(stream, f"attempt {attempt}"))

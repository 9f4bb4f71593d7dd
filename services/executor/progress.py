"""Progress of a run in Celery's result backend: at most four writes a second, and never an old one over a new."""

import threading
from collections.abc import Callable
from datetime import timedelta
from time import monotonic
from typing import Any, Protocol
from uuid import UUID

import msgspec
import redis
import structlog

from services.executor.branch_attempt import BranchAttempt
from services.executor.stamps import Clock, utc_now
from shared.domain.execution import WorkflowExecution
from shared.domain.phases import CeleryState, Phase
from shared.domain.views import task_view
from shared.result_backend import STEP_PROGRESS, WRITE, ProgressReport, ResultMeta, write_arguments, write_keys
from shared.workflow.context import Position, Progress

INTERVAL = timedelta(milliseconds=250)
FORGET = timedelta(seconds=10)
"""After so long without a report a run is forgotten."""
IN_STAGE = 1 << 20
"""Added to the sequence of what branches report: it comes after all that the attempt that opened their stage did."""

logger = structlog.get_logger()


class Board(Protocol):
    """Where progress is shown."""

    def put(self, meta: ResultMeta, *, ttl_seconds: float) -> None:
        """Have `meta` shown soon; a later one of the same run takes its place."""


class RedisBoard:
    """Writes what runs of this process report; a thread of its own writes what came too soon after the last.

    Redis holds only what the log can rebuild, so that a Redis that is away costs progress and nothing else.
    """

    def __init__(self, client: redis.Redis) -> None:
        self._redis = client
        self._write = client.register_script(WRITE)
        self._latest: dict[str, tuple[ResultMeta, float]] = {}
        self._changed = threading.Event()
        threading.Thread(target=self._keep_writing, name="progress", daemon=True).start()

    def put(self, meta: ResultMeta, *, ttl_seconds: float) -> None:
        """Have `meta` written within a quarter of a second."""
        self._latest[meta.task_id] = (meta, ttl_seconds)
        self._changed.set()

    def _keep_writing(self) -> None:
        pause = threading.Event()
        while True:
            self._changed.wait()
            self._changed.clear()
            latest, self._latest = self._latest, {}
            try:
                for meta, ttl_seconds in latest.values():
                    arguments = write_arguments(meta, ttl_seconds=ttl_seconds, report=_report(meta))
                    self._write(keys=write_keys(meta), args=arguments)
            except redis.RedisError as error:
                logger.warning("progress.not_written", error=str(error))
            pause.wait(INTERVAL.total_seconds())


class RunProgress:
    """The progress of one attempt: boundaries, and what a step says of itself in between."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self._sequence = 0
        self._execution: WorkflowExecution | None = None

    def at_boundary(self, execution: WorkflowExecution) -> None:
        """Report where the run stands."""
        self._execution = execution
        self._put(None)

    def within_step(self, position: Position, progress: Progress) -> None:
        """Report how far the running step is."""
        self._put(_within_step(progress))

    def _put(self, step_progress: dict[str, Any] | None) -> None:
        execution = self._execution
        if execution is None:
            return
        self._sequence += 1
        _put(self._board, execution, self._sequence, step_progress)


class StageProgress:
    """The progress of runs whose branches are at work in several processes: read from the log, at most every interval.

    A stage that is over sooner needs none: the run itself reports when it goes on. The sequence of a report grows with
    what the log says and with the time that all processes share, so that a later one is newer, whoever writes it.
    """

    def __init__(self, board: Board, load: Callable[[UUID], WorkflowExecution], *, now: Clock) -> None:
        self._board = board
        self._load = load
        self._now = now
        self._told: dict[UUID, float] = {}

    def within_step(self, attempt: BranchAttempt, position: Position, progress: Progress) -> None:
        """Report how far one branch is; no interrupt cuts the reading of the log in two."""
        with attempt.interruption.masked():
            self.tell(attempt.execution.id, _within_step(progress) | position._asdict())

    def tell(self, task_id: UUID, step_progress: dict[str, Any] | None = None) -> None:
        """Report where a run stands, unless that was done less than an interval ago."""
        now = monotonic()
        for told in [each for each, at in self._told.items() if now - at > FORGET.total_seconds()]:
            del self._told[told]
        if now - self._told.setdefault(task_id, now) < INTERVAL.total_seconds():
            return
        self._told[task_id] = now
        try:
            execution = self._load(task_id)
        except Exception as error:  # whatever keeps it from being told, a step must not fail by saying how far it is
            logger.warning("progress.not_told", task_id=str(task_id), error=str(error))
            return
        if execution.phase is Phase.AT_JOIN:
            intervals = (self._now() - execution.submitted.at) // INTERVAL
            _put(self._board, execution, IN_STAGE + execution.events + intervals, step_progress)


def _report(meta: ResultMeta) -> ProgressReport | None:
    """Return what those who listen are told; a boundary is told by the log."""
    if meta.result[STEP_PROGRESS] is None:
        return None
    return ProgressReport(task_id=UUID(meta.task_id), at=utc_now(), attempt=meta.attempt, progress=meta.result)


def _within_step(progress: Progress) -> dict[str, Any]:
    return {"done": progress.done, "total": progress.total, "message": progress.message}


def _put(board: Board, execution: WorkflowExecution, sequence: int, step_progress: dict[str, Any] | None) -> None:
    submitted = execution.submitted
    meta = ResultMeta(
        task_id=str(execution.id),
        status=CeleryState.STARTED,
        result=msgspec.to_builtins(task_view(execution).progress) | {STEP_PROGRESS: step_progress},
        attempt=execution.attempts,
        sequence=sequence,
    )
    board.put(meta, ttl_seconds=submitted.timeout_seconds + submitted.result_ttl_seconds)

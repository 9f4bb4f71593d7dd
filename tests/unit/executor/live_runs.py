"""Live runs and workers, as tests of the dispatcher's arithmetic want them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from services.executor.live_run import LiveRun, RunState
from services.executor.live_runs import LiveRuns
from services.executor.queues import CONSUMED
from shared.domain.branch import Branch
from shared.domain.catalogue import StepDescription, StepKind, StepScope
from shared.domain.execution import WorkflowExecution
from shared.domain.outputs import Output
from shared.domain.priority import Priority
from shared.heartbeats import WorkerHeartbeat
from tests.builders import NOW, failure, stamp, submitted

SYMBOLS = ("AAPL", "GOOG", "IBM", "MSFT")
WORKER = "executor@desk"


def waiting(level: Priority = Priority.NORMAL, **changes: Any) -> LiveRun:
    """A run that waits, not in Redis yet."""
    task_id = changes.get("task_id", uuid4())
    fields: dict[str, Any] = {
        "id": task_id,
        "task_id": task_id,
        "strategy_id": "s",
        "symbols": ("MSFT",),
        "user_id": "ada",
        "level": level,
        "attempt": 1,
        "state": RunState.WAITING,
        "since": 1,
        "timeout_seconds": 60.0,
        "waiting_since": NOW,
    }
    return LiveRun(**(fields | changes))


def at_work(level: Priority = Priority.LOW, **changes: Any) -> LiveRun:
    """A run that WORKER has had since NOW."""
    fields = {"state": RunState.RUNNING, "worker": WORKER, "started_at": NOW}
    return waiting(level, **(fields | changes))


def worker(name: str = WORKER, *, concurrency: int = 2, queues: tuple[str, ...] = CONSUMED) -> WorkerHeartbeat:
    """What a worker says of itself."""
    return WorkerHeartbeat(
        name=name,
        host="desk",
        pid=1,
        pool="prefork",
        concurrency=concurrency,
        queues=queues,
        started_at=NOW,
        at=NOW,
    )


class StageDesk:
    """Live runs fed with what is decided on runs of one parallel step, `look`."""

    def __init__(self, stored: Iterable[LiveRun] = (), *, slots: int = 4, window: int = 100) -> None:
        self.runs = LiveRuns(stored, window=window, aging=timedelta(minutes=5))
        self.runs.slots = slots
        self.position = 0

    def feed(self, *runs: WorkflowExecution) -> None:
        """Take in what was decided."""
        for run in runs:
            for event in run.collect_events():
                self.position += 1
                self.runs.apply(self.position, event)

    def opened(
        self,
        *symbols: str,
        level: Priority = Priority.NORMAL,
        max_parallel: int | None = None,
        limits: Mapping[str, int] | None = None,
        **changes: Any,
    ) -> WorkflowExecution:
        """A run that has come to its stage two seconds after NOW; `limits` are its step's."""
        step = StepDescription(
            name="look",
            each=StepScope.SYMBOL,
            kind=StepKind.PARALLEL,
            max_parallel=max_parallel,
            limits=dict(limits or {}),
        )
        submission: dict[str, Any] = {
            "symbols": symbols or SYMBOLS,
            "steps": (step,),
            "priority": level,
            "timeout_seconds": 60.0,
        }
        run = submitted(**(submission | changes))
        run.claim(stamp(1), attempt=1, worker=WORKER)
        open_look(run, 2)
        self.feed(run)
        return run

    def released(self, now: datetime = NOW) -> list[LiveRun]:
        """Release what may be released."""
        return list(self.runs.release(now))

    def symbols(self) -> list[str | None]:
        """Release what may be released, and say for which symbols."""
        return [run.symbol for run in self.released()]

    def claim(self, run: WorkflowExecution, symbol: str, second: float = 3) -> Branch:
        """Have a worker start a member's next attempt."""
        branch = run.members["look", symbol]
        branch.claim(stamp(second), attempt=branch.attempts + 1, worker=WORKER)
        self.feed(run)
        return branch

    def complete(self, run: WorkflowExecution, symbol: str, second: float = 4) -> None:
        """Have a member completed; if no worker has it, it is claimed a second before."""
        branch = run.members["look", symbol]
        if not branch.at_work:
            self.claim(run, symbol, second - 1)
        branch.complete(stamp(second), attempt=branch.attempts, output=Output(), started_at=stamp(second).at)
        self.feed(run)

    def put_off(self, run: WorkflowExecution, symbol: str, second: float = 4, *, due_in: float = 60) -> None:
        """Have a member at work wait for a retry, `due_in` seconds from then on."""
        branch = run.members["look", symbol]
        at, due_at = stamp(second), stamp(second + due_in).at
        branch.schedule_retry(at, attempt=branch.attempts, failure=failure(), started_at=at.at, due_at=due_at)
        self.feed(run)

    def make_way(self, run: WorkflowExecution, symbol: str, second: float = 4) -> None:
        """Have a member at work asked to make way, and do so."""
        branch = run.members["look", symbol]
        branch.request_preemption(stamp(second), attempt=branch.attempts, preempted_by=str(uuid4()))
        branch.make_way(stamp(second), attempt=branch.attempts)
        self.feed(run)

    def row(self, stream: UUID) -> LiveRun:
        """What is known of a run or branch."""
        found = self.runs.get(stream)
        assert found is not None
        return found

    def member(self, run: WorkflowExecution, symbol: str) -> LiveRun:
        """What is known of a member of the last stage."""
        return self.row(run.members["look", symbol].id)


def open_look(run: WorkflowExecution, second: float) -> None:
    """Have the step `look` run side by side, as the attempt that runs."""
    members = [key for key in run.positions() if not run.is_settled(key)]
    run.open_stage(stamp(second), attempt=run.attempts, members=members)

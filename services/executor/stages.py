"""The branches of runs that wait at a join, by run."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from uuid import UUID

from services.executor.live_run import LiveRun, RunState
from shared.domain.branch import branch_id
from shared.domain.execution_events import StageOpened


class Stages:
    """Which live branches a run has, and how many of them wait and are at work."""

    def __init__(self) -> None:
        self._members: defaultdict[UUID, dict[UUID, LiveRun]] = defaultdict(dict)
        self._waiting: Counter[UUID] = Counter()
        self._at_work: Counter[UUID] = Counter()
        self._joining: dict[UUID, LiveRun] = {}

    def add(self, run: LiveRun) -> None:
        """Take in a branch of a stage; main lines are passed over."""
        if run.is_branch:
            self._members[run.task_id][run.id] = run

    def remove(self, run: LiveRun) -> None:
        """Forget a branch, or a main line that has ended."""
        members = self._members.get(run.task_id)
        if run.is_branch and members is not None:
            members.pop(run.id, None)
            if not members:
                del self._members[run.task_id]

    def place(self, run: LiveRun) -> None:
        """Count a run where it stands now."""
        self._count(run, 1)
        if run.state is RunState.JOINING:
            self._joining[run.id] = run

    def leave(self, run: LiveRun) -> None:
        """Undo `place`, before the run moves on."""
        self._count(run, -1)
        self._joining.pop(run.id, None)

    def _count(self, run: LiveRun, by: int) -> None:
        if not run.is_branch:
            return
        if run.state is RunState.WAITING:
            _change(self._waiting, run.task_id, by)
        elif run.state is RunState.RUNNING:
            _change(self._at_work, run.task_id, by)

    def members(self, task_id: UUID) -> list[LiveRun]:
        """Return the live branches of a run."""
        return list(self._members[task_id].values()) if task_id in self._members else []

    def waiting(self, task_id: UUID) -> int:
        """Return how many branches of a run wait for a worker."""
        return self._waiting[task_id]

    def are_at_work(self, task_id: UUID) -> bool:
        """Tell whether a worker has a branch that its run waits for, and not only stragglers of an earlier stage."""
        return self._at_work[task_id] > 0

    def joining(self) -> Iterable[LiveRun]:
        """Return the runs that wait for their branches."""
        return self._joining.values()


def members_of(run: LiveRun, position: int, event: StageOpened) -> Iterator[LiveRun]:
    """Yield the branches of a stage that `run` has opened: they go before what was never at work."""
    for member in event.members:
        yield LiveRun(
            id=branch_id(run.task_id, event.opening, member.step, member.symbol),
            task_id=run.task_id,
            strategy_id=run.strategy_id,
            symbols=(member.symbol,) if member.symbol is not None else run.symbols,
            user_id=run.user_id,
            level=run.level,
            attempt=1,
            state=RunState.PARKED,
            since=position,
            timeout_seconds=run.time_left.total_seconds(),
            waiting_since=event.at,
            trace=run.trace,
            resumed=True,
            opening=event.opening,
            step=member.step,
            symbol=member.symbol,
            limits=member.limits,
            max_parallel=event.max_parallel,
        )


def _change(counts: Counter[UUID], task_id: UUID, by: int) -> None:
    counts[task_id] += by
    if not counts[task_id]:
        del counts[task_id]

"""Who is to make way for whom: arithmetic on what waits, what runs, and the workers' slots.

As many runs make way as runs of a higher level wait without a slot, no more: those that make way already are counted.
The lowest level goes first, and in it the youngest attempt, which loses the least. A run that goes on after it was
preempted, or that had its turn because it had waited so long, keeps its worker for a slice of time, and one that was
preempted often enough keeps it to the end. Nobody makes way for a level that is paused.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from services.executor.live_run import LiveRun, RunState
from services.executor.live_runs import LiveRuns
from services.executor.policy import PreemptionPolicy
from shared.domain.priority import Priority
from shared.heartbeats import WorkerHeartbeat
from shared.routing import level_queue

PREEMPTING = (Priority.HIGH, Priority.NORMAL)
"""The levels that others make way for, the one that is served first first."""


class Preemption(NamedTuple):
    """A run that is to make way, and the waiting one that it makes way for."""

    victim: LiveRun
    waiting: LiveRun


def choose(
    runs: LiveRuns,
    workers: Mapping[str, WorkerHeartbeat],
    policy: PreemptionPolicy,
    *,
    now: datetime,
    spared: Collection[UUID] = (),
) -> list[Preemption]:
    """Return who is to make way now; `spared` are in a step that must not be cut short."""
    chosen: list[Preemption] = []
    slots = _slots(runs, workers, policy, now)
    taken = set(spared)
    for level in PREEMPTING:
        waiting = runs.depths()[level]
        serving = [worker for worker in workers.values() if level_queue(level) in worker.queues]
        provided = _provide(waiting, serving, slots)
        if provided == waiting or level in runs.paused:
            continue
        names = {worker.name for worker in serving}
        eligible = (
            run
            for run in runs.at_work()
            if run.worker in names and run.id not in taken and _may_be_preempted(run, level, policy, now)
        )
        victims = sorted(eligible, key=_rank)[: waiting - provided]
        taken.update(victim.id for victim in victims)
        pairs = zip(victims, runs.first(level, provided + len(victims))[provided:], strict=False)
        chosen += [Preemption(victim, gains) for victim, gains in pairs]
    return chosen


def _slots(
    runs: LiveRuns, workers: Mapping[str, WorkerHeartbeat], policy: PreemptionPolicy, now: datetime
) -> Counter[str | None]:
    """Return the slots of each worker that are free, or will be in a moment."""
    slots: Counter[str | None] = Counter({name: worker.concurrency for name, worker in workers.items()})
    slots.subtract(run.worker for run in runs.at_work() if run.worker in workers)
    slots = +slots
    slots.update(run.worker for run in runs.at_work() if run.worker in workers and _is_leaving(run, policy, now))
    return slots


def _provide(waiting: int, serving: Sequence[WorkerHeartbeat], slots: Counter[str | None]) -> int:
    """Take slots for the waiting runs of a level, first where few other levels are served; return how many had one."""
    provided = 0
    for worker in sorted(serving, key=lambda worker: sum(level_queue(level) in worker.queues for level in PREEMPTING)):
        given = min(slots[worker.name], waiting - provided)
        slots[worker.name] -= given
        provided += given
    return provided


def _is_leaving(run: LiveRun, policy: PreemptionPolicy, now: datetime) -> bool:
    return run.asked_at is not None and now - run.asked_at < policy.patience


def _may_be_preempted(run: LiveRun, level: Priority, policy: PreemptionPolicy, now: datetime) -> bool:
    if run.state is not RunState.RUNNING or run.asked_at is not None or run.level.rank <= level.rank:
        return False
    if run.preemptions >= policy.limit:
        return False
    may_go_at_once = run.preemptions == 0 and run.sent_level in (None, run.level)
    return may_go_at_once or now - (run.started_at or now) >= policy.slice


def _rank(run: LiveRun) -> tuple[int, int]:
    """Return the order of victims: the lowest level first, and in it what started last."""
    return -run.level.rank, -run.since

"""Comparing the live runs with what workers and queues say: whose worker is gone, and which pointers were lost.

Pure: it is told what was seen, when, and remembers what it needs to tell silence from absence. Absence counts only
after Redis has been reachable, under one generation, for as long as a heartbeat lives: a wiped Redis, or one that was
away, is no mass death (docs/rules.md, "Liveness").
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from services.executor.live_run import LiveRun
from services.executor.pointers import message_id
from shared.heartbeats import TTL, ActiveRun, WorkerHeartbeat

POINTER_GRACE = timedelta(seconds=3)
"""How long a pointer may be on its way, between queue and worker, before it counts as lost."""


class Sighting(msgspec.Struct, frozen=True, kw_only=True):
    """What Redis held at one moment: its generation, the workers' heartbeats by name, the ids of queued messages."""

    generation: str
    workers: Mapping[str, WorkerHeartbeat]
    queued: frozenset[str]


class Lost(msgspec.Struct, frozen=True, kw_only=True):
    """A running attempt that no worker holds any more."""

    run: LiveRun
    reason: str


class Watch:
    """What the reconciler has seen so far."""

    def __init__(self) -> None:
        self._generation: str | None = None
        self._watched_since: datetime | None = None
        self._unlisted: dict[tuple[UUID, int], datetime] = {}
        self._missing: set[str] = set()

    def blind(self) -> None:
        """Note that Redis could not be asked: what was seen before proves nothing any more."""
        self._watched_since = None
        self._unlisted.clear()
        self._missing.clear()

    def is_new_generation(self, sighting: Sighting) -> bool:
        """Tell whether Redis has lost what it held since the last sighting; the first one is none."""
        known, self._generation = self._generation, sighting.generation
        if known == sighting.generation:
            return False
        self.blind()
        return known is not None

    def lost_runs(self, sighting: Sighting, runs: Iterable[LiveRun], now: datetime) -> list[Lost]:
        """Return the running attempts whose worker says that their child died, is silent, or lives without them.

        The first counts at once, silence after a heartbeat's life, and the last in two heartbeats.
        """
        self._watched_since = self._watched_since or now
        running = [run for run in runs if run.at_work]
        self._forget({(run.id, run.attempt) for run in running})
        absence_counts = now - self._watched_since >= TTL
        return [
            Lost(run=run, reason=reason)
            for run in running
            if (reason := _death(sighting, run) or (self._absence(sighting, run) if absence_counts else None))
        ]

    def _absence(self, sighting: Sighting, run: LiveRun) -> str | None:
        worker = sighting.workers.get(run.worker or "")
        key = (run.id, run.attempt)
        if worker is None:
            return f"no heartbeat of {run.worker} for {TTL.total_seconds():g} s"
        if active_run(run) in worker.active:
            self._unlisted.pop(key, None)
            return None
        first = self._unlisted.setdefault(key, worker.at)
        return f"{run.worker} lives and does not run it any more" if worker.at > first else None

    def _forget(self, running: set[tuple[UUID, int]]) -> None:
        for key in self._unlisted.keys() - running:
            del self._unlisted[key]

    def lost_pointers(self, sighting: Sighting, runs: Iterable[LiveRun], now: datetime) -> list[LiveRun]:
        """Return the waiting runs whose pointer is neither in a queue nor with a worker, twice in a row."""
        held = {active for worker in sighting.workers.values() for active in worker.active}
        missing = {
            message_id(run.id, run.attempt): run
            for run in runs
            if run.sent_at is not None and now - run.sent_at > POINTER_GRACE
            if message_id(run.id, run.attempt) not in sighting.queued and active_run(run) not in held
        }
        lost = [run for message, run in missing.items() if message in self._missing]
        self._missing = missing.keys() - {message_id(run.id, run.attempt) for run in lost}
        return lost


def active_run(run: LiveRun) -> ActiveRun:
    """Return how a worker names this attempt."""
    return ActiveRun(task_id=run.task_id, attempt=run.attempt, branch_id=run.branch_id)


def _death(sighting: Sighting, run: LiveRun) -> str | None:
    worker = sighting.workers.get(run.worker or "")
    if worker is None or active_run(run) not in worker.dead:
        return None
    return f"its process on {run.worker} died"

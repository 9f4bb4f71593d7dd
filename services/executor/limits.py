"""Who may have a worker now, of runs and branches that share a limit: so many at work for each key, the others parked.

A key is what authors name (`venue:alpaca`), over all runs, and for the branches of one run the run itself. Pure: a
place is held from the release of a run until its attempt has ended. Whoever waits for a place waits outside the levels'
queues and makes nobody yield.
"""

import heapq
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from itertools import count
from uuid import UUID

from services.executor.live_run import LiveRun

Rank = tuple[int, int, int]
"""The order in which parked runs have their turn: by level, then as they came."""


class Limits:
    """Places by key. `share` tells how many branches of a run may be at work when its author does not say."""

    def __init__(self, share: Callable[[LiveRun], int]) -> None:
        self._share = share
        self._taken: Counter[str] = Counter()
        self._held: dict[UUID, tuple[str, ...]] = {}
        self._parked: defaultdict[str, list[tuple[Rank, LiveRun]]] = defaultdict(list)
        self._arrivals = count()

    def hold(self, run: LiveRun) -> None:
        """Give a run its places, whether they are free or not: it has been released already."""
        keys = tuple(self._most(run))
        if keys and run.id not in self._held:
            self._held[run.id] = keys
            self._taken.update(keys)

    def take(self, run: LiveRun) -> bool:
        """Give a run a place for each of its keys, or park it where the first one is full."""
        full = self._full(run)
        if full is None:
            self.hold(run)
            return True
        heapq.heappush(self._parked[full], ((run.level.rank, run.since, next(self._arrivals)), run))
        return False

    def free(self, run: LiveRun) -> None:
        """Take the places of a run back, if it has any."""
        self._taken.subtract(self._held.pop(run.id, ()))

    def admit(self) -> Iterator[LiveRun]:
        """Yield the parked runs that have a place now, each with it, those that have ended left out."""
        for key in list(self._parked):
            queue = self._parked[key]
            while queue:
                run = queue[0][1]
                full = self._full(run) if run.is_parked else None
                if full == key:
                    break
                heapq.heappop(queue)
                if run.is_parked and self.take(run):
                    yield run
            if not queue:
                del self._parked[key]

    def full(self) -> list[str]:
        """Return the keys for whose places others than the branches of one run wait."""
        return sorted(key for key, queue in self._parked.items() if any(key in run.limits for _, run in queue[:1]))

    def _full(self, run: LiveRun) -> str | None:
        if run.id in self._held:
            return None
        return next((key for key, most in self._most(run).items() if self._taken[key] >= most), None)

    def _most(self, run: LiveRun) -> Mapping[str, int]:
        if not run.is_branch:
            return run.limits
        most = self._share(run) if run.max_parallel is None else run.max_parallel
        return {str(run.task_id): most, **run.limits}

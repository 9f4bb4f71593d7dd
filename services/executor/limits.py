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

Rank = tuple[int, bool, int]
"""The order in which parked runs have their turn: by level, then who goes on where it was, then as they came."""


def rank(run: LiveRun) -> Rank:
    """Return whose turn comes first: the lowest."""
    return run.level.rank, not run.resumed, run.since


class Limits:
    """Places by key. `share` tells how many branches of a run may be at work when its author does not say."""

    def __init__(self, share: Callable[[LiveRun], int]) -> None:
        self._share = share
        self._taken: Counter[str] = Counter()
        self._held: dict[UUID, tuple[str, ...]] = {}
        self._parked: defaultdict[str, list[tuple[Rank, int, LiveRun]]] = defaultdict(list)
        self._arrivals = count()

    def hold(self, run: LiveRun) -> None:
        """Give a run its places, whether they are free or not: it has been released already."""
        keys = tuple(self._most(run))
        if keys and run.id not in self._held:
            self._held[run.id] = keys
            self._taken.update(keys)

    def take(self, run: LiveRun) -> bool:
        """Give a run a place for each of its keys, or park it at the first that has none for it.

        Nobody takes a place that another one, whose turn is before, has been waiting for.
        """
        key = self._blocked(run)
        if key is None:
            self.hold(run)
            return True
        heapq.heappush(self._parked[key], (rank(run), next(self._arrivals), run))
        return False

    def free(self, run: LiveRun) -> None:
        """Take the places of a run back, if it has any."""
        self._taken.subtract(self._held.pop(run.id, ()))

    def admit(self) -> Iterator[LiveRun]:
        """Yield the parked runs that have a place now, each with it, those that have ended left out."""
        for key in list(self._parked):
            while (run := self._first(key)) is not None and self._blocked(run) != key:
                heapq.heappop(self._parked[key])
                if self.take(run):
                    yield run
            if not self._parked[key]:
                del self._parked[key]

    def full(self) -> list[str]:
        """Return the keys for whose places others than the branches of one run wait."""
        return sorted(key for key, queue in self._parked.items() if any(key in run.limits for *_, run in queue[:1]))

    def _blocked(self, run: LiveRun) -> str | None:
        """Return the first key whose places are taken, or waited for by somebody whose turn is before; None if none."""
        if run.id in self._held:
            return None
        for key, most in self._most(run).items():
            first = self._first(key)
            if self._taken[key] >= most or (first is not None and rank(first) < rank(run)):
                return key
        return None

    def _first(self, key: str) -> LiveRun | None:
        """Return who is the next to have a place, without those that wait no more."""
        queue = self._parked.get(key, [])
        while queue and not queue[0][2].is_parked:
            heapq.heappop(queue)
        return queue[0][2] if queue else None

    def _most(self, run: LiveRun) -> Mapping[str, int]:
        if not run.is_branch:
            return run.limits
        most = self._share(run) if run.max_parallel is None else run.max_parallel
        return {str(run.task_id): most, **run.limits}

"""Who may have a worker now, of runs and branches that share a limit: so many at work for each key, the others parked.

A key is what authors name (`venue:alpaca`), over all runs, and for the branches of one run the run itself. Pure: a
place is held from the release of a run until its attempt has ended. Whoever waits for a place waits outside the levels'
queues and makes nobody yield. Places are given on release only, to all at once and in the order of their turns: so
nobody takes one that another has waited for, whatever came in between. Runs of a paused level have no turns, and hold
no place meanwhile.
"""

import heapq
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from itertools import count
from uuid import UUID

from services.executor.live_run import LiveRun
from shared.domain.priority import Priority

Rank = tuple[int, bool, int]
"""The order in which parked runs have their turn: by level, then who goes on where it was, then as they came."""


def rank(run: LiveRun) -> Rank:
    """Return whose turn comes first: the lowest."""
    return run.level.rank, not run.resumed, run.since


class Limits:
    """Places by key. `share` tells how many branches of a run may be at work when its author does not say, and
    `is_held_back` who has no turn for now.
    """

    def __init__(self, share: Callable[[LiveRun], int], is_held_back: Callable[[LiveRun], bool]) -> None:
        self._share = share
        self._is_held_back = is_held_back
        self._held_back: defaultdict[Priority, list[LiveRun]] = defaultdict(list)
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

    def park(self, run: LiveRun) -> bool:
        """Have a run wait for its places, at the first key that is full; return False if it has no keys, nor waits."""
        most = self._most(run)
        if most:
            self._park(run, self._full(run) or next(iter(most)))
        return bool(most)

    def _park(self, run: LiveRun, key: str) -> None:
        heapq.heappush(self._parked[key], (rank(run), next(self._arrivals), run))

    def free(self, run: LiveRun) -> None:
        """Take the places of a run back, if it has any."""
        self._taken.subtract(self._held.pop(run.id, ()))

    def holders(self) -> list[UUID]:
        """Return who has places."""
        return list(self._held)

    def resume(self, level: Priority) -> None:
        """Let the runs of a level, which is not paused any more, have their turns."""
        for run in self._held_back.pop(level, ()):
            if run.is_parked:
                self.park(run)

    def admit(self) -> Iterator[LiveRun]:
        """Yield the parked runs that have a place now, each with it, those that have ended left out."""
        turns = [(rank(run), key) for key in list(self._parked) if (run := self._first(key)) is not None]
        heapq.heapify(turns)
        while turns:
            _, key = heapq.heappop(turns)
            if (run := self._first(key)) is None or (full := self._full(run)) == key:
                continue
            heapq.heappop(self._parked[key])
            if full is not None:
                self._park(run, full)
            else:
                self.hold(run)
                yield run
            if (following := self._first(key)) is not None:
                heapq.heappush(turns, (rank(following), key))

    def full(self) -> list[str]:
        """Return the keys for whose places others than the branches of one run wait."""
        return sorted(key for key, queue in self._parked.items() if any(key in run.limits for *_, run in queue[:1]))

    def _first(self, key: str) -> LiveRun | None:
        """Return who has the next turn at a key, None when nobody waits there any more."""
        queue = self._parked[key]
        while queue and (self._is_held_back(queue[0][-1]) or not queue[0][-1].is_parked):
            *_, run = heapq.heappop(queue)
            if run.is_parked:
                self._held_back[run.level].append(run)
        if not queue:
            del self._parked[key]
            return None
        return queue[0][-1]

    def _full(self, run: LiveRun) -> str | None:
        return next((key for key, most in self._most(run).items() if self._taken[key] >= most), None)

    def _most(self, run: LiveRun) -> Mapping[str, int]:
        if not run.is_branch:
            return run.limits
        most = self._share(run) if run.max_parallel is None else run.max_parallel
        return {str(run.task_id): most, **run.limits}

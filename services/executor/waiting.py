"""The waiting runs of each level, and whose turn it is.

High before normal before low; inside a level, runs that go on where they were, then first in, first out per user, and
the users take turns. Lest a lower level starve, every tenth run that a level releases is one of a lower level instead,
if one has waited for more than the age at which it counts: the one that waits longest.
"""

from collections import OrderedDict, deque
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from itertools import chain

from services.executor.live_run import LiveRun
from shared.domain.priority import Priority

AGED_SHARE = 10
"""One in so many releases of a level goes to an aged run of a lower one."""


class Queue:
    """The waiting runs of one level that are not in Redis yet."""

    def __init__(self) -> None:
        self._resumed: deque[LiveRun] = deque()
        self._users: OrderedDict[str, deque[LiveRun]] = OrderedDict()
        self._by_age: deque[LiveRun] = deque()

    def __iter__(self) -> Iterator[LiveRun]:
        """Yield them about in the order of release, without regard to turns."""
        return (run for run in chain(self._resumed, *self._users.values()) if run.waits_here)

    def add(self, run: LiveRun) -> None:
        """Put a run at the end of its user's line, or of the line of those that go on where they were."""
        self._by_age.append(run)
        if run.resumed:
            self._resumed.append(run)
        else:
            self._users.setdefault(run.user_id, deque()).append(run)

    def next(self) -> LiveRun | None:
        """Take the first run that goes on, else the first of the user whose turn it is; skip what waits no more."""
        self.oldest()
        while self._resumed:
            run = self._resumed.popleft()
            if run.waits_here:
                return run
        while self._users:
            user, line = self._users.popitem(last=False)
            while line and not line[0].waits_here:  # what was cancelled costs its user no turn
                line.popleft()
            if line:
                run = line.popleft()
                self._users[user] = line
                return run
        return None

    def oldest(self) -> LiveRun | None:
        """Return the run that came first, and leave it where it is."""
        while self._by_age and not self._by_age[0].waits_here:
            self._by_age.popleft()
        return self._by_age[0] if self._by_age else None


class Queues:
    """The queues of all levels; runs that wait no more are passed over when their turn comes."""

    def __init__(self, *, age: timedelta) -> None:
        self._age = age
        self._queues = {level: Queue() for level in Priority}
        self._released = dict.fromkeys(Priority, 0)

    def __getitem__(self, level: Priority) -> Queue:
        return self._queues[level]

    def next(self, level: Priority, now: datetime) -> LiveRun | None:
        """Take the run that `level` is to release now; in its turn an aged one of a lower level."""
        aged = self._aged(level, now) if self._released[level] % AGED_SHARE == AGED_SHARE - 1 else None
        run = aged or self._queues[level].next()
        if run is not None:
            self._released[level] += 1
        return run

    def _aged(self, level: Priority, now: datetime) -> LiveRun | None:
        below = [queue.oldest() for lower, queue in self._queues.items() if lower.rank > level.rank]
        aged = [run for run in below if run is not None and now - run.waiting_since >= self._age]
        return min(aged, key=lambda run: run.waiting_since, default=None)


def total(counts: Mapping[Priority, int], down_to: Priority) -> int:
    """Return the sum of `counts` over this level and those above it."""
    return sum(count for level, count in counts.items() if level.rank <= down_to.rank)

"""The waiting runs of each level, and whose turn it is.

High before normal before low; inside a level, runs that go on where they were, then first in, first out per user, and
the users take turns. Lest a lower level starve, every tenth run that a level releases is one of a lower level instead,
if one has waited for more than the age at which it counts: the one that waits longest. A paused level gives nothing, by
its own turns or by others', but what belongs to runs that are under way.
"""

from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator, Mapping
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
        self._passed: deque[LiveRun] = deque()
        self._users: OrderedDict[str, deque[LiveRun]] = OrderedDict()
        self._by_age: deque[LiveRun] = deque()

    def __iter__(self) -> Iterator[LiveRun]:
        """Yield them about in the order of release, without regard to turns."""
        return (run for run in chain(self._passed, self._resumed, *self._users.values()) if run.waits_here)

    def add(self, run: LiveRun) -> None:
        """Put a run at the end of its user's line, or of the line of those that go on where they were."""
        self._by_age.append(run)
        if run.resumed:
            self._resumed.append(run)
        else:
            self._users.setdefault(run.user_id, deque()).append(run)

    def next_under_way(self) -> LiveRun | None:
        """Take the first run that is under way; those before it are passed over, until `unpass`."""
        self.oldest()
        while self._resumed:
            run = self._resumed.popleft()
            if run.waits_here and run.is_under_way:
                return run
            if run.waits_here:
                self._passed.append(run)
        return None

    def unpass(self) -> None:
        """Let those that were passed over have their turns again, before all others."""
        self._resumed.extendleft(reversed(self._passed))
        self._passed.clear()

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
    """The queues of all levels, some `paused`; runs that wait no more are passed over when their turn comes."""

    def __init__(self, *, age: timedelta, paused: Iterable[Priority] = ()) -> None:
        self._age = age
        self._paused = set(paused)
        self._queues = {level: Queue() for level in Priority}
        self._released = dict.fromkeys(Priority, 0)

    def __getitem__(self, level: Priority) -> Queue:
        return self._queues[level]

    @property
    def paused(self) -> frozenset[Priority]:
        """Return the levels that give nothing."""
        return frozenset(self._paused)

    def pause(self, level: Priority) -> None:
        """Have a level give nothing."""
        self._paused.add(level)

    def resume(self, level: Priority) -> None:
        """Let a level give runs again."""
        self._paused.discard(level)
        self._queues[level].unpass()

    def holds_back(self, run: LiveRun) -> bool:
        """Tell whether a run is to stay away from the workers because its level is paused."""
        return run.level in self._paused and not run.is_under_way

    def next(self, level: Priority, now: datetime) -> LiveRun | None:
        """Take the run that `level` is to release now; in its turn an aged one of a lower level."""
        if level in self._paused:
            return self._queues[level].next_under_way()
        aged = self._aged(level, now) if self._released[level] % AGED_SHARE == AGED_SHARE - 1 else None
        run = aged or self._queues[level].next()
        if run is not None:
            self._released[level] += 1
        return run

    def _aged(self, level: Priority, now: datetime) -> LiveRun | None:
        lower = [each for each in Priority if each.rank > level.rank and each not in self._paused]
        below = [self._queues[each].oldest() for each in lower]
        aged = [run for run in below if run is not None and now - run.waiting_since >= self._age]
        return min(aged, key=lambda run: run.waiting_since, default=None)


def total(counts: Mapping[Priority, int], down_to: Priority) -> int:
    """Return the sum of `counts` over this level and those above it."""
    return sum(count for level, count in counts.items() if level.rank <= down_to.rank)

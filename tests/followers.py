"""A follower whose handler writes down what it was given."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta

from shared.domain.events import EVENTS
from shared.log.event_log import EventLog
from shared.log.follower import Follower
from shared.log.runs import Recorded


class Notebook:
    """A handler that keeps position and events in memory, and fails when it is told to."""

    def __init__(self, name: str = "test.notebook") -> None:
        """Begin at the beginning."""
        self.name = name
        self.topics: Sequence[str] = EVENTS.topics
        self.seen: list[Recorded] = []
        self.starts = 0
        self.before_commit: Callable[[Sequence[Recorded]], None] = lambda _: None

    def start(self) -> int:
        """The position of the last event that was committed."""
        self.starts += 1
        return self.seen[-1].position if self.seen else 0

    def process(self, batch: Sequence[Recorded]) -> None:
        """Commit a batch, unless `before_commit` raises."""
        self.before_commit(batch)
        self.seen.extend(batch)

    def tick(self) -> timedelta | None:
        """Nothing is due."""
        return None

    @property
    def positions(self) -> list[int]:
        """Where the events stand, in the order in which they came."""
        return [recorded.position for recorded in self.seen]


class Following:
    """A follower in a thread."""

    def __init__(self, database_url: str, notebook: Notebook, pace: timedelta) -> None:
        """Not started yet."""
        self.log = EventLog(database_url)
        self.follower = Follower(self.log, database_url, notebook, pace=pace)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self.follower.run, args=(self._stop,))

    @property
    def active(self) -> bool:
        """Whether it holds the lock and has started its handler."""
        return self.follower.active.is_set()

    def start(self) -> None:
        """Follow."""
        self._thread.start()

    def stop(self, *, within: float = 20.0) -> None:
        """Ask it to stop, and wait; fails when it has not."""
        self._stop.set()
        self._thread.join(within)
        assert not self._thread.is_alive(), f"the follower did not stop within {within:g} s"

    def close(self) -> None:
        """Stop it if it still runs, and let go of the database."""
        if self._thread.is_alive():
            self.stop()
        self.log.close()


@contextmanager
def following(database_url: str, notebook: Notebook, *, pace: timedelta = timedelta()) -> Iterator[Following]:
    """Follow for as long as the context lasts."""
    each = Following(database_url, notebook, pace)
    each.start()
    try:
        yield each
    finally:
        each.close()

"""The ways in which a batch comes more than once to a dispatcher, and what must be left of it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from random import Random
from uuid import UUID

import msgspec
import pytest

from services.executor.dispatching import Store
from services.executor.live_run import LiveRun, RunState
from shared.domain.priority import Priority
from shared.log.positions import AlreadyProcessed
from shared.log.runs import Recorded
from tests.unit.executor.desk import Desk, RedisAway

LIVELY = 4 * ("claim", "complete") + 3 * ("retry", "due", "lose", "ask", "make way") + ("cancel", "fail")
"""What happens to runs that live long enough to wait, run and be tried again."""

Way = Callable[[Desk, Sequence[Recorded]], None]


class ConnectionLost(Exception):
    """The database does not answer any more."""


class FaultyStore:
    """A store that loses its next commit, or the answer to it, when it is told to."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.loses_commit = False
        self.loses_answer = False

    def load(self) -> tuple[int, list[LiveRun]]:
        """Return what was committed."""
        return self._store.load()

    def paused(self) -> Collection[Priority]:
        """Return the paused levels that were committed."""
        return self._store.paused()

    def commit(
        self,
        changed: Sequence[LiveRun],
        ended: Sequence[UUID],
        *,
        after: int,
        position: int,
        paused: Collection[Priority] | None = None,
    ) -> None:
        """Commit; raises ConnectionLost before it or after it, once."""
        if self.loses_commit:
            self.loses_commit = False
            raise ConnectionLost
        self._store.commit(changed, ended, after=after, position=position, paused=paused)
        if self.loses_answer:
            self.loses_answer = False
            raise ConnectionLost


def lively_moves(chance: Random) -> list[tuple[int, str]]:
    """Return what happens to four runs, by their numbers."""
    return [(chance.randrange(4), chance.choice(LIVELY)) for _ in range(40)]


def _again(desk: Desk, batch: Sequence[Recorded]) -> None:
    """Start over from what was committed, and take the batch in for good, twice."""
    desk.restart()
    desk.dispatcher.process(batch)
    desk.dispatcher.process(batch)
    desk.dispatcher.tick()


def to_the_same_handler(desk: Desk, batch: Sequence[Recorded]) -> None:
    """It comes again before and after the turn in which its runs are sent."""
    for _ in range(2):
        desk.dispatcher.process(batch)
        desk.dispatcher.process(batch)
        desk.dispatcher.tick()


def after_a_lost_acknowledgement(desk: Desk, batch: Sequence[Recorded]) -> None:
    """It is committed, and nobody hears of it."""
    assert isinstance(desk.store, FaultyStore)
    desk.store.loses_answer = True
    with pytest.raises(ConnectionLost):
        desk.dispatcher.process(batch)
    _again(desk, batch)


def after_a_lost_commit(desk: Desk, batch: Sequence[Recorded]) -> None:
    """It is taken in, and not committed."""
    assert isinstance(desk.store, FaultyStore)
    desk.store.loses_commit = True
    with pytest.raises(ConnectionLost):
        desk.dispatcher.process(batch)
    _again(desk, batch)


def after_a_crash_between_commit_and_send(desk: Desk, batch: Sequence[Recorded]) -> None:
    """It is committed, and its runs are not sent yet."""
    desk.dispatcher.process(batch)
    _again(desk, batch)


def after_a_crash_between_send_and_mark(desk: Desk, batch: Sequence[Recorded]) -> None:
    """Its runs are sent, and that is not written down yet."""
    desk.dispatcher.process(batch)
    desk.dispatcher.tick()
    _again(desk, batch)


def after_a_queue_that_was_away(desk: Desk, batch: Sequence[Recorded]) -> None:
    """It is committed, and the queue does not take its runs; nothing may have been waiting, and nothing fails."""
    desk.dispatcher.process(batch)
    desk.sender.away = True
    try:
        desk.dispatcher.tick()
    except RedisAway:
        pass
    finally:
        desk.sender.away = False
    _again(desk, batch)


def after_another_replica(desk: Desk, batch: Sequence[Recorded]) -> None:
    """Another replica has taken it in while this one was paused."""
    other = desk.replica()
    other.start()
    other.process(batch)
    other.tick()
    with pytest.raises(AlreadyProcessed):
        desk.dispatcher.process(batch)
    _again(desk, batch)


WAYS: tuple[Way, ...] = (
    to_the_same_handler,
    after_a_lost_acknowledgement,
    after_a_lost_commit,
    after_a_crash_between_commit_and_send,
    after_a_crash_between_send_and_mark,
    after_a_queue_that_was_away,
    after_another_replica,
)


def deliver_once(desk: Desk, history: Sequence[Recorded]) -> None:
    """Take in all of the history in one batch, and write down what was sent."""
    desk.dispatcher.process(history)
    desk.dispatcher.tick()
    desk.dispatcher.tick()


def deliver_again_and_again(desk: Desk, batches: Sequence[Sequence[Recorded]], way: Way) -> None:
    """Bring each batch in its `way`; then all of them once more, the last one first, to handlers old and new."""
    for batch in batches:
        way(desk, batch)
    for _ in range(2):
        for batch in reversed(batches):
            desk.dispatcher.process(batch)
            desk.dispatcher.tick()
        desk.dispatcher.tick()
        desk.restart()


def check_same_end(desk: Desk, clean: Desk) -> None:
    """Position and rows are those of the clean pass, and each run that waits was sent at least once.

    From which queue a running one came is no fact of the log: what comes in one batch was never sent in between.
    """
    position, runs = desk.store.load()
    expected_position, expected = clean.store.load()
    assert position == expected_position
    assert _by_task(runs) == _by_task(expected)
    waiting = {(run.task_id, run.attempt) for run in runs if run.state is RunState.WAITING}
    assert waiting <= set(desk.sender.sent)


def _by_task(runs: Sequence[LiveRun]) -> dict[UUID, LiveRun]:
    return {run.task_id: run if run.is_sent else msgspec.structs.replace(run, sent_level=None) for run in runs}

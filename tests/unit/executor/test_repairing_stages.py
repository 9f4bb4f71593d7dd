"""The reconciler by hand and members of stages: what it counts, leaves in the queues, removes and sends again."""

from __future__ import annotations

from datetime import timedelta
from types import TracebackType
from typing import Any, Self, cast

import msgspec
import redis

from services.executor.pointers import message_id
from services.executor.queues import BRANCH
from services.executor.reconciling import Sighting
from services.executor.repair import Repair, Repaired
from shared.domain.branch import Branch
from shared.domain.execution import WorkflowExecution
from tests.builders import complete_member, parallel_plan, retry_member, stamp
from tests.unit.executor.desk import Desk, taken
from tests.unit.executor.live_runs import WORKER, worker

QUEUE = "normal.resume"


class Queues:
    """As much of Redis as a repair uses: lists that messages are looked up in, and taken out of."""

    def __init__(self) -> None:
        self.lists: dict[str, list[bytes]] = {}

    def push(self, *members: Branch, attempt: int = 1) -> None:
        """Put the messages of members into the queue."""
        ids = [message_id(branch.id, attempt) for branch in members]
        messages = [msgspec.json.encode({"headers": {"id": id_, "task": BRANCH}}) for id_ in ids]
        self.lists.setdefault(QUEUE, []).extend(messages)

    def ids(self) -> frozenset[str]:
        """The messages that are there."""
        return frozenset(msgspec.json.decode(raw)["headers"]["id"] for raw in self.lists.get(QUEUE, []))

    def lrange(self, queue: str, _start: int, _end: int) -> list[bytes]:
        """Return a list."""
        return list(self.lists.get(queue, []))

    def pipeline(self, *, transaction: bool) -> Self:
        """Begin to collect commands."""
        self.removed: list[int] = []
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End."""

    def lrem(self, queue: str, _count: int, raw: bytes) -> None:
        """Take one out."""
        self.removed.append(raw in self.lists[queue])
        self.lists[queue].remove(raw)

    def execute(self) -> list[int]:
        """Return how many were taken out by each command."""
        return self.removed


def repair(desk: Desk, queues: Queues, *in_hand: Branch) -> Repaired:
    """Repair, with a worker that has these members in hand."""

    def look() -> Sighting:
        desk.see(*in_hand)
        assert desk.scout.sighting is not None
        return msgspec.structs.replace(desk.scout.sighting, queued=queues.ids())

    desk.scout.look = look  # type: ignore[method-assign]

    def pause(duration: timedelta) -> None:
        desk.clock.forward(seconds=duration.total_seconds())

    client: Any = queues
    return Repair(
        desk.log, desk.store, cast(redis.Redis, client), desk.scout, desk.sender, now=desk.clock, pause=pause
    ).run()


def dispatched(desk: Desk, run: WorkflowExecution) -> WorkflowExecution:
    """Have the dispatcher take in the log, send, and write that down."""
    desk.turn()
    desk.turn()
    desk.sender.calls.clear()
    return run


def test_members_are_counted_by_what_they_do() -> None:
    """The run joins them; one is parked, one is at work, one waits in Redis, and one for its retry."""
    desk, queues = Desk(), Queues()
    run = desk.opened(steps=parallel_plan(max_parallel=2))
    retry_member(run, "AAPL", stamp(4), due_in=999)
    busy = taken(run, "GOOG")
    desk.log.save_execution(run)
    dispatched(desk, run)
    queues.push(run.members["analyse", "IBM"])
    found = repair(desk, queues, busy)
    assert (found.joining, found.parked, found.running, found.waiting, found.retrying) == (1, 1, 1, 1, 1)
    assert (found.removed, found.resent, found.unsent, found.silent) == (0, 0, 0, ())


def test_pointers_of_members_that_redis_has_lost_are_sent_again() -> None:
    """Those that were sent; a parked one was not."""
    desk, queues = Desk(), Queues()
    run = dispatched(desk, desk.opened(steps=parallel_plan(max_parallel=2)))
    queues.push(run.members["analyse", "AAPL"])
    desk.clock.forward(seconds=10)
    assert repair(desk, queues).resent == 1
    assert desk.sender.calls == [[(run.members["analyse", "GOOG"].id, 1)]]


def test_pointers_of_members_that_are_over_are_removed() -> None:
    """Of ended ones, of old attempts and of one at work, and all of a run that was cancelled, by the log itself."""
    desk, queues = Desk(), Queues()
    run = dispatched(desk, desk.opened(steps=parallel_plan(max_parallel=4)))
    gone = dispatched(desk, desk.opened())
    complete_member(run, "AAPL", stamp(5))
    taken(run, "GOOG").lose_worker(stamp(6), attempt=1, worker=WORKER, reason="r", max_losses=3)
    busy = taken(run, "IBM")
    gone.request_cancel(stamp(6))
    desk.log.save_execution(run)
    desk.log.save_execution(gone)
    queues.push(*run.stage(), *gone.stage())
    assert repair(desk, queues, busy).removed == 3 + 4
    assert queues.ids() == {str(run.members["analyse", "MSFT"].id)}


def test_the_pointer_of_a_parked_member_is_left_where_it_is() -> None:
    """Whoever sent it had its reasons; a worker that takes it would be let claim it."""
    desk, queues = Desk(), Queues()
    run = dispatched(desk, desk.opened(steps=parallel_plan(max_parallel=1)))
    queues.push(*run.stage())
    found = repair(desk, queues)
    assert (found.parked, found.removed, len(queues.ids())) == (3, 0, 4)


def test_a_member_whose_worker_is_silent_is_told_of() -> None:
    """With its run and its attempt."""
    desk, queues = Desk(), Queues()
    run = desk.opened()
    taken(run, "AAPL")
    desk.log.save_execution(run)
    dispatched(desk, run)
    (silent,) = repair(desk, queues).silent
    assert (silent.task_id, silent.attempt, silent.worker) == (run.id, 1, worker().name)

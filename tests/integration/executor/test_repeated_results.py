"""Batches that come twice, and in wrong order, to the follower that writes results: they leave what one pass leaves."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import pytest
import redis
import sqlalchemy as sa

from services.executor.final_results import FinalResults
from services.executor.tables import positions
from shared.domain.phases import CeleryState
from shared.log.event_log import EventLog
from shared.log.positions import AlreadyProcessed
from shared.log.runs import Recorded
from shared.objects.memory import MemoryObjectStore
from shared.result_backend import decode_meta, result_key
from shared.settings import sqlalchemy_url
from tests.builders import (
    WORKER,
    complete_all,
    failure,
    outcome,
    running,
    stamp,
    waiting_for_retry,
    with_order,
)
from tests.unit.executor.bench import Clock

Metas = dict[bytes, bytes]


class Copies:
    """A log with a history, and everything that its ends are copied by and to."""

    def __init__(self, database_url: str, redis_url: str) -> None:
        self.log = EventLog(database_url)
        self.engine = sa.create_engine(sqlalchemy_url(database_url))
        self.client = redis.Redis.from_url(redis_url)
        self.clock = Clock()
        self.clock.forward(seconds=20)
        self.retries = self._write_retries()
        self.ends = self._write_ends()

    def close(self) -> None:
        """Let go of the servers."""
        self.log.close()
        self.engine.dispose()
        self.client.close()

    def instance(self) -> FinalResults:
        """Another follower, which has started."""
        results = FinalResults(self.log, self.engine, self.client, MemoryObjectStore(), now=self.clock)
        results.start()
        return results

    def lose_commits(self, *, back_to: int) -> None:
        """Have the committed position be an earlier one again, as after a crash of PostgreSQL."""
        with self.engine.begin() as connection:
            connection.execute(sa.update(positions).values(position=back_to))

    def metas(self) -> Metas:
        """Everything that Redis holds of runs."""
        keys: list[bytes] = self.client.keys(result_key("*"))  # type: ignore[assignment]
        return {key: bytes(self.client.get(key) or b"") for key in keys}  # type: ignore[arg-type]

    def of_one_pass(self) -> Metas:
        """What a single pass leaves; it leaves no other trace."""
        results = self.instance()
        results.process(self.retries)
        results.process(self.ends)
        found = self.metas()
        self.client.flushdb()
        with self.engine.begin() as connection:
            connection.execute(sa.delete(positions))
        return found

    def _write_retries(self) -> list[Recorded]:
        self.runs = [waiting_for_retry() for _ in range(5)]
        for run in self.runs:
            self.log.save_execution(run)
        return self.log.read(0, topics=FinalResults.topics)

    def _write_ends(self) -> list[Recorded]:
        start = self.log.head()
        succeeded, failed, cancelled, waiting_and_cancelled, _ = self.runs
        for run in (succeeded, failed, cancelled):
            run.fall_due(stamp(3))
            run.claim(stamp(4), attempt=2, worker=WORKER)
        complete_all(succeeded)
        failed.fail(stamp(5), attempt=2, failure=failure(retryable=False))
        cancelled.request_cancel(stamp(5), reason="enough")
        cancelled.end_cancelled(stamp(6), attempt=2)
        waiting_and_cancelled.request_cancel(stamp(5), reason="enough")
        at_once = with_order(running(), "o-1", stamp(2))
        at_once.settle_order(stamp(3), attempt=1, client_order_id="o-1", outcome=outcome())
        complete_all(at_once)
        self.filled_later = at_once.id
        at_once.follow_order(stamp(11), client_order_id="o-1", outcome=outcome(filled_quantity="4"))
        filled = outcome(state="filled", filled_quantity="10")
        at_once.follow_order(stamp(12), client_order_id="o-1", outcome=filled)
        for run in (succeeded, failed, cancelled, waiting_and_cancelled, at_once):
            self.log.save_execution(run)
        return self.log.read(start, topics=FinalResults.topics)


@pytest.fixture
def copies(migrated_database_url: str, redis_url: str) -> Iterator[Copies]:
    """Five runs that have failed once, four of which end then; a sixth succeeds at once."""
    copies = Copies(migrated_database_url, redis_url)
    yield copies
    copies.close()


def test_one_pass_leaves_the_last_word_of_each_run(copies: Copies) -> None:
    """The end replaces the retry, also when no attempt came in between."""
    metas = [decode_meta(meta) for meta in copies.of_one_pass().values()]
    assert sorted(meta.status for meta in metas if meta) == sorted(
        [
            CeleryState.SUCCESS,
            CeleryState.SUCCESS,
            CeleryState.FAILURE,
            CeleryState.REVOKED,
            CeleryState.REVOKED,
            CeleryState.RETRY,
        ]
    )


def test_one_pass_leaves_the_orders_as_they_are_by_now(copies: Copies) -> None:
    """What was filled after the end is filled in the result; the run's end stays when it was."""
    meta = decode_meta(copies.of_one_pass()[result_key(str(copies.filled_later)).encode()])
    assert meta is not None
    (order,) = meta.result["orders"]
    assert (order["state"], order["filled_quantity"]) == ("filled", "10")
    assert meta.date_done == stamp(10).at.isoformat()


def started_over(copies: Copies, batches: Sequence[Sequence[Recorded]]) -> None:
    """Each batch twice; then PostgreSQL has lost the commits, and a follower that starts over brings all again."""
    results = copies.instance()
    for batch in batches:
        results.process(batch)
        results.process(batch)
    copies.lose_commits(back_to=0)
    results.start()
    for batch in batches:
        results.process(batch)


def half_lost(copies: Copies, batches: Sequence[Sequence[Recorded]]) -> None:
    """The commit of the last batch is lost alone, and another instance takes over from there."""
    results = copies.instance()
    for batch in batches:
        results.process(batch)
    copies.lose_commits(back_to=batches[0][-1].position)
    copies.instance().process([recorded for batch in batches for recorded in batch])


def overtaken(copies: Copies, batches: Sequence[Sequence[Recorded]]) -> None:
    """One instance is paused with the first batch in hand; the other has written the ends when it goes on."""
    paused, leading = copies.instance(), copies.instance()
    for batch in batches:
        leading.process(batch)
    for batch in batches:
        with pytest.raises(AlreadyProcessed):
            paused.process(batch)
    paused.start()
    for batch in reversed(batches):
        paused.process(batch)


def ends_first(copies: Copies, batches: Sequence[Sequence[Recorded]]) -> None:
    """The last batch is written, then its commit is lost; whoever starts over writes what came before it too."""
    results = copies.instance()
    for batch in reversed(batches):
        results.process(batch)
    copies.lose_commits(back_to=0)
    late = copies.instance()
    for batch in batches:
        late.process(batch)


@pytest.mark.parametrize("deliver", [started_over, half_lost, overtaken, ends_first])
@pytest.mark.parametrize("single", [False, True], ids=["two batches", "event by event"])
def test_ends_that_come_twice_and_in_wrong_order_leave_what_one_pass_leaves(
    copies: Copies, deliver: Callable[[Copies, Sequence[Sequence[Recorded]]], None], single: bool
) -> None:
    """A late RETRY replaces no end, whoever brings it."""
    expected = copies.of_one_pass()
    batches = [copies.retries, copies.ends]
    deliver(copies, [[recorded] for batch in batches for recorded in batch] if single else batches)
    assert copies.metas() == expected

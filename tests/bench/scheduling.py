"""How late schedules fire: `python -m tests.bench.scheduling`.

Lateness is from the nominal time to the moment at which somebody who follows the log sees the submission, which is
after its commit. First many schedules that are due in the same second, again and again; then many more, spread over the
minute. Twice each: with beat alone on the log, and within the whole stack, whose workers run what is fired.
"""

import argparse
import statistics
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import psycopg

from infra.migrations.migrate import migrate
from shared.domain.errors import VersionConflict
from shared.domain.events import Stamp
from shared.domain.execution_events import Submitted
from shared.domain.schedule import Schedule
from shared.domain.schedule_events import Overlap
from shared.domain.timing import When
from shared.log.event_log import EventLog
from shared.log.recorder import BY_INDEX
from shared.log.tail import Tail
from tests.chaos.beats import beats
from tests.e2e.stack import Stack
from tests.integration.scheduler.desk import publish
from tests.schedule_builders import definition
from tests.servers import open_folder, postgres, valkey
from tests.waiting import until

STRATEGY = "three-steps"
TOGETHER = 500
SPREAD = 5_000
WRITTEN_AT_ONCE = 500
LEAD = timedelta(seconds=3)


class Watch:
    """Follows the log on a thread of its own, and notes how late each scheduled run was seen."""

    def __init__(self, database_url: str) -> None:
        self.late: list[float] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow, args=(database_url,))

    def _follow(self, database_url: str) -> None:
        with EventLog(database_url) as log, psycopg.connect(database_url, autocommit=True, options=BY_INDEX) as reading:
            tail = Tail(reading, log.mapper.to_domain_event, [Submitted.TOPIC], log.head())
            while not self._stop.is_set():
                found = tail.read()
                seen_at = datetime.now(UTC)
                for _, event in found:
                    if isinstance(event, Submitted) and event.scheduled_at is not None:
                        self.late.append((seen_at - event.scheduled_at).total_seconds())
                if tail.caught_up:
                    tail.wait(timedelta(milliseconds=100))

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


def write(log: EventLog, number: int, *, every: float, spread: bool) -> list[Schedule]:
    """Write schedules: all of them due at the same moments, or one after the other within each interval."""
    begin = log.now().replace(microsecond=0) + LEAD
    written = []
    for index in range(number):
        offset = timedelta(seconds=every * index / number) if spread else timedelta()
        wanted = definition(
            strategy_id=STRATEGY,
            symbols=("MSFT",),
            parameters={},
            when=When(every_seconds=every),
            start_at=begin + offset,
            overlap=Overlap.ALLOW_ALL,
        )
        stamp = Stamp(at=log.now(), actor="user:bench")
        written.append(Schedule.create(uuid4(), stamp, definition=wanted, user_id="bench"))
        if len(written) % WRITTEN_AT_ONCE == 0 or index == number - 1:
            log.append([event for each in written[-WRITTEN_AT_ONCE:] for event in each.collect_events()])
    return written


def stop(log: EventLog, written: Sequence[Schedule]) -> None:
    """Delete the schedules: whatever beat does meanwhile is a new version, and asked for again."""
    for schedule in written:
        while True:
            mine = log.schedule(schedule.id)
            mine.delete(Stamp(at=log.now(), actor="user:bench"))
            try:
                log.append(mine.collect_events())
            except VersionConflict:
                continue
            break


def measure(database_url: str, *, number: int, every: float, spread: bool, rounds: int) -> list[float]:
    """Return how late each firing was seen, over so many rounds."""
    with EventLog(database_url) as log, Watch(database_url) as watch:
        written = write(log, number, every=every, spread=spread)
        until(lambda: len(watch.late) >= number * rounds, seconds=every * rounds + 120, hint="beat does not fire")
        late = watch.late[: number * rounds]
        stop(log, written)
    return late


def tell(what: str, late: Sequence[float]) -> None:
    """Print one line."""
    cuts = statistics.quantiles(late, n=100)
    print(
        f"{what:<52} p50 {1000 * cuts[49]:7.1f} ms   p99 {1000 * cuts[98]:7.1f} ms   max {1000 * max(late):7.1f} ms",
        flush=True,
    )


@contextmanager
def alone() -> Iterator[str]:
    """Beat on a log of its own."""
    with postgres() as server, valkey() as redis:
        url = server.create()
        migrate(url)
        with EventLog(url) as log:
            publish(log, STRATEGY)
        with beats(1, url, redis.next_url()):
            yield url


@contextmanager
def whole() -> Iterator[str]:
    """The whole stack."""
    with open_folder() as folder, Stack(folder / "home") as stack:
        yield stack.record.database_url


def main() -> None:
    """Measure and print."""
    arguments = argparse.ArgumentParser(prog="python -m tests.bench.scheduling", description=__doc__)
    arguments.add_argument("--rounds", type=int, default=3, help="how often each schedule fires")
    chosen = arguments.parse_args()
    for where, place in (("beat alone", alone), ("whole stack", whole)):
        with place() as url:
            late = measure(url, number=TOGETHER, every=10, spread=False, rounds=chosen.rounds)
            tell(f"{where}: {TOGETHER} in the same second", late)
            late = measure(url, number=SPREAD, every=60, spread=True, rounds=chosen.rounds)
            tell(f"{where}: {SPREAD} spread over each minute", late)


if __name__ == "__main__":
    main()

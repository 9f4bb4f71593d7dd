"""Beats that die: `python -m tests.chaos.beats`. Schedules that are due each second, and a beat killed again and again.

No time fires twice, and none inside the catch-up window is lost, with a second beat alive and without.
"""

import argparse
import os
import random
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import IO, NamedTuple
from uuid import uuid4

from infra.migrations.migrate import migrate
from shared.domain.events import Stamp
from shared.domain.schedule import Schedule
from shared.domain.schedule_events import FiringEvent, Overlap, ScheduleBuffered, ScheduleFired, ScheduleMissed
from shared.domain.timing import When
from shared.log.event_log import EventLog
from tests import servers
from tests.e2e.stack import CHECKOUT
from tests.integration.scheduler.desk import publish
from tests.schedule_builders import definition
from tests.waiting import until

CATCH_UP_SECONDS = 300.0
START_SECONDS = 60
SHORTEST_LIFE, LONGEST_LIFE = 0.2, 3.0
"""Seconds between two kills; a process needs about one to start."""


class Counts(NamedTuple):
    """What was found in the log, of all schedules together."""

    times: int
    fired: int
    skipped: int
    twice: int
    lost: int
    missed: int
    without_run: int

    @property
    def right(self) -> bool:
        """Tell whether every time was settled once, and every firing has its run."""
        return not (self.twice or self.lost or self.missed or self.without_run) and self.fired > 0


class Beats:
    """Processes of the scheduler on one log, started again as soon as they are killed."""

    def __init__(self, number: int, environment: dict[str, str], output: IO[bytes]) -> None:
        self._environment = environment
        self._output = output
        self._processes = [self._start() for _ in range(number)]

    def _start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", "services.scheduler"],
            cwd=CHECKOUT,
            env=self._environment,
            stdout=self._output,
            stderr=subprocess.STDOUT,
        )

    def strike(self, chance: random.Random) -> None:
        """Kill one at random, and start another in its place."""
        number = chance.randrange(len(self._processes))
        self._processes[number].kill()
        self._processes[number].wait()
        self._processes[number] = self._start()

    def stop(self) -> None:
        """Kill them all."""
        for process in self._processes:
            process.kill()
            process.wait()


@contextmanager
def beats(number: int, database_url: str, redis_url: str) -> Iterator[Beats]:
    """Run so many beats until the end of the block."""
    environment = {**os.environ, "DATABASE_URL": database_url, "REDIS_URL": redis_url}
    with servers.open_folder() as folder, (folder / "beats.log").open("ab") as output:
        running = Beats(number, environment, output)
        try:
            yield running
        finally:
            running.stop()


def write_schedules(log: EventLog, number: int) -> list[Schedule]:
    """Publish a strategy, and write schedules that are due each second under different policies."""
    publish(log, "sma-crossover")
    stamp = Stamp(at=log.now(), actor="user:ada")
    policies = (Overlap.ALLOW_ALL, Overlap.SKIP, Overlap.BUFFER_ONE)
    written = [
        Schedule.create(
            uuid4(),
            stamp,
            definition=definition(
                when=When(every_seconds=1.0),
                overlap=policies[index % len(policies)],
                catchup_seconds=CATCH_UP_SECONDS,
            ),
            user_id="ada",
        )
        for index in range(number)
    ]
    log.append([event for schedule in written for event in schedule.collect_events()])
    return written


def race(*, beats_alive: int, kills: int, schedules: int, seed: int) -> Counts:
    """Kill beats at random moments, let them come to the present, and count."""
    chance, pause = random.Random(seed), threading.Event()
    with servers.postgres() as postgres, servers.valkey() as redis:
        url = postgres.create()
        migrate(url)
        with EventLog(url) as log:
            written = write_schedules(log, schedules)
            with beats(beats_alive, url, redis.next_url()) as running:
                until(lambda: _settled_until(log, written) > written[0].state.created_at, seconds=START_SECONDS)
                for _ in range(kills):
                    pause.wait(chance.uniform(SHORTEST_LIFE, LONGEST_LIFE))  # the moment of the blow is the experiment
                    running.strike(chance)
                end = log.now()
                until(lambda: _settled_until(log, written) >= end, seconds=START_SECONDS, hint="beat does not catch up")
            return settled(log, written)


def _settled_until(log: EventLog, written: list[Schedule]) -> datetime:
    return min(log.schedule(schedule.id).state.settled_until for schedule in written)


def settled(log: EventLog, written: list[Schedule]) -> Counts:
    """Count what has become of the times of schedules that are due each second."""
    found: Counter[str] = Counter()
    for schedule in written:
        events = log.stream(schedule.id)
        settled = Counter(event.nominal_at for event in events if isinstance(event, FiringEvent))
        runs = [event.task_id for event in events if isinstance(event, ScheduleFired | ScheduleBuffered)]
        first, last = min(settled), max(settled)
        times = int((last - first) / timedelta(seconds=1)) + 1
        found["times"] += times
        found["fired"] += len(runs)
        found["skipped"] += sum(event.TOPIC == "schedule.skipped" for event in events)
        found["twice"] += sum(settled.values()) - len(settled)
        found["lost"] += times - len(settled) + (first - schedule.state.created_at > timedelta(seconds=1))
        found["missed"] += sum(event.count for event in events if isinstance(event, ScheduleMissed))
        found["without_run"] += sum(not log.stream(task_id, lte=1) for task_id in runs)
    return Counts(**found)


def main() -> int:
    """Race with one beat and with two, and print what was found."""
    arguments = argparse.ArgumentParser(prog="python -m tests.chaos.beats", description=__doc__)
    arguments.add_argument("--kills", type=int, default=50, help="kills of each race")
    arguments.add_argument("--schedules", type=int, default=30)
    arguments.add_argument("--seed", type=int, default=1)
    chosen = arguments.parse_args()
    found = []
    for alive in (1, 2):
        counts = race(beats_alive=alive, kills=chosen.kills, schedules=chosen.schedules, seed=chosen.seed)
        print(f"{alive} beat{'s' * (alive > 1)}, {chosen.kills} kills")
        for name, count in counts._asdict().items():
            print(f"{count:>8}  {name.replace('_', ' ')}")
        found.append(counts)
    return 0 if all(counts.right for counts in found) else 1


if __name__ == "__main__":
    sys.exit(main())

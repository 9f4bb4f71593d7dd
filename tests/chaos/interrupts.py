"""The race between interrupts and the ends of steps: `python -m tests.chaos.interrupts`.

One process runs short runs, one after the other, in its main thread. A second thread sends it interrupts at random
moments: most with a request in the log of the run that it believes to be at work, which may have ended meanwhile, some
for no reason at all. Nothing but the log may decide what becomes of a run.
"""

import argparse
import collections
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from uuid import UUID

import structlog

from services.executor.interruption import INTERRUPT, Interrupted
from shared.domain.errors import Refused, VersionConflict
from shared.domain.events import Event
from shared.domain.phases import Phase
from shared.log.recorder import Guard
from shared.workflow import Context, Workflow
from tests.builders import stamp
from tests.memory_log import MemoryEventLog
from tests.unit.executor.bench import WORKER, Bench

LONGEST_STEP_SECONDS = 0.0005
SWITCH_SECONDS = 1e-6
"""Threads take turns so often that an interrupt comes at any line, and not where the other one waits anyway."""
ASKER = "5c1f0c56-6f0e-4d0b-9e55-6b1d1a1f7f10"


def short_steps(chance: random.Random) -> Workflow:
    """Return a workflow of three steps that end soon, some at once, some after a sleep, some after computing."""
    workflow = Workflow("short", title="Test")

    def body(ctx: Context) -> int:
        ends_at = time.perf_counter() + chance.random() * LONGEST_STEP_SECONDS
        if chance.random() < 0.3:
            time.sleep(LONGEST_STEP_SECONDS)
        while time.perf_counter() < ends_at:
            ctx.checkpoint()
        return 1

    for name in ("first", "second", "third"):
        workflow.step(_named(name, body))
    return workflow


def _named(name: str, body: Callable[[Context], int]) -> Callable[[Context], int]:
    def step(ctx: Context) -> int:
        return body(ctx)

    step.__name__ = name
    return step


class FragileLog(MemoryEventLog):
    """A log whose appends must not be cut in two, as those over a connection must not."""

    def __init__(self) -> None:
        super().__init__()
        self.cut = 0

    def append(self, events: Sequence[Event], *, guard: Guard | None = None) -> list[int]:
        """Append, and count what an interrupt has hit."""
        try:
            return super().append(events, guard=guard)
        except Interrupted:
            self.cut += 1
            raise


class Race:
    """`rounds` runs and as many interrupts as there is time for, in an order that a seed only begins."""

    def __init__(self, rounds: int, seed: int) -> None:
        self._rounds = rounds
        self._chance = random.Random(seed)
        self._log = FragileLog()
        self._bench = Bench(short_steps(random.Random(seed + 1)), log=self._log)
        self._current: UUID | None = None
        self._over = threading.Event()
        self._asked: set[UUID] = set()
        self.sent = 0
        self.wrong: list[str] = []
        self.ends: collections.Counter[str] = collections.Counter()

    def run(self) -> None:
        """Run them all, and note what became of each."""
        with listening(self._bench):
            nuisance = threading.Thread(target=self._disturb)
            nuisance.start()
            try:
                tasks = [self._one() for _ in range(self._rounds)]
            finally:
                self._over.set()
                nuisance.join()
        if self._log.cut:
            self.wrong.append(f"{self._log.cut} appends were cut in two")
        for task_id in tasks:
            self._judge(task_id)

    def _one(self) -> UUID:
        task_id = self._bench.submit("MSFT")
        self._current = task_id
        try:
            self._bench.runner.run(task_id, 1, worker=WORKER)
        except BaseException as error:  # whatever escapes would have hit the pool
            self.wrong.append(f"{task_id}: {error!r} escaped")
        return task_id

    def _disturb(self) -> None:
        while not self._over.wait(self._chance.random() * 0.002):
            task_id = self._current
            if task_id is not None and self._chance.random() < 0.7:
                self._ask(task_id)
            os.kill(os.getpid(), INTERRUPT)
            self.sent += 1

    def _ask(self, task_id: UUID) -> None:
        try:
            if self._chance.random() < 0.5:
                self._bench.cancel(task_id)
            else:
                self._bench.change(task_id, lambda run: run.request_preemption(stamp(), attempt=1, preempted_by=ASKER))
        except (Refused, VersionConflict):
            return
        self._asked.add(task_id)

    def _judge(self, task_id: UUID) -> None:
        run = self._bench.log.execution(task_id)
        self.ends[str(run.phase)] += 1
        may_have = {Phase.SUCCEEDED}
        if run.cancel_reason is not None:
            may_have = {Phase.CANCELLED}
        elif run.yields_to is not None:
            may_have |= {Phase.PREEMPTED}
        if run.phase not in may_have:
            self.wrong.append(f"{task_id}: {run.phase} after {self._bench.topics(task_id)}")


@contextmanager
def listening(bench: Bench) -> Iterator[None]:
    """Take signals as interrupts of what the bench runs."""
    before = {number: signal.getsignal(number) for number in (INTERRUPT, signal.SIGALRM)}
    interval = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_SECONDS)
    bench.interruptions.listen()
    try:
        yield
    finally:
        sys.setswitchinterval(interval)
        for number, handler in before.items():
            signal.signal(number, handler)


def main() -> int:
    """Race, count, print; end with 1 if an interrupt hit what it was not meant for."""
    arguments = argparse.ArgumentParser(prog="python -m tests.chaos.interrupts", description=__doc__)
    arguments.add_argument("--rounds", type=int, default=10_000)
    arguments.add_argument("--seed", type=int, default=1)
    chosen = arguments.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    race = Race(chosen.rounds, chosen.seed)
    race.run()
    print(f"{chosen.rounds:>8}  rounds, {race.sent} interrupts")
    for end, count in sorted(race.ends.items()):
        print(f"{count:>8}  {end}")
    print(f"{len(race.wrong):>8}  hit by an interrupt that was not meant for them")
    for each in race.wrong[:10]:
        print(each)
    return 1 if race.wrong else 0


if __name__ == "__main__":
    sys.exit(main())

"""The processes of the simulated desk: workers with their attempts, and those that follow the log."""

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import NoReturn
from uuid import UUID

import httpx

from services.executor.branch_runner import BranchRunner
from services.executor.contexts import Contexts, World
from services.executor.interruption import Interruptions
from services.executor.queues import CONSUMED
from services.executor.runner import Runner
from shared.heartbeats import INTERVAL, TTL, ActiveRun, WorkerHeartbeat
from shared.log.event_log import EventLog
from shared.log.follower import Handler
from shared.objects.memory import MemoryObjectStore
from shared.result_backend import ResultMeta
from shared.workflow.registry import Registry
from tests.builders import NOW
from tests.simulation.fibers import Fiber
from tests.simulation.surroundings import Clock, Cut, Message, Redis, Venue

SLOTS = 1


class NoBoard:
    """Progress that nobody looks at."""

    def put(self, meta: ResultMeta, *, ttl_seconds: float) -> None:
        """Forget it."""


class Worker:
    """A worker of one slot; it comes back under its name when it was killed, as under a supervisor."""

    def __init__(
        self, name: str, *, log: EventLog, registry: Registry, venue: Venue, redis: Redis, clock: Clock
    ) -> None:
        self.name = name
        self.stopped = False
        self._log, self._registry, self._venue = log, registry, venue
        self._redis, self._clock = redis, clock
        self._start()

    def _start(self) -> None:
        self.attempts: list[tuple[Message, Fiber]] = []
        self._dead: dict[ActiveRun, datetime] = {}
        self._not_kept: set[tuple[UUID, int]] = set()
        self._force_at: dict[tuple[UUID, int], datetime] = {}
        self._started_at, self._beat_at = self._clock(), NOW
        self._interruptions = Interruptions(seconds=lambda: (self._clock() - NOW).total_seconds())
        contexts = Contexts(
            objects=MemoryObjectStore(),
            registry=self._registry,
            world=World(market_data=_none, broker=lambda: self._venue, http=httpx.Client),
            now=self._clock,
        )
        self._runner = Runner(
            log=self._log, contexts=contexts, board=NoBoard(), now=self._clock, interruptions=self._interruptions
        )
        self._branch_runner = BranchRunner(
            log=self._log, contexts=contexts, board=NoBoard(), now=self._clock, interruptions=self._interruptions
        )

    def take(self) -> bool:
        """Take the next message if there is a slot; it begins when it is first let go on."""
        if self.stopped or len(self.attempts) >= SLOTS:
            return False
        message = self._redis.take()
        if message is None:
            return False
        self.attempts.append((message, Fiber(lambda: self._run(message))))
        return True

    def _run(self, message: Message) -> None:
        if message.step is None or message.opening is None:
            self._runner.run(message.task_id, message.attempt, worker=self.name)
            return
        self._branch_runner.run(
            message.task_id,
            opening=message.opening,
            step=message.step,
            symbol=message.symbol,
            attempt=message.attempt,
            worker=self.name,
        )

    def advance(self, slot: int, points: int) -> bool:
        """Let an attempt go on; one that has ended is acknowledged."""
        if self.stopped or not self.attempts:
            return False
        message, fiber = self.attempts[slot % len(self.attempts)]
        with suppress(Cut):  # the pool notes the error, and takes the next message
            fiber.advance(points)
        if fiber.ended:
            self.attempts.remove((message, fiber))
        if fiber.died:
            self._bury(message)
        return True

    def stop(self) -> None:
        """SIGSTOP: what it has in hand may be taken for lost."""
        self.stopped = True
        self._not_kept |= {(message.id, message.attempt) for message, _ in self.attempts}

    def has_kept(self, stream: UUID, attempt: int) -> bool:
        """Tell whether it has had an attempt in hand all the time, and could have said so."""
        key = (stream, attempt)
        return key not in self._not_kept and any((each.id, each.attempt) == key for each, _ in self.attempts)

    def beat(self) -> None:
        """Say what is in hand, once a second."""
        now = self._clock()
        if self.stopped or now - self._beat_at < INTERVAL:
            return
        self._beat_at = now
        self._force(now)
        self._dead = {run: at for run, at in self._dead.items() if now - at < TTL}
        heartbeat = WorkerHeartbeat(
            name=self.name,
            host="desk",
            pid=1,
            pool="prefork",
            concurrency=SLOTS,
            queues=CONSUMED,
            started_at=self._started_at,
            at=now,
            active=tuple(_active(message) for message, _ in self.attempts),
            dead=tuple(self._dead),
        )
        self._redis.beat(heartbeat)

    def interrupt(self, stream: UUID, attempt: int, grace: timedelta | None) -> None:
        """Have an attempt look at the log, and end its child after the grace."""
        if any((message.id, message.attempt) == (stream, attempt) for message, _ in self.attempts):
            self._interruptions.interrupt(stream, attempt)
            if grace is not None:
                self._force_at.setdefault((stream, attempt), self._clock() + grace)

    def _force(self, now: datetime) -> None:
        for slot, (message, _) in enumerate(tuple(self.attempts)):
            force_at = self._force_at.get((message.id, message.attempt))
            if force_at is not None and now >= force_at:
                self.kill_child(slot)

    def kill_child(self, slot: int) -> bool:
        """Kill one child; the worker lives and says so."""
        if not self.attempts:
            return False
        message, fiber = self.attempts.pop(slot % len(self.attempts))
        fiber.kill()
        self._bury(message)
        return True

    def _bury(self, message: Message) -> None:
        self._dead[_active(message)] = self._clock()
        self._not_kept.add((message.id, message.attempt))
        self._beat_at = NOW

    def kill(self) -> None:
        """Kill it with its children; its supervisor starts another one of its name."""
        for _, fiber in self.attempts:
            fiber.kill()
        self.stopped = False
        self._start()


def _active(message: Message) -> ActiveRun:
    branch = None if message.step is None else message.id
    return ActiveRun(task_id=message.task_id, attempt=message.attempt, branch_id=branch)


def _none() -> NoReturn:
    raise AssertionError("no step of the simulation reads prices")


class FollowerProcess:
    """A process that follows the log with a handler; `turn` is a fiber that takes in what is new and ticks."""

    def __init__(self, log: EventLog, make: Callable[[], Handler]) -> None:
        self._log = log
        self._make = make
        self._fiber: Fiber | None = None
        self._handler: Handler | None = None
        self._position = 0

    def advance(self, points: int) -> None:
        """Go on with the turn, or begin one; a handler that fails starts over from what it has committed."""
        if self._fiber is None or self._fiber.ended:
            self._fiber = Fiber(self._turn)
        try:
            self._fiber.advance(points)
        except Exception:  # as the follower does: whatever it was, begin again
            self._handler = None

    def turn(self) -> None:
        """Go on to the end of the turn."""
        self.advance(1000)

    def _turn(self) -> None:
        if self._handler is None:
            handler = self._make()
            self._position = handler.start()
            self._handler = handler
        handler = self._handler
        batch = self._log.read(self._position, topics=handler.topics)
        if batch:
            handler.process(batch)
            self._position = batch[-1].position
        handler.tick()

    def kill(self) -> None:
        """Kill it wherever it is; the next turn begins with what was committed."""
        if self._fiber is not None:
            self._fiber.kill()
        self._fiber = self._handler = None

    def twin(self) -> "FollowerProcess":
        """Return a replica that has just taken over, while this one does not know it yet."""
        return FollowerProcess(self._log, self._make)

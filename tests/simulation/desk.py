"""The desk as a whole: what can happen to it, one thing at a time."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

from services.executor.dispatching import Dispatcher
from services.executor.live_run import LiveRun
from services.executor.policy import DispatchPolicy, PreemptionPolicy
from services.executor.resolver import Resolver
from shared.domain.errors import Refused
from shared.domain.events import Stamp
from shared.domain.execution import WorkflowExecution
from shared.domain.orders import OrderState
from shared.domain.phases import Phase
from shared.domain.priority import Priority
from shared.domain.queue import Queue
from shared.workflow import Context
from shared.workflow.registry import Registry
from tests.builders import stamp, submitted
from tests.simulation import workflows
from tests.simulation.fibers import point
from tests.simulation.processes import FollowerProcess, Worker
from tests.simulation.surroundings import (
    Clock,
    Fault,
    PointedLog,
    PointedOrderStore,
    PointedStore,
    Redis,
    Venue,
    seconds,
)
from tests.simulation.workflows import Call, Trouble

POLICY = DispatchPolicy(
    window=3, max_losses=3, cancel_grace=seconds(3), aging=seconds(60), preemption=PreemptionPolicy(slice=seconds(1))
)
PATIENCE = timedelta(hours=1)
QUARTER = seconds(0.25)
REST_SECONDS = 900
"""Simulated time within which everything must have come to rest once nothing goes wrong any more."""


@dataclass
class Interrupts:
    """The way to the workers: pointers through Redis, interrupts directly; what is sent while Redis is away is lost."""

    redis: Redis
    workers: Sequence[Worker]

    def send(self, runs: Sequence[LiveRun]) -> None:
        """Put pointers into their queues."""
        self.redis.send(runs)

    def tell_full(self, limits: Sequence[str]) -> None:
        """Nobody asks."""

    def withdraw(self, runs: Sequence[LiveRun]) -> int:
        """Take pointers out."""
        return self.redis.withdraw(runs)

    def clear(self, wanted: Collection[str]) -> int:
        """Take out what is not to be there."""
        return self.redis.clear(wanted)

    def interrupt(self, run: LiveRun, *, grace: timedelta | None) -> None:
        """Interrupt one attempt."""
        for worker in self.workers if self.redis.up else ():
            if worker.name == run.worker and not worker.stopped:
                worker.interrupt(run.id, run.attempt, grace)


@dataclass
class Desk:
    """Log, Redis, venue, two workers, dispatcher and resolver; `calls` is every entry into a step's code."""

    refuses_duplicates: bool
    calls: list[Call] = field(default_factory=list)
    tasks: list[UUID] = field(default_factory=list)
    troubles: dict[UUID, Trouble] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.clock, self.log = Clock(), PointedLog()
        self.redis, self.venue = Redis(self.clock), Venue(self.refuses_duplicates)
        self.store, self.order_store = PointedStore(), PointedOrderStore()
        definitions = [workflows.looking(self._body), workflows.spreading(self._body), workflows.trading(self._body)]
        self.registry = Registry(workflows={each.name: each for each in definitions}, broken=())
        self.workers = [self._worker(name) for name in ("one", "two")]
        self.dispatcher = FollowerProcess(self.log, self._new_dispatcher)
        self.resolver = FollowerProcess(self.log, self._new_resolver)
        self.ghosts: list[FollowerProcess] = []
        self.queues = {level: Queue(level) for level in Priority}

    def _worker(self, name: str) -> Worker:
        return Worker(name, log=self.log, registry=self.registry, venue=self.venue, redis=self.redis, clock=self.clock)

    def _new_dispatcher(self) -> Dispatcher:
        sender = Interrupts(self.redis, self.workers)
        return Dispatcher(self.log, self.store, sender, self.redis, POLICY, now=self.clock)

    def _new_resolver(self) -> Resolver:
        return Resolver(
            self.log, self.order_store, lambda: self.venue, patience=PATIENCE, pace=timedelta(), now=self.clock
        )

    def _body(self, ctx: Context, step: str, symbol: str | None) -> None:
        self.calls.append((UUID(ctx.task_id), step, symbol, ctx.attempt))
        point("step")
        ctx.checkpoint()
        self.troubles[UUID(ctx.task_id)].strike()

    def submit(
        self,
        strategy: str,
        level: Priority,
        user: str,
        trouble: Trouble,
        timeout_seconds: float,
        *,
        held: bool = False,
    ) -> UUID:
        """Put a run into the log, as the gateway does, or a schedule that holds it."""
        described = self.registry.workflows[strategy].describe()
        fields: dict[str, Any] = {
            "strategy_id": strategy,
            "symbols": workflows.SYMBOLS,
            "parameters": {},
            "priority": level,
            "user_id": user,
            "steps": described.steps,
            "definition_hash": described.definition_hash,
            "max_retries": described.max_retries,
            "timeout_seconds": timeout_seconds,
            "held": held,
        }
        task_id = UUID(int=len(self.tasks) + 1, version=4)
        execution = submitted(task_id, at=stamp((self.clock() - stamp().at).total_seconds()), **fields)
        self.troubles[execution.id] = trouble
        self.log.save_execution(execution)
        self.tasks.append(execution.id)
        return execution.id

    def run(self, number: int) -> WorkflowExecution:
        """Return a run as the log has it."""
        return self.log.execution(self.tasks[number % len(self.tasks)])

    def cancel(self, number: int, *, force: bool = False) -> bool:
        """Ask for the end of a run, as the gateway does, or by force as a schedule does; False when it has ended."""
        return self._decide(self.run(number), lambda run, at: run.request_cancel(at, reason="enough", force=force))

    def go_on(self, number: int) -> bool:
        """Have a run go on at once, that waits for a retry or has ended; False when there is nothing to go on with."""
        return self._decide(self.run(number), WorkflowExecution.retry_now)

    def release(self) -> bool:
        """Let the first run go that is held, as its schedule does; False when there is none."""
        held = (run for run in map(self.log.execution, self.tasks) if run.phase is Phase.HELD)
        return any(self._decide(run, WorkflowExecution.release) for run in list(held)[:1])

    def pause(self, level: Priority) -> None:
        """Pause a level, as the gateway does."""
        self.queues[level].pause(self._now())
        self._append_queue(level)

    def resume(self, level: Priority) -> None:
        """Resume a level."""
        self.queues[level].resume(self._now())
        self._append_queue(level)

    def _append_queue(self, level: Priority) -> None:
        if events := self.queues[level].collect_events():
            self.log.append(events)

    def _now(self) -> Stamp:
        return stamp((self.clock() - stamp().at).total_seconds())

    def _decide(self, run: WorkflowExecution, command: Callable[[WorkflowExecution, Stamp], None]) -> bool:
        try:
            command(run, self._now())
        except Refused:
            return False
        self.log.save_execution(run)
        return True

    def pass_time(self, duration: timedelta) -> None:
        """Let time pass; workers that live say so each second."""
        ends_at = self.clock() + duration
        while self.clock() < ends_at:
            self.clock.at = min(ends_at, self.clock() + seconds(1))
            for worker in self.workers:
                worker.beat()

    def quarter(self, points: int) -> None:
        """A usual quarter of a second: dispatching, taking, working, resolving."""
        self.pass_time(QUARTER)
        self.dispatcher.turn()
        for worker in self.workers:
            while worker.take():
                pass
            for slot in range(len(worker.attempts)):
                worker.advance(slot, points)
        self.resolver.turn()

    def fail_over(self) -> None:
        """Let a replica lead while the former leader sleeps on in the middle of what it was at."""
        self.ghosts.append(self.dispatcher)
        self.dispatcher = self.dispatcher.twin()

    def settle(self) -> None:
        """End all faults, and let time pass until everything has come to rest; fails when it does not."""
        for level in Priority:
            self.resume(level)
        self.redis.up = True
        self.venue.faults.clear()
        self.venue.silent = 0
        self.log.cuts.clear()
        self.venue.deliver()
        while self.venue.rests:
            self.venue.deliver()
        for worker in self.workers:
            worker.stopped = False
        for ghost in self.ghosts:
            ghost.advance(1000)
        while self.release():
            pass
        ends_at = self.clock() + seconds(REST_SECONDS)
        while not self.is_at_rest():
            assert self.clock() < ends_at, f"no rest within {REST_SECONDS} s: {self._unrest()}"
            self.pass_time(seconds(0.75))
            self.quarter(points=50)

    def is_at_rest(self) -> bool:
        """Tell whether every run has ended, nobody is at work, and every order that arrived is settled."""
        if any(worker.attempts for worker in self.workers) or self.store.rows:
            return False
        runs = [self.log.execution(task_id) for task_id in self.tasks]
        return all(run.phase.ended for run in runs) and not any(
            record.state is OrderState.PLACED or (record.is_open and record.client_order_id in self.venue.book)
            for run in runs
            for record in run.orders.values()
        )

    def _unrest(self) -> list[str]:
        runs = [self.log.execution(task_id) for task_id in self.tasks]
        return [f"{run.id} {run.phase} {list(run.orders.values())}" for run in runs] + [
            repr(row) for row in self.store.rows.values()
        ]

    def close(self) -> None:
        """End every fiber."""
        for worker in self.workers:
            worker.kill()
        for follower in (self.dispatcher, self.resolver, *self.ghosts):
            follower.kill()


FAULTS = tuple(Fault)

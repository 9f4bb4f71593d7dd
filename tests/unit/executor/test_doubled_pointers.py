"""Every Celery message may come twice and in any order: runs end as if each pointer had come once, in order."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest

from shared.domain.phases import Phase
from shared.workflow import Context, Decision, Order, TemporaryError, Workflow
from tests.unit.executor.bench import WORKER, Bench

WAITING = (Phase.WAITING, Phase.RETRY_DUE)
NEVER_SENT = 9
"""An attempt that no run of these tests gets to."""


class Post:
    """What is between dispatcher and workers: a pointer for each run that waits, in as many copies as it is told.

    With `chance` the copies come shuffled, some of them while a step of another delivery is at work.
    """

    def __init__(self, *, copies: int = 1, chance: random.Random | None = None) -> None:
        self.bench = Bench(Workflow("none", title="None"))
        self.bodies: Counter[tuple[UUID, str, str | None]] = Counter()
        self._copies = copies
        self._chance = chance
        self._sent: list[tuple[UUID, int]] = []
        self._under_way: list[tuple[UUID, int]] = []
        workflows = [make(self) for make in WORKFLOWS]
        self.bench.deploy(*workflows)
        self.tasks = [self._submit(workflow, number) for number, workflow in enumerate(workflows)]

    def _submit(self, workflow: Workflow, number: int) -> UUID:
        self.bench.workflow = workflow
        return self.bench.submit("AAPL", "BAD", task_id=UUID(int=number))

    def entered(self, ctx: Context, step: str, symbol: str | None = None) -> None:
        """Note that a step's body is called; in the middle of it, another message may come."""
        self.bodies[UUID(ctx.task_id), step, symbol] += 1
        if self._chance is not None and self._under_way and self._chance.random() < 0.7:
            self._deliver()

    def run(self) -> None:
        """Deliver until nothing is under way; then, if copies come at all, every pointer that ever was once more."""
        while self._send() or self._under_way:
            self._deliver()
        if self._copies > 1:
            for task_id, attempt in [*self._sent, *((task, NEVER_SENT) for task in self.tasks)]:
                assert not self.bench.runner.run(task_id, attempt, worker="late")

    def _send(self) -> bool:
        for task_id in self.tasks:
            run = self.bench.log.execution(task_id)
            if run.phase is Phase.RETRY_WAIT and run.submitted.strategy_id != "cancelled-in-between":
                self.bench.fall_due(task_id)
            elif run.phase is Phase.RETRY_WAIT:
                self.bench.cancel(task_id)
            pointer = (task_id, run.attempts + 1)
            if self.bench.log.execution(task_id).phase in WAITING and pointer not in self._sent:
                self._sent.append(pointer)
                self._under_way += [pointer] * self._copies
        return bool(self._under_way)

    def _deliver(self) -> None:
        at = self._chance.randrange(len(self._under_way)) if self._chance else 0
        task_id, attempt = self._under_way.pop(at)
        self.bench.runner.run(task_id, attempt, worker=f"{WORKER}-{len(self._under_way)}")

    def end(self) -> dict[str, Any]:
        """What is left of it all: streams, results, orders, the venue's book and what it received."""
        runs = [self.bench.log.execution(task_id) for task_id in self.tasks]
        return {
            "topics": [self.bench.topics(task_id) for task_id in self.tasks],
            "phases": [(run.submitted.strategy_id, run.phase, run.attempts) for run in runs],
            "results": [run.result for run in runs],
            "orders": [run.orders for run in runs],
            "bodies": self.bodies,
            "book": self.bench.venue.book,
            "received": Counter(request.client_order_id for request in self.bench.venue.received),
        }


def plain(post: Post) -> Workflow:
    """Two steps that succeed."""
    workflow = Workflow("plain", title="Plain")

    @workflow.step
    def load(ctx: Context) -> int:
        post.entered(ctx, "load")
        return 1

    @workflow.step(each="symbol")
    def look(ctx: Context, symbol: str, load: int) -> str:
        post.entered(ctx, "look", symbol)
        return symbol * load

    return workflow


def retried(post: Post, name: str = "retried") -> Workflow:
    """The second step succeeds at the third attempt."""
    workflow = Workflow(name, title="Retried")

    @workflow.step
    def load(ctx: Context) -> int:
        post.entered(ctx, "load")
        return 1

    @workflow.step
    def busy(ctx: Context, load: int) -> int:
        post.entered(ctx, "busy")
        if ctx.attempt < 3:
            raise TemporaryError("the venue is busy")
        return load + 1

    return workflow


def cancelled_in_between(post: Post) -> Workflow:
    """Cancelled while it waits for its second attempt."""
    return retried(post, "cancelled-in-between")


def trading(post: Post) -> Workflow:
    """Fails once behind its order, and finds it in the ledger afterwards."""
    workflow = Workflow("trading", title="Trading")

    @workflow.step(effect="orders")
    def trade(ctx: Context) -> list[Order]:
        post.entered(ctx, "trade")
        order = ctx.broker.place(Decision(symbol="AAPL", action="buy", quantity=10, reason="cheap"))
        post.entered(ctx, "ordered")
        if ctx.attempt == 1:
            raise TemporaryError("lost the network after the order")
        return [order]

    return workflow


def collecting(post: Post) -> Workflow:
    """Goes on without the symbol that fails."""
    workflow = Workflow("collecting", title="Collecting")

    @workflow.step(each="symbol", on_error="collect")
    def price(ctx: Context, symbol: str) -> int:
        post.entered(ctx, "price", symbol)
        if symbol == "BAD":
            raise ValueError("no such symbol")
        return 1

    return workflow


def cancelled(post: Post) -> Workflow:
    """Is cancelled in the first of its two steps."""
    workflow = Workflow("cancelled", title="Cancelled")

    @workflow.step
    def first(ctx: Context) -> int:
        post.bench.cancel(UUID(ctx.task_id))
        post.entered(ctx, "first")
        return 1

    @workflow.step
    def second(ctx: Context, first: int) -> int:
        post.entered(ctx, "second")
        return first

    return workflow


WORKFLOWS: tuple[Callable[[Post], Workflow], ...] = (
    plain,
    retried,
    cancelled_in_between,
    trading,
    collecting,
    cancelled,
)


@pytest.mark.parametrize("copies", [2, 3])
@pytest.mark.parametrize("seed", range(20))
def test_pointers_that_come_twice_and_in_any_order_end_as_if_each_came_once(seed: int, copies: int) -> None:
    """Streams, steps that were called, orders and the venue's book are those of a post that never errs."""
    orderly = Post()
    orderly.run()
    doubled = Post(copies=copies, chance=random.Random(seed))
    doubled.run()

    assert doubled.end() == orderly.end()


def test_what_the_orderly_post_ends_in_is_what_the_workflows_say() -> None:
    """What the others are compared with is right: one success each, but for those cancelled; one order."""
    post = Post()
    post.run()
    end = post.end()

    assert end["phases"] == [
        ("plain", Phase.SUCCEEDED, 1),
        ("retried", Phase.SUCCEEDED, 3),
        ("cancelled-in-between", Phase.CANCELLED, 1),
        ("trading", Phase.SUCCEEDED, 2),
        ("collecting", Phase.SUCCEEDED, 1),
        ("cancelled", Phase.CANCELLED, 1),
    ]
    assert list(end["received"].values()) == [1]
    assert max(count for (_, step, _), count in end["bodies"].items() if step in ("load", "first", "look")) == 1

"""A runner on a log in memory, with a clock that stands still and a venue that does as it is told."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import httpx

from services.executor.branch_runner import BranchRunner
from services.executor.contexts import Contexts, World
from services.executor.interruption import Interruptions
from services.executor.runner import Runner
from shared.domain.branch import Branch
from shared.domain.events import Event
from shared.domain.execution import WorkflowExecution
from shared.domain.orders import OrderState
from shared.domain.phases import Phase
from shared.domain.priority import Priority
from shared.log.recorder import Guard
from shared.objects.memory import MemoryObjectStore
from shared.result_backend import ResultMeta
from shared.trading.broker import OrderReport, OrderRequest
from shared.workflow import Context, Decision, Order, Workflow
from shared.workflow.registry import Registry
from tests.builders import NOW, outcome, stamp, submitted
from tests.memory_log import MemoryEventLog

WORKER = "executor@test"


class Clock:
    """A time that moves when it is told to."""

    def __init__(self) -> None:
        self.at = NOW

    def __call__(self) -> datetime:
        """Return the present moment."""
        return self.at

    def forward(self, **duration: float) -> None:
        """Let time pass."""
        self.at += timedelta(**duration)


class Venue:
    """A broker in memory that raises what `answers` holds for the next submissions, then fills at 10 dollars."""

    def __init__(self, *, refuses_duplicates: bool = True) -> None:
        self.refuses_duplicates = refuses_duplicates
        self.answers: list[Exception | None] = []
        self.arrives_anyway = False
        self.fills = True
        self.on_arrival: Callable[[], None] = lambda: None
        self.received: list[OrderRequest] = []
        self.book: dict[str, OrderReport] = {}

    def submit(self, request: OrderRequest) -> OrderReport:
        """Take an order, or raise the next answer; with `arrives_anyway` it is in the book all the same.

        `on_arrival` is called first. Without `fills` orders are placed and stay so.
        """
        self.on_arrival()
        self.received.append(request)
        answer = self.answers.pop(0) if self.answers else None
        if answer is None or self.arrives_anyway:
            self.book.setdefault(request.client_order_id, _filled(request) if self.fills else _placed(request))
        if answer is not None:
            raise answer
        return self.book[request.client_order_id]

    def find(self, client_order_id: str) -> OrderReport | None:
        """Return what is in the book."""
        return self.book.get(client_order_id)

    def cash(self) -> Decimal:
        """Return no cash."""
        return Decimal(0)

    def positions(self) -> dict[str, Decimal]:
        """Return no positions."""
        return {}


def _placed(request: OrderRequest) -> OrderReport:
    nothing: dict[str, Any] = {"filled_quantity": Decimal(0), "average_price": None, "fees": None, "filled_at": None}
    return replace(_filled(request), state=OrderState.PLACED, **nothing)


def _filled(request: OrderRequest) -> OrderReport:
    return OrderReport(
        client_order_id=request.client_order_id,
        venue_order_id=f"v-{request.client_order_id[-4:]}",
        symbol=request.symbol,
        side=request.side,
        quantity=request.quantity,
        limit_price=request.limit_price,
        state=OrderState.FILLED,
        submitted_at=NOW,
        filled_quantity=request.quantity,
        average_price=Decimal(10),
        fees=Decimal(1),
        filled_at=NOW,
    )


@dataclass
class RecordedProgress:
    """A board that keeps every report."""

    metas: list[ResultMeta] = field(default_factory=list)

    def put(self, meta: ResultMeta, *, ttl_seconds: float) -> None:
        """Keep `meta`."""
        self.metas.append(meta)


def no_market_data() -> Any:
    """Fail: these workflows bring their own numbers."""
    raise AssertionError("no step of these tests reads prices")


class MeddlingLog(MemoryEventLog):
    """A log in which others are faster: what they do happens just before an append, or a look at a stage's end.

    Each deed is done once. `before_append` are done before an append with an event of the topic that they stand under.
    """

    def __init__(self) -> None:
        super().__init__()
        self.before_append: dict[str, Callable[[], object]] = {}
        self.before_look: list[Callable[[], object]] = []

    def append(self, events: Sequence[Event], *, guard: Guard | None = None) -> list[int]:
        """Let the others go first."""
        for event in events:
            if (deed := self.before_append.pop(event.TOPIC, None)) is not None:
                deed()
        return super().append(events, guard=guard)

    def have_all_ended(self, branches: Sequence[UUID]) -> bool:
        """Let the others go first."""
        if self.before_look:
            self.before_look.pop()()
        return super().have_all_ended(branches)


class Bench:
    """Runs attempts of one workflow."""

    def __init__(self, workflow: Workflow, *, venue: Venue | None = None, log: MemoryEventLog | None = None) -> None:
        self.workflow = workflow
        self.log = log or MemoryEventLog()
        self.clock = Clock()
        self.venue = venue or Venue()
        self.objects = MemoryObjectStore()
        self.board = RecordedProgress()
        self.interruptions = Interruptions()
        self.runner = self._worker_with(workflow)

    def deploy(self, *workflows: Workflow) -> None:
        """Start the worker again with other definitions; the current one among them is submitted from now on."""
        self.runner = self._worker_with(*workflows)
        self.workflow = next((workflow for workflow in workflows if not workflow.retired), self.workflow)

    def _worker_with(self, *workflows: Workflow) -> Runner:
        contexts = Contexts(
            objects=self.objects,
            registry=Registry(
                workflows={workflow.name: workflow for workflow in workflows if not workflow.retired},
                retired=tuple(workflow for workflow in workflows if workflow.retired),
                broken=(),
            ),
            world=World(market_data=no_market_data, broker=lambda: self.venue, http=httpx.Client),
            now=self.clock,
        )
        shared: dict[str, Any] = {
            "log": self.log,
            "contexts": contexts,
            "board": self.board,
            "now": self.clock,
        }
        self.branch_runner = BranchRunner(**shared, interruptions=self.interruptions)
        return Runner(**shared, interruptions=self.interruptions)

    def submit(self, *symbols: str, **changes: Any) -> UUID:
        """Put a run of the workflow into the log."""
        described = self.workflow.describe()
        fields: dict[str, Any] = {
            "strategy_id": self.workflow.name,
            "symbols": symbols or ("AAPL", "MSFT"),
            "priority": Priority.NORMAL,
            "parameters": {},
            "steps": described.steps,
            "definition_hash": described.definition_hash,
            "max_retries": described.max_retries,
        }
        execution = submitted(**(fields | changes))
        self.log.save_execution(execution)
        return execution.id

    def run(self, task_id: UUID, attempt: int = 1) -> WorkflowExecution:
        """Run one attempt and return the run as the log then has it."""
        assert self.runner.run(task_id, attempt, worker=WORKER)
        return self.log.execution(task_id)

    def opened(self, *symbols: str, **changes: Any) -> WorkflowExecution:
        """Put a run into the log and run it up to its first stage."""
        run = self.run(self.submit(*symbols, **changes))
        assert run.phase is Phase.AT_JOIN
        return run

    def run_member(
        self,
        run: WorkflowExecution,
        symbol: str | None,
        *,
        step: str = "look",
        attempt: int = 1,
        worker: str = WORKER,
        opening: int | None = None,
    ) -> bool:
        """Run one attempt of a member as the pointer to it says; tell whether it was claimed."""
        return self.branch_runner.run(
            run.id,
            opening=run.opening if opening is None else opening,
            step=step,
            symbol=symbol,
            attempt=attempt,
            worker=worker,
        )

    def run_stage(self, run: WorkflowExecution) -> WorkflowExecution:
        """Run the first attempts of all members of a stage that have none yet, and return the run after them."""
        for branch in run.stage():
            if branch.phase is Phase.WAITING:
                self.run_member(run, branch.symbol, step=branch.step)
        return self.log.execution(run.id)

    def member(self, run: WorkflowExecution, symbol: str | None, *, step: str = "look") -> Branch:
        """Return a member of the stage that `run` has opened, as the log has it."""
        return self.log.execution(run.id).branch(run.opening, step, symbol)

    def change_member(self, run: WorkflowExecution, symbol: str | None, command: Callable[[Branch], None]) -> None:
        """Append what somebody else decides on a member of the step `look`."""
        self.change(run.id, lambda now: command(now.branch(run.opening, "look", symbol)))

    def fill_order(self, task_id: UUID) -> None:
        """Have the venue fill the run's only order, as the resolver hears of it."""
        (name,) = self.log.execution(task_id).orders
        filled = outcome(state="filled", filled_quantity="1")
        self.change(task_id, lambda run: run.follow_order(stamp(), client_order_id=name, outcome=filled))

    def fall_due(self, task_id: UUID) -> None:
        """End the delay of a retry, as the dispatcher does."""
        self.change(task_id, lambda execution: execution.fall_due(stamp(actor="executor.dispatcher")))

    def cancel(self, task_id: UUID) -> None:
        """Ask for the run to stop, as the gateway does."""
        self.change(task_id, lambda execution: execution.request_cancel(stamp(), reason="enough"))

    def change(self, task_id: UUID, command: Callable[[WorkflowExecution], None]) -> None:
        """Append what somebody else decides."""
        execution = self.log.execution(task_id)
        command(execution)
        self.log.save_execution(execution)

    def topics(self, task_id: UUID) -> list[str]:
        """Return what has happened to a run, by name."""
        return [event.TOPIC.removeprefix("execution.") for event in self.log.stream(task_id)]

    def result(self, execution: WorkflowExecution) -> dict[str, Any]:
        """Return the result that stands in the log."""
        assert execution.result is not None
        result: dict[str, Any] = execution.result.inline
        return result


def looking(body: Callable[[Context, str], Any], *, trades: bool = False, **options: Any) -> Workflow:
    """A workflow of one step, `look`, that runs for each symbol side by side; with `trades` an order goes before it."""
    workflow = Workflow("looking", title="Test", max_retries=1)
    if trades:

        @workflow.step(effect="orders")
        def trade(ctx: Context) -> Order:
            return ctx.broker.place(Decision(symbol="AAPL", action="buy", quantity=1, reason="cheap"))

    @workflow.step(each="symbol", parallel=True, **options)
    def look(ctx: Context, symbol: str) -> Any:
        return body(ctx, symbol)

    return workflow


def states(orders: Sequence[dict[str, Any]]) -> list[str]:
    """The states of a result's orders."""
    return [order["state"] for order in orders]

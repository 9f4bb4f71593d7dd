"""The workflows that are simulated; their steps note each call, and fail as the history wants."""

from collections.abc import Callable
from uuid import UUID

from shared.workflow import Context, Decision, Order, PermanentError, TemporaryError, Workflow
from tests.simulation.fibers import Killed

SYMBOLS = ("AAPL", "MSFT")
MAX_RETRIES = 3
Body = Callable[[Context, str, str | None], None]
"""Called where a step's own code would be: with its context, step and symbol."""


def looking(body: Body) -> Workflow:
    """Return one that looks at each symbol, goes on without those that failed, and joins."""
    workflow = Workflow("looking", title="Test", max_retries=MAX_RETRIES)

    @workflow.step(each="symbol", on_error="collect")
    def look(ctx: Context, symbol: str) -> str:
        body(ctx, "look", symbol)
        return symbol.lower()

    @workflow.step
    def join(ctx: Context, look: dict[str, str]) -> str:
        body(ctx, "join", None)
        return "+".join(look.values())

    return workflow


def spreading(body: Body) -> Workflow:
    """Return one that looks at each symbol side by side, twice, draws two charts side by side, and joins."""
    workflow = Workflow("spreading", title="Test", max_retries=MAX_RETRIES)

    @workflow.step(each="symbol", parallel=True, on_error="collect", max_parallel=2)
    def fetch(ctx: Context, symbol: str) -> str:
        body(ctx, "fetch", symbol)
        return symbol.lower()

    @workflow.step(each="symbol", parallel=True, limits={"venue": 1})
    def rate(ctx: Context, symbol: str, fetch: str) -> str:
        body(ctx, "rate", symbol)
        return fetch * 2

    @workflow.step(group="charts")
    def daily(ctx: Context, rate: dict[str, str]) -> int:
        body(ctx, "daily", None)
        return len(rate)

    @workflow.step(group="charts", preemptible=False)
    def weekly(ctx: Context, rate: dict[str, str]) -> int:
        body(ctx, "weekly", None)
        return len(rate)

    @workflow.step
    def total(ctx: Context, daily: int, weekly: int) -> int:
        body(ctx, "total", None)
        return daily + weekly

    return workflow


def trading(body: Body) -> Workflow:
    """Return one that decides, places two orders, and reports."""
    workflow = Workflow("trading", title="Test", max_retries=MAX_RETRIES)

    @workflow.step
    def decide(ctx: Context) -> list[Decision]:
        body(ctx, "decide", None)
        return [Decision(symbol=symbol, action="buy", quantity=1, reason="test") for symbol in SYMBOLS]

    @workflow.step(effect="orders")
    def trade(ctx: Context, decide: list[Decision]) -> list[Order]:
        body(ctx, "trade", None)
        return [ctx.broker.place(decision) for decision in decide]

    @workflow.step
    def report(ctx: Context, trade: list[Order]) -> int:
        body(ctx, "report", None)
        return len(trade)

    return workflow


class Trouble:
    """What the steps of a run are to meet: so many temporary failures, then a permanent one if `for_good`.

    A `deadly` one brings its process down each time.
    """

    def __init__(self, temporary: int = 0, *, for_good: bool = False, deadly: bool = False) -> None:
        self.temporary = temporary
        self.for_good = for_good
        self.deadly = deadly

    def strike(self) -> None:
        """Raise what comes next, if anything does."""
        if self.deadly:
            raise Killed
        if self.temporary:
            self.temporary -= 1
            raise TemporaryError("busy")
        if self.for_good:
            self.for_good = False
            raise PermanentError("never")


Call = tuple[UUID, str, str | None, int]
"""A step's code was entered: task, step, symbol, attempt."""

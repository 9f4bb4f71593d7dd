"""`shared.testing.run`: what users' own tests stand on."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx
import polars as pl
import pytest
from pydantic import BaseModel, Field

from shared.domain.errors import InvalidInput
from shared.testing import FakeBroker, MemoryMarketData, bars, run
from shared.testing.runner import TASK_ID
from shared.workflow import Context, Decision, Order, PermanentError, TemporaryError, Workflow
from shared.workflow.context import Position, Progress
from shared.workflow.orders import OrderState, Side
from shared.workflow.steps import DeclarationError


class Parameters(BaseModel):
    """The parameters of the strategy below."""

    lookback: int = Field(3, ge=2)


mean_reversion = Workflow("mean-reversion", title="Buy what fell", parameters=Parameters)


@mean_reversion.step(each="symbol")
def history(ctx: Context[Parameters], symbol: str) -> pl.DataFrame:
    """Read the bars."""
    return ctx.market_data.daily(symbol, bars=250)


@mean_reversion.step(each="symbol", on_error="collect")
def signal(ctx: Context[Parameters], symbol: str, history: pl.DataFrame) -> float:
    """Compare the last close with the mean."""
    close = history["close"].to_list()
    if len(close) < ctx.parameters.lookback:
        raise ValueError(f"{symbol} has {len(close)} bars only")
    mean = sum(close[-ctx.parameters.lookback :]) / ctx.parameters.lookback
    return float((close[-1] - mean) / close[-1])


@mean_reversion.step
def decide(ctx: Context[Parameters], signal: dict[str, float]) -> list[Decision]:
    """Buy what is below its mean."""
    ctx.artifact("signals.json", signal)
    ctx.progress(1, 1, "decided")
    ctx.log.info("decided", symbols=len(signal))
    return [
        Decision(symbol=symbol, action=Side.BUY, quantity=Decimal(10), reason=f"{value:.1%} off its mean")
        for symbol, value in signal.items()
        if value < 0
    ]


@mean_reversion.step(effect="orders")
def trade(ctx: Context[Parameters], decide: list[Decision]) -> list[Order]:
    """Place the orders."""
    return [ctx.broker.place(decision) for decision in decide]


PRICES = MemoryMarketData({"MSFT": bars([30, 20, 10]), "IBM": bars([10, 20, 30]), "NEW": bars([1])})


def test_a_strategy_runs_to_its_orders() -> None:
    """The contract's own example: data, signals, decisions, orders, collected errors, artifacts, progress, logs."""
    outcome = run(mean_reversion, ["MSFT", "IBM", "NEW"], market_data=PRICES, broker=FakeBroker({"MSFT": 11}))
    assert (outcome.state, outcome.error) == ("SUCCESS", None)
    assert outcome.outputs["signal"] == {"MSFT": -1.0, "IBM": 1 / 3}
    assert [(decision.symbol, decision.reason) for decision in outcome.decisions] == [("MSFT", "-100.0% off its mean")]
    [order] = outcome.orders
    assert (order.symbol, order.state, order.average_price) == ("MSFT", OrderState.FILLED, Decimal(11))
    assert outcome.outputs["trade"] == outcome.orders
    [collected] = outcome.errors
    assert (collected.step, collected.symbol, collected.failure.message) == ("signal", "NEW", "NEW has 1 bars only")
    assert outcome.artifacts == {"signals.json": b'{"MSFT":-1.0,"IBM":0.3333333333333333}'}
    assert outcome.progress == [(Position("decide"), Progress(1, 1, "decided"))]
    assert [line["event"] for line in outcome.logs] == ["decided"]
    assert outcome.retries == []


def test_parameters_are_checked_like_those_of_a_task() -> None:
    """As a mapping or as the model."""
    by_mapping = run(mean_reversion, ["NEW", "IBM"], market_data=PRICES, parameters={"lookback": 2})
    by_model = run(mean_reversion, ["NEW", "IBM"], market_data=PRICES, parameters=Parameters(lookback=2))
    assert by_mapping.outputs["signal"] == by_model.outputs["signal"] == {"IBM": 1 / 6}
    with pytest.raises(InvalidInput, match=r"parameters\.lookback"):
        run(mean_reversion, ["IBM"], market_data=PRICES, parameters={"lookback": 1})


def test_a_run_as_of_a_day_sees_nothing_after_it() -> None:
    """Not even a strategy that asks for it."""
    workflow = Workflow("peek", title="Peek")

    @workflow.step
    def last_days(ctx: Context) -> list[date]:
        asked = [None, date(2024, 1, 2), date(2030, 1, 1)]
        return [ctx.market_data.daily("MSFT", until=until)["date"][-1] for until in asked]

    @workflow.step
    def now(ctx: Context) -> datetime:
        return ctx.now()

    outcome = run(workflow, ["MSFT"], market_data=PRICES, as_of=date(2024, 1, 3))
    assert outcome.outputs["last_days"] == [date(2024, 1, 3), date(2024, 1, 2), date(2024, 1, 3)]
    assert outcome.outputs["now"] == datetime(2024, 1, 3, 23, 59, 59, tzinfo=UTC)
    at = datetime(2024, 1, 2, 20, tzinfo=UTC)
    assert run(workflow, ["MSFT"], market_data=PRICES, as_of=at).outputs["last_days"][0] == date(2024, 1, 2)
    with pytest.raises(ValueError, match="time zone"):
        run(workflow, ["MSFT"], as_of=datetime(2024, 1, 2))  # noqa: DTZ001


def failing(errors: list[Exception], **options: Any) -> Workflow:
    """Return a workflow whose one step raises each of `errors` once, and then returns its attempt."""
    workflow = Workflow("failing", title="Failing", **options)

    @workflow.step
    def only(ctx: Context) -> int:
        if errors:
            raise errors.pop(0)
        return ctx.attempt

    return workflow


def test_a_step_knows_for_which_time_its_run_was_fired() -> None:
    """A schedule's time in a scheduled run, nothing in any other."""
    workflow = Workflow("scheduled", title="Scheduled")

    @workflow.step
    def when(ctx: Context) -> str | None:
        return ctx.scheduled_at.isoformat() if ctx.scheduled_at else None

    nominal = datetime(2026, 11, 25, 14, 35, tzinfo=UTC)
    assert run(workflow, ["MSFT"], scheduled_at=nominal).outputs["when"] == nominal.isoformat()
    assert run(workflow, ["MSFT"]).outputs["when"] is None


def test_retries_wait_1_2_4_8_seconds_exactly() -> None:
    """SPEC R5.1; and nobody waits for them in a test."""
    outcome = run(failing([TemporaryError("busy") for _ in range(4)]), ["MSFT"], max_retries=4)
    assert [retry.delay for retry in outcome.retries] == [timedelta(seconds=s) for s in (1, 2, 4, 8)]
    assert [retry.number for retry in outcome.retries] == [1, 2, 3, 4]
    assert (outcome.state, outcome.outputs) == ("SUCCESS", {"only": 5})


def test_after_the_last_retry_the_run_fails() -> None:
    """Three retries unless the workflow says otherwise; the error is the last one."""
    outcome = run(failing([TemporaryError(f"busy {n}") for n in range(9)]), ["MSFT"])
    assert len(outcome.retries) == 3
    assert outcome.state == "FAILURE"
    assert outcome.error is not None
    assert (outcome.error.step, outcome.error.failure.message) == ("only", "busy 3")


def test_the_other_sides_patience_is_honoured_when_it_is_longer() -> None:
    """A `retry_after` of 5 s beats the first delay of 2 s; one of 1 s does not shorten the second of 4 s."""
    errors: list[Exception] = [TemporaryError("busy", retry_after=5), TemporaryError("busy", retry_after=1)]
    outcome = run(failing(errors, first_retry_delay=timedelta(seconds=2)), ["MSFT"])
    assert [retry.delay for retry in outcome.retries] == [timedelta(seconds=5), timedelta(seconds=4)]


def test_a_permanent_error_is_not_tried_again() -> None:
    """SPEC R5.2: at once, with the traceback; what finished before stays readable."""
    outcome = run(mean_reversion, ["GONE"], market_data=PRICES)
    assert (outcome.state, outcome.retries, outcome.outputs["history"]) == ("FAILURE", [], {})
    assert outcome.error is not None
    assert (outcome.error.symbol, outcome.error.failure.type) == ("GONE", "UnknownSymbol")
    assert "in history" in outcome.error.failure.traceback


def test_retries_are_counted_for_each_symbol_and_a_step_may_have_its_own_number() -> None:
    """A weak connection to one venue does not eat up the retries of another; then the error is collected."""
    calls: list[str] = []
    workflow = Workflow("test", title="Test", max_retries=0)

    @workflow.step(each="symbol", on_error="collect", max_retries=2)
    def quote(ctx: Context, symbol: str) -> int:
        calls.append(symbol)
        if symbol == "IBM" or calls.count(symbol) < 2:
            raise TimeoutError(symbol)
        return calls.count(symbol)

    outcome = run(workflow, ["MSFT", "IBM", "GOOG"])
    assert calls == ["MSFT", "MSFT", "IBM", "IBM", "IBM", "GOOG", "GOOG"]
    assert (outcome.state, outcome.outputs) == ("SUCCESS", {"quote": {"MSFT": 2, "GOOG": 2}})
    assert [(error.symbol, error.failure.type) for error in outcome.errors] == [("IBM", "TimeoutError")]


def test_what_would_not_survive_the_log_fails_in_the_test_already() -> None:
    """Outputs go to the log's form and back, as in production."""
    workflow = Workflow("test", title="Test")

    @workflow.step
    def pair(ctx: Context):  # type: ignore[no-untyped-def]
        return (1, 2)

    outcome = run(workflow, ["MSFT"])
    assert outcome.error is not None
    assert outcome.error.failure.type == "OutputRefused"
    assert "would come back as [1, 2]" in outcome.error.failure.message


def test_what_a_test_does_not_give_is_asked_for() -> None:
    """The real thing is never reached by accident."""
    workflow = Workflow("test", title="Test")

    @workflow.step
    def fetch(ctx: Context) -> str:
        return ctx.http.get("https://example.test/quote").text

    outcome = run(workflow, ["MSFT"])
    assert outcome.error is not None
    assert "call run(..., http=httpx.Client(transport=httpx.MockTransport" in outcome.error.failure.message
    outcome = run(mean_reversion, ["MSFT"])
    assert outcome.error is not None
    assert "market_data=MemoryMarketData" in outcome.error.failure.message
    with httpx.Client(transport=httpx.MockTransport(lambda request: httpx.Response(200, text="42"))) as client:
        assert run(workflow, ["MSFT"], http=client).outputs == {"fetch": "42"}


def test_a_workflow_that_cannot_run_is_refused_before_it_starts() -> None:
    """As the registry would."""
    with pytest.raises(DeclarationError, match="has no steps"):
        run(Workflow("empty", title="Empty"), ["MSFT"])


def test_an_order_is_placed_once_however_often_its_step_is_tried() -> None:
    """The ids of the first try are found again in the second."""
    workflow = Workflow("test", title="Test")
    tries: list[int] = []

    @workflow.step(effect="orders")
    def trade_twice(ctx: Context) -> list[Order]:
        buy = Decision(symbol="MSFT", action=Side.BUY, quantity=Decimal(1), reason="test")
        orders = [ctx.broker.place(buy), ctx.broker.place(buy), ctx.broker.place(buy, key="hedge")]
        tries.append(ctx.attempt)
        if len(tries) == 1:
            raise TemporaryError("the answer was lost")
        return orders

    outcome = run(workflow, ["MSFT"], broker=FakeBroker(100))
    assert tries == [1, 2]
    assert [order.client_order_id for order in outcome.orders] == [
        f"{TASK_ID}-trade_twice--{mark}" for mark in ("1", "2", "hedge")
    ]


def test_a_step_that_decides_otherwise_on_its_second_try_is_stopped() -> None:
    """The same client order id must never stand for two orders."""
    workflow = Workflow("test", title="Test")

    @workflow.step(effect="orders")
    def fickle(ctx: Context) -> Order:
        order = ctx.broker.place(Decision(symbol="MSFT", action=Side.BUY, quantity=Decimal(ctx.attempt), reason="test"))
        if ctx.attempt == 1:
            raise TemporaryError("the answer was lost")
        return order

    outcome = run(workflow, ["MSFT"], broker=FakeBroker(100))
    assert outcome.error is not None
    assert "place(d, key=...)" in outcome.error.failure.message
    assert [order.quantity for order in outcome.orders] == [Decimal(1)]


def test_decisions_of_single_symbols_are_collected_too() -> None:
    """A step for each symbol may decide alone."""
    workflow = Workflow("test", title="Test")

    @workflow.step(each="symbol")
    def choose(ctx: Context, symbol: str) -> Decision:
        return Decision(symbol=symbol, action=Side.SELL, quantity=Decimal(1), reason="test")

    assert [d.symbol for d in run(workflow, ["MSFT", "IBM"]).decisions] == ["MSFT", "IBM"]


def test_a_venue_may_be_down_at_first() -> None:
    """`errors` of the fake broker are raised one by one."""
    broker = FakeBroker(11, errors=[TemporaryError("closed"), PermanentError("the account is blocked")])
    outcome = run(mean_reversion, ["MSFT"], market_data=PRICES, broker=broker)
    assert outcome.error is not None
    assert (len(outcome.retries), outcome.error.failure.message) == (1, "the account is blocked")
    assert outcome.orders == []
    assert [decision.symbol for decision in outcome.decisions] == ["MSFT"]

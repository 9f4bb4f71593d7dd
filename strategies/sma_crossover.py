"""Trend following by two moving averages: buy when the fast one rises above the slow one, sell when it falls below."""

from datetime import date
from enum import StrEnum
from typing import Self

import polars as pl
from pydantic import BaseModel, Field, model_validator

from shared.market_data.indicators import crossovers, sma
from shared.workflow import Context, Decision, Order, PermanentError, Workflow


class Parameters(BaseModel):
    """What a user may choose."""

    fast: int = Field(20, ge=2, le=250, description="bars in the fast average; fewer than in the slow one")
    slow: int = Field(50, ge=3, le=500, description="bars in the slow average")
    within: int = Field(1, ge=1, le=20, description="bars in which a crossover still counts; 1 is the newest only")
    quantity: int = Field(10, ge=1, le=1_000_000, description="shares in each order")
    bars: int = Field(250, ge=4, le=5_000, description="bars of history to load")
    as_of: date | None = Field(None, description="decide after the close of this day; by default on the newest bar")

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        if self.fast >= self.slow:
            raise ValueError(f"fast ({self.fast}) must be below slow ({self.slow})")
        if self.bars < self.slow + self.within:
            raise ValueError(f"bars ({self.bars}) must be at least slow + within ({self.slow + self.within})")
        return self


class Crossover(StrEnum):
    """Which way the fast average crossed the slow one: a golden cross upwards, a death cross downwards."""

    GOLDEN = "golden"
    DEATH = "death"


class Signal(BaseModel):
    """Where one symbol stands after its newest bar; prices in US dollars a share."""

    day: date
    close: float
    fast: float
    slow: float
    crossover: Crossover | None
    crossed_on: date | None


workflow = Workflow(
    "sma-crossover",
    title="Moving average crossover",
    description="Buys after a golden cross of two moving averages of the close, sells after a death cross.",
    parameters=Parameters,
)


@workflow.step(each="symbol", on_error="collect")
def bars(ctx: Context[Parameters], symbol: str) -> pl.DataFrame:
    """Load the history that the averages need."""
    return ctx.market_data.daily(symbol, bars=ctx.parameters.bars, until=ctx.parameters.as_of)


@workflow.step(each="symbol", on_error="collect")
def signal(ctx: Context[Parameters], symbol: str, bars: pl.DataFrame) -> Signal:
    """Compare the averages, and look for a crossover in the newest bars."""
    wanted = ctx.parameters.slow + ctx.parameters.within
    if bars.height < wanted:
        raise PermanentError(
            f"{symbol} has {bars.height} bars up to {bars['date'][-1]} and the averages need {wanted}: "
            "decide as of a later day, or shorten the slow average."
        )
    averaged = with_averages(bars, ctx.parameters.fast, ctx.parameters.slow)
    newest = averaged.row(-1, named=True)
    crossed = averaged.tail(ctx.parameters.within).filter(pl.col("crossover") != 0)
    latest = crossed.row(-1, named=True) if crossed.height else None
    return Signal(
        day=newest["date"],
        close=newest["close"],
        fast=newest["fast"],
        slow=newest["slow"],
        crossover=(Crossover.GOLDEN if latest["crossover"] > 0 else Crossover.DEATH) if latest else None,
        crossed_on=latest["date"] if latest else None,
    )


@workflow.step
def decide(ctx: Context[Parameters], signal: dict[str, Signal]) -> list[Decision]:
    """Follow each crossover."""
    return [
        Decision(
            symbol=symbol,
            action="buy" if seen.crossover is Crossover.GOLDEN else "sell",
            quantity=ctx.parameters.quantity,
            reason=reason(seen, ctx.parameters),
            as_of=seen.day,
        )
        for symbol, seen in signal.items()
        if seen.crossover
    ]


@workflow.step(effect="orders")
def trade(ctx: Context[Parameters], decide: list[Decision]) -> list[Order]:
    """Send the orders."""
    return [ctx.broker.place(decision) for decision in decide]


def with_averages(bars: pl.DataFrame, fast: int, slow: int) -> pl.DataFrame:
    """Return the bars with columns `fast`, `slow` and `crossover` (1 golden, -1 death, else 0)."""
    averaged = bars.with_columns(fast=sma(bars["close"], fast), slow=sma(bars["close"], slow))
    return averaged.with_columns(crossover=crossovers(averaged["fast"], averaged["slow"]))


def reason(seen: Signal, parameters: Parameters) -> str:
    """Return the sentence that a trader reads beside the order."""
    rose = seen.crossover is Crossover.GOLDEN
    return (
        f"{'Golden' if rose else 'Death'} cross on {seen.crossed_on}: the {parameters.fast}-day average of the close "
        f"{'rose above' if rose else 'fell below'} the {parameters.slow}-day one. "
        f"On {seen.day} they are {seen.fast:.2f} and {seen.slow:.2f}, and the close is {seen.close:.2f}."
    )

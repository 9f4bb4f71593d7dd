"""Mean reversion by Wilder's relative strength index: buy when it comes back up from oversold, sell the reverse."""

from datetime import date
from typing import Self

import polars as pl
from pydantic import BaseModel, Field, model_validator

from shared.market_data.indicators import wilder_rsi
from shared.workflow import Context, Decision, Order, PermanentError, Workflow


class Parameters(BaseModel):
    """What a user may choose."""

    window: int = Field(14, ge=2, le=100, description="bars in the index; 14 is Wilder's own choice")
    oversold: float = Field(30, gt=0, lt=100, description="a rise from below to above this is a buy")
    overbought: float = Field(70, gt=0, lt=100, description="a fall from above to below this is a sale")
    quantity: int = Field(10, ge=1, le=1_000_000, description="shares in each order")
    bars: int = Field(250, ge=4, le=5_000, description="bars to load; the smoothing needs many windows to settle")
    as_of: date | None = Field(None, description="decide after the close of this day; by default on the newest bar")

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        if self.oversold >= self.overbought:
            raise ValueError(f"oversold ({self.oversold}) must be below overbought ({self.overbought})")
        if self.bars < self.window + 2:
            raise ValueError(f"bars ({self.bars}) must be at least window + 2 ({self.window + 2})")
        return self


class Strength(BaseModel):
    """The index (0 to 100) after the newest bar and after the one before."""

    day: date
    close: float
    now: float
    before: float


workflow = Workflow(
    "rsi-reversion",
    title="RSI mean reversion",
    description="Buys when Wilder's RSI comes back up from oversold, sells when it comes back down from overbought.",
    parameters=Parameters,
)


@workflow.step(each="symbol", on_error="collect")
def bars(ctx: Context[Parameters], symbol: str) -> pl.DataFrame:
    """Load the history that the index needs."""
    return ctx.market_data.daily(symbol, bars=ctx.parameters.bars, until=ctx.parameters.as_of)


@workflow.step(each="symbol", on_error="collect")
def strength(ctx: Context[Parameters], symbol: str, bars: pl.DataFrame) -> Strength:
    """Compute the index for the last two bars."""
    wanted = ctx.parameters.window + 2
    if bars.height < wanted:
        raise PermanentError(
            f"{symbol} has {bars.height} bars up to {bars['date'][-1]} and the index needs {wanted}: "
            "decide as of a later day, or shorten the window."
        )
    index = wilder_rsi(bars["close"], ctx.parameters.window)
    return Strength(day=bars["date"][-1], close=bars["close"][-1], now=index[-1], before=index[-2])


@workflow.step
def decide(ctx: Context[Parameters], strength: dict[str, Strength]) -> list[Decision]:
    """Buy what recovers from oversold, sell what recovers from overbought."""
    decisions = []
    for symbol, seen in strength.items():
        if seen.before < ctx.parameters.oversold <= seen.now:
            action, limit = "buy", f"rose back above {ctx.parameters.oversold:g}"
        elif seen.before > ctx.parameters.overbought >= seen.now:
            action, limit = "sell", f"fell back below {ctx.parameters.overbought:g}"
        else:
            continue
        decisions.append(
            Decision(
                symbol=symbol,
                action=action,
                quantity=ctx.parameters.quantity,
                reason=f"RSI({ctx.parameters.window}) {limit}: {seen.before:.1f} to {seen.now:.1f} "
                f"on {seen.day}; last close {seen.close:.2f}.",
                as_of=seen.day,
            )
        )
    return decisions


@workflow.step(effect="orders")
def trade(ctx: Context[Parameters], decide: list[Decision]) -> list[Order]:
    """Send the orders."""
    return [ctx.broker.place(decision) for decision in decide]

"""Cross-sectional momentum: rank all symbols by their past return, and buy the strongest for equal amounts.

N. Jegadeesh and S. Titman, "Returns to Buying Winners and Selling Losers", Journal of Finance 48 (1993). The latest
month is left out of the return, as short-term reversal would blur it.
"""

from datetime import date
from typing import Self

import polars as pl
from pydantic import BaseModel, Field, model_validator

from shared.market_data.indicators import momentum
from shared.workflow import Context, Decision, Order, PermanentError, Workflow


class Parameters(BaseModel):
    """What a user may choose."""

    lookback: int = Field(252, ge=2, le=1_000, description="bars ago at which the return begins; 252 is a year")
    skip: int = Field(21, ge=0, le=250, description="newest bars left out of the return; 21 is a month")
    top: int = Field(2, ge=1, le=50, description="how many of the strongest to buy")
    budget: int = Field(10_000, ge=1, le=100_000_000, description="US dollars for each of them")
    as_of: date | None = Field(None, description="decide after the close of this day; by default on the newest bar")

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        if self.skip >= self.lookback:
            raise ValueError(f"skip ({self.skip}) must be below lookback ({self.lookback})")
        return self


class Strength(BaseModel):
    """The past return of one symbol (0.1 is 10 %), and its newest close in US dollars a share."""

    symbol: str
    day: date
    close: float
    past_return: float


workflow = Workflow(
    "momentum-rank",
    title="Momentum ranking",
    description="Ranks all symbols by their return over the past year without its last month, and buys the best.",
    parameters=Parameters,
)


# A ranking of some of the symbols is another ranking: here, one symbol without data ends the run.
@workflow.step(each="symbol")
def bars(ctx: Context[Parameters], symbol: str) -> pl.DataFrame:
    """Load exactly the history that the return needs."""
    wanted = ctx.parameters.lookback + 1
    history = ctx.market_data.daily(symbol, bars=wanted, until=ctx.parameters.as_of)
    if history.height < wanted:
        raise PermanentError(
            f"{symbol} has {history.height} bars up to {history['date'][-1]} and its return needs {wanted}: "
            "decide as of a later day, shorten lookback, or leave the symbol out."
        )
    return history


@workflow.step(each="symbol")
def strength(ctx: Context[Parameters], symbol: str, bars: pl.DataFrame) -> Strength:
    """Compute the past return."""
    past_return = momentum(bars["close"], ctx.parameters.lookback, ctx.parameters.skip)[-1]
    return Strength(symbol=symbol, day=bars["date"][-1], close=bars["close"][-1], past_return=past_return)


@workflow.step
def ranking(ctx: Context[Parameters], strength: dict[str, Strength]) -> list[Strength]:
    """Put all symbols in order, the strongest first; equals in the order of the alphabet."""
    return sorted(strength.values(), key=lambda seen: (-seen.past_return, seen.symbol))


@workflow.step
def decide(ctx: Context[Parameters], ranking: list[Strength]) -> list[Decision]:
    """Buy whole shares of the strongest, unless even they have fallen."""
    return [
        Decision(
            symbol=seen.symbol,
            action="buy",
            quantity=shares,
            reason=f"Rank {rank} of {len(ranking)} by momentum: {seen.past_return:+.1%} from {ctx.parameters.lookback} "
            f"to {ctx.parameters.skip} bars before {seen.day}; last close {seen.close:.2f}.",
            as_of=seen.day,
        )
        for rank, seen in enumerate(ranking[: ctx.parameters.top], start=1)
        if seen.past_return > 0 and (shares := int(ctx.parameters.budget // seen.close)) > 0
    ]


@workflow.step(effect="orders")
def trade(ctx: Context[Parameters], decide: list[Decision]) -> list[Order]:
    """Send the orders."""
    return [ctx.broker.place(decision) for decision in decide]

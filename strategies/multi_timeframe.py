"""Two timeframes: the weeks say in which direction to trade, the days when, and the risk how much.

Symbols are worked on side by side, and so are the two sets of charts; see `docs/parallel-steps.md`.
"""

from collections.abc import Callable, Iterable
from datetime import date
from typing import Self

import polars as pl
from pydantic import BaseModel, Field, model_validator

from shared.market_data.indicators import ema, macd, sma, wilder_rsi
from shared.market_data.weeks import weekly as weekly_bars
from shared.workflow import Context, Decision, Order, Side, Workflow

from ._candle_charts import Mark, Study, draw, png
from ._html_report import page
from ._position_sizing import Candidate, Limits, Sized, size_positions
from ._timeframe_signals import INDEX_BARS, SLOWEST_BARS, Signal, signal_of

FAST, SLOW = 20, 50
"""Bars in the averages of the daily chart, and in the slow one of the weekly chart."""

CHARTED_DAYS, CHARTED_WEEKS = 126, 104
"""Half a year and two years."""

CHARTS = pl.Schema({"name": pl.String(), "png": pl.Binary()})
"""Charts on their way to the report, which shows them; a DataFrame, because JSON has no bytes."""


class Parameters(BaseModel):
    """What a user may choose."""

    as_of: date | None = Field(None, description="decide after the close of this day; by default on the newest bar")
    bars: int = Field(600, ge=60, le=5_000, description="daily bars to load; five are a week")
    weekly_average: int = Field(20, ge=3, le=100, description="weeks in the average whose direction is the trend")
    slope_weeks: int = Field(4, ge=1, le=26, description="weeks over which the average must have moved")
    pullback: float = Field(45, ge=10, le=50, description="RSI that ends a pull-back; 100 less this in a down-trend")
    within: int = Field(5, ge=1, le=20, description="daily bars in which an entry still counts; 1 is the newest only")
    equity: int = Field(100_000, ge=1_000, le=1_000_000_000, description="US dollars to trade with")
    holdings: dict[str, int] = Field({}, description="shares held before, by symbol; below zero if sold short")
    risk_per_trade: float = Field(0.01, gt=0, le=0.1, description="share of equity lost if the stop is reached")
    stop_atr: float = Field(2.0, gt=0, le=10, description="average true ranges from the last close to the stop")
    max_share: float = Field(0.25, gt=0, le=1, description="largest share of equity in one symbol")
    max_position_value: int = Field(20_000, ge=1, le=1_000_000_000, description="US dollars in one symbol at most")
    max_positions: int = Field(3, ge=1, le=1_000, description="symbols held at once, with those held before")
    shorts: bool = Field(True, description="sell short in a down-trend; otherwise only what is held is sold")
    charts: int = Field(12, ge=0, le=200, description="symbols to chart at most, those with an entry first")

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        days = max(5 * (self.weekly_average + self.slope_weeks + 2), SLOWEST_BARS + self.within)
        if self.bars < days:
            raise ValueError(f"bars ({self.bars}) must be at least {days} for this trend and these entries")
        if self.risk_per_trade >= self.max_share:
            raise ValueError(f"risk_per_trade ({self.risk_per_trade}) must be below max_share ({self.max_share})")
        if self.max_position_value > self.equity:
            raise ValueError(f"max_position_value ({self.max_position_value}) must not be above equity ({self.equity})")
        return self

    @property
    def limits(self) -> Limits:
        """Return what sizes are limited by."""
        return Limits(**self.model_dump(include=set(Limits.model_fields)))


class Summary(BaseModel):
    """A run in numbers; `without_signal` are symbols whose error is in the result."""

    day: date
    signals: int
    entries: int
    reduced: int
    refused: int
    decisions: int
    orders: dict[str, int]
    charts: int
    without_signal: list[str]


workflow = Workflow(
    "multi-timeframe",
    title="Two timeframes",
    description="Trades in the direction of the weekly trend when the daily chart turns back into it, sized by its "
    "average true range and the limits of the account, with a report and charts.",
    parameters=Parameters,
)


# The limit is for the source of prices, whatever the number of workers: it counts over all runs.
@workflow.step(each="symbol", parallel=True, on_error="collect", limits={"market-data": 16})
def daily(ctx: Context[Parameters], symbol: str) -> pl.DataFrame:
    """Load the history."""
    return ctx.market_data.daily(symbol, bars=ctx.parameters.bars, until=ctx.parameters.as_of)


@workflow.step(each="symbol", parallel=True, on_error="collect")
def weekly(ctx: Context[Parameters], symbol: str, daily: pl.DataFrame) -> pl.DataFrame:
    """Sum the days up to weeks.

    The week that is not over is kept, and marked: the chart shows it hollow, and the trend does without it. A trend
    that half a week has turned would turn back and forth until Friday, and a run on Tuesday would be no test of one on
    Friday.
    """
    return weekly_bars(daily, ctx.parameters.as_of)


@workflow.step(each="symbol", parallel=True, on_error="collect")
def signal(ctx: Context[Parameters], symbol: str, daily: pl.DataFrame, weekly: pl.DataFrame) -> Signal:
    """Join the timeframes: the direction of the weeks, and an entry on the days."""
    return signal_of(
        symbol,
        daily,
        weekly,
        weekly_average=ctx.parameters.weekly_average,
        slope_weeks=ctx.parameters.slope_weeks,
        pullback=ctx.parameters.pullback,
        within=ctx.parameters.within,
    )


@workflow.step(group="charts")
def daily_charts(ctx: Context[Parameters], signal: dict[str, Signal], daily: dict[str, pl.DataFrame]) -> pl.DataFrame:
    """Draw half a year of days, with an arrow at the entry; returns `CHARTS`."""

    def study(symbol: str) -> Study:
        bars, seen = daily[symbol], signal[symbol]
        up = seen.side is Side.BUY
        marks = [Mark(day=seen.entered_on, up=up, text="BUY" if up else "SELL")] if seen.entered_on else []
        return Study(
            symbol=symbol,
            timeframe="Daily",
            bars=bars,
            averages={f"EMA {FAST}": ema(bars["close"], FAST), f"SMA {SLOW}": sma(bars["close"], SLOW)},
            rsi=wilder_rsi(bars["close"], INDEX_BARS),
            macd=macd(bars["close"]),
            marks=marks,
        )

    return _chart(ctx, signal, "daily", study, newest=CHARTED_DAYS)


@workflow.step(group="charts")
def weekly_charts(ctx: Context[Parameters], signal: dict[str, Signal], weekly: dict[str, pl.DataFrame]) -> pl.DataFrame:
    """Draw two years of weeks, with the average that the trend goes by; returns `CHARTS`."""
    window = ctx.parameters.weekly_average

    def study(symbol: str) -> Study:
        bars = weekly[symbol]
        return Study(
            symbol=symbol,
            timeframe="Weekly",
            bars=bars,
            averages={f"EMA {window}": ema(bars["close"], window), f"SMA {SLOW}": sma(bars["close"], SLOW)},
            rsi=wilder_rsi(bars["close"], INDEX_BARS),
            open_bars=frozenset(bars.with_row_index().filter(~pl.col("complete"))["index"]),
        )

    return _chart(ctx, signal, "weekly", study, newest=CHARTED_WEEKS)


@workflow.step
def risk(ctx: Context[Parameters], signal: dict[str, Signal]) -> list[Sized]:
    """Size every entry, the steepest trend first, with the reason for each reduction and refusal."""
    candidates = [
        Candidate(symbol=seen.symbol, side=seen.side, close=seen.close, atr=seen.atr)
        for seen in _by_importance(signal.values())
        if seen.side
    ]
    return size_positions(candidates, ctx.parameters.limits)


@workflow.step
def decide(ctx: Context[Parameters], signal: dict[str, Signal], risk: list[Sized]) -> list[Decision]:
    """Decide on what the risk has left over."""
    return [
        Decision(
            symbol=sized.symbol,
            action=sized.side,
            quantity=sized.quantity,
            reason=_reason(signal[sized.symbol], sized),
            as_of=signal[sized.symbol].day,
        )
        for sized in risk
        if not sized.refused
    ]


@workflow.step(effect="orders")
def trade(ctx: Context[Parameters], decide: list[Decision]) -> list[Order]:
    """Send the orders."""
    return [ctx.broker.place(decision, key=decision.symbol) for decision in decide]


@workflow.step
def report(
    ctx: Context[Parameters],
    signal: dict[str, Signal],
    daily_charts: pl.DataFrame,
    weekly_charts: pl.DataFrame,
    risk: list[Sized],
    trade: list[Order],
) -> Summary:
    """Keep a page for people, charts and all, and return the run in numbers."""
    without = [symbol for symbol in ctx.symbols if symbol not in signal]
    charts = [chart for pair in zip(daily_charts.rows(), weekly_charts.rows(), strict=True) for chart in pair]
    states = [order.state for order in trade]
    ordered = _by_importance(signal.values())
    ctx.artifact("report.html", page(ordered, risk, trade, charts, without))
    return Summary(
        day=max(seen.day for seen in ordered),
        signals=len(signal),
        entries=len(risk),
        reduced=sum(sized.reduced for sized in risk),
        refused=sum(sized.refused for sized in risk),
        decisions=len(trade),
        orders={state: states.count(state) for state in sorted(set(states))},
        charts=len(charts),
        without_signal=without,
    )


def _by_importance(signals: Iterable[Signal]) -> list[Signal]:
    """Return those with an entry first, the steeper trend before the flatter; equals in the order of the alphabet."""
    return sorted(signals, key=lambda seen: (seen.side is None, -abs(seen.slope), seen.symbol))


def _chart(
    ctx: Context[Parameters], signal: dict[str, Signal], timeframe: str, study: Callable[[str], Study], *, newest: int
) -> pl.DataFrame:
    """Keep one chart a symbol, and return all; the run can be stopped between two of them."""
    charts = []
    charted = _by_importance(signal.values())[: ctx.parameters.charts]
    for number, seen in enumerate(charted, start=1):
        # A slash (BTC/USD) is no part of a file name, and an underscore is no part of a symbol.
        name = f"{timeframe}-{seen.symbol.replace('/', '_')}.png"
        image = png(draw(study(seen.symbol), newest=newest))
        ctx.artifact(name, image)
        ctx.progress(number, len(charted), name)
        ctx.checkpoint()
        charts.append((name, image))
    return pl.DataFrame(charts, schema=CHARTS, orient="row")


def _reason(seen: Signal, sized: Sized) -> str:
    """Return the sentences that a trader reads beside the order."""
    stop = f" Stop at {sized.stop:.2f}." if sized.stop is not None else ""
    return " ".join(
        [
            f"Weekly {seen.trend}-trend: the close of {seen.week_close:.2f} on {seen.week} is "
            f"{'above' if seen.side is Side.BUY else 'below'} its average of {seen.week_average:.2f}, which moved by "
            f"{seen.slope:+.1%}. {seen.trigger}; last close {seen.close:.2f}.{stop}",
            *sized.notes,
        ]
    )

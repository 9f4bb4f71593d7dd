"""Where a symbol stands on two timeframes: the trend of its weeks, and an entry in that direction on its days.

Alexander Elder, Trading for a Living (1993), chapter 43, "Triple Screen": trade only with the tide of the longer
timeframe, and enter when the shorter one turns back into its direction.
"""

from datetime import date
from enum import StrEnum

import polars as pl
from pydantic import BaseModel

from shared.market_data.indicators import atr, crossovers, ema, macd, wilder_rsi
from shared.workflow import PermanentError, Side

INDEX_BARS = 14
"""Bars in RSI and ATR: Wilder's own choice."""

SLOWEST_BARS = 34
"""Bars until MACD(12, 26, 9) has its first value, which is the last of the daily indicators to have one."""


class Trend(StrEnum):
    """The direction of the weeks; flat when close and average do not agree."""

    UP = "up"
    DOWN = "down"
    FLAT = "flat"


class Signal(BaseModel):
    """One symbol after its newest bar; prices in US dollars a share.

    `week` is the last day of the last complete week, `slope` the average's change over some weeks (0.1 for 10 %).
    `trigger` says what has turned, `entered_on` when the last of it did; without an entry they and `side` are None.
    """

    symbol: str
    day: date
    close: float
    atr: float
    rsi: float
    macd: float
    macd_signal: float
    week: date
    week_close: float
    week_average: float
    slope: float
    trend: Trend
    side: Side | None = None
    entered_on: date | None = None
    trigger: str | None = None


def signal_of(
    symbol: str,
    days: pl.DataFrame,
    weeks: pl.DataFrame,
    *,
    weekly_average: int,
    slope_weeks: int,
    pullback: float,
    within: int,
) -> Signal:
    """Return the signal of `symbol`; raises PermanentError for a history that is too short."""
    complete = weeks.filter("complete")
    _require(symbol, "complete weeks", complete.height, weekly_average + slope_weeks)
    _require(symbol, "daily bars", days.height, SLOWEST_BARS + within)
    average = ema(complete["close"], weekly_average)
    newest, before = average[-1], average[-1 - slope_weeks]
    trend = _trend(complete["close"][-1], newest, before)
    rsi, lines = wilder_rsi(days["close"], INDEX_BARS), macd(days["close"])
    turns = _turns(trend, days["date"].tail(within), rsi, lines, pullback)
    return Signal(
        symbol=symbol,
        day=days["date"][-1],
        close=days["close"][-1],
        atr=atr(days, INDEX_BARS)[-1],
        rsi=rsi[-1],
        macd=lines["macd"][-1],
        macd_signal=lines["signal"][-1],
        week=complete["date"][-1],
        week_close=complete["close"][-1],
        week_average=newest,
        slope=newest / before - 1,
        trend=trend,
        side=(Side.BUY if trend is Trend.UP else Side.SELL) if turns else None,
        entered_on=max(turns.values()) if turns else None,
        trigger=" and ".join(f"{words} on {day}" for words, day in turns.items()) or None,
    )


def _require(symbol: str, what: str, there: int, wanted: int) -> None:
    if there < wanted:
        raise PermanentError(
            f"{symbol} has {there} {what} and its signal needs {wanted}: load more bars, decide as of a later day, or "
            "leave the symbol out."
        )


def _trend(close: float, average: float, before: float) -> Trend:
    if close > average > before:
        return Trend.UP
    return Trend.DOWN if close < average < before else Trend.FLAT


def _turns(trend: Trend, days: pl.Series, rsi: pl.Series, lines: pl.DataFrame, pullback: float) -> dict[str, date]:
    """Return what has turned into the trend's direction on the newest `days`, and when.

    Only the latest crossing of a line counts: what has turned back since is no entry any more.
    """
    if trend is Trend.FLAT:
        return {}
    up = trend is Trend.UP
    level = pl.Series([pullback if up else 100 - pullback] * len(rsi), dtype=pl.Float64)
    crossings = {
        f"RSI({INDEX_BARS}) {'rose back above' if up else 'fell back below'} {level[0]:g}": crossovers(rsi, level),
        f"MACD {'rose above' if up else 'fell below'} its signal line": crossovers(lines["macd"], lines["signal"]),
    }
    turns: dict[str, date] = {}
    for words, crossing in crossings.items():
        latest = [(day, turn) for day, turn in zip(days, crossing.tail(len(days)), strict=True) if turn][-1:]
        if latest and (latest[0][1] > 0) is up:
            turns[words] = latest[0][0]
    return turns

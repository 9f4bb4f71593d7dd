"""Exponential averages, MACD and the average true range against TA-Lib, and at their edges."""

import math

import polars as pl
import pytest
import talib
from hypothesis import given, settings

from shared.market_data.files import FileMarketData
from shared.market_data.indicators import atr, ema, macd
from tests.unit.shared.market_data.test_indicators import PRICES, assert_same, closes

SHIPPED = FileMarketData()


@pytest.mark.parametrize("symbol", SHIPPED.symbols())
@pytest.mark.parametrize("window", [2, 20, 50])
def test_the_exponential_average_is_that_of_ta_lib(symbol: str, window: int) -> None:
    """Over every shipped history, from the same first value on."""
    close = closes(symbol)
    assert_same(ema(close, window), talib.EMA(close.to_numpy(), window), absolute=1e-9)


@pytest.mark.parametrize("symbol", SHIPPED.symbols())
@pytest.mark.parametrize("windows", [(12, 26, 9), (3, 10, 16)])
def test_the_macd_is_that_of_ta_lib(symbol: str, windows: tuple[int, int, int]) -> None:
    """Line, signal and histogram, over every shipped history."""
    close = closes(symbol)
    ours, theirs = macd(close, *windows), talib.MACD(close.to_numpy(), *windows)
    for name, column in zip(("macd", "signal", "histogram"), theirs, strict=True):
        assert_same(ours[name], column, absolute=1e-9)


@pytest.mark.parametrize("symbol", SHIPPED.symbols())
@pytest.mark.parametrize("window", [2, 14])
def test_the_average_true_range_is_that_of_ta_lib(symbol: str, window: int) -> None:
    """Over every shipped history."""
    bars = SHIPPED.daily(symbol, bars=100_000)
    high, low, close = (bars[name].to_numpy() for name in ("high", "low", "close"))
    theirs = talib.ATR(high, low, close, window)
    assert_same(atr(bars, window), theirs, absolute=1e-9)


@settings(deadline=None)
@given(PRICES)
def test_no_trend_indicator_looks_ahead(prices: list[float]) -> None:
    """What comes later changes no digit of what was known before."""
    known, longer = pl.Series(prices), pl.Series([*prices, 1.0, 4_000.0])
    assert ema(known, 5).equals(ema(longer, 5).head(len(prices)))
    assert macd(known, 3, 6, 4).equals(macd(longer, 3, 6, 4).head(len(prices)))


@pytest.mark.parametrize("bars", [0, 1, 4])
def test_a_short_history_has_no_value_yet(bars: int) -> None:
    """Every answer is as long as its input."""
    assert ema(pl.Series([1.0] * bars, dtype=pl.Float64), 5).to_list() == [None] * bars
    assert macd(pl.Series([1.0] * bars, dtype=pl.Float64)).height == bars


def test_a_gap_counts_into_the_true_range() -> None:
    """A bar of a range of 1, five above the close before, has moved by 6."""
    bars = pl.DataFrame({"high": [10.0, 16.0], "low": [9.0, 15.0], "close": [10.0, 15.5]})
    assert math.isclose(atr(bars, 1)[-1], 6)


@pytest.mark.parametrize(("fast", "slow"), [(26, 26), (0, 26)])
def test_a_fast_average_as_slow_as_the_slow_one_is_refused(fast: int, slow: int) -> None:
    """Their difference would say nothing."""
    with pytest.raises(ValueError, match="below slow"):
        macd(pl.Series([1.0]), fast, slow)

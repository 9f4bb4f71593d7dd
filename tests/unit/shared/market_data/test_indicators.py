"""The indicators against TA-Lib, and at their edges."""

import math

import numpy as np
import polars as pl
import pytest
import talib
from hypothesis import given
from hypothesis import strategies as st

from shared.market_data.files import FileMarketData
from shared.market_data.indicators import crossovers, momentum, sma, wilder_rsi

SHIPPED = FileMarketData()
PRICES = st.lists(st.floats(0.5, 5_000), min_size=1, max_size=120)


def closes(symbol: str) -> pl.Series:
    """A symbol's whole shipped history."""
    return SHIPPED.daily(symbol, bars=100_000)["close"]


def assert_same(ours: pl.Series, theirs: "np.ndarray[tuple[int], np.dtype[np.float64]]", *, absolute: float) -> None:
    """Equal within `absolute`, and null exactly where TA-Lib has no value."""
    assert [value is None for value in ours] == [math.isnan(value) for value in theirs]
    assert ours.drop_nulls().to_list() == pytest.approx(theirs[~np.isnan(theirs)].tolist(), abs=absolute)


@pytest.mark.parametrize("symbol", SHIPPED.symbols())
@pytest.mark.parametrize("window", [2, 20, 50])
def test_the_moving_average_is_that_of_ta_lib(symbol: str, window: int) -> None:
    """Over every shipped history."""
    close = closes(symbol)
    assert_same(sma(close, window), talib.SMA(close.to_numpy(), window), absolute=1e-9)


@pytest.mark.parametrize("symbol", SHIPPED.symbols())
@pytest.mark.parametrize("window", [2, 14, 21])
def test_the_relative_strength_index_is_that_of_ta_lib(symbol: str, window: int) -> None:
    """Over every shipped history, with Wilder's smoothing from the first bar on."""
    close = closes(symbol)
    assert_same(wilder_rsi(close, window), talib.RSI(close.to_numpy(), window), absolute=1e-9)


@pytest.mark.parametrize("symbol", SHIPPED.symbols())
def test_momentum_without_a_skip_is_the_rate_of_change_of_ta_lib(symbol: str) -> None:
    """ROCP is close / close `lookback` bars ago, minus 1."""
    close = closes(symbol)
    assert_same(momentum(close, 63), talib.ROCP(close.to_numpy(), 63), absolute=1e-12)


def test_momentum_with_a_skip_ends_that_many_bars_ago() -> None:
    """From 10 three bars ago to 15 one bar ago is half as much again."""
    close = pl.Series([10.0, 11.0, 15.0, 99.0])
    assert momentum(close, lookback=3, skip=1).to_list() == [None, None, None, 0.5]


@pytest.mark.parametrize(("lookback", "skip"), [(3, 3), (3, 4), (3, -1)])
def test_a_skip_as_long_as_the_lookback_is_refused(lookback: int, skip: int) -> None:
    """There would be no time left in which to measure a return."""
    with pytest.raises(ValueError, match="below lookback"):
        momentum(pl.Series([1.0, 2.0]), lookback, skip)


def test_a_crossover_is_the_first_bar_strictly_on_the_other_side() -> None:
    """Touching is no crossover; leaving the touch is."""
    fast = pl.Series([None, 1.0, 2.0, 3.0, 2.0, 1.0, 2.0, 2.0, 1.0])
    slow = pl.Series([None, None, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0])
    assert crossovers(fast, slow).to_list() == [0, 0, 0, 1, 0, -1, 0, 0, -1]


@given(PRICES)
def test_the_relative_strength_index_stays_between_0_and_100(prices: list[float]) -> None:
    """Whatever the prices, and null only for the first `window` bars."""
    index = wilder_rsi(pl.Series(prices), 14)
    assert len(index) == len(prices)
    assert index.null_count() == min(len(prices), 14)
    assert all(-1e-9 <= value <= 100 + 1e-9 for value in index.drop_nulls())


def five_bars(close: pl.Series) -> pl.DataFrame:
    """Every indicator over five bars."""
    averages = pl.DataFrame({"sma": sma(close, 5), "rsi": wilder_rsi(close, 5), "momentum": momentum(close, 5, 1)})
    return averages.with_columns(crossover=crossovers(close, averages["sma"]))


@given(PRICES)
def test_no_indicator_looks_ahead(prices: list[float]) -> None:
    """What comes later changes no digit of what was known before."""
    known, longer = pl.Series(prices), pl.Series([*prices, 1.0, 4_000.0])
    assert five_bars(known).equals(five_bars(longer).head(len(prices)))


@pytest.mark.parametrize(("prices", "index"), [([5.0] * 20, 50), ([*range(1, 21)], 100), ([*range(20, 0, -1)], 0)])
def test_the_relative_strength_index_of_a_line(prices: list[float], index: float) -> None:
    """50 for a price that never moves, 100 for one that only rises, 0 for one that only falls."""
    assert wilder_rsi(pl.Series(prices, dtype=pl.Float64), 14)[-1] == index

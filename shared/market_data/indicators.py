"""Indicators as pure functions of a column of prices, oldest first; every answer is as long as its input.

They agree with TA-Lib, which the tests check, and are null until enough bars have been seen.
"""

import polars as pl


def sma(close: pl.Series, window: int) -> pl.Series:
    """Return the simple moving average over the last `window` bars; null for the first `window - 1`."""
    return close.rolling_mean(window)


def ema(close: pl.Series, window: int) -> pl.Series:
    """Return the exponential moving average; null for the first `window - 1`.

    R. G. Brown, Statistical Forecasting for Inventory Control (1959): each value is before + (close - before) * a,
    here with a = 2 / (window + 1), and as in TA-Lib the first one is the plain mean of `window` closes.
    """
    return _smoothed(close, window, alpha=2 / (window + 1))


def macd(close: pl.Series, fast: int = 12, slow: int = 26, signal: int = 9) -> pl.DataFrame:
    """Return the columns `macd`, `signal` and `histogram`; null for the first `slow + signal - 2` bars.

    Gerald Appel, The Moving Average Convergence-Divergence Trading Method (1985): the fast EMA less the slow one, the
    EMA of that, and the difference of the two. As in TA-Lib both averages begin at the first bar that has the slow one.
    """
    if not 0 < fast < slow:
        raise ValueError(f"fast ({fast}) must be above 0 and below slow ({slow})")
    line = _smoothed(close, fast, alpha=2 / (fast + 1), skip=slow - fast) - ema(close, slow)
    smoothed = _smoothed(line, signal, alpha=2 / (signal + 1), skip=slow - 1)
    columns = pl.DataFrame({"macd": line, "signal": smoothed, "histogram": line - smoothed})
    return columns.with_columns(pl.when(pl.col("signal").is_not_null()).then(pl.col("macd")))


def atr(bars: pl.DataFrame, window: int = 14) -> pl.Series:
    """Return the average true range of `bars` (columns high, low, close); null for the first `window`.

    J. Welles Wilder, New Concepts in Technical Trading Systems (1978): the true range is the greatest of high - low,
    |high - close before| and |low - close before|, averaged as in `wilder_rsi`.
    """
    before = pl.col("close").shift(1)
    spans = (pl.col("high") - pl.col("low"), (pl.col("high") - before).abs(), (pl.col("low") - before).abs())
    return wilder_average(bars.select(pl.max_horizontal(*spans)).to_series(), window).alias("atr")


def crossovers(fast: pl.Series, slow: pl.Series) -> pl.Series:
    """Return 1 where `fast` rises above `slow`, -1 where it falls below, else 0 (Int8).

    A bar counts as a crossover when the two stand strictly on one side now and did not on the bar before; while
    either is null, and on the first bar that has both, there is none.
    """
    gap = fast - slow
    before = gap.shift(1)
    rose = ((gap > 0) & (before <= 0)).fill_null(value=False)
    fell = ((gap < 0) & (before >= 0)).fill_null(value=False)
    return rose.cast(pl.Int8) - fell.cast(pl.Int8)


def wilder_rsi(close: pl.Series, window: int = 14) -> pl.Series:
    """Return the relative strength index, 0 to 100; null for the first `window` bars.

    J. Welles Wilder, New Concepts in Technical Trading Systems (1978): the first average gain and loss are plain
    means over `window` changes, each later one is (before * (window - 1) + change) / window. Where the price has
    not moved at all it is 50.
    """
    change = close.diff()
    gain = wilder_average(change.clip(lower_bound=0), window)
    loss = wilder_average(-change.clip(upper_bound=0), window)
    total = pl.col("gain") + pl.col("loss")
    return (
        pl.DataFrame({"gain": gain, "loss": loss})
        .select(pl.when(total > 0).then(100 * pl.col("gain") / total).when(total == 0).then(50.0))
        .to_series()
        .alias(close.name)
    )


def wilder_average(changes: pl.Series, window: int) -> pl.Series:
    """Return Wilder's smoothed mean of changes without the first one; null for the first `window` bars."""
    return _smoothed(changes, window, alpha=1 / window, skip=1)


def momentum(close: pl.Series, lookback: int, skip: int = 0) -> pl.Series:
    """Return the return from `lookback` bars ago to `skip` bars ago, 0.1 for 10 %; null for the first `lookback`.

    Jegadeesh and Titman (1993) leave out the latest month: `lookback=252, skip=21` is the usual "12-1".
    """
    if not 0 <= skip < lookback:
        raise ValueError(f"skip ({skip}) must be 0 or more and below lookback ({lookback})")
    return close.shift(skip) / close.shift(lookback) - 1


def _smoothed(values: pl.Series, window: int, *, alpha: float, skip: int = 0) -> pl.Series:
    """Return an exponentially smoothed mean; it begins with the plain one of `window` values after the first `skip`."""
    start = skip + window
    if len(values) < start:
        return pl.Series(values.name, [None] * len(values), dtype=pl.Float64)
    seed = pl.Series([values[skip:start].mean()], dtype=pl.Float64)
    smoothed = pl.concat([seed, values[start:].cast(pl.Float64)]).ewm_mean(alpha=alpha, adjust=False)
    return pl.concat([pl.Series([None] * (start - 1), dtype=pl.Float64), smoothed]).alias(values.name)

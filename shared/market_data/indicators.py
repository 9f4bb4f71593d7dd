"""Indicators as pure functions of a column of prices, oldest first; every answer is as long as its input.

They agree with TA-Lib, which the tests check, and are null until enough bars have been seen.
"""

import polars as pl


def sma(close: pl.Series, window: int) -> pl.Series:
    """Return the simple moving average over the last `window` bars; null for the first `window - 1`."""
    return close.rolling_mean(window)


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
    """Return Wilder's smoothed mean of changes whose first value is null; null for the first `window` bars."""
    if len(changes) <= window:
        return pl.Series([None] * len(changes), dtype=pl.Float64)
    seed = pl.Series([changes[1 : window + 1].mean()], dtype=pl.Float64)
    smoothed = pl.concat([seed, changes[window + 1 :]]).ewm_mean(alpha=1 / window, adjust=False)
    return pl.concat([pl.Series([None] * window, dtype=pl.Float64), smoothed])


def momentum(close: pl.Series, lookback: int, skip: int = 0) -> pl.Series:
    """Return the return from `lookback` bars ago to `skip` bars ago, 0.1 for 10 %; null for the first `lookback`.

    Jegadeesh and Titman (1993) leave out the latest month: `lookback=252, skip=21` is the usual "12-1".
    """
    if not 0 <= skip < lookback:
        raise ValueError(f"skip ({skip}) must be 0 or more and below lookback ({lookback})")
    return close.shift(skip) / close.shift(lookback) - 1

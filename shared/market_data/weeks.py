"""Weekly bars from daily ones, by ISO weeks (ISO 8601: a week begins on Monday)."""

from datetime import date

import polars as pl

from shared.market_data.protocol import BAR_SCHEMA

WEEK_SCHEMA = pl.Schema({**BAR_SCHEMA, "complete": pl.Boolean()})
"""Weekly bars: `date` is the last day of the week that has a bar; the newest week may not be `complete` yet."""

FRIDAY = pl.duration(days=4)


def weekly(bars: pl.DataFrame, until: date | None = None) -> pl.DataFrame:
    """Return one bar a week: the first open, the highest high, the lowest low, the last close, the sum of volumes.

    `bars` are daily, oldest first, and known up to the day `until`, by default that of the last bar. A week is complete
    from its Friday on, whether that is an exchange day or not: without a calendar nothing tells that a Thursday was the
    last one. The oldest week is left out unless its first bar is a Monday's, as it may have begun before the history.
    """
    days = bars["date"].to_list() if until is None else [until, *bars["date"]]
    weeks = (
        bars.sort("date")
        .group_by(pl.col("date").dt.truncate("1w").alias("monday"), maintain_order=True)
        .agg(
            pl.col("date").first().alias("first"),
            pl.col("date").last(),
            pl.col("open").first(),
            pl.col("high").max(),
            pl.col("low").min(),
            pl.col("close").last(),
            pl.col("volume").sum(),
        )
        .with_columns(complete=pl.col("monday") + FRIDAY <= pl.lit(max(days, default=None), dtype=pl.Date))
    )
    whole = (pl.col("first") == pl.col("monday")) | (pl.col("monday") != pl.col("monday").first())
    return weeks.filter(whole).select(list(WEEK_SCHEMA)).cast(WEEK_SCHEMA)

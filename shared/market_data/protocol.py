"""What a source of prices does, and the table that it answers with."""

from datetime import date
from typing import Protocol

import polars as pl

from shared.errors import PermanentError

BAR_SCHEMA = pl.Schema(
    {
        "date": pl.Date(),
        "open": pl.Float64(),
        "high": pl.Float64(),
        "low": pl.Float64(),
        "close": pl.Float64(),
        "volume": pl.Int64(),
    }
)
"""Daily bars: `date` is the exchange's day, prices are US dollars a share, adjusted for splits and dividends."""


class NoBars(PermanentError):
    """There are no bars for this symbol up to this day."""


class UnknownSymbol(NoBars):
    """The source does not carry this symbol at all."""


class MarketData(Protocol):
    """A source of daily bars; every adapter passes `tests/contract/test_market_data.py`."""

    def daily(self, symbol: str, *, bars: int = 250, until: date | None = None) -> pl.DataFrame:
        """Return the last `bars` daily bars up to and including the day `until`, oldest first (`BAR_SCHEMA`).

        Fewer rows come back where the history is shorter. Without `until` it goes up to the newest bar, which a
        live source may still be changing while the exchange is open.
        Raises UnknownSymbol or NoBars, TemporaryError when the source does not answer, PermanentError when it
        refuses to, ValueError when `bars` is below 1.
        """


def check_count(bars: int) -> None:
    """Raise ValueError unless `bars` is a number of bars that can be asked for."""
    if bars < 1:
        raise ValueError(f"ask for at least one bar, not {bars}")

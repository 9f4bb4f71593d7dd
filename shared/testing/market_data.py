"""Daily bars in memory, for tests."""

from collections.abc import Mapping, Sequence
from datetime import date, timedelta

import polars as pl

from shared.market_data.protocol import BAR_SCHEMA, MarketData, NoBars, UnknownSymbol, check_count

FIRST_DAY = date(2024, 1, 2)
DAYS_TO_MONDAY = {4: 3, 5: 2}
"""Days to the next weekday, after a Friday and a Saturday."""


def bars(closes: Sequence[float], *, first: date = FIRST_DAY, volume: int = 1_000_000) -> pl.DataFrame:
    """Return one bar for each close, on weekdays from `first` on; it opens at the close before it."""
    days = [first]
    while len(days) < len(closes):
        days.append(days[-1] + timedelta(days=DAYS_TO_MONDAY.get(days[-1].weekday(), 1)))
    prices = [float(close) for close in closes]
    opens = [*prices[:1], *prices[:-1]]
    columns = {
        "date": days[: len(prices)],
        "open": opens,
        "high": [max(pair) for pair in zip(opens, prices, strict=True)],
        "low": [min(pair) for pair in zip(opens, prices, strict=True)],
        "close": prices,
        "volume": [volume] * len(prices),
    }
    return pl.DataFrame(columns, schema=BAR_SCHEMA)


class MemoryMarketData:
    """Market data from DataFrames of `BAR_SCHEMA` by symbol, oldest first (`bars` makes one from closes).

    Raises ValueError for a frame of another schema or order, on which a strategy could rely in tests only.
    """

    def __init__(self, frames: Mapping[str, pl.DataFrame]) -> None:
        for symbol, frame in frames.items():
            if frame.schema != BAR_SCHEMA:
                raise ValueError(f"The bars of {symbol} need the columns {dict(BAR_SCHEMA)}: make them with bars().")
            if not frame["date"].is_sorted() or frame["date"].is_duplicated().any():
                raise ValueError(f"The bars of {symbol} must be oldest first, one a day.")
        self._frames = dict(frames)

    def daily(self, symbol: str, *, bars: int = 250, until: date | None = None) -> pl.DataFrame:
        """Return the last `bars` daily bars up to and including `until` (see `MarketData.daily`)."""
        check_count(bars)
        if symbol not in self._frames:
            known = ", ".join(sorted(self._frames)) or "none"
            raise UnknownSymbol(f"This test has no bars of {symbol}, only of {known}: give it some.")
        frame = self._frames[symbol]
        known_by_then = frame if until is None else frame.filter(pl.col("date") <= until)
        if known_by_then.is_empty():
            raise NoBars(f"This test has no bars of {symbol} up to {until or 'today'}: give it some.")
        return known_by_then.tail(bars)


class AsOf:
    """Market data as it was on a day: nothing after it can be asked for, so that no test looks ahead."""

    def __init__(self, market_data: MarketData, day: date) -> None:
        self._market_data = market_data
        self._day = day

    def daily(self, symbol: str, *, bars: int = 250, until: date | None = None) -> pl.DataFrame:
        """Return bars up to `until`, or to the day if that is earlier."""
        return self._market_data.daily(symbol, bars=bars, until=min(until or self._day, self._day))

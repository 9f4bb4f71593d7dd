"""Daily bars from Parquet files, one file a symbol: `AAPL.parquet` holds AAPL."""

from datetime import date
from pathlib import Path

import polars as pl

from shared.market_data.protocol import BAR_SCHEMA, NoBars, UnknownSymbol, check_count

SHIPPED_BARS = Path(__file__).parent / "bars"
"""The bars that come with Blotter; `README.md` beside them names their source and terms."""


class FileMarketData:
    """Market data from a folder of Parquet files with the columns of `BAR_SCHEMA`, oldest row first."""

    def __init__(self, folder: Path = SHIPPED_BARS) -> None:
        self._folder = folder

    def symbols(self) -> list[str]:
        """Return the symbols in the folder, in order."""
        return sorted(path.stem for path in self._folder.glob("*.parquet"))

    def daily(self, symbol: str, *, bars: int = 250, until: date | None = None) -> pl.DataFrame:
        """Return the last `bars` daily bars up to and including `until` (see `MarketData.daily`)."""
        check_count(bars)
        known = self.symbols()
        if symbol not in known:  # also keeps a symbol from being read as a path
            raise UnknownSymbol(
                f"There is no file of bars for {symbol} in {self._folder}; the folder has {', '.join(known) or 'none'}."
            )
        everything = pl.read_parquet(self._folder / f"{symbol}.parquet", columns=list(BAR_SCHEMA))
        seen = everything if until is None else everything.filter(pl.col("date") <= until)
        if seen.is_empty():
            raise NoBars(f"{symbol} has no bars up to {until}; its first is of {everything['date'][0]}.")
        return seen.tail(bars)

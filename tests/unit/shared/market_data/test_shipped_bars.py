"""The bars that come with Blotter: what the README beside them says, and whether prices make sense."""

import re
from datetime import date
from hashlib import sha256
from itertools import pairwise

import polars as pl
import pytest

from shared.market_data.files import SHIPPED_BARS, FileMarketData
from shared.market_data.protocol import BAR_SCHEMA

SYMBOLS = ["AAPL", "FB", "GOOG", "IBM", "MSFT"]
LINE = re.compile(r"\| (\w+)\.parquet \| (\d+) \| ([\d-]+) \| ([\d-]+) \| `(\w{64})` \|")
SMALL_ENOUGH_BYTES = 600_000


def whole(symbol: str) -> pl.DataFrame:
    """A symbol's whole history."""
    return FileMarketData().daily(symbol, bars=100_000)


def test_the_readme_describes_exactly_the_files_beside_it() -> None:
    """Rows, first and last day, and SHA-256 of each."""
    text = (SHIPPED_BARS / "README.md").read_text(encoding="utf-8")
    described = {symbol: (int(rows), first, last, digest) for symbol, rows, first, last, digest in LINE.findall(text)}
    assert described == {
        symbol: (
            whole(symbol).height,
            str(whole(symbol)["date"][0]),
            str(whole(symbol)["date"][-1]),
            sha256((SHIPPED_BARS / f"{symbol}.parquet").read_bytes()).hexdigest(),
        )
        for symbol in FileMarketData().symbols()
    }


def test_the_files_stay_small() -> None:
    """They travel with every installation."""
    assert sum(path.stat().st_size for path in SHIPPED_BARS.iterdir()) < SMALL_ENOUGH_BYTES


def test_these_symbols_are_shipped() -> None:
    """The documentation and the demo name them."""
    assert FileMarketData().symbols() == SYMBOLS


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_the_columns_are_those_of_the_protocol_without_a_hole(symbol: str) -> None:
    """No value is missing, and no price or volume is zero or below."""
    bars = whole(symbol)
    assert bars.schema == BAR_SCHEMA
    assert bars.null_count().row(0) == (0,) * len(BAR_SCHEMA)
    assert min(bars[name].min() for name in ("open", "high", "low", "close", "volume")) > 0  # type: ignore[type-var, operator]


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_every_day_comes_once_and_no_stretch_is_missing(symbol: str) -> None:
    """The longest pause is that of September 2001, seven days."""
    days = whole(symbol)["date"].to_list()
    steps = [(later - earlier).days for earlier, later in pairwise(days)]
    assert min(steps) >= 1
    assert max(steps) <= 7
    assert all(day.weekday() < 5 for day in days)


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_high_and_low_enclose_open_and_close(symbol: str) -> None:
    """To the last of the six decimals, as one factor adjusts all four."""
    wrong = whole(symbol).filter(
        (pl.col("high") < pl.max_horizontal("open", "close")) | (pl.col("low") > pl.min_horizontal("open", "close"))
    )
    assert wrong.is_empty()


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_no_split_shows_as_a_jump(symbol: str) -> None:
    """Unadjusted, AAPL's splits would be falls by half; its one real fall by half was on 2000-09-29."""
    bars = whole(symbol).with_columns(change=pl.col("close") / pl.col("close").shift(1))
    jumps = bars.filter((pl.col("change") < 0.65) | (pl.col("change") > 1.5))["date"].to_list()
    assert jumps == ([date(2000, 9, 29)] if symbol == "AAPL" else [])

"""What every source of market data does: files, memory, and HTTP from a venue that speaks Alpaca's REST."""

from collections.abc import Iterator
from datetime import date

import polars as pl
import pytest

from shared.alpaca import connect
from shared.market_data.alpaca import AlpacaMarketData
from shared.market_data.files import FileMarketData
from shared.market_data.protocol import BAR_SCHEMA, MarketData, NoBars
from shared.testing import MemoryMarketData
from tests.venue import KEY, serving


@pytest.fixture(scope="module")
def over_http() -> Iterator[MarketData]:
    """Alpaca's adapter against the venue, with pages so small that every answer takes several."""
    with serving() as venue, connect(venue.url, KEY) as client:
        venue.reset(page_size=7)
        yield AlpacaMarketData(client)


@pytest.fixture(params=["files", "memory", "over_http"])
def market_data(request: pytest.FixtureRequest) -> MarketData:
    """One source after the other."""
    if request.param == "files":
        return FileMarketData()
    if request.param == "memory":
        shipped = FileMarketData()
        return MemoryMarketData({symbol: shipped.daily(symbol, bars=100_000) for symbol in shipped.symbols()})
    source: MarketData = request.getfixturevalue("over_http")
    return source


def test_bars_come_oldest_first_in_the_columns_of_the_schema(market_data: MarketData) -> None:
    """Strategies rely on the last row being the newest."""
    bars = market_data.daily("MSFT", bars=20)
    assert bars.schema == BAR_SCHEMA
    assert bars["date"].to_list() == sorted(set(bars["date"]))
    assert bars["date"][-1] == date(2013, 3, 1)


def test_as_many_bars_come_as_were_asked_for(market_data: MarketData) -> None:
    """The newest ones, also when the answer is spread over pages."""
    assert market_data.daily("AAPL", bars=1).height == 1
    assert market_data.daily("AAPL", bars=23).height == 23
    assert market_data.daily("AAPL", bars=23).tail(5).equals(market_data.daily("AAPL", bars=5))


def test_the_last_bar_is_that_of_the_day_asked_for(market_data: MarketData) -> None:
    """2010-08-03 was a Tuesday on which the exchange was open."""
    bars = market_data.daily("MSFT", bars=3, until=date(2010, 8, 3))
    assert bars["date"].to_list() == [date(2010, 7, 30), date(2010, 8, 2), date(2010, 8, 3)]
    assert bars["close"][-1] == 21.455158  # the source: close 26.16, adjusted close 21.455158


def test_a_day_without_trading_gives_the_bar_before_it(market_data: MarketData) -> None:
    """2010-08-01 was a Sunday."""
    assert market_data.daily("MSFT", bars=1, until=date(2010, 8, 1))["date"].to_list() == [date(2010, 7, 30)]


def test_nothing_after_the_day_asked_for_is_ever_seen(market_data: MarketData) -> None:
    """Looking ahead would make every backtest a lie."""
    for day in (date(2000, 3, 1), date(2008, 2, 29), date(2012, 12, 31)):
        assert market_data.daily("IBM", bars=10, until=day)["date"].max() == day


def test_a_short_history_gives_what_there_is(market_data: MarketData) -> None:
    """FB was first traded on 2012-05-18."""
    bars = market_data.daily("FB", bars=250, until=date(2012, 5, 22))
    assert bars["date"].to_list() == [date(2012, 5, 18), date(2012, 5, 21), date(2012, 5, 22)]


def test_a_symbol_that_is_not_carried_is_refused_by_name(market_data: MarketData) -> None:
    """The message names the symbol, so that a typing error is seen at once."""
    with pytest.raises(NoBars, match="NOPE"):
        market_data.daily("NOPE")


def test_a_day_before_the_first_bar_is_refused(market_data: MarketData) -> None:
    """An empty table would only fail later, and less clearly."""
    with pytest.raises(NoBars, match=r"GOOG.*2004-08-18"):
        market_data.daily("GOOG", until=date(2004, 8, 18))


@pytest.mark.parametrize("bars", [0, -1])
def test_less_than_one_bar_cannot_be_asked_for(market_data: MarketData, bars: int) -> None:
    """It is a mistake in the caller's code, not an empty answer."""
    with pytest.raises(ValueError, match="at least one bar"):
        market_data.daily("MSFT", bars=bars)


def test_both_sources_answer_the_same(over_http: MarketData) -> None:
    """The fake server gives back, through paging and JSON, exactly what the files hold."""
    ours = FileMarketData().daily("GOOG", bars=100, until=date(2011, 6, 30))
    theirs = over_http.daily("GOOG", bars=100, until=date(2011, 6, 30))
    assert isinstance(theirs, pl.DataFrame)
    assert theirs.equals(ours)

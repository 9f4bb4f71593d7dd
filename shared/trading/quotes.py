"""What the paper broker reads from market data: the last price that an order saw, and the bar that fills it."""

from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

import polars as pl

from shared.market_data.protocol import MarketData

SEARCH_DAYS = (7, 35, 400)
"""How far ahead the next bar is looked for, widening: holidays fit the first, a halt in trading the others."""


@dataclass(frozen=True, kw_only=True)
class Bar:
    """The prices of one day, in US dollars a share."""

    day: date
    open: Decimal
    high: Decimal
    low: Decimal


@dataclass(frozen=True, kw_only=True)
class Quote:
    """`close` is the last close up to the day `decided_on`; `after` is the first bar after it, once there is one."""

    decided_on: date
    close: Decimal
    after: Bar | None


def quote(market_data: MarketData, symbol: str, as_of: date | None) -> Quote:
    """Return the quote for an order decided on the bars up to `as_of`, or on the newest bar.

    Raises what `MarketData.daily` raises.
    """
    last = market_data.daily(symbol, bars=1, until=as_of)
    decided_on = as_of or last["date"][0]
    return Quote(
        decided_on=decided_on,
        close=price(last["close"][0]),
        after=bar_after(market_data, symbol, decided_on),
    )


def bar_after(market_data: MarketData, symbol: str, day: date) -> Bar | None:
    """Return the first bar after `day`, None while there is none within `SEARCH_DAYS`."""
    for days in SEARCH_DAYS:
        window = market_data.daily(symbol, bars=days, until=day + timedelta(days=days))
        later = window.filter(pl.col("date") > day)
        if not later.is_empty():
            first = later.row(0, named=True)
            return Bar(
                day=first["date"],
                open=price(first["open"]),
                high=price(first["high"]),
                low=price(first["low"]),
            )
    return None


def price(value: float) -> Decimal:
    """Return a price as the decimal that it is written as, not the binary fraction behind it."""
    return Decimal(str(value))

"""Daily bars from Alpaca's market data API, version 2, or from any server that speaks its REST.

Endpoint: `GET /v2/stocks/{symbol}/bars`, newest bar first, pages chained by `next_page_token`.
"""

import time
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from itertools import islice
from typing import Any
from urllib.parse import quote

import httpx
import polars as pl

from shared.alpaca import complaint
from shared.errors import PermanentError, TemporaryError
from shared.market_data.protocol import BAR_SCHEMA, NoBars, UnknownSymbol, check_count
from shared.market_data.rate_limit import RateLimit
from shared.retry_after import retry_after

PAGE_LIMIT = 10_000
"""The most bars that Alpaca puts on one page."""

FREE_PLAN = (200, timedelta(minutes=1))
"""Requests that Alpaca's free plan allows, and in what time."""

EARLIEST = "1970-01-01T00:00:00Z"
"""Without a `start` Alpaca begins today; the newest bars come first, so an early start costs nothing."""


class AlpacaMarketData:
    """Market data over HTTP; `client` carries the base URL, keys and timeouts (see `shared.alpaca.connect`).

    It waits on its own side to stay under `rate_limit`, which counts this process only: with many workers, give
    each its share. `feed` is Alpaca's `sip`, `iex` or `otc`; None leaves it to the account's plan.
    """

    def __init__(
        self,
        client: httpx.Client,
        *,
        rate_limit: RateLimit | None = None,
        feed: str | None = None,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._client = client
        self._rate_limit = rate_limit or RateLimit(*FREE_PLAN)
        self._feed = feed
        self._pause = pause

    def daily(self, symbol: str, *, bars: int = 250, until: date | None = None) -> pl.DataFrame:
        """Return the last `bars` daily bars up to and including `until` (see `MarketData.daily`)."""
        check_count(bars)
        newest_first = list(islice(self._bars(symbol, bars, until), bars))
        if not newest_first:
            raise NoBars(
                f"Alpaca has no bars of {symbol} up to {until or 'today'}: check the ticker, "
                "and from which day on your plan and feed carry it."
            )
        return frame(reversed(newest_first))

    def _bars(self, symbol: str, bars: int, until: date | None) -> Iterator[dict[str, Any]]:
        query = {
            "timeframe": "1Day",
            "start": EARLIEST,
            "limit": str(min(bars, PAGE_LIMIT)),
            "adjustment": "all",
            "sort": "desc",
        }
        if until is not None:
            query["end"] = f"{until.isoformat()}T23:59:59Z"
        if self._feed is not None:
            query["feed"] = self._feed
        while True:
            page = self._page(symbol, query)
            yield from page.get("bars") or ()
            token = page.get("next_page_token")
            if not token:
                return
            query["page_token"] = token

    def _page(self, symbol: str, query: dict[str, str]) -> dict[str, Any]:
        wait = self._rate_limit.reserve(time.monotonic())
        if wait > 0:
            self._pause(wait)
        try:
            response = self._client.get(f"/v2/stocks/{quote(symbol, safe='')}/bars", params=query)
        except httpx.RequestError as error:
            raise TemporaryError(f"Alpaca market data did not answer for {symbol}: {error!r}") from error
        if response.is_success:
            return decoded(response)
        raise refusal(response, symbol, datetime.now(UTC))


def decoded(response: httpx.Response) -> dict[str, Any]:
    """Return the page in `response`. Raises TemporaryError for what is not one, such as a proxy's own page."""
    try:
        page = response.json()
    except ValueError:
        page = None
    if not isinstance(page, dict):
        raise TemporaryError(f"{response.url.host} answered something that is not JSON: {response.text[:100]!r}")
    return page


def refusal(response: httpx.Response, symbol: str, now: datetime) -> Exception:
    """Return the error that an answer other than 2xx stands for."""
    said = f"Alpaca market data answered {response.status_code} for {symbol}: {complaint(response)}"
    match response.status_code:
        case 408 | 425 | 429 | 500 | 501 | 502 | 503 | 504:
            return TemporaryError(said, retry_after=retry_after(response.headers.get("Retry-After"), now))
        case 401:
            return PermanentError(f"{said}. Check the API key and secret, and that they are for this server.")
        case 403:
            return PermanentError(f"{said}. Check that your plan covers this feed; `iex` is the free one.")
        case 400 | 404 | 422 if "symbol" in complaint(response).lower():
            return UnknownSymbol(f"{said}. Check the ticker.")
        case _:
            return PermanentError(f"{said}. Check the symbol, the dates and the server's address.")


def frame(bars: Iterator[dict[str, Any]]) -> pl.DataFrame:
    """Return Alpaca's bars as `BAR_SCHEMA`, in the order given.

    A daily bar bears the midnight of New York in UTC (04:00 or 05:00), so its UTC day is the exchange's day.
    """
    rows = [
        (
            date.fromisoformat(bar["t"][:10]),
            *(float(bar[name]) for name in ("o", "h", "l", "c")),
            int(bar["v"]),
        )
        for bar in bars
    ]
    return pl.DataFrame(rows, schema=BAR_SCHEMA, orient="row")

"""Reading Alpaca's bars, without HTTP."""

from datetime import date

import httpx
import pytest

from shared.errors import TemporaryError
from shared.market_data.alpaca import decoded, frame
from shared.market_data.protocol import BAR_SCHEMA


def a_bar(stamp: str) -> dict[str, object]:
    """A bar as Alpaca writes it, with whole numbers where a price is one."""
    return {"t": stamp, "o": 25, "h": 26.5, "l": 24.9, "c": 25.1, "v": 1200, "n": 17, "vw": 25.3}


@pytest.mark.parametrize("stamp", ["2010-01-04T05:00:00Z", "2010-07-06T04:00:00Z"])
def test_a_bar_is_of_the_day_whose_midnight_in_new_york_it_bears(stamp: str) -> None:
    """05:00 UTC in winter, 04:00 in summer."""
    bars = frame(iter([a_bar(stamp)]))
    assert bars.schema == BAR_SCHEMA
    assert bars.row(0) == (date.fromisoformat(stamp[:10]), 25.0, 26.5, 24.9, 25.1, 1200)


@pytest.mark.parametrize("body", [b"<html>bad gateway</html>", b"[]", b""])
def test_an_answer_that_is_no_page_of_bars_is_temporary(body: bytes) -> None:
    """A proxy in between has spoken, not Alpaca."""
    response = httpx.Response(200, content=body, request=httpx.Request("GET", "http://venue/v2/stocks/X/bars"))
    with pytest.raises(TemporaryError, match="not JSON"):
        decoded(response)

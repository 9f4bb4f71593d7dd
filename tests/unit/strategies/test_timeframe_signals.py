"""The trend of the weeks and the entries of the days, on prices made for them."""

from collections.abc import Sequence
from datetime import date, timedelta

import pytest

from shared.market_data.weeks import weekly
from shared.testing import bars
from shared.trading.broker import Side
from shared.workflow import PermanentError
from strategies._timeframe_signals import Signal, Trend, signal_of

MONDAY = date(2024, 1, 1)


def seen(closes: Sequence[float], *, within: int = 5, pullback: float = 45) -> Signal:
    """Return the signal after these closes, of a trend of three weeks over one."""
    days = bars(closes, first=MONDAY)
    return signal_of("X", days, weekly(days), weekly_average=3, slope_weeks=1, pullback=pullback, within=within)


RISING = [100.0 + day for day in range(50)]
FALLING = [200.0 - day for day in range(50)]
DIP, JUMP = [144.0, 138.0, 133.0], [141.0, 146.0]
"""After the rise: RSI falls below 45 in the dip, and comes back above it with the jump."""


def test_a_rise_is_an_up_trend_and_a_fall_a_down_trend() -> None:
    """The close is beyond its average, and that moves the same way."""
    assert seen(RISING).trend is Trend.UP
    assert seen(FALLING).trend is Trend.DOWN
    assert seen([100.0] * 50).trend is Trend.FLAT


def test_a_trend_alone_is_no_entry() -> None:
    """Nothing turned on the days."""
    assert (seen(RISING).side, seen(RISING).trigger, seen(RISING).entered_on) == (None, None, None)


def test_a_pull_back_that_ends_in_an_up_trend_is_a_purchase() -> None:
    """On the day on which RSI is back, and for `within` bars."""
    signal = seen([*RISING, *DIP, *JUMP])
    assert (signal.trend, signal.side) == (Trend.UP, Side.BUY)
    assert signal.trigger == f"RSI(14) rose back above 45 on {signal.entered_on}"
    assert signal.entered_on is not None
    assert timedelta(0) <= signal.day - signal.entered_on <= timedelta(days=1)


def test_a_rally_that_ends_in_a_down_trend_is_a_sale() -> None:
    """The mirror image: RSI falls back below 100 - 45."""
    mirrored = [300 - close for close in [*RISING, *DIP, *JUMP]]
    signal = seen(mirrored)
    assert (signal.trend, signal.side) == (Trend.DOWN, Side.SELL)
    assert signal.trigger is not None
    assert signal.trigger.startswith("RSI(14) fell back below 55")


def test_what_has_turned_back_since_is_no_entry() -> None:
    """RSI rose above the line and fell below it again: the pull-back goes on."""
    assert seen([*RISING, *DIP, *JUMP, 128.0]).side is None


def test_an_entry_counts_for_so_many_bars() -> None:
    """Older ones have been missed."""
    closes = [*RISING, *DIP, *JUMP, 147.0, 148.0]
    assert seen(closes, within=5).side is Side.BUY
    assert seen(closes, within=1).side is None


def test_a_pull_back_against_the_trend_is_left_alone() -> None:
    """MACD rises above its signal line while the weeks fall, and that is no purchase."""
    signal = seen([*FALLING, 149.0, 148.0, 154.0])
    assert signal.macd > signal.macd_signal
    assert (signal.trend, signal.side) == (Trend.DOWN, None)


@pytest.mark.parametrize(("closes", "what"), [(19, "3 complete weeks and its signal needs 4"), (35, "35 daily bars")])
def test_a_history_that_is_too_short_is_refused(closes: int, what: str) -> None:
    """The message says how much there is and how much it takes."""
    with pytest.raises(PermanentError, match=what):
        seen(RISING[:closes])

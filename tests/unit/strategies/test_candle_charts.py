"""What is on a chart, read from the figure; whether it looks well is for eyes."""

import struct
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from io import BytesIO

import numpy as np
import polars as pl
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_rgba_array
from matplotlib.figure import Figure

from shared.market_data.files import FileMarketData
from shared.market_data.indicators import ema, macd, sma, wilder_rsi
from shared.testing import bars
from strategies._candle_charts import FALLEN, PAPER, RISEN, Mark, Study, draw


def study(frame: pl.DataFrame) -> Study:
    """Return a study of these bars with everything there can be in it."""
    close = frame["close"]
    return Study(
        symbol="MSFT",
        timeframe="Daily",
        bars=frame,
        averages={"EMA 20": ema(close, 20), "SMA 50": sma(close, 50)},
        rsi=wilder_rsi(close),
        macd=macd(close),
    )


MSFT = study(FileMarketData().daily("MSFT", bars=300, until=date(2010, 8, 3)))


def texts(figure: Figure) -> str:
    """Return every word on the figure."""
    return " ".join(text.get_text() for text in figure.findobj(match=lambda found: hasattr(found, "get_text")))  # type: ignore[attr-defined]


def bodies(figure: Figure) -> PolyCollection:
    """Return the bodies of the candles."""
    return next(each for each in figure.axes[0].collections if isinstance(each, PolyCollection))


def lines(panel: Axes) -> Sequence[str]:
    """Return the names of the lines in a panel."""
    return [str(line.get_label()) for line in panel.lines if not str(line.get_label()).startswith("_")]


def test_a_chart_is_a_png_of_its_size() -> None:
    """Wide enough for half a year of candles."""
    buffer = BytesIO()
    draw(MSFT, newest=126).savefig(buffer, format="png")
    image = buffer.getvalue()
    assert image.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = struct.unpack(">II", image[16:24])
    assert (width, height > 600) == (1210, True)


def test_every_bar_is_a_candle_beside_the_one_before() -> None:
    """A weekend leaves no gap, as bars stand by number; bodies reach from open to close."""
    figure = draw(MSFT, newest=126)
    extents = [path.get_extents() for path in bodies(figure).get_paths()]
    assert [(extent.x0 + extent.x1) / 2 for extent in extents] == pytest.approx(list(range(126)))
    newest = MSFT.bars.row(-1, named=True)
    assert (extents[-1].y0, extents[-1].y1) == pytest.approx(sorted([newest["close"], newest["open"]]))


def test_candles_are_green_when_they_rise_and_hollow_while_they_are_open() -> None:
    """The newest week, of which two days are known."""
    frame = bars([10, 11, 9, 12])
    figure = draw(replace(study(frame), open_bars=frozenset({3})), newest=4)
    faces = np.asarray(bodies(figure).get_facecolor())
    assert faces.tolist() == to_rgba_array([RISEN, RISEN, FALLEN, PAPER]).tolist()
    assert "not over yet" in texts(figure)


def test_the_title_names_symbol_timeframe_day_and_last_close() -> None:
    """And the change since the bar before."""
    words = texts(draw(MSFT, newest=126))
    for word in ("MSFT", "Daily", "03 Aug 2010", "Last close 21.46  (-0.65%)"):
        assert word in words


def test_each_panel_names_its_lines_with_their_last_values() -> None:
    """Averages over the candles, then volume, RSI with its lines at 30 and 70, MACD."""
    figure = draw(MSFT, newest=126)
    price, volume, rsi, lowest = figure.axes
    assert lines(price) == ["EMA 20  21.01", "SMA 50  20.79"]
    assert lines(volume) == ["Volume  56.88M   mean of 20  64.61M"]
    assert lines(rsi) == ["RSI 14  57.5"]
    levels = [float(np.asarray(line.get_ydata())[0]) for line in rsi.lines if len(np.asarray(line.get_ydata())) == 2]
    assert levels == [30, 70]
    assert lines(lowest) == ["MACD  0.20", "signal  0.09"]
    assert len(draw(replace(MSFT, macd=None), newest=126).axes) == 3


def test_months_are_named_once_and_years_with_their_first() -> None:
    """Half a year of days."""
    lowest = draw(MSFT, newest=126).axes[-1]
    assert [label.get_text() for label in lowest.get_xticklabels()] == ["Mar 2010", "Apr", "May", "Jun", "Jul", "Aug"]


def test_a_mark_is_an_arrow_on_its_side_of_the_bar() -> None:
    """Below for a purchase; one on a day that is not shown is left out."""
    days = MSFT.bars["date"]
    marks = [Mark(day=days[-3], up=True, text="BUY"), Mark(day=days[0], up=False, text="SELL")]
    figure = draw(replace(MSFT, marks=marks), newest=126)
    [arrow] = [text for text in figure.axes[0].texts if text.get_text() == "BUY"]
    assert arrow.xy[1] < MSFT.bars["low"][-3]  # type: ignore[attr-defined]
    assert "SELL" not in texts(figure)


@pytest.mark.parametrize("closes", [[10.0], [10.0, 10.0], [0.01, 5_000.0, 3.0], [7.0] * 80])
def test_any_history_can_be_drawn(closes: list[float]) -> None:
    """One bar, a price that never moves, no volume: there is a picture of it."""
    draw(study(bars(closes, volume=0)), newest=126).savefig(BytesIO(), format="png")

"""Candle charts with averages, volume, the relative strength index and MACD, drawn without any global state.

Bars stand side by side by number, so that nights, weekends and holidays leave no gaps.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from io import BytesIO

import numpy as np
import polars as pl
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.figure import Figure
from matplotlib.offsetbox import AnchoredOffsetbox, HPacker, TextArea
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator

RISEN, FALLEN = "#26a69a", "#ef5350"
INK, FAINT, PAPER = "#20242c", "#e4e7ec", "#ffffff"
LINES = ("#2962ff", "#f57c00", "#7b1fa2")
SMALL = 8.5

WIDTH, DOTS = 11.0, 110
"""Inches, and pixels an inch: charts are 1210 pixels wide."""

BODY = 0.36
"""Half of a candle's width, in bars."""

FEWEST = 60
"""Bars that there is room for at least, so that those of a short history are no wider than others."""

MEAN_VOLUME = 20
"""Bars in the mean of the volume."""

LABELS = 13
"""About as many dates as there is room for."""


@dataclass(frozen=True, kw_only=True)
class Mark:
    """An arrow at the bar of `day`: below it and upwards for a rise, above it and downwards for a fall."""

    day: date
    up: bool
    text: str


@dataclass(frozen=True, kw_only=True)
class Study:
    """What is drawn of one symbol: bars (`BAR_SCHEMA`), and indicators that are as long as they.

    `averages` are drawn over the candles under their names, `macd` (columns macd, signal, histogram) in a panel of its
    own. Bars whose number is in `open_bars` are not over yet, and are drawn hollow.
    """

    symbol: str
    timeframe: str
    bars: pl.DataFrame
    averages: Mapping[str, pl.Series]
    rsi: pl.Series
    rsi_name: str = "RSI 14"
    macd: pl.DataFrame | None = None
    marks: Sequence[Mark] = ()
    open_bars: frozenset[int] = frozenset()

    def tail(self, bars: int) -> "Study":
        """Return the newest `bars` of it; the indicators were computed over all."""
        cut = max(self.bars.height - bars, 0)
        return replace(
            self,
            bars=self.bars[cut:],
            averages={name: line[cut:] for name, line in self.averages.items()},
            rsi=self.rsi[cut:],
            macd=None if self.macd is None else self.macd[cut:],
            open_bars=frozenset(number - cut for number in self.open_bars),
        )


def draw(study: Study, *, newest: int) -> Figure:
    """Return the chart of the newest bars: candles, volume, RSI with lines at 30 and 70, and MACD if there is one."""
    mean_volume = study.bars["volume"].rolling_mean(MEAN_VOLUME).tail(newest)
    study = study.tail(newest)
    heights = [5.0, 1.1, 1.3, *([1.2] if study.macd is not None else [])]
    figure = Figure(figsize=(WIDTH, 0.9 * sum(heights)), dpi=DOTS, facecolor=PAPER)
    grid = figure.add_gridspec(
        len(heights), 1, height_ratios=heights, hspace=0.06, left=0.015, right=0.935, top=0.925, bottom=0.05
    )
    price = figure.add_subplot(grid[0])
    others = [figure.add_subplot(grid[row], sharex=price) for row in range(1, len(heights))]
    panels = [price, *others]
    for panel in panels:
        _prepare(panel, study.bars, dates=panel is panels[-1])
    _draw_candles(price, study)
    _draw_volume(others[0], study.bars, mean_volume)
    _draw_rsi(others[1], study.rsi, study.rsi_name)
    if study.macd is not None:
        _draw_macd(others[2], study.macd)
    _draw_dates(panels[-1], study.bars["date"].to_list())
    _write_title(figure, study)
    return figure


def png(figure: Figure) -> bytes:
    """Return a figure as PNG."""
    buffer = BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def _prepare(panel: Axes, bars: pl.DataFrame, *, dates: bool) -> None:
    panel.set_facecolor(PAPER)
    panel.set_axisbelow(True)
    panel.grid(color=FAINT, linewidth=0.6)
    panel.yaxis.tick_right()
    panel.tick_params(length=0, labelsize=SMALL, labelcolor=INK, labelbottom=dates)
    panel.set_xlim(min(0, bars.height - FEWEST) - 1.5, bars.height + 2.5)
    for spine in panel.spines.values():
        spine.set_color("#c9ced6")
        spine.set_linewidth(0.8)


def _draw_candles(panel: Axes, study: Study) -> None:
    bars = study.bars
    number = np.arange(bars.height)
    opened, high, low, close = (bars[name].to_numpy() for name in ("open", "high", "low", "close"))
    bottom, top = np.minimum(opened, close), np.maximum(opened, close)
    colors = _colors(bars)
    upper = np.stack([np.column_stack([number, top]), np.column_stack([number, high])], axis=1)
    lower = np.stack([np.column_stack([number, low]), np.column_stack([number, bottom])], axis=1)
    wicks = LineCollection([*upper, *lower], colors=[*colors, *colors], linewidths=1.0, zorder=2)
    panel.add_collection(wicks, autolim=False)
    faces = [PAPER if each in study.open_bars else color for each, color in enumerate(colors)]
    bodies = PolyCollection(_boxes(number, bottom, top), facecolors=faces, edgecolors=colors, linewidths=0.9, zorder=3)
    panel.add_collection(bodies, autolim=False)
    for color, (name, line) in zip(LINES, study.averages.items(), strict=False):
        if line.null_count() == len(line):
            continue
        panel.plot(number, line.to_numpy(), color=color, linewidth=1.3, label=_named(name, line), zorder=4)
    drawn = [line.to_numpy() for line in study.averages.values()]
    everything = np.concatenate([low, high, *drawn])
    least, most = float(np.nanmin(everything)), float(np.nanmax(everything))
    room = (most - least or most or 1.0) * 0.08
    panel.set_ylim(least - room, most + 1.6 * room)
    _draw_marks(panel, study, room)
    panel.yaxis.set_major_locator(MaxNLocator(8, prune="both"))
    # A price beside the tag of the last close would stand half behind it.
    panel.yaxis.set_major_formatter(FuncFormatter(lambda at, _: "" if abs(at - close[-1]) < room / 2 else f"{at:,.2f}"))
    last = RISEN if close[-1] >= opened[-1] else FALLEN
    panel.axhline(close[-1], color=last, linewidth=0.8, linestyle=(0, (3, 3)), zorder=1)
    _tag(panel, close[-1], f"{close[-1]:,.2f}", last)
    if panel.lines[:-1]:
        _legend(panel)


def _draw_marks(panel: Axes, study: Study, room: float) -> None:
    numbers = {day: number for number, day in enumerate(study.bars["date"])}
    for mark in study.marks:
        if mark.day not in numbers:
            continue
        number = numbers[mark.day]
        color, sign = (RISEN, -1) if mark.up else (FALLEN, 1)
        price = study.bars["low" if mark.up else "high"][number] + sign * 0.15 * room
        panel.annotate(
            mark.text,
            (number, price),
            xytext=(0, sign * 26),
            textcoords="offset points",
            ha="center",
            va="top" if mark.up else "bottom",
            fontsize=SMALL,
            fontweight="bold",
            color=color,
            bbox={"boxstyle": "square,pad=0.1", "facecolor": PAPER, "edgecolor": "none", "alpha": 0.8},
            arrowprops={"arrowstyle": "-|>", "color": color, "linewidth": 1.4, "shrinkA": 1, "shrinkB": 0},
            zorder=6,
        )


def _draw_volume(panel: Axes, bars: pl.DataFrame, mean: pl.Series) -> None:
    number, volume = np.arange(bars.height), bars["volume"].to_numpy().astype(float)
    boxes = _boxes(number, np.zeros_like(volume), volume)
    panel.add_collection(PolyCollection(boxes, facecolors=_colors(bars), alpha=0.55, zorder=2), autolim=False)
    shown = f"Volume  {_short(volume[-1])}   mean of {MEAN_VOLUME}  {_short(mean[-1] or 0)}"
    panel.plot(number, mean.to_numpy(), color=INK, linewidth=1.0, label=shown, zorder=3)
    panel.set_ylim(0, (volume.max() or 1.0) * 1.5)
    panel.yaxis.set_major_locator(MaxNLocator(3, prune="both"))
    panel.yaxis.set_major_formatter(FuncFormatter(lambda value, _: _short(value)))
    _legend(panel)


def _draw_rsi(panel: Axes, rsi: pl.Series, name: str) -> None:
    values = rsi.to_numpy()
    number = np.arange(len(values))
    panel.axhspan(30, 70, color="#7b1fa2", alpha=0.05, linewidth=0)
    for level in (30, 70):
        panel.axhline(level, color="#8a909c", linewidth=0.9, linestyle=(0, (4, 3)))
    panel.plot(number, values, color="#7b1fa2", linewidth=1.3, label=_named(name, rsi, digits=1))
    for color, beyond in ((FALLEN, values > 70), (RISEN, values < 30)):
        panel.fill_between(number, values, 70 if color == FALLEN else 30, where=beyond, color=color, alpha=0.3)
    panel.set_ylim(0, 100)
    panel.yaxis.set_major_locator(FixedLocator([30, 50, 70]))
    _legend(panel)


def _draw_macd(panel: Axes, macd: pl.DataFrame) -> None:
    number, histogram = np.arange(macd.height), macd["histogram"].to_numpy()
    known = ~np.isnan(histogram)
    heights = np.where(known, histogram, 0.0)
    colors = [RISEN if height >= 0 else FALLEN for height in heights]
    boxes = _boxes(number, np.minimum(heights, 0), np.maximum(heights, 0))
    panel.add_collection(PolyCollection(boxes, facecolors=colors, alpha=0.5), autolim=False)
    panel.plot(number, macd["macd"].to_numpy(), color=LINES[0], linewidth=1.2, label=_named("MACD", macd["macd"]))
    panel.plot(number, macd["signal"].to_numpy(), color=LINES[1], linewidth=1.2, label=_named("signal", macd["signal"]))
    panel.axhline(0, color="#8a909c", linewidth=0.8)
    widest = max(np.nanmax(np.abs(macd[name].to_numpy()), initial=0.0) for name in macd.columns) or 1.0
    panel.set_ylim(-1.25 * widest, 1.6 * widest)
    panel.yaxis.set_major_locator(MaxNLocator(3, prune="both"))
    panel.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.2f}"))
    _legend(panel)


def _draw_dates(panel: Axes, days: Sequence[date]) -> None:
    """Put its month under the first bar of each month, or of every few; the first one of a year bears the year too."""
    months = [12 * day.year + day.month - 1 for day in days]
    firsts = [number for number in range(1, len(days)) if months[number] != months[number - 1]]
    apart = next((step for step in (1, 2, 3, 6, 12) if len(firsts) <= step * LABELS), 24)
    ticks = [number for number in firsts if months[number] % apart == 0]
    year_begins = {days[tick].year: tick for tick in reversed(ticks)}.values()
    panel.set_xticks(ticks, [f"{days[tick]:%b %Y}" if tick in year_begins else f"{days[tick]:%b}" for tick in ticks])


def _write_title(figure: Figure, study: Study) -> None:
    """Write symbol, timeframe and day on the left, and the last bar's prices on the right."""
    last = study.bars.row(-1, named=True)
    before = study.bars["close"][-2] if study.bars.height > 1 else last["open"]
    change = last["close"] / before - 1
    faint = {"fontsize": 11, "color": "#5b6270"}
    strong = {"fontsize": 12, "fontweight": "bold", "color": RISEN if change >= 0 else FALLEN}
    unfinished = ", not over yet" if study.bars.height - 1 in study.open_bars else ""
    named = [
        (study.symbol, {"fontsize": 17, "fontweight": "bold", "color": INK}),
        (study.timeframe, faint | {"color": INK, "fontweight": "bold"}),
        (f"{last['date']:%d %b %Y}{unfinished}", faint),
    ]
    prices = [(f"{name[0].upper()} {last[name]:,.2f}", faint) for name in ("open", "high", "low")]
    closing = (f"Last close {last['close']:,.2f}  ({change:+.2%})", strong)
    for place, at, parts in (("center left", 0.015, named), ("center right", 0.935, [*prices, closing])):
        texts: list[Artist] = [TextArea(text, textprops=look) for text, look in parts]
        line = HPacker(children=texts, align="baseline", pad=0, sep=12)
        box = AnchoredOffsetbox(
            place,
            child=line,
            frameon=False,
            pad=0,
            borderpad=0,
            bbox_to_anchor=(at, 0.962),
            bbox_transform=figure.transFigure,
        )
        figure.add_artist(box)


def _legend(panel: Axes) -> None:
    panel.legend(
        loc="upper left", ncols=4, fontsize=SMALL, frameon=False, labelcolor=INK, borderaxespad=0.3, handlelength=1.6
    )


def _tag(panel: Axes, value: float, text: str, color: str) -> None:
    """Write the price on the axis, on a ground of its own."""
    box = {"boxstyle": "square,pad=0.25", "facecolor": color, "edgecolor": "none"}
    panel.annotate(
        text,
        (1, value),
        xycoords=("axes fraction", "data"),
        xytext=(4, 0),
        textcoords="offset points",
        va="center",
        fontsize=SMALL,
        fontweight="bold",
        color=PAPER,
        bbox=box,
        zorder=7,
    )


def _boxes(number: np.ndarray, bottom: np.ndarray, top: np.ndarray) -> list[np.ndarray]:
    """Return the four corners of one box a bar."""
    left, right = number - BODY, number + BODY
    corners = [(left, bottom), (left, top), (right, top), (right, bottom)]
    return list(np.stack([np.column_stack(corner) for corner in corners], axis=1))


def _colors(bars: pl.DataFrame) -> list[str]:
    return [RISEN if risen else FALLEN for risen in bars["close"] >= bars["open"]]


def _named(name: str, line: pl.Series, *, digits: int = 2) -> str:
    """Return a line's name with its last value."""
    return name if line[-1] is None else f"{name}  {line[-1]:,.{digits}f}"


def _short(volume: float) -> str:
    """Return 65000000 as 65M."""
    for unit, letter in ((1e9, "B"), (1e6, "M"), (1e3, "K")):
        if volume >= unit:
            return f"{volume / unit:,.4g}{letter}"
    return f"{volume:,.0f}"

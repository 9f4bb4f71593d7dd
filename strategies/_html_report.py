"""A run on one page of HTML: signals, what the risk made of them, orders and charts.

The charts are a part of the page, so that it can be saved and sent by itself, and no script is.
"""

from base64 import b64encode
from collections.abc import Iterable, Sequence
from html import escape

from shared.workflow import Order, Side

from ._position_sizing import Sized
from ._timeframe_signals import Signal

STYLE = """
body { font: 14px/1.5 system-ui, sans-serif; color: #20242c; max-width: 1240px; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; margin-bottom: 0; } h2 { font-size: 1.1rem; margin-top: 2rem; } p { color: #5b6270; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th { text-align: left; color: #5b6270; font-weight: 600; border-bottom: 2px solid #c9ced6; }
th, td { padding: .35rem .6rem; vertical-align: top; } td { border-bottom: 1px solid #e4e7ec; }
td.number, th.number { text-align: right; } .buy, .up { color: #1a8c81; } .sell, .down { color: #d33c38; }
.buy, .sell { font-weight: 600; text-transform: uppercase; } .refused { color: #8a909c; }
img { width: 100%; margin: .5rem 0; border: 1px solid #e4e7ec; }
"""

Cell = tuple[str, str]
"""A text and its CSS class."""


def page(
    signals: Sequence[Signal],
    sized: Sequence[Sized],
    orders: Sequence[Order],
    charts: Sequence[tuple[str, bytes]],
    without: Sequence[str],
) -> str:
    """Return the page; `charts` are PNG by name, `without` the symbols that have no signal."""
    day = max(signal.day for signal in signals)
    parts = [
        f"<h1>Two timeframes</h1><p>As of the close of {day}; prices in US dollars a share.</p>",
        "<h2>Signals</h2>",
        _table(SIGNALS, (_signal(signal) for signal in signals)),
        _missing(without),
        "<h2>Decisions</h2>",
        _table(SIZES, (_size(position) for position in sized)) if sized else "<p>No entry on any symbol.</p>",
        "<h2>Orders</h2>",
        _table(ORDERS, (_order(order) for order in orders)) if orders else "<p>No order was placed.</p>",
        "<h2>Charts</h2>" if charts else "",
        *(f'<img alt="{escape(name)}" src="data:image/png;base64,{b64encode(png).decode()}">' for name, png in charts),
    ]
    head = f"<meta charset=utf-8><title>Two timeframes, {day}</title><style>{STYLE}</style>"
    return "<!doctype html>\n<html lang=en><head>" + head + "</head><body>\n" + "\n".join(parts) + "\n</body></html>\n"


SIGNALS = ("Symbol", "Day", "#Close", "#ATR", "#RSI", "#MACD", "Week", "#Average", "#Slope", "Trend", "Entry")
SIZES = ("Symbol", "Side", "#Wanted", "#Quantity", "#Value", "#Stop", "Notes")
ORDERS = ("Symbol", "Side", "#Quantity", "State", "#Filled", "#Price", "Order", "Reason")


def _signal(signal: Signal) -> Iterable[Cell]:
    yield signal.symbol, ""
    yield f"{signal.day}", ""
    yield from ((f"{value:,.2f}", "number") for value in (signal.close, signal.atr))
    yield f"{signal.rsi:.1f}", "number"
    yield f"{signal.macd:+.2f}", "number"
    yield f"{signal.week}", ""
    yield f"{signal.week_average:,.2f}", "number"
    yield f"{signal.slope:+.1%}", "number"
    yield signal.trend, signal.trend
    yield (signal.trigger, "") if signal.trigger else ("none", "refused")


def _size(sized: Sized) -> Iterable[Cell]:
    yield sized.symbol, ""
    yield _side(sized.side)
    yield f"{sized.wanted:,}", "number"
    yield f"{sized.quantity:,}", "number"
    yield f"{sized.value:,.0f}", "number"
    yield f"{sized.stop:,.2f}" if sized.stop is not None else "", "number"
    yield " ".join(sized.notes), "refused" if sized.refused else ""


def _order(order: Order) -> Iterable[Cell]:
    yield order.symbol, ""
    yield _side(order.side)
    yield f"{order.quantity:,}", "number"
    yield order.state, ""
    yield f"{order.filled_quantity:,}", "number"
    yield f"{order.average_price:,.2f}" if order.average_price is not None else "", "number"
    yield order.client_order_id, ""
    yield order.reason or "", ""


def _side(side: Side) -> Cell:
    return side, side


def _missing(symbols: Sequence[str]) -> str:
    return f"<p>Without a signal, see the errors of the run: {escape(', '.join(symbols))}.</p>" if symbols else ""


def _table(heads: Sequence[str], rows: Iterable[Iterable[Cell]]) -> str:
    """Return a table; a head that begins with # stands over numbers."""
    titles = "".join(
        f'<th class="number">{escape(head[1:])}</th>' if head.startswith("#") else f"<th>{escape(head)}</th>"
        for head in heads
    )
    body = "\n".join(
        "<tr>" + "".join(f'<td class="{kind}">{escape(str(text))}</td>' for text, kind in row) + "</tr>" for row in rows
    )
    return f"<table><thead><tr>{titles}</tr></thead>\n<tbody>{body}</tbody></table>"

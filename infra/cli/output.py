"""Tables and words for the terminal; plain text when piped."""

from __future__ import annotations

import sys
from collections.abc import Collection, Sequence
from datetime import datetime

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

_PIPED_WIDTH = 200


def console() -> Console:
    """Standard output; a pipe gets no colours, and lines that are not wrapped to 80 columns."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else _PIPED_WIDTH)


def say(to: Console, line: str = "") -> None:
    """A line of plain text: what strategies and venues say is never read as markup."""
    to.print(Text(line), soft_wrap=True)


def table(
    to: Console, title: str, columns: Sequence[str], rows: Sequence[Sequence[object]], *, whole: Collection[str] = ()
) -> None:
    """A titled table; columns whose cells are all numbers are set to the right, those named in `whole` never wrap."""
    numeric = [bool(rows) and all(_is_number(row[index]) for row in rows) for index in range(len(columns))]
    drawn = Table(title=Text(title), title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    for name, right in zip(columns, numeric, strict=True):
        drawn.add_column(name, justify="right" if right else "left", no_wrap=name in whole, overflow="fold")
    for row in rows:
        drawn.add_row(*(Text("" if cell is None else str(cell)) for cell in row))
    to.print(drawn)


def moment(text: str | None) -> datetime | None:
    """A time of the interface (ISO 8601 with Z)."""
    return None if text is None else datetime.fromisoformat(text)


def milliseconds(seconds: float | None) -> str:
    """A duration as a person reads it."""
    return "" if seconds is None else f"{seconds * 1000:,.0f} ms"


def _is_number(cell: object) -> bool:
    try:
        float(str(cell).replace(",", "").removesuffix(" ms"))
    except ValueError:
        return cell in (None, "")
    return True

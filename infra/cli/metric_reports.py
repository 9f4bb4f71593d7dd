"""The figures of the system, for the terminal."""

from __future__ import annotations

from rich import box
from rich.table import Table
from rich.text import Text

from infra.cli.client import Json
from infra.cli.durations import duration_text

_UNKNOWN = "?"


def figures(answer: Json) -> Table:
    """What `GET /api/metrics` answers, a line a figure; what Redis alone knows is "?" while it is away."""
    window = duration_text(answer["window_seconds"])
    drawn = Table(
        title=Text(f"Metrics as of position {answer['as_of_position']}, times of the last {window}"),
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        show_header=False,
    )
    for name, cell in _lines(answer):
        drawn.add_row(Text(name), Text(cell))
    return drawn


def _lines(answer: Json) -> list[tuple[str, str]]:
    oldest = answer["queue_oldest_seconds"]
    workers = _UNKNOWN if answer["workers"] is None else str(answer["workers"])
    return [
        *((f"tasks {name}", f"{count:,}") for name, count in answer["tasks"].items()),
        ("duration", _times(answer, "duration")),
        ("waiting", _times(answer, "waiting")),
        ("throughput", f"{answer['throughput_per_minute']:.1f} a minute"),
        *((f"queue {level}", _queue(depth, oldest[level])) for level, depth in answer["queue_length"].items()),
        ("workers", workers),
        ("projection", f"{answer['projection_lag_events']:,} events, {answer['projection_lag_seconds']:.1f} s behind"),
    ]


def _times(answer: Json, figure: str) -> str:
    average, high = answer[f"average_{figure}_seconds"], answer[f"p95_{figure}_seconds"]
    return "" if average is None else f"{average:,.3f} s on average, 95 % within {high:,.3f} s"


def _queue(depth: int, oldest: float | None) -> str:
    return f"{depth:,}" if oldest is None else f"{depth:,}, one for {duration_text(int(oldest))}"

"""A trace as a waterfall, and log lines as lines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from infra.cli.output import milliseconds, say

Json = dict[str, Any]

_WIDTH = 40
_STYLES = {"error": "red"}


def waterfall(to: Console, trace: Json) -> None:
    """A row for each span, below the one that it is in, with a bar for when it was."""
    spans: Sequence[Json] = trace["spans"]
    starts = [_seconds(span["start_at"]) for span in spans]
    begin = min(starts)
    whole = max(start + span["duration_seconds"] for start, span in zip(starts, spans, strict=True)) - begin
    drawn = Table(title=Text(f"Trace {trace['trace_id']}"), title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for name, justify in (("span", "left"), ("service", "left"), ("after", "right"), ("took", "right"), ("", "left")):
        drawn.add_column(name, justify="right" if justify == "right" else "left", no_wrap=True, overflow="ellipsis")
    for depth, span in _as_tree(spans):
        after = _seconds(span["start_at"]) - begin
        drawn.add_row(
            Text("  " * depth + _name(span), style=_STYLES.get(span["status"], "")),
            Text(span["service"]),
            Text(milliseconds(after)),
            Text(milliseconds(span["duration_seconds"])),
            Text(_bar(after, span["duration_seconds"], whole)),
        )
    to.print(drawn)
    if trace["truncated"]:
        say(to, f"The first {len(spans)} spans are shown; there are more.")


def line(item: Json) -> str:
    """One log line, with its traceback below it."""
    where = [item[name] for name in ("step", "symbol") if item[name] is not None]
    fields = [f"{name}={value}" for name, value in item["fields"].items()]
    words = [item["at"][11:23], f"{item['level']:<8}", item["event"], *where, *fields]
    return "\n".join([" ".join(map(str, words)), *([item["traceback"].rstrip()] if item["traceback"] else [])])


def _as_tree(spans: Sequence[Json]) -> Iterator[tuple[int, Json]]:
    """Yield each span with its depth, those within it after it; one whose parent is not here stands at the top."""
    known = {span["span_id"] for span in spans}
    children: dict[str | None, list[Json]] = {}
    for span in spans:
        parent = span["parent_span_id"]
        children.setdefault(parent if parent in known else None, []).append(span)
    left = [(0, span) for span in reversed(children.get(None, []))]
    while left:
        depth, span = left.pop()
        yield depth, span
        left += [(depth + 1, child) for child in reversed(children.get(span["span_id"], []))]


def _name(span: Json) -> str:
    attributes = span["attributes"]
    more = [attributes.get("blotter.symbol"), attributes.get("url.path") if span["kind"] == "client" else None]
    number = attributes.get("blotter.attempt") if span["name"] == "attempt" else None
    return " ".join(str(word) for word in (span["name"], number, *more) if word is not None)


def _bar(after: float, took: float, whole: float) -> str:
    begin = min(_WIDTH - 1, int(_WIDTH * after / whole)) if whole else 0
    length = max(1, round(_WIDTH * took / whole)) if whole else 1
    return " " * begin + "━" * min(length, _WIDTH - begin)


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()

"""How spans and lines are packed."""

import json
from typing import Any
from uuid import UUID, uuid4

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from shared.telemetry.records import IN_ONE_ROW, LONGEST_TEXT, Line, is_kept, line_rows, span_rows
from shared.telemetry.tracing import TASK_ID, TASKS


def line(task_id: str, event: str = "said", *, level: str = "info", **fields: Any) -> Line:
    """A line of a task."""
    return Line(
        task_id=task_id, at=0.5, level=level, logger="test", event=event, fields=fields, trace=None, traceback=None
    )


def spans(**attributes: Any) -> list[ReadableSpan]:
    """A span and one within it, of which the inner one has failed."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("test")
    try:
        with (
            tracer.start_as_current_span("outer", attributes=attributes),
            tracer.start_as_current_span("inner", attributes=attributes),
        ):
            raise ValueError("no")
    except ValueError:
        pass
    return list(exporter.get_finished_spans())


def unmasked(text: str) -> str:
    """Mask nothing."""
    return text


def test_spans_of_one_trace_and_task_are_one_row() -> None:
    """With what a waterfall needs: names, times, parents, and what failed."""
    task_id = uuid4()
    (row,) = span_rows(spans(**{TASK_ID: str(task_id)}), "worker", unmasked)
    inner, outer = json.loads(row.body)
    assert (row.task_id, row.number) == (task_id, 2)
    assert (inner["name"], inner["parent_span_id"], inner["status"]) == ("inner", outer["span_id"], "error")
    assert (outer["parent_span_id"], outer["service"], outer["kind"]) == (None, "worker", "internal")
    assert inner["events"][0]["attributes"]["exception.message"] == "no"
    assert inner["duration_seconds"] >= 0
    assert inner["start_at"].endswith("Z")


def test_only_what_tells_of_a_task_is_kept() -> None:
    """A span that is about several tasks is kept without the name of one."""
    assert not any(is_kept(span) for span in spans())
    shared = spans(**{TASKS: 3})
    assert all(is_kept(span) for span in shared)
    assert [row.task_id for row in span_rows(shared, "gateway", unmasked)] == [None]


def test_lines_keep_their_order_and_their_highest_level() -> None:
    """One row a task, many where there are many."""
    one, other = str(uuid4()), str(uuid4())
    lines = [line(one, "a"), line(other, "b", level="error"), line(one, "c", level="warning")]
    first, second = line_rows(lines, "worker", unmasked)
    assert [each["event"] for each in json.loads(first.body)] == ["a", "c"]
    assert (first.task_id, first.highest, second.highest) == (UUID(one), 30, 40)
    many = line_rows([line(one, str(n)) for n in range(IN_ONE_ROW + 1)], "worker", unmasked)
    assert [row.number for row in many] == [IN_ONE_ROW, 1]


def test_values_of_any_kind_are_written_down_within_bounds() -> None:
    """Objects, half a character, endless text, a dictionary in itself; a task id that is none is left out."""
    endless: dict[str, Any] = {}
    endless["self"] = endless
    odd = line(str(uuid4()), "x" * 20_000, thing=object(), half="\ud800", big=["y" * 10_000], seconds=1.5, loop=endless)
    (row,) = line_rows([odd, line("no-task")], "worker", unmasked)
    (written,) = json.loads(row.body)
    assert len(written["event"]) == LONGEST_TEXT + 3
    assert len(written["fields"]["big"]) <= LONGEST_TEXT + 3
    assert written["fields"]["seconds"] == 1.5
    assert written["fields"]["thing"].startswith("<object")


def test_what_is_written_is_masked() -> None:
    """As one text."""
    (row,) = line_rows([line(str(uuid4()), "a secret word")], "worker", lambda text: text.replace("secret", "***"))
    assert json.loads(row.body)[0]["event"] == "a *** word"

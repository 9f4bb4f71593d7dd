"""Which log lines are a task's."""

import json
import logging
from collections.abc import Iterator
from datetime import timedelta
from uuid import uuid4

import pytest
import structlog
from opentelemetry.sdk.trace import TracerProvider

from shared.logging import configure_logging
from shared.telemetry.lines import TaskLines
from shared.telemetry.outbox import Outbox
from tests.memory_telemetry import MemoryStore
from tests.unit.shared.telemetry.test_records import unmasked

TASK = uuid4()


@pytest.fixture
def outbox() -> Iterator[Outbox]:
    """An outbox that is given the lines of all loggers."""
    root = logging.getLogger()
    before, level = root.handlers, root.level
    configure_logging("json", "INFO")
    outbox = Outbox(MemoryStore(), "test", unmasked, pace=timedelta(hours=1))
    root.addHandler(TaskLines(outbox))
    yield outbox
    root.handlers, root.level = before, level
    structlog.reset_defaults()


def test_lines_with_a_task_bound_are_taken_whichever_logger_said_them(outbox: Outbox) -> None:
    """structlog's, and the standard library's, with what is bound; others are not, and neither are quiet ones."""
    logger, library = structlog.get_logger("own"), logging.getLogger("library")
    logger.info("before")
    with structlog.contextvars.bound_contextvars(task_id=str(TASK), step="prices", symbol="AAPL"):
        logger.info("found", bars=3)
        library.warning("slow: %s s", 2)
        library.debug("chatter")
    logger.error("named", task_id=str(TASK))
    library.error("after")
    first, second, third = outbox._lines
    assert (first.event, first.level, first.fields["bars"], first.fields["symbol"]) == ("found", "info", 3, "AAPL")
    assert (second.event, second.level, second.logger) == ("slow: 2 s", "warning", "library")
    assert second.fields["step"] == "prices"
    assert (third.event, third.task_id) == ("named", str(TASK))


def test_a_line_has_its_trace_and_its_traceback(outbox: Outbox) -> None:
    """Those of the moment at which it was logged."""
    bound, tracer = structlog.contextvars.bound_contextvars(task_id=str(TASK)), TracerProvider().get_tracer("test")
    with bound, tracer.start_as_current_span("step") as span:
        try:
            raise ValueError("broken")
        except ValueError:
            structlog.get_logger().exception("failed")
            logging.getLogger("library").exception("failed too")
    for line in outbox._lines:
        assert line.trace is not None
        assert line.trace.span_id == span.get_span_context().span_id
        assert line.traceback is not None
        assert line.traceback.endswith("ValueError: broken\n")


def test_every_line_of_the_process_shows_its_trace_and_no_secret(
    outbox: Outbox, capsys: pytest.CaptureFixture[str]
) -> None:
    """On standard error, where containers are read."""
    configure_logging("json", "INFO")
    with TracerProvider().get_tracer("test").start_as_current_span("request") as span:
        structlog.get_logger().info("asked", api_key="abcdefgh-1", url="redis://:abcdefgh-2@host/0")
    line = json.loads(capsys.readouterr().err)
    assert line["trace_id"] == f"{span.get_span_context().trace_id:032x}"
    assert (line["api_key"], line["url"]) == ("***", "redis://:***@host/0")

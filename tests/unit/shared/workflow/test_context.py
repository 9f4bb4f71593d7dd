"""What a step finds in its context, and what it opens."""

from datetime import UTC, datetime
from typing import Any

import pytest
import structlog

from shared.workflow import Context, PermanentError
from shared.workflow.context import Collaborators, Position, Progress


class Recorder:
    """Collaborators that write down what was opened, reported and kept."""

    def __init__(self) -> None:
        self.opened: list[Any] = []
        self.reported: list[tuple[Position, Progress]] = []
        self.kept: list[tuple[Position, str, Any]] = []
        self.checkpoints = 0
        self.logs = structlog.testing.LogCapture()

    def context(self) -> Context:
        """Return a context of these collaborators that stands at no step yet."""
        return Context(
            task_id="task",
            symbols=("MSFT", "IBM"),
            parameters={"lookback": 20},
            attempt=2,
            collaborators=Collaborators(
                market_data=lambda: self._open("market data"),
                http=lambda: self._open("http"),
                broker=lambda position: self._open(position),
                log=structlog.wrap_logger(None, processors=[self.logs]).bind(),
                clock=lambda: datetime(2024, 1, 31, tzinfo=UTC),
                report=lambda position, progress: self.reported.append((position, progress)),
                checkpoint=self._checkpoint,
                keep=lambda position, name, value: self.kept.append((position, name, value)),
            ),
        )

    def _open(self, what: Any) -> Any:
        self.opened.append(what)
        return object()

    def _checkpoint(self) -> None:
        self.checkpoints += 1


@pytest.fixture
def recorder() -> Recorder:
    """Collaborators that have done nothing yet."""
    return Recorder()


def test_nothing_is_opened_that_no_step_uses(recorder: Recorder) -> None:
    """A step that needs no broker opens no connection."""
    ctx = recorder.context().at(Position("signal", "MSFT"))
    assert (ctx.task_id, ctx.symbols, ctx.symbol, ctx.attempt) == ("task", ("MSFT", "IBM"), "MSFT", 2)
    assert (ctx.parameters, ctx.now()) == ({"lookback": 20}, datetime(2024, 1, 31, tzinfo=UTC))
    assert recorder.opened == []


def test_market_data_and_http_are_opened_once_a_run(recorder: Recorder) -> None:
    """All steps share them."""
    context = recorder.context()
    first, second = context.at(Position("signal", "MSFT")), context.at(Position("decide"))
    assert first.market_data is second.market_data
    assert first.http is second.http
    assert recorder.opened == ["market data", "http"]


def test_each_position_has_a_broker_of_its_own(recorder: Recorder) -> None:
    """Ordinals of client order ids count from the start of a step and symbol."""
    context = recorder.context()
    ctx = context.at(Position("trade", "MSFT"))
    assert ctx.broker is ctx.broker
    assert context.at(Position("trade", "IBM")).broker is not ctx.broker
    assert recorder.opened == [Position("trade", "MSFT"), Position("trade", "IBM")]


def test_progress_and_artifacts_say_where_they_come_from(recorder: Recorder) -> None:
    """The executor shows them with their step."""
    here = Position("signal", "MSFT")
    ctx = recorder.context().at(here)
    ctx.progress(3, 10, "reading")
    ctx.artifact("chart.png", b"png")
    assert recorder.reported == [(here, Progress(3, 10, "reading"))]
    assert recorder.kept == [(here, "chart.png", b"png")]
    assert recorder.checkpoints == 0


def test_a_checkpoint_is_passed_on(recorder: Recorder) -> None:
    """What stands behind it may stop the run there."""
    recorder.context().at(Position("signal")).checkpoint()
    assert recorder.checkpoints == 1


@pytest.mark.parametrize(("done", "total"), [(-1, 10), (11, 10), (0, -1)])
def test_impossible_progress_is_refused(recorder: Recorder, done: int, total: int) -> None:
    """Progress never goes backwards or past its end."""
    with pytest.raises(ValueError, match="0 <= done <= total"):
        recorder.context().at(Position("signal")).progress(done, total)


@pytest.mark.parametrize("name", ["", "../secret", "a/b", ".hidden", "x" * 101, "line\n"])
def test_an_artifact_is_named_like_a_file(recorder: Recorder, name: str) -> None:
    """The name becomes a part of a URL and of a download."""
    with pytest.raises(PermanentError, match="cannot name an artifact"):
        recorder.context().at(Position("signal")).artifact(name, b"")


def test_a_log_line_knows_its_step_and_symbol(recorder: Recorder) -> None:
    """No strategy has to say so itself."""
    recorder.context().at(Position("signal", "MSFT")).log.info("weak", strength=0.1)
    [line] = recorder.logs.entries
    assert line == {"event": "weak", "strength": 0.1, "step": "signal", "symbol": "MSFT", "log_level": "info"}


def test_a_context_that_stands_at_no_step_says_so(recorder: Recorder) -> None:
    """Only an engine can come here."""
    with pytest.raises(RuntimeError, match="stands at no step"):
        recorder.context().artifact("chart.png", b"")

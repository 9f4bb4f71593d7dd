"""A journal that writes down how the engine calls it, and one pass of the engine over it."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from shared.domain.failures import Failure
from shared.objects.memory import MemoryObjectStore
from shared.testing.journal import MemoryJournal
from shared.workflow import Context, Workflow
from shared.workflow.context import Collaborators, Position
from shared.workflow.engine import Stopped, run_steps
from shared.workflow.steps import Step

SYMBOLS = ("MSFT", "AAPL", "IBM")


def refuse(*_: Any) -> Any:
    """Stand for a collaborator that no step here may touch."""
    raise AssertionError("no step of this test uses it")


def context(symbols: Sequence[str] = SYMBOLS) -> Context:
    """Return a context whose collaborators are never opened."""
    return Context(
        task_id="task",
        symbols=tuple(symbols),
        parameters=None,
        attempt=1,
        collaborators=Collaborators(
            market_data=refuse,
            http=refuse,
            broker=refuse,
            log=refuse,  # type: ignore[arg-type]
            clock=lambda: datetime(2024, 1, 2, tzinfo=UTC),
            report=refuse,
            checkpoint=lambda: None,
            keep=refuse,
        ),
    )


class ListeningJournal(MemoryJournal):
    """A memory journal that writes down how it was called."""

    def __init__(self, workflow: Workflow, **options: Any) -> None:
        super().__init__(workflow, store=MemoryObjectStore(), **options)
        self.begun: list[Position] = []
        self.completed: list[tuple[Position, bool]] = []
        self.failed: list[tuple[Position, Failure]] = []

    def begin(self, step: Step, symbol: str | None) -> None:
        """Write down the position."""
        self.begun.append(Position(step.name, symbol))

    def complete(self, step: Step, symbol: str | None, value: Any, *, last: bool) -> None:
        """Write down the position, once its value is kept."""
        super().complete(step, symbol, value, last=last)
        self.completed.append((Position(step.name, symbol), last))

    def fail(self, step: Step, symbol: str | None, failure: Failure) -> None:
        """Write down the failure."""
        self.failed.append((Position(step.name, symbol), failure))
        super().fail(step, symbol, failure)


def go(workflow: Workflow, journal: MemoryJournal | None = None, symbols: Sequence[str] = SYMBOLS) -> ListeningJournal:
    """Run once, and return the journal whether the run was stopped or not."""
    journal = journal or ListeningJournal(workflow)
    assert isinstance(journal, ListeningJournal)
    try:
        run_steps(workflow, symbols, context(symbols), journal)
    except Stopped:
        assert journal.error or journal.retries
    return journal

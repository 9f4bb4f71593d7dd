"""`run`: a workflow from its first step to its end, in this process and without waiting."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from typing import Any, NoReturn

import httpx
import structlog
from pydantic import BaseModel

from shared.domain.outputs import ObjectRef
from shared.domain.phases import CeleryState
from shared.market_data.protocol import MarketData
from shared.objects.memory import MemoryObjectStore
from shared.objects.store import ObjectStore
from shared.testing.broker import FakeBroker
from shared.testing.journal import MemoryJournal
from shared.testing.market_data import AsOf
from shared.testing.outcome import Outcome, StepFailure
from shared.workflow import artifacts
from shared.workflow.context import Collaborators, Context, Position, Progress
from shared.workflow.engine import Stopped, run_steps
from shared.workflow.errors import PermanentError
from shared.workflow.orders import Decision
from shared.workflow.results import collect_decisions, final_steps
from shared.workflow.workflow import Workflow

TASK_ID = "00000000-0000-4000-8000-000000000001"
"""`ctx.task_id` of every run in a test."""


def run(
    workflow: Workflow,
    symbols: Sequence[str],
    *,
    parameters: Mapping[str, Any] | BaseModel | None = None,
    market_data: MarketData | None = None,
    broker: FakeBroker | None = None,
    http: httpx.Client | None = None,
    as_of: date | datetime | None = None,
    scheduled_at: datetime | None = None,
    max_retries: int | None = None,
) -> Outcome:
    """Run `workflow` for `symbols` and return what came of it; an error of a step is in the outcome, not raised.

    It is the executor's engine, retries and storage of outputs; a retired definition runs like any other. Retries are
    not waited for (see `Outcome.retries`), and `timeout` is not enforced. `as_of` (a day, or an aware time) is what
    `ctx.now()` says, and no bar after that day is seen; `scheduled_at` is for which time a schedule fires it. Raises
    DeclarationError for a workflow that cannot run and InvalidInput for parameters that do not fit it.
    """
    workflow.check()
    store = MemoryObjectStore()
    record = _Record(store=store)
    book = broker or FakeBroker()
    moment = _moment(as_of)
    day = as_of.date() if isinstance(as_of, datetime) else as_of
    journal = MemoryJournal(workflow, store=store, max_retries=max_retries)
    collaborators = Collaborators(
        market_data=lambda: _market_data(market_data, day),
        http=lambda: http or _missing("HTTP client", "http=httpx.Client(transport=httpx.MockTransport(...))"),
        broker=lambda position: book.at(TASK_ID, position),
        log=record.logger(),
        clock=lambda: moment or datetime.now(UTC),
        report=lambda position, progress: record.progress.append((position, progress)),
        checkpoint=lambda: None,
        keep=record.keep,
    )
    given = parameters if isinstance(parameters, BaseModel) else workflow.parse(parameters or {})

    def context(attempt: int) -> Context[Any]:
        return Context(
            task_id=TASK_ID,
            symbols=tuple(symbols),
            parameters=given,
            attempt=attempt,
            collaborators=collaborators,
            scheduled_at=scheduled_at,
        )

    _to_the_end(workflow, symbols, context, journal)
    return _outcome(workflow, journal, book, record)


@dataclass
class _Record:
    """What steps said and kept on their way."""

    store: ObjectStore
    artifacts: dict[str, ObjectRef] = field(default_factory=dict)
    progress: list[tuple[Position, Progress]] = field(default_factory=list)
    logs: structlog.testing.LogCapture = field(default_factory=structlog.testing.LogCapture)

    def keep(self, position: Position, name: str, value: Any) -> None:
        """Store an artifact."""
        self.artifacts[name] = artifacts.keep(name, value, store=self.store)

    def logger(self) -> Any:
        """Return a logger whose lines end up in `logs`, whatever logging the process has set up."""
        return structlog.wrap_logger(
            None, processors=[self.logs], wrapper_class=structlog.make_filtering_bound_logger(0)
        ).bind()


def _to_the_end(
    workflow: Workflow, symbols: Sequence[str], context: Callable[[int], Context[Any]], journal: MemoryJournal
) -> None:
    attempt = 1
    while True:
        try:
            run_steps(workflow, symbols, context(attempt), journal)
        except Stopped:
            if journal.error is not None:
                return
            attempt += 1
        else:
            return


def _outcome(workflow: Workflow, journal: MemoryJournal, book: FakeBroker, record: _Record) -> Outcome:
    collected = [StepFailure(step=at.step, symbol=at.symbol, failure=why) for at, why in journal.collected.items()]
    return Outcome(
        state=CeleryState.SUCCESS if journal.error is None else CeleryState.FAILURE,
        outputs=journal.values(workflow.steps),
        decisions=collect_decisions(journal.values(final_steps(workflow, Decision)).values()),
        orders=book.orders,
        errors=collected,
        error=journal.error,
        retries=journal.retries,
        artifacts={name: record.store.get(ref) for name, ref in record.artifacts.items()},
        progress=record.progress,
        logs=[dict(entry) for entry in record.logs.entries],
    )


def _moment(as_of: date | datetime | None) -> datetime | None:
    """Return the time that a test runs at: the end of a day (UTC), so that its bar is known."""
    if isinstance(as_of, datetime):
        if as_of.tzinfo is None:
            raise ValueError("as_of= is a day or a time with a time zone: write datetime(..., tzinfo=UTC)")
        return as_of.astimezone(UTC)
    return datetime.combine(as_of, time(23, 59, 59), UTC) if as_of else None


def _market_data(market_data: MarketData | None, day: date | None) -> MarketData:
    if market_data is None:
        _missing("market data", 'market_data=MemoryMarketData({"MSFT": bars([10, 11, 12])})')
    return AsOf(market_data, day) if day else market_data


def _missing(what: str, argument: str) -> NoReturn:
    raise PermanentError(f"This step uses {what} and the test gives none: call run(..., {argument}).")

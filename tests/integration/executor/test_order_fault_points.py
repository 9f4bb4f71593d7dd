"""The flagship killed with -9 while it places an order, at each line of it, and what venue and ledger say in the end.

The lines are those that an undisturbed run was seen to execute, of the files in TRACED. After each kill the worker is
declared lost, as the dispatcher does, and the run goes on in another process.
"""

import signal
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from msgspec import structs

from services.executor.placing import LedgerPlacer
from shared.alpaca import connect
from shared.domain.events import Event
from shared.domain.execution import WorkflowExecution
from shared.domain.execution_events import StepCompleted
from shared.domain.orders import OrderState
from shared.domain.phases import Phase
from shared.log.event_log import EventLog
from shared.trading.alpaca import AlpacaBroker
from shared.workflow.registry import load_strategies
from shared.workflow.workflow import Workflow
from tests.builders import stamp, submitted
from tests.integration.executor.doomed_worker import AttemptRequest, Death, DoomedWorker, Line, doomed_worker
from tests.venue import KEY, Fault, Moment, Venue, serving

PLACING = "services/executor/placing.py"
TRACED = (PLACING, "shared/trading/alpaca.py")
GOLDEN_CROSS = "2013-01-25"
"""The flagship buys MSFT after this day, and places one order."""
LOST_ANSWER = Fault(kind="drop", moment=Moment.AFTER)
NO_ORDER = 0
FIRST_LINE = (PLACING, LedgerPlacer.__init__.__code__.co_firstlineno + 1)
"""Where the step that trades reaches for its broker."""


@pytest.fixture(scope="module")
def worker() -> Iterator[DoomedWorker]:
    """A process that runs attempts and dies of them."""
    with doomed_worker() as worker:
        yield worker


@pytest.fixture(scope="module")
def venue() -> Iterator[Venue]:
    """A venue on a real port."""
    with serving() as venue:
        yield venue


@pytest.fixture(scope="module")
def flagship() -> Workflow:
    """The strategy that is shown first."""
    return load_strategies("strategies", entry_points=False).workflows["sma-crossover"]


class Desk:
    """Runs the flagship to its end, through deaths, and says what became of its order."""

    def __init__(self, log: EventLog, url: str, worker: DoomedWorker, venue: Venue, flagship: Workflow, objects: Path):
        self.log, self._url, self._worker = log, url, worker
        self.venue, self._flagship, self._objects = venue, flagship, objects
        self._broker = AlpacaBroker(connect(venue.url, KEY))
        self.refuses_duplicates = True
        self._about_to_trade: list[Event] = []

    def submit(self, *faults: Fault) -> UUID:
        """Put a run that is about to trade into the log, before a venue that begins anew and commits `faults`.

        It is a copy of one that lost its worker there, so that its other steps are computed once only.
        """
        self.venue.reset()
        if not self._about_to_trade:
            self._about_to_trade = self._run_until_trading()
        for fault in faults:
            self.venue.fail(fault)
        task_id = uuid4()
        self.log.append([structs.replace(event, originator_id=task_id) for event in self._about_to_trade])
        return task_id

    def _run_until_trading(self) -> list[Event]:
        described = self._flagship.describe()
        execution = submitted(
            strategy_id=described.strategy_id,
            symbols=("MSFT",),
            parameters={"as_of": GOLDEN_CROSS, "quantity": 1},
            steps=described.steps,
            definition_hash=described.definition_hash,
        )
        self.log.save_execution(execution)
        self.attempt(execution.id, kill_at=FIRST_LINE)
        return self.log.stream(execution.id)

    def attempt(self, task_id: UUID, kill_at: Line | None = None, *, watched: bool = False) -> Death:
        """Run the next attempt; it dies at `kill_at` if that is given, and its worker is declared lost then.

        The answer has the lines that were executed when it is `watched`.
        """
        number = self.log.execution(task_id).attempts + 1
        death = self._worker.run(
            AttemptRequest(
                task_id=task_id,
                attempt=number,
                database_url=self._url,
                venue_url=self.venue.url,
                objects=str(self._objects),
                traced=TRACED if watched else (kill_at[0],) if kill_at else (),
                refuses_duplicates=self.refuses_duplicates,
                kill_at=kill_at,
            )
        )
        assert death.signal == (signal.SIGKILL if kill_at else 0), f"{kill_at}: {death.signal}, {death.exit_code}"
        assert death.exit_code == 0
        if kill_at is not None:
            execution = self.log.execution(task_id)
            execution.lose_worker(stamp(), attempt=number, worker="executor@doomed", reason="killed", max_losses=9)
            self.log.save_execution(execution)
        return death

    def lines(self, *faults: Fault) -> tuple[Line, ...]:
        """Return the lines that one undisturbed attempt executes."""
        return self.attempt(self.submit(*faults), watched=True).lines

    def has_one_order(self, task_id: UUID) -> str | None:
        """Return what is wrong with the run, its ledger and the venue, None when there is exactly one order in both."""
        execution = self.log.execution(task_id)
        records = list(execution.orders.values())
        if execution.phase is not Phase.SUCCEEDED or len(records) != 1 or records[0].is_open:
            return f"the run is {execution.phase} with the orders {records}"
        (record,) = records
        if self.venue.accepted() != {record.client_order_id: 1}:
            return f"the venue accepted {self.venue.accepted()}"
        if (differs := self._differs_from_the_book(execution)) is not None:
            return differs
        steps = Counter(each.step for each in self.log.stream(task_id) if isinstance(each, StepCompleted))
        return None if set(steps.values()) == {1} else f"steps were completed {steps}"

    def _differs_from_the_book(self, execution: WorkflowExecution) -> str | None:
        (record,) = execution.orders.values()
        held = self._broker.find(record.client_order_id)
        assert held is not None
        assert record.outcome is not None
        book = (held.venue_order_id, held.symbol, held.side.value, str(held.quantity))
        ledger = (record.outcome.venue_order_id, record.order.symbol, record.order.side, record.order.quantity)
        return None if book == ledger else f"the venue's book has {book} and the ledger {ledger}"


@pytest.fixture
def desk(
    migrated_database_url: str, worker: DoomedWorker, venue: Venue, flagship: Workflow, tmp_path: Path
) -> Iterator[Desk]:
    """A desk with a log of its own."""
    log = EventLog(migrated_database_url)
    yield Desk(log, migrated_database_url, worker, venue, flagship, tmp_path)
    log.close()


def wrongs(lines: tuple[Line, ...], trial: Callable[[Line], str | None]) -> dict[Line, str]:
    """Return what was wrong after a kill at each of `lines`; an empty answer means that all were survived."""
    assert len(lines) > 5, lines
    return {line: wrong for line in lines if (wrong := trial(line)) is not None}


def test_killed_at_each_line_of_placing_an_order_it_shows_exactly_one(desk: Desk) -> None:
    """Whether the order was requested, sent or answered: the next attempt makes it one."""

    def trial(line: Line) -> str | None:
        task_id = desk.submit()
        desk.attempt(task_id, kill_at=line)
        desk.attempt(task_id)
        return desk.has_one_order(task_id)

    assert wrongs(desk.lines(), trial) == {}


def test_killed_at_each_line_after_a_lost_answer_it_shows_exactly_one(desk: Desk) -> None:
    """The venue took the order and its answer was cut off; the lines are those of finding that out."""
    undisturbed = set(desk.lines())
    lines = tuple(line for line in desk.lines(LOST_ANSWER) if line not in undisturbed)

    def trial(line: Line) -> str | None:
        task_id = desk.submit(LOST_ANSWER)
        desk.attempt(task_id, kill_at=line)
        desk.attempt(task_id)
        return desk.has_one_order(task_id)

    assert wrongs(lines, trial) == {}


@pytest.mark.parametrize("arrived", [True, False], ids=["arrived", "not arrived"])
def test_killed_again_at_each_line_of_going_on_it_shows_exactly_one(desk: Desk, arrived: bool) -> None:
    """The second attempt, which asks the venue, dies at each of its lines too; the third one ends the run."""
    first = _line_of_sending(desk, arrived=arrived)
    task_id = desk.submit()
    desk.attempt(task_id, kill_at=first)
    lines = of_placing(desk.attempt(task_id, watched=True).lines)
    assert desk.has_one_order(task_id) is None

    def trial(line: Line) -> str | None:
        task_id = desk.submit()
        desk.attempt(task_id, kill_at=first)
        desk.attempt(task_id, kill_at=line)
        desk.attempt(task_id)
        return desk.has_one_order(task_id)

    assert wrongs(lines, trial) == {}


def test_at_a_venue_that_may_take_duplicates_nothing_is_ever_sent_twice(desk: Desk) -> None:
    """Killed at each line, either there is one order and the run goes on, or it stops for a person with none."""
    desk.refuses_duplicates = False
    endings: Counter[tuple[Phase, int]] = Counter()

    def trial(line: Line) -> str | None:
        task_id = desk.submit()
        desk.attempt(task_id, kill_at=line)
        desk.attempt(task_id)
        execution = desk.log.execution(task_id)
        received = len(desk.venue.received())
        endings[execution.phase, received] += 1
        if execution.phase is Phase.SUCCEEDED:
            return desk.has_one_order(task_id) if received == 1 else f"{received} orders were sent"
        assert execution.failure is not None
        states = [record.state for record in execution.orders.values()]
        as_it_should = (
            received == NO_ORDER and execution.failure.failure.needs_attention and states == [OrderState.REQUESTED]
        )
        return None if as_it_should else f"{received} orders were sent, {execution.failure} with {states}"

    assert wrongs(of_placing(desk.lines()), trial) == {}
    assert set(endings) == {(Phase.SUCCEEDED, 1), (Phase.FAILED, NO_ORDER)}


def _line_of_sending(desk: Desk, *, arrived: bool) -> Line:
    """Return the first line before which the venue has the order in an undisturbed attempt, or the last without it."""
    lines = desk.lines()

    def has_arrived_before(line: Line) -> bool:
        desk.attempt(desk.submit(), kill_at=line)
        return bool(desk.venue.received())

    first = bisect_left(lines, True, key=has_arrived_before)
    return lines[first if arrived else first - 1]


def of_placing(lines: tuple[Line, ...]) -> tuple[Line, ...]:
    """Return the lines of our own code; those of the adapter are in the first two tests."""
    return tuple(line for line in lines if line[0] == PLACING)

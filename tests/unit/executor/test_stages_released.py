"""Branches among the live runs: released together, under limits, stopped with their run; and its time."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from services.executor.live_run import LiveRun, RunState
from services.executor.live_runs import LiveRuns
from shared.domain.catalogue import StepDescription, StepKind, StepScope
from shared.domain.execution import WorkflowExecution
from shared.domain.outputs import Output
from shared.domain.priority import Priority
from tests.builders import NOW, WORKER, failure, stamp, submitted

SYMBOLS = ("AAPL", "GOOG", "IBM", "MSFT")


class Desk:
    """Live runs fed with what is decided on runs of one parallel step."""

    def __init__(self, *, slots: int = 4) -> None:
        self.runs = self.empty(slots)
        self.position = 0

    def empty(self, slots: int) -> LiveRuns:
        """Live runs, as at the start of a dispatcher."""
        runs = LiveRuns(window=100, aging=timedelta(minutes=5))
        runs.slots = slots
        return runs

    def feed(self, *runs: WorkflowExecution) -> None:
        """Take in what was decided."""
        for run in runs:
            for event in run.collect_events():
                self.position += 1
                self.runs.apply(self.position, event)

    def opened(
        self, *symbols: str, max_parallel: int | None = None, level: Priority = Priority.NORMAL
    ) -> WorkflowExecution:
        """A run that has come to its stage."""
        step = StepDescription(
            name="look",
            each=StepScope.SYMBOL,
            kind=StepKind.PARALLEL,
            max_parallel=max_parallel,
            limits={"venue": 2} if level is Priority.LOW else {},
        )
        run = submitted(symbols=symbols or SYMBOLS, steps=(step,), priority=level, timeout_seconds=60.0)
        run.claim(stamp(1), attempt=1, worker=WORKER)
        run.open_stage(stamp(2), attempt=1, members=[("look", symbol) for symbol in run.submitted.symbols])
        self.feed(run)
        return run

    def released(self) -> list[LiveRun]:
        """Release what may be released."""
        return list(self.runs.release(NOW))

    def complete(self, run: WorkflowExecution, symbol: str, *, begin: float = 3, end: float = 4) -> None:
        """Have a member claimed and completed."""
        branch = run.members["look", symbol]
        branch.claim(stamp(begin), attempt=branch.attempts + 1, worker=WORKER)
        branch.complete(stamp(end), attempt=branch.attempts, output=Output(), started_at=stamp(begin).at)
        self.feed(run)

    def row(self, stream: UUID) -> LiveRun:
        """What is known of a run or branch."""
        found = self.runs.get(stream)
        assert found is not None
        return found


def test_members_are_released_as_what_goes_on_and_the_run_holds_no_slot() -> None:
    """Each under its own id, with its step, its symbol and the number of its stage."""
    desk = Desk()
    run = desk.opened()
    released = desk.released()
    assert [(each.id, each.symbols, each.opening, each.attempt) for each in released] == [
        (run.members["look", symbol].id, (symbol,), 1, 1) for symbol in SYMBOLS
    ]
    assert all(each.resumed and each.task_id == run.id for each in released)
    assert desk.row(run.id).state is RunState.JOINING
    assert list(desk.runs.at_work()) == []


def test_at_most_max_parallel_are_with_the_workers() -> None:
    """One that ends, waits for a retry or makes way leaves its place to the next."""
    desk = Desk()
    run = desk.opened(max_parallel=1)
    assert [each.symbol for each in desk.released()] == ["AAPL"]
    assert sum(desk.runs.depths().values()) == 1
    desk.complete(run, "AAPL")
    assert [each.symbol for each in desk.released()] == ["GOOG"]
    busy = run.members["look", "GOOG"]
    busy.claim(stamp(5), attempt=1, worker=WORKER)
    desk.feed(run)
    assert desk.released() == []
    busy.schedule_retry(stamp(6), attempt=1, failure=failure(), started_at=stamp(5).at, due_at=stamp(60).at)
    desk.feed(run)
    assert [each.symbol for each in desk.released()] == ["IBM"]


def test_a_run_has_half_the_slots_while_somebody_else_waits_and_else_all_and_as_many_in_redis() -> None:
    """So that a run of hundreds does not starve the desk, and no worker waits for the dispatcher."""
    alone, shared = Desk(slots=2), Desk(slots=2)
    alone.opened()
    assert len(alone.released()) == 4
    shared.feed(submitted())
    shared.opened()
    assert [each.is_branch for each in shared.released()].count(True) == 1


def test_a_limit_counts_over_all_runs_and_what_waits_for_a_place_makes_nobody_yield() -> None:
    """Two at the venue, whoever they belong to."""
    desk = Desk(slots=10)
    first, second = (desk.opened("AAPL", "IBM", level=Priority.LOW) for _ in range(2))
    assert [each.task_id for each in desk.released()] == [first.id] * 2
    assert desk.runs.full_limits() == ["venue"]
    assert desk.runs.depths()[Priority.LOW] == 2
    desk.complete(first, "AAPL")
    assert [each.task_id for each in desk.released()] == [second.id]


def test_limits_of_a_workflow_hold_for_its_runs() -> None:
    """The one that came first goes first."""
    desk = Desk()
    runs = [submitted(limits={"venue": 1}) for _ in range(3)]
    desk.feed(*runs)
    assert [each.id for each in desk.released()] == [runs[0].id]
    runs[0].request_cancel(stamp(1))
    desk.feed(runs[0])
    assert [each.id for each in desk.released()] == [runs[1].id]


def test_a_cancelled_run_takes_its_waiting_members_with_it_and_asks_the_others_to_stop() -> None:
    """Pointers in Redis are taken back; whoever is at work is asked, and goes when it has closed."""
    desk = Desk()
    run = desk.opened()
    desk.released()
    branch = run.members["look", "AAPL"]
    branch.claim(stamp(3), attempt=1, worker=WORKER)
    run.request_cancel(stamp(4))
    desk.feed(run)
    assert {each.symbol for each in desk.runs.withdrawn()} == {"GOOG", "IBM", "MSFT"}
    assert (desk.row(branch.id).state, desk.row(branch.id).asked_at) == (RunState.CANCELLING, stamp(4).at)
    assert not desk.runs.is_joined(desk.row(run.id))
    branch.close(stamp(5), attempt=1, reason="cancelled")
    desk.feed(run)
    assert desk.runs.is_joined(desk.row(run.id))
    run.settle_stage(stamp(6))
    desk.feed(run)
    assert list(desk.runs.all()) == []


def test_a_run_that_goes_on_after_its_end_waits_for_its_next_attempt() -> None:
    """With nothing left of what it was."""
    desk = Desk()
    run = desk.opened()
    run.fail_in_stage(stamp(3), failure=failure())
    desk.feed(run)
    assert list(desk.runs.all()) == []
    run.retry_now(stamp(9))
    run.collect_events()
    desk.runs.restart(99, stamp(9).at, run)
    (again,) = desk.released()
    assert (again.id, again.attempt, again.spent_seconds) == (run.id, 2, 0.0)


def test_time_passes_for_a_joining_run_while_a_member_is_at_work() -> None:
    """Overlapping ones count once, and waiting costs nothing."""
    desk = Desk()
    run = desk.opened()
    first, second = (run.members["look", symbol] for symbol in ("AAPL", "IBM"))
    first.claim(stamp(10), attempt=1, worker=WORKER)
    second.claim(stamp(12), attempt=1, worker=WORKER)
    desk.feed(run)
    assert desk.row(run.id).started_at == stamp(10).at
    for branch, end in ((first, 14), (second, 15)):
        branch.complete(stamp(end), attempt=1, output=Output(), started_at=stamp(10).at)
    desk.feed(run)
    assert (desk.row(run.id).started_at, desk.row(run.id).spent_seconds) == (None, 1.0 + 5.0)
    assert run.time_left(stamp(50).at) == timedelta(seconds=60 - 6)


def test_what_was_stored_holds_its_places_again() -> None:
    """After a restart nobody is released beyond the limits, and who was parked is parked."""
    desk = Desk()
    desk.opened(max_parallel=1)
    desk.released()
    changed, _ = desk.runs.changes()
    again = LiveRuns(changed, window=100, aging=timedelta(minutes=5))
    assert list(again.release(NOW)) == []
    assert Counter(each.state for each in again.all()) == Counter(each.state for each in changed)


@given(st.lists(st.tuples(st.integers(0, 2), st.sampled_from(SYMBOLS), st.booleans()), max_size=60))
def test_no_limit_is_ever_passed_and_nobody_is_parked_for_ever(moves: list[tuple[int, str, bool]]) -> None:
    """Whoever claims, completes or makes others wait, in whatever order."""
    desk = Desk(slots=3)
    runs = [desk.opened(max_parallel=2, level=Priority.LOW) for _ in range(3)]

    def with_workers() -> list[LiveRun]:
        return [each for each in desk.runs.all() if each.is_branch and not each.is_parked]

    for number, symbol, ends in moves:
        desk.released()
        assert len(with_workers()) <= 2
        branch = runs[number].members["look", symbol]
        if ends and branch.at_work:
            branch.complete(stamp(9), attempt=branch.attempts, output=Output(), started_at=NOW)
        elif not branch.phase.ended and not branch.at_work and desk.row(branch.id).is_sent:
            branch.claim(stamp(8), attempt=branch.attempts + 1, worker=WORKER)
        desk.feed(runs[number])
    left = [branch for run in runs for branch in run.stage() if not branch.phase.ended]
    while left:
        desk.released()
        held = [branch for branch in left if not desk.row(branch.id).is_parked]
        assert held, "places are free, and somebody is parked"
        for branch in held:
            if not branch.at_work:
                branch.claim(stamp(8), attempt=branch.attempts + 1, worker=WORKER)
            branch.complete(stamp(9), attempt=branch.attempts, output=Output(), started_at=NOW)
            desk.feed(*runs)
        left = [branch for branch in left if not branch.phase.ended]

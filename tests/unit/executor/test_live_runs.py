"""The order in which waiting runs are released, and what the dispatcher remembers of them."""

from collections.abc import Iterable
from datetime import timedelta
from uuid import UUID

from services.executor.live_run import RunState
from services.executor.live_runs import LiveRuns
from services.executor.waiting import AGED_SHARE
from shared.domain.execution import WorkflowExecution
from shared.domain.priority import Priority
from tests.builders import NOW, complete_all, failure, stamp, submitted
from tests.unit.executor.live_runs import waiting as live


class Desk:
    """Live runs fed with the events of executions, in the order in which they are collected."""

    def __init__(self, *, window: int = 100) -> None:
        self.runs = LiveRuns(window=window, aging=timedelta(minutes=5))
        self.position = 0

    def feed(self, *executions: WorkflowExecution) -> None:
        """Apply what the executions have decided since the last time."""
        for execution in executions:
            for event in execution.collect_events():
                self.position += 1
                self.runs.apply(self.position, event)

    def submit(self, user: str = "ada", level: Priority = Priority.NORMAL) -> WorkflowExecution:
        """Feed a new run."""
        execution = submitted(user_id=user, priority=level)
        self.feed(execution)
        return execution

    def released(self) -> list[UUID]:
        """Release what may be released."""
        return [run.task_id for run in self.runs.release(NOW)]


def ids(executions: Iterable[WorkflowExecution]) -> list[UUID]:
    """The ids of runs."""
    return [execution.id for execution in executions]


def claim(execution: WorkflowExecution) -> None:
    """Start the next attempt."""
    execution.claim(stamp(1), attempt=execution.attempts + 1, worker="w")


def schedule_retry(execution: WorkflowExecution, due_in: float) -> None:
    """Have the running attempt fail and wait `due_in` seconds after NOW."""
    execution.schedule_retry(
        stamp(1),
        attempt=execution.attempts,
        step="load",
        symbol=None,
        failure=failure(),
        started_at=stamp().at,
        due_at=stamp(due_in).at,
    )


def test_levels_are_released_from_high_to_low() -> None:
    """A run of a higher level goes first, whenever it was submitted."""
    desk = Desk()
    low, normal, high = desk.submit(level=Priority.LOW), desk.submit(), desk.submit(level=Priority.HIGH)

    assert desk.released() == ids([high, normal, low])


def test_one_user_is_served_first_in_first_out() -> None:
    """Inside a level a user's runs keep the order of their submission."""
    desk = Desk()
    runs = [desk.submit() for _ in range(5)]

    assert desk.released() == ids(runs)


def test_users_of_a_level_take_turns() -> None:
    """A user with many runs does not hold up another one's single run."""
    desk = Desk()
    first, second, third = (desk.submit("ada") for _ in range(3))
    other = desk.submit("bob")

    assert desk.released() == ids([first, other, second, third])


def test_a_level_holds_no_more_than_its_window_in_redis() -> None:
    """Beyond the window runs wait with the dispatcher, and a claim makes room for the next."""
    desk = Desk(window=2)
    runs = [desk.submit() for _ in range(4)]
    assert desk.released() == ids(runs[:2])
    assert desk.released() == []

    claim(runs[0])
    desk.feed(runs[0])

    assert desk.released() == ids(runs[2:3])


def test_a_full_level_does_not_hold_up_another() -> None:
    """The window counts by level."""
    desk = Desk(window=1)
    runs = [desk.submit(level=Priority.LOW) for _ in range(2)]
    high = desk.submit(level=Priority.HIGH)

    assert desk.released() == ids([high, runs[0]])


def test_a_cancelled_run_is_never_released() -> None:
    """A run that was cancelled while it waited leaves the waiting set, and its row."""
    desk = Desk()
    kept, cancelled = desk.submit(), desk.submit()
    cancelled.request_cancel(stamp(1))
    desk.feed(cancelled)

    assert desk.released() == ids([kept])
    changed, ended = desk.runs.changes()
    assert [run.task_id for run in changed] == [kept.id]
    assert ended == [cancelled.id]


def test_a_retry_is_due_once_and_waits_again_with_the_next_attempt() -> None:
    """The delay is over at `due_at`, not before, and is reported once; RetryDue makes the run wait again."""
    desk = Desk()
    run = desk.submit()
    assert desk.released() == [run.id]
    claim(run)
    schedule_retry(run, due_in=5)
    desk.feed(run)

    assert desk.runs.next_due_at() == stamp(5).at
    assert desk.runs.due(stamp(5).at - timedelta(microseconds=1)) == []
    assert desk.runs.due(stamp(5).at) == [run.id]
    assert desk.runs.due(stamp(5).at) == []

    run.fall_due(stamp(5))
    desk.feed(run)
    assert [(live.task_id, live.attempt) for live in desk.runs.release(NOW)] == [(run.id, 2)]


def test_a_cancelled_retry_is_never_due() -> None:
    """A retry whose run was cancelled in between is forgotten."""
    desk = Desk()
    run = desk.submit()
    claim(run)
    schedule_retry(run, due_in=5)
    run.request_cancel(stamp(2))
    desk.feed(run)

    assert desk.runs.due(stamp(10).at) == []


def test_an_ended_run_makes_room_in_the_window() -> None:
    """A run that was cancelled while its pointer was in Redis does not count there any more."""
    desk = Desk(window=1)
    first, second = desk.submit(), desk.submit()
    assert desk.released() == [first.id]
    first.request_cancel(stamp(1))
    desk.feed(first)

    assert desk.released() == [second.id]


def test_a_run_that_had_its_turn_early_is_known_by_it_until_its_attempt_ends() -> None:
    """Released in the turn of a higher level, it is not the first to make way again; afterwards it is as before."""
    desk = Desk()
    low = desk.submit(level=Priority.LOW)
    for _ in range(AGED_SHARE):
        desk.submit(level=Priority.HIGH)
    released = [run.task_id for run in desk.runs.release(NOW + timedelta(minutes=5))]
    assert released.index(low.id) == AGED_SHARE - 1

    claim(low)
    desk.feed(low)
    (running,) = desk.runs.at_work()
    assert (running.level, running.sent_level) == (Priority.LOW, Priority.HIGH)
    schedule_retry(low, due_in=5)
    desk.feed(low)
    assert running.sent_level is None


def test_a_finished_run_leaves_nothing_behind() -> None:
    """The last event of a run deletes its row."""
    desk = Desk()
    run = desk.submit()
    claim(run)
    complete_all(run)
    desk.feed(run)

    assert desk.runs.changes() == ([], [run.id])


def test_stored_runs_go_on_where_they_were() -> None:
    """After a restart unsent runs are released in their old order, sent ones count in the window, retries fall due."""
    waiting = [live(since=3), live(since=1), live(since=2, sent_at=NOW)]
    retrying = live(since=4, state=RunState.RETRYING, due_at=stamp(5).at)

    runs = LiveRuns([*waiting, retrying], window=2, aging=timedelta(minutes=5))

    assert [run.since for run in runs.release(NOW)] == [1]
    assert runs.due(stamp(5).at) == [retrying.task_id]


def test_an_event_of_an_unknown_run_changes_nothing() -> None:
    """Events of runs that ended long ago, read again, are harmless."""
    desk = Desk()
    run = submitted()
    run.collect_events()
    claim(run)
    complete_all(run)
    desk.feed(run)

    assert desk.released() == []
    assert desk.runs.changes() == ([], [])

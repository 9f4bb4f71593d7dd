"""Where an interrupt may raise, and where it is only noted; the signals are real."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from uuid import uuid4

import pytest

from services.executor.interruption import INTERRUPT, Interrupted, Interruption, Interruptions, NoAlarm
from shared.workflow.engine import Stopped

HOUR = timedelta(hours=1)


class TimerAlarm:
    """The timer of a process, without the thread that would end this one."""

    def set(self, after: timedelta) -> None:
        """Send SIGALRM after this time."""
        signal.setitimer(signal.ITIMER_REAL, after.total_seconds())

    def clear(self) -> None:
        """Send none."""
        signal.setitimer(signal.ITIMER_REAL, 0)


@pytest.fixture
def interruption() -> Iterator[Interruption]:
    """The one attempt of this process, which takes signals as its interrupts."""
    before = {number: signal.getsignal(number) for number in (INTERRUPT, signal.SIGALRM)}
    interruptions = Interruptions(TimerAlarm)
    interruptions.listen()
    with interruptions.of(uuid4(), 1) as attempt:
        yield attempt
    for number, handler in before.items():
        signal.signal(number, handler)


def interrupt() -> None:
    """Send this process an interrupt, which its main thread takes before it goes on."""
    os.kill(os.getpid(), INTERRUPT)


def interrupt_soon() -> None:
    """Send it while the main thread is in what comes next."""
    threading.Timer(0.05, interrupt).start()


def test_an_interrupt_cuts_a_blocking_step_short_and_its_finally_runs(interruption: Interruption) -> None:
    """It raises in the middle of a sleep."""
    done: list[str] = []

    def step() -> None:
        interrupt_soon()
        try:
            time.sleep(60)
        finally:
            done.append("cleaned up")

    with pytest.raises(Interrupted):
        interruption.call(step, limit=HOUR)
    assert done == ["cleaned up"]


def test_outside_of_a_step_it_is_noted_and_raised_by_the_next_one(interruption: Interruption) -> None:
    """An append is not cut in two; the next step does not begin."""
    interrupt()
    assert interruption.noted
    with pytest.raises(Interrupted):
        interruption.call(lambda: pytest.fail("the step began"), limit=HOUR)


def test_what_is_masked_is_done_before_it_raises(interruption: Interruption) -> None:
    """An order on its way is heard of first."""
    done: list[str] = []

    def step() -> None:
        with interruption.masked():
            interrupt()
            done.append("placed")
        pytest.fail("the step went on")

    with pytest.raises(Interrupted):
        interruption.call(step, limit=HOUR)
    assert done == ["placed"]


def test_an_error_of_what_is_masked_is_not_replaced(interruption: Interruption) -> None:
    """What went wrong is told; the interrupt stays noted for the boundary."""

    def step() -> None:
        with interruption.masked():
            interrupt()
            raise ValueError("no money")

    with pytest.raises(ValueError, match="no money"):
        interruption.call(step, limit=HOUR)
    assert interruption.noted


def test_cleaning_up_is_not_interrupted_again(interruption: Interruption) -> None:
    """The request comes again each second, and `finally`, `except` and what they call are left to end."""
    done: list[str] = []

    def clean_up() -> None:
        try:
            raise KeyError
        except KeyError:
            interrupt()
            done.append("in an except of its own")
        interrupt()
        done.append("to the end")

    def step() -> None:
        try:
            interrupt()
        finally:
            clean_up()

    with pytest.raises(Interrupted):
        interruption.call(step, limit=HOUR)
    assert done == ["in an except of its own", "to the end"]


def test_cleaning_up_after_the_end_of_a_run_is_not_interrupted(interruption: Interruption) -> None:
    """A run may end while one of its orders is placed; the reminder that comes then is too late."""
    done: list[str] = []

    def step() -> None:
        try:
            raise Stopped
        finally:
            interrupt()
            done.append("cleaned up")

    with pytest.raises(Stopped):
        interruption.call(step, limit=HOUR)
    assert done == ["cleaned up"]


def test_a_step_that_swallows_it_is_interrupted_again(interruption: Interruption) -> None:
    """`except BaseException` wins time, and no more than that."""
    swallowed: list[BaseException] = []

    def step() -> None:
        try:
            interrupt()
        except BaseException as error:
            swallowed.append(error)
        interrupt()

    with pytest.raises(Interrupted):
        interruption.call(step, limit=HOUR)
    assert len(swallowed) == 1


def test_a_step_whose_time_is_over_is_cut_short_and_says_so(interruption: Interruption) -> None:
    """By the timer of the process; the next one has a time of its own."""
    with pytest.raises(Interrupted):
        interruption.call(lambda: time.sleep(60), limit=timedelta(seconds=0.05))
    assert interruption.expired
    interruption.noted = False
    assert interruption.call(lambda: 42, limit=HOUR) == 42
    assert not interruption.expired
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_an_attempt_that_has_ended_leaves_nothing_to_the_next_one(interruption: Interruption) -> None:
    """A timer that an interrupt kept from being cleared would end somebody else's step."""
    interruption._alarm.set(HOUR)
    interruption.close()
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_only_the_attempt_that_is_meant_hears_of_it() -> None:
    """In a pool of threads several run side by side; the others, and those that have ended, are left alone."""
    interruptions, task_id, other_id = Interruptions(NoAlarm), uuid4(), uuid4()
    with interruptions.of(task_id, 2) as mine, interruptions.of(other_id, 1) as other:
        interruptions.interrupt(task_id, 1)
        interruptions.interrupt(task_id, 2)
        assert (mine.noted, other.noted) == (True, False)
    interruptions.interrupt(task_id, 2)


def test_another_threads_interrupt_is_heard_at_the_next_check() -> None:
    """Nothing is raised across threads; `ctx.checkpoint()` checks."""
    interruptions, task_id = Interruptions(NoAlarm), uuid4()

    def step() -> None:
        thread = threading.Thread(target=interruptions.interrupt, args=(task_id, 1))
        thread.start()
        thread.join()
        mine.check()
        pytest.fail("the step went on")

    with interruptions.of(task_id, 1) as mine, pytest.raises(Interrupted):
        mine.call(step, limit=HOUR)

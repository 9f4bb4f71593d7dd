"""The clock that all processes share, on machines whose own clocks are wrong."""

from datetime import UTC, datetime, timedelta

import psycopg

from shared.log.clock import ADJUST_EVERY, ASK_AGAIN_AFTER, LONGEST_ANSWER, DatabaseClock

TRUE = datetime(2026, 3, 2, 14, 30, tzinfo=UTC)
HOUR = timedelta(hours=1)


class Machine:
    """A machine whose clock is an hour slow, and a database that takes a while to answer."""

    def __init__(self) -> None:
        self.uptime = 1000.0
        self.asked = 0
        self.answer_takes = timedelta()
        self.away = False
        self.clock = DatabaseClock(self._ask, seconds=lambda: self.uptime, local=lambda: self.true_time - HOUR)

    @property
    def true_time(self) -> datetime:
        """What the database's clock shows."""
        return TRUE + timedelta(seconds=self.uptime - 1000)

    def pass_by(self, duration: timedelta) -> None:
        """Let time pass."""
        self.uptime += duration.total_seconds()

    def _ask(self) -> datetime:
        self.asked += 1
        if self.away:
            raise psycopg.OperationalError
        self.pass_by(self.answer_takes / 2)
        moment = self.true_time
        self.pass_by(self.answer_takes / 2)
        return moment


def test_a_machine_whose_clock_is_wrong_tells_the_databases_time() -> None:
    """Also later, and without asking each time; late by the way of the answer, and never early."""
    machine = Machine()
    machine.answer_takes = timedelta(milliseconds=40)
    assert machine.clock.adjusted() == machine.true_time - machine.answer_takes / 2
    machine.pass_by(ADJUST_EVERY / 2)
    assert machine.clock.adjusted() == machine.clock() == machine.true_time - machine.answer_takes / 2
    assert machine.asked == 1


def test_it_is_adjusted_again_after_a_while() -> None:
    """What a machine's own oscillator has lost by then is gone."""
    machine = Machine()
    machine.clock.adjust()
    machine.pass_by(ADJUST_EVERY)
    machine.clock.adjust()
    assert machine.asked == 2


def test_while_the_database_is_away_it_counts_on() -> None:
    """It is asked again after a second, not each time."""
    machine = Machine()
    machine.clock.adjust()
    machine.away = True
    machine.pass_by(ADJUST_EVERY)
    assert [machine.clock.adjusted() for _ in range(3)] == [machine.true_time] * 3
    assert machine.asked == 2
    machine.away = False
    machine.pass_by(ASK_AGAIN_AFTER)
    machine.clock.adjust()
    assert machine.asked == 3


def test_before_the_first_answer_the_machines_own_clock_counts() -> None:
    """Better a time that may be wrong than none."""
    machine = Machine()
    machine.away = True
    assert machine.clock.adjusted() == machine.true_time - HOUR


def test_an_answer_that_took_too_long_changes_nothing() -> None:
    """Nobody knows when it was true."""
    machine = Machine()
    machine.clock.adjust()
    machine.pass_by(ADJUST_EVERY)
    machine.answer_takes = LONGEST_ANSWER * 2
    before = machine.clock.adjusted() - machine.true_time
    assert before == timedelta()
    machine.answer_takes = timedelta()
    machine.pass_by(ASK_AGAIN_AFTER)
    machine.clock.adjust()
    assert machine.asked == 3

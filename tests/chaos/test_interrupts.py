"""A short race between interrupts and the ends of steps; `make chaos` runs the long one."""

from tests.chaos.interrupts import Race


def test_no_interrupt_hits_a_run_that_it_was_not_meant_for() -> None:
    """Runs that were asked for nothing succeed, cancelled ones are cancelled, and nothing escapes to the pool."""
    race = Race(rounds=500, seed=20261124)
    race.run()

    assert race.wrong == []
    assert set(race.ends) == {"succeeded", "cancelled", "preempted"}

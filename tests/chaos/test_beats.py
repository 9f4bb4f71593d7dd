"""A short race against beats that die; `make chaos` runs the long one."""

import pytest

from tests.chaos.beats import race


@pytest.mark.parametrize("beats_alive", [1, 2])
def test_no_time_fires_twice_and_none_is_lost_whenever_beats_die(beats_alive: int) -> None:
    """Killed in the middle of anything: every second of every schedule is settled once, and each firing has its run."""
    counts = race(beats_alive=beats_alive, kills=5, schedules=9, seed=20261125 + beats_alive)

    assert counts.right, counts

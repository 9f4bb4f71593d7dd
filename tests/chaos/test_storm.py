"""A small storm; `make chaos` runs the big one."""

from decimal import Decimal

from tests.chaos.storm import Storm, environment
from tests.chaos.verdict import verdict
from tests.e2e.stack import Stack
from tests.servers import open_folder
from tests.venue.server import serving

RUNS = 60
STRIKES = 9
SEED = 20261123


def test_a_storm_loses_no_run_repeats_no_step_and_doubles_no_order() -> None:
    """Processes of every kind killed, a wipe, a dead PostgreSQL, a venue that drops answers: all counts are right."""
    with open_folder() as folder, serving() as venue, Stack(folder / "home", **environment(venue)) as stack:
        venue.reset(cash=Decimal(10**9))
        storm = Storm(stack=stack, venue=venue, seed=SEED, runs=RUNS, strikes=STRIKES, calls=folder / "calls")
        storm.rage()
        counts = verdict(storm)

    assert sum(storm.kills.values()) == STRIKES
    assert (counts.pop("runs"), counts.pop("succeeded")) == (RUNS, RUNS)
    assert counts == dict.fromkeys(counts, 0)

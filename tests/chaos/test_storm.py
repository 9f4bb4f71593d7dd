"""A small storm; `make chaos` runs the big one."""

from decimal import Decimal

from tests.chaos.storm import VICTIMS, Storm, environment
from tests.chaos.verdict import verdict
from tests.e2e.stack import Stack
from tests.servers import open_folder
from tests.venue.server import serving
from tests.webhook_target import target

RUNS = 60
STRIKES = len(VICTIMS) + 2
"""Each of them once, the wipe and the dead PostgreSQL."""
SEED = 20261123


def test_a_storm_loses_no_run_repeats_no_step_and_doubles_no_order() -> None:
    """Processes of every kind killed, a wipe, a dead PostgreSQL, a venue that drops answers: all counts are right."""
    with (
        open_folder() as folder,
        serving() as venue,
        target() as told,
        Stack(folder / "home", **environment(venue)) as stack,
    ):
        venue.reset(cash=Decimal(10**9))
        calls = folder / "calls"
        storm = Storm(stack=stack, venue=venue, seed=SEED, runs=RUNS, strikes=STRIKES, calls=calls, told=told)
        storm.rage()
        counts = verdict(storm)

    assert set(storm.kills) == {*VICTIMS, "wipe", "postgres"}
    assert (counts.pop("runs"), counts.pop("succeeded")) == (RUNS, RUNS)
    assert counts == dict.fromkeys(counts, 0)

"""The big storm: `python -m tests.chaos`. Prints what died and what stands; ends with 1 if anything is wrong."""

import argparse
import sys
from decimal import Decimal

from tests.chaos.storm import Storm, environment
from tests.chaos.verdict import verdict
from tests.e2e.stack import Stack
from tests.servers import open_folder
from tests.venue.server import serving
from tests.webhook_target import target


def main() -> int:
    """Rage, count, print."""
    arguments = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    arguments.add_argument("--runs", type=int, default=2000, help="every second one with a group of five")
    arguments.add_argument("--strikes", type=int, default=65, help="kills, the wipe and the dead PostgreSQL among them")
    arguments.add_argument("--seed", type=int, default=1)
    chosen = arguments.parse_args()
    with (
        open_folder() as folder,
        serving() as venue,
        target() as told,
        Stack(folder / "home", **environment(venue)) as stack,
    ):
        venue.reset(cash=Decimal(10**9))
        storm = Storm(
            stack=stack,
            venue=venue,
            seed=chosen.seed,
            runs=chosen.runs,
            strikes=chosen.strikes,
            calls=folder / "calls",
            told=told,
        )
        storm.rage()
        counts = verdict(storm)
    print(f"seed {chosen.seed}; killed: {', '.join(f'{name} {times}' for name, times in sorted(storm.kills.items()))}")
    for name, count in counts.items():
        print(f"{count:>8}  {name}")
    right = counts.pop("runs") == counts.pop("succeeded") == chosen.runs and not any(counts.values())
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main())

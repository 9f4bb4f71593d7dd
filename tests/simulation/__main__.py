"""The long simulation: `python -m tests.simulation`. Prints what happened; ends with 1 if a promise was broken."""

import argparse
import sys
from collections import Counter

import structlog

from tests.simulation.running import RULES_A_HISTORY, simulate

BLOCK = 250
"""Histories in a row of one seed; after them the next seed begins."""


def main() -> int:
    """Simulate until there were enough steps, count, print."""
    arguments = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    arguments.add_argument("--steps", type=int, default=100_000, help="rules to run, at least")
    arguments.add_argument("--seed", type=int, default=1)
    chosen = arguments.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    seen: Counter[str] = Counter()
    seed = chosen.seed
    while (left := chosen.steps - seen["rules"]) > 0:
        try:
            seen += simulate(histories=min(BLOCK, left // RULES_A_HISTORY + 1), seed=seed)
        except AssertionError as broken:
            print(f"broken with --seed {seed}: {broken}")
            return 1
        seed += 1
    print(f"seeds {chosen.seed} to {seed - 1}, no promise broken")
    for name, count in sorted(seen.items()):
        print(f"{count:>8}  {name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Simulating many histories, and counting what happened in them."""

from collections import Counter

import hypothesis
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.simulation.machine import Histories

RULES_A_HISTORY = 40


def simulate(*, histories: int, seed: int, shrink: bool = True) -> Counter[str]:
    """Simulate so many histories, the same for the same seed, and return what happened in them, by name.

    Raises the AssertionError of a broken promise, after the shortest history that breaks it was printed.
    """
    coverage: Counter[str] = Counter()

    @hypothesis.seed(seed)
    class Seeded(Histories):
        def __init__(self) -> None:
            super().__init__(coverage)

    phases = [hypothesis.Phase.generate, *([hypothesis.Phase.shrink] if shrink else [])]
    run_state_machine_as_test(
        Seeded,
        settings=settings(
            max_examples=histories,
            stateful_step_count=RULES_A_HISTORY,
            phases=phases,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
    return coverage

"""Some seconds of the simulation; `make chaos` runs a hundred thousand steps."""

from collections import Counter
from collections.abc import Iterator

import pytest
import structlog

from shared.domain.branch import MOVES
from shared.domain.execution_events import StepsTakenOver
from shared.domain.phases import TRANSITIONS
from shared.domain.queue_events import QUEUE_TOPICS
from tests.simulation.running import simulate

SEED = 20261124
HISTORIES = 160
ENDS = {"succeeded", "cancelled", "timeout", "worker_lost", "needs_attention", "TemporaryError", "PermanentError"} | {
    "all_symbols_failed"
}


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """A line a step is of no use to anybody here."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    yield
    structlog.reset_defaults()


def test_every_promise_holds_in_every_history() -> None:
    """Whatever is killed, stopped, lost, doubled or late: see `invariants`. And all of it did happen."""
    seen = simulate(histories=HISTORIES, seed=SEED)

    assert seen["rules"] >= 3000
    assert {event.TOPIC for event in (*TRANSITIONS, *MOVES)} - set(seen) == {StepsTakenOver.TOPIC}
    assert set(QUEUE_TOPICS) <= set(seen)
    assert {f"ended {end}" for end in ENDS} - set(seen) == set()


def test_a_seed_stands_for_its_histories() -> None:
    """What was found once can be looked at again."""
    first, again, other = (simulate(histories=5, seed=seed) for seed in (1, 1, 2))
    assert first == again != other
    assert isinstance(first, Counter)

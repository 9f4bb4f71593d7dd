"""The dispatcher takes every batch at least twice, cut anywhere: its rows are those of one clean pass."""

import random
from itertools import pairwise

import pytest

from services.executor.dispatching import Dispatcher
from shared.log.runs import Recorded
from tests import redeliveries
from tests.histories import write_history
from tests.memory_log import MemoryEventLog
from tests.memory_store import MemoryStore
from tests.redeliveries import FaultyStore, Way, check_same_end, deliver_again_and_again, deliver_once, lively_moves
from tests.unit.executor.desk import Desk

STATES = {"waiting", "running", "cancelling", "retrying"}
SEEDS = (4, 16, 38)


def history_of(seed: int) -> tuple[MemoryEventLog, list[Recorded]]:
    """A log of four runs to which something happens at random."""
    log = MemoryEventLog()
    return log, write_history(log, lively_moves(random.Random(seed)), topics=Dispatcher.topics)


@pytest.mark.parametrize("way", redeliveries.WAYS)
@pytest.mark.parametrize("seed", SEEDS)
def test_batches_that_come_twice_leave_the_live_runs_of_a_clean_pass(seed: int, way: Way) -> None:
    """At every pair of places where the history may be cut; nothing that waits is left unsent."""
    log, history = history_of(seed)
    clean = Desk(log)
    deliver_once(clean, history)
    size = len(history)
    cuts = [(0, first, second, size) for second in range(2, size) for first in range(1, second)]
    assert len(cuts) > 30
    for cut in cuts:
        desk = Desk(log, FaultyStore(MemoryStore()))
        deliver_again_and_again(desk, [history[begin:end] for begin, end in pairwise(cut)], way)
        check_same_end(desk, clean)


def test_the_histories_leave_runs_of_every_kind() -> None:
    """What is compared is neither empty nor all of one kind."""
    found = set()
    for seed in SEEDS:
        log, history = history_of(seed)
        clean = Desk(log)
        deliver_once(clean, history)
        found |= {str(run.state) for run in clean.store.load()[1]}
    assert found == STATES

"""The way to the store: nobody waits, nothing grows without end, and what is lost is counted."""

import json
import os
import time
from collections.abc import Iterator
from datetime import timedelta
from uuid import uuid4

import pytest

from shared.telemetry.outbox import Outbox
from shared.telemetry.tracing import TASK_ID
from tests.memory_telemetry import MemoryStore
from tests.unit.shared.telemetry.test_records import line, spans, unmasked
from tests.waiting import until

SOON = timedelta(milliseconds=5)
TASK = str(uuid4())


@pytest.fixture
def store() -> MemoryStore:
    """An empty store."""
    return MemoryStore()


def outbox(store: MemoryStore, *, capacity: int = 100, most_of_a_task: int = 1_000) -> Outbox:
    """An outbox that is in a hurry."""
    return Outbox(store, "test", unmasked, pace=SOON, capacity=capacity, most_of_a_task=most_of_a_task)


@pytest.fixture
def running(store: MemoryStore) -> Iterator[Outbox]:
    """One that writes."""
    made = outbox(store)
    made.start()
    yield made
    store.open.set()
    made.stop(timedelta(seconds=5))


def written(store: MemoryStore) -> list[str]:
    """The events of the lines that were kept."""
    return [each["event"] for row in store.lines for each in json.loads(row.body)]


def test_what_is_added_is_kept_in_order(running: Outbox, store: MemoryStore) -> None:
    """Spans and lines, in batches."""
    for number in range(50):
        running.add_line(line(TASK, str(number)))
    for each in spans(**{TASK_ID: TASK}):
        running.add_span(each)
    until(lambda: len(written(store)) == 50 and store.spans)
    assert written(store) == [str(number) for number in range(50)]
    assert sum(row.number for row in store.spans) == 2
    assert running.dropped == 0


def test_a_store_that_hangs_holds_nobody_up_and_costs_no_memory(running: Outbox, store: MemoryStore) -> None:
    """Ten times as much as fits is added in no time; what did not fit is counted."""
    store.open.clear()
    began = time.perf_counter()
    for number in range(1_000):
        running.add_line(line(TASK, str(number)))
    assert time.perf_counter() - began < 1
    store.open.set()
    until(lambda: len(written(store)) + running.dropped == 1_000)
    assert 0 < len(written(store)) <= 400


def test_what_was_added_while_the_store_was_away_is_kept_when_it_is_back(running: Outbox, store: MemoryStore) -> None:
    """Once each."""
    store.away = True
    running.add_line(line(TASK, "early"))
    time.sleep(0.05)
    running.add_line(line(TASK, "late"))
    store.away = False
    until(lambda: len(written(store)) == 2)
    assert written(store) == ["early", "late"]


def test_what_cannot_be_kept_is_dropped_and_counted(running: Outbox, store: MemoryStore) -> None:
    """And what comes after it is kept."""
    store.broken = True
    running.add_line(line(TASK, "bad"))
    until(lambda: running.dropped == 1)
    store.broken = False
    running.add_line(line(TASK, "good"))
    until(lambda: written(store) == ["good"])


def test_of_one_task_only_so_much_is_kept(store: MemoryStore) -> None:
    """Of others it is kept all the same."""
    other, made = str(uuid4()), outbox(store, most_of_a_task=3)
    for number in range(10):
        made.add_line(line(TASK, str(number)))
    made.add_line(line(other, "other"))
    made.start()
    made.stop(timedelta(seconds=5))
    assert written(store) == ["0", "1", "2", "other"]
    assert made.dropped == 7


def test_the_end_of_a_process_writes_what_waits(store: MemoryStore) -> None:
    """And waits no longer than it was told to."""
    made = Outbox(store, "test", unmasked, pace=timedelta(hours=1))
    made.start()
    made.add_line(line(TASK, "last"))
    made.stop(timedelta(seconds=5))
    assert (written(store), store.closed) == (["last"], True)
    hung = Outbox(store, "test", unmasked, pace=SOON)
    store.open.clear()
    hung.start()
    hung.add_line(line(TASK, "never"))
    began = time.perf_counter()
    hung.stop(timedelta(seconds=0.1))
    assert time.perf_counter() - began < 1
    store.open.set()


def test_a_child_that_is_forked_off_takes_nothing_and_repeats_nothing(store: MemoryStore) -> None:
    """What waited in the parent is written by the parent alone."""
    made = Outbox(store, "test", unmasked, pace=timedelta(hours=1))
    made.add_line(line(TASK, "of the parent"))
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        made.add_line(line(TASK, "of the child"))
        os.write(write, str(len(made._lines)).encode())
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(read, 10) == b"0"
    made.start()
    made.stop(timedelta(seconds=5))
    assert written(store) == ["of the parent"]

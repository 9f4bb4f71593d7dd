"""The dispatcher under a pause, between log, store and queue: when it clears, and what it commits."""

from __future__ import annotations

import random
from uuid import UUID

import pytest

from services.executor.dispatching import Dispatcher
from services.executor.pointers import message_id
from services.executor.reconciling import Sighting
from shared.domain.priority import Priority
from shared.domain.queue import Queue
from shared.log.runs import Recorded
from tests import redeliveries
from tests.builders import stamp, submitted
from tests.memory_store import MemoryStore
from tests.redeliveries import FaultyStore, Way, deliver_again_and_again
from tests.unit.executor.desk import Desk

HIGH, NORMAL, LOW = Priority


def change(desk: Desk, queue: Queue, *, paused: bool) -> None:
    """Pause or resume a level."""
    (queue.pause if paused else queue.resume)(stamp())
    desk.log.append(queue.collect_events())


def submit(desk: Desk, level: Priority) -> UUID:
    """Put a run into the log."""
    run = submitted(priority=level)
    desk.log.save_execution(run)
    return run.id


def test_redis_is_cleared_once_when_a_level_is_paused_but_for_what_is_to_be_there() -> None:
    """What was sent of other levels stays; the next turns have nothing to do, and a resumption neither."""
    desk, queue = Desk(), Queue(HIGH)
    submit(desk, HIGH)
    normal = submit(desk, NORMAL)
    desk.turn()
    change(desk, queue, paused=True)
    desk.turn()
    desk.turn()
    assert desk.sender.cleared == [{message_id(normal, 1)}]
    change(desk, queue, paused=False)
    desk.turn()
    assert len(desk.sender.cleared) == 1
    assert len(desk.sender.sent) == 3


def test_a_dispatcher_that_starts_under_a_pause_clears_before_it_sends() -> None:
    """Whatever the one before has left there; without a pause it clears nothing."""
    desk = Desk()
    desk.restart()
    desk.turn()
    assert desk.sender.cleared == []
    change(desk, Queue(HIGH), paused=True)
    desk.turn()
    submit(desk, NORMAL)
    desk.restart()
    desk.turn()
    assert desk.sender.cleared == [set(), set()]


def test_a_look_that_shows_what_is_not_to_be_there_has_it_cleared() -> None:
    """Each time that it does; one that shows nothing else than what was sent does not."""
    desk = Desk()
    sent = message_id(submit(desk, NORMAL), 1)
    change(desk, Queue(HIGH), paused=True)
    desk.turn()
    for queued, clears in (({sent}, 1), ({sent, "stray"}, 2), ({sent, "stray"}, 3), (set(), 3)):
        desk.scout.sighting = Sighting(generation="one", workers={}, queued=frozenset(queued))
        desk.pass_by(0.25)
        desk.turn()
        assert len(desk.sender.cleared) == clears


@pytest.mark.parametrize("way", redeliveries.WAYS)
def test_pauses_that_come_twice_leave_what_one_pass_leaves(way: Way) -> None:
    """Cut at three places at random: the same levels are paused, nothing of them is sent, and everything else is."""
    chance = random.Random(11)
    desk = Desk(store=FaultyStore(MemoryStore()))
    queues = {level: Queue(level) for level in Priority}
    for number in range(24):  # no more of a level than a window takes
        submit(desk, list(Priority)[number % 3])
        change(desk, queues[chance.choice(list(Priority))], paused=chance.random() < 0.5)
    change(desk, queues[HIGH], paused=True)
    change(desk, queues[LOW], paused=False)
    history: list[Recorded] = desk.log.read(0, limit=1000, topics=Dispatcher.topics)
    first, second, third = sorted(chance.sample(range(1, len(history)), 3))
    deliver_again_and_again(desk, [history[:first], history[first:second], history[second:third], history[third:]], way)
    paused = {level for level, queue in queues.items() if queue.pause_now is not None}
    position, runs = desk.store.load()
    assert 0 < len(paused) < len(queues)
    assert (desk.store.paused(), position) == (paused, history[-1].position)
    assert {run.level for run in runs if run.is_sent}.isdisjoint(paused)
    assert {run.id for run in runs if run.level not in paused} <= {stream for stream, _ in desk.sender.sent}

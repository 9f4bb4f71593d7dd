"""The queue of a level: paused or not, by its newest event."""

from __future__ import annotations

import pytest

from shared.domain.priority import Priority
from shared.domain.queue import Pause, Queue, pause_document
from shared.domain.queue_events import QUEUE_TOPICS, QueueEvent, QueuePaused, QueueResumed, queue_id
from tests.builders import stamp

ROOT = {"actor": "user:root"}


def decided(queue: Queue) -> list[QueueEvent]:
    """What was decided since the last time."""
    events = queue.collect_events()
    assert all(isinstance(event, QueueEvent) for event in events)
    return list(events)  # type: ignore[arg-type]


@pytest.mark.parametrize("level", list(Priority))
def test_a_pause_says_since_when_by_whom_and_why(level: Priority) -> None:
    """The user's name alone; the event has the actor as every event has."""
    queue = Queue(level)
    queue.pause(stamp(1, **ROOT), reason="the venue is down")
    assert queue.pause_now == Pause(at=stamp(1).at, by="root", reason="the venue is down")
    (event,) = decided(queue)
    assert (event.originator_id, event.originator_version, event.level) == (queue_id(level), 1, level)
    assert event.actor == "user:root"


def test_asking_again_changes_nothing() -> None:
    """Whoever asks, and for whatever reason: the first pause stands, and what is not paused is not resumed."""
    queue = Queue(Priority.HIGH)
    queue.resume(stamp(0))
    queue.pause(stamp(1, **ROOT), reason="first")
    queue.pause(stamp(2), reason="second")
    assert queue.pause_now == Pause(at=stamp(1).at, by="root", reason="first")
    queue.resume(stamp(3))
    queue.resume(stamp(4))
    assert [(type(event), event.originator_version) for event in decided(queue)] == [
        (QueuePaused, 1),
        (QueueResumed, 2),
    ]
    assert queue.pause_now is None


def test_the_newest_event_alone_tells_all() -> None:
    """And an older one that comes late, or again, tells nothing."""
    queue = Queue(Priority.LOW)
    queue.pause(stamp(1))
    queue.resume(stamp(2))
    queue.pause(stamp(3), reason="again")
    first, second, third = decided(queue)
    read = Queue(Priority.LOW, third)
    assert (read.version, read.pause_now) == (queue.version, queue.pause_now)
    for late in (first, second, third):
        read.apply(late)
    assert (read.version, read.pause_now) == (queue.version, queue.pause_now)


def test_each_level_has_a_stream_of_its_own_for_ever() -> None:
    """The ids are written down here as they are in every log."""
    assert {str(level): str(queue_id(level)) for level in Priority} == {
        "high": "ef073dc6-75bf-54f2-8994-c11c85dc9952",
        "normal": "ac43162e-79bd-51ca-94eb-0838cef11a3a",
        "low": "db4a5093-d2db-5dee-9610-1c9a818abd0c",
    }
    assert set(QUEUE_TOPICS) == {"queue.paused", "queue.resumed"}


def test_a_queue_that_is_not_paused_says_so_in_full() -> None:
    """Every document has the same fields."""
    assert pause_document(None) == {"paused": False, "paused_at": None, "paused_by": None, "pause_reason": None}
    pause = Pause(at=stamp(1).at, by="root")
    assert pause_document(pause) == {
        "paused": True,
        "paused_at": stamp(1).at,
        "paused_by": "root",
        "pause_reason": None,
    }

"""What the gateway remembers of its own appends."""

from __future__ import annotations

from uuid import uuid4

from services.gateway.recent_writes import RecentWrites


def test_the_highest_version_counts() -> None:
    """Two requests may end in another order than they appended."""
    writes, task_id = RecentWrites(), uuid4()
    writes.note(task_id, 3)
    writes.note(task_id, 2)
    assert (writes.version(task_id), writes.version(uuid4())) == (3, 0)


def test_the_oldest_write_is_forgotten_first() -> None:
    """A task that is written again is young again."""
    first, second, third = uuid4(), uuid4(), uuid4()
    writes = RecentWrites(capacity=2)
    for version, task_id in enumerate([first, second, first, third], start=1):
        writes.note(task_id, version)
    assert [writes.version(task_id) for task_id in (first, second, third)] == [3, 0, 4]


def test_what_was_forgotten_asks_for_no_version() -> None:
    """Forgetting what is not known is harmless."""
    writes, task_id = RecentWrites(), uuid4()
    writes.note(task_id, 1)
    writes.forget(task_id)
    writes.forget(task_id)
    assert writes.version(task_id) == 0

"""What is kept of how far steps are."""

from __future__ import annotations

from uuid import UUID, uuid4

from services.gateway.changes import Pushed
from services.gateway.recent_progress import RecentProgress

ONE, TWO, THREE = uuid4(), uuid4(), uuid4()


def _said(task_id: UUID, body: bytes = b"") -> Pushed:
    return Pushed(type="execution.progress", task_id=task_id, subject=task_id, body=body)


def _told(progress: RecentProgress, number: int = 0) -> list[tuple[UUID, bytes]]:
    return [(each.subject, each.body) for each in progress.after(number)]


def test_who_is_slow_hears_the_last_word_of_each_task() -> None:
    """In the order in which they were said."""
    progress = RecentProgress()
    for task_id, body in ((ONE, b"1"), (TWO, b"1"), (ONE, b"2")):
        progress.add(_said(task_id, body))
    assert _told(progress) == [(TWO, b"1"), (ONE, b"2")]
    assert _told(progress, 2) == [(ONE, b"2")]
    assert _told(progress, progress.number) == []


def test_what_is_forgotten_is_not_told() -> None:
    """Also when there was nothing to forget."""
    progress = RecentProgress()
    progress.add(_said(ONE))
    progress.forget(ONE)
    progress.forget(TWO)
    assert _told(progress) == []


def test_the_tasks_that_said_nothing_for_longest_go_first() -> None:
    """The memory is bounded."""
    progress = RecentProgress(most_tasks=2)
    for task_id in (ONE, TWO, ONE, THREE):
        progress.add(_said(task_id))
    assert [task for task, _ in _told(progress)] == [ONE, THREE]

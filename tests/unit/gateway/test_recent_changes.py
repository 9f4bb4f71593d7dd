"""What is kept of the log for all who listen."""

from __future__ import annotations

from uuid import uuid4

from services.gateway.changes import Change
from services.gateway.recent_changes import RecentChanges


def _change(position: int, size: int = 1) -> Change:
    subject = uuid4()
    return Change(position=position, type="execution.released", task_id=subject, subject=subject, body=b"x" * size)


def _positions(changes: list[Change]) -> list[int]:
    return [each.position for each in changes]


def test_what_comes_after_a_position_is_given_oldest_first() -> None:
    """Up to a limit; positions may have gaps."""
    recent = RecentChanges(10)
    recent.add([_change(11), _change(14), _change(15)])
    assert _positions(recent.after(11, 1)) == [14]
    assert _positions(recent.after(10, 9)) == [11, 14, 15]
    assert recent.after(15, 9) == []
    assert (recent.floor, recent.position) == (10, 15)


def test_the_oldest_go_first_and_the_floor_says_so() -> None:
    """Whoever is below the floor would miss something here."""
    recent = RecentChanges(0, most_changes=2)
    recent.add([_change(position) for position in (1, 2, 3)])
    assert (recent.floor, recent.position) == (1, 3)
    assert _positions(recent.after(recent.floor, 9)) == [2, 3]


def test_large_changes_are_kept_by_their_size() -> None:
    """One that is larger than all that may be kept is not kept at all, and the floor passes it."""
    recent = RecentChanges(0, most_bytes=10)
    recent.add([_change(1, 6), _change(2, 6)])
    assert (recent.floor, recent.position) == (1, 2)
    recent.add([_change(3, 11)])
    assert (recent.floor, recent.position, recent.after(3, 9)) == (3, 3, [])

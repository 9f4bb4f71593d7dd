"""The last changes of the log, in bounded memory, for all who listen."""

from collections import deque
from collections.abc import Sequence
from itertools import takewhile

from services.gateway.changes import Change

MOST_CHANGES = 2_000
MOST_BYTES = 8 << 20


class RecentChanges:
    """All changes after the position `floor`, up to `position`. The oldest go first, and the floor rises."""

    def __init__(self, position: int, *, most_changes: int = MOST_CHANGES, most_bytes: int = MOST_BYTES) -> None:
        self._changes: deque[Change] = deque()
        self._most_changes = most_changes
        self._most_bytes = most_bytes
        self._bytes = 0
        self.floor = position
        self.position = position

    def add(self, changes: Sequence[Change]) -> None:
        """Take in what comes next, in order."""
        for each in changes:
            self._changes.append(each)
            self._bytes += len(each.body)
            self.position = each.position
        while len(self._changes) > self._most_changes or self._bytes > self._most_bytes:
            oldest = self._changes.popleft()
            self._bytes -= len(oldest.body)
            self.floor = oldest.position

    def after(self, position: int, limit: int) -> list[Change]:
        """Return the next changes, at most `limit`; all of them are there only if `position` is not below `floor`."""
        newer = list(takewhile(lambda change: change.position > position, reversed(self._changes)))
        return newer[::-1][:limit]

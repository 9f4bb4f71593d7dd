"""What this process has appended or read of late: no answer is older than that."""

from collections import OrderedDict
from uuid import UUID

CAPACITY = 10_000
"""Tasks remembered; a projection that is further behind than so many writes answers with what it has."""


class RecentWrites:
    """How many events of each task this gateway knows of; the oldest are forgotten first."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._versions: OrderedDict[UUID, int] = OrderedDict()

    def note(self, task_id: UUID, version: int) -> None:
        """Remember that `task_id` has reached `version`."""
        self._versions[task_id] = max(version, self._versions.pop(task_id, 0))
        if len(self._versions) > self._capacity:
            self._versions.popitem(last=False)

    def version(self, task_id: UUID) -> int:
        """Return the version that an answer about `task_id` must have reached, 0 for any."""
        return self._versions.get(task_id, 0)

    def forget(self, task_id: UUID) -> None:
        """Stop holding answers to a version: the projection has caught up, and does not go back."""
        self._versions.pop(task_id, None)

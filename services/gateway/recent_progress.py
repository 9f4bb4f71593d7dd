"""How far the running steps of tasks are, as last heard, for all who listen."""

from collections import OrderedDict
from itertools import takewhile
from uuid import UUID

from services.gateway.changes import Pushed

MOST_TASKS = 2_000


class RecentProgress:
    """The last word of each task, numbered as it came: who is slow gets the last one instead of all of them."""

    def __init__(self, *, most_tasks: int = MOST_TASKS) -> None:
        self._latest: OrderedDict[UUID, tuple[int, Pushed]] = OrderedDict()
        self._most_tasks = most_tasks
        self.number = 0

    def add(self, report: Pushed) -> None:
        """Take in what was heard."""
        self.number += 1
        self._latest[report.subject] = (self.number, report)
        self._latest.move_to_end(report.subject)
        if len(self._latest) > self._most_tasks:
            self._latest.popitem(last=False)

    def forget(self, task_id: UUID) -> None:
        """A task goes on, or has ended: what was said of its step is not told any more."""
        self._latest.pop(task_id, None)

    def after(self, number: int) -> list[Pushed]:
        """Return the last words that came after the one of this number, oldest first."""
        newer = list(takewhile(lambda item: item[0] > number, reversed(self._latest.values())))
        return [report for _, report in reversed(newer)]

"""What the fake status service tells of queues; `tests/contract/test_status_queues.py` holds it to the real one."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from datetime import UTC, datetime
from typing import Any

from shared.domain.priority import Priority
from shared.domain.queue import Queue, pause_document
from shared.domain.views import TaskView
from shared.routing import MAINTENANCE, level_queue


class FakeQueues:
    """The levels as they were shown last, and the `consumers` of each queue; None for both while Redis is away."""

    def __init__(self) -> None:
        self.levels = {level: Queue(level) for level in Priority}
        self.consumers: dict[str, list[str]] | None = {}

    def show(self, queue: Queue) -> None:
        """Project a queue as it is now."""
        self.levels[queue.level] = deepcopy(queue)

    def document(self, views: Sequence[TaskView]) -> dict[str, Any]:
        """Return what `GET /queues` answers while there are these tasks."""
        maintenance = {"depth": None if self.consumers is None else 0, "consumers": self._consumers(MAINTENANCE)}
        return {"items": [self._item(level, views) for level in Priority], "maintenance": maintenance}

    def _item(self, level: Priority, views: Sequence[TaskView]) -> dict[str, Any]:
        since = [view.waiting_since for view in views if view.priority is level and view.waiting_since is not None]
        return {
            "priority": level,
            "depth": len(since),
            "oldest_seconds": max((datetime.now(UTC) - min(since)).total_seconds(), 0.0) if since else None,
            **pause_document(self.levels[level].pause_now),
            "consumers": self._consumers(level_queue(level)),
        }

    def _consumers(self, queue: str) -> list[str] | None:
        return None if self.consumers is None else self.consumers.get(queue, [])

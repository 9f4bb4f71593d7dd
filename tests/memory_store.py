"""The dispatcher's store in memory; `tests/contract/test_live_run_stores.py` holds it to the real one."""

from collections.abc import Sequence
from uuid import UUID

import msgspec

from services.executor.live_runs import LiveRun
from shared.log.positions import AlreadyProcessed


class MemoryStore:
    """What a `LiveRunStore` keeps, as long as this object lives."""

    def __init__(self) -> None:
        self.position = 0
        self.rows: dict[UUID, LiveRun] = {}

    def load(self) -> tuple[int, list[LiveRun]]:
        """Return what was committed."""
        return self.position, [msgspec.structs.replace(run) for run in self.rows.values()]

    def commit(self, position: int | None, changed: Sequence[LiveRun], ended: Sequence[UUID]) -> None:
        """Keep what changed."""
        if position is not None and position <= self.position:
            raise AlreadyProcessed(f"already at {self.position}")
        self.rows.update((run.task_id, msgspec.structs.replace(run)) for run in changed)
        for task_id in ended:
            self.rows.pop(task_id, None)
        self.position = position or self.position

"""The dispatcher's store in memory; `tests/contract/test_live_run_stores.py` holds it to the real one."""

from collections.abc import Iterable, Sequence
from datetime import datetime
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

    def commit(self, position: int, changed: Sequence[LiveRun], ended: Sequence[UUID]) -> None:
        """Keep what changed."""
        if position <= self.position:
            raise AlreadyProcessed(f"already at {self.position}")
        for run in changed:
            self.rows[run.task_id] = msgspec.structs.replace(run, sent=False)
        for task_id in ended:
            self.rows.pop(task_id, None)
        self.position = position

    def mark_sent(self, runs: Iterable[LiveRun], now: datetime) -> None:
        """Keep that `runs` were sent, unless they have moved on."""
        for run in runs:
            known = self.rows.get(run.task_id)
            if known is not None and known.since == run.since:
                known.sent = True

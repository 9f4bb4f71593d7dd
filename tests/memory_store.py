"""The stores of dispatcher and resolver in memory.

`tests/contract/test_live_run_stores.py` and `test_open_order_stores.py` hold them to the real ones.
"""

from collections.abc import Collection, Sequence
from uuid import UUID

import msgspec

from services.executor.live_run import LiveRun
from services.executor.open_orders import OpenOrder
from shared.domain.priority import Priority
from shared.log.positions import AlreadyProcessed


class MemoryStore:
    """What the store of live runs keeps, as long as this object lives."""

    def __init__(self) -> None:
        self.position = 0
        self.rows: dict[UUID, LiveRun] = {}
        self.levels: frozenset[Priority] = frozenset()

    def load(self) -> tuple[int, list[LiveRun]]:
        """Return what was committed."""
        return self.position, [msgspec.structs.replace(run) for run in self.rows.values()]

    def paused(self) -> frozenset[Priority]:
        """Return the paused levels that were committed."""
        return self.levels

    def commit(
        self,
        changed: Sequence[LiveRun],
        ended: Sequence[UUID],
        *,
        after: int,
        position: int,
        paused: Collection[Priority] | None = None,
    ) -> None:
        """Keep what changed."""
        if after != self.position:
            raise AlreadyProcessed(f"at {self.position}, not at {after}")
        self.rows.update((run.id, msgspec.structs.replace(run)) for run in changed)
        for task_id in ended:
            self.rows.pop(task_id, None)
        self.position = position
        if paused is not None:
            self.levels = frozenset(paused)


class MemoryOrderStore:
    """What the store of open orders keeps, as long as this object lives."""

    def __init__(self) -> None:
        self.position = 0
        self.rows: dict[str, OpenOrder] = {}

    def load(self) -> tuple[int, list[OpenOrder]]:
        """Return what was committed."""
        return self.position, [msgspec.structs.replace(order) for order in self.rows.values()]

    def commit(self, changed: Sequence[OpenOrder], settled: Sequence[str], *, after: int, position: int) -> None:
        """Keep what changed."""
        if after != self.position:
            raise AlreadyProcessed(f"at {self.position}, not at {after}")
        self.rows.update((order.client_order_id, msgspec.structs.replace(order)) for order in changed)
        for name in settled:
            self.rows.pop(name, None)
        self.position = position

"""Where a batch is cut."""

from __future__ import annotations

from services.status.retention_projection import parts
from shared.log.runs import Recorded
from tests.builders import submitted
from tests.cleanups import cleanup_finished, executions_expired


def test_a_batch_is_cut_behind_each_expiry() -> None:
    """All of it comes, in order; without one it is whole, and of nothing nothing comes."""
    (run,) = submitted().collect_events()
    events = [run, executions_expired(1), run, cleanup_finished(), executions_expired(3), executions_expired(4), run]
    batch = [Recorded(position, event) for position, event in enumerate(events, start=1)]
    assert [[each.position for each in part] for part in parts(batch)] == [[1, 2], [3, 4, 5], [6], [7]]
    assert list(parts(batch[2:4])) == [batch[2:4]]
    assert list(parts([])) == []

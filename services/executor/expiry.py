"""Rows of ended runs that are old enough to leave the tables: an event says which, and the projector obeys.

A rebuild reads the same event at the same position, so that it comes to the same rows.
"""

from collections.abc import Iterator
from datetime import timedelta

from services.executor.retention_record import RetentionRecord
from shared.domain import execution_events as happened
from shared.domain.retention_events import ExecutionsExpired
from shared.log.event_log import EventLog
from shared.log.moments import position_at

SLICE = 20_000
"""Positions that one event covers: the projector removes the rows of about 3,000 runs in one transaction."""
MOST_SLICES = 100
"""Events of one clean-up; the next one goes on."""
PAGE = 1_000

ENDS = (happened.Succeeded.TOPIC, happened.Failed.TOPIC, happened.Cancelled.TOPIC)
LATER = (*ENDS, happened.Restarted.TOPIC)


def slices(after: int, until: int, *, size: int = SLICE, most: int = MOST_SLICES) -> Iterator[int]:
    """Yield the ends of at most `most` parts of the positions after `after`, up to and with `until`."""
    for _ in range(most):
        if after >= until:
            return
        after = min(after + size, until)
        yield after


class ExpiredExecutions:
    """The kind `executions`: `expired` counts runs whose rows go."""

    name = "executions"

    def __init__(self, log: EventLog, record: RetentionRecord, *, keep: timedelta) -> None:
        self._log = log
        self._record = record
        self._keep = keep

    def run(self, *, dry_run: bool) -> dict[str, int]:
        """Have all rows go whose runs had their last event before `keep` ago."""
        before = self._record.now() - self._keep
        last = self._record.newest(ExecutionsExpired)
        after = last.through if last else 0
        expired = 0
        for through in slices(after, position_at(self._log, before)):
            expired += self._ended(after, through)
            if not dry_run:
                self._record.add(ExecutionsExpired, before=before, through=through)
            after = through
        return {"expired": expired}

    def _ended(self, after: int, through: int) -> int:
        """Return how many runs ended for good between two positions."""
        count = 0
        while page := self._log.read(after, limit=PAGE, topics=ENDS):
            ends = {
                each.event.originator_id: each.event.originator_version for each in page if each.position <= through
            }
            newest = self._log.newest_of(list(ends), LATER) if ends else []
            count += sum(ends[event.originator_id] == event.originator_version for event in newest)
            after = page[-1].position
            if after >= through:
                break
        return count

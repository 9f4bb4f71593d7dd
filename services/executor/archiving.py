"""Which runs go into archives: those that ended long ago, with all that was ever said of them.

Of a run that stays, everything stays: its stream and those of its branches move together, and are closed for ever.
"""

from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import timedelta
from uuid import UUID

import psycopg

from services.executor.archive_writing import ArchiveWriter, Lot
from services.executor.retention_record import RetentionRecord
from shared.domain import execution_events as happened
from shared.domain.execution import WorkflowExecution, fold
from shared.domain.orders import OrderState
from shared.log.archived_events import Row
from shared.log.event_log import EventLog
from shared.log.moments import position_at
from shared.log.positions import slowest_position
from shared.log.recorder import BY_INDEX
from shared.log.runs import Recorded, branch_streams, run_of

PAGE = 500
"""Runs that are looked at together."""
ARCHIVE_EVENTS = 10_000
"""Events of one archive, and what its last page of runs has beyond that."""
MOST_ARCHIVES = 200
"""Of one clean-up; the next one goes on."""

_SUBMITTED = (
    "SELECT notification_id, originator_id FROM log.blotter_events "
    "WHERE notification_id > %s AND notification_id <= %s AND topic = %s ORDER BY notification_id LIMIT %s"
)


class ArchivedRuns:
    """The kind `log`: counts the runs and events that were archived, the archives, and the rows that have gone."""

    name = "log"

    def __init__(
        self, log: EventLog, database_url: str, writer: ArchiveWriter, record: RetentionRecord, *, keep: timedelta
    ) -> None:
        self._log = log
        self._database_url = database_url
        self._writer = writer
        self._record = record
        self._keep = keep

    def run(self, *, dry_run: bool) -> dict[str, int]:
        """Finish what an earlier clean-up has begun, and archive what has come of age. Raises ArchiveError."""
        counts = {"runs": 0, "events": 0, "archives": 0, "pruned": 0}
        if not dry_run:
            counts["pruned"] += self._writer.prune()
        for lot in self._lots(self._until()):
            if not dry_run:
                if not self._writer.write(lot):
                    continue
                counts["pruned"] += self._writer.prune()
            counts["runs"] += lot.runs
            counts["events"] += len(lot.rows)
            counts["archives"] += 1
            if counts["archives"] == MOST_ARCHIVES:
                break
        return counts

    def _until(self) -> int:
        """Return the last position that may be archived: old enough, and seen by every follower."""
        old = position_at(self._log, self._record.now() - self._keep)
        with closing(psycopg.connect(self._database_url, autocommit=True)) as connection:
            slowest = slowest_position(connection)
        return old if slowest is None else min(old, slowest)

    def _lots(self, until: int) -> Iterator[Lot]:
        after, lot = 0, Lot(self._log.head())
        while page := self._submitted(after, until):
            for streams, rows in self._old_enough([stream for _, stream in page], until):
                lot.add(streams, rows)
            after = page[-1][0]
            if len(lot.rows) >= ARCHIVE_EVENTS:
                yield lot
                lot = Lot(self._log.head())
        if lot.rows:
            yield lot

    def _submitted(self, after: int, until: int) -> list[tuple[int, UUID]]:
        with closing(psycopg.connect(self._database_url, autocommit=True, options=BY_INDEX)) as connection:
            rows = connection.execute(_SUBMITTED, (after, until, happened.Submitted.TOPIC, PAGE))
            return [(position, stream) for position, stream in rows.fetchall()]

    def _old_enough(self, task_ids: Sequence[UUID], until: int) -> Iterator[tuple[list[UUID], list[Row]]]:
        """Yield the streams and rows of those runs of which nothing more is to come."""
        own = self._histories(task_ids)
        opened = {task_id: branch_streams(recorded) for task_id, (recorded, _) in own.items()}
        theirs = self._histories([branch for branches in opened.values() for branch in branches])
        for task_id, (recorded, rows) in own.items():
            more, of_branches = theirs.get(task_id, ([], []))
            run = fold(None, (each.event for each in sorted([*recorded, *more], key=lambda each: each.position)))
            moved = sorted([*rows, *of_branches], key=lambda row: row[0])
            if run is not None and moved[-1][0] <= until and is_over(run):
                yield [task_id, *opened[task_id]], moved

    def _histories(self, streams: Sequence[UUID]) -> dict[UUID, tuple[list[Recorded], list[Row]]]:
        """Return by run what the table has of some streams, as events and as it is stored."""
        found: dict[UUID, tuple[list[Recorded], list[Row]]] = {}
        stored = self._log.stored_streams(streams) if streams else []
        for row, recorded in zip(stored, self._log.decoded(stored), strict=True):
            events, rows = found.setdefault(run_of(recorded.event), ([], []))
            events.append(recorded)
            rows.append(row)
        return found


def is_over(run: WorkflowExecution) -> bool:
    """Tell whether a run has ended and no order of it may still be heard of."""
    return run.phase.ended and not any(
        order.is_open or order.state is OrderState.PLACED for order in run.orders.values()
    )

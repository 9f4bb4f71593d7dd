"""The event log as services use it: append, read a stream, read all from a position on."""

from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from eventsourcing.application import Application
from eventsourcing.persistence import IntegrityError
from eventsourcing.utils import register_topic
from psycopg.conninfo import conninfo_to_dict

from shared.domain.branch import ENDS, branch_id
from shared.domain.errors import VersionConflict
from shared.domain.events import EVENTS, Event
from shared.domain.execution import WorkflowExecution, fold
from shared.domain.schedule import Schedule
from shared.log.archived_events import Row
from shared.log.archives import BETWEEN, OF_STREAMS, Archive, Archives, OpenStore, has_no_gap, newest_each
from shared.log.clock import NOW
from shared.log.mapper import MsgspecMapper
from shared.log.recorder import NO_LIMIT, SCHEMA, Guard, OneTripRecorder
from shared.log.runs import Recorded, branch_streams, folded, guard_of
from shared.log.schedules import decode_snapshot, folded_schedule

MAPPER_TOPIC = "log.mapper"
RECORDER_TOPIC = "log.recorder"
register_topic(MAPPER_TOPIC, MsgspecMapper)
register_topic(RECORDER_TOPIC, OneTripRecorder)


class EventLog(Application[UUID]):
    """The log on PostgreSQL, for code that may block; asyncio code uses `AsyncEventLog`.

    The tables are made by a migration, never here. Open it after a fork, not before.
    """

    name = "blotter"

    def __init__(self, database_url: str, *, pool_size: int = 1, open_store: OpenStore | None = None) -> None:
        """`open_store` opens the store that holds archives; without one they cannot be read."""
        self.archives = Archives(open_store)
        super().__init__(environment(database_url, pool_size=pool_size))

    @property
    def _own_recorder(self) -> OneTripRecorder:
        return self.recorder  # type: ignore[return-value]

    def append(self, events: Sequence[Event], *, guard: Guard | None = None) -> list[int]:
        """Append all or none and return their positions.

        Raises VersionConflict when another append took one of the versions first, or when the stream of the `guard`
        has moved on from its version.
        """
        try:
            recordings = self.events.put(events, guard=guard)
        except IntegrityError as error:
            raise VersionConflict(events[0].originator_id) from error
        return [recording.notification.id for recording in recordings]

    def save_execution(self, execution: WorkflowExecution) -> list[int]:
        """Append what commands of the execution and its branches have decided.

        Raises VersionConflict, and then the execution is spent.
        """
        events = execution.collect_events()
        return self.append(events, guard=guard_of(execution, events))

    def execution(self, task_id: UUID, *, until: int | None = None) -> WorkflowExecution:
        """Return the run as its streams say, up to the position `until` if given. Raises NotFound."""
        stream = self.streams([task_id], until=until)
        branches = branch_streams(stream)
        return folded(task_id, stream, self.streams(branches, until=until) if branches else ())

    def member(self, task_id: UUID, *, opening: int, step: str, symbol: str | None) -> WorkflowExecution:
        """Return the run as one member of a stage needs it: of its branches only this one and what feeds it.

        A stage of many members would otherwise be read as often as it has members. Raises NotFound.
        """
        stream = self.streams([task_id])
        run = folded(task_id, stream)
        wanted = [branch_id(task_id, opening, step, symbol)]
        wanted += [branch.id for branch in run.branches_into(step, symbol)]
        branches = self.decoded(self.stored_streams(wanted))
        if run.was_restarted:  # what its branches did before and after counts in the order of the log only
            return folded(task_id, stream, branches)
        fold(run, (recorded.event for recorded in branches))
        return run

    def streams(self, originator_ids: Sequence[UUID], *, until: int | None = None) -> list[Recorded]:
        """Return the events of some streams in the order of the log; from an archive when the table has none."""
        end = NO_LIMIT if until is None else until
        found = self._own_recorder.select_streams(originator_ids, until=end)
        if not found:
            found = [row for row in self._archived(originator_ids) if row[0] <= end]
        return self.decoded(found)

    def stored_streams(self, originator_ids: Sequence[UUID]) -> list[Row]:
        """Return what the table has of some streams, as it is stored."""
        rows: list[Row] = self._own_recorder.select_streams(originator_ids, until=NO_LIMIT)
        return rows

    def schedule(self, schedule_id: UUID) -> Schedule:
        """Return the schedule as its stream says: from its newest snapshot on. Raises NotFound."""
        snapshot = self._own_recorder.select_snapshot(schedule_id)
        known = None if snapshot is None else decode_snapshot(snapshot)
        return folded_schedule(schedule_id, known, self.stream(schedule_id, gt=known.version if known else None))

    def newest_of(self, originator_ids: Sequence[UUID], topics: Sequence[str]) -> list[Event]:
        """Return for each of some streams its newest event of these topics; nothing for one that has none."""
        found = self._own_recorder.select_newest(originator_ids, topics)
        if missing := set(originator_ids) - {stored.originator_id for stored in found}:
            found += [stored for _, stored in newest_each(self._archived(missing), topics)]
        return [self.mapper.to_domain_event(stored) for stored in found]  # type: ignore[misc]

    def have_all_ended(self, branches: Sequence[UUID]) -> bool:
        """Tell whether each of these branches has ended; they are looked at in order, up to the first that has not."""
        return not self._own_recorder.has_stream_without(branches, topics=ENDS)

    def stream(self, originator_id: UUID, *, gt: int | None = None, lte: int | None = None) -> list[Event]:
        """Return the events of one stream, oldest first."""
        found = list(self.recorder.select_events(originator_id, gt=gt, lte=lte))
        if not found and not gt:
            archived = self._archived([originator_id])
            found = [stored for _, stored in archived if lte is None or stored.originator_version <= lte]
        return [self.mapper.to_domain_event(stored) for stored in found]  # type: ignore[misc]

    def latest(self, originator_id: UUID) -> Event | None:
        """Return the newest event of one stream, None when it has none."""
        newest = list(self.recorder.select_events(originator_id, desc=True, limit=1))
        if not newest:
            newest = [stored for _, stored in self._archived([originator_id])[-1:]]
        return self.mapper.to_domain_event(newest[0]) if newest else None  # type: ignore[return-value]

    def read(self, after: int, *, limit: int = 500, topics: Sequence[str] = ()) -> list[Recorded]:
        """Return up to `limit` events whose positions are greater than `after`, in order."""
        return self.decoded(self.stored(after, limit=limit, topics=topics or EVENTS.topics))

    def stored(self, after: int, *, limit: int, topics: Sequence[str] = ()) -> list[Row]:
        """Return the same as it is stored, without topics also what this version cannot read."""
        page: list[Row] = [
            (notification.id, notification)
            for notification in self.recorder.select_notifications(
                after, limit, topics=list(topics), inclusive_of_start=False
            )
        ]
        if len(topics) in (0, len(EVENTS.topics)) and has_no_gap(page, after):
            return page
        until = page[-1][0] if len(page) == limit else NO_LIMIT
        archives = self._select_archives(BETWEEN, (after, until))
        if not archives:
            return page
        wanted = frozenset(topics) or None
        return self.archives.merged(page, archives, after=after, until=until, limit=limit, topics=wanted)

    def decoded(self, rows: Iterable[Row]) -> list[Recorded]:
        """Return stored rows as events. Raises MapperDeserialisationError for one that this version cannot read."""
        return [Recorded(position, self.mapper.to_domain_event(stored)) for position, stored in rows]  # type: ignore[arg-type]

    def _select_archives(self, statement: str, parameters: tuple[Any, ...]) -> list[Archive]:
        return self._own_recorder.select_archives(statement, parameters)  # type: ignore[no-any-return]

    def _archived(self, streams: Collection[UUID]) -> list[Row]:
        archives = self._select_archives(OF_STREAMS, (list(streams),))
        return self.archives.of(archives, streams) if archives else []

    def head(self) -> int:
        """Return the position of the newest event, 0 when there is none."""
        return self.recorder.max_notification_id() or 0

    def now(self) -> datetime:
        """Return the database's time."""
        with self._own_recorder.datastore.get_connection() as connection:
            row = connection.execute(NOW).fetchone()
        assert row is not None
        moment: datetime = row["clock_timestamp"]
        return moment.astimezone(UTC)


def environment(database_url: str, *, pool_size: int) -> dict[str, str]:
    """Return the library's settings for the database at `database_url` (a libpq URL or key-value string)."""
    parts: dict[str, Any] = conninfo_to_dict(database_url)
    return {
        "PERSISTENCE_MODULE": "eventsourcing.postgres",
        "MAPPER_TOPIC": MAPPER_TOPIC,
        "APPLICATION_RECORDER_TOPIC": RECORDER_TOPIC,
        "CREATE_TABLE": "n",
        "POSTGRES_SCHEMA": SCHEMA,
        "POSTGRES_DBNAME": str(parts.get("dbname", "")),
        "POSTGRES_HOST": str(parts.get("host", "")),
        "POSTGRES_PORT": str(parts.get("port", 5432)),
        "POSTGRES_USER": str(parts.get("user", "")),
        "POSTGRES_PASSWORD": str(parts.get("password", "")),
        "POSTGRES_POOL_SIZE": str(pool_size),
        "POSTGRES_MAX_OVERFLOW": "8",
    }

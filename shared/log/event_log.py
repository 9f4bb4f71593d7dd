"""The event log as services use it: append, read a stream, read all from a position on."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import UUID

from eventsourcing.application import Application
from eventsourcing.persistence import IntegrityError
from eventsourcing.utils import register_topic
from psycopg.conninfo import conninfo_to_dict

from shared.domain.errors import NotFound, VersionConflict
from shared.domain.events import EVENTS, Event
from shared.domain.execution import WorkflowExecution, fold
from shared.log.clock import NOW
from shared.log.mapper import MsgspecMapper
from shared.log.recorder import SCHEMA, OneTripRecorder

MAPPER_TOPIC = "log.mapper"
RECORDER_TOPIC = "log.recorder"
register_topic(MAPPER_TOPIC, MsgspecMapper)
register_topic(RECORDER_TOPIC, OneTripRecorder)


class Recorded(NamedTuple):
    """An event and its position, the number that orders all events of the log."""

    position: int
    event: Event


class EventLog(Application[UUID]):
    """The log on PostgreSQL, for code that may block; asyncio code uses `AsyncEventLog`.

    The tables are made by a migration, never here. Open it after a fork, not before.
    """

    name = "blotter"

    def __init__(self, database_url: str, *, pool_size: int = 1) -> None:
        super().__init__(environment(database_url, pool_size=pool_size))

    def append(self, events: Sequence[Event]) -> list[int]:
        """Append all or none and return their positions.

        Raises VersionConflict when another append took one of the versions first.
        """
        try:
            recordings = self.events.put(events)
        except IntegrityError as error:
            raise VersionConflict(events[0].originator_id) from error
        return [recording.notification.id for recording in recordings]

    def save_execution(self, execution: WorkflowExecution) -> list[int]:
        """Append what the execution's commands have decided; raises VersionConflict, and then it is spent."""
        return self.append(execution.collect_events())

    def execution(self, task_id: UUID, *, version: int | None = None) -> WorkflowExecution:
        """Return the run as its stream says, up to `version` if given. Raises NotFound."""
        execution = fold(None, self.stream(task_id, lte=version))
        if execution is None:
            raise task_not_found(task_id)
        return execution

    def refresh(self, execution: WorkflowExecution) -> None:
        """Take in what others have appended since `execution` was read."""
        fold(execution, self.stream(execution.id, gt=execution.version))

    def stream(self, originator_id: UUID, *, gt: int | None = None, lte: int | None = None) -> list[Event]:
        """Return the events of one stream, oldest first."""
        return [
            self.mapper.to_domain_event(stored)  # type: ignore[misc]
            for stored in self.recorder.select_events(originator_id, gt=gt, lte=lte)
        ]

    def latest(self, originator_id: UUID) -> Event | None:
        """Return the newest event of one stream, None when it has none."""
        newest = self.recorder.select_events(originator_id, desc=True, limit=1)
        return self.mapper.to_domain_event(newest[0]) if newest else None  # type: ignore[return-value]

    def read(self, after: int, *, limit: int = 500, topics: Sequence[str] = ()) -> list[Recorded]:
        """Return up to `limit` events whose positions are greater than `after`, in order."""
        notifications = self.recorder.select_notifications(
            after, limit, topics=list(topics or EVENTS.topics), inclusive_of_start=False
        )
        return [Recorded(n.id, self.mapper.to_domain_event(n)) for n in notifications]  # type: ignore[arg-type]

    def head(self) -> int:
        """Return the position of the newest event, 0 when there is none."""
        return self.recorder.max_notification_id() or 0

    def now(self) -> datetime:
        """Return the database's time."""
        recorder: OneTripRecorder = self.recorder  # type: ignore[assignment]
        with recorder.datastore.get_connection() as connection:
            row = connection.execute(NOW).fetchone()
        assert row is not None
        moment: datetime = row["clock_timestamp"]
        return moment.astimezone(UTC)


def task_not_found(task_id: UUID | str) -> NotFound:
    """Return the error for a task that the log does not know."""
    return NotFound("task", f"There is no task {task_id}; check the id, or list tasks with GET /api/tasks.")


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

"""The event log for asyncio code: the same rows, the same order, no thread in between."""

import asyncio
from collections.abc import Collection, Sequence
from functools import partial
from types import TracebackType
from typing import Any, Self, cast
from uuid import UUID

import psycopg
from eventsourcing.persistence import StoredEvent
from psycopg.rows import TupleRow
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from shared.domain.errors import Unavailable, VersionConflict
from shared.domain.events import EVENTS, Event
from shared.domain.execution import WorkflowExecution, fold
from shared.domain.execution_events import StageOpened
from shared.domain.schedule import Schedule
from shared.log.archived_events import Row
from shared.log.archives import (
    BETWEEN,
    CLOSED,
    OF_STREAMS,
    Archive,
    Archives,
    OpenStore,
    has_no_gap,
    newest_each,
)
from shared.log.mapper import MsgspecMapper
from shared.log.recorder import (
    BY_INDEX,
    EVENTS_TABLE,
    FIND,
    NEWEST_OF,
    NO_LIMIT,
    READ,
    SCHEMA,
    STREAMS,
    Guard,
    append_statement,
)
from shared.log.runs import Recorded, archived, branch_streams, folded, guard_of, in_order, run_of
from shared.log.schedules import FORMAT, SNAPSHOT, decode_snapshot, folded_schedule

STAGES = (
    f"SELECT notification_id, originator_id, originator_version, topic, state FROM {SCHEMA}.{EVENTS_TABLE} "
    "WHERE originator_id = %s AND topic = %s"
)
STREAM_AFTER = (
    f"SELECT notification_id, originator_id, originator_version, topic, state FROM {SCHEMA}.{EVENTS_TABLE} "
    "WHERE originator_id = %s AND originator_version > %s ORDER BY originator_version"
)
TOUCHED = (
    f"SELECT DISTINCT originator_id FROM {SCHEMA}.{EVENTS_TABLE} WHERE notification_id > %s AND notification_id <= %s"
)
LATEST = (
    f"SELECT notification_id, originator_id, originator_version, topic, state FROM {SCHEMA}.{EVENTS_TABLE} "
    "WHERE originator_id = %s ORDER BY originator_version DESC LIMIT 1"
)
NEWEST = (
    f"SELECT notification_id, originator_id, originator_version, topic, state FROM {SCHEMA}.{EVENTS_TABLE} "
    "WHERE notification_id <= %s AND topic = ANY(%s) ORDER BY notification_id DESC LIMIT 1"
)
HEAD = f"SELECT coalesce(max(notification_id), 0) FROM {SCHEMA}.{EVENTS_TABLE}"

NO_ANSWER = "The event log does not answer. Try again in a moment, with the same Idempotency-Key if you sent one."


class ConnectionLost(Unavailable):
    """The connection ended while a statement was under way: nobody knows whether it was carried out."""


class AsyncEventLog:
    """Appends and reads through a pool of connections; an async context manager.

    Every method raises Unavailable when PostgreSQL does not answer within `timeout_seconds`.
    """

    def __init__(
        self,
        database_url: str,
        *,
        pool_size: int = 8,
        timeout_seconds: float = 5.0,
        open_store: OpenStore | None = None,
    ) -> None:
        """`open_store` opens the store that holds archives; without one they cannot be read."""
        self._archives = Archives(open_store)
        self._mapper = MsgspecMapper()
        self._pool = AsyncConnectionPool(
            database_url,
            min_size=1,
            max_size=pool_size,
            timeout=timeout_seconds,
            open=False,
            kwargs={"autocommit": True, "options": BY_INDEX},
        )

    async def __aenter__(self) -> Self:
        await self._pool.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._pool.close()

    async def append(self, events: Sequence[Event], *, guard: Guard | None = None) -> list[int]:
        """Append all or none and return their positions.

        Raises VersionConflict when a version is taken or the stream of the `guard` has moved on, Archived when a run is
        to go on that is in an archive, and Unavailable when it cannot be known whether the rows were stored: sending
        the same again, under the same ids, is safe.
        """
        stored = [self._mapper.to_stored_event(event) for event in events]
        try:
            return await self._append(stored, guard)
        except psycopg.errors.UniqueViolation as error:
            if error.diag.constraint_name == CLOSED and events[0].originator_version > 1:
                raise archived(run_of(events[0])) from error
            raise VersionConflict(events[0].originator_id) from error
        except ConnectionLost:
            return await self._find_own(stored) or await self._append_again(stored, guard)

    async def save_execution(self, execution: WorkflowExecution) -> list[int]:
        """Append what commands of the execution and its branches have decided; raises what `append` raises."""
        events = execution.collect_events()
        return await self.append(events, guard=guard_of(execution, events)) if events else []

    async def _append_again(self, stored: Sequence[StoredEvent], guard: Guard | None) -> list[int]:
        try:
            return await self._append(stored, guard)
        except psycopg.errors.UniqueViolation as error:
            positions = await self._find_own(stored)
            if positions is None:
                raise VersionConflict(cast(UUID, stored[0].originator_id)) from error
            return positions

    async def _append(self, stored: Sequence[StoredEvent], guard: Guard | None) -> list[int]:
        statement, parameters = append_statement(stored, guard)
        rows = await self._fetch(statement, parameters, binary=True)
        return [row[0] for row in rows]

    async def _find_own(self, stored: Sequence[StoredEvent]) -> list[int] | None:
        """Return the positions of rows whose acknowledgement was lost, None when they were not stored."""
        positions = []
        for event in stored:
            rows = await self._query(FIND, (event.originator_id, event.originator_version))
            if not rows or bytes(rows[0][1]) != event.state:
                return None
            positions.append(rows[0][0])
        return positions

    async def execution(self, task_id: UUID) -> WorkflowExecution:
        """Return the run as its streams say. Raises NotFound."""
        stream = await self.streams([task_id])
        branches = branch_streams(stream)
        return folded(task_id, stream, await self.streams(branches) if branches else ())

    async def executions(self, task_ids: Sequence[UUID]) -> list[WorkflowExecution]:
        """Return those of the runs that the log knows, read in one question, or two with branches; in no order."""
        streams = await self.streams(task_ids)
        if missing := set(task_ids) - {recorded.event.originator_id for recorded in streams}:
            streams = list(in_order(streams, self._decoded(await self._archived(missing))))
        branches = branch_streams(streams)
        events: dict[UUID, list[Event]] = {}
        for recorded in in_order(streams, await self.streams(branches) if branches else ()):
            events.setdefault(run_of(recorded.event), []).append(recorded.event)
        runs = (fold(None, happened) for happened in events.values())
        return [execution for execution in runs if execution is not None]

    async def schedule(self, schedule_id: UUID) -> Schedule:
        """Return the schedule as its stream says: from its newest snapshot on. Raises NotFound."""
        rows = await self._query(SNAPSHOT, (schedule_id, FORMAT))
        known = decode_snapshot(str(rows[0][0]).encode()) if rows else None
        tail = self._recorded(await self._query(STREAM_AFTER, (schedule_id, known.version if known else 0)))
        return folded_schedule(schedule_id, known, (recorded.event for recorded in tail))

    async def newest_of(self, originator_ids: Sequence[UUID], topics: Sequence[str]) -> list[Event]:
        """Return for each of some streams its newest event of these topics; nothing for one that has none."""
        rows = await self._query(NEWEST_OF, (list(originator_ids), list(topics)))
        stored = [StoredEvent(row[0], row[1], row[2], bytes(row[3])) for row in rows]
        if missing := set(originator_ids) - {event.originator_id for event in stored}:
            stored += [event for _, event in newest_each(await self._archived(missing), topics)]
        return [self._mapper.to_domain_event(each) for each in stored]

    async def touched(self, after: int, until: int) -> list[UUID]:
        """Return the streams that have events after the position `after`, up to `until`; in no order."""
        return [row[0] for row in await self._query(TOUCHED, (after, until))]

    async def history(self, task_id: UUID, *, after: int = 0, limit: int = NO_LIMIT) -> list[Recorded]:
        """Return up to `limit` events of a run and its branches with positions greater than `after`, oldest first."""
        stages = self._recorded(await self._query(STAGES, (task_id, StageOpened.TOPIC)))
        found = await self.streams([task_id, *branch_streams(stages)], after=after, limit=limit)
        if found:
            return found
        # The branches of an archived run are told by its own stream, which is there as a whole.
        own = self._decoded(await self._archived([task_id]))
        whole = in_order(own, self._decoded(await self._archived(branch_streams(own)))) if own else ()
        return [recorded for recorded in whole if recorded.position > after][:limit]

    async def streams(self, originator_ids: Sequence[UUID], *, after: int = 0, limit: int = NO_LIMIT) -> list[Recorded]:
        """Return up to `limit` events of some streams with positions greater than `after`, in the order of the log."""
        found = self._recorded(await self._query(STREAMS, (list(originator_ids), after, NO_LIMIT, limit)))
        if found or after:
            return found
        return self._decoded(await self._archived(originator_ids))[:limit]

    async def latest(self, originator_id: UUID) -> Recorded | None:
        """Return the newest event of one stream, or None when it has none."""
        recorded = self._recorded(await self._query(LATEST, (originator_id,)))
        recorded = recorded or self._decoded(await self._archived([originator_id]))[-1:]
        return recorded[0] if recorded else None

    async def read(self, after: int, *, limit: int = 500, topics: Sequence[str] = ()) -> list[Recorded]:
        """Return up to `limit` events whose positions are greater than `after`, in order."""
        wanted = list(topics or EVENTS.topics)
        rows = await self._query(READ, (after, wanted, limit))
        if len(wanted) == len(EVENTS.topics) and has_no_gap(rows, after):
            return self._recorded(rows)
        until = rows[-1][0] if len(rows) == limit else NO_LIMIT
        archives = await self._select_archives(BETWEEN, (after, until))
        if not archives:
            return self._recorded(rows)
        merged = partial(self._archives.merged, _stored(rows), archives, after=after, until=until, limit=limit)
        return self._decoded(await asyncio.to_thread(merged, topics=frozenset(wanted)))

    async def newest(self, until: int) -> Recorded | None:
        """Return the newest event whose position is not greater than `until`, or None when there is none."""
        recorded = self._recorded(await self._query(NEWEST, (until, list(EVENTS.topics))))
        reached = recorded[0].position if recorded else 0
        if reached < until and (archives := await self._select_archives(BETWEEN, (reached, until))):
            found = await asyncio.to_thread(self._archives.newest, archives, until, frozenset(EVENTS.topics))
            if found is not None and found[0] > reached:
                recorded = self._decoded([found])
        return recorded[0] if recorded else None

    async def head(self) -> int:
        """Return the position of the newest event, 0 when there is none."""
        rows = await self._query(HEAD, ())
        return int(rows[0][0])

    async def _archived(self, streams: Collection[UUID]) -> list[Row]:
        archives = await self._select_archives(OF_STREAMS, (list(streams),))
        return await asyncio.to_thread(self._archives.of, archives, streams) if archives else []

    async def _select_archives(self, statement: str, parameters: Any) -> list[Archive]:
        return [Archive(*row) for row in await self._query(statement, parameters)]

    def _recorded(self, rows: Sequence[TupleRow]) -> list[Recorded]:
        return self._decoded(_stored(rows))

    def _decoded(self, rows: Sequence[Row]) -> list[Recorded]:
        return [Recorded(position, self._mapper.to_domain_event(stored)) for position, stored in rows]

    async def _query(self, statement: str, parameters: Any) -> list[TupleRow]:
        """Fetch what may be asked for twice: a connection that died while it lay in the pool is met only once."""
        try:
            return await self._fetch(statement, parameters)
        except ConnectionLost:
            return await self._fetch(statement, parameters)

    async def _fetch(self, statement: str, parameters: Any, *, binary: bool = False) -> list[TupleRow]:
        try:
            async with self._pool.connection() as connection:
                cursor = await connection.execute(statement.encode(), parameters, prepare=True, binary=binary)
                return await cursor.fetchall()
        except PoolTimeout as error:
            raise Unavailable(NO_ANSWER) from error
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            # After a restart of the server every pooled connection is dead, not only the one that was met.
            await self._pool.check()
            raise ConnectionLost(NO_ANSWER) from error


def _stored(rows: Sequence[TupleRow]) -> list[Row]:
    return [(row[0], StoredEvent(row[1], row[2], row[3], bytes(row[4]))) for row in rows]

"""What the alerter looks at: the tables, the log, and the heartbeats of workers."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import cast
from uuid import UUID

import redis
import sqlalchemy as sa
import structlog

from services.status import alert_readings, health
from services.status.alert_policy import Reading, Sample
from services.status.alert_readings import Counted
from services.status.alert_settings import AlertSettings
from services.status.queues import consumers, pauses, waiting
from services.status.seen_workers import worker_views
from services.status.tables import NEEDING_ATTENTION, positions, schedule_history, schedules, workflow_executions
from shared.domain.alert import Alert
from shared.domain.alert_events import AlertKind
from shared.domain.priority import Priority
from shared.heartbeats import (
    SEEN_KEY,
    WORKERS_KEY,
    WorkerHeartbeat,
    decode_heartbeats,
    heartbeat_key,
    last_heartbeat_key,
)
from shared.log.event_log import EventLog
from shared.log.positions import read_position
from shared.routing import MAINTENANCE, level_queue

OF_WORKERS = frozenset({AlertKind.WORKER_UNRESPONSIVE, AlertKind.QUEUE_WITHOUT_CONSUMER})
OF_TABLES = frozenset(AlertKind) - OF_WORKERS

Heartbeats = Mapping[str, WorkerHeartbeat]

logger = structlog.get_logger()


class Sampler:
    """Reads everything at once; a Redis that is away leaves out what only it knows, and that is logged once."""

    def __init__(self, settings: AlertSettings, log: EventLog, engine: sa.Engine, client: redis.Redis) -> None:
        self._settings = settings
        self._log = log
        self._engine = engine
        self._redis = client
        self._is_blind = False

    def sample(self, active: Mapping[UUID, Alert]) -> Sample:
        """Return what is to be seen now. Raises what SQLAlchemy raises when the database is away."""
        readings, seen = self._of_tables(datetime.now(UTC)), OF_TABLES
        heartbeats = self._heartbeats()
        if heartbeats is not None:
            living, last = heartbeats
            readings += alert_readings.of_workers(worker_views(living, last, datetime.now(UTC)), active)
            queues = [*(level_queue(level) for level in Priority), MAINTENANCE]
            readings += alert_readings.of_consumers({queue: consumers(living, queue) for queue in queues})
            seen |= OF_WORKERS
        return Sample(readings=tuple(readings), seen=seen)

    def _of_tables(self, now: datetime) -> list[Reading]:
        settings = self._settings
        failed_since = now - timedelta(seconds=settings.alert_failed_window_seconds)
        missed_since = now - timedelta(seconds=settings.alert_missed_window_seconds)
        with self._engine.connect() as connection:
            return [
                *alert_readings.of_backlogs(
                    waiting(connection),
                    pauses(connection),
                    depth=settings.alert_backlog_depth,
                    age_seconds=settings.alert_backlog_age_seconds,
                    now=now,
                ),
                *alert_readings.of_lags(self._lags(connection, now), threshold=settings.alert_lag_seconds),
                *alert_readings.of_failed(_failed(connection, failed_since)),
                *alert_readings.of_attention(_attention(connection)),
                *alert_readings.of_missed(_missed(connection, missed_since)),
            ]

    def _lags(self, connection: sa.Connection, now: datetime) -> dict[str, float]:
        lags = {}
        for part, topics in health.MEASURED.items():
            position = read_position(connection, positions, health.FOLLOWERS[part])
            pending = self._log.read(position, limit=1, topics=topics)
            lags[part] = max(0.0, (now - pending[0].event.at).total_seconds()) if pending else 0.0
        return lags

    def _heartbeats(self) -> tuple[Heartbeats, Heartbeats] | None:
        try:
            found = _read(self._redis)
        except redis.RedisError as error:
            if not self._is_blind:
                logger.warning("alerter.blind", error=str(error))
            self._is_blind = True
            return None
        self._is_blind = False
        return found


def _read(client: redis.Redis) -> tuple[Heartbeats, Heartbeats]:
    names = cast(set[bytes], client.smembers(WORKERS_KEY)) | set(cast(list[bytes], client.zrange(SEEN_KEY, 0, -1)))
    workers = [name.decode() for name in names]
    if not workers:
        return {}, {}
    keys = [*map(heartbeat_key, workers), *map(last_heartbeat_key, workers)]
    values = cast(list[bytes | None], client.mget(keys))
    return decode_heartbeats(values[: len(workers)]), decode_heartbeats(values[len(workers) :])


def _failed(connection: sa.Connection, since: datetime) -> list[Counted]:
    c = workflow_executions.c
    where = sa.and_(sa.text("status = 'failed'"), c.finished_at >= since)
    return _by_strategy(connection, where)


def _attention(connection: sa.Connection) -> list[Counted]:
    return _by_strategy(connection, NEEDING_ATTENTION)


def _by_strategy(connection: sa.Connection, where: sa.ColumnElement[bool] | sa.TextClause) -> list[Counted]:
    c = workflow_executions.c
    rows = connection.execute(sa.select(c.strategy_id, sa.func.count()).where(where).group_by(c.strategy_id))
    return [Counted(strategy_id, strategy_id, count) for strategy_id, count in rows]


def _missed(connection: sa.Connection, since: datetime) -> list[Counted]:
    c, s = schedule_history.c, schedules.c
    rows = connection.execute(
        sa.select(c.schedule_id, s.name, sa.func.sum(c.count))
        .join_from(schedule_history, schedules, c.schedule_id == s.schedule_id)
        .where(sa.text("schedule_history.type = 'missed'"), c.at >= since, ~s.deleted)
        .group_by(c.schedule_id, s.name)
    )
    return [Counted(str(schedule_id), name, int(count)) for schedule_id, name, count in rows]

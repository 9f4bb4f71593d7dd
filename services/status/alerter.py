"""The alerter: looks each second at what may be wrong, and writes to the log what has become wrong or right.

Which alerts are active it knows from the log: its tables and what came after them. An alert is one stream, so that of
two alerters that decide alike one is refused.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Protocol
from uuid import UUID

import redis
import sqlalchemy as sa
import structlog

from services.status.alert_policy import Sample, Watch
from services.status.alert_projection import alert_of, evolved
from services.status.alert_sampling import Sampler
from services.status.alert_settings import AlertSettings
from services.status.database import create_engine
from services.status.projector import PROJECTOR
from services.status.tables import alerts, positions
from shared.domain.alert import Alert, raised, resolved
from shared.domain.alert_events import ALERT_TOPICS, AlertEvent
from shared.domain.errors import VersionConflict
from shared.domain.events import Stamp
from shared.log.event_log import EventLog
from shared.log.follower import Follower
from shared.log.positions import read_position
from shared.log.process import run_followers
from shared.log.runs import Recorded
from shared.logging import configure_logging
from shared.telemetry import configure_telemetry

ALERTER = "status.alerter"
ACTOR = "status:alerter"
LOOK_EVERY = timedelta(seconds=1)
REDIS_TIMEOUT_SECONDS = 1.0

logger = structlog.get_logger()


class Looks(Protocol):
    """Where samples come from."""

    def sample(self, active: Mapping[UUID, Alert]) -> Sample:
        """Return what is to be seen now, given the alerts that are active."""


class Alerter:
    """The handler that a `Follower` feeds with what happens to alerts."""

    name = ALERTER
    topics: Sequence[str] = ALERT_TOPICS

    def __init__(
        self,
        log: EventLog,
        engine: sa.Engine,
        sampler: Looks,
        watch: Watch,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._log = log
        self._engine = engine
        self._sampler = sampler
        self._watch = watch
        self._now = now
        self._alerts: dict[UUID, Alert] = {}
        self._look_at = 0.0

    def start(self) -> int:
        """Load all alerts from the tables and return how far those know the log: what came after is read from it."""
        self._watch.forget()
        with self._engine.connect() as connection:
            connection = connection.execution_options(isolation_level="REPEATABLE READ")
            position = read_position(connection, positions, PROJECTOR)
            self._alerts = {row["id"]: alert_of(row) for row in connection.execute(sa.select(alerts)).mappings()}
        return position

    def process(self, batch: Sequence[Recorded]) -> None:
        """Take in what has happened to alerts, be it of this process or of another one."""
        self._take_in(*(each.event for each in batch if isinstance(each.event, AlertEvent)))

    def tick(self) -> timedelta | None:
        """Look when it is time to."""
        now = time.monotonic()
        if now >= self._look_at:
            self._look_at = now + LOOK_EVERY.total_seconds()
            self.look()
        return timedelta(seconds=max(0.0, self._look_at - time.monotonic()))

    def look(self) -> None:
        """Look once, and append what follows from it."""
        active = {alert.id: alert for alert in self._alerts.values() if alert.is_active}
        sample, now = self._sampler.sample(active), self._now()
        decisions = self._watch.decide(sample, active, now)
        for reading in decisions.raises:
            self._append(
                raised(
                    self._alerts.get(reading.id),
                    Stamp(at=now, actor=ACTOR),
                    kind=reading.kind,
                    subject=reading.subject,
                    severity=reading.severity,
                    summary=reading.summary,
                    value=reading.value,
                    threshold=reading.threshold,
                )
            )
        for alert, reason in decisions.resolves:
            self._append(resolved(alert, Stamp(at=now, actor=ACTOR), reason=reason))

    def _append(self, event: AlertEvent) -> None:
        try:
            self._log.append([event])
        except VersionConflict:
            # Somebody acknowledged it, or another alerter was faster: the log tells, and the next look decides anew.
            logger.info("alerter.overtaken", kind=event.kind, subject=event.subject)
            return
        logger.info(event.TOPIC, kind=event.kind, subject=event.subject)
        self._take_in(event)

    def _take_in(self, *events: AlertEvent) -> None:
        self._alerts = evolved(self._alerts, events)


def main() -> None:
    """Look until SIGTERM or SIGINT."""
    settings = AlertSettings()
    configure_logging(settings.log_format, settings.log_level)
    configure_telemetry(ALERTER, settings.telemetry_options)
    log = EventLog(settings.database_url)
    engine = create_engine(settings.sqlalchemy_url)
    client = redis.Redis.from_url(
        settings.redis_url,
        socket_connect_timeout=REDIS_TIMEOUT_SECONDS,
        socket_timeout=REDIS_TIMEOUT_SECONDS,
    )
    alerter = Alerter(log, engine, Sampler(settings, log, engine, client), Watch(settings.patience))
    try:
        run_followers([Follower(log, settings.database_url, alerter)])
    finally:
        client.close()
        engine.dispose()
        log.close()


if __name__ == "__main__":
    main()

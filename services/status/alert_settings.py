"""From when on something is an alert."""

from datetime import timedelta

from pydantic import Field

from services.status.alert_policy import Patience
from services.status.settings import StatusSettings
from shared.domain.alert_events import AlertKind


class AlertSettings(StatusSettings):
    """What the alerter needs beyond the log and Redis: thresholds, and how long something must last."""

    alert_worker_silent_seconds: float = Field(
        5.0,
        ge=0,
        le=20,
        description="how long a worker stays unresponsive, after three seconds of silence, until raised",
    )
    alert_backlog_depth: int = Field(1_000, ge=1, description="tasks that wait in a level")
    alert_backlog_age_seconds: float = Field(300.0, gt=0, description="how long the oldest task of a level has waited")
    alert_backlog_seconds: float = Field(10.0, ge=0, description="how long a level is beyond either until raised")
    alert_consumer_seconds: float = Field(15.0, ge=0, description="how long nobody takes from a queue until raised")
    alert_lag_seconds: float = Field(10.0, gt=0, description="age of the oldest event that a follower has to take in")
    alert_failed_window_seconds: float = Field(3_600.0, ge=1, description="how long a failed task counts")
    alert_missed_window_seconds: float = Field(3_600.0, ge=1, description="how long a missed time of a schedule counts")
    alert_hold_seconds: float = Field(10.0, ge=0, description="how long something must be right until resolved")

    @property
    def patience(self) -> Patience:
        """Return how long to wait before raising and resolving."""
        return Patience(
            before={
                AlertKind.WORKER_UNRESPONSIVE: timedelta(seconds=self.alert_worker_silent_seconds),
                AlertKind.QUEUE_BACKLOG: timedelta(seconds=self.alert_backlog_seconds),
                AlertKind.QUEUE_WITHOUT_CONSUMER: timedelta(seconds=self.alert_consumer_seconds),
            },
            hold=timedelta(seconds=self.alert_hold_seconds),
        )

"""What figures mean for alerts: one reading for each subject, without any memory."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from services.status.alert_policy import CLEAR_BELOW, Reading
from services.status.queues import Waiting, oldest_seconds
from shared.domain.alert import Alert
from shared.domain.alert_events import AlertKind, Severity, alert_id
from shared.domain.priority import Priority
from shared.domain.workers import WorkerState, WorkerView

BELOW = "it is well below its threshold again"
CONSUMED = "a worker takes from it"
RETURNED = "the worker is back"
NOBODY_LEFT = "there is none any more"


class Counted(NamedTuple):
    """How many tasks or times count for a subject; `name` is what people call it."""

    subject: str
    name: str
    number: int


def of_workers(views: Iterable[WorkerView], active: Mapping[UUID, Alert]) -> list[Reading]:
    """Return a reading a worker. One that is offline is neither over nor clear, unless it was back in between."""
    readings = []
    for view in views:
        known = active.get(alert_id(AlertKind.WORKER_UNRESPONSIVE, view.name))
        was_back = known is None or view.last_heartbeat_at > known.since
        readings.append(
            Reading(
                kind=AlertKind.WORKER_UNRESPONSIVE,
                subject=view.name,
                severity=Severity.CRITICAL,
                summary=f"Worker {view.name} has sent no heartbeat since {view.last_heartbeat_at.isoformat()}",
                is_over=view.state is WorkerState.UNRESPONSIVE,
                is_clear=view.state is not WorkerState.UNRESPONSIVE
                and (view.state is not WorkerState.OFFLINE or was_back),
                cleared=RETURNED,
            )
        )
    return readings


def of_backlogs(
    waiting: Mapping[Priority, Waiting], paused: Iterable[Priority], *, depth: int, age_seconds: float, now: datetime
) -> list[Reading]:
    """Return two readings a level, by depth and by age. Of one that is paused neither is over nor clear."""
    held = set(paused)
    readings = []
    for level, found in waiting.items():
        age = oldest_seconds(found.since, now=now) or 0.0
        of_depth = (f"{level}/depth", f"{found.depth} tasks wait in {level}", float(found.depth), float(depth))
        of_age = (f"{level}/age", f"The oldest task in {level} has waited for {age:.0f} s", age, age_seconds)
        for subject, summary, value, threshold in (of_depth, of_age):
            readings.append(
                _measured(AlertKind.QUEUE_BACKLOG, subject, summary, value, threshold, is_held=level in held)
            )
    return readings


def of_consumers(consumers: Mapping[str, Sequence[str]]) -> list[Reading]:
    """Return a reading a queue, by the names of those who take from it."""
    return [
        Reading(
            kind=AlertKind.QUEUE_WITHOUT_CONSUMER,
            subject=queue,
            severity=Severity.CRITICAL,
            summary=f"No worker takes from the queue {queue}",
            is_over=not names,
            is_clear=bool(names),
            cleared=CONSUMED,
            value=float(len(names)),
            threshold=1.0,
        )
        for queue, names in consumers.items()
    ]


def of_lags(lags: Mapping[str, float], *, threshold: float) -> list[Reading]:
    """Return a reading a follower, by the age in seconds of the oldest event that it has still to take in."""
    return [
        _measured(AlertKind.PROJECTION_LAG, part, f"The {part} is {seconds:.0f} s behind the log", seconds, threshold)
        for part, seconds in lags.items()
    ]


def of_missed(counted: Iterable[Counted]) -> list[Reading]:
    """Return a reading for each schedule that has missed a time lately."""
    return [
        _counted(
            AlertKind.SCHEDULE_MISSED, Severity.WARNING, each, f"Schedule {each.name} has missed {each.number} times"
        )
        for each in counted
    ]


def of_failed(counted: Iterable[Counted]) -> list[Reading]:
    """Return a reading for each strategy of which tasks have failed lately."""
    return [
        _counted(
            AlertKind.TASK_FAILED, Severity.WARNING, each, f"{each.number} tasks of {each.name} have failed lately"
        )
        for each in counted
    ]


def of_attention(counted: Iterable[Counted]) -> list[Reading]:
    """Return a reading for each strategy of which tasks need somebody's decision."""
    summary = "{0.number} tasks of {0.name} ended with an order that nobody knows the fate of"
    return [_counted(AlertKind.NEEDS_ATTENTION, Severity.CRITICAL, each, summary.format(each)) for each in counted]


def _measured(
    kind: AlertKind, subject: str, summary: str, value: float, threshold: float, *, is_held: bool = False
) -> Reading:
    return Reading(
        kind=kind,
        subject=subject,
        severity=Severity.WARNING,
        summary=summary,
        is_over=value >= threshold and not is_held,
        is_clear=value < CLEAR_BELOW * threshold and not is_held,
        cleared=BELOW,
        value=round(value, 3),
        threshold=threshold,
    )


def _counted(kind: AlertKind, severity: Severity, counted: Counted, summary: str) -> Reading:
    return Reading(
        kind=kind,
        subject=counted.subject,
        severity=severity,
        summary=summary,
        is_over=counted.number > 0,
        is_clear=counted.number == 0,
        cleared=NOBODY_LEFT,
        value=float(counted.number),
        threshold=1.0,
    )

"""What the API answers about metrics."""

from datetime import datetime

from pydantic import BaseModel


class TaskCounts(BaseModel):
    """How many tasks there are in each status, of all that ever were."""

    queued: int
    active: int
    completed: int
    failed: int
    retrying: int
    preempted: int
    cancelled: int


class LevelCounts(BaseModel):
    """How many tasks of each level wait for a worker; not those that a schedule holds, or that wait for a retry."""

    high: int
    normal: int
    low: int


class LevelAges(BaseModel):
    """For how many seconds the one that waits longest has waited, null where none waits."""

    high: float | None
    normal: float | None
    low: float | None


class WorkerCounts(BaseModel):
    """How many workers are in each state, of those that live and those that did lately."""

    online: int
    draining: int
    unresponsive: int
    offline: int


class MetricsAnswer(BaseModel):
    """The figures as of a position of the log. Durations are of tasks that completed since `window_from`, from the
    first start to the end; waiting is that of tasks that a worker has taken since. Percentiles are right to
    within 10 %.

    `workers` are those that take tasks or finish theirs now, null while Redis does not answer. The lag is what the log
    has beyond `as_of_position`, 100,000 at most.
    """

    tasks: TaskCounts
    average_duration_seconds: float | None
    p95_duration_seconds: float | None
    average_waiting_seconds: float | None
    p95_waiting_seconds: float | None
    throughput_per_minute: float
    as_of_position: int
    workers: int | None
    worker_states: WorkerCounts | None
    queue_length: LevelCounts
    queue_oldest_seconds: LevelAges
    projection_lag_events: int
    projection_lag_seconds: float
    window_seconds: int
    window_from: datetime


class MetricPoint(BaseModel):
    """What happened in the minute that began `at`. Attempts are `started`, `retried` and `preempted`, with those of
    steps that run side by side in the last two; the rest are tasks. `submitted` and the ends count each time.
    """

    at: datetime
    submitted: int
    started: int
    completed: int
    failed: int
    cancelled: int
    retried: int
    preempted: int
    average_duration_seconds: float | None
    p95_duration_seconds: float | None
    average_waiting_seconds: float | None


class MetricHistory(BaseModel):
    """A point for each minute, oldest first."""

    as_of_position: int
    points: list[MetricPoint]

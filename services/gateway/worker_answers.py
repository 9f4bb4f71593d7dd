"""What the API answers about workers."""

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel

from shared.domain.workers import WorkerState


class Worker(BaseModel):
    """A worker as its last heartbeat told; what it uses is that of its whole process tree, CPU in percent of one core.

    `active` has the task of each taken slot: a task stands there once for each of its branches. `processed` counts the
    attempts that it is done with since it started, however they ended.
    """

    name: str
    host: str
    pid: int
    pool: str
    concurrency: int
    queues: list[str]
    state: WorkerState
    active: list[UUID]
    processed: int | None
    cpu_percent: float | None
    rss_bytes: int | None
    uss_bytes: int | None
    started_at: datetime
    last_heartbeat_at: datetime


class WorkerPage(BaseModel):
    """All workers, by name."""

    items: list[Worker]

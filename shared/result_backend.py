"""What Celery's Redis result backend holds of a run, so that `AsyncResult(task_id)` tells state, progress, result.

It is a copy that can be rebuilt from the log. A write takes effect only if it is newer than what is there, by
(attempt, sequence): a late worker cannot overwrite its successor, whatever order messages arrive in.
"""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec

from shared.domain.phases import CeleryState

LONGEST_TTL = timedelta(days=90)
"""The longest time to live that a result may be given; nobody has to look for one that ended before."""

FINAL = 2**31
"""Sequence from which on a run has ended; added to it is the version of the run, whose orders may still change."""

AFTER_ATTEMPT = FINAL - 1
"""Sequence of what stands once an attempt is over and the run is not: within it, only the run's end is newer."""

WRITE = """
local known = redis.call('GET', KEYS[1])
if known then
  local meta = cjson.decode(known)
  local attempt, sequence = tonumber(meta['attempt'] or 0), tonumber(meta['sequence'] or 0)
  if attempt > tonumber(ARGV[1]) or (attempt == tonumber(ARGV[1]) and sequence >= tonumber(ARGV[2])) then
    return 0
  end
end
redis.call('SET', KEYS[1], ARGV[3], 'PX', ARGV[4])
redis.call('PUBLISH', KEYS[1], ARGV[3])
if ARGV[5] then
  redis.call('PUBLISH', KEYS[2], ARGV[5])
end
return 1
"""
"""KEYS: the meta's key, `PROGRESS_CHANNEL`. ARGV: attempt, sequence, meta as JSON, time to live in ms, and a
`ProgressReport` as JSON, if there is one. Returns 1 when written."""

STEP_PROGRESS = "step_progress"
"""Beside the progress of a run, how far its step is: `{"done", "total", "message"}`, or null."""

PROGRESS_CHANNEL = "blotter:progress"
"""Where each `ProgressReport` is published as it is written; who does not listen misses it."""


class ResultMeta(msgspec.Struct, frozen=True, kw_only=True):
    """Celery's own meta fields, with our attempt and sequence beside them.

    `result` is the progress while the run goes on, the result object when it has succeeded, and Celery's encoded
    exception (`exc_type`, `exc_message`, `exc_module`) when it has failed or was revoked.
    """

    task_id: str
    status: CeleryState
    result: Any
    attempt: int
    sequence: int
    traceback: str | None = None
    children: tuple[str, ...] = ()
    date_done: str | None = None


class ProgressReport(msgspec.Struct, frozen=True, kw_only=True):
    """How far a run is within a step, said at a moment; `progress` is what its meta holds as the result."""

    task_id: UUID
    at: datetime
    attempt: int
    progress: dict[str, Any]


def result_key(task_id: str) -> str:
    """Return the key under which Celery's Redis backend keeps a task's meta."""
    return f"celery-task-meta-{task_id}"


def encode_meta(meta: ResultMeta) -> bytes:
    """Return the JSON that goes into Redis."""
    return msgspec.json.encode(meta)


def decode_meta(data: bytes) -> ResultMeta | None:
    """Return the meta in `data`, or None when something else wrote it."""
    try:
        return msgspec.json.decode(data, type=ResultMeta)
    except msgspec.DecodeError:
        return None


def write_keys(meta: ResultMeta) -> list[str]:
    """Return the KEYS of `WRITE` for `meta`."""
    return [result_key(meta.task_id), PROGRESS_CHANNEL]


def write_arguments(meta: ResultMeta, *, ttl_seconds: float, report: ProgressReport | None = None) -> list[bytes | int]:
    """Return the ARGV of `WRITE` for `meta`."""
    arguments: list[bytes | int] = [
        meta.attempt,
        meta.sequence,
        encode_meta(meta),
        max(1, int(ttl_seconds * 1000)),
    ]
    return arguments if report is None else [*arguments, msgspec.json.encode(report)]


def done_at(at: datetime) -> str:
    """Return a time as Celery writes `date_done`: ISO 8601 in UTC."""
    return at.astimezone(UTC).isoformat()

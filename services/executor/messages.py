"""Celery's messages as they lie in the queues of Redis."""

from collections.abc import Iterator, Sequence
from typing import cast

import msgspec
import redis

from services.executor.queues import CONSUMED
from shared.routing import MAINTENANCE


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """A message as it lies in a queue; `raw` is how Redis knows it."""

    queue: str
    raw: bytes
    id: str
    task: str


class _Headers(msgspec.Struct, frozen=True):
    id: str = ""
    task: str = ""


class _Envelope(msgspec.Struct, frozen=True):
    headers: _Headers = _Headers()


def decode(queue: str, raw: bytes) -> Message:
    """Return a message; one that is not Celery's has neither id nor task."""
    try:
        headers = msgspec.json.decode(raw, type=_Envelope).headers
    except msgspec.DecodeError:
        headers = _Headers()
    return Message(queue=queue, raw=raw, id=headers.id, task=headers.task)


def queued(client: redis.Redis, queue: str) -> Iterator[Message]:
    """Yield what waits in one queue."""
    return (decode(queue, raw) for raw in cast(list[bytes], client.lrange(queue, 0, -1)))


def queued_runs(client: redis.Redis) -> Iterator[Message]:
    """Yield what waits in the queues of runs."""
    for queue in CONSUMED:
        if queue != MAINTENANCE:
            yield from queued(client, queue)


def remove(client: redis.Redis, messages: Sequence[Message]) -> int:
    """Take messages out of their queues and return how many were there still; a worker may have been faster."""
    with client.pipeline(transaction=False) as pipeline:
        for each in messages:
            pipeline.lrem(each.queue, 1, each.raw)  # type: ignore[arg-type]  # its stubs know text only
        return sum(cast(list[int], pipeline.execute()))

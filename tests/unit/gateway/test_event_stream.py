"""Server-sent events, to the letter."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from uuid import uuid4

from services.gateway.changes import Change, Pushed
from services.gateway.event_stream import frames

TASK = uuid4()


async def _batches() -> AsyncGenerator[Sequence[Pushed]]:
    yield [Change(position=7, type="execution.released", task_id=TASK, subject=TASK, body=b'{"position":7}')]
    yield []
    yield [Pushed(type="execution.progress", task_id=TASK, subject=TASK, body=b'{"position":null}')]


async def test_each_change_has_its_position_as_its_id_and_silence_is_a_comment() -> None:
    """What has no position has no id, so that a browser resumes after the last change."""
    assert [frame async for frame in frames(_batches())] == [
        b"retry: 1000\n\n",
        b'id: 7\nevent: execution.released\ndata: {"position":7}\n\n',
        b": heartbeat\n\n",
        b'event: execution.progress\ndata: {"position":null}\n\n',
    ]

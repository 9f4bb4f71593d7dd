"""Progress within a step: too frequent for the log, so it is read from the result backend in Redis."""

from typing import Any

import msgspec

from services.status.quiet_redis import QuietRedis
from shared.domain.phases import CeleryState
from shared.domain.views import TaskView
from shared.result_backend import STEP_PROGRESS, ResultMeta, decode_meta, result_key


class LiveProgress:
    """Reads what workers last said of their steps; without Redis there is none."""

    def __init__(self, redis: QuietRedis) -> None:
        self._redis = redis

    async def of(self, view: TaskView) -> dict[str, Any] | None:
        """Return `{"done", "total", "message"}` of the step that runs now, or None.

        What an earlier attempt said does not count.
        """
        if view.state is not CeleryState.STARTED:
            return None
        data = await self._redis.ask(lambda redis: redis.get(result_key(view.task_id)))
        meta = _decode(data) if isinstance(data, bytes) else None
        if meta is None or meta.attempt != view.attempts or meta.status is not CeleryState.STARTED:
            return None
        progress = meta.result.get(STEP_PROGRESS) if isinstance(meta.result, dict) else None
        return progress if isinstance(progress, dict) else None


def _decode(data: bytes) -> ResultMeta | None:
    try:
        return decode_meta(data)
    except msgspec.DecodeError:
        return None

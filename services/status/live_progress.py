"""Progress within a step: too frequent for the log, so it is read from the result backend in Redis."""

from typing import Any

import msgspec
import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from shared.domain.phases import CeleryState
from shared.domain.views import TaskView
from shared.result_backend import ResultMeta, decode_meta, result_key

STEP_PROGRESS = "step_progress"

logger = structlog.get_logger()


class LiveProgress:
    """Reads what workers last said of their steps; without Redis there is none, and that is logged once."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._away = False

    async def of(self, view: TaskView) -> dict[str, Any] | None:
        """Return `{"done", "total", "message"}` of the step that runs now, or None.

        What an earlier attempt said does not count.
        """
        if view.state is not CeleryState.STARTED:
            return None
        try:
            data = await self._redis.get(result_key(view.task_id))
        except RedisError as error:
            self._note_away(error)
            return None
        self._away = False
        meta = _decode(data) if isinstance(data, bytes) else None
        if meta is None or meta.attempt != view.attempts or meta.status is not CeleryState.STARTED:
            return None
        progress = meta.result.get(STEP_PROGRESS) if isinstance(meta.result, dict) else None
        return progress if isinstance(progress, dict) else None

    def _note_away(self, error: RedisError) -> None:
        if not self._away:
            logger.warning("live_progress.redis_away", error=str(error))
        self._away = True


def _decode(data: bytes) -> ResultMeta | None:
    try:
        return decode_meta(data)
    except msgspec.DecodeError:
        return None

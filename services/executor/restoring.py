"""Puts the results of ended runs back into a Redis that has lost them.

A key in Redis says that it holds all of them; a wipe destroys that key with the rest. It is looked for every second.
While it is missing, the log is walked from its head towards its beginning, a page a tick, so that new ends are copied
in between and the results that people still look for come back first.
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import cast
from uuid import uuid4

import redis
import structlog

from shared.domain.execution import WorkflowExecution
from shared.domain.execution_events import RetryScheduled, Submitted
from shared.domain.phases import CeleryState, Phase
from shared.log.event_log import EventLog
from shared.log.runs import Recorded
from shared.result_backend import LONGEST_TTL, decode_meta, result_key

WHOLE_KEY = "blotter:results"
"""Is `WHOLE` for as long as Redis holds every result that has not expired; something else while they are restored."""
WHOLE = b"whole"
LOOK_EVERY = timedelta(seconds=1)
PAGE = 200
"""Positions of the log in one tick. A run has five or more events, so a page holds some forty ends."""
ENDS = frozenset({CeleryState.SUCCESS, CeleryState.FAILURE, CeleryState.REVOKED})

logger = structlog.get_logger()


class Restoration:
    """Notices a loss, and makes up for it; `write` copies runs as they stand into the result backend.

    The walk ends where events are older than the longest time to live that a submission may ask for: nothing of what
    ended before can be there still.
    """

    def __init__(
        self,
        log: EventLog,
        client: redis.Redis,
        write: Callable[[Sequence[WorkflowExecution]], None],
        *,
        topics: Sequence[str],
        now: Callable[[], datetime],
    ) -> None:
        self._log = log
        self._redis = client
        self._write = write
        self._topics = topics
        self._now = now
        self._look_at = now()
        self._token = b""
        self._below: int | None = None
        self._written = 0

    def tick(self) -> timedelta:
        """Look, or restore a page; return the time until more is due. A Redis that does not answer is asked later."""
        now = self._now()
        try:
            if self._below is not None or now >= self._look_at:
                self._look_at = now + LOOK_EVERY
                self._go_on(self._redis.get(WHOLE_KEY))
        except redis.RedisError as error:
            logger.warning("results.blind", error=str(error))
            return LOOK_EVERY
        return timedelta() if self._below is not None else max(timedelta(), self._look_at - now)

    def _go_on(self, found: object) -> None:
        if self._below is None and found == WHOLE:
            return
        if self._below is None or found != self._token:  # lost, now or once more while they were being restored
            self._begin()
        self._restore_page()

    def _begin(self) -> None:
        self._token, self._written = uuid4().hex.encode(), 0
        self._redis.set(WHOLE_KEY, self._token)
        # After the key: what ends from here on is copied by the follower, to a Redis that has it.
        self._below = self._log.head()
        logger.info("results.restoring", head=self._below)

    def _restore_page(self) -> None:
        assert self._below is not None
        after = max(0, self._below - PAGE)
        page = self._log.read(after, limit=PAGE, topics=self._topics)
        ends = [recorded for recorded in page if recorded.position <= self._below]
        self._restore(ends)
        self._below = after
        if not after or (ends and ends[0].event.at < self._now() - LONGEST_TTL):
            # Only if the key is still there: otherwise some results went with it, and the next look finds it missing.
            self._redis.set(WHOLE_KEY, WHOLE, xx=True)
            self._below = None
            logger.info("results.restored", written=self._written)

    def _restore(self, ends: Sequence[Recorded]) -> None:
        newest = {recorded.event.originator_id: recorded for recorded in ends if self._lasts(recorded)}
        if not newest:
            return
        metas = cast(list[bytes | None], self._redis.mget([result_key(str(task_id)) for task_id in newest]))
        missing = [recorded for recorded, meta in zip(newest.values(), metas, strict=True) if not _has_ended(meta)]
        runs = [run for recorded in missing if (run := self._run(recorded)) is not None]
        self._write(runs)
        self._written += len(runs)

    def _lasts(self, recorded: Recorded) -> bool:
        """Tell whether the result has any time to live left, by the first event of its run alone."""
        (submitted,) = self._log.stream(recorded.event.originator_id, lte=1)
        assert isinstance(submitted, Submitted)
        return (self._now() - recorded.event.at).total_seconds() < submitted.result_ttl_seconds

    def _run(self, recorded: Recorded) -> WorkflowExecution | None:
        """Return the run as it ended, or as it waits for a retry; None if it has gone on since then."""
        position, event = recorded
        if isinstance(event, RetryScheduled):
            run = self._log.execution(event.originator_id)
            return run if run.phase in (Phase.RETRY_WAIT, Phase.RETRY_DUE) else None
        run = self._log.execution(event.originator_id, until=position)
        return run if run.phase.ended else None


def _has_ended(meta: bytes | None) -> bool:
    known = decode_meta(meta) if meta is not None else None
    return known is not None and known.status in ENDS

"""A dispatcher that kills itself with SIGKILL when it is about to take pointers out of Redis.

`python -m tests.integration.executor.doomed_dispatcher` follows the log of DATABASE_URL as the real one does, and has
committed that a level is paused when it dies.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Collection
from datetime import timedelta
from functools import partial

import redis
import sqlalchemy as sa

from services.executor.app import create_app
from services.executor.dispatching import Dispatcher
from services.executor.pointers import CelerySender
from services.executor.reconciler import RedisScout
from services.executor.settings import ExecutorSettings
from services.executor.store import LiveRunStore
from shared.log.clock import DatabaseClock, database_time
from shared.log.event_log import EventLog
from shared.log.follower import Follower


class DoomedSender(CelerySender):
    """Dies before it clears anything."""

    def clear(self, wanted: Collection[str]) -> int:
        """Die."""
        os.kill(os.getpid(), signal.SIGKILL)
        return len(wanted)


def main() -> None:
    """Follow the log until death."""
    settings = ExecutorSettings()
    client = redis.Redis.from_url(settings.redis_url)
    with EventLog(settings.database_url) as log:
        dispatcher = Dispatcher(
            log,
            LiveRunStore(sa.create_engine(settings.sqlalchemy_url), Dispatcher.name),
            DoomedSender(create_app(settings), client),
            RedisScout(client),
            settings.dispatch_policy,
            now=DatabaseClock(partial(database_time, settings.database_url)).adjusted,
        )
        Follower(log, settings.database_url, dispatcher, pace=timedelta()).run(threading.Event())


if __name__ == "__main__":
    main()

"""The reconciler by hand: `python -m services.executor.repair`, for `blotter doctor --repair`.

It compares the log with queues and heartbeats by the dispatcher's own rules, sends again what Redis has lost, removes
what must not run, and says what it did. It takes no lock and may run beside a dispatcher, or without one: a pointer
that comes twice is harmless, and what it removes nobody would be let run.
"""

import sys
import threading
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

import kombu.exceptions
import msgspec
import redis
import sqlalchemy as sa

from services.executor.app import create_app
from services.executor.dispatching import DISPATCHER, Dispatcher, Store, take_in
from services.executor.live_run import LiveRun, RunState
from services.executor.live_runs import LiveRuns
from services.executor.messages import Message, queued_runs, remove
from services.executor.pointers import CelerySender, Sender, message_id
from services.executor.queues import POINTERS
from services.executor.reconciler import RedisScout, Scout
from services.executor.reconciling import Lost, Sighting, Watch
from services.executor.settings import ExecutorSettings
from services.executor.store import LiveRunStore
from shared.heartbeats import INTERVAL, TTL
from shared.log.clock import DatabaseClock
from shared.log.event_log import EventLog
from shared.logging import configure_logging
from shared.objects import open_store

SPEAK = INTERVAL * 1.5
"""Within this time each living worker has said once more what it has in hand."""
PAGE = 500


class RepairError(Exception):
    """Nothing was changed; the text says what to do."""


class Silent(msgspec.Struct, frozen=True, kw_only=True):
    """A running attempt that no worker holds; the dispatcher lets it go on elsewhere, this only tells of it."""

    task_id: UUID
    attempt: int
    worker: str | None
    reason: str


class Repaired(msgspec.Struct, frozen=True, kw_only=True):
    """What was found at a position of the log, and what was done: runs and branches by what they do.

    `queued` messages waited in the queues, of which `removed` must not run; `resent` waiting runs had no pointer any
    more; `unsent` ones wait for their turn, which is the dispatcher's to give.
    """

    position: int
    waiting: int
    running: int
    retrying: int
    parked: int
    joining: int
    queued: int
    removed: int
    resent: int
    unsent: int
    silent: tuple[Silent, ...]


class Repair:
    """One repair, of five seconds. `pause` lets time pass between its looks."""

    def __init__(
        self,
        log: EventLog,
        store: Store,
        client: redis.Redis,
        scout: Scout,
        sender: Sender,
        *,
        now: Callable[[], datetime],
        pause: Callable[[timedelta], object],
    ) -> None:
        self._log = log
        self._store = store
        self._redis = client
        self._scout = scout
        self._sender = sender
        self._now = now
        self._pause = pause

    def run(self) -> Repaired:
        """Look, look again and repair. Raises RepairError when Redis is away, or wiped in between."""
        watch = Watch()
        sighting, (_, runs) = self._look(watch), self._live_runs()
        watch.lost_pointers(sighting, runs, self._now())
        for duration in (TTL, SPEAK):  # what no living worker speaks of counts only after a heartbeat's life, and twice
            watch.lost_runs(sighting, runs, self._now())
            self._pause(duration)
            messages = list(queued_runs(self._redis))  # before the log: what that says then is not older than they are
            sighting, (position, runs) = self._look(watch), self._live_runs()
        lost = watch.lost_pointers(sighting, runs, self._now())
        silent = watch.lost_runs(sighting, runs, self._now())
        removed = self._remove(messages, runs)
        for run in lost:
            self._sender.send([run])
        return Repaired(
            position=position,
            waiting=_count(runs, RunState.WAITING),
            running=sum(run.at_work for run in runs),
            retrying=_count(runs, RunState.RETRYING),
            parked=_count(runs, RunState.PARKED),
            joining=_count(runs, RunState.JOINING),
            queued=len(messages),
            removed=removed,
            resent=len(lost),
            unsent=sum(run.state is RunState.WAITING and run.sent_at is None for run in runs),
            silent=tuple(_silent(each) for each in silent),
        )

    def _look(self, watch: Watch) -> Sighting:
        sighting = self._scout.look()
        if sighting is None:
            raise RepairError("Redis does not answer: start it, or correct REDIS_URL.")
        if watch.is_new_generation(sighting):
            raise RepairError("Redis lost what it held just now: the dispatcher sends it again. Repair once more then.")
        return sighting

    def _live_runs(self) -> tuple[int, list[LiveRun]]:
        """Return the runs that are live by the log itself: the dispatcher's table, and what came after it."""
        position, stored = self._store.load()
        runs = LiveRuns(stored, window=1, aging=timedelta.max, paused=self._store.paused())
        while page := self._log.read(position, limit=PAGE, topics=Dispatcher.topics):
            for recorded in page:
                take_in(runs, recorded, self._log)
            position = page[-1].position
        return position, list(runs.all())

    def _remove(self, messages: Sequence[Message], runs: Sequence[LiveRun]) -> int:
        """Remove pointers to runs that have ended and to attempts that do not wait; return how many were there."""
        # A parked one may have had its place, and been sent, since the dispatcher wrote down what it knows.
        may_wait = (RunState.WAITING, RunState.PARKED)
        wanted = {message_id(run.id, run.attempt) for run in runs if run.state in may_wait}
        stale = [message for message in messages if message.task in POINTERS and message.id not in wanted]
        return remove(self._redis, stale)


def _count(runs: Sequence[LiveRun], state: RunState) -> int:
    return sum(run.state is state for run in runs)


def _silent(lost: Lost) -> Silent:
    run = lost.run
    return Silent(task_id=run.task_id, attempt=run.attempt, worker=run.worker, reason=lost.reason)


def main() -> None:
    """Repair, and print what was done as one line of JSON."""
    settings = ExecutorSettings()
    configure_logging(settings.log_format, settings.log_level)
    try:
        print(msgspec.json.encode(_repair(settings)).decode())
    except RepairError as error:
        sys.exit(str(error))
    except (redis.RedisError, kombu.exceptions.OperationalError) as error:
        sys.exit(f"Redis does not answer ({error}): start it, or correct REDIS_URL. Then repair once more.")
    except sa.exc.DBAPIError as error:
        reason = str(error.orig).partition("\n")[0]
        sys.exit(f"The database does not answer ({reason}): start it, or correct DATABASE_URL.")


def _repair(settings: ExecutorSettings) -> Repaired:
    client = redis.Redis.from_url(settings.redis_url, socket_timeout=2, socket_connect_timeout=1)
    client.ping()
    engine = sa.create_engine(settings.sqlalchemy_url, connect_args={"connect_timeout": 5})
    store = LiveRunStore(engine, DISPATCHER)
    store.load()  # before the log is opened, which waits for a database that is away
    pause = threading.Event()
    with EventLog(settings.database_url, open_store=partial(open_store, settings)) as log:
        repair = Repair(
            log,
            store,
            client,
            RedisScout(client),
            CelerySender(create_app(settings), client),
            now=DatabaseClock(log.now).adjusted,
            pause=lambda duration: pause.wait(duration.total_seconds()),
        )
        return repair.run()


if __name__ == "__main__":
    main()

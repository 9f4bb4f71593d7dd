"""Following the log: in order, in batches, across restarts of everything involved."""

import threading
import time
import zlib
from collections.abc import Sequence
from contextlib import closing
from datetime import timedelta
from typing import Protocol

import psycopg
import structlog

from shared.log.event_log import EventLog
from shared.log.recorder import BY_INDEX
from shared.log.runs import Recorded
from shared.log.tail import Tail

STANDBY_POLL = timedelta(milliseconds=500)
IDLE_POLL = timedelta(milliseconds=250)
"""How long a quiet follower sleeps at most: the time it needs to notice that it should stop."""
FIRST_BACKOFF = timedelta(milliseconds=100)
LONGEST_BACKOFF = timedelta(seconds=2)

logger = structlog.get_logger()


class Handler(Protocol):
    """What a follower feeds: it keeps its own position, in the transaction of what it does with the events."""

    @property
    def name(self) -> str:
        """The name under which it follows; one replica at a time is active under it."""

    @property
    def topics(self) -> Sequence[str]:
        """The topics it wants."""

    def start(self) -> int:
        """Load what it keeps in memory and return the position processed so far; called after each failure too."""

    def process(self, batch: Sequence[Recorded]) -> None:
        """Take in events in order and commit them with the last one's position."""

    def tick(self) -> timedelta | None:
        """Do what is due by the clock; return the time until more is due, None when nothing is."""


class Follower:
    """Runs one handler until `stop` is set. A second replica stands by on an advisory lock.

    Latency from commit to `process` is that of NOTIFY, about half a millisecond. When PostgreSQL or the handler
    fails, it starts again from the committed position, after a delay that doubles up to two seconds. It reads on the
    connection that holds the lock: that one ends with the server, whereas a pool waits for it for minutes, which would
    keep the follower from stopping and from being back as soon as the server is.

    `pace` is the least time between two batches: news after a pause is taken in at once, and a stream of news in
    batches, with fewer commits.
    """

    def __init__(self, log: EventLog, database_url: str, handler: Handler, *, pace: timedelta = timedelta()) -> None:
        self._log = log
        self._database_url = database_url
        self._handler = handler
        self._pace = pace
        self.active = threading.Event()

    def run(self, stop: threading.Event) -> None:
        """Follow until `stop` is set."""
        backoff = FIRST_BACKOFF
        while not stop.is_set():
            try:
                with closing(psycopg.connect(self._database_url, autocommit=True, options=BY_INDEX)) as connection:
                    if self._lead(connection, stop):
                        backoff = FIRST_BACKOFF
                        self._follow(connection, stop)
            except Exception:
                logger.exception("follower.failed", follower=self._handler.name, again_in=str(backoff))
                stop.wait(backoff.total_seconds())
                backoff = min(backoff * 2, LONGEST_BACKOFF)
            finally:
                self.active.clear()

    def _lead(self, connection: psycopg.Connection, stop: threading.Event) -> bool:
        """Wait for the lock of this handler's name; it goes with the connection."""
        while not stop.is_set():
            row = connection.execute("SELECT pg_try_advisory_lock(%s)", (lock_key(self._handler.name),)).fetchone()
            if row and row[0]:
                return True
            stop.wait(STANDBY_POLL.total_seconds())
        return False

    def _follow(self, connection: psycopg.Connection, stop: threading.Event) -> None:
        decode, archives = self._log.mapper.to_domain_event, self._log.archives
        tail = Tail(connection, decode, self._handler.topics, self._handler.start(), archives=archives)
        ready_at = 0.0
        self.active.set()
        logger.info("follower.active", follower=self._handler.name, position=tail.position)
        while not stop.is_set():
            if batch := tail.read():
                ready_at = time.monotonic() + self._pace.total_seconds()
                self._handler.process(batch)
            due_in = self._handler.tick()
            if tail.caught_up and tail.wait(IDLE_POLL if due_in is None else min(IDLE_POLL, due_in)):
                # What is due does not wait for the pace: the news may be of the handler's own making.
                pause = ready_at - time.monotonic()
                stop.wait(max(0.0, pause if due_in is None else min(pause, due_in.total_seconds())))


def lock_key(follower: str) -> int:
    """Return the advisory lock's number for a follower's name: a CRC-32, stable across versions and machines."""
    return zlib.crc32(f"blotter.follower.{follower}".encode())


IS_ACTIVE = (
    "SELECT count(*) > 0 FROM pg_locks WHERE locktype = 'advisory' AND granted AND objid = %s::bigint::oid "
    "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)
"""Tells whether some process holds the lock of a follower (`lock_key`) in this database."""

"""The database's time, which all processes share, told without asking for it each time.

What a run has used up of its time is the sum of differences between moments that workers and the dispatcher have noted,
maybe on several machines. None of them is measured by a machine's own clock.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import psycopg
import structlog
from eventsourcing.persistence import PersistenceError

ADJUST_EVERY = timedelta(seconds=30)
ASK_AGAIN_AFTER = timedelta(seconds=1)
"""How long a database that did not answer is left alone."""
LONGEST_ANSWER = timedelta(milliseconds=500)
"""An answer that took longer says too little about when it was true."""

NOW = "SELECT clock_timestamp()"

logger = structlog.get_logger()


def database_time(database_url: str) -> datetime:
    """Return the database's time, asked over a connection of its own. Raises psycopg.Error."""
    with psycopg.connect(database_url, connect_timeout=2) as connection:
        row = connection.execute(NOW).fetchone()
    assert row is not None
    moment: datetime = row[0]
    return moment.astimezone(UTC)


class DatabaseClock:
    """Tells the database's time; between two answers of the database it counts on by itself.

    It is behind by as long as an answer is on its way, and never ahead: nothing that it times is too early.

    `ask` returns the database's time, `seconds` only ever goes up, `local` is this machine's time, which counts until
    the database has answered for the first time.
    """

    def __init__(
        self,
        ask: Callable[[], datetime],
        *,
        seconds: Callable[[], float] = time.monotonic,
        local: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._ask = ask
        self._seconds = seconds
        self._local = local
        self._known: tuple[datetime, float] | None = None
        self._adjust_at = seconds()

    def __call__(self) -> datetime:
        """Return the present moment, without asking."""
        if self._known is None:
            return self._local()
        moment, at = self._known
        return moment + timedelta(seconds=self._seconds() - at)

    def adjusted(self) -> datetime:
        """Return the present moment, and ask for it first if that was long ago."""
        self.adjust()
        return self()

    def adjust(self) -> None:
        """Ask the database for the time if that was long ago; when it does not answer, count on."""
        asked_at = self._seconds()
        if asked_at < self._adjust_at:
            return
        try:
            moment = self._ask()
        except (psycopg.Error, PersistenceError) as error:
            logger.warning("clock.not_adjusted", error=str(error))
            self._adjust_at = self._seconds() + ASK_AGAIN_AFTER.total_seconds()
            return
        answered_at = self._seconds()
        if answered_at - asked_at > LONGEST_ANSWER.total_seconds() and self._known is not None:
            self._adjust_at = answered_at + ASK_AGAIN_AFTER.total_seconds()
            return
        self._known = (moment, answered_at)
        self._adjust_at = answered_at + ADJUST_EVERY.total_seconds()

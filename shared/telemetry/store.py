"""The store in PostgreSQL: two tables beside the log, written in one round trip a batch."""

import time
from collections.abc import Sequence
from datetime import timedelta

import psycopg

from shared.telemetry.outbox import StoreAway
from shared.telemetry.records import LineRow, SpanRow

IDLE = timedelta(seconds=30)
"""After so long without news the connection is closed: a quiet process holds none."""
OPTIONS = "-c synchronous_commit=off -c statement_timeout=5s -c lock_timeout=5s"

KEEP_SPANS = """
INSERT INTO telemetry.spans (trace_id, task_id, body)
SELECT * FROM unnest(%s::uuid[], %s::uuid[], %s::bytea[])
"""
KEEP_LINES = "SELECT telemetry.keep_lines(%s::uuid[], %s::smallint[], %s::bytea[])"
"""A function, because lines are numbered in the order of their commits: who has read up to one has missed none."""


class SqlStore:
    """Writes on a connection of its own, which it opens when the first rows come. For one thread.

    A commit is not waited for: should PostgreSQL crash, the last rows are lost, and nothing depends on them.
    """

    def __init__(self, database_url: str) -> None:
        self._database_url = database_url
        self._connection: psycopg.Connection | None = None
        self._used_at = 0.0

    def keep(self, spans: Sequence[SpanRow], lines: Sequence[LineRow]) -> None:
        """Keep rows. Raises StoreAway."""
        try:
            connection = self._opened()
            with connection.pipeline(), connection.transaction():
                if spans:
                    values = (
                        [row.trace_id for row in spans],
                        [row.task_id for row in spans],
                        [row.body for row in spans],
                    )
                    connection.execute(KEEP_SPANS, values)
                if lines:
                    keys = [row.task_id for row in lines], [row.highest for row in lines]
                    connection.execute(KEEP_LINES, (*keys, [row.body for row in lines]))
        except (psycopg.OperationalError, psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName) as error:
            self.close()
            raise StoreAway(str(error).partition("\n")[0]) from error
        except psycopg.Error:
            self.close()
            raise

    def rest(self) -> None:
        """Close a connection that was not used for a while."""
        if self._connection is not None and time.monotonic() - self._used_at > IDLE.total_seconds():
            self.close()

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _opened(self) -> psycopg.Connection:
        if self._connection is None:
            self._connection = psycopg.connect(
                self._database_url,
                autocommit=True,
                options=OPTIONS,
                connect_timeout=2,
                tcp_user_timeout=5_000,
                application_name="blotter.telemetry",
            )
        self._used_at = time.monotonic()
        return self._connection

"""Makes the tables anew from the log while the system runs: `python -m services.status.rebuild`.

New tables grow in a schema of their own, by the projector's own code, and take the place of the old ones in one
transaction, at the position where the live projector stands (docs/adr/0008). Until then the old ones answer, whatever
becomes of this process.
"""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial

import msgspec
import sqlalchemy as sa
import structlog
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.schema import CreateSchema, DropSchema

from services.status.database import create_engine
from services.status.projector import PROJECTOR, Projector
from services.status.settings import StatusSettings
from services.status.tables import metadata, positions
from shared.log.event_log import EventLog
from shared.log.follower import lock_key
from shared.log.positions import ASYNCHRONOUS_COMMIT
from shared.logging import configure_logging
from shared.objects import open_store

SCHEMA = "status_rebuild"
NAME = "status.rebuild"
PAGE = 500
NEAR = PAGE
"""How many positions the new tables may be behind when the live projector is held up for the rest."""
LOCK_TIMEOUT = timedelta(milliseconds=500)
"""Shorter than PostgreSQL's deadlock_timeout, so that the rebuild gives way and no reader is sacrificed."""
DEADLINE = timedelta(minutes=1)
"""How long the change-over is tried; a query that holds the tables for longer is a fault of its own."""

logger = structlog.get_logger()


class RebuildError(Exception):
    """The old tables are still there, and still right; the text says what to do."""


class Rebuilt(msgspec.Struct, frozen=True, kw_only=True):
    """What was done: rows by table, the position of the change-over, in how many seconds."""

    position: int
    rows: dict[str, int]
    seconds: float


def tables() -> list[sa.Table]:
    """Return the tables that are made of events, which is all but the positions."""
    return [table for table in metadata.sorted_tables if table is not positions]


class Rebuild:
    """One rebuild. `live` is an engine on the tables that are served; the log is read from its beginning."""

    def __init__(self, log: EventLog, live: sa.Engine) -> None:
        self._log = log
        self._live = live
        self._shadow = live.execution_options(schema_translate_map={metadata.schema: SCHEMA})
        self._projector = Projector(log, self._shadow)
        self._taken = 0

    def run(self) -> Rebuilt:
        """Rebuild and change over. Raises RebuildError when another rebuild runs, or the tables cannot be locked."""
        began = time.monotonic()
        with self._alone():
            self._prepare()
            self._take_in_most()
            self._analyze()
            self._change_over()
        return Rebuilt(position=self._taken, rows=self._count(), seconds=round(time.monotonic() - began, 3))

    @contextmanager
    def _alone(self) -> Iterator[None]:
        with self._live.connect() as connection:
            if not connection.scalar(sa.select(sa.func.pg_try_advisory_lock(lock_key(NAME)))):
                raise RebuildError("Another rebuild runs: wait for its end.")
            connection.commit()
            try:
                yield
            finally:
                connection.execute(sa.select(sa.func.pg_advisory_unlock(lock_key(NAME))))

    def _prepare(self) -> None:
        """Make empty tables; what a rebuild that was cut off has left goes away."""
        with self._shadow.begin() as connection:
            connection.execute(DropSchema(SCHEMA, cascade=True, if_exists=True))
            connection.execute(CreateSchema(SCHEMA))
            metadata.create_all(connection, checkfirst=False)
        with self._live.begin() as connection:
            none_yet = insert(positions).values(follower=PROJECTOR, position=0)
            connection.execute(none_yet.on_conflict_do_nothing())
        self._taken = self._projector.start()

    def _take_in_most(self) -> None:
        while True:
            with self._live.connect() as connection:
                live = connection.scalar(_POSITION) or 0
            if live - self._taken <= NEAR:
                return
            self._take_in(live)

    def _take_in(self, until: int) -> None:
        """Project what lies between here and `until`, which counts too, and nothing beyond it."""
        while self._taken < until:
            page = self._log.read(self._taken, limit=PAGE, topics=self._projector.topics)
            wanted = [recorded for recorded in page if recorded.position <= until]
            if wanted:
                self._projector.process(wanted)
            self._taken = wanted[-1].position if len(wanted) == PAGE else until

    def _change_over(self) -> None:
        give_up_at = time.monotonic() + DEADLINE.total_seconds()
        while True:
            try:
                return self._swap()
            except sa.exc.OperationalError as error:
                # 55P03: somebody reads the tables, or the projector is in the middle of a batch.
                if getattr(error.orig, "sqlstate", None) != "55P03":
                    raise
                if time.monotonic() > give_up_at:
                    raise RebuildError(
                        f"Queries have kept the tables locked for {DEADLINE.total_seconds():g} s: look for the longest "
                        "in pg_stat_activity, then rebuild again."
                    ) from error
                logger.info("rebuild.gives_way", again_in=str(LOCK_TIMEOUT))
                threading.Event().wait(LOCK_TIMEOUT.total_seconds())

    def _swap(self) -> None:
        """Hold the live projector, take in what it has and we have not, and put the new tables where the old ones are.

        The order of the locks is the projector's: its position first, then the tables.
        """
        with self._live.begin() as connection:
            connection.execute(sa.text(f"SET LOCAL lock_timeout = {int(LOCK_TIMEOUT.total_seconds() * 1000)}"))
            self._take_in(connection.scalar(_POSITION.with_for_update()) or 0)
            names = ", ".join(table.fullname for table in tables())
            connection.execute(sa.text(f"LOCK TABLE {names} IN ACCESS EXCLUSIVE MODE"))
            for table in tables():
                connection.execute(sa.text(f"DROP TABLE {table.fullname}"))
                connection.execute(sa.text(f"ALTER TABLE {SCHEMA}.{table.name} SET SCHEMA {metadata.schema}"))
            connection.execute(DropSchema(SCHEMA, cascade=True))

    def _analyze(self) -> None:
        """Let the planner know the new tables before queries meet them."""
        with self._live.begin() as connection:
            for table in tables():
                connection.execute(sa.text(f"ANALYZE {SCHEMA}.{table.name}"))

    def _count(self) -> dict[str, int]:
        with self._live.connect() as connection:
            return {
                table.name: connection.scalar(sa.select(sa.func.count()).select_from(table)) or 0 for table in tables()
            }


_POSITION = sa.select(positions.c.position).where(positions.c.follower == PROJECTOR)


def main() -> None:
    """Rebuild, and print what was done as one line of JSON."""
    settings = StatusSettings()
    configure_logging(settings.log_format, settings.log_level)
    engine = create_engine(settings.sqlalchemy_url, pool_size=3, options=ASYNCHRONOUS_COMMIT)
    try:
        with engine.connect():  # before the log is opened, which waits for a database that is away
            pass
        with EventLog(settings.database_url, open_store=partial(open_store, settings)) as log:
            print(msgspec.json.encode(Rebuild(log, engine).run()).decode())
    except RebuildError as error:
        sys.exit(str(error))
    except sa.exc.DBAPIError as error:
        reason = str(error.orig).partition("\n")[0]
        sys.exit(
            f"The database does not do it ({reason}): the old tables serve. Check DATABASE_URL, and rebuild again."
        )


if __name__ == "__main__":
    main()

"""The live runs in PostgreSQL, written in the transaction that moves the dispatcher's position."""

from collections.abc import Sequence
from uuid import UUID

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.dialects.postgresql import UUID as PGUUID

from services.executor.live_runs import LiveRun
from services.executor.tables import live_runs, positions
from shared.log.positions import advance, read_position


def _upsert() -> sa.Executable:
    row = insert(live_runs)
    fields = {column.name: row.excluded[column.name] for column in live_runs.columns if not column.primary_key}
    return row.on_conflict_do_update(index_elements=[live_runs.c.task_id], set_=fields)


UPSERT = _upsert()
DELETE = sa.delete(live_runs).where(
    live_runs.c.task_id == sa.any_(sa.bindparam("ended", type_=ARRAY(PGUUID(as_uuid=True))))
)


class LiveRunStore:
    """Reads and writes the live runs of one follower."""

    def __init__(self, engine: sa.Engine, follower: str) -> None:
        self._engine = engine
        self._follower = follower

    def load(self) -> tuple[int, list[LiveRun]]:
        """Return the position processed so far and the runs that were live then."""
        with self._engine.connect() as connection:
            position = read_position(connection, positions, self._follower)
            rows = connection.execute(sa.select(live_runs)).mappings().all()
        return position, [msgspec.convert({str(name): value for name, value in row.items()}, LiveRun) for row in rows]

    def commit(self, position: int | None, changed: Sequence[LiveRun], ended: Sequence[UUID]) -> None:
        """Write what changed and move to `position` unless it is None, all or nothing; raises AlreadyProcessed."""
        with self._engine.begin() as connection:
            if position is not None:
                advance(connection, positions, self._follower, position)
            if changed:
                connection.execute(UPSERT, [_row(run) for run in changed])
            if ended:
                connection.execute(DELETE, {"ended": list(ended)})


def _row(run: LiveRun) -> dict[str, object]:
    fields = {"symbols": list(run.symbols), "level": str(run.level), "state": str(run.state)}
    return msgspec.structs.asdict(run) | fields

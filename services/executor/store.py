"""The live runs in PostgreSQL, written in the transaction that moves the dispatcher's position."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from services.executor.live_runs import LiveRun, RunState
from services.executor.tables import live_runs, positions
from shared.domain.priority import Priority
from shared.log.positions import advance, read_position


class LiveRunStore:
    """Reads and writes the live runs of one follower."""

    def __init__(self, engine: sa.Engine, follower: str) -> None:
        self._engine = engine
        self._follower = follower

    def load(self) -> tuple[int, list[LiveRun]]:
        """Return the position processed so far and the runs that were live then."""
        with self._engine.connect() as connection:
            position = read_position(connection, positions, self._follower)
            rows = connection.execute(sa.select(live_runs)).all()
        return position, [_live_run(row) for row in rows]

    def commit(self, position: int, changed: Sequence[LiveRun], ended: Sequence[UUID]) -> None:
        """Write what changed and move to `position`, all or nothing; raises AlreadyProcessed."""
        with self._engine.begin() as connection:
            if changed:
                row = insert(live_runs)
                fields = {name: row.excluded[name] for name in _columns() if name != "task_id"}
                connection.execute(
                    row.on_conflict_do_update(index_elements=[live_runs.c.task_id], set_=fields),
                    [_row(run) for run in changed],
                )
            if ended:
                connection.execute(sa.delete(live_runs).where(live_runs.c.task_id.in_(ended)))
            advance(connection, positions, self._follower, position)

    def mark_sent(self, runs: Iterable[LiveRun], now: datetime) -> None:
        """Remember that pointers to `runs` are in Redis; lost in a crash, they are merely sent again.

        A run that has moved on in between keeps its row as it is.
        """
        with self._engine.begin() as connection:
            connection.execute(
                sa.update(live_runs)
                .where(live_runs.c.task_id == sa.bindparam("task"), live_runs.c.since == sa.bindparam("at"))
                .values(sent_at=now),
                [{"task": run.task_id, "at": run.since} for run in runs],
            )


def _columns() -> list[str]:
    return [column.name for column in live_runs.columns]


def _row(run: LiveRun) -> dict[str, object]:
    return {
        "task_id": run.task_id,
        "strategy_id": run.strategy_id,
        "symbols": list(run.symbols),
        "user_id": run.user_id,
        "level": str(run.level),
        "attempt": run.attempt,
        "state": str(run.state),
        "since": run.since,
        "timeout_seconds": run.timeout_seconds,
        "trace": run.trace,
        "due_at": run.due_at,
        "sent_at": None,
    }


def _live_run(row: sa.Row[tuple[object, ...]]) -> LiveRun:
    fields = row._mapping
    return LiveRun(
        task_id=fields["task_id"],
        strategy_id=fields["strategy_id"],
        symbols=tuple(fields["symbols"]),
        user_id=fields["user_id"],
        level=Priority(fields["level"]),
        attempt=fields["attempt"],
        state=RunState(fields["state"]),
        since=fields["since"],
        timeout_seconds=fields["timeout_seconds"],
        trace=fields["trace"],
        due_at=fields["due_at"],
        sent=fields["sent_at"] is not None,
    )

"""Snapshots of all schedules, and the position of the log up to which they hold everything."""

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from services.scheduler.tables import positions, schedule_snapshots
from shared.domain.schedule_state import ScheduleState
from shared.log.positions import AlreadyProcessed, advance, read_position
from shared.log.schedules import FORMAT, decode_snapshot, encode_snapshot

FOLLOWER = f"scheduler.snapshots.{FORMAT}"
"""A new format starts from the beginning of the log."""


class SnapshotStore:
    """Loads and keeps them; of two processes that keep the same schedule the newer version stays."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._position = 0
        upsert = insert(schedule_snapshots)
        self._upsert = upsert.on_conflict_do_update(
            index_elements=["schedule_id"],
            set_={name: upsert.excluded[name] for name in ("format", "version", "state")},
            where=sa.or_(
                upsert.excluded.version > schedule_snapshots.c.version,
                upsert.excluded.format != schedule_snapshots.c.format,
            ),
        )

    def load(self) -> tuple[int, list[ScheduleState]]:
        """Return the position, and the schedules as they were there or later."""
        with self._engine.connect() as connection:
            self._position = read_position(connection, positions, FOLLOWER)
            found = sa.select(schedule_snapshots.c.state).where(schedule_snapshots.c.format == FORMAT)
            states = [decode_snapshot(text) for text in connection.scalars(found)]
        return self._position, states

    @property
    def position(self) -> int:
        """Return the position that was last loaded or kept."""
        return self._position

    def keep(self, changed: Sequence[ScheduleState], *, position: int) -> None:
        """Write what changed since the last time, and that the log is in it up to `position`.

        When another process has kept its own meanwhile nothing is written; the next time is tried from there.
        """
        rows = [
            {"schedule_id": state.id, "format": FORMAT, "version": state.version, "state": encode_snapshot(state)}
            for state in changed
        ]
        try:
            with self._engine.begin() as connection:
                advance(connection, positions, FOLLOWER, after=self._position, position=position)
                if rows:
                    connection.execute(self._upsert, rows)
            self._position = position
        except AlreadyProcessed:
            with self._engine.connect() as connection:
                self._position = read_position(connection, positions, FOLLOWER)
            raise

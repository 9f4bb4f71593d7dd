"""What a follower keeps in memory, in PostgreSQL too: written in the transaction that moves its position."""

from collections.abc import Collection, Hashable, Sequence
from enum import StrEnum
from typing import Any, Generic, TypeVar
from uuid import UUID

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, insert

from services.executor.live_run import LiveRun
from services.executor.open_orders import OpenOrder
from services.executor.tables import live_runs, open_orders, paused_levels, positions
from shared.domain.priority import Priority
from shared.log.positions import advance, read_position

Row = TypeVar("Row", bound=msgspec.Struct)
Key = TypeVar("Key", bound=Hashable)


class RowStore(Generic[Row, Key]):
    """Reads and writes the rows of one follower: a struct whose fields are the columns of `table`."""

    def __init__(self, engine: sa.Engine, follower: str, table: sa.Table, row: type[Row]) -> None:
        self._engine = engine
        self._follower = follower
        self._row = row
        self._select = sa.select(table)
        (key,) = table.primary_key
        upsert = insert(table)
        fields = {column.name: upsert.excluded[column.name] for column in table.columns if not column.primary_key}
        self._upsert = upsert.on_conflict_do_update(index_elements=[key], set_=fields)
        self._delete = sa.delete(table).where(key == sa.any_(sa.bindparam("gone", type_=ARRAY(key.type))))

    def load(self) -> tuple[int, list[Row]]:
        """Return the position processed so far and the rows as they were then."""
        with self._engine.connect() as connection:
            position = read_position(connection, positions, self._follower)
            rows = connection.execute(self._select).mappings().all()
        return position, [msgspec.convert({str(name): value for name, value in row.items()}, self._row) for row in rows]

    def commit(self, changed: Sequence[Row], gone: Sequence[Key], *, after: int, position: int) -> None:
        """Write what changed and move from `after` to `position`, all or nothing.

        Raises AlreadyProcessed when another replica has moved the position, and then writes nothing.
        """
        with self._engine.begin() as connection:
            self._write(connection, changed, gone, after=after, position=position)

    def _write(
        self, connection: sa.Connection, changed: Sequence[Row], gone: Sequence[Key], *, after: int, position: int
    ) -> None:
        advance(connection, positions, self._follower, after=after, position=position)
        if changed:
            connection.execute(self._upsert, [_columns(row) for row in changed])
        if gone:
            connection.execute(self._delete, {"gone": list(gone)})


class LiveRunStore(RowStore[LiveRun, UUID]):
    """The dispatcher's live runs, and which levels are paused."""

    def __init__(self, engine: sa.Engine, follower: str) -> None:
        super().__init__(engine, follower, live_runs, LiveRun)

    def paused(self) -> frozenset[Priority]:
        """Return the levels that were paused at the last commit."""
        with self._engine.connect() as connection:
            return frozenset(Priority(level) for level in connection.scalars(sa.select(paused_levels.c.level)))

    def commit(
        self,
        changed: Sequence[LiveRun],
        gone: Sequence[UUID],
        *,
        after: int,
        position: int,
        paused: Collection[Priority] | None = None,
    ) -> None:
        """Write what changed, also which levels are paused if that is given. Raises AlreadyProcessed."""
        with self._engine.begin() as connection:
            self._write(connection, changed, gone, after=after, position=position)
            if paused is not None:
                connection.execute(sa.delete(paused_levels))
            if paused:
                connection.execute(sa.insert(paused_levels), [{"level": str(level)} for level in paused])


def open_order_store(engine: sa.Engine, follower: str) -> RowStore[OpenOrder, str]:
    """Return the resolver's open orders."""
    return RowStore(engine, follower, open_orders, OpenOrder)


def _columns(row: msgspec.Struct) -> dict[str, Any]:
    """Return a row as psycopg takes it: lists for arrays, plain text for the members of closed sets."""
    return {name: _column(value) for name, value in msgspec.structs.asdict(row).items()}


def _column(value: Any) -> Any:
    match value:
        case tuple():
            return list(value)
        case StrEnum():
            return str(value)
        case _:
            return value

"""The open orders in PostgreSQL, written in the transaction that moves the resolver's position."""

from collections.abc import Sequence

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, insert

from services.executor.open_orders import OpenOrder
from services.executor.tables import open_orders, positions
from shared.log.positions import advance, read_position


def _upsert() -> sa.Executable:
    row = insert(open_orders)
    fields = {column.name: row.excluded[column.name] for column in open_orders.columns if not column.primary_key}
    return row.on_conflict_do_update(index_elements=[open_orders.c.client_order_id], set_=fields)


UPSERT = _upsert()
DELETE = sa.delete(open_orders).where(
    open_orders.c.client_order_id == sa.any_(sa.bindparam("settled", type_=ARRAY(sa.Text)))
)


class OpenOrderStore:
    """Reads and writes the open orders of one follower."""

    def __init__(self, engine: sa.Engine, follower: str) -> None:
        self._engine = engine
        self._follower = follower

    def load(self) -> tuple[int, list[OpenOrder]]:
        """Return the position processed so far and the orders that were open then."""
        with self._engine.connect() as connection:
            position = read_position(connection, positions, self._follower)
            rows = connection.execute(sa.select(open_orders)).mappings().all()
        return position, [msgspec.convert({str(name): value for name, value in row.items()}, OpenOrder) for row in rows]

    def commit(self, position: int | None, changed: Sequence[OpenOrder], settled: Sequence[str]) -> None:
        """Write what changed and move to `position` unless it is None, all or nothing; raises AlreadyProcessed."""
        if position is None and not changed and not settled:
            return
        with self._engine.begin() as connection:
            if position is not None:
                advance(connection, positions, self._follower, position)
            if changed:
                connection.execute(UPSERT, [msgspec.structs.asdict(order) for order in changed])
            if settled:
                connection.execute(DELETE, {"settled": list(settled)})

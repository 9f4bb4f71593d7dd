"""Keeps the store of spans and log lines within its bounds: what is too old goes, and then what is too much."""

import asyncio
from datetime import timedelta

import sqlalchemy as sa
import structlog

from services.status.resources import Resources, Tables
from shared.domain.errors import Unavailable
from shared.log.follower import lock_key
from shared.telemetry.tables import metadata

PRUNE_EVERY = timedelta(minutes=1)
AT_ONCE = 1_000
"""Rows that one statement deletes, so that none holds anybody up."""
BATCHES = 1_000
NAME = "status.pruning"


logger = structlog.get_logger()

_DELETE_OLD = """
DELETE FROM {table} WHERE id IN (SELECT id FROM {table} ORDER BY id LIMIT :limit)
AND kept_at < now() - make_interval(secs => :seconds)
"""
_FIRST_TO_GO = """
SELECT max(id) FROM (SELECT id, sum(octet_length(body) + 64) OVER (ORDER BY id DESC) AS bytes FROM {table}) AS sizes
WHERE bytes > :bytes
"""
"""The newest row with which, and with all that are newer, the bound is passed; 64 bytes are a row's own."""
_DELETE_UP_TO = """
DELETE FROM {table} WHERE id IN (SELECT id FROM {table} WHERE id <= :last ORDER BY id LIMIT :limit)
"""


def prune(connection: sa.Connection, *, retention: timedelta, max_bytes: int) -> int:
    """Delete what passes the bounds, of each table by itself; return how many rows. Another one at it is left to it."""
    if not connection.scalar(sa.select(sa.func.pg_try_advisory_lock(lock_key(NAME)))):
        return 0
    connection.commit()
    try:
        return sum(_prune(connection, table.fullname, retention, max_bytes) for table in metadata.sorted_tables)
    finally:
        connection.rollback()
        connection.execute(sa.select(sa.func.pg_advisory_unlock(lock_key(NAME))))
        connection.commit()


async def keep_pruned(resources: Resources, *, max_bytes: int) -> None:
    """Prune now and then, for ever; a database that is away is tried again at the next time."""
    while True:
        await _prune_once(resources.tables, resources.telemetry_retention, max_bytes)
        await asyncio.sleep(PRUNE_EVERY.total_seconds())


async def _prune_once(tables: Tables, retention: timedelta, max_bytes: int) -> None:
    try:
        if deleted := await tables.ask(prune, retention=retention, max_bytes=max_bytes):
            logger.info("telemetry.pruned", rows=deleted)
    except (Unavailable, sa.exc.DBAPIError) as error:
        logger.warning("telemetry.not_pruned", error=str(error.__cause__ or error).partition("\n")[0])


def _prune(connection: sa.Connection, table: str, retention: timedelta, max_bytes: int) -> int:
    deleted = _delete(connection, _DELETE_OLD.format(table=table), seconds=retention.total_seconds())
    # Sizes are added up only where the whole, dead rows and indexes included, is above the bound.
    if (connection.scalar(sa.text("SELECT pg_total_relation_size(:table)"), {"table": table}) or 0) > max_bytes:
        last = connection.scalar(sa.text(_FIRST_TO_GO.format(table=table)), {"bytes": max_bytes})
        if last is not None:
            deleted += _delete(connection, _DELETE_UP_TO.format(table=table), last=last)
    connection.commit()
    return deleted


def _delete(connection: sa.Connection, statement: str, **values: float) -> int:
    total = 0
    for _ in range(BATCHES):
        deleted = connection.execute(sa.text(statement), {"limit": AT_ONCE, **values}).rowcount
        connection.commit()
        total += deleted
        if deleted < AT_ONCE:
            break
    return total

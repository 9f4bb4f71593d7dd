"""Bring a database to the newest schema."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import URL, Connection, create_engine, make_url, text
from sqlalchemy.pool import NullPool

# An arbitrary number, the same in every version of this program: two that migrate at once take turns.
_ADVISORY_LOCK = 7_263_004_101


def migrate(database_url: str) -> list[str]:
    """Apply what is missing, in order, and answer the ids of the revisions applied (none if up to date).

    It may run in several processes at once: the second waits and finds nothing to do. Each revision is one
    transaction.
    """
    applied: list[str] = []
    engine = create_engine(_for_psycopg(database_url), poolclass=NullPool)
    with engine.connect() as guard, engine.connect() as connection:
        guard.execute(text("SELECT pg_advisory_lock(:key)"), {"key": _ADVISORY_LOCK})
        command.upgrade(_configuration(connection, applied), "head")
    return applied


def _for_psycopg(database_url: str) -> URL:
    return make_url(database_url).set(drivername="postgresql+psycopg")


def _configuration(connection: Connection, applied: list[str]) -> Config:
    config = Config(attributes={"connection": connection, "applied": applied})
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    return config

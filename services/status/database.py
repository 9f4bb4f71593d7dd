"""The engine of this service's tables."""

import msgspec
import sqlalchemy as sa

from services.status.rows import encode

CONNECT_TIMEOUT_SECONDS = 5
STATEMENT_TIMEOUT_SECONDS = 10


def create_engine(sqlalchemy_url: str, *, pool_size: int = 1, options: str = "") -> sa.Engine:
    """Return an engine whose JSON columns take views and their parts, and give plain values back."""
    return sa.create_engine(
        sqlalchemy_url,
        pool_size=pool_size,
        max_overflow=pool_size,
        pool_timeout=CONNECT_TIMEOUT_SECONDS,
        pool_pre_ping=True,
        json_serializer=encode,
        json_deserializer=msgspec.json.decode,
        connect_args={
            "connect_timeout": CONNECT_TIMEOUT_SECONDS,
            "options": f"-c timezone=UTC -c statement_timeout={STATEMENT_TIMEOUT_SECONDS}s {options}",
        },
    )

"""What Alembic runs for every command; `migrate` hands it an open connection.

Migrations are written by hand and run online only.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from alembic import context
from alembic.runtime.migration import MigrationContext, MigrationInfo
from sqlalchemy import Connection

_connection: Connection = context.config.attributes["connection"]
_applied: list[str] = context.config.attributes["applied"]


def _remember(ctx: MigrationContext, step: MigrationInfo, heads: Collection[Any], run_args: Mapping[str, Any]) -> None:
    _applied.extend(step.up_revision_ids)


context.configure(connection=_connection, on_version_apply=_remember, transaction_per_migration=True)
with context.begin_transaction():
    context.run_migrations()

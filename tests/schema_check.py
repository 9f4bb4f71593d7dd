"""Whether the migrated schema is the one that a service's code knows."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext


def schema_differences(connection: sa.Connection, metadata: sa.MetaData) -> list[Any]:
    """What Alembic would change to make the database's tables those of `metadata`.

    In the schema of the log, which no metadata describes, only the tables that `metadata` puts there count.
    """
    schemas = {table.schema for table in metadata.tables.values()}

    def is_ours(name: str | None, kind: str, parents: Any) -> bool:
        if kind == "schema":
            return name in schemas
        if kind == "table" and parents["schema_name"] != metadata.schema:
            return parents["schema_qualified_table_name"] in metadata.tables
        return True

    options = {"include_schemas": True, "include_name": is_ours, "compare_server_default": True}
    return list(compare_metadata(MigrationContext.configure(connection, opts=options), metadata))

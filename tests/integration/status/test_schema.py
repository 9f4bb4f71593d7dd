"""The migrated schema and the tables that the code knows."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from services.status.tables import metadata


def _is_ours(name: str | None, kind: str, _: Any) -> bool:
    return kind != "schema" or name == metadata.schema


def test_the_migrations_make_the_tables_that_the_code_knows(engine: sa.Engine) -> None:
    """Alembic finds nothing to change between the migrated database and the metadata."""
    with engine.connect() as connection:
        options = {"include_schemas": True, "include_name": _is_ours, "compare_server_default": True}
        assert compare_metadata(MigrationContext.configure(connection, opts=options), metadata) == []


def test_a_difference_would_be_found(engine: sa.Engine) -> None:
    """With a column and an index dropped, the comparison is not empty."""
    with engine.begin() as connection:
        connection.execute(sa.text("ALTER TABLE status.workflow_executions DROP COLUMN worker"))
        connection.execute(sa.text("DROP INDEX status.workflow_executions_queue"))
        options = {"include_schemas": True, "include_name": _is_ours}
        found = compare_metadata(MigrationContext.configure(connection, opts=options), metadata)
    assert {change[0] for change in found} == {"add_column", "add_index"}

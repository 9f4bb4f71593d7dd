"""The migrated schema and the tables that the code knows."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from services.status.notifier.tables import metadata as notifier
from services.status.tables import metadata
from tests.schema_check import schema_differences


@pytest.mark.parametrize("known", [metadata, notifier], ids=["status", "notifier"])
def test_the_migrations_make_the_tables_that_the_code_knows(engine: sa.Engine, known: sa.MetaData) -> None:
    """Alembic finds nothing to change between the migrated database and the metadata."""
    with engine.connect() as connection:
        assert schema_differences(connection, known) == []


def test_a_difference_would_be_found(engine: sa.Engine) -> None:
    """With a column and an index dropped, the comparison is not empty."""
    with engine.begin() as connection:
        connection.execute(sa.text("ALTER TABLE status.workflow_executions DROP COLUMN worker"))
        connection.execute(sa.text("DROP INDEX status.workflow_executions_queue"))
        found = schema_differences(connection, metadata)
    assert {change[0] for change in found} == {"add_column", "add_index"}

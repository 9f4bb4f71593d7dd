"""The migrated schema and the tables that the scheduler knows."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from services.scheduler.tables import metadata
from shared.settings import Settings
from tests.schema_check import schema_differences


@pytest.fixture
def engine(migrated_database_url: str) -> Iterator[sa.Engine]:
    """An engine on this test's database."""
    engine = sa.create_engine(Settings(database_url=migrated_database_url).sqlalchemy_url)
    yield engine
    engine.dispose()


def test_the_migrations_make_the_tables_that_the_code_knows(engine: sa.Engine) -> None:
    """Alembic finds nothing to change, in the scheduler's own schema and in what it keeps beside the log."""
    with engine.connect() as connection:
        assert schema_differences(connection, metadata) == []


def test_a_difference_would_be_found(engine: sa.Engine) -> None:
    """With a column dropped beside the log, and a table too many in the own schema, the comparison is not empty."""
    with engine.begin() as connection:
        connection.execute(sa.text("ALTER TABLE log.schedule_snapshots DROP COLUMN format"))
        connection.execute(sa.text("CREATE TABLE scheduler.other (id int)"))
        found = schema_differences(connection, metadata)
    assert {change[0] for change in found} == {"add_column", "remove_table"}

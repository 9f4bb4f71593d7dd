"""Migrations against a real PostgreSQL."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
from alembic.config import Config
from alembic.script import ScriptDirectory

from infra.migrations.migrate import migrate


def _revisions() -> list[str]:
    config = Config()
    config.set_main_option("script_location", str(Path("infra/migrations").resolve()))
    newest_first = ScriptDirectory.from_config(config).walk_revisions()
    return [script.revision for script in newest_first][::-1]


def test_an_empty_database_gets_every_revision_in_order_and_only_once(database_url: str) -> None:
    """The first call applies all of the history, the second finds nothing to do."""
    assert migrate(database_url) == _revisions()
    assert migrate(database_url) == []


def test_two_that_migrate_at_once_take_turns(database_url: str) -> None:
    """Together they apply each revision once, and neither fails."""
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(migrate, [database_url, database_url])
    assert sorted([first, second], key=len) == [[], _revisions()]


def test_the_history_is_one_line() -> None:
    """One base, one head: two branches would leave the order of changes to chance."""
    config = Config()
    config.set_main_option("script_location", str(Path("infra/migrations").resolve()))
    scripts = ScriptDirectory.from_config(config)
    assert len(scripts.get_heads()) == 1
    assert len(scripts.get_bases()) == 1


def test_a_migrated_database_holds_the_event_log(migrated_database_url: str) -> None:
    """The fixture's template really is migrated."""
    with psycopg.connect(migrated_database_url) as connection:
        row = connection.execute("SELECT count(*) FROM log.blotter_events").fetchone()
    assert row == (0,)

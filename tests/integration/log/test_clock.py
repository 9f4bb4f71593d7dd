"""The database's time, as the log and a connection of its own tell it."""

from datetime import UTC, timedelta

import psycopg

from shared.log.clock import database_time
from shared.log.event_log import EventLog


def test_both_ways_tell_the_databases_time_in_utc(migrated_database_url: str) -> None:
    """Whatever time zone the database is set to; and they say the moment, not when a transaction began."""
    with psycopg.connect(migrated_database_url, autocommit=True) as connection:
        connection.execute(
            "DO $$BEGIN EXECUTE format('ALTER DATABASE %I SET timezone TO %L', current_database(), 'Asia/Tokyo'); END$$"
        )
        before = connection.execute("SELECT clock_timestamp()").fetchone()
        with EventLog(migrated_database_url) as log:
            told = [database_time(migrated_database_url), log.now(), log.now()]
        after = connection.execute("SELECT clock_timestamp()").fetchone()

    assert before is not None
    assert after is not None
    assert [before[0], *told, after[0]] == sorted([before[0], *told, after[0]])
    assert told[1] < told[2]
    assert {moment.tzinfo for moment in told} == {UTC}
    assert after[0] - before[0] < timedelta(seconds=10)

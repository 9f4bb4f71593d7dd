"""The servers that the other tests stand on."""

from __future__ import annotations

import psycopg
import pytest
import redis

from tests import servers


def test_a_test_gets_a_database_of_its_own(database_url: str, migrated_database_url: str) -> None:
    """Two fixtures of one test name two databases, and a table of one is not in the other."""
    with psycopg.connect(database_url) as first, psycopg.connect(migrated_database_url) as second:
        first.execute("CREATE TABLE only_here (id int)")
        first.commit()
        assert second.execute("SELECT to_regclass('only_here')").fetchone() == (None,)


@pytest.mark.parametrize("again", [1, 2])
def test_a_test_finds_redis_empty(redis_url: str, again: int) -> None:
    """What one test writes, the next does not find."""
    with redis.Redis.from_url(redis_url) as client:
        assert client.dbsize() == 0
        client.set("left", again)


def test_an_empty_redis_stays_empty_for_all_its_numbers(redis_server: servers.Redis) -> None:
    """A number that comes round again is flushed first."""
    for _ in range(servers.REDIS_DATABASES + 1):
        with redis.Redis.from_url(redis_server.next_url()) as client:
            assert client.dbsize() == 0
            client.set("left", 1)

"""The tasks of the maintenance queue, on a real Redis."""

import pytest
import redis

from services.executor import maintenance, process
from shared.result_backend import result_key


@pytest.fixture
def client(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> redis.Redis:
    """A Redis that this process's settings name."""
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody@localhost/none")
    monkeypatch.setenv("REDIS_URL", redis_url)
    process.settings.cache_clear()
    return redis.Redis.from_url(redis_url)


def test_a_result_without_a_time_to_live_gets_one(client: redis.Redis) -> None:
    """A result that would stay for ever goes after a day; another keeps the time that it has."""
    client.set(result_key("forever"), "{}")
    client.set(result_key("short"), "{}", ex=60)
    client.set("somebody-elses", "{}")
    maintenance.clean_results()

    assert 86_390 < int(client.ttl(result_key("forever"))) <= 86_400
    assert 0 < int(client.ttl(result_key("short"))) <= 60
    assert client.ttl("somebody-elses") == -1

"""Beat as a process, on a real Redis."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from shared.heartbeats import SCHEDULER_KEY
from shared.routing import MAINTENANCE, PROBE_PROJECTION_LAG
from tests.waiting import until

CHECKOUT = Path(__file__).resolve().parents[3]
STOP_SECONDS = 10


@pytest.fixture
def beat(redis_url: str) -> Iterator[subprocess.Popen[bytes]]:
    """The scheduler's process, probing twice a second."""
    environment = {"DATABASE_URL": "postgresql://nobody@localhost/none", "REDIS_URL": redis_url}
    process = subprocess.Popen(
        [sys.executable, "-m", "services.scheduler"],
        cwd=CHECKOUT,
        env={**os.environ, **environment, "BLOTTER_PROBE_EVERY": "PT0.5S"},
    )
    yield process
    process.kill()
    process.wait()


def test_beat_sends_its_probe_and_says_that_it_is_alive(beat: subprocess.Popen[bytes], redis_url: str) -> None:
    """The message is in the queue of maintenance, and the sign of life goes away with the process."""
    client = redis.Redis.from_url(redis_url)
    raw = until(lambda: client.lindex(MAINTENANCE, 0), hint="no probe was sent")

    assert isinstance(raw, bytes)
    assert json.loads(raw)["headers"]["task"] == PROBE_PROJECTION_LAG
    assert 0 < int(client.pttl(SCHEDULER_KEY)) <= 5000
    beat.send_signal(signal.SIGTERM)
    beat.wait(STOP_SECONDS)
    until(lambda: not client.exists(SCHEDULER_KEY), hint="the sign of life stays")

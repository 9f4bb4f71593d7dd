"""The gateway as a process: how it refuses to start, and how it stops."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from infra.local.ports import free_port
from tests.integration.gateway.stage import task

START_SECONDS = 20
CONNECT_RETRIES = 6
"""With httpx's pauses of 0, 0.5, 1, 2 s and so on."""


def _start(environment: dict[str, str]) -> subprocess.Popen[str]:
    """Start a gateway with this environment and nothing of the test run's own settings."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("BLOTTER_")}
    return subprocess.Popen(
        [sys.executable, "-m", "services.gateway"], env=clean | environment, stderr=subprocess.PIPE, text=True
    )


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"BLOTTER_HOST": "0.0.0.0"}, "will not listen on 0.0.0.0 without keys"),
        ({"BLOTTER_HOST": "::"}, "BLOTTER_API_KEYS"),
        ({"BLOTTER_HOST": "gateway.example"}, "BLOTTER_HOST to 127.0.0.1"),
        ({"BLOTTER_API_KEYS": "ada:trader:short-secret"}, "Entry 1 of BLOTTER_API_KEYS has a weak key"),
        ({"BLOTTER_PORT": "high"}, "BLOTTER_PORT"),
    ],
)
def test_it_refuses_to_start_on_settings_that_are_wrong(environment: dict[str, str], words: str) -> None:
    """Exit code 2 and a sentence, without a traceback and without any key."""
    process = _start({"DATABASE_URL": "postgresql://127.0.0.1:1/x"} | environment)
    _, errors = process.communicate(timeout=START_SECONDS)
    assert process.returncode == 2
    assert words in errors
    assert "Traceback" not in errors
    assert "short-secret" not in errors


@pytest.fixture
def process(catalogue_url: str, tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A gateway that answers, and where."""
    port = free_port()
    started = _start({"DATABASE_URL": catalogue_url, "BLOTTER_PORT": str(port), "BLOTTER_HOME": str(tmp_path)})
    url = f"http://127.0.0.1:{port}"
    with httpx.Client(transport=httpx.HTTPTransport(retries=CONNECT_RETRIES), base_url=url) as client:
        client.get("/health/live")
    yield started, url
    started.kill()
    started.communicate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_stops_in_order_when_it_is_told_to(
    process: tuple[subprocess.Popen[str], str], number: signal.Signals
) -> None:
    """SIGTERM and SIGINT end it with exit code 0 and no traceback."""
    gateway, url = process
    assert httpx.post(f"{url}/api/tasks", json=task()).status_code == 202
    gateway.send_signal(number)
    _, errors = gateway.communicate(timeout=START_SECONDS)
    assert (gateway.returncode, "Traceback" in errors) == (0, False)


@pytest.mark.parametrize("chunked", [False, True])
def test_a_large_body_over_a_real_connection_is_answered(
    process: tuple[subprocess.Popen[str], str], chunked: bool
) -> None:
    """A client that still sends when it is refused reads 413, not a broken connection; the next request works."""
    _, url = process
    body = b" " * (8 << 20)
    with httpx.Client(base_url=url) as client:
        content = (body[start : start + 65_536] for start in range(0, len(body), 65_536)) if chunked else body
        response = client.post("/api/tasks", content=content, headers={"Content-Type": "application/json"})
        assert response.status_code == 413
        assert client.get("/health/live").status_code == 200

"""The gateway as a process: how it refuses to start, and how it stops."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from psycopg.conninfo import conninfo_to_dict

from infra.local.ports import free_port
from shared.log.event_log import EventLog
from tests.integration.gateway.stage import task
from tests.proxy import Loss, Proxy
from tests.waiting import until

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


@contextmanager
def gateway(database_url: str, home: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run a gateway, and tell where it answers."""
    port = free_port()
    started = _start({"DATABASE_URL": database_url, "BLOTTER_PORT": str(port), "BLOTTER_HOME": str(home)})
    url = f"http://127.0.0.1:{port}"
    with httpx.Client(transport=httpx.HTTPTransport(retries=CONNECT_RETRIES), base_url=url) as client:
        client.get("/health/live")
    yield started, url
    started.kill()
    started.communicate()


@pytest.fixture
def process(catalogue_url: str, tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A gateway that answers, and where."""
    with gateway(catalogue_url, tmp_path) as running:
        yield running


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_stops_in_order_when_it_is_told_to(
    process: tuple[subprocess.Popen[str], str], number: signal.Signals
) -> None:
    """SIGTERM and SIGINT end it with exit code 0 and no traceback."""
    running, url = process
    assert httpx.post(f"{url}/api/tasks", json=task()).status_code == 202
    running.send_signal(number)
    _, errors = running.communicate(timeout=START_SECONDS)
    assert (running.returncode, "Traceback" in errors) == (0, False)


@pytest.fixture
def proxy(catalogue_url: str) -> Iterator[Proxy]:
    """A proxy in front of PostgreSQL."""
    parts = conninfo_to_dict(catalogue_url)
    with Proxy(str(parts["host"]), int(str(parts["port"]))) as proxy:
        yield proxy


def submitted(database_url: str) -> list[str]:
    """The tasks in the log."""
    with EventLog(database_url) as log:
        return [str(each.event.originator_id) for each in log.read(0, topics=["execution.submitted"])]


@pytest.mark.parametrize("key", [None, "the-same"])
def test_a_task_outlives_the_gateway_that_had_not_answered_yet(
    catalogue_url: str, proxy: Proxy, tmp_path: Path, key: str | None
) -> None:
    """kill -9 between append and answer: the task is in the log, and with its key the next gateway answers it."""
    headers = {"Idempotency-Key": key} if key else {}
    proxy.lose(b"execution.submitted", Loss.SILENCE)
    with (
        gateway(proxy.url_of(catalogue_url), tmp_path) as (first, url),
        ThreadPoolExecutor() as clients,
    ):
        answer = clients.submit(httpx.post, f"{url}/api/tasks", json=task(), headers=headers, timeout=30)
        assert proxy.lost.wait(START_SECONDS), "nothing was appended"
        (task_id,) = until(lambda: submitted(catalogue_url), seconds=5, hint="it is not committed") or []
        first.kill()
        with pytest.raises(httpx.TransportError):
            answer.result()
    with gateway(catalogue_url, tmp_path) as (_, url):
        assert httpx.get(f"{url}/api/tasks/{task_id}").json()["state"] == "PENDING"
        if key:
            again = httpx.post(f"{url}/api/tasks", json=task(), headers=headers)
            assert (again.status_code, again.json()["task_id"]) == (200, task_id)

    assert submitted(catalogue_url) == [task_id]


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

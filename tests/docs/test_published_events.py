"""The examples of docs/published-events.md, run as a reader would run them, beside a relay."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from services.status.settings import StatusSettings
from shared.domain.events import Stamp
from shared.domain.execution import WorkflowExecution
from shared.log.event_log import EventLog
from shared.published.streams import TASKS
from tests.builders import complete_all, running
from tests.docs.pages import blocks
from tests.e2e.stack import CHECKOUT
from tests.integration.status.test_processes import process
from tests.published import published
from tests.waiting import until

SUBSCRIBER, PLAIN = blocks("docs/published-events.md", "python")
PATIENCE = 30.0


@pytest.fixture
def settings(migrated_database_url: str, redis_url: str, tmp_path: Path) -> StatusSettings:
    """Settings that name this test's database and Redis."""
    return StatusSettings(database_url=migrated_database_url, redis_url=redis_url, home=tmp_path)


@pytest.fixture
def run(settings: StatusSettings) -> Iterator[WorkflowExecution]:
    """A run that has just ended, and was published."""
    now = Stamp(at=datetime.now(UTC), actor="user:ada")
    ended = running(at=now)
    complete_all(ended, now)
    with EventLog(settings.database_url) as log:
        log.save_execution(ended)
    with process("services.status.relay", settings):
        until(lambda: published(settings.redis_url)[TASKS], seconds=PATIENCE)
        yield ended


def start(program: str, settings: StatusSettings, output: Path) -> subprocess.Popen[bytes]:
    """Run a program of the page, as a file."""
    file = output.with_suffix(".py")
    file.write_text(program)
    environment = os.environ | {"REDIS_URL": settings.redis_url, "PYTHONPATH": str(CHECKOUT)}
    with output.open("wb") as to:
        return subprocess.Popen([sys.executable, str(file)], stdout=to, env=environment)


def test_the_subscriber_tells_of_a_task_that_has_succeeded(
    settings: StatusSettings, run: WorkflowExecution, tmp_path: Path
) -> None:
    """It is short, is started after the fact, and is told all the same; SIGTERM ends it in order."""
    assert len([line for line in SUBSCRIBER.splitlines() if line]) <= 15
    output = tmp_path / "subscriber"
    program = start(SUBSCRIBER, settings, output)
    try:
        until(lambda: f"done: {run.id} at position" in output.read_text(), seconds=PATIENCE)
        program.terminate()
        assert program.wait(PATIENCE) == 0
    finally:
        program.kill()
        program.wait()


def test_the_plain_reader_prints_every_event(settings: StatusSettings, run: WorkflowExecution, tmp_path: Path) -> None:
    """By the offset alone, without FastStream and without our code."""
    output = tmp_path / "plain"
    assert "shared" not in PLAIN
    assert start(PLAIN, settings, output).wait(PATIENCE) == 0
    events = published(settings.redis_url)[TASKS]
    assert output.read_text().splitlines() == [f"{event['position']} {event['type']}" for event in events]

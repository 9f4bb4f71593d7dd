"""The OpenAPI document against the gateway itself, by a tool that believes every word of it."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import httpx
import pytest
import uvicorn

from services.gateway.app import create_app
from services.status.cursors import TimeCursor, encode_time_cursor
from shared.domain.execution_events import Artifact
from shared.domain.outputs import ObjectRef, Output
from shared.domain.phases import Phase
from shared.log.async_event_log import AsyncEventLog
from shared.objects import open_store
from tests.builders import NOW, WORKER, in_phase, running, stamp
from tests.fake_status import FakeStatus
from tests.heartbeats import heartbeat
from tests.integration.gateway.stage import KEYS, PARAMETERS, ROOT, publish, settings, strategy
from tests.schedule_builders import schedule
from tests.webhook_builders import published, recipient, webhook

EXAMPLES = "25"
# A DELETE cancels: the task stays readable, which is what the first of these takes for a leak. The second takes it for
# a loss that a task was not there at a position before its own; that it is there now, test_reading.py shows.
NOT_OURS = "use_after_free,ensure_resource_availability"
# An answer without end, which the tool would wait for; test_live.py and test_live_access.py have its tests.
ENDLESS = "GET /api/live"
# A cursor is one that the list has given out, and a position one that the log has reached: no schema can say that, so
# the tool is given one. Nor can it say which times lie in the future, or that one comes after another: what is right by
# the schema of a schedule may be refused.
CONFIG = """
[[operations]]
include-name = "GET /api/tasks"
parameters = { "query.cursor" = "1" }

[[operations]]
include-name = "GET /api/orders"
parameters = { "query.cursor" = "1" }

[[operations]]
include-name = "GET /api/schedules"
parameters = { "query.cursor" = "1" }

[[operations]]
include-name = "GET /api/webhooks"
parameters = { "query.cursor" = "1" }

[[operations]]
include-name = "GET /api/events"
parameters = { "query.after" = "1" }

[[operations]]
include-name = "GET /api/tasks/{task_id}"
parameters = { "query.as_of" = "5" }

[[operations]]
include-name = "GET /api/tasks/{task_id}/artifacts/{name}"
parameters = { "path.task_id" = "KEPT_BY", "path.name" = "signals.csv" }
"""
KEPT_SCHEDULE, DELETED_SCHEDULE = (UUID(f"0c7a5a52-7f0c-4b3e-9d7e-1f5e0a3f9b6{digit}") for digit in "45")
"""One that stays, and one for the tool to delete: it would take the first one that a list names."""


def _facts_config() -> str:
    some = 'checks.positive_data_acceptance.expected-statuses = ["2xx", 404, 409, 422]'
    kept, deleted = (f'parameters = {{ "path.schedule_id" = "{each}" }}' for each in (KEPT_SCHEDULE, DELETED_SCHEDULE))
    of_all = {"POST ": [some], "POST /preview": [some]}
    of_one = {"GET ": [kept], "PATCH ": [kept, some], "DELETE ": [deleted], "POST /backfill": [kept, some]}
    of_one |= {f"POST /{verb}": [kept] for verb in ("enable", "disable", "trigger")}
    of_one |= {f"GET /{noun}": [kept] for noun in ("upcoming", "history")}
    facts = [(name.replace(" ", " /api/schedules"), said) for name, said in of_all.items()]
    facts += [(name.replace(" ", " /api/schedules/{schedule_id}"), said) for name, said in of_one.items()]
    facts += [(name.replace(" ", " /api/webhooks/{webhook_id}"), said) for name, said in _of_webhooks().items()]
    facts += [("POST /api/webhooks", [some]), ("PUT /api/me/notifications", [some])]
    cursor = encode_time_cursor(TimeCursor(NOW, KEPT_BY))
    facts.append(("GET /api/alerts", [f'parameters = {{ "query.cursor" = "{cursor}" }}']))
    facts.append(("POST /api/workers/{name}/drain", [f'parameters = {{ "path.name" = "{WORKER}" }}']))
    return "\n".join(line for name, said in facts for line in ("[[operations]]", f'include-name = "{name}"', *said))


def _of_webhooks() -> dict[str, list[str]]:
    some = 'checks.positive_data_acceptance.expected-statuses = ["2xx", 404, 409, 422]'
    kept, deleted = (f'parameters = {{ "path.webhook_id" = "{each}" }}' for each in (KEPT_WEBHOOK, DELETED_WEBHOOK))
    delivery = f'parameters = {{ "path.webhook_id" = "{KEPT_WEBHOOK}", "path.delivery_id" = "{_DELIVERY}" }}'
    of_one = {"GET ": [kept], "PATCH ": [kept, some], "DELETE ": [deleted], "GET /deliveries": [kept]}
    of_one |= {f"POST /{verb}": [kept] for verb in ("rotate", "test")}
    return of_one | {f"{name}/deliveries/{{delivery_id}}{verb}": [delivery] for name, verb in _OF_DELIVERIES}


_OF_DELIVERIES = (("GET ", ""), ("POST ", "/redeliver"))
KEPT_WEBHOOK, DELETED_WEBHOOK = (UUID(f"6f1c2a34-0b7d-4a0e-9c55-1f2e3d4c5b6{digit}") for digit in "ab")
_EVENT = published()
_DELIVERY = recipient(webhook(webhook_id=KEPT_WEBHOOK)).delivery_id(_EVENT["id"])
KEPT_BY = UUID("0190a6e0-8c8f-7c3e-8a51-5d8f0a5b7a11")
"""A task that has kept something: no schema can tell a name that it has."""


async def _fill(database_url: str, status: FakeStatus, kept: ObjectRef) -> None:
    """Publish a strategy, under the name that the examples use, and store a task in each phase, schedules, a worker."""
    async with AsyncEventLog(database_url) as log:
        lenient = PARAMETERS | {"additionalProperties": True, "properties": {}}
        await publish(log, strategy(parameters_schema=lenient))
        for phase in Phase:
            execution = in_phase(phase)
            status.show(execution)
            await log.append(execution.collect_events())
        for made in map(schedule, (KEPT_SCHEDULE, DELETED_SCHEDULE)):
            status.show_schedule(made)
            await log.append(made.collect_events())
        for hook in (webhook(webhook_id=each) for each in (KEPT_WEBHOOK, DELETED_WEBHOOK)):
            status.webhooks.show(hook)
            await log.append(hook.collect_events())
        kept_webhook = recipient(webhook(webhook_id=KEPT_WEBHOOK))
        status.webhooks.deliver(kept_webhook, _EVENT, "{}", "2026-01-30T14:30:00Z")
        status.show_worker(heartbeat())
        keeper = running(task_id=KEPT_BY)
        keeper.complete_step(
            stamp(2),
            attempt=1,
            step="load",
            symbol=None,
            output=Output(inline=None),
            started_at=stamp(1).at,
            artifacts=(Artifact(name="signals.csv", ref=kept),),
        )
        await log.append(keeper.collect_events())


@pytest.fixture
def served(migrated_database_url: str, tmp_path: Path) -> Iterator[str]:
    """The URL of a gateway with keys, on a real log and over real HTTP."""
    status = FakeStatus()
    configuration = settings(migrated_database_url, home=tmp_path, api_keys=KEYS)
    kept = open_store(configuration).put(b"symbol,close\nMSFT,24.68\n", "text/csv")
    asyncio.run(_fill(migrated_database_url, status, kept))
    app = create_app(configuration, status_transport=status.transport)
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, access_log=False))
    socket = server.config.bind_socket()
    thread = threading.Thread(target=server.run, kwargs={"sockets": [socket]})
    thread.start()
    yield f"http://127.0.0.1:{socket.getsockname()[1]}"
    server.should_exit = True
    thread.join()


def test_schemathesis_finds_nothing(served: str, tmp_path: Path) -> None:
    """Right requests are accepted, wrong ones refused, and every answer is declared, in all of its phases."""
    config = CONFIG.replace("KEPT_BY", str(KEPT_BY)) + _facts_config()
    (tmp_path / "schemathesis.toml").write_text(config)
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "run", f"{served}/openapi.json"),
        *("--checks", "all", "--exclude-checks", NOT_OURS),
        *("--exclude-name", ENDLESS),
        *("--header", f"Authorization: Bearer {ROOT}"),
        *("--max-examples", EXAMPLES, "--generation-deterministic", "--generation-allow-x00", "false"),
        *("--suppress-health-check", "all"),
    ]
    environment = os.environ | {"PYTHONUNBUFFERED": "1", "COLUMNS": "120", "NO_COLOR": "1"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert httpx.get(f"{served}/health/live").status_code == 200

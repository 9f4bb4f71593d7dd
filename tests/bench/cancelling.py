"""How long it takes to cancel, with many tasks queued: all of them at once, or one of them."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import psycopg

from services.executor.queues import CONSUMED
from shared.routing import MAINTENANCE
from tests.e2e.stack import Stack
from tests.waiting import until

BATCH = 500
SLOTS = 2
LEFT = """
SELECT (SELECT count(*) FROM status.workflow_executions
         WHERE labels @> jsonb_build_object('bulk', %s::text) AND state <> 'REVOKED')
     + (SELECT count(*) FROM executor.live_runs WHERE strategy_id = 'three-steps')
"""


@contextmanager
def busy_workers(stack: Stack, folder: Path) -> Iterator[None]:
    """Keep every slot of the stack's worker taken, so that what is submitted stays queued."""
    gates = folder / str(uuid4())
    gates.mkdir()
    busy = [stack.submit("gated", "AAPL", priority="high", parameters={"gates": str(gates)}) for _ in range(SLOTS)]
    until(lambda: all((gates / f"AAPL.{task}").exists() for task in busy), seconds=60)
    try:
        yield
    finally:
        (gates / "AAPL").touch()
        for task in busy:
            stack.wait(task, "SUCCESS", seconds=60)


def fill(stack: Stack, number: int, label: str) -> list[str]:
    """Submit so many tasks under a label and return their ids."""
    ids: list[str] = []
    for begin in range(0, number, BATCH):
        body = {"strategy_id": "three-steps", "symbols": ["MSFT"], "labels": {"bulk": label}}
        tasks = [body] * min(BATCH, number - begin)
        answer = stack.http.post("/api/tasks/batch", json={"tasks": tasks}, timeout=60)
        answer.raise_for_status()
        ids += [item["task_id"] for item in answer.json()["items"]]
    return ids


def cancel_all(stack: Stack, number: int) -> tuple[float, float]:
    """Return the seconds until so many queued tasks are durably cancelled, and until every part has followed."""
    label = str(uuid4())
    ids = fill(stack, number, label)
    began = time.monotonic()
    answer = stack.http.post("/api/tasks/cancel", json={"filter": {"label": f"bulk:{label}"}}, timeout=60)
    answered = time.monotonic() - began
    assert answer.status_code == 200, answer.text
    assert set(answer.json()["task_ids"]) == set(ids)
    until(lambda: has_followed(stack, label), seconds=60, hint="not every part knows what was cancelled")
    return answered, time.monotonic() - began


def cancel_one(stack: Stack, task_id: str) -> float:
    """Return the seconds until a queued task is durably cancelled."""
    began = time.monotonic()
    answer = stack.http.delete(f"/api/tasks/{task_id}")
    assert (answer.status_code, answer.json()["state"]) == (200, "REVOKED")
    return time.monotonic() - began


def has_followed(stack: Stack, label: str) -> bool:
    """Tell whether nothing under a label is left in the tables of status and dispatcher, nor in Redis."""
    with psycopg.connect(stack.record.database_url) as connection:
        row = connection.execute(LEFT, (label,)).fetchone()
    return row == (0,) and not any(stack.redis.llen(queue) for queue in CONSUMED if queue != MAINTENANCE)

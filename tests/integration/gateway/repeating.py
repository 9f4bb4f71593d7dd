"""Runs that are run once more, and asking for it."""

from __future__ import annotations

from typing import Any

import httpx

from shared.domain.execution import WorkflowExecution
from shared.domain.execution_events import Artifact
from shared.domain.outputs import ObjectRef, Output, OutputKind
from tests.builders import (
    PARALLEL_PLAN,
    PLAN,
    complete_all,
    failure,
    running,
    stamp,
)
from tests.integration.gateway.stage import Stage, publish, strategy

DEFINITION = "1" * 64
"""The hash of the strategies that the stage publishes."""
REF = ObjectRef(uri="object://sha256/" + "a" * 64, media_type="text/csv", size=9, sha256="a" * 64)
FRAME = Output(kind=OutputKind.POLARS_FRAME, ref=REF)


def kept(name: str, digit: str = "0") -> Artifact:
    """Something that a step keeps; of one name, those of different digits are different."""
    ref = ObjectRef(uri=f"object://sha256/{digit * 64}", media_type="image/png", size=1, sha256=digit * 64)
    return Artifact(name=name, ref=ref)


def completed(run: WorkflowExecution, second: float, *artifacts: Artifact, output: Output = FRAME) -> None:
    """Complete the step that comes next, which keeps these artifacts."""
    position = run.next_position()
    assert position is not None
    step, symbol = position
    run.complete_step(
        stamp(second),
        attempt=run.attempts,
        step=step,
        symbol=symbol,
        output=output,
        started_at=stamp(second - 0.5).at,
        artifacts=artifacts,
    )


def ended(**changes: Any) -> WorkflowExecution:
    """A run of today's definition that has succeeded; its first and its last step kept a chart."""
    run = running(**{"definition_hash": DEFINITION, "steps": PLAN} | changes)
    completed(run, 2, kept("early.png"))
    completed(run, 3)
    completed(run, 4)
    completed(run, 5, kept("late.png"))
    complete_all(run)
    return run


def failed(*, completed_steps: int, at: str, symbol: str | None = None, **changes: Any) -> WorkflowExecution:
    """A run of today's definition that has failed in a step, after so many that are complete."""
    run = running(definition_hash=DEFINITION, **changes)
    for _ in range(completed_steps):
        completed(run, 2)
    run.fail(stamp(4), attempt=1, failure=failure(retryable=False), step=at, symbol=symbol, started_at=stamp(3).at)
    return run


async def stored(stage: Stage, execution: WorkflowExecution) -> WorkflowExecution:
    """Let the log know a run."""
    await stage.log.append(execution.collect_events())
    return execution


async def rerun(stage: Stage, parent: WorkflowExecution, key: str | None = None, **body: Any) -> httpx.Response:
    """Ask for it."""
    headers = {"Idempotency-Key": key} if key else {}
    return await stage.client.post(f"/api/tasks/{parent.id}/rerun", json=body, headers=headers)


async def made(stage: Stage, parent: WorkflowExecution, **body: Any) -> WorkflowExecution:
    """Run a task once more, and read the new one from the log."""
    response = await rerun(stage, parent, **body)
    assert response.status_code == 202, response.text
    return await stage.execution(response.json()["task_id"])


async def fanning(stage: Stage) -> None:
    """Let the gateway know a strategy with a step that runs side by side."""
    await publish(stage.log, strategy(), strategy(strategy_id="fan", steps=PARALLEL_PLAN))
    await stage.knows("fan")

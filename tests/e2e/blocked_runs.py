"""Runs that block in one of many ways, and how to stop them."""

from pathlib import Path
from typing import Any

from tests.e2e.stack import Stack
from tests.waiting import until

SLOT_BACK_WITHIN_SECONDS = 5


def block(stack: Stack, traces: Path, how: str = "sleep", *, seconds: float = 20, **body: Any) -> str:
    """Start a run that blocks, and wait until it does."""
    task_id = stack.submit("blocking", parameters={"how": how, "traces": str(traces)}, **body)
    until((traces / f"began.{task_id}").exists, seconds=seconds, hint=f"{how} has not begun")
    return task_id


def cleaned(traces: Path, task_id: str) -> bool:
    """Whether the `finally` of a run's step was at work."""
    return (traces / f"cleaned.{task_id}").exists()


def cancel(stack: Stack, *tasks: str) -> None:
    """Cancel tasks, and wait until they are."""
    for task_id in tasks:
        assert stack.http.delete(f"/api/tasks/{task_id}").status_code in (200, 202)
    for task_id in tasks:
        stack.wait(task_id, "REVOKED")


def slots_are_whole(stack: Stack, traces: Path) -> None:
    """Two runs stand side by side, each within the time that a slot may take to come back."""
    cancel(stack, *(block(stack, traces, "checkpoint", seconds=SLOT_BACK_WITHIN_SECONDS) for _ in range(2)))


def arrived(gates: Path, symbol: str, task_id: str) -> Path:
    """The file by which a gated run says that it stands before a gate."""
    return gates / f"{symbol}.{task_id}"

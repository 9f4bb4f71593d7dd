"""What a task's report says."""

from __future__ import annotations

import io
from typing import Any

from rich.console import Console

from infra.cli.reports import report

TASK: dict[str, Any] = {
    "task_id": "t-1",
    "strategy_id": "sma-crossover",
    "symbols": ["AAPL", "MSFT"],
    "state": "SUCCESS",
    "status": "completed",
    "submitted_at": "2024-01-01T00:00:00Z",
    "started_at": "2024-01-01T00:00:00.150000Z",
    "finished_at": "2024-01-01T00:00:01.150000Z",
    "error": None,
    "result": {
        "decisions": [{"symbol": "MSFT", "action": "buy", "quantity": "10", "reason": "[bold]rose[/bold]"}],
        "orders": [
            {
                "symbol": "MSFT",
                "side": "buy",
                "quantity": "10",
                "state": "filled",
                "average_price": "24.62",
                "filled_at": "2013-02-19T14:30:00Z",
            }
        ],
        "errors": [{"symbol": "AAPL", "step": "bars", "type": "UnknownSymbol", "message": "no bars"}],
    },
}
STEPS: list[dict[str, Any]] = [
    {"step": "bars", "symbol": "MSFT", "duration_seconds": 0.4},
    {"step": "trade", "symbol": None, "duration_seconds": 0.35},
]


def told(task: dict[str, Any]) -> list[str]:
    """The report's lines, without the spaces around words."""
    to = Console(file=io.StringIO(), width=160)
    report(to, task, STEPS)
    assert isinstance(to.file, io.StringIO)
    return [" ".join(line.split()) for line in to.file.getvalue().splitlines()]


def test_it_shows_decisions_orders_errors_and_where_the_time_went() -> None:
    """Waiting, each step, what lies between them, and the sum; a reason is never read as markup."""
    lines = told(TASK)
    assert "MSFT buy 10 [bold]rose[/bold]" in lines
    assert "MSFT buy 10 filled 24.62 2013-02-19T14:30:00Z" in lines
    assert "AAPL bars UnknownSymbol no bars" in lines
    assert "waiting 150 ms" in lines
    assert "bars MSFT 400 ms" in lines
    assert "between steps 250 ms" in lines
    assert "in all 1,150 ms" in lines


def test_a_failure_names_its_step_and_symbol() -> None:
    """The error stands above the times; no result is no table."""
    error = {"type": "PermanentError", "message": "no cash", "step": "trade", "symbol": "MSFT"}
    lines = told(TASK | {"state": "FAILURE", "status": "failed", "result": None, "error": error})
    assert "PermanentError in trade, MSFT: no cash" in lines
    assert not [line for line in lines if line.startswith("Decisions")]


def test_an_expired_result_is_said_to_be_expired() -> None:
    """The time to live hides the result only."""
    gone = {"result": None, "result_expired": True, "result_expires_at": "2024-01-02T00:00:01Z"}
    assert "The result expired at 2024-01-02T00:00:01Z; the record stays." in told(TASK | gone)

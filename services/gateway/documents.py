"""Between domain objects and the gateway's own answers."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import msgspec
from fastapi import Response

from services.gateway.bulk_cancellations import BulkCancellation
from services.gateway.cancellations import Cancellation
from shared.domain.catalogue import StrategyDescription
from shared.domain.execution import WorkflowExecution
from shared.domain.phases import celery_state


def json_response(document: Any, status: int = HTTPStatus.OK, headers: Mapping[str, str] | None = None) -> Response:
    """Return a response; bytes are JSON already."""
    body = document if isinstance(document, bytes) else msgspec.json.encode(document)
    return Response(body, status_code=status, headers=headers, media_type="application/json")


def acceptance_document(execution: WorkflowExecution) -> dict[str, Any]:
    """Return the answer to a submission."""
    submitted = execution.submitted
    document: dict[str, Any] = msgspec.to_builtins(
        {
            "task_id": execution.id,
            "state": celery_state(execution.phase),
            "priority": submitted.priority,
            "strategy_id": submitted.strategy_id,
            "symbols": submitted.symbols,
            "submitted_at": submitted.at,
        }
    )
    return document


def cancel_document(cancellation: Cancellation) -> dict[str, Any]:
    """Return the answer to a cancellation."""
    execution = cancellation.execution
    return {
        "task_id": str(execution.id),
        "state": celery_state(execution.phase),
        "was": cancellation.was,
        "cancelling": not cancellation.ended,
    }


def bulk_cancel_document(done: BulkCancellation) -> dict[str, Any]:
    """Return the answer to the cancellation of many tasks."""
    document: dict[str, Any] = msgspec.to_builtins(
        {
            "count": len(done.task_ids),
            "cancelled": len(done.cancelled),
            "cancelling": len(done.cancelling),
            "finished": done.finished,
            "task_ids": done.task_ids,
            "cancelling_ids": done.cancelling,
        }
    )
    return document


def strategy_document(strategy: StrategyDescription) -> dict[str, Any]:
    """Return a strategy as `GET /api/strategies` shows it."""
    return {
        "strategy_id": strategy.strategy_id,
        "title": strategy.title,
        "description": strategy.description,
        "steps": [{"name": step.name, "kind": step.kind, "each": step.each} for step in strategy.steps],
        "parameters_schema": strategy.parameters_schema,
        "defaults": strategy.parameters_default,
        "max_retries": strategy.max_retries,
        "timeout_seconds": strategy.timeout_seconds,
    }

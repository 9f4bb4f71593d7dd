"""The OpenAPI document says what is sent."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from pydantic import BaseModel

from services.gateway import (
    answers,
    examples,
    queue_answers,
    queue_examples,
    schedule_answers,
    schedule_examples,
    telemetry_answers,
    telemetry_examples,
    worker_answers,
    worker_examples,
)
from services.gateway.app import create_app
from services.gateway.settings import GatewaySettings
from shared.documents import step_document, task_document
from shared.domain.phases import Phase
from shared.domain.views import ErrorView, OrderView, ProgressView, StepView, TaskView, step_views, task_view
from shared.domain.workers import WorkerView
from shared.objects import MemoryObjectStore
from tests.builders import NOW, in_phase


def _document(**changes: Any) -> dict[str, Any]:
    settings = GatewaySettings(database_url="postgresql://127.0.0.1:1/x", **({"api_keys": "", "host": "::1"} | changes))
    return create_app(settings).openapi()


def _operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            yield f"{method.upper()} {path}", operation


@pytest.mark.parametrize(
    ("model", "view", "more"),
    [
        (answers.Task, TaskView, {"reason", "result_expired", "result_error"}),
        (answers.Step, StepView, set()),
        (answers.Order, OrderView, set()),
        (answers.Progress, ProgressView, {"step_progress"}),
        (answers.TaskError, ErrorView, set()),
        (worker_answers.Worker, WorkerView, set()),
    ],
)
def test_models_have_the_fields_of_the_views(model: type[BaseModel], view: type[Any], more: set[str]) -> None:
    """A field that is added to a view must be documented, but for one that goes into another."""
    assert set(model.model_fields) == set(view.__struct_fields__) - {"late_orders"} | more


@pytest.mark.parametrize("phase", list(Phase))
def test_a_task_in_any_phase_fits_its_model(phase: Phase) -> None:
    """Every field has the documented type, in every phase, and none is missing."""
    execution = in_phase(phase)
    document = task_document(task_view(execution), now=NOW, objects=MemoryObjectStore())
    assert set(document) == set(answers.Task.model_fields)
    answers.Task.model_validate_json(msgspec.json.encode(document))
    for view in step_views(execution):
        answers.Step.model_validate_json(msgspec.json.encode(step_document(view)))


@pytest.mark.parametrize(
    ("model", "example"),
    [
        (answers.Acceptance, examples.ACCEPTANCE),
        (answers.CancelAnswer, examples.CANCELLED),
        (answers.CancelAnswer, examples.CANCELLING),
        (answers.BulkCancelAnswer, examples.BULK_CANCELLED),
        (answers.BulkCancelAnswer, examples.BULK_CANCELLING),
        (answers.Task, examples.TASK),
        (answers.Task, examples.RETRIED),
        (answers.Step, examples.STEP),
        (answers.Artifact, examples.ARTIFACT),
        (answers.Order, examples.ORDER),
        (answers.EventRecord, examples.EVENT),
        (answers.CloudEvent, examples.CLOUD_EVENT),
        (answers.StrategyAnswer, examples.STRATEGY),
        (answers.BrokenAnswer, examples.BROKEN),
        (worker_answers.Worker, worker_examples.WORKER),
        (telemetry_answers.Trace, telemetry_examples.TRACE),
        (telemetry_answers.LogLine, telemetry_examples.LINE),
        (answers.ReadyAnswer, examples.READY),
        (answers.ReadyAnswer, examples.UNAVAILABLE),
        (schedule_answers.ScheduleAnswer, schedule_examples.SCHEDULE),
        (schedule_answers.ScheduleAnswer, schedule_examples.DISABLED),
        (schedule_answers.ScheduleAnswer, schedule_examples.DELETED),
        (schedule_answers.TriggerAnswer, schedule_examples.TRIGGERED),
        (schedule_answers.BackfillAnswer, schedule_examples.BACKFILL),
        (schedule_answers.PreviewAnswer, schedule_examples.PREVIEW),
        (schedule_answers.UpcomingAnswer, schedule_examples.UPCOMING),
        (queue_answers.QueuePage, queue_examples.QUEUES),
        (queue_answers.QueueState, queue_examples.PAUSED),
        (queue_answers.QueueState, queue_examples.RESUMED),
        *((schedule_answers.HistoryEntry, entry) for entry in schedule_examples.HISTORY),
    ],
)
def test_examples_are_whole_and_right(model: type[BaseModel], example: dict[str, Any]) -> None:
    """What the documentation shows could have been sent."""
    required = {name for name, field in model.model_fields.items() if field.is_required()}
    assert required <= set(example)
    model.model_validate_json(msgspec.json.encode(example))


def test_every_body_and_response_has_a_schema_and_an_example() -> None:
    """Nothing in the document is left to guess."""
    document = _document()
    for name, operation in _operations(document):
        for status, response in operation["responses"].items():
            assert "X-Trace-Id" in response["headers"], (name, status)
            if status == "304":
                continue
            (content,) = response["content"].values()
            assert content["schema"], (name, status)
            assert content["example"], (name, status)
        if "requestBody" in operation:
            reference = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"]
            assert document["components"]["schemas"][reference.rpartition("/")[2]]["examples"], name


def test_every_error_is_declared_as_a_problem() -> None:
    """The framework's own shape of errors is nowhere left; readiness has a 503 of its own, an artifact any type."""
    document = _document()
    no_json = {
        ("GET /api/tasks/{task_id}/artifacts/{name}", "200"): ["*/*"],
        ("GET /api/live", "200"): ["text/event-stream"],
        ("GET /asyncapi", "200"): ["text/html"],
    }
    assert "HTTPValidationError" not in document["components"]["schemas"]
    for name, operation in _operations(document):
        for status, response in operation["responses"].items():
            problem = (int(status) >= 400 and name != "GET /health/ready") or status == "422"
            own = no_json.get((name, status), ["application/json"])
            if status != "304":
                assert list(response["content"]) == (["application/problem+json"] if problem else own)


def test_keys_are_declared_where_they_are_needed() -> None:
    """With keys every operation under /api asks for one; in open mode none does."""
    keyed, free = _document(api_keys="ada:trader:0123456789abcdef"), _document()
    assert keyed["components"]["securitySchemes"]["HTTPBearer"]["scheme"] == "bearer"
    for name, operation in _operations(keyed):
        assert ("security" in operation) is ("/api/" in name), name
    assert not any("security" in operation for _, operation in _operations(free))

"""The result of a run, as the public API shows it."""

from typing import Any
from urllib.parse import quote

import msgspec

from shared.domain.execution import WorkflowExecution
from shared.domain.execution_events import Artifact
from shared.domain.execution_records import StepRecord, StepState
from shared.domain.outputs import Output
from shared.domain.views import order_view
from shared.objects import ObjectStore
from shared.workflow.codec import decode_output, encode
from shared.workflow.orders import Decision
from shared.workflow.results import collect_decisions, final_steps
from shared.workflow.steps import Step
from shared.workflow.workflow import Workflow


def result_of(workflow: Workflow, execution: WorkflowExecution, objects: ObjectStore) -> Output:
    """Return decisions, orders of the ledger, collected errors, artifacts and the last step's output.

    Decisions are those of `final_steps`; a large result goes to the object store like any other value.
    """
    values = (
        decode_output(step, record.output, store=objects)
        for step in final_steps(workflow, Decision)
        for record in _records(step, execution)
        if record.output is not None
    )
    result = {
        "decisions": [decision.model_dump(mode="json") for decision in collect_decisions(values)],
        "orders": [order_view(order) for order in execution.orders.values()],
        "errors": _errors(execution),
        "artifacts": [_artifact(execution, artifact) for artifact in execution.artifacts.values()],
        "output": _output(workflow.steps[-1], execution),
    }
    return encode(result, dict[str, Any], store=objects, subject="The result")


def _records(step: Step, execution: WorkflowExecution) -> list[StepRecord]:
    found = (execution.steps.get(key) for key in execution.positions() if key[0] == step.name)
    return [record for record in found if record is not None]


def _errors(execution: WorkflowExecution) -> list[dict[str, Any]]:
    return [
        {
            "step": record.step,
            "symbol": record.symbol,
            "type": record.failure.type,
            "message": record.failure.message,
        }
        for key in execution.positions()
        if (record := execution.steps.get(key)) and record.state is StepState.FAILED and record.failure is not None
    ]


def _artifact(execution: WorkflowExecution, artifact: Artifact) -> dict[str, Any]:
    return {
        "name": artifact.name,
        "media_type": artifact.ref.media_type,
        "size": artifact.ref.size,
        "sha256": artifact.ref.sha256,
        "url": f"/api/tasks/{execution.id}/artifacts/{quote(artifact.name, safe='')}",
    }


def _output(step: Step, execution: WorkflowExecution) -> Any:
    """Return the last step's output as JSON, by symbol if it runs for each; one kept elsewhere is its reference."""
    outputs = {
        record.symbol: msgspec.to_builtins(record.output.ref) if record.output.ref else record.output.inline
        for record in _records(step, execution)
        if record.output is not None
    }
    return outputs.get(None, outputs)

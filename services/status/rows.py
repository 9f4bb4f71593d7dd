"""Between the views of a run and the rows of the tables."""

from typing import Any
from uuid import UUID

import msgspec
import sqlalchemy as sa

from services.status.tables import columns, execution_steps, orders, workflow_executions
from shared.domain.views import OrderView, StepView, TaskView

_TASK_FIELDS = [name for name in columns(workflow_executions) if name != "position"]
_STEP_FIELDS = [name for name in columns(execution_steps) if name != "task_id"]

_ORDER_FIELDS = columns(orders)
# PostgreSQL's text has no NUL character, and one bad reason must not stop all projections.
_ORDER_TEXTS = ("step", "step_symbol", "symbol", "side", "venue_order_id", "reason")


def task_row(view: TaskView, position: int) -> dict[str, Any]:
    """Return the row of a run whose last event stands at `position`."""
    row = {name: getattr(view, name) for name in _TASK_FIELDS}
    return row | {
        "task_id": UUID(view.task_id),
        "symbols": list(view.symbols),
        "labels": _storable(view.labels),
        "priority": str(view.priority),
        "state": str(view.state),
        "status": str(view.status),
        "position": position,
    }


def task_of(row: sa.RowMapping) -> TaskView:
    """Return the view that a row of `workflow_executions` was made of."""
    fields = {name: row[name] for name in _TASK_FIELDS} | {"task_id": str(row["task_id"])}
    return msgspec.convert(fields, TaskView)


def step_row(task_id: UUID, view: StepView) -> dict[str, Any]:
    """Return the row of one step and symbol."""
    row = {name: getattr(view, name) for name in _STEP_FIELDS}
    return row | {"task_id": task_id, "state": str(view.state)}


def step_of(row: sa.RowMapping) -> StepView:
    """Return the view that a row of `execution_steps` was made of."""
    return msgspec.convert({name: row[name] for name in _STEP_FIELDS}, StepView)


def order_row(view: OrderView) -> dict[str, Any]:
    """Return the row of one order."""
    row = {name: getattr(view, name) for name in _ORDER_FIELDS}
    texts = {name: row[name].replace("\0", "\ufffd") for name in _ORDER_TEXTS if row[name] is not None}
    return row | texts | {"task_id": UUID(view.task_id), "state": str(view.state)}


def order_of(row: sa.RowMapping) -> OrderView:
    """Return the view that a row of `orders` was made of."""
    fields = {name: row[name] for name in _ORDER_FIELDS} | {"task_id": str(row["task_id"])}
    return msgspec.convert(fields, OrderView)


def encode(value: Any) -> str:
    """Return the JSON text of a nested value, as engines of this service write it."""
    return msgspec.json.encode(value).decode()


def _storable(labels: dict[str, str]) -> dict[str, str]:
    """Return labels without NUL characters: `jsonb` has none, and one bad label must not stop all projections."""
    return {key.replace("\0", "\ufffd"): value.replace("\0", "\ufffd") for key, value in labels.items()}

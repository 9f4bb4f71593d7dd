"""What a storm has left: counted from the log, the venue's own book, and the calls that the steps noted themselves."""

from collections.abc import Sequence
from decimal import Decimal
from uuid import UUID

from shared.domain.execution import WorkflowExecution
from shared.domain.execution_events import StepCompleted
from shared.domain.phases import Phase
from shared.log.event_log import EventLog
from tests.chaos.storm import Storm
from tests.projection_check import differences
from tests.strategies.five_orders import ORDERS


def verdict(storm: Storm) -> dict[str, int]:
    """Return the counts of everything that must be zero, by name, after `runs` and `ended`."""
    log = EventLog(storm.stack.record.database_url)
    try:
        runs = {task_id: log.execution(UUID(task_id)) for task_id in storm.tasks}
        events = [event for task_id in runs for event in log.stream(UUID(task_id))]
    finally:
        log.close()
    completed = [event for event in events if isinstance(event, StepCompleted)]
    return {
        "runs": len(set(storm.tasks)),
        "succeeded": sum(run.phase is Phase.SUCCEEDED for run in runs.values()),
        "not ended": sum(not run.phase.ended for run in runs.values()),
        "steps completed twice": len(completed) - len({(event.originator_id, event.step) for event in completed}),
        "steps called after they were complete": _called_too_late(storm, completed),
        "client order ids twice at the venue": sum(count > 1 for count in storm.venue.accepted().values()),
        "orders that differ between venue and ledger": len(_disagreements(storm, runs)),
        "orders missing": ORDERS * len(runs) - sum(len(run.orders) for run in runs.values()),
        "rows that differ from the log": len(differences(storm.stack.record.database_url)),
    }


def _called_too_late(storm: Storm, completed: Sequence[StepCompleted]) -> int:
    """Count the calls of a step in an attempt after the one that completed it."""
    done_in = {(str(event.originator_id), event.step): event.attempt for event in completed}
    calls = (line.split() for line in storm.calls.read_text().splitlines())
    return sum(int(attempt) > done_in.get((task, step), int(attempt)) for task, step, attempt in calls)


def _disagreements(storm: Storm, runs: dict[str, WorkflowExecution]) -> set[str]:
    """Return the client order ids that only one side has, or of which the sides do not say the same is filled."""
    at_venue = {(name, order["status"], Decimal(order["filled_qty"])) for name, order in storm.venue.book().items()}
    in_ledger = {
        (order.client_order_id, str(order.state), Decimal(order.outcome.filled_quantity))
        for run in runs.values()
        for order in run.orders.values()
        if order.outcome is not None
    }
    return {name for name, *_ in at_venue ^ in_ledger}

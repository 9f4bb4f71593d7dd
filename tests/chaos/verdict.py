"""What a storm has left: counted from the log, the venue's own book, and the calls that the steps noted themselves."""

from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from uuid import UUID

from shared.domain.branch_events import BranchCompleted
from shared.domain.execution import WorkflowExecution
from shared.domain.execution_events import StageClosed, StepCompleted
from shared.domain.phases import Phase
from shared.log.event_log import EventLog
from shared.log.runs import run_of
from tests.chaos.beats import settled
from tests.chaos.storm import Storm
from tests.projection_check import differences
from tests.strategies.five_beside import SYMBOLS
from tests.strategies.five_orders import ORDERS


def verdict(storm: Storm) -> dict[str, int]:
    """Return the counts of everything that must be zero, by name, after `runs` and `ended`."""
    log = EventLog(storm.stack.record.database_url)
    try:
        runs = {task_id: log.execution(UUID(task_id)) for task_id in storm.tasks}
        streams = [stream for run in runs.values() for stream in (run.id, *run.branches)]
        events = [event for stream in streams for event in log.stream(stream)]
        scheduled = [log.execution(task_id) for task_id in storm.fired(log)]
        times = settled(log, [log.schedule(UUID(storm.schedule_id))])
    finally:
        log.close()
    completed = [event for event in events if isinstance(event, StepCompleted | BranchCompleted)]
    closed = Counter(event.originator_id for event in events if isinstance(event, StageClosed))
    beside = [run for run in runs.values() if run.submitted.strategy_id == "five-beside"]
    return {
        "runs": len(set(storm.tasks)),
        "succeeded": sum(run.phase is Phase.SUCCEEDED for run in runs.values()),
        "not ended": sum(not run.phase.ended for run in runs.values()),
        "steps completed twice": len(completed) - len({(event.originator_id, event.step) for event in completed}),
        "steps called after they were complete": _called_too_late(storm, completed),
        "joins doubled or missing": sum(closed[run.id] != 1 for run in beside),
        "joins without all members": sum(not _has_all(run) for run in beside),
        "client order ids twice at the venue": sum(count > 1 for count in storm.venue.accepted().values()),
        "orders that differ between venue and ledger": len(_disagreements(storm, runs)),
        "orders missing": ORDERS * (len(runs) - len(beside)) - sum(len(run.orders) for run in runs.values()),
        "times of the schedule twice, lost or missed": times.twice + times.lost + times.missed + times.without_run,
        "scheduled runs that did not succeed": sum(run.phase is not Phase.SUCCEEDED for run in scheduled),
        "ends that the webhook was not told of": len(storm.untold()),
        "rows that differ from the log": len(differences(storm.stack.record.database_url)),
    }


def _has_all(run: WorkflowExecution) -> bool:
    """Tell whether the last step was given what each symbol gave."""
    record = run.steps.get(("join", None))
    wanted = {symbol: 1 + len(symbol) for symbol in SYMBOLS}
    return record is not None and record.output is not None and record.output.inline == wanted


def _called_too_late(storm: Storm, completed: Sequence[StepCompleted | BranchCompleted]) -> int:
    """Count the calls of a step in an attempt after the one that completed it."""
    done_in = {(str(run_of(event)), _name(event)): event.attempt for event in completed}
    calls = (line.split() for line in storm.calls.read_text().splitlines())
    return sum(int(attempt) > done_in.get((task, step), int(attempt)) for task, step, attempt in calls)


def _name(event: StepCompleted | BranchCompleted) -> str:
    """Return how a step notes its calls: those of a branch with their symbol."""
    return f"{event.step}:{event.symbol}" if isinstance(event, BranchCompleted) else event.step


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

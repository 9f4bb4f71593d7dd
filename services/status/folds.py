"""The runs that the projector keeps folded in memory, so that an event costs no reload of its stream."""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from uuid import UUID

from shared.domain.events import Event
from shared.domain.execution import WorkflowExecution
from shared.domain.execution_events import Submitted
from shared.domain.views import OrderView, StepView, ledger_views, step_views
from shared.log.runs import Recorded, run_of

CAPACITY = 50_000
"""The size of all kept runs together: 12,000 runs of three steps on one symbol, or 30 of three on 500."""

Load = Callable[[UUID, int], WorkflowExecution]
"""Reads the run with this id up to this position from the log."""
Witness = Callable[[WorkflowExecution, Event], None]
"""Sees a run as it was before an event."""


def _nobody(_: WorkflowExecution, __: Event) -> None:
    """Look at nothing."""


class FoldedRun:
    """One run, the position of its last event, and what was last written of its steps and orders."""

    def __init__(self, execution: WorkflowExecution, position: int) -> None:
        self.execution = execution
        self.position = position
        self.written: dict[int, StepView] = {}
        self.written_orders: dict[str, OrderView] = {}

    @property
    def size(self) -> int:
        """Return what the run weighs: one for itself and one for each step and symbol."""
        submitted = self.execution.submitted
        return 1 + len(submitted.steps) * len(submitted.symbols)

    def changed_steps(self) -> list[StepView]:
        """Return the steps that differ from what was last written."""
        return [view for view in step_views(self.execution) if self.written.get(view.index) != view]

    def changed_orders(self) -> list[OrderView]:
        """Return the orders that differ from what was last written."""
        return [view for view in ledger_views(self.execution) if self.written_orders.get(view.client_order_id) != view]


class Folds:
    """Runs by id, least recently touched first; ended runs are forgotten at once."""

    def __init__(self, load: Load, *, capacity: int = CAPACITY) -> None:
        self._load = load
        self._capacity = capacity
        self._size = 0
        self._runs: OrderedDict[UUID, FoldedRun] = OrderedDict()

    def __len__(self) -> int:
        return len(self._runs)

    def clear(self) -> None:
        """Forget everything, as when what was taken in could not be committed."""
        self._runs.clear()
        self._size = 0

    def take_in(self, batch: Sequence[Recorded], witness: Witness = _nobody) -> dict[UUID, FoldedRun]:
        """Fold the batch's events and return the runs they touched, by id; `witness` sees each run before its event."""
        touched: dict[UUID, FoldedRun] = {}
        for recorded in batch:
            task_id = run_of(recorded.event)
            run = touched.get(task_id) or self._runs.get(task_id) or self._read(recorded)
            touched[task_id] = run
            witness(run.execution, recorded.event)
            run.execution.apply(recorded.event)
            run.position = recorded.position
        return touched

    def keep(self, touched: dict[UUID, FoldedRun]) -> None:
        """Remember the touched runs that go on, and forget those untouched for longest beyond the capacity."""
        for task_id, run in touched.items():
            if self._runs.pop(task_id, None) is not None:
                self._size -= run.size
            if not run.execution.phase.ended:
                self._runs[task_id] = run
                self._size += run.size
        while self._size > self._capacity:
            _, forgotten = self._runs.popitem(last=False)
            self._size -= forgotten.size

    def _read(self, recorded: Recorded) -> FoldedRun:
        event = recorded.event
        if isinstance(event, Submitted):
            return FoldedRun(WorkflowExecution(event), recorded.position)
        return FoldedRun(self._load(run_of(event), recorded.position - 1), recorded.position)

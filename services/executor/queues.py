"""Queues and tasks by name, and which goes where: the one place that says so."""

from kombu import Exchange, Queue

from shared.domain.priority import Priority
from shared.routing import MAINTENANCE, level_queue

RUN = "executor.run"
"""Claims a run and takes it as far as it goes."""

BRANCH = "executor.branch"
"""Claims one member of a stage and takes it as far as it goes."""

POINTERS = (RUN, BRANCH)
"""The tasks that are pointers into the log."""

INTERRUPT_RUN = "interrupt_run"
"""The control command that has a worker look at the log in the middle of a step."""

DRAIN_WORKER = "drain_worker"
"""The control command that has a worker take nothing more, and leave once it has finished what it has."""


CONSUMED = (
    *(queue for level in Priority for queue in (level_queue(level, resumed=True), level_queue(level))),
    MAINTENANCE,
)
"""Every queue, in the order in which a worker empties them. The order is the priority: with
`queue_order_strategy=priority` a worker asks Redis for them from left to right (ADR 12)."""

QUEUES = tuple(Queue(name, Exchange("blotter", type="direct"), routing_key=name) for name in CONSUMED)

ROUTES = {
    RUN: {"queue": level_queue(Priority.NORMAL)},
    BRANCH: {"queue": level_queue(Priority.NORMAL, resumed=True)},
    "maintenance.*": {"queue": MAINTENANCE},
}
"""By task type. The dispatcher names the queue of a run's own level when it sends, a branch's too."""


def check_order(queues: tuple[str, ...]) -> None:
    """Raise ValueError unless `queues` are known and stand in the order of priority."""
    unknown = [queue for queue in queues if queue not in CONSUMED]
    if unknown:
        raise ValueError(f"unknown queues {', '.join(unknown)}; a worker may consume {', '.join(CONSUMED)}")
    if list(queues) != sorted(queues, key=CONSUMED.index):
        raise ValueError(f"queues must be named in the order of priority: {', '.join(CONSUMED)}")

"""The queues of a worker, from the names that a person gives."""

from __future__ import annotations

from infra.cli.failures import RefusedError
from shared.domain.priority import Priority
from shared.routing import MAINTENANCE, level_queue

_QUEUES = {str(level): (level_queue(level, resumed=True), level_queue(level)) for level in Priority} | {
    MAINTENANCE: (MAINTENANCE,)
}
"""By what a person calls them, in the order of priority."""


def queues_of(names: str) -> str:
    """The queues of comma-separated levels, in the order in which a worker empties them.

    A level has a second queue, of runs that go on where they were. Raises RefusedError for a name that is none.
    """
    given = {name.strip() for name in names.split(",")} - {""}
    if unknown := sorted(given - _QUEUES.keys()):
        raise RefusedError(f"There are no queues {', '.join(unknown)}: name some of {', '.join(_QUEUES)}.")
    if not given:
        raise RefusedError(f"--queues names nothing: name some of {', '.join(_QUEUES)}.")
    return ",".join(queue for name, queues in _QUEUES.items() if name in given for queue in queues)

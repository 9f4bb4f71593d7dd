"""The Redis Streams that the events of the log are published to, and which event goes to which."""

TASKS = "blotter.tasks"
SCHEDULES = "blotter.schedules"
ALERTS = "blotter.alerts"
OPERATIONS = "blotter.operations"

STREAMS = (TASKS, SCHEDULES, ALERTS, OPERATIONS)
"""Every stream. Together they hold the whole log, each in its order."""

_BY_KIND = {
    "execution": TASKS,
    "branch": TASKS,
    "schedule": SCHEDULES,
    "backfill": SCHEDULES,
    "alert": ALERTS,
}


def stream_of(topic: str) -> str:
    """Return the stream of an event's topic; what is neither of tasks, schedules nor alerts is of operations."""
    return _BY_KIND.get(topic.partition(".")[0], OPERATIONS)


def dead_letters(stream: str, group: str) -> str:
    """Return the stream to which a group's messages of `stream` go that its handler has failed on too often."""
    return f"{stream}.dead.{group}"

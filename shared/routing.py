"""Names that more than one service needs of the task queue."""

MAINTENANCE = "maintenance"
"""The queue of probes and clean-ups."""

PROBE_PROJECTION_LAG = "maintenance.probe_projection_lag"
CLEAN_UP = "maintenance.clean_up"


def level_queue(level: str, *, resumed: bool = False) -> str:
    """Return the queue of a level; runs that go on where they were wait in the level's resume queue."""
    return f"{level}.resume" if resumed else str(level)

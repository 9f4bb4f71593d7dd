"""Names that more than one service needs of the task queue."""

MAINTENANCE = "maintenance"
"""The queue of probes and clean-ups."""

PROBE_PROJECTION_LAG = "maintenance.probe_projection_lag"
CLEAN_RESULTS = "maintenance.clean_results"

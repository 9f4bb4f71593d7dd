"""Celery tasks on the queue `maintenance`: the probe and the clean-up of every night."""

import httpx
import structlog
from celery import shared_task

from services.executor import process
from services.executor.cleanup import CleanupError
from services.executor.cleanup import clean_up as clean
from shared.routing import CLEAN_UP, PROBE_PROJECTION_LAG

logger = structlog.get_logger()


@shared_task(name=PROBE_PROJECTION_LAG, ignore_result=True)
def probe_projection_lag() -> None:
    """Ask the status service how far its projector is behind the log, and say so in this worker's log."""
    own = process.settings()
    answer = httpx.get(f"{own.status_url}/health/ready", timeout=5)
    projector = answer.json()["parts"]["projector"]
    lag = float(projector["lag_seconds"] or 0)
    report = logger.warning if lag > own.projection_lag_warning_seconds else logger.info
    report("projection.lag", events=projector["lag_events"], seconds=lag, up=projector["up"])


@shared_task(name=CLEAN_UP, ignore_result=True)
def clean_up() -> None:
    """Clean up; when another clean-up runs, leave it to that one."""
    try:
        clean(process.settings(), process.log(), process.clock().adjusted, dry_run=False)
    except CleanupError as error:
        logger.info("cleanup.left_to_another", reason=str(error))

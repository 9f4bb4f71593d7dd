"""Celery tasks on the queue `maintenance`: probes and clean-up."""

import httpx
import redis
import structlog
from celery import shared_task

from services.executor import process
from services.executor.garbage import Collection
from shared.objects import open_store
from shared.result_backend import result_key
from shared.routing import CLEAN_RESULTS, COLLECT_OBJECTS, PROBE_PROJECTION_LAG

logger = structlog.get_logger()

SCAN_COUNT = 1000


@shared_task(name=PROBE_PROJECTION_LAG, ignore_result=True)
def probe_projection_lag() -> None:
    """Ask the status service how far its projector is behind the log, and say so in this worker's log."""
    own = process.settings()
    answer = httpx.get(f"{own.status_url}/health/ready", timeout=5)
    projector = answer.json()["parts"]["projector"]
    lag = float(projector["lag_seconds"] or 0)
    report = logger.warning if lag > own.projection_lag_warning_seconds else logger.info
    report("projection.lag", events=projector["lag_events"], seconds=lag, up=projector["up"])


@shared_task(name=CLEAN_RESULTS, ignore_result=True)
def clean_results() -> None:
    """Give results that would stay for ever a time to live: Redis removes them itself from then on."""
    own = process.settings()
    client = redis.Redis.from_url(own.redis_url)
    scanned = mended = 0
    for key in client.scan_iter(match=result_key("*"), count=SCAN_COUNT):
        scanned += 1
        if client.ttl(key) == -1:
            client.expire(key, own.result_ttl_seconds)
            mended += 1
    logger.info("results.cleaned", scanned=scanned, given_a_time_to_live=mended)


@shared_task(name=COLLECT_OBJECTS, ignore_result=True)
def collect_objects() -> None:
    """Remove old objects to which the log does not refer; what was done goes to this worker's log."""
    own = process.settings()
    now = process.clock().adjusted
    Collection(process.log(), open_store(own), grace=own.object_grace, now=now).run()

"""What the routes call, one of each for the whole process."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

import httpx
from starlette.requests import HTTPConnection

from services.gateway.alert_control import AlertControl
from services.gateway.artifacts import Artifacts
from services.gateway.backfills import Backfills
from services.gateway.bulk_cancellations import BulkCancellations
from services.gateway.cancellations import Cancellations
from services.gateway.catalogue import Catalogue
from services.gateway.decisions import Decisions
from services.gateway.event_feed import EventFeed
from services.gateway.exposition import Exposition
from services.gateway.http_metrics import HttpCounts
from services.gateway.idempotency import IdempotencyKeys
from services.gateway.live import Live
from services.gateway.metrics import Metrics
from services.gateway.metrics_feed import MetricsFeed
from services.gateway.notifications import Notifications
from services.gateway.past import Past
from services.gateway.previews import Previews
from services.gateway.progress_feed import ProgressFeed
from services.gateway.published_events import PublishedEvents
from services.gateway.queue_control import QueueControl
from services.gateway.readiness import Readiness
from services.gateway.reading import Reading
from services.gateway.recent_writes import RecentWrites
from services.gateway.reruns import Reruns
from services.gateway.retries import Retries
from services.gateway.schedule_checks import ScheduleChecks
from services.gateway.schedule_decisions import ScheduleDecisions
from services.gateway.schedule_reading import ScheduleReading
from services.gateway.schedules import Schedules
from services.gateway.settings import GatewaySettings
from services.gateway.status_client import StatusClient
from services.gateway.submissions import Submissions
from services.gateway.telemetry import Telemetry
from services.gateway.triggers import Triggers
from services.gateway.webhooks import Webhooks
from services.gateway.workers import Workers
from shared.domain.errors import Unavailable
from shared.log.async_event_log import AsyncEventLog
from shared.log.clock import ADJUST_EVERY, DatabaseClock, database_time
from shared.objects import open_store

CANCEL_AGAIN = timedelta(milliseconds=500)
FIRST_LOOK = timedelta(seconds=2)
"""How long the start waits for the log; without it the gateway starts all the same, and is not ready."""


@dataclass(frozen=True, kw_only=True)
class Components:
    """The gateway without HTTP."""

    catalogue: Catalogue
    submissions: Submissions
    cancellations: Cancellations
    bulk_cancellations: BulkCancellations
    retries: Retries
    reruns: Reruns
    reading: Reading
    artifacts: Artifacts
    past: Past
    schedules: Schedules
    triggers: Triggers
    backfills: Backfills
    previews: Previews
    schedule_reading: ScheduleReading
    queue_control: QueueControl
    alert_control: AlertControl
    event_feed: EventFeed
    live: Live
    workers: Workers
    metrics: Metrics
    telemetry: Telemetry
    webhooks: Webhooks
    notifications: Notifications
    exposition: Exposition
    published_events: PublishedEvents
    readiness: Readiness


@asynccontextmanager
async def open_components(
    settings: GatewaySettings, counts: HttpCounts, *, status_transport: httpx.AsyncBaseTransport | None = None
) -> AsyncIterator[Components]:
    """Connect to the log and to the status service, and follow the catalogue; neither has to be reachable yet."""
    async with AsyncExitStack() as stack:
        log = await stack.enter_async_context(
            AsyncEventLog(settings.database_url, open_store=partial(open_store, settings))
        )
        status = await stack.enter_async_context(StatusClient(settings.status_url, transport=status_transport))
        clock = DatabaseClock(partial(database_time, settings.database_url))
        await stack.enter_async_context(_adjusted(clock))
        catalogue = Catalogue(log, settings.database_url)
        await stack.enter_async_context(_followed(catalogue))
        live = Live(log, settings.database_url)
        await stack.enter_async_context(_pushed(live))
        await stack.enter_async_context(beside(ProgressFeed(status, live).follow(), name="progress"))
        await stack.enter_async_context(beside(MetricsFeed(status, live).follow(), name="metrics"))
        writes, objects, sealer = RecentWrites(), open_store(settings), settings.sealer()
        decisions = Decisions(log, writes, now=clock)
        keys = IdempotencyKeys(log, settings.id_namespace)
        checks, schedule_decisions = ScheduleChecks(catalogue), ScheduleDecisions(log, now=clock)
        submissions = Submissions(
            log,
            catalogue,
            writes,
            keys=keys,
            result_ttl_seconds=settings.result_ttl_seconds,
            now=clock,
        )
        yield Components(
            catalogue=catalogue,
            submissions=submissions,
            cancellations=Cancellations(decisions),
            bulk_cancellations=BulkCancellations(log, status, writes, decisions),
            retries=Retries(decisions),
            reruns=Reruns(log, submissions),
            reading=Reading(log, status, writes, objects),
            artifacts=Artifacts(log, objects),
            past=Past(log, objects, now=clock),
            schedules=Schedules(log, checks, schedule_decisions, keys),
            triggers=Triggers(
                log, checks, schedule_decisions, keys, writes, result_ttl_seconds=settings.result_ttl_seconds
            ),
            backfills=Backfills(log, checks, schedule_decisions, keys),
            previews=Previews(checks, now=clock),
            schedule_reading=ScheduleReading(log, schedule_decisions, status, now=clock),
            queue_control=QueueControl(log, status, now=clock),
            alert_control=AlertControl(log, status, now=clock),
            event_feed=EventFeed(log),
            live=live,
            metrics=Metrics(status),
            exposition=Exposition(status, counts),
            workers=Workers(log, status, now=clock),
            telemetry=Telemetry(log, status),
            webhooks=Webhooks(log, status, keys, sealer, settings.networks, now=clock),
            notifications=Notifications(log, sealer, now=clock),
            published_events=PublishedEvents(status),
            readiness=Readiness(log, catalogue, status),
        )


@asynccontextmanager
async def _adjusted(clock: DatabaseClock) -> AsyncIterator[None]:
    """Adjust the clock before the first request, and then now and then until the end."""

    async def keep() -> None:
        while True:
            await asyncio.sleep(ADJUST_EVERY.total_seconds())
            await asyncio.to_thread(clock.adjust)

    await asyncio.to_thread(clock.adjust)
    async with beside(keep(), name="clock"):
        yield


@asynccontextmanager
async def _followed(catalogue: Catalogue) -> AsyncIterator[None]:
    """Load the catalogue before the first request if the log answers, and follow it until the end."""
    with suppress(Unavailable, TimeoutError):
        async with asyncio.timeout(FIRST_LOOK.total_seconds()):
            await catalogue.refresh()
    async with beside(catalogue.follow(), name="catalogue"):
        yield


@asynccontextmanager
async def _pushed(live: Live) -> AsyncIterator[None]:
    """Follow the log for those who listen, and end what they listen to at the end."""
    async with beside(live.follow(), name="live"):
        try:
            yield
        finally:
            live.close()


@asynccontextmanager
async def beside(work: Coroutine[None, None, None], *, name: str) -> AsyncIterator[None]:
    """Do `work` beside the block, and cancel it at its end.

    It is cancelled until it ends: `asyncio.wait_for` of Python 3.11, by which the pool of connections waits, swallows a
    cancellation that comes together with its result.
    """
    task = asyncio.create_task(work, name=name)
    try:
        yield
    finally:
        while not task.done():
            task.cancel()
            await asyncio.wait([task], timeout=CANCEL_AGAIN.total_seconds())


def components(request: HTTPConnection) -> Components:
    """Return the components of the application that answers `request`, be it HTTP or a WebSocket."""
    found = request.app.state.components
    assert isinstance(found, Components)
    return found

"""The status services that the contract is about, the fake and the real one, and ways to let them know of things."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
import redis

from services.gateway.queries import TaskQuery
from services.gateway.status_client import StatusClient
from services.status.app import create_app
from services.status.database import create_engine
from services.status.notifier.audience import Recipient
from services.status.notifier.records import add
from services.status.projector import Projector
from services.status.settings import StatusSettings
from shared.domain.alert_events import AlertEvent
from shared.domain.execution import WorkflowExecution
from shared.domain.queue import Queue
from shared.domain.retention_events import CleanupFinished
from shared.domain.schedule import Schedule
from shared.domain.webhook import Webhook
from shared.heartbeats import WorkerHeartbeat
from shared.log.event_log import EventLog
from shared.log.runs import Recorded
from shared.telemetry.outbox import Store
from shared.telemetry.store import SqlStore
from tests.builders import NOW
from tests.fake_status import FakeStatus
from tests.heartbeats import beat

BASE_URL = "http://status"


class Side:
    """A client of one of the two, and the ways to let it know of runs, schedules, queues, workers and clean-ups."""

    def __init__(
        self,
        transport: httpx.AsyncBaseTransport,
        client: StatusClient,
        show: Callable[..., None],
        show_schedule: Callable[[Schedule], None],
        show_queue: Callable[[Queue], None],
        show_worker: Callable[..., None],
        show_cleanup: Callable[[CleanupFinished], None],
        show_webhook: Callable[[Webhook], None],
        deliver: Callable[[Recipient, dict[str, Any], str], None],
        show_alert: Callable[..., None],
        telemetry: Store,
    ) -> None:
        self.transport = transport
        self.client = client
        self.show = show
        self.show_schedule = show_schedule
        self.show_queue = show_queue
        self.show_worker = show_worker
        self.show_cleanup = show_cleanup
        self.show_webhook = show_webhook
        self.deliver = deliver
        self.show_alert = show_alert
        self.telemetry = telemetry

    async def get(self, path: str, **query: Any) -> httpx.Response:
        """Return what it answers."""
        async with httpx.AsyncClient(base_url=BASE_URL, transport=self.transport) as http:
            return await http.get(path, params=query)

    async def pages(self, path: str, **query: Any) -> list[Any]:
        """Return all items of a list, page after page."""
        items: list[Any] = []
        cursor: dict[str, str] = {}
        while True:
            page = (await self.get(path, **query, **cursor)).raise_for_status().json()
            items += page["items"]
            if page["next_cursor"] is None:
                return items
            cursor = {"cursor": page["next_cursor"]}

    async def users(self, **wanted: Any) -> list[str]:
        """Return whose tasks a list names."""
        page = msgspec.json.decode(await self.client.tasks(TaskQuery(**wanted).parameters()))
        return [item["user_id"] for item in page["items"]]


@asynccontextmanager
async def fake_side(_: pytest.FixtureRequest) -> AsyncIterator[Side]:
    """The fake."""
    fake = FakeStatus()
    positions = count(1)

    def show_schedule(schedule: Schedule) -> None:
        fake.show_schedule(schedule, [Recorded(next(positions), event) for event in schedule.collect_events()])

    def show_cleanup(event: CleanupFinished) -> None:
        fake.show_cleanup(next(positions), event)

    def deliver(recipient: Recipient, event: dict[str, Any], body: str) -> None:
        fake.webhooks.deliver(recipient, event, body, str(msgspec.to_builtins(NOW)))

    async with StatusClient(BASE_URL, transport=fake.transport) as client:
        shows = fake.show, show_schedule, fake.queues.show, fake.show_worker, show_cleanup
        yield Side(
            fake.transport, client, *shows, fake.webhooks.show, deliver, fake.show_alert, telemetry=fake.telemetry
        )


@asynccontextmanager
async def real_side(request: pytest.FixtureRequest) -> AsyncIterator[Side]:
    """The real one, with its tables, and a projector that takes in at once what happens."""
    home: Path = request.getfixturevalue("tmp_path")
    database_url, redis_url = (request.getfixturevalue(name) for name in ("migrated_database_url", "redis_url"))
    settings = StatusSettings(database_url=database_url, redis_url=redis_url, home=home)
    app, log, engine = create_app(settings), EventLog(database_url), create_engine(settings.sqlalchemy_url)

    def project() -> None:
        projector = Projector(log, engine)
        projector.process(log.read(projector.start(), topics=projector.topics))

    def show(*executions: WorkflowExecution) -> None:
        for execution in executions:
            log.save_execution(execution)
        project()

    def show_schedule(schedule: Schedule) -> None:
        log.append(schedule.collect_events())
        project()

    def show_queue(queue: Queue) -> None:
        log.append(queue.collect_events())
        project()

    def show_webhook(webhook: Webhook) -> None:
        log.append(webhook.collect_events())
        project()

    def deliver(recipient: Recipient, event: dict[str, Any], body: str) -> None:
        with engine.begin() as connection:
            add(connection, event, body, [recipient], NOW)

    def show_worker(heartbeat: WorkerHeartbeat, *, alive: bool = True) -> None:
        with redis.Redis.from_url(redis_url) as client:
            beat(client, heartbeat, alive=alive)

    def show_cleanup(event: CleanupFinished) -> None:
        log.append([event])
        project()

    def show_alert(*events: AlertEvent) -> None:
        log.append(events)
        project()

    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        StatusClient(BASE_URL, transport=transport) as client,
    ):
        telemetry = SqlStore(database_url)
        shows = show, show_schedule, show_queue, show_worker, show_cleanup
        yield Side(transport, client, *shows, show_webhook, deliver, show_alert, telemetry=telemetry)
        telemetry.close()
    engine.dispose()
    log.close()


KINDS = {"fake": fake_side, "real": real_side}

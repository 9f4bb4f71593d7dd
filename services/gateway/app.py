"""The gateway: the only way in from outside.

It decides from the log and appends to it; what it tells about tasks comes from the status service, or from the log
itself where that is behind or away. `/openapi.json` is its contract.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
from fastapi import Depends, FastAPI
from prometheus_client import disable_created_metrics

from services.gateway import problems, socket_refusals
from services.gateway.authentication import BEARER, Authentication
from services.gateway.body_limit import BodyLimit
from services.gateway.components import open_components
from services.gateway.credentials import Credentials
from services.gateway.http_metrics import CountRequests, HttpCounts
from services.gateway.openapi import DocumentedApp
from services.gateway.queries import refuse_repeated
from services.gateway.routes import (
    alerts,
    artifacts,
    asyncapi,
    events,
    health,
    live,
    maintenance,
    metrics,
    notifications,
    orders,
    prometheus,
    queues,
    schedules,
    strategies,
    tasks,
    telemetry,
    webhooks,
    workers,
)
from services.gateway.settings import GatewaySettings
from services.gateway.tracing import Tracing
from shared.version import VERSION

DESCRIPTION = "Trading workflows as durable tasks. Errors are RFC 9457 problem documents that say what to do next."


def create_app(settings: GatewaySettings, *, status_transport: httpx.AsyncBaseTransport | None = None) -> FastAPI:
    """Return the application; its connections open when it starts and close when it stops.

    `status_transport` replaces the network between it and the status service.
    """

    disable_created_metrics()  # type: ignore[no-untyped-call]
    counts = HttpCounts()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with open_components(settings, counts, status_transport=status_transport) as components:
            app.state.components = components
            yield

    credentials = Credentials(settings.keys)
    app = DocumentedApp(
        title="Blotter",
        version=VERSION,
        description=DESCRIPTION,
        lifespan=lifespan,
        redirect_slashes=False,
        telemetry={"tracing": False, "metrics": False, "logs": False},  # Tracing below does it
    )
    problems.install(app, max_body_bytes=settings.max_body_bytes)
    socket_refusals.install(app)
    # The last one added is the outermost.
    app.add_middleware(Authentication, credentials=credentials)
    app.add_middleware(BodyLimit, limit=settings.max_body_bytes)
    app.add_middleware(CountRequests, counts=counts)
    app.add_middleware(Tracing)
    needs_key = [] if credentials.open else [BEARER]
    documented = (
        *(tasks.router, telemetry.router, artifacts.router, orders.router, schedules.router, strategies.router),
        *(queues.router, events.router, live.router, workers.router, maintenance.router, metrics.router),
        *(webhooks.router, notifications.router, alerts.router),
    )
    for router in documented:
        app.include_router(router, dependencies=[Depends(refuse_repeated), *needs_key])
    for router in (asyncapi.router, health.router, live.sockets, prometheus.router):
        app.include_router(router, dependencies=[Depends(refuse_repeated)])
    return app

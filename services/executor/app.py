"""The Celery application: `celery -A services.executor.app`.

The settings below were chosen by measuring (ADR 12); several depend on each other. Nothing is
ever reserved in a worker's memory, messages are acknowledged after the run has given the worker back, and a lost
message or a doubled one is harmless, because a message is only a pointer into the log.
"""

from datetime import timedelta
from functools import lru_cache

from celery import Celery

from services.executor.queues import QUEUES, ROUTES
from services.executor.settings import ExecutorSettings

VISIBILITY_TIMEOUT = timedelta(days=30)
"""Far above any run: redelivery by the broker is never what recovers a run (ADR 12)."""


def create_app(settings: ExecutorSettings) -> Celery:
    """Return the application for the Redis that `settings` name."""
    app = Celery("blotter", broker=settings.redis_url, backend=settings.redis_url)
    app.conf.update(
        accept_content=["json"],
        task_serializer="json",
        result_serializer="json",
        result_accept_content=["json"],
        task_queues=QUEUES,
        task_routes=ROUTES,
        task_create_missing_queues=False,
        task_default_queue="normal",
        broker_transport_options={
            "queue_order_strategy": "priority",
            "visibility_timeout": VISIBILITY_TIMEOUT.total_seconds(),
        },
        broker_connection_retry_on_startup=True,
        worker_disable_prefetch=True,
        worker_prefetch_multiplier=1,
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        worker_hijack_root_logger=False,
        worker_proc_alive_timeout=60,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        worker_max_memory_per_child=settings.worker_max_memory_kb,
        worker_max_tasks_per_child=settings.worker_max_tasks,
        imports=(
            "services.executor.tasks",
            "services.executor.maintenance",
            "services.executor.process",
            "services.executor.interrupting",
            "services.executor.draining",
        ),
        timezone="UTC",
        enable_utc=True,
    )
    app.steps["consumer"].add("services.executor.beacon:Beacon")
    return app


@lru_cache(maxsize=1)
def _app() -> Celery:
    return create_app(ExecutorSettings())


def __getattr__(name: str) -> Celery:
    """Make `app` when it is first asked for, so that importing this module needs no environment."""
    if name == "app":
        return _app()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

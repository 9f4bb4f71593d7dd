"""The Celery application of beat: `celery -A services.scheduler.app beat`."""

from functools import lru_cache

from celery import Celery
from celery.schedules import crontab

from services.scheduler.settings import SchedulerSettings
from shared.routing import CLEAN_UP, MAINTENANCE, PROBE_PROJECTION_LAG


def create_app(settings: SchedulerSettings) -> Celery:
    """Return the application with its first entries."""
    app = Celery("blotter", broker=settings.redis_url)
    app.conf.update(
        task_serializer="json",
        accept_content=["json"],
        task_ignore_result=True,
        timezone="UTC",
        enable_utc=True,
        beat_scheduler="services.scheduler.beat:BlotterScheduler",
        beat_schedule={
            "projection-lag": {
                "task": PROBE_PROJECTION_LAG,
                "schedule": settings.probe_every,
                "options": {"queue": MAINTENANCE, "expires": settings.probe_every.total_seconds()},
            },
            "clean-up": {
                "task": CLEAN_UP,
                "schedule": crontab(hour=settings.clean_hour, minute=0),
                "options": {"queue": MAINTENANCE},
            },
        },
    )
    return app


@lru_cache(maxsize=1)
def _app() -> Celery:
    return create_app(SchedulerSettings())


def __getattr__(name: str) -> Celery:
    """Make `app` when it is first asked for, so that importing this module needs no environment."""
    if name == "app":
        return _app()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

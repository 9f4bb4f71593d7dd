"""The scheduler's process: `python -m services.scheduler`, which is `celery beat` with this project's settings."""

from celery import signals

from services.scheduler.app import app
from services.scheduler.settings import SchedulerSettings
from shared.logging import configure_logging
from shared.telemetry import configure_telemetry


@signals.setup_logging.connect
def set_up_logging(**_: object) -> None:
    """Keep Celery from configuring logs in its own way."""
    settings = SchedulerSettings()
    configure_logging(settings.log_format, settings.log_level)


def main() -> None:
    """Run beat until it is told to stop."""
    settings = SchedulerSettings()
    configure_telemetry("scheduler", settings.telemetry_options)
    app.start(["beat", "--pidfile=", f"--loglevel={settings.log_level}"])


if __name__ == "__main__":
    main()

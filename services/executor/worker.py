"""A worker: `python -m services.executor.worker`, which is `celery worker` with this project's settings."""

from services.executor.app import app
from services.executor.settings import ExecutorSettings


def arguments(settings: ExecutorSettings) -> list[str]:
    """Return the arguments of `celery worker` for `settings`; the order of the queues is the order of priority."""
    return [
        "worker",
        f"--hostname={settings.worker_name}",
        f"--concurrency={settings.worker_concurrency}",
        f"--pool={settings.worker_pool}",
        f"--queues={','.join(settings.queues)}",
        f"--loglevel={settings.log_level}",
        "--without-gossip",
        "--without-mingle",
    ]


def main() -> None:
    """Run a worker until it is told to stop; it finishes the tasks it is at."""
    app.worker_main(arguments(ExecutorSettings()))


if __name__ == "__main__":
    main()

"""A process that says something of a task until it is killed: `speaker.py DATABASE_URL TASK_ID TRACEPARENT [fork]`."""

import os
import sys
import time

import structlog
from opentelemetry import trace

from shared.logging import configure_logging
from shared.telemetry import TASK_ID, configure_telemetry, span
from shared.telemetry.process import TelemetryOptions


def speak(database_url: str, task_id: str) -> None:
    """Say something a hundred times a second."""
    configure_logging("json", "INFO")
    configure_telemetry("speaker", TelemetryOptions(database_url=database_url))
    logger = structlog.get_logger()
    number = 0
    while True:
        number += 1
        began = time.perf_counter()
        bound = structlog.contextvars.bound_contextvars(task_id=task_id, pid=os.getpid())
        with bound, span("said", parent=sys.argv[3], attributes={TASK_ID: task_id}):
            logger.info("said", number=number)
        os.write(1, f"{number} {os.getpid()} {time.perf_counter() - began:.6f}\n".encode())  # whole, beside others
        time.sleep(0.01)


def main() -> None:
    """Speak, in two children if a parent is to be the one that forks."""
    assert isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider)
    if "fork" in sys.argv:
        for _ in range(2):
            if os.fork() == 0:
                speak(*sys.argv[1:3])
        while True:
            os.wait()
    speak(*sys.argv[1:3])


if __name__ == "__main__":
    main()

"""A control command of workers: interrupt the child that runs an attempt, and end it when it does not obey.

It runs in the worker's main process, which alone knows which child has which message. A child is given its next message
by this process, in this thread: one that still has the message now has no other one when the signal arrives.
"""

import os
import signal
from contextlib import suppress
from typing import Any
from uuid import UUID
from weakref import WeakSet

import structlog
from celery.worker import state as worker_state
from celery.worker.control import control_command
from celery.worker.request import Request

from services.executor import process
from services.executor.interruption import INTERRUPT
from services.executor.queues import INTERRUPT_RUN

logger = structlog.get_logger()

_ending: WeakSet[Request] = WeakSet()
"""Requests whose child will be ended."""


@control_command(name=INTERRUPT_RUN, args=[("message_id", str), ("grace_seconds", float)])
def interrupt_run(state: Any, message_id: str, grace_seconds: float | None = None) -> dict[str, str]:
    """Interrupt the run that came with this message; end its child when it still has it after the grace.

    Without any grace it is ended at once, also when an earlier command gave it some.
    """
    request = worker_state.requests.get(message_id)
    if request is None or request not in worker_state.active_requests:
        return {"ok": "it does not run here"}
    _interrupt(request)
    if grace_seconds is not None and not process.settings().threads:
        if grace_seconds > 0:
            _end_later(state.consumer, request, grace_seconds)
        else:
            _end(state.consumer, request)
    return {"ok": "interrupted"}


def _interrupt(request: Request) -> None:
    if process.settings().threads:
        branch = request.kwargs.get("branch")
        stream = UUID(branch["id"] if branch else request.kwargs["task_id"])
        process.interruptions().interrupt(stream, request.kwargs["attempt"])
    elif request.worker_pid is not None:
        with suppress(ProcessLookupError):  # the pool has not noticed yet that it died; an error resets the mailbox
            os.kill(int(request.worker_pid), INTERRUPT)


def _end_later(consumer: Any, request: Request, grace_seconds: float) -> None:
    """Set a timer of the worker, once a message: the command comes again until the run has ended."""
    if request not in _ending:
        _ending.add(request)
        consumer.timer.call_after(grace_seconds, _end, (consumer, request))


def _end(consumer: Any, request: Request) -> None:
    if request in worker_state.active_requests:
        logger.warning("execution.forced", message_id=request.id, child=request.worker_pid)
        request.terminate(consumer.pool, signal=signal.SIGKILL)

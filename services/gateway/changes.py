"""What is pushed to those who listen: an event of the log, or how far a step is."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import msgspec

from services.gateway.event_types import METRICS, PROGRESS
from services.gateway.reading import OF_RUNS
from shared.cloud_events import subject_of
from shared.documents import event_document
from shared.domain.events import Event
from shared.log.runs import Recorded, run_of
from shared.result_backend import ProgressReport


@dataclass(frozen=True, slots=True, kw_only=True)
class Pushed:
    """What is pushed, with what filters ask for, encoded once for everybody: `body` is its JSON, in one line."""

    type: str
    task_id: UUID | None
    subject: UUID
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Change(Pushed):
    """An event of the log."""

    position: int


def task_of(event: Event) -> UUID | None:
    """Return the task that an event tells of; a branch is part of its run, and schedules are no tasks."""
    return run_of(event) if event.TOPIC.startswith(OF_RUNS) else None


def change(recorded: Recorded) -> Change:
    """Return an event as `GET /api/live` pushes it: `{"position", "type", "task_id", "subject", "at", "data"}`."""
    event, known = recorded.event, event_document(recorded)
    task_id, subject = task_of(event), subject_of(event)
    document = {
        "position": recorded.position,
        "type": event.TOPIC,
        "task_id": task_id,
        "subject": subject,
        "at": known["at"],
        "data": known["data"],
    }
    return Change(
        position=recorded.position,
        type=event.TOPIC,
        task_id=task_id,
        subject=subject,
        body=msgspec.json.encode(document),
    )


def progress(report: ProgressReport) -> Pushed:
    """Return a report as it is pushed: as an event is, but without a position, since the log does not have it."""
    document = {
        "position": None,
        "type": PROGRESS,
        "task_id": report.task_id,
        "subject": report.task_id,
        "at": report.at,
        "data": report.progress | {"attempt": report.attempt},
    }
    return Pushed(type=PROGRESS, task_id=report.task_id, subject=report.task_id, body=msgspec.json.encode(document))


def metrics(figures: msgspec.Raw, at: datetime) -> Pushed:
    """Return the figures of `GET /api/metrics` as they are pushed: without a position, and about no task."""
    document = {"position": None, "type": METRICS, "task_id": None, "subject": None, "at": at, "data": figures}
    return Pushed(type=METRICS, task_id=None, subject=_ALL, body=msgspec.json.encode(document))


_ALL = UUID(int=0)
"""Under which the last figures are kept; it is nobody's id."""

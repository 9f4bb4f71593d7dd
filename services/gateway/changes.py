"""One event of the log as the outside sees it: pushed to those who listen, or listed as a CloudEvent."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import msgspec

from services.gateway.reading import OF_RUNS
from shared.documents import event_document
from shared.domain.events import Event
from shared.domain.schedule_events import BackfillAccepted
from shared.log.runs import Recorded, run_of

SPEC_VERSION = "1.0"
SOURCE = "urn:blotter:log"
TYPE_PREFIX = "blotter."


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """An event with what filters ask for, encoded once for everybody: `body` is its JSON, in one line."""

    position: int
    type: str
    task_id: UUID | None
    subject: UUID
    body: bytes


def task_of(event: Event) -> UUID | None:
    """Return the task that an event tells of; a branch is part of its run, and schedules are no tasks."""
    return run_of(event) if event.TOPIC.startswith(OF_RUNS) else None


def subject_of(event: Event) -> UUID:
    """Return what an event is about: its task or its schedule, else its own stream."""
    return event.schedule_id if isinstance(event, BackfillAccepted) else run_of(event)


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


def cloud_event(recorded: Recorded) -> dict[str, Any]:
    """Return an event in the JSON format of CloudEvents 1.0, structured mode.

    `id` is its stream and version, which is unique within `source`. `position` and `actor` are extensions of ours,
    `traceparent` that of the specification for distributed tracing; it is left out where no trace is known, since the
    format has no empty attributes.
    """
    event, known = recorded.event, event_document(recorded)
    document = {
        "specversion": SPEC_VERSION,
        "id": f"{known['stream']}:{known['version']}",
        "source": SOURCE,
        "type": f"{TYPE_PREFIX}{event.TOPIC}",
        "subject": str(subject_of(event)),
        "time": known["at"],
        "datacontenttype": "application/json",
        "position": recorded.position,
        "actor": event.actor,
        "data": known["data"],
    }
    return document | ({"traceparent": event.trace} if event.trace else {})

"""The log's events as CloudEvents 1.0: what pollers, subscribers and webhooks are given."""

from typing import Any
from uuid import UUID

from shared.documents import event_document
from shared.domain.events import Event
from shared.domain.schedule_events import BackfillAccepted
from shared.log.runs import Recorded, run_of

SPEC_VERSION = "1.0"
SOURCE = "urn:blotter:log"
TYPE_PREFIX = "blotter."


def subject_of(event: Event) -> UUID:
    """Return what an event is about: its task or its schedule, else its own stream."""
    return event.schedule_id if isinstance(event, BackfillAccepted) else run_of(event)


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

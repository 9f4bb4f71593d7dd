"""The frozen samples, as events."""

from __future__ import annotations

import json
from uuid import UUID

from eventsourcing.persistence import StoredEvent

from shared.domain.events import Event
from shared.log.mapper import MsgspecMapper
from tests.architecture.test_event_samples import FILES, topic_of


def sampled_events() -> list[Event]:
    """An event of every kind and of each of its forms, with every field set."""
    mapper = MsgspecMapper()
    samples = [(topic_of(file), file.read_bytes()) for file in FILES]
    return [mapper.to_domain_event(_row(topic, state)) for topic, state in samples]


def _row(topic: str, state: bytes) -> StoredEvent:
    fields = json.loads(state)
    return StoredEvent(UUID(fields["originator_id"]), fields["originator_version"], topic, state)

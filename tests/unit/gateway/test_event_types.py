"""Which types of events may be asked for."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from services.gateway.event_types import FAMILIES, METRICS, PUSHED, TOPICS, topics_of
from services.gateway.queries import EventsQuery


def test_types_are_taken_apart_at_commas() -> None:
    """Repeated or in one text, and each topic once."""
    query = EventsQuery.model_validate({"types": ["execution.failed,execution.succeeded", "execution.failed"]})
    assert topics_of(query.types) == ("execution.failed", "execution.succeeded")


def test_all_that_begin_alike_are_named_at_once() -> None:
    """Together they are all that is pushed, but for metrics; no type at all means no condition."""
    assert {*topics_of(list(FAMILIES)), METRICS} == set(PUSHED)
    assert set(topics_of(["branch.*"])) == {topic for topic in TOPICS if topic.startswith("branch.")}
    assert topics_of([]) == ()


@pytest.mark.parametrize(
    "name", ["", "*", "execution", "execution.", "exec*", "Execution.failed", "blotter.execution.*"]
)
def test_what_is_no_type_is_refused(name: str) -> None:
    """Nothing is guessed."""
    with pytest.raises(ValidationError):
        EventsQuery.model_validate({"types": [name]})

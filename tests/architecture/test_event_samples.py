"""Frozen samples of every event: what a log holds today must be readable for ever."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from eventsourcing.persistence import StoredEvent

from shared.domain.events import EVENTS
from shared.log.mapper import MsgspecMapper

SAMPLES = Path(__file__).parent / "samples"
FILES = sorted(SAMPLES.glob("*.json"))


def topic_of(sample: Path) -> str:
    """The topic in a file's name: `<topic>.json`, or `<topic>.2.json` for a later form of the event."""
    return re.sub(r"\.\d+$", "", sample.stem)


def missing(topics: set[str], sampled: set[str]) -> list[str]:
    """A sentence for each topic without a sample."""
    return [
        f"{topic} has no frozen sample. Build one event of it with every field set, write "
        f"MsgspecMapper().to_stored_event(event).state to {SAMPLES.name}/{topic}.json, indented, and never change "
        "that file again."
        for topic in sorted(topics - sampled)
    ]


def lost(sample: Any, again: Any, path: str = "") -> list[str]:
    """The paths at which `again` is not what `sample` is; keys that only `again` has are new fields."""
    if isinstance(sample, dict) and isinstance(again, dict):
        gone = [f"{path}.{key} is gone" for key in sample.keys() - again.keys()]
        return gone + [
            each for key in sample.keys() & again.keys() for each in lost(sample[key], again[key], f"{path}.{key}")
        ]
    if isinstance(sample, list) and isinstance(again, list) and len(sample) == len(again):
        return [
            each
            for number, pair in enumerate(zip(sample, again, strict=True))
            for each in lost(*pair, f"{path}[{number}]")
        ]
    return [] if sample == again else [f"{path} was {sample!r} and is {again!r}"]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_sample_is_read_and_written_again_without_loss(file: Path) -> None:
    """Each value of the frozen JSON is in what today's code makes of it; only new fields are added."""
    sample = json.loads(file.read_bytes())
    assert topic_of(file) in EVENTS, f"{topic_of(file)} is not registered any more: old logs cannot be read"
    row = StoredEvent(
        UUID(sample["originator_id"]), sample["originator_version"], topic_of(file), json.dumps(sample).encode()
    )
    mapper = MsgspecMapper()
    event = mapper.to_domain_event(row)
    assert (event.originator_id, event.originator_version) == (row.originator_id, row.originator_version)
    assert row.topic == event.TOPIC
    assert lost(sample, json.loads(mapper.to_stored_event(event).state)) == []


def test_every_registered_topic_has_a_sample() -> None:
    """A new event is frozen in the change that brings it."""
    assert missing(set(EVENTS.topics), {topic_of(file) for file in FILES}) == []


def test_a_topic_without_a_sample_is_told_how_to_get_one() -> None:
    """The sentence names the topic and the file to write."""
    [sentence] = missing({"a.known", "a.new_thing"}, {"a.known"})
    assert "samples/a.new_thing.json" in sentence


def test_a_loss_is_found_at_any_depth() -> None:
    """Removed keys, changed values and shortened lists are found; added keys are none."""
    sample = {"a": {"b": [1, {"c": 2}]}, "d": None}
    assert lost(sample, {"a": {"b": [1, {"c": 2, "new": 0}]}, "d": None, "new": 0}) == []
    assert lost(sample, {"a": {"b": [1, {}]}, "d": None}) == [".a.b[1].c is gone"]
    assert lost(sample, {"a": {"b": [1]}, "d": 0}) != []

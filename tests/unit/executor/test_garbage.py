"""Which objects may go: pure decisions, and how references are found in events."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from typing import Any
from uuid import uuid4

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from services.executor.garbage import collect, references_in
from shared.domain.events import Event
from shared.domain.execution_events import Artifact, StepCompleted, Succeeded
from shared.domain.outputs import ObjectRef, Output, OutputKind
from shared.log.mapper import MsgspecMapper
from shared.objects import StoredObject
from shared.objects.store import reference
from tests.builders import NOW, stamp

DIGESTS = st.binary(min_size=32, max_size=32)
STORED = st.lists(
    st.builds(
        StoredObject,
        sha256=DIGESTS.map(bytes.hex),
        size=st.integers(0, 1000),
        modified_at=st.integers(-3, 3).map(lambda days: NOW + timedelta(days=days)),
    ),
    unique_by=lambda stored: stored.sha256,
    max_size=30,
)


def ref(data: bytes) -> ObjectRef:
    """A reference to some content."""
    return reference(data, "application/octet-stream")


def digest(data: bytes) -> bytes:
    """The digest of some content, in the form of the collection."""
    return hashlib.sha256(data).digest()


def as_stored(event: Event) -> bytes:
    """An event as the log has it."""
    return MsgspecMapper().to_stored_event(event).state


def event(kind: type[Event], **fields: Any) -> bytes:
    """An event of a kind, as the log has it."""
    made = stamp()
    metadata: dict[str, Any] = {"originator_id": uuid4(), "originator_version": 2, "at": made.at, "actor": made.actor}
    return as_stored(kind(**metadata, append_id=made.append_id, **fields))


@given(objects=STORED, referenced=st.sets(st.integers(0, 29)), strangers=st.sets(DIGESTS))
def test_what_is_referred_to_or_young_stays_and_all_else_goes(
    objects: list[StoredObject], referenced: set[int], strangers: set[bytes]
) -> None:
    """Each object has one fate; references to objects that are not there change nothing."""
    references = {bytes.fromhex(objects[place].sha256) for place in referenced if place < len(objects)} | strangers
    verdict = collect(references, objects, older_than=NOW)
    assert verdict.referenced + verdict.young + len(verdict.garbage) == len(objects)
    for each in objects:
        stays = bytes.fromhex(each.sha256) in references or each.modified_at > NOW
        assert (each in verdict.garbage) is not stays
    assert verdict.young == sum(
        each.modified_at > NOW and bytes.fromhex(each.sha256) not in references for each in objects
    )


@given(objects=STORED, fewer=st.sets(st.integers(0, 29)), more=st.sets(st.integers(0, 29)), days=st.integers(0, 3))
def test_more_references_and_more_patience_never_remove_more(
    objects: list[StoredObject], fewer: set[int], more: set[int], days: int
) -> None:
    """A reader of the log that is further on, or a longer grace, can only keep."""

    def digests(places: set[int]) -> set[bytes]:
        return {bytes.fromhex(objects[place].sha256) for place in places if place < len(objects)}

    eager = collect(digests(fewer), objects, older_than=NOW)
    patient = collect(digests(fewer | more), objects, older_than=NOW - timedelta(days=days))
    assert set(patient.garbage) <= set(eager.garbage)


def test_the_references_of_a_completed_step_are_found() -> None:
    """Its output and each of its artifacts."""
    state = event(
        StepCompleted,
        attempt=1,
        step="load",
        started_at=NOW,
        output=Output(kind=OutputKind.POLARS_FRAME, ref=ref(b"frame")),
        artifacts=(Artifact(name="a.png", ref=ref(b"a")), Artifact(name="b.svg", ref=ref(b"b"))),
    )
    assert set(references_in(state)) == {digest(b"frame"), digest(b"a"), digest(b"b")}


def test_the_references_of_a_result_are_found_in_place_and_elsewhere() -> None:
    """A large result is an object; a small one may name the last step's output as plain JSON."""
    elsewhere = event(Succeeded, attempt=1, result=Output(ref=ref(b"result")))
    in_place = event(Succeeded, attempt=1, result=Output(inline={"output": [msgspec.to_builtins(ref(b"frame"))]}))
    assert set(references_in(elsewhere)) == {digest(b"result")}
    assert set(references_in(in_place)) == {digest(b"frame")}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | DIGESTS.map(lambda data: msgspec.to_builtins(ref(data))),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(value=JSON)
def test_references_are_found_wherever_they_stand(value: Any) -> None:
    """In fields of events that do not exist yet, between any other values."""

    def inside(part: Any) -> set[str]:
        if isinstance(part, dict):
            own = {part["sha256"]} if "uri" in part and "sha256" in part else set()
            return own.union(*(inside(each) for each in part.values()))
        return set().union(*(inside(each) for each in part)) if isinstance(part, list) else set()

    assert {found.hex() for found in references_in(msgspec.json.encode(value))} == inside(value)


def test_what_is_no_reference_is_none() -> None:
    """A hash alone, a hash of another kind, and one that is too short."""
    texts = ["0" * 64, "object://md5/" + "0" * 64, "object://sha256/" + "0" * 63, "object://sha256/" + "G" * 64]
    assert list(references_in(msgspec.json.encode(texts))) == []

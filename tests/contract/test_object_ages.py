"""How objects grow old and are removed: what every store does, so that nothing is removed that has just been put."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from shared.domain.outputs import ObjectRef
from shared.objects import LocalObjectStore, ObjectMissing, ObjectStore
from shared.objects.local import LOCK
from tests.contract.object_stores import KINDS, Subject, in_folder, opened, path_of

FOR_EVER = datetime(9999, 1, 1, tzinfo=UTC)
NEVER = datetime(1970, 1, 1, tzinfo=UTC)


@pytest.fixture(params=KINDS)
def subject(request: pytest.FixtureRequest) -> Iterator[Subject]:
    """One store after the other."""
    with opened(request.param, request) as subject:
        yield subject


@pytest.fixture
def store(subject: Subject) -> ObjectStore:
    """The store alone."""
    return subject.store


def put(store: ObjectStore, data: bytes) -> ObjectRef:
    """Put something."""
    return store.put(data, "application/octet-stream")


def test_an_empty_store_lists_nothing(store: ObjectStore) -> None:
    """Also one whose folder is not there yet."""
    assert list(store.list()) == []


def test_each_object_is_listed_once_with_its_size_and_time(store: ObjectStore) -> None:
    """Twice the same content is one object; an hour is more than clocks of one machine differ."""
    refs = {ref.sha256: ref for ref in (put(store, data) for data in (b"", b"bars", b"bars", b"x" * 100_000))}
    listed = {each.sha256: each for each in store.list()}
    assert {digest: each.size for digest, each in listed.items()} == {ref.sha256: ref.size for ref in refs.values()}
    for each in listed.values():
        assert abs(each.modified_at - datetime.now(UTC)) < timedelta(hours=1)


def test_an_old_object_is_removed_and_a_young_one_stays(subject: Subject, store: ObjectStore) -> None:
    """The moment itself counts as old; what is removed once is not there to be removed again."""
    ref = put(store, b"bars")
    put_at = subject.listed(ref).modified_at
    assert not store.delete(ref.sha256, unless_newer_than=put_at - timedelta(seconds=1))
    assert store.get(ref) == b"bars"
    assert store.delete(ref.sha256, unless_newer_than=put_at)
    assert not store.exists(ref)
    with pytest.raises(ObjectMissing):
        store.get(ref)
    assert not store.delete(ref.sha256, unless_newer_than=FOR_EVER)


def test_what_was_never_there_cannot_be_removed(store: ObjectStore) -> None:
    """Neither from an empty store nor from another object's folder."""
    assert not store.delete("0" * 64, unless_newer_than=FOR_EVER)
    put(store, b"bars")
    assert not store.delete("0" * 64, unless_newer_than=FOR_EVER)


def test_putting_it_again_makes_an_old_object_young(subject: Subject, store: ObjectStore) -> None:
    """A step that returns what another one returned a year ago must find it a minute later."""
    ref = put(store, b"bars")
    subject.grow_old()
    old = subject.listed(ref).modified_at
    assert put(store, b"bars") == ref
    assert subject.listed(ref) == (ref.sha256, ref.size, subject.listed(ref).modified_at)
    assert subject.listed(ref).modified_at > old
    assert not store.delete(ref.sha256, unless_newer_than=old)
    assert store.get(ref) == b"bars"


def test_reading_does_not_keep_an_object_young(subject: Subject, store: ObjectStore) -> None:
    """Its age is the time since it was put."""
    ref = put(store, b"bars")
    subject.grow_old()
    old = subject.listed(ref).modified_at
    store.get(ref)
    list(store.stream(ref))
    assert subject.listed(ref).modified_at == old


def test_an_object_that_was_removed_can_be_put_again(store: ObjectStore) -> None:
    """Like any other."""
    ref = put(store, b"bars")
    assert store.delete(ref.sha256, unless_newer_than=FOR_EVER)
    assert put(store, b"bars") == ref
    assert store.get(ref) == b"bars"
    assert [each.sha256 for each in store.list()] == [ref.sha256]


def test_a_stream_that_has_begun_survives_nothing_or_all(store: ObjectStore) -> None:
    """A reader gets the whole object, or learns that it is gone; never a part that looks whole."""
    data = bytes(3 << 20)
    ref = put(store, data)
    pieces = store.stream(ref)
    read = next(pieces)
    store.delete(ref.sha256, unless_newer_than=FOR_EVER)
    try:
        read += b"".join(pieces)
    except ObjectMissing:
        return
    assert read == data


def test_sweeping_removes_no_object(store: ObjectStore) -> None:
    """However old they are."""
    ref = put(store, b"bars")
    assert store.sweep(older_than=FOR_EVER) == 0
    assert store.get(ref) == b"bars"


def test_whole_objects_come_and_go_while_they_are_listed(store: ObjectStore) -> None:
    """A list that is under way fails for nobody."""
    first = [put(store, bytes([number])) for number in range(20)]
    listing = store.list()
    next(listing)
    for ref in first[::2]:
        store.delete(ref.sha256, unless_newer_than=FOR_EVER)
    put(store, b"another")
    assert {ref.sha256 for ref in first[1::2]} - {each.sha256 for each in listing} <= {ref.sha256 for ref in first}


@pytest.mark.parametrize("kind", ["memory", "folder"])
def test_what_is_put_while_it_is_removed_is_there(kind: str, request: pytest.FixtureRequest) -> None:
    """400 times at the same moment: whoever comes first, the object is there once its put has returned."""
    with opened(kind, request) as subject:
        together = threading.Barrier(2, timeout=30)

        def remove(_: int) -> None:
            together.wait()
            subject.store.delete(ref.sha256, unless_newer_than=bound)

        with ThreadPoolExecutor(1) as pool:
            for number in range(400):
                ref = put(subject.store, b"bars")
                subject.grow_old()
                bound = subject.listed(ref).modified_at
                removal = pool.submit(remove, number)
                together.wait()
                put(subject.store, b"bars")
                removal.result()
                assert subject.store.get(ref) == b"bars"


def test_a_folder_is_swept_of_what_dead_writers_left(tmp_path: Path) -> None:
    """A worker that is killed in the middle of a write leaves a part; one that still writes keeps it."""
    subject = in_folder(tmp_path)
    ref = put(subject.store, b"bars")
    part = path_of(tmp_path, ref).with_name(f"{ref.sha256}.0123.part")
    part.write_bytes(b"ba")
    assert subject.store.sweep(older_than=NEVER) == 0
    assert part.exists()
    subject.grow_old()
    assert subject.store.sweep(older_than=datetime.now(UTC)) == 2
    assert not part.exists()
    assert subject.store.get(ref) == b"bars"


def test_a_folder_lists_only_what_is_its_own(tmp_path: Path) -> None:
    """Files that people put beside the objects are neither listed nor removed."""
    store = LocalObjectStore(tmp_path)
    ref = put(store, b"bars")
    misplaced = tmp_path / "ab" / "cd" / ref.sha256
    for stranger in (tmp_path / "README", tmp_path / "ab" / "cd" / "notes.txt", misplaced):
        stranger.parent.mkdir(parents=True, exist_ok=True)
        stranger.write_bytes(b"mine")
    assert [each.sha256 for each in store.list()] == [ref.sha256]
    assert misplaced.exists()


def test_the_lock_of_a_folder_may_belong_to_somebody_else(tmp_path: Path) -> None:
    """A collection that ran as another user must not keep workers from writing."""
    store = LocalObjectStore(tmp_path)
    put(store, b"bars")
    (tmp_path / LOCK).chmod(0o444)
    ref = put(store, b"more bars")
    assert store.delete(ref.sha256, unless_newer_than=FOR_EVER)
    assert os.stat(tmp_path / LOCK).st_size == 0

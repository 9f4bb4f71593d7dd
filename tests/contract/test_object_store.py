"""What every object store does: the one in memory, the one in a folder, and the one in a bucket of a real server."""

import hashlib
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.domain.outputs import ObjectRef
from shared.objects import LocalObjectStore, ObjectCorrupt, ObjectMissing, ObjectStore
from shared.objects.local import LOCK
from shared.objects.store import CHUNK_BYTES
from tests.contract.object_stores import KINDS, Subject, in_memory, opened, path_of

BIG = bytes(range(256)) * (5 * 4096)
"""5 MiB."""


@pytest.fixture(params=KINDS)
def subject(request: pytest.FixtureRequest) -> Iterator[Subject]:
    """One store after the other."""
    with opened(request.param, request) as subject:
        yield subject


@pytest.fixture
def store(subject: Subject) -> ObjectStore:
    """The store alone."""
    return subject.store


@pytest.mark.parametrize("data", [b"", b"bars", b"\x00" * 100, BIG], ids=["empty", "text", "zeros", "5 MiB"])
def test_an_object_comes_back_whole_and_in_pieces(store: ObjectStore, data: bytes) -> None:
    """Empty ones and large ones too; no piece is larger than promised."""
    ref = store.put(data, "application/octet-stream")
    assert store.get(ref) == data
    pieces = list(store.stream(ref))
    assert b"".join(pieces) == data
    assert all(0 < len(piece) <= CHUNK_BYTES for piece in pieces)


@given(data=st.binary())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=30)
def test_any_bytes_come_back(store: ObjectStore, data: bytes) -> None:
    """Whatever the bytes are."""
    assert store.get(store.put(data, "application/octet-stream")) == data


def test_a_reference_says_where_what_and_how_much(store: ObjectStore) -> None:
    """All stores name the same content alike, so that a store can be moved."""
    digest = hashlib.sha256(b"bars").hexdigest()
    assert store.put(b"bars", "text/plain") == ObjectRef(
        uri=f"object://sha256/{digest}", media_type="text/plain", size=4, sha256=digest
    )


def test_the_same_content_is_kept_once_under_each_media_type_that_was_said(store: ObjectStore) -> None:
    """The media type belongs to the reference, not to the object."""
    plain, html = store.put(b"<p>", "text/plain"), store.put(b"<p>", "text/html")
    assert (plain.uri, plain.media_type, html.media_type) == (html.uri, "text/plain", "text/html")
    assert store.get(plain) == store.get(html) == b"<p>"


def test_an_object_exists_from_when_it_is_put_until_it_is_removed(subject: Subject) -> None:
    """Without being read."""
    elsewhere = in_memory().store.put(b"bars", "text/plain")
    assert not subject.store.exists(elsewhere)
    ref = subject.store.put(b"bars", "text/plain")
    assert ref == elsewhere
    assert subject.store.exists(ref)
    subject.remove(ref)
    assert not subject.store.exists(ref)


def test_a_missing_object_is_named(store: ObjectStore) -> None:
    """Before the first piece too, while an answer can still be a 404."""
    elsewhere = in_memory().store.put(b"bars", "text/plain")
    with pytest.raises(ObjectMissing, match=elsewhere.uri) as missing:
        store.get(elsewhere)
    assert missing.value.code == "object_not_found"
    with pytest.raises(ObjectMissing):
        store.stream(elsewhere)


@pytest.mark.parametrize("damaged", [b"rats", b"", b"bars!", b"bar"], ids=["changed", "empty", "longer", "shorter"])
def test_a_damaged_object_is_never_passed_on_as_whole(subject: Subject, damaged: bytes) -> None:
    """A stream has to break off: its pieces are out before the hash is known."""
    ref = subject.store.put(b"bars", "text/plain")
    subject.overwrite(ref, damaged)
    with pytest.raises(ObjectCorrupt, match="is damaged"):
        subject.store.get(ref)
    with pytest.raises(ObjectCorrupt):
        list(subject.store.stream(ref))


def test_an_object_of_the_wrong_size_is_refused_before_its_first_piece(subject: Subject) -> None:
    """While an answer can still say so."""
    ref = subject.store.put(BIG, "application/octet-stream")
    subject.overwrite(ref, BIG[:-1])
    with pytest.raises(ObjectCorrupt):
        subject.store.stream(ref)


def test_a_damaged_object_is_mended_by_putting_it_again(subject: Subject) -> None:
    """Running a task again is what the error tells people to do."""
    ref = subject.store.put(b"bars", "text/plain")
    subject.overwrite(ref, b"rats")
    assert subject.store.put(b"bars", "text/plain") == ref
    assert subject.store.get(ref) == b"bars"


@pytest.mark.parametrize(
    ("uri", "sha256"),
    [
        ("object://sha256/../../etc/passwd", "../../etc/passwd"),
        ("object://sha256/" + "0" * 64, "1" * 64),
        ("file:///etc/passwd", "0" * 64),
        ("object://sha256/" + "A" * 64, "A" * 64),
    ],
)
def test_a_reference_of_no_store_is_refused(store: ObjectStore, uri: str, sha256: str) -> None:
    """References come out of the log, and none may lead out of the store."""
    foreign = ObjectRef(uri=uri, media_type="text/plain", size=1, sha256=sha256)
    for read in (store.get, store.stream, store.exists):
        with pytest.raises(ValueError, match="no reference of this store"):
            read(foreign)


def test_many_writers_of_the_same_content_at_once_do_no_harm(store: ObjectStore) -> None:
    """Two workers may run a step twice, and readers may come at any moment after the first is done."""
    together = threading.Barrier(8, timeout=30)

    def put(number: int) -> bytes:
        together.wait()
        return store.get(store.put(BIG[:CHUNK_BYTES], "application/octet-stream"))

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(put, range(8))) == {BIG[:CHUNK_BYTES]}


def test_a_folder_holds_one_file_for_each_content_and_nothing_else(tmp_path: Path) -> None:
    """But for the lock: no temporary file is left behind, and the name is the hash."""
    store = LocalObjectStore(tmp_path)
    refs = [store.put(data, "text/plain") for data in (b"a", b"b", b"a", b"")]
    files = {path for path in tmp_path.rglob("*") if path.is_file()}
    assert files == {path_of(tmp_path, ref) for ref in refs} | {tmp_path / LOCK}


def test_a_put_that_fails_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A half-written file must not be found under the name of the whole."""
    store = LocalObjectStore(tmp_path)

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        store.put(b"bars", "text/plain")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_two_processes_may_share_a_folder(tmp_path: Path) -> None:
    """What one has put, another finds by the reference from the log."""
    ref = LocalObjectStore(tmp_path).put(b"bars", "text/plain")
    from_the_log = msgspec.json.decode(msgspec.json.encode(ref), type=ObjectRef)
    assert LocalObjectStore(str(tmp_path)).get(from_the_log) == b"bars"

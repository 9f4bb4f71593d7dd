"""What only a store in a bucket does: copies, ages, parts, and words for what goes wrong; against a real server."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from uuid import uuid4

import obstore
import pytest
from obstore.store import S3Store

from infra.local.ports import free_port
from shared.domain.errors import Unavailable
from shared.domain.outputs import ObjectRef
from shared.errors import TemporaryError
from shared.objects import ObjectMissing, StoreUnavailable
from shared.objects.s3 import BLOCK_BYTES, PART_BYTES, S3ObjectStore
from shared.workflow.classification import classify
from tests.contract.object_stores import REFRESH_AFTER, S3_TICK_SECONDS, Clock, address_of
from tests.s3_server import S3Server
from tests.waiting import until


class Desk:
    """A prefix of the bucket, a store on it, and the bucket as the library sees it."""

    def __init__(self, server: S3Server) -> None:
        """Begin under a prefix that nobody has used."""
        self.server = server
        self.prefix = f"desk/{uuid4().hex}"
        self.clock = Clock()
        self.store = self.another()
        self.bucket: S3Store = server.bucket(self.prefix)

    def another(self) -> S3ObjectStore:
        """A store as another process has it."""
        return S3ObjectStore(address_of(self.server, self.prefix), refresh_after=REFRESH_AFTER, now=self.clock)

    def put(self, data: bytes = b"bars") -> ObjectRef:
        """Put something."""
        return self.store.put(data, "application/octet-stream")

    def keys(self) -> list[str]:
        """All keys below the prefix."""
        return [copy["path"] for copy in obstore.list(self.bucket).collect()]


@pytest.fixture
def desk(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """A desk whose key is in the environment."""
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)
    return Desk(s3)


def test_content_that_is_there_and_young_is_not_sent_again(desk: Desk) -> None:
    """By whichever process."""
    ref = desk.put()
    keys = desk.keys()
    assert desk.another().put(b"bars", "text/plain").sha256 == ref.sha256
    assert desk.keys() == keys


def test_content_that_is_old_is_sent_again_under_another_key(desk: Desk) -> None:
    """A key is written once; the old copy goes when the new one is there."""
    desk.put()
    (old,) = desk.keys()
    desk.clock.forward(2 * REFRESH_AFTER)
    ref = desk.put()
    (new,) = desk.keys()
    assert new != old
    assert desk.store.get(ref) == b"bars"


def test_an_object_in_several_parts_is_known_again(desk: Desk) -> None:
    """Its ETag is that of the parts; otherwise each put would send all of it."""
    data = bytes(range(256)) * ((PART_BYTES + BLOCK_BYTES) // 256) + b"end"
    ref = desk.put(data)
    keys = desk.keys()
    assert desk.put(data) == ref
    assert desk.keys() == keys
    assert desk.store.get(ref) == data


def test_what_is_put_between_the_look_and_the_removal_stays(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The removal names the copies that it has seen to be old."""
    ref = desk.put()
    collector = desk.another()
    bound = next(collector.list()).modified_at
    remove = collector._remove

    def late(copies: Sequence[obstore.ObjectMeta]) -> None:
        threading.Event().wait(S3_TICK_SECONDS)
        desk.clock.forward(2 * REFRESH_AFTER)
        desk.put()
        remove(copies)

    monkeypatch.setattr(collector, "_remove", late)
    assert collector.delete(ref.sha256, unless_newer_than=bound)
    assert desk.store.get(ref) == b"bars"
    assert len(desk.keys()) == 1


def test_a_reader_goes_on_with_another_copy(desk: Desk) -> None:
    """Somebody puts the content again, and removes the copy that is being read."""
    data = bytes(range(256)) * (3 << 12)
    ref = desk.put(data)
    pieces = desk.store.stream(ref)
    read = next(pieces)
    desk.clock.forward(2 * REFRESH_AFTER)
    desk.put(data)
    assert read + b"".join(pieces) == data


def test_a_reader_of_what_is_removed_learns_that_it_is_gone(desk: Desk) -> None:
    """It does not end as if it were whole."""
    ref = desk.put(bytes(3 << 20))
    pieces = desk.store.stream(ref)
    next(pieces)
    obstore.delete(desk.bucket, desk.keys())
    with pytest.raises(ObjectMissing):
        list(pieces)


def test_foreign_keys_under_the_prefix_are_left_alone(desk: Desk) -> None:
    """What is not named after a hash is none of ours."""
    obstore.put(desk.bucket, "notes/today.txt", b"mine")
    obstore.put(desk.bucket, "README", b"mine")
    ref = desk.put()
    assert [each.sha256 for each in desk.store.list()] == [ref.sha256]


def test_more_objects_are_listed_than_a_page_holds(desk: Desk) -> None:
    """A page of S3 has a thousand keys."""
    digests = {f"{number:064x}" for number in range(1100)}
    for digest in digests:
        obstore.put(desk.bucket, f"{digest}/copy", b"x")
    assert {each.sha256 for each in desk.store.list()} == digests


def asked(store: S3ObjectStore, ref: ObjectRef) -> Iterator[StoreUnavailable]:
    """What each question answers that a store away is asked."""
    for ask in (
        lambda: store.put(b"bars", "text/plain"),
        lambda: store.get(ref),
        lambda: store.stream(ref),
        lambda: store.exists(ref),
        lambda: list(store.list()),
        lambda: store.delete(ref.sha256, unless_newer_than=Clock()()),
    ):
        with pytest.raises(StoreUnavailable) as raised:
            ask()
        yield raised.value


def test_a_server_that_is_away_is_told_from_an_object_that_is_gone(desk: Desk) -> None:
    """Soon, with where it should be; a step tries again, and the gateway answers 503."""
    ref = desk.put()
    away = S3Server(endpoint=f"http://127.0.0.1:{free_port()}", key_id="x", secret="y")
    store = S3ObjectStore(address_of(away, "x"), refresh_after=REFRESH_AFTER)
    started = time.monotonic()
    for error in asked(store, ref):
        assert isinstance(error, Unavailable | TemporaryError)
        assert classify(error).retryable
        assert "does not answer" in error.detail
        assert away.endpoint in error.detail
        assert "\n" not in error.detail
    assert time.monotonic() - started < 30


def test_a_wrong_key_says_which_variables_to_set(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """And shows no secret."""
    ref = desk.put()
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "guessed-secret")
    for error in asked(desk.another(), ref):
        assert "AWS_SECRET_ACCESS_KEY" in error.detail
        assert "guessed" not in error.detail


def test_a_bucket_that_does_not_exist_is_named(desk: Desk) -> None:
    """It is not taken for an object that is gone."""
    ref = desk.put()
    nowhere = address_of(desk.server, "x", bucket="no-such-bucket")
    for error in asked(S3ObjectStore(nowhere, refresh_after=REFRESH_AFTER), ref):
        assert "There is no bucket 'no-such-bucket'" in error.detail


def test_a_store_that_was_asked_before_a_fork_says_so(desk: Desk) -> None:
    """The library would wait for ever for threads that did not come along."""
    ref = desk.put()
    child = os.fork()
    if child == 0:
        code = 1
        with suppress(BaseException):
            with pytest.raises(RuntimeError, match="forked"):
                desk.another().get(ref)
            code = 0
        os._exit(code)
    _, status = until(lambda: next((ended for ended in [os.waitpid(child, os.WNOHANG)] if ended[0]), None))
    assert os.waitstatus_to_exitcode(status) == 0


def test_old_copies_that_cannot_be_removed_do_no_harm(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key that may not delete is enough to put."""
    desk.put()
    desk.clock.forward(2 * REFRESH_AFTER)

    def refused(*_: object) -> None:
        raise obstore.exceptions.PermissionDeniedError("<Code>AccessDenied</Code>")

    monkeypatch.setattr(obstore, "delete", refused)
    ref = desk.put()
    assert desk.store.get(ref) == b"bars"
    (listed,) = desk.store.list()
    assert (len(desk.keys()), listed.size) == (2, 8)

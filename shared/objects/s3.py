"""An object store in a bucket of Amazon S3, or of any server that speaks its protocol, through `obstore`."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import TYPE_CHECKING, ClassVar
from uuid import uuid4

import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store

from shared.domain.outputs import ObjectRef
from shared.objects.address import S3Address
from shared.objects.store import (
    CHUNK_BYTES,
    ObjectCorrupt,
    ObjectMissing,
    StoredObject,
    StoreUnavailable,
    checked,
    digest_of,
    is_digest,
    reference,
)

if TYPE_CHECKING:
    from obstore import ObjectMeta
    from obstore.store import S3Config

PART_BYTES = 8 << 20
"""Larger objects are sent in parts of this size, so that no request takes long."""

BLOCK_BYTES = 16 << 20
"""What one request reads at most, for the same reason."""

CONNECT_TIMEOUT = timedelta(seconds=3)
REQUEST_TIMEOUT = timedelta(seconds=30)
RETRIES = 3
RETRY_FOR = timedelta(seconds=15)
MOST_LOOKS = 5
"""How often a read looks for another copy when the one it reads is removed under it."""

_NO_CREDENTIALS = "169.254.169.254"
_CODE = re.compile(r"<Code>(\w+)</Code>")
_REFUSALS = frozenset({"AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken"})


def _now() -> datetime:
    return datetime.now(UTC)


class S3ObjectStore:
    """Objects as `<prefix>/<sha256>/<copy>`: a key is written once, so that its age never changes.

    S3 cannot remove an object "unless it was written again", and the same content always has the same ETag. Therefore
    nothing is ever written again: who puts content that is there and old puts another copy of it, and only then removes
    the old ones by name. `delete` removes the copies that it has seen, never one that has come since. Any copy serves
    a reader.

    Content that is there and younger than `refresh_after` is not sent again. Who puts such content relies on it to stay
    for as long again until the log refers to it: the grace of the collection must be twice as long.

    Reads go in blocks, each a request of its own: a slow reader keeps no request open.

    Ask it nothing before a fork: the library's threads do not come along, and a child would wait for them for ever.
    """

    _asked_in: ClassVar[int | None] = None

    def __init__(self, address: S3Address, *, refresh_after: timedelta, now: Callable[[], datetime] = _now) -> None:
        self._address = address
        self._refresh_after = refresh_after
        self._now = now
        self._bucket = _connect(address)

    @property
    def place(self) -> str:
        """Return bucket, prefix and server."""
        return str(self._address)

    def put(self, data: bytes, media_type: str) -> ObjectRef:
        """Store `data`, unless a sound copy of it is there and young."""
        ref = reference(data, media_type)
        copies = self._copies(ref.sha256)
        if not self._suffice(copies, data):
            with self._asked():
                obstore.put(self._bucket, f"{ref.sha256}/{uuid4().hex}", data, chunk_size=PART_BYTES)
            with suppress(StoreUnavailable):  # they do no harm
                self._remove(copies)
        return ref

    def get(self, ref: ObjectRef) -> bytes:
        """Return the whole object; raises ObjectMissing, ObjectCorrupt or StoreUnavailable."""
        return b"".join(checked(self._blocks(ref, self._copy_of(ref), BLOCK_BYTES), ref))

    def stream(self, ref: ObjectRef) -> Iterator[bytes]:
        """Yield the object in pieces; raises ObjectMissing at once, ObjectCorrupt at once or after the last piece."""
        return checked(self._blocks(ref, self._copy_of(ref), CHUNK_BYTES), ref)

    def exists(self, ref: ObjectRef) -> bool:
        """Tell whether there is any copy of the object."""
        return bool(self._copies(digest_of(ref)))

    def list(self) -> Iterator[StoredObject]:
        """Yield every object, with the bytes of all its copies and the time of the youngest."""
        for digest, copies in groupby(self._all(), key=lambda copy: copy["path"].partition("/")[0]):
            if is_digest(digest):
                found = list(copies)
                yield StoredObject(digest, sum(copy["size"] for copy in found), _youngest(found))

    def delete(self, sha256: str, *, unless_newer_than: datetime) -> bool:
        """Remove all copies if none is newer; one that comes meanwhile stays."""
        copies = self._copies(sha256)
        if not copies or _youngest(copies) > unless_newer_than:
            return False
        self._remove(copies)
        return True

    def sweep(self, *, older_than: datetime) -> int:
        """Leave parts of uploads that were broken off to a lifecycle rule of the bucket, which S3 has for them."""
        return 0

    def _suffice(self, copies: Sequence[ObjectMeta], data: bytes) -> bool:
        """Tell whether one of the copies is young, and is what its server says that `data` would be."""
        since = self._now() - self._refresh_after
        young = [copy["e_tag"] for copy in copies if copy["last_modified"] > since]
        return bool(young) and _etag(data) in young

    def _all(self) -> Iterator[ObjectMeta]:
        pages = iter(obstore.list(self._bucket, chunk_size=1000))
        while True:
            with self._asked():
                page = next(pages, None)
            if page is None:
                return
            yield from page

    def _copies(self, digest: str) -> Sequence[ObjectMeta]:
        with self._asked():
            return obstore.list(self._bucket, prefix=digest).collect()

    def _copy_of(self, ref: ObjectRef) -> str:
        """Return the key of the youngest copy that has the right size."""
        copies = self._copies(digest_of(ref))
        if not copies:
            raise ObjectMissing(ref)
        right = [copy for copy in copies if copy["size"] == ref.size]
        if not right:
            raise ObjectCorrupt(ref)
        return max(right, key=lambda copy: (copy["last_modified"], copy["path"]))["path"]

    def _blocks(self, ref: ObjectRef, key: str, size: int) -> Iterator[bytes]:
        for start in range(0, ref.size, size):
            looks = 0
            while (block := self._block(key, start, min(start + size, ref.size))) is None:
                looks += 1
                if looks == MOST_LOOKS:
                    raise ObjectMissing(ref)
                key = self._copy_of(ref)
            yield block

    def _block(self, key: str, start: int, end: int) -> bytes | None:
        """Return a part of a copy, None if the copy is gone."""
        with self._asked():
            try:
                return obstore.get_range(self._bucket, key, start=start, end=end).to_bytes()
            except FileNotFoundError as error:
                if "NoSuchBucket" in str(error):
                    raise
                return None

    def _remove(self, copies: Sequence[ObjectMeta]) -> None:
        if copies:
            with self._asked():
                obstore.delete(self._bucket, [copy["path"] for copy in copies])

    @contextmanager
    def _asked(self) -> Iterator[None]:
        """Turn what the library raises into StoreUnavailable, with what to do."""
        if S3ObjectStore._asked_in not in (None, os.getpid()):
            raise RuntimeError("A bucket was asked before this process was forked: ask it in the child first.")
        S3ObjectStore._asked_in = os.getpid()
        try:
            yield
        except (BaseError, FileNotFoundError) as error:
            raise StoreUnavailable(_explained(str(error), self._address)) from error


def _connect(address: S3Address) -> S3Store:
    """Return the library's store; nothing is asked yet. Keys come from the AWS_* variables."""
    config: S3Config = {}
    if address.region:
        config["region"] = address.region
    if address.endpoint:
        config["endpoint"] = address.endpoint
    return S3Store(
        address.bucket,
        prefix=address.prefix or None,
        config=config,
        client_options={
            "allow_http": address.allow_http,
            "connect_timeout": CONNECT_TIMEOUT,
            "timeout": REQUEST_TIMEOUT,
        },
        retry_config={"max_retries": RETRIES, "retry_timeout": RETRY_FOR},
    )


def _etag(data: bytes) -> str:
    """Return the ETag that S3 gives to this content: its MD5, or that of the MD5s of its parts.

    A bucket with encryption by its own keys (SSE-KMS, SSE-C) gives others: there, content is sent again each time.
    """
    parts = [data[start : start + PART_BYTES] for start in range(0, len(data), PART_BYTES)] or [b""]
    digests = [hashlib.md5(part, usedforsecurity=False) for part in parts]
    if len(digests) == 1:
        return f'"{digests[0].hexdigest()}"'
    whole = hashlib.md5(b"".join(digest.digest() for digest in digests), usedforsecurity=False)
    return f'"{whole.hexdigest()}-{len(digests)}"'


def _youngest(copies: Sequence[ObjectMeta]) -> datetime:
    return max(copy["last_modified"] for copy in copies)


def _explained(reason: str, address: S3Address) -> str:
    """Return what happened and what to do, without the library's debugging output."""
    found = _CODE.search(reason)
    code = found[1] if found else ""
    if code == "NoSuchBucket":
        return f"There is no bucket {address.bucket!r} for {address}: make it, or correct BLOTTER_OBJECTS_URL."
    if code in _REFUSALS:
        return (
            f"The object store {address} does not let us in ({code}): set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY "
            "to a key that may list the bucket, and get, put and delete its objects."
        )
    if _NO_CREDENTIALS in reason:
        return f"There is no key for the object store {address}: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."
    what = f"answers {code}" if code else f"does not answer ({reason.partition(chr(10))[0].strip()})"
    return (
        f"The object store {address} {what}. Try again in a moment; if it stays so, check the server, and "
        "BLOTTER_OBJECTS_URL."
    )

"""The object stores that the contract is about, and ways to do to their objects what disks, people and time do."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import obstore
import pytest

from shared.domain.outputs import ObjectRef
from shared.objects import LocalObjectStore, MemoryObjectStore, ObjectStore, StoredObject
from shared.objects.address import S3Address, parse_objects_url
from shared.objects.s3 import S3ObjectStore
from tests.s3_server import S3Server

REFRESH_AFTER = timedelta(days=1)
S3_TICK_SECONDS = 1.1
"""The times of objects in S3 are whole seconds."""


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A store. `grow_old` lets so much time pass that what is put again must become young again."""

    store: ObjectStore
    overwrite: Callable[[ObjectRef, bytes], None]
    remove: Callable[[ObjectRef], None]
    grow_old: Callable[[], None]

    def listed(self, ref: ObjectRef) -> StoredObject:
        """What the store's list says of an object."""
        (found,) = [each for each in self.store.list() if each.sha256 == ref.sha256]
        return found


@dataclass
class Clock:
    """A clock that can be set forward."""

    ahead: timedelta = field(default_factory=timedelta)

    def __call__(self) -> datetime:
        """The time, as far ahead as it was set."""
        return datetime.now(UTC) + self.ahead

    def forward(self, by: timedelta) -> None:
        """Set it forward."""
        self.ahead += by


def in_memory() -> Subject:
    """The fake."""
    clock = Clock()
    store = MemoryObjectStore(now=clock)

    def overwrite(ref: ObjectRef, data: bytes) -> None:
        store.contents[ref.sha256] = data

    def remove(ref: ObjectRef) -> None:
        del store.contents[ref.sha256]

    return Subject(
        store=store, overwrite=overwrite, remove=remove, grow_old=lambda: clock.forward(REFRESH_AFTER + timedelta(1))
    )


def path_of(root: Path, ref: ObjectRef) -> Path:
    """Where a store in a folder keeps an object."""
    return root / ref.sha256[:2] / ref.sha256[2:4] / ref.sha256


def in_folder(root: Path) -> Subject:
    """A store in a folder that does not exist yet."""

    def overwrite(ref: ObjectRef, data: bytes) -> None:
        path_of(root, ref).write_bytes(data)

    def remove(ref: ObjectRef) -> None:
        path_of(root, ref).unlink()

    def grow_old() -> None:
        for path in root.rglob("*"):
            if path.is_file():
                then = path.stat().st_mtime - 2 * REFRESH_AFTER.total_seconds()
                os.utime(path, (then, then))

    return Subject(store=LocalObjectStore(root), overwrite=overwrite, remove=remove, grow_old=grow_old)


def address_of(server: S3Server, prefix: str, **changes: str) -> S3Address:
    """A prefix of the test server's bucket, as services read it from their settings."""
    address = parse_objects_url(server.url(prefix, **changes))
    assert isinstance(address, S3Address)
    return address


def in_bucket(server: S3Server) -> Subject:
    """A store under a prefix of its own; its keys come from the environment."""
    prefix, clock = uuid4().hex, Clock()
    store = S3ObjectStore(address_of(server, prefix), refresh_after=REFRESH_AFTER, now=clock)
    bucket = server.bucket(prefix)

    def keys_of(ref: ObjectRef) -> list[str]:
        return [copy["path"] for copy in obstore.list(bucket, prefix=ref.sha256).collect()]

    def overwrite(ref: ObjectRef, data: bytes) -> None:
        for key in keys_of(ref):
            obstore.put(bucket, key, data)

    def remove(ref: ObjectRef) -> None:
        obstore.delete(bucket, keys_of(ref))

    def grow_old() -> None:
        threading.Event().wait(S3_TICK_SECONDS)
        clock.forward(2 * REFRESH_AFTER)

    return Subject(store=store, overwrite=overwrite, remove=remove, grow_old=grow_old)


KINDS = ("memory", "folder", "bucket")


@contextmanager
def opened(kind: str, request: pytest.FixtureRequest) -> Iterator[Subject]:
    """One of the stores, empty; the S3 server is started only for those that need it."""
    match kind:
        case "memory":
            yield in_memory()
        case "folder":
            yield in_folder(request.getfixturevalue("tmp_path") / "deep" / "objects")
        case _:
            server: S3Server = request.getfixturevalue("s3")
            with pytest.MonkeyPatch.context() as environment:
                for name, value in server.environment.items():
                    environment.setenv(name, value)
                yield in_bucket(server)

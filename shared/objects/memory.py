"""An object store in memory, for tests and for `shared.testing`."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from threading import Lock

from shared.domain.outputs import ObjectRef
from shared.objects.store import (
    CHUNK_BYTES,
    ObjectCorrupt,
    ObjectMissing,
    StoredObject,
    checked,
    digest_of,
    reference,
    verified,
)


def _now() -> datetime:
    return datetime.now(UTC)


class MemoryObjectStore:
    """Objects in a dict by digest; gone with the process. `contents` is open to tests that break things."""

    place = "memory"

    def __init__(self, *, now: Callable[[], datetime] = _now) -> None:
        self.contents: dict[str, bytes] = {}
        self._put_at: dict[str, datetime] = {}
        self._now = now
        self._lock = Lock()

    def put(self, data: bytes, media_type: str) -> ObjectRef:
        """Store `data`."""
        ref = reference(data, media_type)
        with self._lock:
            self.contents[ref.sha256] = bytes(data)
            self._put_at[ref.sha256] = self._now()
        return ref

    def get(self, ref: ObjectRef) -> bytes:
        """Return the whole object; raises ObjectMissing or ObjectCorrupt."""
        return verified(self._content(ref), ref)

    def stream(self, ref: ObjectRef) -> Iterator[bytes]:
        """Yield the object in pieces; checked like `get`."""
        data = self._content(ref)
        if len(data) != ref.size:
            raise ObjectCorrupt(ref)
        return checked((data[start : start + CHUNK_BYTES] for start in range(0, len(data), CHUNK_BYTES)), ref)

    def exists(self, ref: ObjectRef) -> bool:
        """Tell whether there is such an object."""
        return digest_of(ref) in self.contents

    def list(self) -> Iterator[StoredObject]:
        """Yield every object."""
        with self._lock:
            found = [StoredObject(digest, len(data), self._put_at[digest]) for digest, data in self.contents.items()]
        yield from found

    def delete(self, sha256: str, *, unless_newer_than: datetime) -> bool:
        """Remove an object that was not put since."""
        with self._lock:
            if sha256 not in self.contents or self._put_at[sha256] > unless_newer_than:
                return False
            del self.contents[sha256], self._put_at[sha256]
            return True

    def sweep(self, *, older_than: datetime) -> int:
        """Find nothing: no writer dies without the store."""
        return 0

    def _content(self, ref: ObjectRef) -> bytes:
        try:
            return self.contents[digest_of(ref)]
        except KeyError:
            raise ObjectMissing(ref) from None

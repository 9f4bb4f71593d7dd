"""An object store in memory, for tests and for `shared.testing`."""

from collections.abc import Iterator

from shared.domain.outputs import ObjectRef
from shared.objects.store import CHUNK_BYTES, ObjectMissing, digest_of, reference, verified


class MemoryObjectStore:
    """Objects in a dict by digest; gone with the process. `contents` is open to tests that break things."""

    def __init__(self) -> None:
        self.contents: dict[str, bytes] = {}

    def put(self, data: bytes, media_type: str) -> ObjectRef:
        """Store `data`."""
        ref = reference(data, media_type)
        self.contents[ref.sha256] = bytes(data)
        return ref

    def get(self, ref: ObjectRef) -> bytes:
        """Return the whole object; raises ObjectMissing or ObjectCorrupt."""
        try:
            data = self.contents[digest_of(ref)]
        except KeyError:
            raise ObjectMissing(ref) from None
        return verified(data, ref)

    def stream(self, ref: ObjectRef) -> Iterator[bytes]:
        """Yield the object in pieces; checked like `get`."""
        data = self.contents.get(digest_of(ref))
        if data is None:
            raise ObjectMissing(ref)
        return self._pieces(data, ref)

    def exists(self, ref: ObjectRef) -> bool:
        """Tell whether there is such an object."""
        return digest_of(ref) in self.contents

    def _pieces(self, data: bytes, ref: ObjectRef) -> Iterator[bytes]:
        for start in range(0, len(data), CHUNK_BYTES):
            yield data[start : start + CHUNK_BYTES]
        verified(data, ref)

"""The promise of an object store, and what reading from one may answer.

::

    BlotterError
    ├── NotFound
    │   └── ObjectMissing    no object of this reference (any more)
    └── ObjectCorrupt        what is stored is not what was put
"""

import hashlib
import re
from collections.abc import Iterator
from typing import Protocol

from shared.domain.errors import BlotterError, NotFound
from shared.domain.outputs import ObjectRef

CHUNK_BYTES = 1 << 20
"""Size of the pieces in which a large object is streamed."""

URI_PREFIX = "object://sha256/"
_DIGEST = re.compile(r"[0-9a-f]{64}")


class ObjectMissing(NotFound):
    """The store has no object under this reference: it was removed, or it is in another store."""

    def __init__(self, ref: ObjectRef) -> None:
        super().__init__(
            "object",
            f"The object {ref.uri} is not in this store. It was removed by retention, or this process uses "
            "another store than the one that wrote it: compare BLOTTER_HOME of both.",
        )


class ObjectCorrupt(BlotterError):
    """The bytes in the store do not have the size and hash of their reference."""

    code = "object_corrupt"

    def __init__(self, ref: ObjectRef) -> None:
        super().__init__(
            f"The object {ref.uri} is damaged: its content does not match its SHA-256. Restore it from a backup, "
            "or run the task again to make it anew."
        )


class ObjectStore(Protocol):
    """Immutable objects under the hash of their content; the same content is stored once.

    One contract suite (`tests/contract/test_object_store.py`) holds for every store.
    """

    def put(self, data: bytes, media_type: str) -> ObjectRef:
        """Store `data` durably before returning; putting the same content again is harmless, also at once."""
        ...

    def get(self, ref: ObjectRef) -> bytes:
        """Return the whole object; raises ObjectMissing, or ObjectCorrupt when it is not what was put."""
        ...

    def stream(self, ref: ObjectRef) -> Iterator[bytes]:
        """Yield the object in pieces of at most CHUNK_BYTES.

        Raises ObjectMissing before the first piece, and ObjectCorrupt after the last: the hash is known only then,
        so whoever passes the pieces on must break off instead of ending well.
        """
        ...

    def exists(self, ref: ObjectRef) -> bool:
        """Tell whether there is an object under this reference, without reading it."""
        ...


def reference(data: bytes, media_type: str) -> ObjectRef:
    """Return the reference under which every store keeps `data`."""
    digest = hashlib.sha256(data).hexdigest()
    return ObjectRef(uri=URI_PREFIX + digest, media_type=media_type, size=len(data), sha256=digest)


def digest_of(ref: ObjectRef) -> str:
    """Return the hash that a reference names; raises ValueError for one that no store of ours has made."""
    digest = ref.uri.removeprefix(URI_PREFIX)
    if not _DIGEST.fullmatch(digest) or digest != ref.sha256:
        raise ValueError(f"{ref.uri!r} is no reference of this store: expected {URI_PREFIX}<sha256 in hex>")
    return digest


def verified(data: bytes, ref: ObjectRef) -> bytes:
    """Return `data` if it is what `ref` stands for; raises ObjectCorrupt."""
    if len(data) != ref.size or hashlib.sha256(data).hexdigest() != ref.sha256:
        raise ObjectCorrupt(ref)
    return data

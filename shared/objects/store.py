"""The promise of an object store, and what reading from one may answer.

::

    BlotterError
    ├── NotFound
    │   └── ObjectMissing    no object of this reference (any more)
    ├── Unavailable
    │   └── StoreUnavailable the store does not answer, or refuses (also a TemporaryError: steps are tried again)
    └── ObjectCorrupt        what is stored is not what was put
"""

import hashlib
import re
from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple, Protocol

from shared.domain.errors import BlotterError, NotFound, Unavailable
from shared.domain.outputs import ObjectRef
from shared.errors import TemporaryError

CHUNK_BYTES = 1 << 20
"""Size of the pieces in which a large object is streamed."""

URI_PREFIX = "object://sha256/"
_DIGEST = re.compile(r"[0-9a-f]{64}")


class ObjectMissing(NotFound):
    """The store has no object under this reference: it was removed, or it is in another store."""

    def __init__(self, ref: ObjectRef) -> None:
        super().__init__(
            "object",
            f"The object {ref.uri} is not in this store. It was removed by retention, or this process uses another "
            "store than the one that wrote it: compare BLOTTER_OBJECTS_URL and BLOTTER_HOME of both.",
        )


class ObjectCorrupt(BlotterError):
    """The bytes in the store do not have the size and hash of their reference."""

    code = "object_corrupt"

    def __init__(self, ref: ObjectRef) -> None:
        super().__init__(
            f"The object {ref.uri} is damaged: its content does not match its SHA-256. Restore it from a backup, "
            "or run the task again to make it anew."
        )


class StoreUnavailable(Unavailable, TemporaryError):
    """The store does not answer, or does not let us in; nothing is known of the object itself."""


class StoredObject(NamedTuple):
    """What a store holds of one content: the bytes it takes there, and when it was last put (aware UTC)."""

    sha256: str
    size: int
    modified_at: datetime


class ObjectStore(Protocol):
    """Immutable objects under the hash of their content; the same content is stored once.

    One contract suite (`tests/contract/test_object_store.py`) holds for every store. A store that is away raises
    StoreUnavailable (a folder: OSError) from whatever it is asked.
    """

    @property
    def place(self) -> str:
        """Return where the objects are, for people."""
        ...

    def put(self, data: bytes, media_type: str) -> ObjectRef:
        """Store `data` durably before returning; putting the same content again is harmless, also at once.

        It makes the object young again: no `delete` under way removes what has just been put.
        """
        ...

    def get(self, ref: ObjectRef) -> bytes:
        """Return the whole object; raises ObjectMissing, or ObjectCorrupt when it is not what was put."""
        ...

    def stream(self, ref: ObjectRef) -> Iterator[bytes]:
        """Yield the object in pieces of at most CHUNK_BYTES.

        Raises ObjectMissing, or ObjectCorrupt for a wrong size, before the first piece; ObjectCorrupt after the last
        for a wrong hash, which is known only then: whoever passes the pieces on must break off instead of ending well.
        """
        ...

    def exists(self, ref: ObjectRef) -> bool:
        """Tell whether there is an object under this reference, without reading it."""
        ...

    def list(self) -> Iterator[StoredObject]:
        """Yield every object, in no order; what is put or removed meanwhile may be among them or not."""
        ...

    def delete(self, sha256: str, *, unless_newer_than: datetime) -> bool:
        """Remove an object that was last put at that moment or before; tell whether there was one to remove.

        One that somebody puts at the same time stays, or is there again when that put returns.
        """
        ...

    def sweep(self, *, older_than: datetime) -> int:
        """Remove what writers that died have left half-written before that moment; return its bytes."""
        ...


def reference(data: bytes, media_type: str) -> ObjectRef:
    """Return the reference under which every store keeps `data`."""
    digest = hashlib.sha256(data).hexdigest()
    return ObjectRef(uri=URI_PREFIX + digest, media_type=media_type, size=len(data), sha256=digest)


def digest_of(ref: ObjectRef) -> str:
    """Return the hash that a reference names; raises ValueError for one that no store of ours has made."""
    digest = ref.uri.removeprefix(URI_PREFIX)
    if not is_digest(digest) or digest != ref.sha256:
        raise ValueError(f"{ref.uri!r} is no reference of this store: expected {URI_PREFIX}<sha256 in hex>")
    return digest


def is_digest(text: str) -> bool:
    """Tell whether `text` is a SHA-256 in lower-case hex, as all stores name their objects."""
    return _DIGEST.fullmatch(text) is not None


def verified(data: bytes, ref: ObjectRef) -> bytes:
    """Return `data` if it is what `ref` stands for; raises ObjectCorrupt."""
    if len(data) != ref.size or hashlib.sha256(data).hexdigest() != ref.sha256:
        raise ObjectCorrupt(ref)
    return data


def checked(pieces: Iterator[bytes], ref: ObjectRef) -> Iterator[bytes]:
    """Yield `pieces`; raises ObjectCorrupt after the last if together they are not what `ref` stands for."""
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
        yield piece
    if digest.hexdigest() != ref.sha256:
        raise ObjectCorrupt(ref)

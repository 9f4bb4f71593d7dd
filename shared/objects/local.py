"""An object store in a folder: one file for each content, named after its SHA-256."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

from shared.domain.outputs import ObjectRef
from shared.objects.store import CHUNK_BYTES, ObjectCorrupt, ObjectMissing, digest_of, reference, verified


class LocalObjectStore:
    """Objects as `<root>/ab/cd/abcd...`; several processes may write to one folder at once.

    A file appears under its name only when it is complete and on the disk: it is written beside its place, synced,
    and renamed. A crash leaves at most a `*.part` file, which nothing reads.
    """

    def __init__(self, root: Path | str) -> None:
        self.root = Path(root).expanduser()

    def put(self, data: bytes, media_type: str) -> ObjectRef:
        """Store `data`; a damaged file of the same name is replaced."""
        ref = reference(data, media_type)
        path = self._path(ref.sha256)
        if not _holds(path, data):
            self._write(path, data)
        # Without this, a power cut may forget the name while the log already refers to it. Done for a file that was
        # there already too: its writer may not have come as far.
        for folder in (path.parent, path.parent.parent, self.root):
            _sync_folder(folder)
        return ref

    def get(self, ref: ObjectRef) -> bytes:
        """Return the whole object; raises ObjectMissing or ObjectCorrupt."""
        with self._open(ref) as file:
            return verified(file.read(), ref)

    def stream(self, ref: ObjectRef) -> Iterator[bytes]:
        """Yield the object in pieces; raises ObjectMissing at once, ObjectCorrupt after the last piece."""
        return _pieces(self._open(ref), ref)

    def exists(self, ref: ObjectRef) -> bool:
        """Tell whether there is such an object."""
        return self._path(digest_of(ref)).is_file()

    def _path(self, digest: str) -> Path:
        return self.root / digest[:2] / digest[2:4] / digest

    def _open(self, ref: ObjectRef) -> BinaryIO:
        try:
            return self._path(digest_of(ref)).open("rb")
        except FileNotFoundError:
            raise ObjectMissing(ref) from None

    def _write(self, path: Path, data: bytes) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f"{path.name}.{uuid4().hex}.part")
        try:
            with part.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
        except BaseException:
            part.unlink(missing_ok=True)
            raise


def _holds(path: Path, data: bytes) -> bool:
    try:
        return path.stat().st_size == len(data) and path.read_bytes() == data
    except FileNotFoundError:
        return False


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _pieces(file: BinaryIO, ref: ObjectRef) -> Iterator[bytes]:
    with file:
        digest = hashlib.sha256()
        while piece := file.read(CHUNK_BYTES):
            digest.update(piece)
            yield piece
    if digest.hexdigest() != ref.sha256:
        raise ObjectCorrupt(ref)

"""An object store in a folder: one file for each content, named after its SHA-256."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

from shared.domain.outputs import ObjectRef
from shared.objects.store import (
    CHUNK_BYTES,
    ObjectCorrupt,
    ObjectMissing,
    StoredObject,
    checked,
    digest_of,
    is_digest,
    reference,
    verified,
)

LOCK = ".lock"
PART = ".part"


class LocalObjectStore:
    """Objects as `<root>/ab/cd/abcd...`; several processes may write to one folder at once.

    A file appears under its name only when it is complete and on the disk: it is written beside its place, synced,
    and renamed. A crash leaves at most a `*.part` file, which nothing reads and `sweep` removes.

    The file's time of change is the object's. Whoever gives a file its name or its time shares the lock, and whoever
    looks at the time and removes the file has it alone: what has just been put is never removed (flock(2)).
    """

    def __init__(self, root: Path | str) -> None:
        self.root = Path(root).expanduser()

    @property
    def place(self) -> str:
        """Return the folder."""
        return str(self.root)

    def put(self, data: bytes, media_type: str) -> ObjectRef:
        """Store `data`; a damaged file of the same name is replaced."""
        ref = reference(data, media_type)
        path = self._path(ref.sha256)
        if not (_holds(path, data) and self._refresh(path)):
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
        """Yield the object in pieces; raises ObjectMissing at once, ObjectCorrupt at once or after the last piece."""
        file = self._open(ref)
        if os.fstat(file.fileno()).st_size != ref.size:
            file.close()
            raise ObjectCorrupt(ref)
        return checked(_pieces(file), ref)

    def exists(self, ref: ObjectRef) -> bool:
        """Tell whether there is such an object."""
        return self._path(digest_of(ref)).is_file()

    def list(self) -> Iterator[StoredObject]:
        """Yield every file that bears the name of a hash, where that belongs."""
        for path, status in self._files():
            if is_digest(path.name) and path == self._path(path.name):
                yield StoredObject(path.name, status.st_size, _modified_at(status))

    def delete(self, sha256: str, *, unless_newer_than: datetime) -> bool:
        """Remove a file that nobody has put since; its folders stay."""
        path = self._path(sha256)
        with suppress(FileNotFoundError), self._locked(fcntl.LOCK_EX):
            if _modified_at(path.stat()) <= unless_newer_than:
                path.unlink()
                return True
        return False

    def sweep(self, *, older_than: datetime) -> int:
        """Remove `*.part` files that nobody has written to since."""
        freed = 0
        for path, status in self._files():
            if path.suffix == PART and _modified_at(status) <= older_than:
                path.unlink(missing_ok=True)
                freed += status.st_size
        return freed

    def _path(self, digest: str) -> Path:
        return self.root / digest[:2] / digest[2:4] / digest

    def _files(self) -> Iterator[tuple[Path, os.stat_result]]:
        for path in self.root.glob("??/??/*"):
            with suppress(FileNotFoundError):
                yield path, path.stat()

    def _open(self, ref: ObjectRef) -> BinaryIO:
        try:
            return self._path(digest_of(ref)).open("rb")
        except FileNotFoundError:
            raise ObjectMissing(ref) from None

    def _refresh(self, path: Path) -> bool:
        """Make the file young; tell whether it is still there."""
        try:
            with self._locked(fcntl.LOCK_SH):
                os.utime(path)
        except FileNotFoundError:
            return False
        return True

    def _write(self, path: Path, data: bytes) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f"{path.name}.{uuid4().hex}{PART}")
        try:
            with part.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            with self._locked(fcntl.LOCK_SH):
                part.replace(path)
        except BaseException:
            part.unlink(missing_ok=True)
            raise

    @contextmanager
    def _locked(self, kind: int) -> Iterator[None]:
        # Reading is enough to lock a file on a local disk, so that it does not matter whose file it is.
        descriptor = os.open(self.root / LOCK, os.O_RDONLY | os.O_CREAT, 0o666)
        try:
            fcntl.flock(descriptor, kind)
            yield
        finally:
            os.close(descriptor)


def _holds(path: Path, data: bytes) -> bool:
    try:
        return path.stat().st_size == len(data) and path.read_bytes() == data
    except FileNotFoundError:
        return False


def _modified_at(status: os.stat_result) -> datetime:
    return datetime.fromtimestamp(status.st_mtime, UTC)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _pieces(file: BinaryIO) -> Iterator[bytes]:
    with file:
        while piece := file.read(CHUNK_BYTES):
            yield piece

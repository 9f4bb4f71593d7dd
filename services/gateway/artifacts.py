"""What the steps of a task kept for people: the list, and each of them as a stream of bytes."""

import asyncio
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any, NamedTuple
from urllib.parse import quote
from uuid import UUID

import msgspec

from shared.domain.errors import BlotterError, NotFound
from shared.domain.execution_events import Artifact
from shared.domain.outputs import ObjectRef
from shared.log.async_event_log import AsyncEventLog
from shared.log.runs import Recorded, folded
from shared.objects import ObjectCorrupt, ObjectMissing, ObjectStore

MOST_NAMES = 20
"""More names than this are not listed in an error."""

_LONGEST_ECHO = 60


class ArtifactGone(BlotterError):
    """The record knows the artifact, and the object store does not have it any more."""

    code = "artifact_gone"


class ArtifactDamaged(ArtifactGone):
    """What the object store has under its hash is something else."""

    code = "artifact_damaged"


class Kept(NamedTuple):
    """An artifact, and the step and symbol that kept it; without them it was taken over from an earlier run."""

    artifact: Artifact
    step: str | None
    symbol: str | None


class Artifacts:
    """Read from the log, where they stand, and from the object store, in threads: it blocks."""

    def __init__(self, log: AsyncEventLog, objects: ObjectStore) -> None:
        self._log = log
        self._objects = objects

    async def page(self, task_id: UUID, *, after: int, limit: int) -> bytes:
        """Return up to `limit` of a task's artifacts but for the first `after`, in the order in which they were kept.

        The cursor of the next page is its `after`. Raises NotFound.
        """
        until = after + limit
        kept = await self._kept(task_id)
        items = [artifact_document(task_id, each) for each in kept[after:until]]
        return msgspec.json.encode({"items": items, "next_cursor": str(until) if len(kept) > until else None})

    async def find(self, task_id: UUID, name: str) -> ObjectRef:
        """Return where an artifact is kept. Raises NotFound for a task or a name that there is not."""
        names = {each.artifact.name: each.artifact.ref for each in await self._kept(task_id)}
        if name not in names:
            raise NotFound(
                "artifact", f"Task {task_id} has no artifact {name[:_LONGEST_ECHO]!r}; {_known(list(names))}."
            )
        return names[name]

    async def read(self, name: str, ref: ObjectRef) -> Iterator[bytes]:
        """Return the content in pieces, the first of them read already.

        Raises ArtifactGone and ArtifactDamaged as long as nothing has been read, and StoreUnavailable. A damaged object
        breaks off before its last piece: whoever counts its bytes sees that some are missing.
        """
        try:
            pieces = _held_back(await asyncio.to_thread(self._objects.stream, ref))
            first = await asyncio.to_thread(next, pieces, b"")
        except ObjectMissing as error:
            raise ArtifactGone(
                f"The artifact {name!r} is not in the object store any more. Restore it from a backup, or run the task "
                f"again to make it anew; its SHA-256 is {ref.sha256}."
            ) from error
        except ObjectCorrupt as error:
            raise ArtifactDamaged(
                f"The artifact {name!r} is damaged in the object store: its content does not match its SHA-256, "
                f"{ref.sha256}. Restore it from a backup, or run the task again to make it anew."
            ) from error
        return chain([first], pieces)

    async def _kept(self, task_id: UUID) -> list[Kept]:
        history = await self._log.history(task_id)
        steps = dict(_steps(history))
        artifacts = folded(task_id, history).artifacts.values()
        return [Kept(artifact, *steps.get(artifact.name, (None, None))) for artifact in artifacts]


def artifact_document(task_id: UUID, kept: Kept) -> dict[str, Any]:
    """Return an artifact as `GET /api/tasks/{task_id}/artifacts` lists it."""
    name, ref = kept.artifact.name, kept.artifact.ref
    return {
        "name": name,
        "media_type": ref.media_type,
        "size": ref.size,
        "sha256": ref.sha256,
        "url": f"/api/tasks/{task_id}/artifacts/{quote(name, safe='')}",
        "step": kept.step,
        "symbol": kept.symbol,
    }


def _steps(history: Sequence[Recorded]) -> Iterator[tuple[str, tuple[str | None, str | None]]]:
    """Yield which step and symbol kept each name; of two the later one counts, as in the fold."""
    for _, event in history:
        for artifact in getattr(event, "artifacts", ()):
            yield artifact.name, (getattr(event, "step", None), getattr(event, "symbol", None))


def _held_back(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Yield each piece when the next one is there, and the last one when all are known to be right."""
    held = next(pieces, None)
    while held is not None:
        following = next(pieces, None)
        yield held
        held = following


def _known(names: Sequence[str]) -> str:
    if not names:
        return "it has none, or none yet"
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return f"it has {', '.join(names[:MOST_NAMES])}{more}"

"""The documents about clean-ups, for the OpenAPI document: what is sent is made by the status service."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel


class CleanedKind(BaseModel):
    """What was done of one kind: how many by what became of them; `error` says why it was not done."""

    kind: str
    counts: dict[str, int]
    seconds: float
    error: str | None


class CleanupAnswer(BaseModel):
    """One clean-up; `position` is that of its end in the log."""

    position: int
    started_at: datetime
    finished_at: datetime
    kinds: list[CleanedKind]


class CleanupPage(BaseModel):
    """Clean-ups, newest first."""

    items: list[CleanupAnswer]
    next_cursor: str | None


_KINDS: dict[str, dict[str, int]] = {
    "results": {"found": 812, "given_a_time_to_live": 0},
    "executions": {"expired": 640},
    "log": {"runs": 1200, "events": 10020, "archives": 1, "pruned": 10020},
    "objects": {"found": 9120, "referenced": 9100, "kept_young": 8, "deleted": 12, "freed_bytes": 4096},
}
EXAMPLE: dict[str, Any] = {
    "items": [
        {
            "position": 51042,
            "started_at": "2026-01-30T03:00:00.125000Z",
            "finished_at": "2026-01-30T03:00:09.250000Z",
            "kinds": [
                {"kind": kind, "counts": counts, "seconds": 2.5, "error": None} for kind, counts in _KINDS.items()
            ],
        }
    ],
    "next_cursor": None,
}

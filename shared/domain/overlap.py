"""What becomes of a firing while earlier runs of its schedule have not ended: one function of the policy and of them.

The words and their meanings are Temporal's (docs/schedules.md, "Overlap").
"""

from collections.abc import Sequence
from typing import NamedTuple, assert_never
from uuid import UUID

from shared.domain.schedule_events import Overlap, SkipReason

MOST_BUFFERED = 100
"""How many runs of one schedule may be held at once; a firing beyond them is skipped, and says so."""


class Start(NamedTuple):
    """A run is to start now; these are ended by force."""

    terminates: tuple[UUID, ...] = ()


class Hold(NamedTuple):
    """A run is to wait until nothing of its schedule runs; these are asked to stop."""

    cancels: tuple[UUID, ...] = ()


class Drop(NamedTuple):
    """There is to be no run; `running` is in the way, or the last one that waits."""

    reason: SkipReason
    running: UUID | None = None


Verdict = Start | Hold | Drop


def judge(overlap: Overlap, running: Sequence[UUID], held: Sequence[UUID]) -> Verdict:
    """Return what becomes of a firing, given the runs that have started and not ended, and those that are held.

    "Running" is whatever has not ended: a run that waits for a worker, a retry or its turn after it made way counts.
    """
    if overlap is Overlap.ALLOW_ALL or not (running or held):
        return Start()
    others = (*running, *held)
    match overlap:
        case Overlap.SKIP:
            return Drop(SkipReason.OVERLAP, others[0])
        case Overlap.BUFFER_ONE:
            return Drop(SkipReason.OVERLAP, held[-1]) if held else Hold()
        case Overlap.BUFFER_ALL:
            return Drop(SkipReason.BUFFER_FULL, held[-1]) if len(held) >= MOST_BUFFERED else Hold()
        case Overlap.CANCEL_OTHER:
            return Hold(others)
        case Overlap.TERMINATE_OTHER:
            return Start(others)
    assert_never(overlap)

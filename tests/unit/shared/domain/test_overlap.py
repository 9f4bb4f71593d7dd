"""Overlap policies: every one of them in every situation, against the table of the documentation."""

from __future__ import annotations

from uuid import UUID, uuid4

import pytest

from shared.domain.overlap import MOST_BUFFERED, Drop, Hold, Start, Verdict, judge
from shared.domain.schedule_events import Overlap, SkipReason

A, B, C = (uuid4() for _ in range(3))
NOTHING, RUNS, TWO_RUN = (), (A,), (A, B)
WAITS = (C,)

TABLE: dict[Overlap, dict[tuple[tuple[UUID, ...], tuple[UUID, ...]], Verdict]] = {
    Overlap.SKIP: {
        (RUNS, NOTHING): Drop(SkipReason.OVERLAP, A),
        (NOTHING, WAITS): Drop(SkipReason.OVERLAP, C),
        (RUNS, WAITS): Drop(SkipReason.OVERLAP, A),
        (TWO_RUN, NOTHING): Drop(SkipReason.OVERLAP, A),
    },
    Overlap.BUFFER_ONE: {
        (RUNS, NOTHING): Hold(),
        (NOTHING, WAITS): Drop(SkipReason.OVERLAP, C),
        (RUNS, WAITS): Drop(SkipReason.OVERLAP, C),
        (TWO_RUN, NOTHING): Hold(),
    },
    Overlap.BUFFER_ALL: {
        (RUNS, NOTHING): Hold(),
        (NOTHING, WAITS): Hold(),
        (RUNS, WAITS): Hold(),
        (TWO_RUN, NOTHING): Hold(),
    },
    Overlap.ALLOW_ALL: {
        (RUNS, NOTHING): Start(),
        (NOTHING, WAITS): Start(),
        (RUNS, WAITS): Start(),
        (TWO_RUN, NOTHING): Start(),
    },
    Overlap.CANCEL_OTHER: {
        (RUNS, NOTHING): Hold((A,)),
        (NOTHING, WAITS): Hold((C,)),
        (RUNS, WAITS): Hold((A, C)),
        (TWO_RUN, NOTHING): Hold((A, B)),
    },
    Overlap.TERMINATE_OTHER: {
        (RUNS, NOTHING): Start((A,)),
        (NOTHING, WAITS): Start((C,)),
        (RUNS, WAITS): Start((A, C)),
        (TWO_RUN, NOTHING): Start((A, B)),
    },
}


@pytest.mark.parametrize("overlap", Overlap)
def test_a_free_schedule_starts_its_run_under_every_policy(overlap: Overlap) -> None:
    """Nothing runs and nothing waits: there is nothing to decide."""
    assert judge(overlap, (), ()) == Start()


@pytest.mark.parametrize(
    ("overlap", "running", "held"), [(overlap, *case) for overlap, row in TABLE.items() for case in row]
)
def test_a_policy_does_what_its_row_says(overlap: Overlap, running: tuple[UUID, ...], held: tuple[UUID, ...]) -> None:
    """The table has a row for each policy and each situation."""
    assert judge(overlap, running, held) == TABLE[overlap][running, held]


def test_the_table_is_whole() -> None:
    """A new policy is given its row on purpose."""
    assert set(TABLE) == set(Overlap)


def test_a_buffer_that_is_full_takes_no_more() -> None:
    """The hundredth run is held, the next one is not, and says why."""
    held = [uuid4() for _ in range(MOST_BUFFERED)]
    assert judge(Overlap.BUFFER_ALL, RUNS, held[:-1]) == Hold()
    assert judge(Overlap.BUFFER_ALL, RUNS, held) == Drop(SkipReason.BUFFER_FULL, held[-1])

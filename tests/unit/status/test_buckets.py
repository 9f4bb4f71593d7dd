"""Buckets of times, and the percentiles that are told from them."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.status.buckets import BOUNDS, bucket_of, percentile

TIMES = st.lists(st.integers(1_000, 86_400_000_000), min_size=1, max_size=200)


@given(times=TIMES, share=st.sampled_from([0.5, 0.95, 0.99]))
def test_a_percentile_is_within_a_tenth_of_the_exact_one(times: list[int], share: float) -> None:
    """For times from a millisecond to a day."""
    exact = next(time for rank, time in enumerate(sorted(times), start=1) if rank >= share * len(times))
    told = percentile(Counter(map(bucket_of, times)), share)
    assert told == pytest.approx(exact / 1_000_000, rel=0.1)


def test_of_nothing_there_is_no_percentile() -> None:
    """Not zero, which would be a time."""
    assert percentile({}, 0.95) is None


def test_every_time_has_a_bucket_that_it_fits_into() -> None:
    """Also none at all, one that is less than nothing, and one without end."""
    assert [bucket_of(each) for each in (-5, 0, 1_000, 1_001)] == [0, 0, 0, 1]
    assert bucket_of(BOUNDS[-1]) == len(BOUNDS) - 1
    assert bucket_of(BOUNDS[-1] * 10) == len(BOUNDS)
    assert percentile({len(BOUNDS): 1}, 0.95) == pytest.approx(BOUNDS[-1] / 1_000_000)


def test_every_fourth_bound_is_a_power_of_two_of_a_millisecond() -> None:
    """These are the bounds that Prometheus is told."""
    assert [bound for bound in BOUNDS[::4]] == [1_000 * 2**octave for octave in range(len(BOUNDS[::4]))]

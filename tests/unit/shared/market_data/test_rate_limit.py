"""The rate limit: pure arithmetic over a clock's readings."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.market_data.rate_limit import RateLimit


def test_requests_within_the_limit_do_not_wait() -> None:
    """Two in ten seconds are allowed, and two more in the next ten."""
    limit = RateLimit(2, timedelta(seconds=10))
    assert [limit.reserve(now) for now in (0.0, 1.0, 10.0, 11.0)] == [0, 0, 0, 0]


def test_the_next_request_waits_until_the_oldest_leaves_the_window() -> None:
    """The third at second 2 waits for the first's tenth second, the fourth for the second's."""
    limit = RateLimit(2, timedelta(seconds=10))
    assert [limit.reserve(now) for now in (0.0, 1.0, 2.0, 2.0, 2.0)] == [0, 0, 8, 9, 18]


@given(
    st.integers(1, 5),
    st.lists(st.floats(0, 3, allow_subnormal=False), min_size=1, max_size=60),
)
def test_no_window_ever_holds_more_than_the_limit(requests: int, pauses: list[float]) -> None:
    """Whatever the rhythm of the calls."""
    limit, now, starts = RateLimit(requests, timedelta(seconds=1)), 0.0, []
    for pause in pauses:
        now += pause
        starts.append(now + limit.reserve(now))
    assert all(later - earlier >= 1 - 1e-9 for earlier, later in zip(starts, starts[requests:], strict=False))


@pytest.mark.parametrize(("requests", "per"), [(0, timedelta(seconds=1)), (1, timedelta(0))])
def test_a_limit_of_nothing_is_refused(requests: int, per: timedelta) -> None:
    """It would wait for ever, or never."""
    with pytest.raises(ValueError, match="rate limit"):
        RateLimit(requests, per)

"""How long to wait before the next retry."""

from __future__ import annotations

from datetime import timedelta

import pytest

from shared.domain.failures import retry_delay


@pytest.mark.parametrize(("retry", "seconds"), [(1, 1), (2, 2), (3, 4), (4, 8), (5, 16), (11, 1024)])
def test_delays_double_from_one_second(retry: int, seconds: int) -> None:
    """SPEC R5.1: 1, 2, 4, 8 seconds, exactly."""
    assert retry_delay(retry) == timedelta(seconds=seconds)


def test_the_first_delay_is_a_setting() -> None:
    """With half a second: 0.5, 1, 2."""
    first = timedelta(seconds=0.5)
    assert [retry_delay(retry, first=first).total_seconds() for retry in (1, 2, 3)] == [0.5, 1.0, 2.0]


def test_jitter_takes_its_share_off() -> None:
    """A quarter off four seconds; what a server asks for is not shortened."""
    assert retry_delay(3, jitter=0.25) == timedelta(seconds=3)
    assert retry_delay(3, jitter=1.0) == timedelta(0)
    assert retry_delay(3, jitter=0.25, retry_after=timedelta(seconds=4)) == timedelta(seconds=4)


@pytest.mark.parametrize(("asked", "seconds"), [(30, 30), (4, 4), (1, 4), (0, 4)])
def test_a_server_that_asks_for_longer_is_heard(asked: int, seconds: int) -> None:
    """A Retry-After beyond the third retry's own four seconds counts; a shorter one does not."""
    assert retry_delay(3, retry_after=timedelta(seconds=asked)) == timedelta(seconds=seconds)


@pytest.mark.parametrize("retry", [0, -1])
def test_retries_count_from_one(retry: int) -> None:
    """There is no delay before the first try."""
    with pytest.raises(ValueError, match="counts from 1"):
        retry_delay(retry)

"""Reading `Retry-After`."""

from datetime import UTC, datetime, timedelta

import pytest

from shared.retry_after import retry_after

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "wait"),
    [
        ("0", timedelta(0)),
        (" 120 ", timedelta(minutes=2)),
        ("Mon, 23 Nov 2026 12:00:30 GMT", timedelta(seconds=30)),
        ("Mon, 23 Nov 2026 12:00:30 -0000", timedelta(seconds=30)),
        ("Mon, 23 Nov 2026 11:00:00 GMT", timedelta(0)),
    ],
)
def test_seconds_and_dates_are_understood(value: str, wait: timedelta) -> None:
    """A date in the past means now."""
    assert retry_after(value, NOW) == wait


@pytest.mark.parametrize("value", [None, "", "soon", "-1", "1.5", "²", "99999999999"])
def test_anything_else_is_as_good_as_missing(value: str | None) -> None:
    """A careless server must not break the client."""
    assert retry_after(value, NOW) is None

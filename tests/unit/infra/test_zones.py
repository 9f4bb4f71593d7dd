"""Times beside each other: in UTC, and as a zone's clocks show them."""

from __future__ import annotations

import pytest

from infra.cli.zones import beside, local, utc


@pytest.mark.parametrize(
    ("text", "zone", "says"),
    [
        ("2026-03-06T14:35:00Z", "America/New_York", "2026-03-06 14:35:00 UTC (Fri 2026-03-06 09:35:00 EST)"),
        ("2026-03-09T13:35:00.031Z", "America/New_York", "2026-03-09 13:35:00 UTC (Mon 2026-03-09 09:35:00 EDT)"),
        ("2026-03-06T22:00:00Z", "Asia/Tokyo", "2026-03-06 22:00:00 UTC (Sat 2026-03-07 07:00:00 JST)"),
    ],
)
def test_a_time_stands_beside_what_the_clocks_of_its_zone_show(text: str, zone: str, says: str) -> None:
    """With the abbreviation of that time of the year, and with its day, which may be another."""
    assert beside(text, zone) == says


@pytest.mark.parametrize(
    ("text", "zone"),
    [
        ("2026-03-06T14:35:00Z", "UTC"),
        ("2026-03-06T14:35:00Z", "Mars/Olympus"),
        ("2026-03-06T14:35:00Z", "../etc"),
        ("9999-12-31T23:59:59Z", "Asia/Tokyo"),
    ],
)
def test_a_zone_that_tells_nothing_more_leaves_utc_alone(text: str, zone: str) -> None:
    """UTC itself, zones that this machine does not know, and times beyond the calendar."""
    assert beside(text, zone) == text.replace("T", " ").replace("Z", " UTC")


def test_no_time_is_an_empty_cell() -> None:
    """A time is told to the second."""
    assert (utc(None), utc("2026-03-09T13:35:00.031Z")) == ("", "2026-03-09 13:35:00")


@pytest.mark.parametrize(
    ("text", "zone", "says"),
    [
        ("2026-11-01T01:30:00-04:00", "America/New_York", "Sun 2026-11-01 01:30:00 EDT"),
        ("2026-11-01T01:30:00-05:00", "America/New_York", "Sun 2026-11-01 01:30:00 EST"),
        ("2026-03-06T09:35:00-06:00", "America/New_York", "Fri 2026-03-06 09:35:00 UTC-06:00"),
        ("2026-03-06T09:35:00-05:00", "Mars/Olympus", "Fri 2026-03-06 09:35:00 UTC-05:00"),
    ],
)
def test_the_gateway_decides_about_the_clock_and_this_machine_only_names_the_zone(
    text: str, zone: str, says: str
) -> None:
    """The hour that comes twice is told apart; where the two tables of zones differ, the offset is the name."""
    assert local(text, zone) == says

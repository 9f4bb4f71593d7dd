"""How the rows of old runs go, part after part."""

from __future__ import annotations

import pytest

from services.executor.expiry import slices


@pytest.mark.parametrize(
    ("after", "until", "ends"),
    [(0, 0, []), (5, 3, []), (0, 10, [10]), (0, 25, [10, 20, 25]), (7, 27, [17, 27]), (0, 99, [10, 20, 30])],
)
def test_what_is_due_is_cut_into_parts_and_the_rest_waits_for_the_next_night(
    after: int, until: int, ends: list[int]
) -> None:
    """Parts of ten, three a night."""
    assert list(slices(after, until, size=10, most=3)) == ends

"""Which queues a worker serves that is reserved for levels."""

from __future__ import annotations

import pytest

from infra.cli.failures import RefusedError
from infra.cli.worker_queues import queues_of
from services.executor.queues import CONSUMED, check_order


@pytest.mark.parametrize(
    ("names", "queues"),
    [
        ("high", "high.resume,high"),
        (" low , high", "high.resume,high,low.resume,low"),
        ("maintenance,normal", "normal.resume,normal,maintenance"),
        ("high,normal,low,maintenance", ",".join(CONSUMED)),
    ],
)
def test_a_level_has_both_of_its_queues_in_the_order_of_priority(names: str, queues: str) -> None:
    """In whatever order they are named; a worker takes them as they are."""
    assert queues_of(names) == queues
    check_order(tuple(queues.split(",")))


@pytest.mark.parametrize(("names", "said"), [("highest,high", "highest"), ("high.resume", "high.resume"), (",", "")])
def test_what_is_no_level_is_refused(names: str, said: str) -> None:
    """With the names that there are."""
    with pytest.raises(RefusedError, match=f"{said}.*high, normal, low, maintenance"):
        queues_of(names)

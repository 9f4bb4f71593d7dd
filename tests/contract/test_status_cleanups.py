"""What the gateway relies on in the status service of clean-ups: one suite for the fake and for the real one."""

from __future__ import annotations

from collections.abc import AsyncIterator

import msgspec
import pytest

from tests.cleanups import cleanup_finished
from tests.contract.status_services import KINDS, Side


@pytest.fixture(params=KINDS)
async def side(request: pytest.FixtureRequest) -> AsyncIterator[Side]:
    """The fake, then the real one."""
    async with KINDS[request.param](request) as opened:
        yield opened


async def test_before_the_first_clean_up_the_list_is_empty(side: Side) -> None:
    """An answer, not an error."""
    assert msgspec.json.decode(await side.client.cleanups([])) == {"items": [], "next_cursor": None}


async def test_a_clean_up_is_told_to_the_letter(side: Side) -> None:
    """What it did of each kind, and what it could not do."""
    side.show_cleanup(cleanup_finished())
    (item,) = (await side.get("/cleanups")).json()["items"]
    assert item == {
        "position": 1,
        "started_at": "2026-03-02T14:30:00Z",
        "finished_at": "2026-03-02T14:30:01Z",
        "kinds": [
            {"kind": "results", "counts": {"found": 3, "given_a_time_to_live": 1}, "seconds": 0.5, "error": None},
            {"kind": "objects", "counts": {}, "seconds": 0.25, "error": "the store is away"},
        ],
    }


async def test_clean_ups_come_newest_first_page_after_page(side: Side) -> None:
    """Each once."""
    for version in range(1, 6):
        side.show_cleanup(cleanup_finished(version))
    assert [item["position"] for item in await side.pages("/cleanups", limit=2)] == [5, 4, 3, 2, 1]

"""What the gateway relies on in the status service of queues: one suite for the fake and for the real one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from shared.domain.phases import Phase
from shared.domain.priority import Priority
from shared.domain.queue import Queue
from tests.builders import NOW, in_phase, stamp, submitted
from tests.contract.status_services import KINDS, Side

FIELDS = {
    *("priority", "depth", "oldest_seconds", "paused", "paused_at", "paused_by", "pause_reason", "consumers"),
}


@pytest.fixture(params=KINDS)
async def side(request: pytest.FixtureRequest) -> AsyncIterator[Side]:
    """The fake, then the real one."""
    async with KINDS[request.param](request) as opened:
        yield opened


async def queues(side: Side) -> dict[str, dict[str, Any]]:
    """The levels by name, as they are told."""
    found = await side.client.queues()
    return {item["priority"]: item for item in found.items}


async def test_every_level_is_told_highest_first_whether_anything_has_happened_to_it_or_not(side: Side) -> None:
    """Nothing waits, nobody takes, nothing is paused; beside them the queue of clean-ups."""
    found = await side.client.queues()
    empty: dict[str, Any] = {
        "depth": 0,
        "oldest_seconds": None,
        "paused": False,
        "paused_at": None,
        "paused_by": None,
        "pause_reason": None,
        "consumers": [],
    }
    assert found.items == [{"priority": str(level)} | empty for level in Priority]
    assert set(found.items[0]) == FIELDS
    assert found.maintenance == {"depth": 0, "consumers": []}


async def test_what_waits_for_a_worker_is_counted_and_nothing_else(side: Side) -> None:
    """For the first time, after a preemption or a loss; not what is held, runs, waits for a retry, or has ended."""
    counted = {Phase.WAITING, Phase.PREEMPTED, Phase.LOST}
    for phase in Phase:
        side.show(in_phase(phase, priority=Priority.LOW))
    found = await queues(side)
    assert {level: found[level]["depth"] for level in Priority} == {"high": 0, "normal": 0, "low": len(counted)}


async def test_the_oldest_counts_from_when_it_began_to_wait(side: Side) -> None:
    """Not from its submission, if it has run in between, or was held."""
    lost = in_phase(Phase.LOST, priority=Priority.HIGH)
    released = submitted(at=stamp(0), held=True, priority=Priority.NORMAL)
    released.release(stamp(40))
    side.show(lost, released, submitted(at=stamp(30), priority=Priority.LOW), submitted(at=stamp(20)))
    found = await queues(side)
    ages = {level: found[level]["oldest_seconds"] for level in Priority}
    began = {"high": (lost.changed_at - NOW).total_seconds(), "normal": 20.0, "low": 30.0}
    assert began["high"] > 0
    assert [ages[Priority.NORMAL] - ages[level] for level in Priority] == pytest.approx(
        [began[level] - began["normal"] for level in Priority], abs=0.5
    )


async def test_a_pause_is_told_until_it_ends(side: Side) -> None:
    """Since when, by whom and why; the other levels know nothing of it."""
    queue = Queue(Priority.HIGH)
    queue.pause(stamp(5, actor="user:root"), reason="the venue is down")
    side.show_queue(queue)
    found = await queues(side)
    told = {name: found["high"][name] for name in ("paused", "paused_at", "paused_by", "pause_reason")}
    assert told == {
        "paused": True,
        "paused_at": stamp(5).at.isoformat().replace("+00:00", "Z"),
        "paused_by": "root",
        "pause_reason": "the venue is down",
    }
    assert (found["normal"]["paused"], found["low"]["paused"]) == (False, False)

    queue.resume(stamp(6, actor="user:root"), reason="it is back")
    side.show_queue(queue)
    assert (await queues(side))["high"] == (await queues(side))["low"] | {"priority": "high"}

"""What the gateway does beside its requests."""

from __future__ import annotations

import asyncio

from services.gateway.components import beside


async def test_work_beside_ends_with_the_block_even_if_it_swallows_a_cancellation() -> None:
    """As `asyncio.wait_for` of Python 3.11 does when a result comes at the same moment."""
    swallowed: list[bool] = []

    async def work() -> None:
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                if swallowed:
                    raise
                swallowed.append(True)

    async with asyncio.timeout(10):
        async with beside(work(), name="stubborn"):
            await asyncio.sleep(0)

    assert swallowed == [True]
    assert [task for task in asyncio.all_tasks() if task.get_name() == "stubborn"] == []

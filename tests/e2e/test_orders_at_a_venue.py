"""Orders that a venue fills later, on a stack that trades over HTTP."""

import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest
from celery.result import AsyncResult

from tests.chaos.storm import environment
from tests.e2e.stack import Stack
from tests.projection_check import differences
from tests.servers import open_folder
from tests.venue.server import Venue, serving
from tests.waiting import until

FOLLOWED_WITHIN_SECONDS = 15


@pytest.fixture(scope="module")
def venue() -> Iterator[Venue]:
    """A venue that fills nothing by itself."""
    with serving() as venue:
        venue.rest()
        yield venue


@pytest.fixture(scope="module")
def stack(venue: Venue) -> Iterator[Stack]:
    """A stack that trades there."""
    with open_folder() as folder, Stack(folder / "home", **environment(venue)) as stack:
        yield stack


def traded(stack: Stack) -> tuple[str, str]:
    """Run the flagship, which places one order; return the task and the order."""
    task_id = stack.submit("sma-crossover", "MSFT", parameters={"as_of": "2013-01-25", "quantity": 10})
    (order,) = stack.wait(task_id, "SUCCESS")["result"]["orders"]
    assert (order["state"], order["filled_quantity"]) == ("placed", "0")
    return task_id, order["client_order_id"]


def ledger(stack: Stack, task_id: str) -> tuple[str, str]:
    """Where the one order of a task stands in the list of all, and how much of it is filled."""
    (order,) = stack.http.get("/api/orders", params={"task_id": task_id}).raise_for_status().json()["items"]
    return order["state"], order["filled_quantity"]


def told(stack: Stack, task_id: str) -> list[tuple[str, str]]:
    """The same, as the results say: the task's own, and Celery's."""
    results: list[Any] = [stack.task(task_id)["result"], AsyncResult(task_id, app=stack.celery).result]
    return [(order["state"], order["filled_quantity"]) for result in results for order in result["orders"]]


def test_an_order_is_followed_after_its_run_has_ended_whoever_dies_meanwhile(stack: Stack, venue: Venue) -> None:
    """Filled in part, kill -9 of the process that follows it, filled whole: ledger and results say so each time."""
    task_id, order = traded(stack)
    finished_at = stack.task(task_id)["finished_at"]
    venue.fill(order, 4)
    until(lambda: ledger(stack, task_id) == ("placed", "4"), seconds=FOLLOWED_WITHIN_SECONDS)
    (dispatcher,) = [each for each in stack.record.processes if each.name == "dispatcher"]
    assert dispatcher.pid is not None
    os.kill(dispatcher.pid, signal.SIGKILL)
    venue.fill(order, 6)
    until(lambda: ledger(stack, task_id) == ("filled", "10"), seconds=FOLLOWED_WITHIN_SECONDS)
    until(lambda: told(stack, task_id) == [("filled", "10")] * 2, hint="the results have not heard of it")

    task = stack.task(task_id)
    assert (task["state"], task["finished_at"]) == ("SUCCESS", finished_at)
    assert stack.types(task_id)[-3:] == ["succeeded", "order_updated", "order_updated"]
    assert len([each for each in venue.received() if each["client_order_id"] == order]) == 1


def test_an_order_that_is_cancelled_at_the_venue_keeps_what_was_filled(stack: Stack, venue: Venue) -> None:
    """Nothing more is filled of it; one of which nothing was filled is rejected, with the venue's word."""
    (some, some_order), (none, none_order) = traded(stack), traded(stack)
    venue.fill(some_order, 4)
    for order in (some_order, none_order):
        venue.cancel(order)
    until(lambda: ledger(stack, some) == ("filled", "4"), seconds=FOLLOWED_WITHIN_SECONDS)
    until(lambda: ledger(stack, none) == ("rejected", "0"), seconds=FOLLOWED_WITHIN_SECONDS)

    (order,) = stack.task(none)["result"]["orders"]
    assert "canceled" in order["reason"]
    assert differences(stack.record.database_url) == []

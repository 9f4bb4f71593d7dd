"""Webhooks and notifications on the whole stack, whatever dies meanwhile."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.stack import Stack
from tests.e2e.test_recovery import pid_of
from tests.servers import open_folder
from tests.waiting import until
from tests.webhook_target import Target, target

LEASE_SECONDS = 2
TOLD_SECONDS = 20
GIVEN_AGAIN_SECONDS = 45
"""More than Redis waits before it gives somebody else what a dead process had in hand."""


@pytest.fixture(scope="module")
def desk() -> Iterator[Stack]:
    """A stack that may be hurt; what a dead notifier held is tried again soon."""
    lease = str(LEASE_SECONDS)
    with open_folder() as folder, Stack(folder / "home", BLOTTER_DELIVERY_LEASE_SECONDS=lease) as stack:
        yield stack


def hooked(stack: Stack, told: Target, *types: str) -> dict[str, Any]:
    """Make a webhook that leads to a target."""
    made = stack.http.post("/api/webhooks", json={"url": told.url, "types": list(types)})
    assert made.status_code == 201, made.text
    return dict(made.json())


def bodies(told: Target) -> list[dict[str, Any]]:
    """What a target was told."""
    return [json.loads(body) for _, body in told.requests]


def subjects(told: Target) -> set[str]:
    """Of what it was told."""
    return {str(body["subject"]) for body in bodies(told)}


def test_a_task_that_fails_for_good_is_told_to_webhooks_and_people(desk: Stack) -> None:
    """With the strategy, the user and the error; both signed and on record, and nothing else is told."""
    with target() as told, target() as person:
        made = hooked(desk, told, "task.failed")
        channel = {"url": person.url.replace("http://", "json://")}
        assert desk.http.put("/api/me/notifications", json={"channels": [channel]}).status_code == 200
        failed = desk.submit("faulty", "AAPL", parameters={"kind": "permanent"})
        desk.wait(failed, "FAILURE")
        desk.wait(desk.submit("three-steps"), "SUCCESS")
        until(lambda: told.requests and person.requests, seconds=TOLD_SECONDS, hint=desk.log_of("notifier"))
        (body,) = bodies(told)
        assert (body["type"], body["subject"]) == ("blotter.execution.failed", failed)
        assert (body["userid"], body["strategyid"]) == ("local", "faulty")
        assert told.verified(made["secret"])
        (message,) = bodies(person)
        assert message["title"] == "Blotter: Task failed: faulty"
        assert failed in message["message"]
        listed = desk.http.get(f"/api/webhooks/{made['webhook_id']}/deliveries").json()["items"]
        assert [each["type"] for each in listed] == ["execution.failed"]
    desk.http.put("/api/me/notifications", json={"channels": []})
    desk.http.delete(f"/api/webhooks/{made['webhook_id']}")


def test_a_notifier_that_is_killed_between_a_request_and_its_record_sends_it_again(desk: Stack) -> None:
    """kill -9 while the target has the request in hand: the same message id comes again, and none is lost."""
    pid = pid_of(desk, "notifier")

    def kills_first(number: int) -> int:
        if number == 0 and os.path.exists(f"/proc/{pid}"):
            os.kill(pid, signal.SIGKILL)
        return 204

    with target(kills_first) as told:
        made = hooked(desk, told, "task.succeeded")
        tasks = [desk.submit("three-steps") for _ in range(10)]
        for task in tasks:
            desk.wait(task, "SUCCESS", seconds=60)
        until(lambda: subjects(told) == set(tasks), seconds=GIVEN_AGAIN_SECONDS, hint="not all were told")
        path = f"/api/webhooks/{made['webhook_id']}/deliveries"

        def recorded() -> bool:
            items = desk.http.get(path).json()["items"]
            return [each["state"] for each in items] == ["delivered"] * 10

        until(recorded, seconds=GIVEN_AGAIN_SECONDS, hint="not all are on record")
        assert len(told.requests) > len({headers["webhook-id"] for headers, _ in told.requests}) == 10
        assert told.verified(made["secret"])
    desk.http.delete(f"/api/webhooks/{made['webhook_id']}")


def test_a_wiped_redis_loses_no_delivery_and_makes_none_twice(desk: Stack) -> None:
    """FLUSHALL in the middle: what was not worked on is published again, what was is not delivered again."""
    with target() as told:
        made = hooked(desk, told, "task.succeeded")
        tasks = [desk.submit("three-steps") for _ in range(10)]
        until(lambda: told.requests, seconds=TOLD_SECONDS, hint="nothing is told")
        desk.redis.flushall()
        tasks += [desk.submit("three-steps") for _ in range(10)]
        for task in tasks:
            desk.wait(task, "SUCCESS", seconds=60)
        until(lambda: subjects(told) == set(tasks), seconds=TOLD_SECONDS, hint=desk.log_of("notifier")[-3_000:])
        assert len(told.requests) == len(tasks)
    desk.http.delete(f"/api/webhooks/{made['webhook_id']}")


def test_a_delivery_is_tried_again_by_hand_and_a_test_is_delivered(desk: Stack) -> None:
    """From the command line's own routes, through the log, to the target."""
    with target() as told:
        made = hooked(desk, told, "alert.*")
        path = f"/api/webhooks/{made['webhook_id']}"
        assert desk.http.post(f"{path}/test").status_code == 202
        until(lambda: len(told.requests) == 1, seconds=TOLD_SECONDS, hint="the test is not delivered")

        def delivered() -> str | None:
            items = desk.http.get(f"{path}/deliveries").json()["items"]
            done = [each for each in items if each["state"] == "delivered"]
            return str(done[0]["delivery_id"]) if done else None

        delivery = until(delivered, seconds=TOLD_SECONDS)
        assert desk.http.post(f"{path}/deliveries/{delivery}/redeliver").status_code == 202
        until(lambda: len(told.requests) == 2, seconds=TOLD_SECONDS, hint="it is not delivered again")
        first, again = (headers["webhook-id"] for headers, _ in told.requests)
        assert first == again
    desk.http.delete(path)

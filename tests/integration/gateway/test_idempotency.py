"""The same Idempotency-Key, again and again: one task, whatever happens in between."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

import pytest

from tests.builders import WORKER, stamp
from tests.integration.gateway.stage import ADA, BOB, KEYS, Stage, as_user, publish, settings, staged, strategy, task

KEY = {"Idempotency-Key": "order-4711"}


async def test_the_same_request_again_answers_the_first_task_as_it_is_now(stage: Stage) -> None:
    """The second answer is 200, names the same task and place, and tells its present state."""
    first = await stage.client.post("/api/tasks", json=task(), headers=KEY)
    execution = await stage.execution(first.json()["task_id"])
    execution.claim(stamp(), attempt=1, worker=WORKER)
    await stage.log.append(execution.collect_events())
    again = await stage.client.post("/api/tasks", json=task(), headers=KEY)
    assert (first.status_code, again.status_code) == (202, 200)
    assert again.headers["Location"] == first.headers["Location"]
    assert again.json() == first.json() | {"state": "STARTED"}
    assert await stage.runs() == 1


async def test_the_order_of_members_does_not_make_another_body(stage: Stage) -> None:
    """What is compared is the JSON value, not its text."""
    first = await stage.client.post("/api/tasks", json=task(parameters={"fast": 3, "slow": 9}), headers=KEY)
    swapped = {"parameters": {"slow": 9, "fast": 3}, **task()}
    again = await stage.client.post("/api/tasks", json=dict(reversed(swapped.items())), headers=KEY)
    assert (again.status_code, again.json()["task_id"]) == (200, first.json()["task_id"])


async def test_another_body_under_the_same_key_is_refused(stage: Stage) -> None:
    """Two requests cannot stand behind one key, and the refusal says what to do."""
    await stage.client.post("/api/tasks", json=task(), headers=KEY)
    other = await stage.client.post("/api/tasks", json=task(priority="low"), headers=KEY)
    assert (other.status_code, other.json()["code"]) == (409, "idempotency_key_reused")
    assert "take a new key" in other.json()["detail"]
    assert await stage.runs() == 1


async def test_twenty_at_once_make_one_task(stage: Stage) -> None:
    """Whoever appends first makes the task; all the others are answered with it."""
    answers = await asyncio.gather(*(stage.client.post("/api/tasks", json=task(), headers=KEY) for _ in range(20)))
    assert Counter(answer.status_code for answer in answers) == {202: 1, 200: 19}
    assert len({answer.json()["task_id"] for answer in answers}) == 1
    assert await stage.runs() == 1


async def test_keys_of_different_users_have_nothing_to_do_with_each_other(keyed: Stage) -> None:
    """Another user's request under the same key is a task of its own."""
    ada = await keyed.client.post("/api/tasks", json=task(), headers=KEY | as_user(ADA))
    bob = await keyed.client.post("/api/tasks", json=task(priority="low"), headers=KEY | as_user(BOB))
    assert (ada.status_code, bob.status_code) == (202, 202)
    assert ada.json()["task_id"] != bob.json()["task_id"]


async def test_a_key_outlives_the_gateway_that_first_saw_it(catalogue_url: str, tmp_path: Path) -> None:
    """A gateway that dies between the append and the answer loses nothing: any other one answers the repeat."""
    configuration = settings(catalogue_url, home=tmp_path, api_keys=KEYS)
    async with staged(configuration, key=ADA) as before:
        first = await before.client.post("/api/tasks", json=task(), headers=KEY)
    async with staged(configuration, key=ADA) as after:
        again = await after.client.post("/api/tasks", json=task(), headers=KEY)
        assert (again.status_code, again.json()["task_id"]) == (200, first.json()["task_id"])


async def test_a_secret_of_its_own_makes_other_ids(catalogue_url: str, tmp_path: Path) -> None:
    """BLOTTER_ID_SECRET moves the whole namespace of ids."""
    ids = set()
    for secret in (None, "one", "two"):
        async with staged(settings(catalogue_url, home=tmp_path, id_secret=secret)) as running:
            ids.add((await running.client.post("/api/tasks", json=task(), headers=KEY)).json()["task_id"])
    assert len(ids) == 3


async def test_a_repeat_is_answered_though_the_strategy_has_gone(stage: Stage) -> None:
    """What was accepted once is not refused later because the catalogue has changed since."""
    first = await stage.client.post("/api/tasks", json=task(), headers=KEY)
    await publish(stage.log, strategy(strategy_id="another"))
    await stage.knows("another")
    again = await stage.client.post("/api/tasks", json=task(), headers=KEY)
    new = await stage.client.post("/api/tasks", json=task(), headers={"Idempotency-Key": "another"})
    assert (again.status_code, again.json()["task_id"]) == (200, first.json()["task_id"])
    assert new.status_code == 404


async def test_a_batch_is_answered_again_as_a_whole(stage: Stage) -> None:
    """The same batch under the same key is the same tasks in the same order."""
    batch = {"tasks": [task(symbols=[symbol]) for symbol in "ABC"]}
    first = await stage.client.post("/api/tasks/batch", json=batch, headers=KEY)
    again = await stage.client.post("/api/tasks/batch", json=batch, headers=KEY)
    assert (first.status_code, again.status_code) == (202, 200)
    assert again.json() == first.json()
    assert await stage.runs() == 3


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/tasks/batch", {"tasks": [task(), task()]}),
        ("/api/tasks/batch", {"tasks": [task(), task(), task(), task()]}),
        ("/api/tasks", task()),
    ],
)
async def test_a_batchs_key_stands_for_that_batch_only(stage: Stage, path: str, body: dict[str, object]) -> None:
    """A shorter or longer batch, or a single task, does not pass for the one that the key stands for."""
    await stage.client.post("/api/tasks/batch", json={"tasks": [task(), task(), task()]}, headers=KEY)
    other = await stage.client.post(path, json=body, headers=KEY)
    assert (other.status_code, other.json()["code"]) == (409, "idempotency_key_reused")
    assert await stage.runs() == 3


@pytest.mark.parametrize("key", ["", "x" * 201, "with blank", "tab\t", "\u00e9"])
async def test_a_key_that_is_no_key_is_refused(stage: Stage, key: str) -> None:
    """Keys are 1 to 200 visible ASCII characters."""
    headers = {b"Idempotency-Key": key.encode("latin-1")}
    response = await stage.client.post("/api/tasks", json=task(), headers=headers)
    assert response.status_code == 422
    assert [error["field"] for error in response.json()["errors"]] == ["Idempotency-Key"]


async def test_two_gateways_at_once_make_one_task(catalogue_url: str, tmp_path: Path) -> None:
    """Replicas share nothing but the log, and that is enough."""
    configuration = settings(catalogue_url, home=tmp_path)
    async with staged(configuration) as one, staged(configuration) as two:
        posts = [each.client.post("/api/tasks", json=task(), headers=KEY) for each in (one, two) for _ in range(5)]
        answers = await asyncio.gather(*posts)
        assert Counter(answer.status_code for answer in answers) == {202: 1, 200: 9}
        assert await one.runs() == 1

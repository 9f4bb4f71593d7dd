"""What the gateway relies on in the status service: one suite for the fake and for the real one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import httpx
import msgspec
import pytest

from services.gateway.answers import OrderPage, Step, StepPage, Task, TaskPage
from services.gateway.conditions import TaskConditions
from services.gateway.queries import OrderQuery, TaskQuery
from services.gateway.status_client import StatusClient
from shared.domain.errors import InvalidInput, Unavailable
from shared.domain.phases import Phase, Status
from shared.domain.priority import Priority
from tests.builders import in_phase, outcome, running, stamp, submitted, with_order
from tests.contract.status_services import BASE_URL, KINDS, Side


@pytest.fixture(params=KINDS)
async def side(request: pytest.FixtureRequest) -> AsyncIterator[Side]:
    """The fake, then the real one."""
    async with KINDS[request.param](request) as opened:
        yield opened


@pytest.mark.parametrize("phase", list(Phase))
async def test_a_projected_task_bears_its_version(side: Side, phase: Phase) -> None:
    """The document is the one of API.md, and tells how much of the stream is in it."""
    execution = in_phase(phase)
    side.show(execution)
    found = await side.client.task(execution.id)
    assert found is not None
    task = Task.model_validate_json(found.document)
    assert (found.version, task.task_id, task.version) == (execution.events, execution.id, execution.events)
    assert set(msgspec.json.decode(found.document)) == set(Task.model_fields)


async def test_what_is_not_projected_is_none(side: Side) -> None:
    """No task and no steps: the log may still know them."""
    assert await side.client.task(uuid4()) is None
    assert await side.client.steps(uuid4(), []) is None


async def test_steps_come_as_they_run_in_pages(side: Side) -> None:
    """A cursor is the place of the last step of its page."""
    execution = submitted()
    side.show(execution)
    first = StepPage.model_validate_json(await side.client.steps(execution.id, [("limit", 3)]) or b"")
    second = await side.client.steps(execution.id, [("limit", 3), ("cursor", first.next_cursor or "")])
    last = StepPage.model_validate_json(second or b"")
    assert [(step.index, step.step, step.symbol) for step in first.items + last.items] == [
        (0, "load", None),
        (1, "analyse", "AAPL"),
        (2, "analyse", "MSFT"),
        (3, "decide", None),
    ]
    assert (first.next_cursor, last.next_cursor) == ("2", None)
    assert set(msgspec.json.decode(second or b"")["items"][0]) == set(Step.model_fields)


async def test_lists_are_newest_first_and_paged(side: Side) -> None:
    """Following next_cursor gives every task once."""
    side.show(*(submitted(at=stamp(number), user_id=f"u{number}") for number in range(5)))
    users, cursor = [], None
    for _ in range(3):
        page = TaskPage.model_validate_json(await side.client.tasks(TaskQuery(limit=2, cursor=cursor).parameters()))
        users += [item.user_id for item in page.items]
        cursor = page.next_cursor
    assert (users, cursor) == (["u4", "u3", "u2", "u1", "u0"], None)


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({}, ["o-3", "o-2", "o-1"]),
        ({"symbol": "IBM"}, ["o-2"]),
        ({"state": "filled"}, ["o-1"]),
        ({"state": "filled", "symbol": "IBM"}, []),
    ],
)
async def test_orders_are_newest_first_narrowed_and_paged(side: Side, wanted: dict[str, Any], found: list[str]) -> None:
    """Conditions hold together, also with the id of the task, and following next_cursor gives every order once."""
    execution, other = running(), with_order(running(), "x-1", stamp(9))
    for number, symbol in enumerate(("MSFT", "IBM", "MSFT"), start=1):
        with_order(execution, f"o-{number}", stamp(number), symbol=symbol)
    execution.settle_order(stamp(5), attempt=1, client_order_id="o-1", outcome=outcome(state="filled"))
    side.show(execution, other)
    ids: list[str] = []
    cursor = None
    while True:
        query = OrderQuery(limit=2, cursor=cursor, task_id=str(execution.id), **wanted)
        page = OrderPage.model_validate_json(await side.client.orders(query.parameters()))
        ids += [item.client_order_id for item in page.items]
        if (cursor := page.next_cursor) is None:
            break
    assert ids == found


@pytest.mark.parametrize(
    ("wanted", "users"),
    [
        ({}, ["c", "b", "a"]),
        ({"user_id": "b"}, ["b"]),
        ({"priority": "high"}, ["b"]),
        ({"symbol": "BTC/USD"}, ["c"]),
        ({"strategy_id": "other"}, ["a"]),
        ({"state": "REVOKED"}, []),
        ({"status": "queued"}, ["c", "b", "a"]),
        ({"schedule_id": "none"}, []),
        ({"label": ["desk:eu"]}, ["b", "a"]),
        ({"label": ["desk:eu", "team:x:y"]}, ["a"]),
        ({"since": "2026-03-02T14:30:01Z"}, ["c", "b"]),
        ({"until": "2026-03-02T15:30:01+01:00"}, ["a"]),
        ({"since": "2026-03-02T14:30:01Z", "until": "2026-03-02T14:30:02Z"}, ["b"]),
    ],
)
async def test_lists_are_narrowed_by_every_condition(side: Side, wanted: dict[str, Any], users: list[str]) -> None:
    """Conditions hold together; `since` is inclusive, `until` is not."""
    side.show(
        submitted(at=stamp(0), user_id="a", strategy_id="other", labels={"desk": "eu", "team": "x:y"}),
        submitted(at=stamp(1), user_id="b", priority=Priority.HIGH),
        submitted(at=stamp(2), user_id="c", symbols=("BTC/USD",), labels={}),
    )
    assert await side.users(**wanted) == users


async def test_live_tasks_are_those_that_have_not_ended(side: Side) -> None:
    """With how many events are known of each; those that match and have ended are counted beside them."""
    by_phase = {phase: in_phase(phase, user_id="a") for phase in Phase}
    side.show(*by_phase.values(), in_phase(Phase.WAITING, user_id="b"), in_phase(Phase.FAILED, user_id="b"))
    page = await side.client.live(TaskConditions(user_id="a").parameters())
    live = {(run.id, run.events) for phase, run in by_phase.items() if not phase.ended}
    assert {(task.task_id, task.version) for task in page.items} == live
    assert (page.finished, page.next_cursor) == (3, None)
    failed = await side.client.live(TaskConditions(status=Status.FAILED).parameters())
    assert (failed.items, failed.finished) == ([], 2)


async def test_live_tasks_come_newest_first_in_pages(side: Side) -> None:
    """Following next_cursor gives every task once, also when those before have ended meanwhile."""
    runs = [submitted(at=stamp(number)) for number in range(5)]
    side.show(*runs)
    first = await side.client.live([], limit=2)
    for run in runs[3:]:
        run.request_cancel(stamp(9))
    side.show(*runs[3:])
    second = await side.client.live([], limit=2, cursor=first.next_cursor)
    assert [task.task_id for task in first.items] == [runs[4].id, runs[3].id]
    assert [task.task_id for task in second.items] == [runs[2].id, runs[1].id]


async def test_live_tasks_bear_the_position_of_their_tables(side: Side) -> None:
    """Whoever must not miss a task looks at what the log says after it."""
    before = await side.client.live([])
    side.show(submitted())
    after = await side.client.live([])
    assert (len(before.items), len(after.items)) == (0, 1)
    assert (before.position, after.position) == (0, 1)


async def test_a_foreign_cursor_is_bad_input(side: Side) -> None:
    """The refusal names the field, so that the gateway can pass it on."""
    with pytest.raises(InvalidInput) as refusal:
        await side.client.tasks([("cursor", "abc")])
    assert [error.field for error in refusal.value.errors] == ["cursor"]


async def test_published_events_are_described(side: Side) -> None:
    """By an AsyncAPI document, as JSON."""
    document = msgspec.json.decode(await side.client.asyncapi())
    assert document["asyncapi"] == "3.0.0"
    assert {"info", "channels"} <= set(document)


async def test_parts_are_named_and_up_or_down(side: Side) -> None:
    """Readiness of what stands behind the service, by name."""
    parts = await side.client.parts()
    assert {"redis", "projector", "relay", "dispatcher", "results", "orders", "workers", "scheduler"} <= set(parts)
    assert all(isinstance(part["up"], bool) and "detail" in part for part in parts.values())


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(500),
        httpx.Response(503, json={"detail": "away"}),
        httpx.Response(200, text="no json"),
        httpx.Response(200, json={"no": "version"}),
        httpx.Response(302, headers={"Location": "/elsewhere"}),
        httpx.ConnectError("refused"),
        httpx.ReadTimeout("slow"),
        httpx.RemoteProtocolError("cut off"),
    ],
)
async def test_whatever_cannot_be_used_is_unavailable(answer: httpx.Response | Exception) -> None:
    """The gateway has one way round a status service that fails, however it fails."""

    def reply(_: httpx.Request) -> httpx.Response:
        if isinstance(answer, Exception):
            raise answer
        return answer

    async with StatusClient(BASE_URL, transport=httpx.MockTransport(reply)) as client:
        with pytest.raises(Unavailable):
            await client.task(uuid4())

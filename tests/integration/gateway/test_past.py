"""Time travel: a task as it was at a position of the log, or at a time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import msgspec
import pytest
from hypothesis import HealthCheck, example, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from shared.documents import task_document
from shared.domain.execution import WorkflowExecution, fold
from shared.domain.views import task_view
from shared.log.runs import Recorded
from shared.objects import MemoryObjectStore
from tests.builders import NOW, complete_all, complete_next, running, stamp, submitted
from tests.histories import ACTIONS, act
from tests.integration.gateway.stage import Stage

MOVES = st.lists(st.sampled_from(ACTIONS), min_size=1, max_size=30)
WHOLE_LIFE = ["claim", "complete", "retry", "due", "claim", "lose", "claim", *["complete"] * 5, "succeed"]


def as_document(prefix: Sequence[Recorded], now: datetime) -> dict[str, Any]:
    """The task that a fold of these events is, at `now`, as JSON."""
    execution = fold(None, (recorded.event for recorded in prefix))
    assert execution is not None
    document = task_document(task_view(execution), now=now, objects=MemoryObjectStore())
    found: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(document))
    return found


async def recorded(stage: Stage, execution: WorkflowExecution) -> list[Recorded]:
    """Append what the run has decided and return its stream."""
    await stage.log.append(execution.collect_events())
    return await stage.log.history(execution.id)


async def asked(stage: Stage, task_id: object, as_of: object) -> dict[str, Any]:
    """Ask for a task as of a moment."""
    answer = await stage.client.get(f"/api/tasks/{task_id}", params={"as_of": str(as_of)})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def refused(stage: Stage, task_id: object, as_of: object) -> tuple[int, str]:
    """Ask for a task as of a moment, and return the status and what the answer says about it."""
    answer = await stage.client.get(f"/api/tasks/{task_id}", params={"as_of": str(as_of)})
    problem = answer.json()
    if answer.status_code == 422:
        assert [error["field"] for error in problem["errors"]] == ["as_of"]
        return 422, problem["errors"][0]["message"]
    return answer.status_code, problem["detail"]


@given(moves=MOVES)
@example(moves=WHOLE_LIFE)
@examples(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_at_each_position_a_task_is_the_fold_of_what_was_there(stage: Stage, moves: list[str]) -> None:
    """Any history: the answer at each event's position, and at its time, is the view of the prefix that ends there."""
    execution = submitted()
    for second, action in enumerate(moves, start=1):
        act(execution, action, second)
    stream = await recorded(stage, execution)
    stage.status.show(execution)
    for number, (position, event) in enumerate(stream, start=1):
        assert await asked(stage, execution.id, position) == as_document(stream[:number], event.at)
        same_time = [each for each in stream if each.event.at <= event.at]
        assert await asked(stage, execution.id, event.at.isoformat()) == as_document(same_time, event.at)


async def test_what_others_append_does_not_count_between_two_events(stage: Stage) -> None:
    """At a position that another task's event has, a task is what its own last event before made of it."""
    execution, other = submitted(), submitted()
    await recorded(stage, execution)
    between = (await recorded(stage, other))[0].position
    execution.claim(stamp(1), attempt=1, worker="executor@test")
    stream = await recorded(stage, execution)
    assert await asked(stage, execution.id, between) == as_document(stream[:1], NOW)
    assert (await asked(stage, execution.id, between + 1))["status"] == "running"


async def test_a_result_expires_by_the_time_that_is_asked_for(stage: Stage) -> None:
    """It was there while its time to live lasted, however long ago that was, and later it was not."""
    execution = running(result_ttl_seconds=60.0)
    complete_all(execution)
    stream = await recorded(stage, execution)
    ended_at = stream[-1].event.at
    before, after = ended_at + timedelta(seconds=59), ended_at + timedelta(seconds=60)
    assert (await asked(stage, execution.id, stream[-1].position))["result"]["decisions"] == []
    assert (await asked(stage, execution.id, before.isoformat()))["result_expired"] is False
    expired = await asked(stage, execution.id, after.isoformat())
    assert (expired["result"], expired["result_expired"], expired["state"]) == (None, True, "SUCCESS")


async def test_a_position_tells_the_time_of_the_newest_event_up_to_it(stage: Stage) -> None:
    """A later event of another task shows that the time to live was over at its position."""
    execution = running(result_ttl_seconds=60.0)
    complete_all(execution)
    await recorded(stage, execution)
    later = (await recorded(stage, submitted(at=stamp(3600))))[0].position
    assert (await asked(stage, execution.id, later))["result_expired"] is True


@pytest.mark.parametrize("zone", ["Z", "+00:00", "+05:30", "-08:00"])
async def test_a_time_may_be_given_in_any_zone(stage: Stage, zone: str) -> None:
    """The same moment, written with another offset, is the same moment."""
    execution = submitted()
    execution.claim(stamp(10), attempt=1, worker="executor@test")
    stream = await recorded(stage, execution)
    moment = datetime.fromisoformat(f"2000-01-01T00:00:00{zone}")
    assert moment.tzinfo is not None
    given = (NOW + timedelta(seconds=5)).astimezone(moment.tzinfo).isoformat().replace("+00:00", zone)
    assert await asked(stage, execution.id, given) == as_document(stream[:1], NOW + timedelta(seconds=5))


@pytest.mark.parametrize("as_of", ["0", "1", NOW.isoformat(), "0001-01-01T00:00:00+14:00"])
async def test_before_its_submission_there_was_no_task(stage: Stage, as_of: str) -> None:
    """The sentence says when it was submitted, in words that can be asked for; then it is there."""
    execution = submitted(at=stamp(60))
    stream = await recorded(stage, execution)
    status, detail = await refused(stage, execution.id, as_of)
    assert (status, f"position {stream[0].position}." in detail) == (404, True)
    said = detail.partition("submitted at ")[2].partition(",")[0]
    assert (await asked(stage, execution.id, said))["status"] == "queued"


async def test_no_task_was_ever_there(stage: Stage) -> None:
    """An id without a task, and the catalogue's own stream, are not found at any moment."""
    await recorded(stage, submitted())
    for as_of in ("1", NOW.isoformat()):
        status, detail = await refused(stage, uuid4(), as_of)
        assert (status, detail.startswith("There is no task")) == (404, True)


async def test_a_position_beyond_the_head_has_not_come_yet(stage: Stage) -> None:
    """The head itself can be asked for; the next position is refused, with the head in the sentence."""
    execution = running()
    head = (await recorded(stage, execution))[-1].position
    assert (await asked(stage, execution.id, head))["status"] == "running"
    status, message = await refused(stage, execution.id, head + 1)
    assert (status, f"the newest position of the log, {head};" in message) == (422, True)


async def test_a_time_in_the_future_has_not_come_yet(stage: Stage) -> None:
    """An hour from now is refused; a moment ago is not."""
    execution = running()
    await recorded(stage, execution)
    now = datetime.now(UTC)
    assert (await asked(stage, execution.id, now.isoformat()))["status"] == "running"
    for future in (now + timedelta(hours=1), datetime.max.replace(tzinfo=UTC)):
        status, message = await refused(stage, execution.id, future.isoformat())
        assert (status, message.startswith("lies in the future")) == (422, True)


@pytest.mark.parametrize(
    "as_of",
    [
        "",
        "yesterday",
        "-1",
        "1.5",
        "2026-01-31",
        "2026-01-31T14:30:00",
        "2026-13-01T00:00:00Z",
        "9" * 19,
        "\u0661",
        " 1",
    ],
)
async def test_what_is_neither_position_nor_time_is_refused(stage: Stage, as_of: str) -> None:
    """The answer names the field and shows one of each."""
    execution = running()
    await recorded(stage, execution)
    answer = await stage.client.get(f"/api/tasks/{execution.id}?as_of={quote(as_of)}")
    assert answer.status_code == 422
    (error,) = answer.json()["errors"]
    assert error["field"] == "as_of"
    assert "such as 1042" in error["message"]
    assert "2026-01-31T14:30:00Z" in error["message"]


async def test_the_past_does_not_need_the_status_service(stage: Stage) -> None:
    """It is never asked: what it holds is the present."""
    execution = running()
    first = (await recorded(stage, execution))[0].position
    complete_next(execution, stamp(2))
    await recorded(stage, execution)
    stage.status.show(execution)
    assert (await asked(stage, execution.id, first))["status"] == "queued"
    assert stage.status.asked == []

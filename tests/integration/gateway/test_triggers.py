"""Firing a schedule now over HTTP: one run or none, whatever happens at the same moment."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from shared.domain.overlap import MOST_BUFFERED, Hold
from shared.domain.phases import Phase
from shared.domain.schedule_events import (
    FiringKind,
    Overlap,
    ScheduleBuffered,
    ScheduleCreated,
    ScheduleDeleted,
    ScheduleDisabled,
    ScheduleFired,
)
from tests.builders import WORKER, failure, stamp
from tests.integration.gateway.scheduling import (
    PATH,
    create,
    created,
    events,
    state,
    stored,
    succeed,
    trigger,
    triggered,
)
from tests.integration.gateway.stage import ADA, ROOT, Stage, as_user, publish, settings, staged, strategy, task
from tests.schedule_builders import fire

RUN: dict[str, Any] = {
    "parameters": {"fast": 5},
    "priority": "high",
    "labels": {"desk": "eu"},
    "max_retries": 7,
    "timeout_seconds": 90,
}


async def test_a_run_is_submitted_with_the_firing_that_it_belongs_to(stage: Stage) -> None:
    """One append: as the schedule says, by the strategy of today, for the moment of the request."""
    schedule_id = (await created(stage, **RUN))["schedule_id"]
    response = await trigger(stage, schedule_id)
    answer = response.json()
    assert (response.status_code, answer["state"], answer["held"]) == (202, "PENDING", False)
    assert response.headers["Location"] == f"/api/tasks/{answer['task_id']}"
    _, fired = await events(stage, schedule_id)
    submitted = (await stage.execution(answer["task_id"])).submitted
    assert isinstance(fired, ScheduleFired)
    assert (fired.kind, fired.actor) == (FiringKind.TRIGGER, "user:local")
    assert fired.task_id == fired.request_id == UUID(answer["task_id"])
    assert fired.nominal_at == fired.at == submitted.scheduled_at
    assert (submitted.append_id, submitted.schedule_id) == (fired.append_id, schedule_id)
    assert {name: getattr(submitted, name) for name in RUN} == RUN
    assert (submitted.symbols, submitted.retry_delay_seconds) == (("AAPL", "MSFT"), 0.5)


async def test_a_get_right_after_it_finds_run_and_firing(stage: Stage) -> None:
    """The task, though it is not projected yet, and the schedule that counts it."""
    schedule_id = (await created(stage))["schedule_id"]
    answer = (await trigger(stage, schedule_id)).json()
    read = (await stage.client.get(f"/api/tasks/{answer['task_id']}")).json()
    document = (await stage.client.get(f"{PATH}/{schedule_id}")).json()
    assert (read["schedule_id"], read["user_id"]) == (schedule_id, "local")
    assert (document["last_task_id"], document["running"]) == (answer["task_id"], [answer["task_id"]])
    assert document["counters"]["fired"] == 1


async def test_a_run_that_has_ended_is_shown_as_running_no_more(stage: Stage) -> None:
    """By the log, although the schedule has decided nothing since."""
    schedule_id = (await created(stage))["schedule_id"]
    run = await triggered(stage, schedule_id)
    await succeed(stage, run)
    document = (await stage.client.get(f"/api/schedules/{schedule_id}")).json()
    assert (document["running"], document["last_task_id"]) == ([], str(run.id))


async def test_the_run_is_its_owners_whoever_asks(keyed: Stage) -> None:
    """An admin fires ada's schedule, and ada may cancel the run."""
    schedule_id = (await created(keyed, user=ADA))["schedule_id"]
    task_id = (await trigger(keyed, schedule_id, user=ROOT)).json()["task_id"]
    submitted = (await keyed.execution(task_id)).submitted
    assert (submitted.user_id, submitted.actor) == ("ada", "user:root")
    assert (await keyed.client.delete(f"/api/tasks/{task_id}", headers=as_user(ADA))).status_code == 200


async def test_a_disabled_schedule_fires_when_it_is_asked_to(stage: Stage) -> None:
    """It does not fire by its own times; that is all. A trigger uses up none of its runs."""
    schedule_id = (await created(stage, enabled=False, max_runs=1))["schedule_id"]
    for _ in range(2):
        await succeed(stage, await triggered(stage, schedule_id))
    found = await state(stage, schedule_id)
    assert (found.enabled, found.fired, found.used) == (False, 2, 0)


async def test_a_run_that_is_in_the_way_is_named_and_nothing_recorded(stage: Stage) -> None:
    """The answer says which, and how to run beside it."""
    schedule_id = (await created(stage))["schedule_id"]
    run = await triggered(stage, schedule_id)
    head = await stage.log.head()
    refused = await trigger(stage, schedule_id)
    assert (refused.status_code, refused.json()["code"]) == (409, "schedule_overlap")
    assert str(run.id) in refused.json()["detail"]
    assert '{"overlap": "allow_all"}' in refused.json()["detail"]
    assert await stage.log.head() == head
    assert (await trigger(stage, schedule_id, Overlap.ALLOW_ALL)).status_code == 202


@pytest.mark.parametrize("phase", [Phase.SUCCEEDED, Phase.FAILED, Phase.CANCELLED])
async def test_a_run_that_has_ended_is_not_in_the_way(stage: Stage, phase: Phase) -> None:
    """The next firing has the schedule forget it."""
    schedule_id = (await created(stage))["schedule_id"]
    run = await triggered(stage, schedule_id)
    await _end(stage, run, phase)
    again = await triggered(stage, schedule_id)
    assert (await events(stage, schedule_id))[-1].ended == (run.id,)  # type: ignore[attr-defined]
    assert list((await state(stage, schedule_id)).runs) == [again.id]


async def _end(stage: Stage, run: Any, phase: Phase) -> None:
    if phase is Phase.SUCCEEDED:
        await succeed(stage, run)
        return
    if phase is Phase.CANCELLED:
        run.request_cancel(stamp())
    else:
        run.claim(stamp(), attempt=1, worker=WORKER)
        run.fail(stamp(), attempt=1, failure=failure(retryable=False))
    await stage.log.save_execution(run)


async def test_a_run_that_goes_on_after_its_end_is_in_the_way_again(stage: Stage) -> None:
    """Its last word counts, not that it had ended once."""
    schedule_id = (await created(stage))["schedule_id"]
    run = await triggered(stage, schedule_id)
    await _end(stage, run, Phase.FAILED)
    run.retry_now(stamp(1))
    await stage.log.save_execution(run)
    assert (await trigger(stage, schedule_id)).json()["code"] == "schedule_overlap"


async def test_a_failure_that_is_to_pause_the_schedule_is_left_for_the_scheduler(stage: Stage) -> None:
    """The trigger goes ahead, and does not have the failed run forgotten before it has paused the schedule."""
    schedule_id = (await created(stage, pause_on_failure=True))["schedule_id"]
    run = await triggered(stage, schedule_id)
    await _end(stage, run, Phase.FAILED)
    again = await triggered(stage, schedule_id)
    assert list((await state(stage, schedule_id)).runs) == [run.id, again.id]


async def test_one_run_is_buffered_and_no_second_one(stage: Stage) -> None:
    """The run is held, and the answer says so."""
    schedule_id = (await created(stage, overlap="buffer_one"))["schedule_id"]
    first = await triggered(stage, schedule_id)
    second, third = [await trigger(stage, schedule_id) for _ in range(2)]
    assert (second.status_code, second.json()["held"], second.json()["state"]) == (202, True, "PENDING")
    held = await stage.execution(second.json()["task_id"])
    assert (held.phase, held.submitted.held) == (Phase.HELD, True)
    assert (third.status_code, str(held.id) in third.json()["detail"]) == (409, True)
    document = (await stage.client.get(f"{PATH}/{schedule_id}")).json()
    assert (document["running"], document["held"]) == ([str(first.id)], [str(held.id)])


async def test_no_more_runs_are_held_than_may_be(stage: Stage) -> None:
    """A schedule that buffers all does so up to a bound, and names it."""
    made = await stored(stage, overlap=Overlap.BUFFER_ALL, user_id="local")
    fire(made, stamp(1))
    for second in range(MOST_BUFFERED):
        fire(made, stamp(2 + second), verdict=Hold())
    await stage.log.append(made.collect_events())
    refused = await trigger(stage, str(made.id))
    assert (refused.status_code, refused.json()["code"]) == (409, "schedule_overlap")
    assert "holds as many runs as it may" in refused.json()["detail"]


async def test_the_run_before_is_asked_to_stop(stage: Stage) -> None:
    """The new one is held until it has; the scheduler does the asking."""
    schedule_id = (await created(stage))["schedule_id"]
    run = await triggered(stage, schedule_id)
    assert (await trigger(stage, schedule_id, Overlap.CANCEL_OTHER)).json()["held"] is True
    buffered = (await events(stage, schedule_id))[-1]
    assert isinstance(buffered, ScheduleBuffered)
    assert buffered.cancels == (run.id,)


async def test_the_run_before_is_ended_by_force(stage: Stage) -> None:
    """The new one does not wait for it."""
    schedule_id = (await created(stage))["schedule_id"]
    run = await triggered(stage, schedule_id)
    assert (await trigger(stage, schedule_id, Overlap.TERMINATE_OTHER)).json()["held"] is False
    fired = (await events(stage, schedule_id))[-1]
    assert isinstance(fired, ScheduleFired)
    assert fired.terminates == (run.id,)


async def test_of_many_at_once_one_makes_a_run(stage: Stage) -> None:
    """Whoever appends first; the others find its run in the way."""
    schedule_id = (await created(stage))["schedule_id"]
    answers = await asyncio.gather(*(trigger(stage, schedule_id) for _ in range(8)))
    assert Counter(answer.status_code for answer in answers) == {202: 1, 409: 7}
    assert {answer.json()["code"] for answer in answers if answer.status_code == 409} == {"schedule_overlap"}
    assert await stage.runs() == 1


async def test_of_two_gateways_at_once_one_makes_a_run(catalogue_url: str, tmp_path: Path) -> None:
    """They have nothing but the log in common."""
    configuration = settings(catalogue_url, home=tmp_path)
    async with staged(configuration) as one, staged(configuration) as two:
        schedule_id = (await created(one))["schedule_id"]
        answers = await asyncio.gather(*(trigger(each, schedule_id) for each in (one, two) for _ in range(3)))
        assert Counter(answer.status_code for answer in answers) == {202: 1, 409: 5}
        assert await one.runs() == 1


async def test_many_at_once_all_make_runs_where_they_may(stage: Stage) -> None:
    """Each is overtaken by the others, and decides again."""
    schedule_id = (await created(stage, overlap="allow_all"))["schedule_id"]
    answers = await asyncio.gather(*(trigger(stage, schedule_id) for _ in range(12)))
    assert [answer.status_code for answer in answers] == [202] * 12
    found = await state(stage, schedule_id)
    assert (found.fired, len(found.runs), await stage.runs()) == (12, 12, 12)


async def test_twenty_at_once_under_one_key_make_one_run(stage: Stage) -> None:
    """The run of the first is not in the way of its own repeats."""
    schedule_id = (await created(stage))["schedule_id"]
    answers = await asyncio.gather(*(trigger(stage, schedule_id, key="once") for _ in range(20)))
    assert Counter(answer.status_code for answer in answers) == {202: 1, 200: 19}
    assert len({answer.json()["task_id"] for answer in answers}) == 1
    assert (await stage.runs(), (await state(stage, schedule_id)).fired) == (1, 1)


async def test_a_repeat_is_answered_though_it_could_not_be_made_any_more(stage: Stage) -> None:
    """The run has ended meanwhile, the strategy is gone, and then the schedule."""
    schedule_id = (await created(stage, overlap="allow_all"))["schedule_id"]
    first = (await trigger(stage, schedule_id, key="once")).json()
    again = [await trigger(stage, schedule_id, key="once")]
    await succeed(stage, await stage.execution(first["task_id"]))
    await publish(stage.log, strategy(strategy_id="another"))
    await stage.knows("another")
    again.append(await trigger(stage, schedule_id, key="once"))
    await stage.client.delete(f"{PATH}/{schedule_id}")
    again.append(await trigger(stage, schedule_id, key="once"))
    assert [each.status_code for each in again] == [200] * 3
    assert [each.json()["state"] for each in again] == ["PENDING", "SUCCESS", "SUCCESS"]
    assert {each.json()["task_id"] for each in again} == {first["task_id"]}
    assert (await stage.runs(), (await state(stage, schedule_id)).fired) == (1, 1)


async def test_a_key_stands_for_one_trigger_of_one_schedule(stage: Stage) -> None:
    """Another policy, another schedule, a task and a schedule under it are refused."""
    schedule_id, other_id = [(await created(stage))["schedule_id"] for _ in range(2)]
    await trigger(stage, schedule_id, key="once")
    refused = [
        await trigger(stage, schedule_id, Overlap.ALLOW_ALL, key="once"),
        await trigger(stage, other_id, key="once"),
        await stage.client.post("/api/tasks", json=task(), headers={"Idempotency-Key": "once"}),
        await create(stage, key="once"),
    ]
    assert [(each.status_code, each.json()["code"]) for each in refused] == [(409, "idempotency_key_reused")] * 4
    assert await stage.runs() == 1


async def test_an_empty_body_is_the_same_as_none(stage: Stage) -> None:
    """Both leave the policy to the schedule."""
    schedule_id = (await created(stage))["schedule_id"]
    path, headers = f"{PATH}/{schedule_id}/trigger", {"Idempotency-Key": "once"}
    first = await stage.client.post(path, headers=headers)
    again = await stage.client.post(path, json={}, headers=headers)
    assert (first.status_code, again.status_code) == (202, 200)


async def test_a_strategy_that_cannot_run_it_is_told_at_once(stage: Stage) -> None:
    """Unlike at its own times there is somebody to tell; nothing is recorded."""
    gone, misfit = [
        await stored(stage, user_id="local", **changes)
        for changes in ({"strategy_id": "gone"}, {"parameters": {"fast": 0}})
    ]
    answers = [await trigger(stage, str(made.id)) for made in (gone, misfit)]
    assert (answers[0].status_code, answers[0].json()["code"]) == (404, "strategy_not_found")
    assert [error["field"] for error in answers[1].json()["errors"]] == ["parameters.fast"]
    assert await stage.runs() == 0


async def test_a_trigger_and_a_disabling_at_once_both_happen(stage: Stage) -> None:
    """Neither waits for the other, in whatever order they come."""
    for _ in range(5):
        schedule_id = (await created(stage))["schedule_id"]
        disable = stage.client.post(f"{PATH}/{schedule_id}/disable")
        answers = await asyncio.gather(trigger(stage, schedule_id), disable)
        assert [answer.status_code for answer in answers] == [202, 200]
        kinds = {type(event) for event in await events(stage, schedule_id)}
        assert kinds == {ScheduleCreated, ScheduleFired, ScheduleDisabled}


async def test_a_trigger_and_a_deletion_at_once_agree_on_which_was_first(stage: Stage) -> None:
    """A run that was accepted was fired before the deletion; one that was not leaves no trace."""
    runs = 0
    for _ in range(8):
        schedule_id = (await created(stage))["schedule_id"]
        delete = stage.client.delete(f"{PATH}/{schedule_id}")
        fired, deleted = await asyncio.gather(trigger(stage, schedule_id), delete)
        runs += fired.status_code == 202
        kinds = [type(event) for event in await events(stage, schedule_id)]
        between = [ScheduleFired] if fired.status_code == 202 else []
        assert (fired.status_code in (202, 404), deleted.status_code) == (True, 200)
        assert kinds == [ScheduleCreated, *between, ScheduleDeleted]
    assert await stage.runs() == runs


async def test_a_trigger_that_is_overtaken_by_the_beat_decides_again(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A firing comes between its decision and its append: it then is in the way."""
    made = await stored(stage, user_id="local")
    append = stage.log.append

    async def overtaken(log: Any, events: Any, **more: Any) -> list[int]:
        monkeypatch.undo()
        fire(made, stamp(1))
        await append(made.collect_events())
        return await log.append(events, **more)  # type: ignore[no-any-return]

    monkeypatch.setattr(type(stage.log), "append", overtaken)
    refused = await trigger(stage, str(made.id))
    assert (refused.status_code, refused.json()["code"]) == (409, "schedule_overlap")
    assert await stage.runs() == 0

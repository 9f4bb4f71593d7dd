"""Why a task waits, by the query API: with workers and without, and without Redis."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import msgspec
import pytest
import redis

from infra.local.ports import free_port
from services.status.app import create_app
from services.status.settings import StatusSettings
from shared.domain.execution import WorkflowExecution
from shared.domain.phases import Phase
from shared.domain.priority import Priority
from shared.domain.queue import Queue
from shared.heartbeats import (
    FULL_LIMITS_KEY,
    FULL_LIMITS_TTL,
    TTL,
    WORKERS_KEY,
    ActiveRun,
    WorkerHeartbeat,
    heartbeat_key,
)
from shared.log.event_log import EventLog
from tests.builders import NOW, PLAN, WORKER, in_phase, running, stamp, submitted, waiting_for_retry

Project = Callable[[], None]
Beat = Callable[..., None]
NORMAL_AND_LOW = ("normal.resume", "normal", "low.resume", "low")


@pytest.fixture
def beat(settings: StatusSettings) -> Iterator[Beat]:
    """Let a worker of two slots say that it lives, from which queues it takes runs, and which it has."""
    with redis.Redis.from_url(settings.redis_url) as client:

        def beat(*active: WorkflowExecution, queues: tuple[str, ...] = ("high", *NORMAL_AND_LOW)) -> None:
            heartbeat = WorkerHeartbeat(
                name=WORKER,
                host="here",
                pid=1,
                pool="prefork",
                concurrency=2,
                queues=queues,
                started_at=NOW,
                at=NOW,
                active=tuple(ActiveRun(task_id=run.id, attempt=1) for run in active),
            )
            client.sadd(WORKERS_KEY, WORKER)
            client.set(heartbeat_key(WORKER), msgspec.json.encode(heartbeat), ex=TTL + timedelta(seconds=60))

        yield beat


async def reason(api: httpx.AsyncClient, task_id: UUID) -> Any:
    """Why a task does not run."""
    response = await api.get(f"/tasks/{task_id}")
    assert response.status_code == 200, response.text
    return response.json()["reason"]


def save(log: EventLog, project: Project, *runs: WorkflowExecution) -> None:
    """Let the log and the tables know runs."""
    for run in runs:
        log.save_execution(run)
    project()


async def test_a_queued_task_tells_what_it_waits_behind(
    api: httpx.AsyncClient, log: EventLog, project: Project, beat: Beat
) -> None:
    """Those of higher levels count all, those of its own level when they came earlier, lower ones never."""
    waiting = {
        "low": submitted(at=stamp(0), priority=Priority.LOW),
        "first normal": submitted(at=stamp(1)),
        "second normal": submitted(at=stamp(2)),
        "high": submitted(at=stamp(9), priority=Priority.HIGH),
    }
    beat()
    save(log, project, *waiting.values(), running(at=stamp(-5), priority=Priority.HIGH))
    assert {name: await reason(api, run.id) for name, run in waiting.items()} == {
        "high": "waiting for a free worker",
        "first normal": "waiting behind 1 high-priority task",
        "second normal": "waiting behind 1 high-priority and 1 normal-priority tasks",
        "low": "waiting behind 1 high-priority and 2 normal-priority tasks",
    }


async def test_the_next_task_tells_who_has_the_workers(
    api: httpx.AsyncClient, log: EventLog, project: Project, beat: Beat
) -> None:
    """Runs of lower levels are to make way, others are not."""
    high, low = running(priority=Priority.HIGH), running(priority=Priority.LOW)
    waits = submitted(at=stamp(2), priority=Priority.HIGH)
    save(log, project, high, low, waits)
    beat(high)
    assert await reason(api, waits.id) == "waiting for a free worker"
    beat(high, low)
    assert "all 2 are taken; a task of a lower level makes way unless" in await reason(api, waits.id)
    beat(high, high)
    assert (await reason(api, waits.id)).endswith("all 2 are taken by tasks of its own level or a higher one")


async def test_a_retrying_task_tells_which_retry_and_why(
    api: httpx.AsyncClient, log: EventLog, project: Project, beat: Beat
) -> None:
    """The time is there until it is due; a step's own maximum counts before the task's."""
    own = (msgspec.structs.replace(PLAN[0], max_retries=7), *PLAN[1:])
    waits, due, other = waiting_for_retry(), waiting_for_retry(), waiting_for_retry(steps=own)
    due.fall_due(stamp(3))
    beat()
    save(log, project, waits, due, other)
    assert await reason(api, waits.id) == "retry 1 of 3 at 2026-03-02T14:30:03Z, after TemporaryError"
    assert await reason(api, due.id) == "retry 1 of 3 is due, after TemporaryError; waiting for a free worker"
    assert (await reason(api, other.id)).startswith("retry 1 of 7 at ")


async def test_a_preempted_task_tells_for_whom_and_how_often(
    api: httpx.AsyncClient, log: EventLog, project: Project, beat: Beat
) -> None:
    """The other task with its level, the time, and that nothing is lost."""
    other = submitted(priority=Priority.HIGH)
    run = running()
    for attempt, at in ((1, stamp(2)), (2, stamp(4))):
        run.request_preemption(at, attempt=attempt, preempted_by=str(other.id))
        run.make_way(at, attempt=attempt)
        run.claim(at, attempt=attempt + 1, worker=WORKER)
    run.request_preemption(stamp(5), attempt=3, preempted_by=str(other.id))
    run.make_way(stamp(5), attempt=3)
    beat()
    save(log, project, other, run)
    assert await reason(api, run.id) == (
        f"preempted by high-priority task {other.id} at 2026-03-02T14:30:05Z, for the 3rd time; "
        "resumes from its checkpoint as soon as a worker is free"
    )


async def test_a_task_that_no_worker_takes_says_so(
    api: httpx.AsyncClient, log: EventLog, project: Project, beat: Beat
) -> None:
    """Since when it waits, where that is known, and what to do; a level without a resume queue counts too."""
    fresh, due = submitted(priority=Priority.HIGH), waiting_for_retry(priority=Priority.HIGH)
    due.fall_due(stamp(3))
    lost, preempted = (in_phase(phase, priority=Priority.HIGH) for phase in (Phase.LOST, Phase.PREEMPTED))
    save(log, project, fresh, due, lost, preempted)
    beat(queues=NORMAL_AND_LOW)
    assert await reason(api, fresh.id) == (
        "no worker takes high-priority tasks now, waiting since 2026-03-02T14:30:00Z: start one (`blotter up` does), "
        "or name the queue high in BLOTTER_WORKER_QUEUES of one that runs"
    )
    assert "waiting for a free worker; no worker takes high-priority tasks now: start" in await reason(api, due.id)
    beat(queues=("high", *NORMAL_AND_LOW))
    assert "worker takes" not in await reason(api, fresh.id)
    for run in (lost, preempted):
        assert "name the queue high.resume in" in await reason(api, run.id)


async def test_a_task_that_does_not_wait_for_a_worker_does_not_look_for_one(
    api: httpx.AsyncClient, log: EventLog, project: Project
) -> None:
    """Without any worker: one that waits for its time says so, and one that runs or has ended says nothing."""
    runs = {phase: in_phase(phase) for phase in Phase}
    save(log, project, *runs.values())
    told = {phase for phase, run in runs.items() if "no worker takes" in (await reason(api, run.id) or "")}
    assert told == {Phase.WAITING, Phase.LOST, Phase.PREEMPTED, Phase.RETRY_DUE}


async def test_without_redis_the_rest_is_still_told(log: EventLog, project: Project, settings: StatusSettings) -> None:
    """Whether there is a worker is not known then, and not guessed."""
    first, second, preempted = submitted(at=stamp(0)), submitted(at=stamp(1)), in_phase(Phase.PREEMPTED)
    save(log, project, first, second, preempted)
    app = create_app(settings.model_copy(update={"redis_url": f"redis://127.0.0.1:{free_port()}/0"}))
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://api") as api,
    ):
        assert await reason(api, first.id) == "waiting for a free worker"
        assert await reason(api, second.id) == "waiting behind 1 normal-priority task"
        assert (await reason(api, preempted.id)).endswith("as soon as a worker is free")


async def test_a_task_of_a_paused_queue_says_so(
    api: httpx.AsyncClient, log: EventLog, project: Project, beat: Beat
) -> None:
    """By whom, since when and why, whatever else it waits for; until the queue is resumed."""
    fresh, preempted = submitted(), in_phase(Phase.PREEMPTED)
    due, not_yet, goes_on = in_phase(Phase.RETRY_DUE), in_phase(Phase.RETRY_WAIT), running()
    save(log, project, fresh, preempted, due, not_yet, goes_on)
    beat()
    queue = Queue(Priority.NORMAL)
    queue.pause(stamp(7, actor="user:root"), reason="the venue is down")
    log.append(queue.collect_events())
    project()
    told = "queue normal is paused by root since 2026-03-02T14:30:07Z (the venue is down)"
    assert await reason(api, fresh.id) == f"waiting: {told}"
    assert (await reason(api, preempted.id)).endswith(f"as soon as a worker is free; {told}")
    assert (await reason(api, due.id)).endswith(f"waiting for a free worker; {told}")
    assert "paused" not in await reason(api, not_yet.id)
    assert await reason(api, goes_on.id) is None

    queue.resume(stamp(8))
    log.append(queue.collect_events())
    project()
    assert await reason(api, fresh.id) == "waiting for a free worker"


async def test_nobody_waits_behind_tasks_of_a_paused_queue(
    api: httpx.AsyncClient, log: EventLog, project: Project, beat: Beat
) -> None:
    """They have no turns."""
    low, queue = submitted(priority=Priority.LOW), Queue(Priority.HIGH)
    queue.pause(stamp(7))
    beat()
    log.append(queue.collect_events())
    save(log, project, low, submitted(), submitted(priority=Priority.HIGH))
    assert await reason(api, low.id) == "waiting behind 1 normal-priority task"


async def test_a_task_whose_limit_is_full_says_so(
    api: httpx.AsyncClient, log: EventLog, project: Project, settings: StatusSettings, beat: Beat
) -> None:
    """What the dispatcher says of limits counts for the tasks that are under them, and for nobody else."""
    beat()
    limited, other = submitted(limits={"venue:alpaca": 5}), submitted()
    save(log, project, limited, other)
    with redis.Redis.from_url(settings.redis_url) as client:
        client.set(FULL_LIMITS_KEY, msgspec.json.encode(["venue:alpaca"]), px=FULL_LIMITS_TTL)

    assert await reason(api, limited.id) == "waiting for a place under the limit of venue:alpaca (at most 5 at once)"
    assert "limit" not in str(await reason(api, other.id))

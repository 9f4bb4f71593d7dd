"""The specification, scenario by scenario, from outside, on the real stack: one test for each id of SPEC.md."""

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from celery.result import AsyncResult
from kombu import Connection, Exchange, Producer

from shared.domain.outputs import ObjectRef
from shared.objects import LocalObjectStore
from shared.settings import sqlalchemy_url
from tests.e2e.blocked_runs import arrived
from tests.e2e.schedules import create_schedule, history_of, lateness, preview, tasks_of
from tests.e2e.stack import CHECKOUT, Stack
from tests.waiting import until

LEVELS = ("high", "normal", "low")
QUEUES = {*LEVELS, *(f"{level}.resume" for level in LEVELS), "maintenance"}


def test_r1_1_celery_is_configured_with_its_queues_and_routes(stack: Stack) -> None:
    """`celery inspect` shows the Redis broker, JSON only, every queue with a consumer, and routes by task type."""
    asked = subprocess.run(
        [sys.executable, "-m", "celery", "-A", "services.executor.app", "inspect", "conf", "--json", "--timeout=2"],
        cwd=CHECKOUT,
        env=stack.environment,
        capture_output=True,
        text=True,
        check=True,
    )
    (conf,) = json.loads(asked.stdout).values()
    consumed = {queue["name"] for queue in stack.inspect("active_queues")}

    assert conf["broker_url"].startswith("redis://")
    assert conf["accept_content"] == ["json"]
    assert {route["queue"] for route in conf["task_routes"].values()} == {"normal", "normal.resume", "maintenance"}
    assert consumed == QUEUES


def test_r1_2_a_pickled_message_is_refused_and_large_values_travel_by_reference(stack: Stack) -> None:
    """JSON only; DataFrames and anything over 64 KiB are objects, and their references stand in the steps."""
    task = stack.wait(stack.submit("sized"))
    assert task["result"]["output"] == {"sum": 7.5, "length": 70 * 1024}

    steps = {step["step"]: step for step in stack.http.get(f"/api/tasks/{task['task_id']}/steps").json()["items"]}
    objects = LocalObjectStore(stack.home.path / "objects")
    for name in ("table", "large"):
        reference = ObjectRef(**steps[name]["output"])
        assert len(objects.get(reference)) == reference.size
    assert steps["table"]["output"]["media_type"] == "application/vnd.apache.parquet"

    with Connection(stack.record.redis_url) as connection:
        producer = Producer(connection, exchange=Exchange("blotter", type="direct"), serializer="pickle")
        producer.publish({"boom": 1}, routing_key="normal", headers={"task": "executor.run", "id": "pickled"})
    until(lambda: "Refusing to deserialize" in stack.log_of("worker"), hint="the pickled message is not refused")


def test_r2_1_a_submission_is_durable_at_once_and_its_message_says_what_it_is(stack: Stack, gates: Path) -> None:
    """202 with the id; a record with that id; the Celery task bears strategy, symbols, priority and user."""
    task_id = stack.submit("gated", "MSFT", "IBM", priority="high", parameters={"gates": str(gates)})
    assert stack.task(task_id)["task_id"] == task_id
    until(arrived(gates, "MSFT", task_id).exists)

    (active,) = [task for task in stack.inspect("active") if task["kwargs"]["task_id"] == task_id]
    told = {key: active["kwargs"][key] for key in ("strategy_id", "symbols", "priority", "user_id")}
    assert told == {"strategy_id": "gated", "symbols": ["MSFT", "IBM"], "priority": "high", "user_id": "local"}
    assert active["id"] == task_id

    engine = sa.create_engine(sqlalchemy_url(stack.record.database_url))
    with engine.connect() as connection:
        row = connection.execute(
            sa.text("SELECT status FROM status.workflow_executions WHERE task_id = :id"), {"id": task_id}
        ).one()
    engine.dispose()
    assert row.status == "running"
    (gates / "MSFT").touch()
    (gates / "IBM").touch()
    stack.wait(task_id, "SUCCESS")


def test_r2_2_a_run_goes_through_its_steps_in_order_and_each_is_logged(stack: Stack) -> None:
    """Running, steps in order, an event and a log line for each, completed, result in Celery's backend."""
    task_id = stack.submit("three-steps")
    task = stack.wait(task_id, "SUCCESS")

    assert task["status"] == "completed"
    assert stack.types(task_id) == [
        "submitted",
        "attempt_started",
        *["step_completed"] * 3,
        "succeeded",
    ]
    lines = [json.loads(line) for line in stack.log_of("worker").splitlines() if task_id in line and line[0] == "{"]
    assert [line["step"] for line in lines if line["event"] == "step.completed"] == ["first", "second", "third"]
    result: AsyncResult[Any] = AsyncResult(task_id, app=stack.celery)
    assert result.get(timeout=10)["output"] == {"n": 7, "k1": 8, "k2": 9, "k3": 10}


def test_r2_3_runs_go_side_by_side_up_to_the_workers_concurrency(stack: Stack, gates: Path) -> None:
    """With two slots two runs are at work at once, a third waits, and each ends on its own."""
    tasks = [stack.submit("gated", "MSFT", parameters={"gates": str(gates)}) for _ in range(3)]
    first, second, third = tasks
    until(lambda: all(arrived(gates, "MSFT", task).exists() for task in (first, second)))

    assert len(stack.inspect("active")) == 2
    assert stack.task(third)["state"] == "PENDING"
    assert not arrived(gates, "MSFT", third).exists()
    (gates / "MSFT").touch()
    assert {stack.wait(task)["state"] for task in tasks} == {"SUCCESS"}


def stand_at(stack: Stack, gates: Path, symbol: str, **body: Any) -> str:
    """Start a gated run, and wait until it stands before its gate."""
    task_id = stack.submit("gated", symbol, parameters={"gates": str(gates)}, **body)
    until(arrived(gates, symbol, task_id).exists, hint=f"{symbol} has not begun")
    return task_id


def test_r3_1_a_high_priority_task_preempts_a_running_low_one(stack: Stack, gates: Path) -> None:
    """The younger of two low runs yields, is marked, and goes on later from its checkpoint; no step is done twice."""
    (gates / "AAPL").touch()
    older = stand_at(stack, gates, "IBM", priority="low")
    younger = stack.submit("gated", "AAPL", "IBM", priority="low", parameters={"gates": str(gates)})
    until(arrived(gates, "IBM", younger).exists)
    urgent = stand_at(stack, gates, "MSFT", priority="high")
    preempted = stack.task(younger)

    assert (preempted["status"], preempted["state"], preempted["preempted_by"]) == ("preempted", "PENDING", urgent)
    assert preempted["progress"]["completed_symbols"] == ["AAPL"]
    (gates / "IBM").touch()
    (gates / "MSFT").touch()
    ended = [stack.wait(task_id, "SUCCESS") for task_id in (older, younger, urgent)]
    assert [task["preemptions"] for task in ended] == [0, 1, 0]
    completed = [event for event in stack.events(younger) if event["type"] == "execution.step_completed"]
    assert [event["data"]["symbol"] for event in completed] == ["AAPL", "IBM", None]
    assert [event["data"]["attempt"] for event in completed] == [1, 2, 2]


def test_r3_2_levels_are_served_in_order_and_a_resumed_run_goes_first_in_its_own(stack: Stack, gates: Path) -> None:
    """High, normal (the default), low; one user's runs of a level in the order in which they came."""
    holding = stand_at(stack, gates, "IBM", priority="high")
    resumed = stand_at(stack, gates, "GOOG", priority="low")
    low = [stack.submit("three-steps", priority="low") for _ in range(3)]
    first = stand_at(stack, gates, "AAPL", priority="high")
    normal = [stack.submit("three-steps") for _ in range(2)]
    high = stack.submit("three-steps", priority="high")
    assert stack.task(normal[0])["priority"] == "normal"
    until(lambda: [stack.redis.llen(level) for level in LEVELS] == [1, 2, 3], hint="they are not in their queues")
    (gates / "GOOG").touch()
    (gates / "AAPL").touch()
    for task_id in (first, *low):
        stack.wait(task_id, "SUCCESS")

    began = {task_id: stack.events(task_id) for task_id in (high, *normal, resumed, *low)}
    starts = {
        task_id: [event["position"] for event in events if event["type"] == "execution.attempt_started"][-1]
        for task_id, events in began.items()
    }
    assert sorted(starts, key=lambda task_id: starts[task_id]) == list(began)
    (gates / "IBM").touch()
    stack.wait(holding, "SUCCESS")


def test_r4_1_a_task_is_asked_for_by_its_id(stack: Stack, gates: Path) -> None:
    """The state is Celery's word, with progress, result or error; an unknown id is 404, never PENDING."""
    running = stack.submit("gated", "MSFT", parameters={"gates": str(gates)})
    until(arrived(gates, "MSFT", running).exists)
    assert stack.wait(running, "STARTED")["progress"]["current_step"] == "passed"
    (gates / "MSFT").touch()
    assert stack.wait(running, "SUCCESS")["result"]["output"] == "msft"

    failed = stack.wait(stack.submit("faulty", parameters={"kind": "permanent"}))
    assert (failed["state"], failed["error"]["type"], failed["result"]) == ("FAILURE", "ValueError", None)

    unknown = stack.http.get("/api/tasks/00000000-0000-0000-0000-000000000000")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "task_not_found")


def progress_at(stack: Stack, task_id: str, symbol: str) -> dict[str, Any] | None:
    """Return the progress of a task once it has come to a symbol."""
    progress: dict[str, Any] = stack.task(task_id)["progress"]
    return progress if progress["current_symbol"] == symbol else None


def shows(result: AsyncResult[Any], symbol: str) -> bool:
    """Tell whether Celery's own view of a task has come to a symbol."""
    info: dict[str, Any] = result.info or {}
    return info.get("current_symbol") == symbol


def test_r4_2_progress_is_live_and_never_goes_backwards(stack: Stack, gates: Path) -> None:
    """Step, symbol and what is done already, by the API and by AsyncResult, at each gate of the run."""
    symbols = ["AAPL", "GOOG", "IBM"]
    task_id = stack.submit("gated", *symbols, parameters={"gates": str(gates)})
    result: AsyncResult[Any] = AsyncResult(task_id, app=stack.celery)
    fractions = [0.0]
    for number, symbol in enumerate(symbols):
        until(arrived(gates, symbol, task_id).exists)
        progress = until(partial(progress_at, stack, task_id, symbol))
        assert (progress["current_step"], progress["total_steps"]) == ("passed", 2)
        assert progress["completed_symbols"] == symbols[:number]
        assert progress["fraction"] >= fractions[-1]
        fractions.append(progress["fraction"])
        until(partial(shows, result, symbol))
        (gates / symbol).touch()
    assert stack.wait(task_id, "SUCCESS")["progress"]["fraction"] == 1.0


def test_r4_3_a_result_is_in_redis_for_its_time(stack: Stack) -> None:
    """24 hours by default; decisions, orders and errors are in it."""
    task_id = stack.submit("three-steps")
    task = stack.wait(task_id, "SUCCESS")
    key = f"celery-task-meta-{task_id}"
    until(lambda: json.loads(stack.redis.get(key) or b"{}").get("status") == "SUCCESS")

    assert 86_000 < stack.redis.ttl(key) <= 86_400
    assert {"decisions", "orders", "errors"} <= task["result"].keys()
    ends = datetime.fromisoformat(task["result_expires_at"]) - datetime.fromisoformat(task["finished_at"])
    assert ends.total_seconds() == 86_400


@pytest.mark.parametrize("failures", [2])
def test_r5_1_a_temporary_error_is_retried_after_1_then_2_seconds(stack: Stack, failures: int) -> None:
    """Exponential delays, each retry an event and a log line; the run goes on from the failed step."""
    task_id = stack.submit("faulty", parameters={"kind": "temporary", "failures": failures})
    waiting = stack.wait(task_id, "RETRY")
    assert waiting["status"] == "retrying"
    assert waiting["reason"]
    task = stack.wait(task_id, "SUCCESS")

    assert task["result"]["output"] == [1, 3]
    assert task["attempts"] == 3
    retries = [event for event in stack.events(task_id) if event["type"] == "execution.retry_scheduled"]
    delays = [
        datetime.fromisoformat(event["data"]["due_at"]) - datetime.fromisoformat(event["at"]) for event in retries
    ]
    assert [round(delay.total_seconds(), 1) for delay in delays] == [1.0, 2.0]
    assert sum(task_id in line and "step.retry_scheduled" in line for line in stack.log_of("worker").splitlines()) == 2


def test_r5_2_a_permanent_error_is_not_retried_and_bears_its_traceback(stack: Stack) -> None:
    """FAILURE at once, with the full traceback in the record and in the log."""
    task_id = stack.submit("faulty", parameters={"kind": "permanent"})
    task = stack.wait(task_id, "FAILURE")

    assert task["attempts"] == 1
    assert task["error"]["message"] == "this can never work"
    assert 'raise ValueError("this can never work")' in task["error"]["traceback"]
    assert any(
        task_id in line and "Traceback" in line and "this can never work" in line
        for line in stack.log_of("worker").splitlines()
    )


def block(stack: Stack, traces: Path, **body: Any) -> str:
    """Start a run that sleeps for an hour in its second step, and wait until it does."""
    task_id = stack.submit("blocking", parameters={"how": "sleep", "traces": str(traces)}, **body)
    until((traces / f"began.{task_id}").exists, hint="it has not begun")
    return task_id


def test_r5_3_a_run_past_its_time_fails_and_keeps_what_it_has_done(stack: Stack, gates: Path) -> None:
    """An hour by default; stopped in the middle of a blocking call, with `timed_out` and its partial result."""
    task_id = block(stack, gates, timeout_seconds=1)
    task = stack.wait(task_id, "FAILURE", seconds=5)

    assert (task["error"]["timed_out"], task["error"]["step"]) == (True, "block")
    assert task["partial_result"]["completed_steps"] == [{"step": "first", "symbol": None}]
    (submitted, *_) = stack.events(stack.submit("three-steps"))
    assert submitted["data"]["timeout_seconds"] == 3600


def test_r6_1_a_queued_task_is_cancelled_at_once_and_leaves_its_queue(stack: Stack, gates: Path) -> None:
    """Confirmed as REVOKED in the answer, before any worker is free; its message is gone from Redis."""
    busy = [stand_at(stack, gates, "IBM", priority="high") for _ in range(2)]
    kept, cancelled = (stack.submit("three-steps") for _ in range(2))
    until(lambda: stack.redis.llen("normal") == 2, hint="they are not in their queue")
    answer = stack.http.delete(f"/api/tasks/{cancelled}")

    assert (answer.status_code, answer.json()["state"]) == (200, "REVOKED")
    until(lambda: stack.redis.llen("normal") == 1, hint="its message is still there")
    (gates / "IBM").touch()
    assert [stack.wait(task_id)["state"] for task_id in (*busy, kept)] == ["SUCCESS"] * 3
    assert stack.types(cancelled) == ["submitted", "cancel_requested", "cancelled"]


def test_r6_2_a_running_task_is_cancelled_and_its_slot_is_usable_again(stack: Stack, gates: Path) -> None:
    """In the middle of a blocking call: `finally` ran, the finished step is kept, two runs go side by side again."""
    task_id = block(stack, gates)
    answer = stack.http.delete(f"/api/tasks/{task_id}")
    assert (answer.status_code, answer.json()["cancelling"]) == (202, True)
    task = stack.wait(task_id, "REVOKED", seconds=5)

    assert (gates / f"cleaned.{task_id}").exists()
    assert task["partial_result"]["completed_steps"] == [{"step": "first", "symbol": None}]
    (gates / "IBM").touch()
    for each in [stand_at(stack, gates, "IBM") for _ in range(2)]:
        stack.wait(each, "SUCCESS")


def test_r9_1_schedules_fire_once_by_cron_and_at_intervals_on_time(stack: Stack) -> None:
    """A real beat queues what is due within a second; daily and weekly ones show when they come next."""
    at = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=3)
    once = create_schedule(stack, {"at": at.isoformat()})
    each_second = create_schedule(stack, {"every_seconds": 1}, overlap="allow_all")
    until(lambda: tasks_of(stack, once) and len(tasks_of(stack, each_second)) >= 4, hint="nothing fires")
    stack.http.delete(f"/api/schedules/{each_second}")

    [task] = tasks_of(stack, once)
    assert (stack.wait(task["task_id"])["state"], datetime.fromisoformat(task["scheduled_at"])) == ("SUCCESS", at)
    times = [datetime.fromisoformat(each["scheduled_at"]) for each in tasks_of(stack, each_second)]
    assert times == [times[0] + timedelta(seconds=number) for number in range(len(times))]
    for each in (task, *tasks_of(stack, each_second)):
        assert timedelta() <= lateness(each) < timedelta(seconds=1)
    assert stack.http.get(f"/api/schedules/{once}").json()["next_fire_at"] is None
    for cron, days in (("@daily", 1), ("30 9 * * mon", 7), ("0 */4 * * *", 1 / 6)):
        gaps = [later - earlier for earlier, later in pairwise(preview(stack, {"cron": cron}))]
        assert gaps == [timedelta(days=days)] * 9


def test_r9_2_a_periodic_run_must_end_before_the_next_and_is_switched_by_api(stack: Stack, gates: Path) -> None:
    """While it stands before its gate no other one starts; switched off and on it obeys within a second."""
    parameters = {"gates": str(gates)}
    schedule_id = create_schedule(stack, {"every_seconds": 1}, strategy_id="gated", parameters=parameters)
    until(lambda: [each["type"] for each in history_of(stack, schedule_id)][1:4] == ["fired", "skipped", "skipped"])
    [task] = tasks_of(stack, schedule_id)
    (gates / "MSFT").touch()
    stack.wait(task["task_id"])
    until(lambda: len(tasks_of(stack, schedule_id)) >= 3, hint="nothing fires any more")

    off = stack.http.post(f"/api/schedules/{schedule_id}/disable").json()
    other = create_schedule(stack, {"every_seconds": 1}, overlap="allow_all")
    until(lambda: len(tasks_of(stack, other)) >= 3, hint="nothing fires")
    on = stack.http.post(f"/api/schedules/{schedule_id}/enable").json()
    until(lambda: tasks_of(stack, schedule_id)[-1]["submitted_at"] > on["changed_at"], hint="it stays off")
    submitted = [each["submitted_at"] for each in tasks_of(stack, schedule_id)]
    assert not [at for at in submitted if off["changed_at"] < at < on["changed_at"]]
    again = datetime.fromisoformat(min(at for at in submitted if at > on["changed_at"]))
    assert again - datetime.fromisoformat(on["changed_at"]) < timedelta(seconds=2)
    for each in (schedule_id, other):
        stack.http.delete(f"/api/schedules/{each}")


def test_r11_a_chain_passes_outputs_on_and_stops_at_a_failure(stack: Stack) -> None:
    """Dependent steps run one after the other; the output of one is the input of the next."""
    done = stack.wait(stack.submit("three-steps"), "SUCCESS")
    assert done["result"]["output"] == {"n": 7, "k1": 8, "k2": 9, "k3": 10}

    failed = stack.wait(stack.submit("faulty", parameters={"kind": "permanent"}), "FAILURE")
    steps = stack.http.get(f"/api/tasks/{failed['task_id']}/steps").json()["items"]
    assert [(step["step"], step["state"]) for step in steps] == [("before", "completed"), ("fail", "failed")]


def test_r11_independent_steps_run_side_by_side_and_all_are_awaited(stack: Stack) -> None:
    """Each symbol and each chart is a task of its own; the next stage starts when all have ended, with all results."""
    task_id = stack.submit("fanning", "AAPL", "IBM", "MSFT")
    assert stack.wait(task_id, "SUCCESS")["result"]["output"] == [3, 113]

    events = stack.events(task_id)
    for stage in range(1, 5):
        opened, closed = (
            next(e for e in events if e["type"] == f"execution.{what}" and e["data"]["opening"] == stage)
            for what in ("stage_opened", "stage_closed")
        )
        ended = [e for e in events if e["type"] == "branch.completed" and e["data"]["opening"] == stage]
        assert len(ended) == len(opened["data"]["members"]) == closed["data"]["completed"]
        assert all(opened["position"] < event["position"] < closed["position"] for event in ended)

"""Steps side by side, on a stack of their own: each member once, one join, whatever dies, fails or is called off."""

from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil
import pytest

from infra.local.record import ProcessState
from tests.e2e.stack import Stack
from tests.e2e.workers import node_name, worker
from tests.projection_check import differences
from tests.servers import open_folder
from tests.waiting import until

SYMBOLS = [f"S{number}" for number in range(60)]
GOES_ON_SECONDS = 15


@pytest.fixture(scope="module")
def crew() -> Iterator[Stack]:
    """A stack of four slots, whose tables equal its log in the end."""
    settings = {"BLOTTER_WORKER_CONCURRENCY": "4", "BLOTTER_CANCEL_GRACE_SECONDS": "1"}
    with open_folder() as folder, Stack(folder / "home", **settings) as stack:
        yield stack
        until(lambda: differences(stack.record.database_url) == [], seconds=30, every=0.5, hint="tables differ")


@pytest.fixture
def traces(tmp_path: Path) -> Path:
    """A file in which each call of a step leaves a line, which any process may write."""
    tmp_path.chmod(0o777)
    file = tmp_path / "traces"
    file.touch()
    file.chmod(0o666)
    return file


def calls(traces: Path) -> Counter[tuple[str, str]]:
    """How often each step was called, by symbol."""
    lines = (line.split() for line in traces.read_text().splitlines())
    return Counter((step, symbol) for _, step, symbol in lines)


def completed(stack: Stack, task_id: str) -> list[tuple[str, str]]:
    """The members that the log calls completed, in its order."""
    events = history(stack, task_id)
    return [(e["data"]["step"], e["data"]["symbol"]) for e in events if e["type"] == "branch.completed"]


def history(stack: Stack, task_id: str) -> list[dict[str, Any]]:
    """All events of a run and its branches."""
    return pages(stack, f"/api/tasks/{task_id}/events")


def steps(stack: Stack, task_id: str) -> list[dict[str, Any]]:
    """A row for each step and symbol."""
    return pages(stack, f"/api/tasks/{task_id}/steps")


def pages(stack: Stack, path: str) -> list[dict[str, Any]]:
    """All items of a list, page by page."""
    items: list[dict[str, Any]] = []
    query = ""
    while True:
        page = stack.http.get(f"{path}?limit=500{query}").json()
        items += page["items"]
        if page["next_cursor"] is None:
            return items
        query = f"&cursor={page['next_cursor']}"


def at_work(stack: Stack, task_id: str, step: str) -> list[dict[str, Any]]:
    """The rows of a step that run now."""
    return [row for row in steps(stack, task_id) if row["step"] == step and row["state"] == "running"]


def test_every_symbol_runs_once_and_the_join_has_them_all(crew: Stack, traces: Path) -> None:
    """Three steps for each of sixty symbols, then two side by side, then one: nothing is left out or done twice."""
    task_id = crew.submit("fanning", *SYMBOLS, parameters={"traces": str(traces)})
    task = crew.wait(task_id, seconds=60)

    assert task["result"]["output"] == [60, sum(len(symbol) * 10 + 1 for symbol in SYMBOLS)]
    expected = {(step, symbol) for step in ("load", "check", "rate") for symbol in SYMBOLS}
    assert calls(traces) == Counter([*expected, ("daily", "-"), ("weekly", "-"), ("report", "-")])
    assert Counter(e["type"] for e in history(crew, task_id))["execution.stage_closed"] == 4
    assert task["progress"]["fraction"] == 1.0
    (artifact,) = task["result"]["artifacts"]
    assert artifact["name"] == "daily.txt"


def test_a_worker_that_dies_in_a_stage_costs_only_what_it_had_in_hand(crew: Stack, traces: Path) -> None:
    """kill -9: the others' members are not repeated, its own run once more, and the run succeeds."""
    with worker(crew, "doomed", BLOTTER_WORKER_CONCURRENCY="2") as doomed:
        name = node_name(crew, "doomed")
        task_id = crew.submit("fanning", *SYMBOLS[:24], parameters={"traces": str(traces), "seconds": 0.2})
        until(lambda: any(row["worker"] == name for row in at_work(crew, task_id, "check")), seconds=30)
        doomed.kill()
        crew.wait(task_id, "SUCCESS", seconds=60)

    assert len(completed(crew, task_id)) == len(set(completed(crew, task_id)))
    repeated = sum(calls(traces).values()) - len(calls(traces))
    lost = [e for e in history(crew, task_id) if e["type"] == "branch.worker_lost"]
    assert 1 <= repeated <= len(lost) <= 2


def test_a_dispatcher_that_dies_in_a_stage_hangs_no_run(crew: Stack, traces: Path) -> None:
    """kill -9: what it had not sent is sent by the next one."""
    task_id = crew.submit("fanning", *SYMBOLS[:20], parameters={"traces": str(traces), "seconds": 0.1})
    until(lambda: at_work(crew, task_id, "load"), seconds=20)
    (dispatcher,) = [each for each in crew.record.processes if each.name == "dispatcher"]
    assert dispatcher.pid is not None
    psutil.Process(dispatcher.pid).kill()

    crew.wait(task_id, "SUCCESS", seconds=60)
    assert set(calls(traces).values()) == {1}
    until(
        lambda: all(each.state is ProcessState.RUNNING for each in crew.record.processes),
        seconds=30,
        hint="the dispatcher does not come back",
    )


def test_a_wiped_redis_in_a_stage_loses_and_doubles_nothing(crew: Stack, traces: Path) -> None:
    """FLUSHALL with members at work and waiting."""
    task_id = crew.submit("fanning", *SYMBOLS[:20], parameters={"traces": str(traces), "seconds": 0.1})
    until(lambda: at_work(crew, task_id, "load"), seconds=20)
    crew.redis.flushall()

    crew.wait(task_id, "SUCCESS", seconds=60)
    assert set(calls(traces).values()) == {1}


def test_collected_errors_are_in_the_result_and_the_others_go_on(crew: Stack) -> None:
    """After its retries: a busy symbol comes through, a broken and a deadly one do not."""
    parameters = {"busy": ["BUSY"], "broken": ["BROKEN"], "deadly": ["DEADLY"]}
    task_id = crew.submit("fanning", "AAPL", "BUSY", "BROKEN", "DEADLY", parameters=parameters)
    task = crew.wait(task_id, "SUCCESS", seconds=60)

    assert {(e["step"], e["symbol"], e["type"]) for e in task["result"]["errors"]} == {
        ("check", "BROKEN", "PermanentError"),
        ("check", "DEADLY", "worker_lost"),
    }
    assert task["result"]["output"][0] == 2
    rows = steps(crew, task_id)
    assert {row["symbol"] for row in rows if row["state"] == "skipped"} == {"BROKEN", "DEADLY"}


def test_a_failure_stops_the_siblings_and_a_retry_does_only_what_is_left(crew: Stack, traces: Path) -> None:
    """Finished outputs stay as the partial result, and are taken over when the run goes on."""
    mended = traces.with_name("mended")
    parameters = {"traces": str(traces), "broken": ["S3"], "mended": str(mended), "seconds": 0.2}
    task_id = crew.submit("brittle", *SYMBOLS[:12], parameters=parameters)
    task = crew.wait(task_id, "FAILURE", seconds=30)

    assert (task["error"]["step"], task["error"]["symbol"]) == ("check", "S3")
    before = calls(traces)
    done = {(row["step"], row["symbol"]) for row in task["partial_result"]["completed_steps"]}
    assert {("load", symbol) for symbol in SYMBOLS[:12]} <= done
    assert sum(step == "check" for step, _ in before) < 12
    until(lambda: not at_work(crew, task_id, "check"), seconds=10, hint="a sibling goes on")

    mended.touch()
    again = crew.http.post(f"/api/tasks/{task_id}/retry")
    assert (again.status_code, again.json()["state"], again.json()["error"]) == (202, "PENDING", None)
    task = crew.wait(task_id, "SUCCESS", seconds=30)
    assert task["result"]["output"][0] == 12
    assert all(calls(traces)[key] == 1 for key in done)
    assert len(completed(crew, task_id)) == len(set(completed(crew, task_id)))


def test_cancelled_in_a_stage_a_run_stops_its_members_and_can_go_on(crew: Stack, traces: Path) -> None:
    """Those at work are interrupted, those that wait never start; what is finished is not repeated."""
    parameters = {"traces": str(traces), "seconds": 30.0}
    task_id = crew.submit("fanning", *SYMBOLS[:12], parameters=parameters)
    # Its row says that a step runs as soon as the run has got there, before a member of it is with a worker.
    until(lambda: calls(traces), seconds=20, hint="no member has been called")
    answer = crew.http.delete(f"/api/tasks/{task_id}")
    assert (answer.status_code, answer.json()["was"]) == (202, "running")
    crew.wait(task_id, "REVOKED", seconds=10)

    assert len(calls(traces)) < 12
    assert {row["state"] for row in steps(crew, task_id)} == {"cancelled"}
    closed = [e["type"] for e in history(crew, task_id)]
    assert closed[-1] == "execution.cancelled"
    assert closed.count("branch.closed") == closed.count("branch.attempt_started")

    assert crew.http.post(f"/api/tasks/{task_id}/retry").status_code == 202
    until(lambda: at_work(crew, task_id, "load"), seconds=20, hint="it does not go on")
    crew.http.delete(f"/api/tasks/{task_id}")
    crew.wait(task_id, "REVOKED", seconds=10)


def test_a_run_out_of_time_in_a_stage_fails(crew: Stack) -> None:
    """Its members were at work for longer than its time, however many there were at once."""
    task_id = crew.submit("fanning", "AAPL", "MSFT", parameters={"seconds": 20.0}, timeout_seconds=1)
    task = crew.wait(task_id, "FAILURE", seconds=20)

    assert (task["error"]["type"], task["error"]["timed_out"]) == ("timeout", True)
    until(lambda: not at_work(crew, task_id, "load"), seconds=10, hint="a member goes on")


def test_members_make_way_for_an_urgent_run(crew: Stack) -> None:
    """With every slot busy on members of a low run, a high one has a slot at once; the low one ends all the same."""
    low = crew.submit("fanning", *SYMBOLS[:8], parameters={"seconds": 1.0}, priority="low")
    until(lambda: len(at_work(crew, low, "load")) == 4, seconds=20, hint="the slots are not taken")
    high = crew.submit("three-steps", priority="high")
    crew.wait(high, "SUCCESS", seconds=5)

    crew.wait(low, "SUCCESS", seconds=60)
    assert [e for e in history(crew, low) if e["type"] == "branch.preempted"]
    assert crew.task(low)["preemptions"] >= 1


def test_limits_hold_within_a_run_and_over_all_runs(crew: Stack) -> None:
    """One at once of a run whose author says so, and one at once at a venue that two runs share."""
    tasks = [crew.submit("limited", *SYMBOLS[:6]) for _ in range(2)]
    for task_id in tasks:
        crew.wait(task_id, "SUCCESS", seconds=60)

    for task_id in tasks:
        assert most_at_once(crew, [task_id], "one_by_one") == 1
    assert most_at_once(crew, tasks, "at_the_venue") == 1


def most_at_once(stack: Stack, tasks: list[str], step: str) -> int:
    """How many members of a step were at work at once, by the log."""
    by = {"branch.attempt_started": 1, "branch.completed": -1}
    events = (event for task_id in tasks for event in history(stack, task_id))
    moves = [
        (datetime.fromisoformat(event["at"]), by[event["type"]])
        for event in events
        if event["type"] in by and event["data"]["step"] == step
    ]
    most = now = 0
    for _, change in sorted(moves):
        now += change
        most = max(most, now)
    return most

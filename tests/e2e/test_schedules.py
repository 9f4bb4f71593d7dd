"""Schedules over real seconds, by the public API alone: what each overlap policy does to runs that take too long."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any, NamedTuple

import pytest

from shared.domain.schedule_events import Overlap
from tests.e2e.schedules import create_schedule, history_of, lateness, tasks_of
from tests.e2e.stack import ENDED, Stack
from tests.servers import open_folder
from tests.waiting import until

PERIOD = 2
STEP_SECONDS = 5 / 3
"""Of three steps: a run lasts five seconds, and two more times come due meanwhile."""
TIMES = 7
SLOTS = 14
"""Enough for all policies at once: nobody is to wait for a worker."""


class Seen(NamedTuple):
    """What the API tells of a schedule: it, its history oldest first, and its tasks in the order of their times."""

    document: dict[str, Any]
    history: list[dict[str, Any]]
    tasks: list[dict[str, Any]]

    @property
    def settled(self) -> list[dict[str, Any]]:
        """Return a record for each of its times, in order."""
        return [each for each in self.history if each["type"] in ("fired", "buffered", "skipped")]

    def types(self) -> list[str]:
        """Return what has become of its times, in order."""
        return [each["type"] for each in self.settled]


@pytest.fixture(scope="module")
def seen() -> Iterator[dict[Overlap, Seen]]:
    """Six schedules, one for each policy, every two seconds, with runs of five; looked at after fifteen seconds."""
    with open_folder() as folder, Stack(folder / "home", BLOTTER_WORKER_CONCURRENCY=str(SLOTS)) as stack:
        warm = [stack.submit("steady", parameters={"seconds": 0.0}) for _ in range(SLOTS)]
        for task_id in warm:
            stack.wait(task_id)
        ids = {overlap: create(stack, overlap) for overlap in Overlap}
        until(
            lambda: all(len(history_of(stack, each)) > TIMES for each in ids.values()), seconds=60, hint="nothing fires"
        )
        for each in ids.values():
            assert stack.http.post(f"/api/schedules/{each}/disable").status_code == 200
        found = {overlap: observe(stack, each) for overlap, each in ids.items()}
        yield found


def create(stack: Stack, overlap: Overlap) -> str:
    """Write a schedule whose runs take too long."""
    body = {"strategy_id": "steady", "parameters": {"seconds": STEP_SECONDS}, "overlap": str(overlap)}
    return create_schedule(stack, {"every_seconds": PERIOD}, **body)


def observe(stack: Stack, schedule_id: str) -> Seen:
    """Wait until every run has ended, and return all that is told."""

    def ended() -> list[dict[str, Any]] | None:
        tasks = tasks_of(stack, schedule_id)
        return tasks if all(each["state"] in ENDED for each in tasks) else None

    tasks = until(ended, seconds=60, hint="runs go on") or []
    document = stack.http.get(f"/api/schedules/{schedule_id}").json()
    return Seen(document, history_of(stack, schedule_id), tasks)


def spans(of: Seen) -> list[tuple[datetime, datetime]]:
    """From when to when the runs that started were at work, in order."""
    found = [
        (datetime.fromisoformat(task["started_at"]), datetime.fromisoformat(task["finished_at"]))
        for task in of.tasks
        if task["started_at"]
    ]
    return sorted(found)


def overlaps(of: Seen) -> int:
    """How often a run began before the one before it had ended."""
    return sum(second[0] < first[1] for first, second in pairwise(spans(of)))


def states(of: Seen) -> set[str]:
    """How its runs have ended."""
    return {task["state"] for task in of.tasks}


@pytest.mark.parametrize("overlap", Overlap)
def test_every_time_is_on_record_once(seen: dict[Overlap, Seen], overlap: Overlap) -> None:
    """Two seconds apart, whatever became of it; the counters say the same."""
    of = seen[overlap]
    times = [datetime.fromisoformat(each["nominal_at"]) for each in of.settled]
    assert times == [times[0] + timedelta(seconds=PERIOD * number) for number in range(len(times))]
    counters = of.document["counters"]
    assert counters["fired"] == sum(task["started_at"] is not None for task in of.tasks)
    assert counters["skipped_overlap"] == of.types().count("skipped")
    assert counters["buffered"] == of.types().count("buffered")


def test_skip_leaves_out_what_comes_too_early(seen: dict[Overlap, Seen]) -> None:
    """One run, two skipped times that name it, the next run."""
    of = seen[Overlap.SKIP]
    assert of.types()[:6] == ["fired", "skipped", "skipped"] * 2
    skipped = [each for each in of.history if each["type"] == "skipped"]
    assert skipped[0]["reason"] == "overlap"
    assert skipped[0]["running_task_id"] == of.tasks[0]["task_id"]
    assert (overlaps(of), states(of)) == (0, {"SUCCESS"})


def test_buffer_one_goes_on_with_the_one_that_waited(seen: dict[Overlap, Seen]) -> None:
    """As soon as the run before it has ended."""
    of = seen[Overlap.BUFFER_ONE]
    assert of.types()[:3] == ["fired", "buffered", "skipped"]
    first, second = spans(of)[:2]
    assert timedelta() <= second[0] - first[1] < timedelta(seconds=1)
    assert overlaps(of) == 0


def test_buffer_all_loses_none(seen: dict[Overlap, Seen]) -> None:
    """They run one after the other; what was held when the schedule was switched off is cancelled."""
    of = seen[Overlap.BUFFER_ALL]
    assert of.types()[:5] == ["fired", *["buffered"] * 4]
    assert overlaps(of) == 0
    started = [task for task in of.tasks if task["started_at"]]
    assert started == of.tasks[: len(started)]
    assert {task["state"] for task in of.tasks[len(started) :]} == {"REVOKED"}


def test_allow_all_runs_them_side_by_side(seen: dict[Overlap, Seen]) -> None:
    """Each at its time."""
    of = seen[Overlap.ALLOW_ALL]
    assert set(of.types()) == {"fired"}
    assert overlaps(of) == len(of.tasks) - 1
    assert states(of) == {"SUCCESS"}


def test_cancel_other_starts_when_the_other_has_stopped(seen: dict[Overlap, Seen]) -> None:
    """Of a run that takes five seconds and is cancelled after two nothing is left but its record."""
    of = seen[Overlap.CANCEL_OTHER]
    assert of.types()[:3] == ["fired", "buffered", "buffered"]
    assert overlaps(of) == 0
    assert {task["state"] for task in of.tasks[:-1]} == {"REVOKED"}
    first, second = spans(of)[:2]
    assert timedelta(seconds=1) < first[1] - first[0] < timedelta(seconds=4)
    assert second[0] - first[1] < timedelta(seconds=1)


def test_terminate_other_waits_for_nobody(seen: dict[Overlap, Seen]) -> None:
    """The new one is fired at its time, the old one ends by force."""
    of = seen[Overlap.TERMINATE_OTHER]
    assert set(of.types()) == {"fired"}
    assert {task["state"] for task in of.tasks[:-1]} == {"REVOKED"}
    assert max(lateness(task) for task in of.tasks) < timedelta(seconds=1)

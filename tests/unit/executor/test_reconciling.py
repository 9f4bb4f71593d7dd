"""Whose worker is gone and which pointers were lost, from what was seen and when."""

from datetime import timedelta
from typing import Any

from services.executor.live_run import LiveRun, RunState
from services.executor.pointers import message_id
from services.executor.reconciling import POINTER_GRACE, Sighting, Watch
from shared.domain.priority import Priority
from shared.heartbeats import TTL, ActiveRun, WorkerHeartbeat
from tests.builders import NOW
from tests.unit.executor.live_runs import WORKER, at_work


def running(**changes: Any) -> LiveRun:
    """A run that WORKER claimed."""
    return at_work(**({"level": Priority.NORMAL} | changes))


def waiting(**changes: Any) -> LiveRun:
    """A run whose pointer was sent long ago."""
    return running(**({"state": RunState.WAITING, "sent_at": NOW - timedelta(minutes=1), "worker": None} | changes))


def seen(
    *active: LiveRun,
    after: float = 0,
    generation: str = "one",
    alive: bool = True,
    queued: Any = (),
    dead: tuple[LiveRun, ...] = (),
) -> Sighting:
    """What Redis shows `after` seconds: WORKER with these runs in hand, some of them dead, or no worker at all."""
    beat = WorkerHeartbeat(
        name=WORKER,
        host="desk",
        pid=1,
        pool="prefork",
        concurrency=2,
        queues=("normal",),
        started_at=NOW,
        at=NOW + timedelta(seconds=after),
        active=tuple(ActiveRun(task_id=run.task_id, attempt=run.attempt) for run in active),
        dead=tuple(ActiveRun(task_id=run.task_id, attempt=run.attempt) for run in dead),
    )
    return Sighting(generation=generation, workers={WORKER: beat} if alive else {}, queued=frozenset(queued))


def lost(watch: Watch, sighting: Sighting, *runs: LiveRun, after: float) -> list[LiveRun]:
    """The runs that are found lost `after` seconds."""
    return [each.run for each in watch.lost_runs(sighting, runs, NOW + timedelta(seconds=after))]


def test_a_silent_worker_loses_its_runs_once_silence_means_something() -> None:
    """The first look proves nothing; after a heartbeat's life of watching, absence counts."""
    watch, run = Watch(), running()
    assert lost(watch, seen(alive=False), run, after=0) == []
    assert lost(watch, seen(alive=False), run, after=TTL.total_seconds() - 0.1) == []
    assert lost(watch, seen(alive=False), run, after=TTL.total_seconds()) == [run]


def test_a_worker_that_lists_its_run_keeps_it() -> None:
    """However long it takes."""
    watch, run = Watch(), running()
    assert lost(watch, seen(run), run, after=0) == []
    assert lost(watch, seen(run, after=3600), run, after=3600) == []


def test_a_run_whose_child_died_is_lost_at_once() -> None:
    """The worker has seen it: that needs no second look; another attempt of the run is not meant."""
    watch, run, other = Watch(), running(), running()
    again = running(task_id=run.task_id, attempt=2)
    assert lost(watch, seen(run, other, dead=(run,)), run, other, after=0) == [run]
    assert lost(watch, seen(again, dead=(run,)), again, after=0.1) == []


def test_a_run_that_two_heartbeats_leave_out_has_lost_its_process() -> None:
    """One may have been written before the claim; the same one seen twice is still one."""
    watch, run = Watch(), running()
    lost(watch, seen(run), run, after=0)
    assert lost(watch, seen(after=5), run, after=5) == []
    assert lost(watch, seen(after=5), run, after=5.5) == []
    assert lost(watch, seen(after=6), run, after=6) == [run]


def test_a_run_that_comes_back_into_the_heartbeat_is_not_lost() -> None:
    """Only heartbeats in a row count."""
    watch, run = Watch(), running()
    lost(watch, seen(run), run, after=0)
    assert lost(watch, seen(after=5), run, after=5) == []
    assert lost(watch, seen(run, after=6), run, after=6) == []
    assert lost(watch, seen(after=7), run, after=7) == []


def test_a_wiped_redis_is_no_mass_death() -> None:
    """A new generation starts the watch anew: the workers have time to announce themselves."""
    watch, run = Watch(), running()
    watch.is_new_generation(seen(run))
    lost(watch, seen(run), run, after=0)
    assert watch.is_new_generation(seen(alive=False, generation="two"))
    assert lost(watch, seen(alive=False, generation="two"), run, after=60) == []
    assert lost(watch, seen(run, after=62, generation="two"), run, after=62) == []
    assert lost(watch, seen(run, after=64, generation="two"), run, after=64) == []


def test_a_redis_that_was_away_is_no_mass_death() -> None:
    """Heartbeats expire while Redis is out of reach, and nobody has died of it."""
    watch, run = Watch(), running()
    lost(watch, seen(run), run, after=0)
    watch.blind()
    assert lost(watch, seen(alive=False), run, after=30) == []


def test_the_first_sighting_is_no_new_generation() -> None:
    """A dispatcher that has just started has nothing to compare with."""
    watch = Watch()
    assert not watch.is_new_generation(seen())
    assert not watch.is_new_generation(seen())
    assert watch.is_new_generation(seen(generation="two"))


def test_a_pointer_that_is_nowhere_twice_is_lost() -> None:
    """Between queue and worker it is nowhere for a moment."""
    watch, run = Watch(), waiting()
    assert watch.lost_pointers(seen(), [run], NOW) == []
    assert watch.lost_pointers(seen(), [run], NOW) == [run]
    assert watch.lost_pointers(seen(), [run], NOW) == []


def test_a_pointer_in_a_queue_or_with_a_worker_is_not_lost() -> None:
    """Nor is one that was sent just now, or not yet."""
    watch = Watch()
    queued, held = waiting(), waiting(attempt=2)
    fresh, unsent = waiting(sent_at=NOW - POINTER_GRACE), waiting(sent_at=None)
    sighting = seen(held, queued=[message_id(queued.task_id, 1)])
    for _ in range(3):
        assert watch.lost_pointers(sighting, [queued, held, fresh, unsent], NOW) == []

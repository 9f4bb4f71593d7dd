"""Beat's first entries."""

from datetime import UTC, datetime, timedelta

import pytest

from services.executor.queues import CONSUMED
from services.scheduler.app import create_app
from services.scheduler.settings import SchedulerSettings
from shared.routing import CLEAN_UP, PROBE_PROJECTION_LAG


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> SchedulerSettings:
    """The defaults."""
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody@localhost/none")
    return SchedulerSettings()


def test_every_entry_goes_to_a_queue_that_workers_consume(settings: SchedulerSettings) -> None:
    """An entry in a queue of its own would wait for ever."""
    schedule = create_app(settings).conf.beat_schedule

    assert {entry["task"] for entry in schedule.values()} == {PROBE_PROJECTION_LAG, CLEAN_UP}
    assert {entry["options"]["queue"] for entry in schedule.values()} <= set(CONSUMED)


def test_the_clean_up_runs_once_a_night(settings: SchedulerSettings) -> None:
    """At three in the morning, UTC."""
    schedule = create_app(settings).conf.beat_schedule["clean-up"]["schedule"]
    schedule.nowfun = lambda: datetime(2026, 3, 2, 2, 30, tzinfo=UTC)

    assert schedule.remaining_estimate(datetime(2026, 3, 1, 3, 0, tzinfo=UTC)) == timedelta(minutes=30)


def test_a_probe_that_nobody_took_in_time_is_forgotten(settings: SchedulerSettings) -> None:
    """Probes do not pile up while all workers are busy."""
    entry = create_app(settings).conf.beat_schedule["projection-lag"]

    assert entry["options"]["expires"] == entry["schedule"].total_seconds()

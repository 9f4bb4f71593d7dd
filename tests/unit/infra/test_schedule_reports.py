"""What is told of schedules, in a terminal of 80 columns."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pytest
from rich.console import Console

from infra.cli import schedule_reports as reports
from services.gateway.schedule_examples import (
    BACKFILL,
    BACKFILL_ID,
    DISABLED,
    HISTORY,
    SCHEDULE,
    SCHEDULE_ID,
    UPCOMING,
)

TASK_ID = SCHEDULE["last_task_id"]


def told(write: Callable[[Console], None]) -> list[str]:
    """The lines, none of them wider than the terminal."""
    to = Console(file=io.StringIO(), width=80)
    write(to)
    assert isinstance(to.file, io.StringIO)
    lines = to.file.getvalue().splitlines()
    assert [line for line in lines if len(line) > 80] == []
    return [" ".join(line.split()) for line in lines]


def test_a_schedule_is_told_with_its_settings_its_runs_and_its_next_times() -> None:
    """Times stand in UTC beside those of its zone, with the abbreviation."""
    held = "9a1f3c1e-9d1f-4a57-8f0e-2f6f1c1d7a10"
    schedule = SCHEDULE | {"held": [held], "backfills": [BACKFILL], "max_runs": 20, "timeout_seconds": 5400.0}
    lines = told(lambda to: reports.report(to, schedule, UPCOMING))
    assert lines[:4] == [
        f"Schedule open-plus-5: {SCHEDULE_ID}",
        "sma-crossover on AAPL, MSFT",
        "cron 35 9 * * mon-fri, America/New_York, calendar XNYS",
        "enabled; next 2026-02-02 14:35:00 UTC (Mon 2026-02-02 09:35:00 EST)",
    ]
    expected = [
        "overlap skip",
        "catch-up 5m",
        "jitter 0s",
        'parameters {"fast": 20, "slow": 50}',
        "labels desk:eu",
        "most runs 20",
        "timeout 1h30m",
        "created 2026-01-29 08:00:00 UTC (Thu 2026-01-29 03:00:00 EST)",
        "fired 2",
        "Last fired 2026-01-30 14:35:00 UTC (Fri 2026-01-30 09:35:00 EST)",
        f"task {TASK_ID}",
        f"Running: task {TASK_ID}",
        f"Held: task {held}",
        f"Backfill {BACKFILL_ID}",
        "from 2026-01-05 00:00:00 to 2026-01-16 23:59:59 UTC, overlap buffer_all",
        "in America/New_York in UTC",
        "Mon 2026-02-02 09:35:00 EST 2026-02-02 14:35:00",
    ]
    assert [line for line in expected if line not in lines] == []


def test_settings_without_a_value_are_not_told() -> None:
    """There are many, and few schedules have them."""
    lines = told(lambda to: reports.report(to, SCHEDULE, UPCOMING))
    absent = ("start ", "end ", "most ", "timeout ", "result ", "on failure", "changed ")
    assert [line for line in lines if line.startswith(absent)] == []
    changed = told(lambda to: reports.report(to, DISABLED, UPCOMING))
    assert "changed 2026-01-30 15:00:00 UTC (Fri 2026-01-30 10:00:00 EST)" in changed


@pytest.mark.parametrize(
    ("differs", "says"),
    [
        ({"when": {"cron": "@daily"}}, "cron @daily"),
        ({"when": {"every_seconds": 14400.0}}, "every 4h"),
        ({"when": {"at": "2026-03-02T14:30:00Z"}}, "once at 2026-03-02 14:30:00 UTC"),
        ({"when": {"session": {"event": "open", "offset_seconds": 0.0}}}, "session open"),
        ({"when": {"session": {"event": "open", "offset_seconds": 300.0}}}, "session open+5m"),
        ({"when": {"session": {"event": "close", "offset_seconds": -600.0}}}, "session close-10m"),
        ({"when": {"moon": "full"}}, '{"moon": "full"}'),
        ({"when": {"cron": "@daily"}, "timezone": "Asia/Tokyo"}, "cron @daily, Asia/Tokyo"),
    ],
)
def test_when_it_fires_is_told_as_it_is_typed(differs: dict[str, Any], says: str) -> None:
    """The zone is told unless it is UTC, and what this version does not know as it came."""
    assert reports.timing_line(SCHEDULE | {"timezone": "UTC", "calendar": None} | differs) == says


@pytest.mark.parametrize(
    ("differs", "says"),
    [
        ({"enabled": False, "disabled_reason": "earnings season"}, "disabled: earnings season"),
        ({"enabled": False}, "disabled"),
        ({"next_fire_at": None}, "enabled; no time lies ahead"),
        ({"timezone": "UTC"}, "enabled; next 2026-02-02 14:35:00 UTC"),
    ],
)
def test_whether_it_fires_is_one_line(differs: dict[str, Any], says: str) -> None:
    """With the reason if it does not."""
    assert reports.state_line(SCHEDULE | differs) == says


def test_jitter_adds_when_each_time_is_due() -> None:
    """A preview does not know that yet, and has no such column."""
    item = {"at": "2026-02-02T14:35:00Z", "local": "2026-02-02T09:35:00-05:00", "due_at": "2026-02-02T14:35:12.5Z"}
    answer = {"items": [item], "timezone": "America/New_York"}
    lines = told(lambda to: reports.upcoming(to, answer))
    assert "in America/New_York in UTC due, in UTC" in lines
    assert "Mon 2026-02-02 09:35:00 EST 2026-02-02 14:35:00 2026-02-02 14:35:12" in lines
    unknown = answer | {"items": [item | {"due_at": None}]}
    assert "in America/New_York in UTC" in told(lambda to: reports.upcoming(to, unknown))


def test_a_schedule_in_utc_has_its_times_once() -> None:
    """Two columns that are the same would say nothing."""
    item = {"at": "2026-02-02T14:35:00Z", "local": "2026-02-02T14:35:00+00:00", "due_at": "2026-02-02T14:35:00Z"}
    lines = told(lambda to: reports.upcoming(to, {"items": [item], "timezone": "UTC"}))
    assert [line for line in lines if line and not line.startswith("─")] == [
        "Next times",
        "in UTC",
        "Mon 2026-02-02 14:35:00 UTC",
    ]


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ({"reason": "it is disabled: earnings season"}, "No times come: it is disabled: earnings season."),
        ({}, "No times come: none lies ahead."),
    ],
)
def test_no_times_to_come_have_a_reason(answer: dict[str, Any], says: str) -> None:
    """A preview's is that they are all in the past."""
    assert told(lambda to: reports.upcoming(to, {"items": [], "timezone": "UTC"} | answer)) == [says]


def test_a_list_tells_ids_only_where_a_name_stands_for_several() -> None:
    """Elsewhere the name is what the commands take."""
    other = "9a1f3c1e-9d1f-4a57-8f0e-2f6f1c1d7a10"
    twin = SCHEDULE | {"schedule_id": other, "when": {"every_seconds": 60}, "timezone": "UTC", "calendar": None}
    alone = told(lambda to: reports.listing(to, [SCHEDULE, DISABLED | {"name": "closing"}]))
    assert [line for line in alone if SCHEDULE_ID in line] == []
    assert [line.split()[-1] for line in alone if line.startswith(("open-plus-5", "closing"))] == [
        "14:35:00",
        "disabled",
    ]
    several = told(lambda to: reports.listing(to, [SCHEDULE, twin]))
    assert several[several.index(f"open-plus-5: {other}") + 1] == "sma-crossover, every 1m"


def entry(**known: Any) -> dict[str, Any]:
    """An entry of a history, in which what does not apply is null."""
    return dict.fromkeys(HISTORY[0]) | {"at": "2026-03-02T14:35:00.4Z", "actor": "scheduler:beat"} | known


MONDAY, TUESDAY = "2026-03-02T14:35:00Z", "2026-03-03T14:35:00Z"


@pytest.mark.parametrize(
    ("item", "says"),
    [
        (
            entry(type="fired", kind="schedule", nominal_at=MONDAY, task_id="t-1", task_state="SUCCESS"),
            "fired for 2026-03-02 14:35:00, task t-1, SUCCESS",
        ),
        (
            entry(type="fired", kind="trigger", nominal_at=MONDAY, task_id="t-1", actor="user:ann"),
            "fired for 2026-03-02 14:35:00 (trigger), task t-1, by ann",
        ),
        (
            entry(type="skipped", kind="schedule", nominal_at=MONDAY, reason="overlap", running_task_id="t-0"),
            "skipped for 2026-03-02 14:35:00, overlap, behind task t-0",
        ),
        (
            entry(type="missed", nominal_at=MONDAY, last_at=TUESDAY, count=2),
            "missed for 2026-03-02 14:35:00 to 2026-03-03 14:35:00, 2 times",
        ),
        (entry(type="missed", nominal_at=MONDAY, last_at=MONDAY, count=1), "missed for 2026-03-02 14:35:00, 1 time"),
        (
            entry(
                type="backfill_requested",
                kind="backfill",
                nominal_at=MONDAY,
                last_at=TUESDAY,
                count=2,
                actor="user:ann",
            ),
            "backfill requested for 2026-03-02 14:35:00 to 2026-03-03 14:35:00, 2 times, by ann",
        ),
        (entry(type="released", task_id="t-1", task_state="PENDING"), "released, task t-1, PENDING"),
        (entry(type="disabled", reason="earnings_season", actor="user:ann"), "disabled, earnings_season, by ann"),
        (
            entry(type="skipped", kind="schedule", nominal_at=MONDAY, reason="buffer_full"),
            "skipped for 2026-03-02 14:35:00, buffer full",
        ),
        (entry(type="run_returned", task_id="t-1"), "run returned, task t-1"),
    ],
)
def test_history_tells_what_is_known_of_each_event(item: dict[str, Any], says: str) -> None:
    """Which times, which run and what became of it, why, and who asked for it."""
    to = Console(file=io.StringIO(), width=200)
    reports.history(to, [item])
    assert isinstance(to.file, io.StringIO)
    assert f"2026-03-02 14:35:00 {says}" in [" ".join(line.split()) for line in to.file.getvalue().splitlines()]


def test_history_keeps_ids_in_one_piece() -> None:
    """They are there to be copied."""
    lines = told(lambda to: reports.history(to, HISTORY))
    ids = [str(item["task_id"] or item["running_task_id"]) for item in HISTORY]
    assert [task_id for task_id in ids if not any(task_id in line for line in lines)] == []

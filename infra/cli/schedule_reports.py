"""Schedules for people: what they run and when, what has become of their times, and which come next."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

from rich.console import Console

from infra.cli.durations import duration_text
from infra.cli.output import say, table
from infra.cli.zones import beside, local, utc

Json = dict[str, Any]

_COUNTERS = {
    "fired": "fired",
    "skipped_overlap": "skipped: an earlier run had not ended",
    "skipped_otherwise": "skipped: other reasons",
    "missed_catchup": "missed: later than the catch-up allows",
    "buffered": "had to wait for an earlier run",
}

_USER = "user:"
"""So begins the actor of what somebody asked for."""


def timing_line(schedule: Json) -> str:
    """When it fires, in words."""
    parts = [_when(schedule["when"])]
    if schedule["timezone"] != "UTC":
        parts.append(schedule["timezone"])
    if calendar := schedule["calendar"]:
        parts.append(f"calendar {calendar}")
    return ", ".join(parts)


def state_line(schedule: Json) -> str:
    """Whether it fires, and when next."""
    if not schedule["enabled"]:
        return f"disabled: {schedule['disabled_reason']}" if schedule["disabled_reason"] else "disabled"
    if schedule["next_fire_at"] is None:
        return "enabled; no time lies ahead"
    return f"enabled; next {beside(schedule['next_fire_at'], schedule['timezone'])}"


def report(to: Console, schedule: Json, coming: Json) -> None:
    """Everything about one schedule, and its next times."""
    say(to, f"Schedule {schedule['name']}: {schedule['schedule_id']}")
    say(to, f"{schedule['strategy_id']} on {', '.join(schedule['symbols'])}")
    say(to, timing_line(schedule))
    say(to, state_line(schedule))
    table(to, "Settings", ["setting", "value"], _settings(schedule))
    table(to, "So far", ["times", "count"], [(words, schedule["counters"][key]) for key, words in _COUNTERS.items()])
    _runs(to, schedule)
    upcoming(to, coming)


def upcoming(to: Console, answer: Json) -> None:
    """Times that come, as the zone's clocks show them and in UTC; where jitter moves them, also when they are due."""
    items = answer["items"]
    if not items:
        say(to, f"No times come: {answer.get('reason') or 'none lies ahead'}.")
        return
    zone = answer["timezone"]
    columns = {f"in {zone}": [local(item["local"], zone) for item in items]}
    if zone != "UTC":
        columns["in UTC"] = [utc(item["at"]) for item in items]
    if any(item["due_at"] not in (None, item["at"]) for item in items):
        columns["due, in UTC"] = [utc(item["due_at"]) for item in items]
    table(to, "Next times", list(columns), list(zip(*columns.values(), strict=True)), whole=columns)


def candidate(schedule: Json) -> str:
    """One of several of the same name: its id, and by what to know it."""
    return f"{schedule['schedule_id']} ({schedule['strategy_id']}, {timing_line(schedule)})"


def listing(to: Console, schedules: Sequence[Json]) -> None:
    """A row a schedule; an id takes half of a terminal, and is told only where the name alone would not do."""
    columns = ["name", "strategy", "when", "next, in UTC"]
    rows = [(each["name"], each["strategy_id"], timing_line(each), _next(each)) for each in schedules]
    table(to, "Schedules", columns, rows, whole=columns[-1:])
    count = Counter(each["name"] for each in schedules)
    for each in schedules:
        if count[each["name"]] > 1:
            say(to, f"{each['name']}: {each['schedule_id']}")
            say(to, f"  {each['strategy_id']}, {timing_line(each)}")


def history(to: Console, items: Sequence[Json]) -> None:
    """What has happened, newest first."""
    columns = ["at, in UTC", "what"]
    table(to, "History", columns, [(utc(item["at"]), _happened(item)) for item in items], whole=columns[:1])


def _when(when: Json) -> str:
    match when:
        case {"at": str(at)}:
            return f"once at {utc(at)} UTC"
        case {"cron": str(cron)}:
            return f"cron {cron}"
        case {"every_seconds": int() | float() as seconds}:
            return f"every {duration_text(seconds)}"
        case {"session": {"event": event, "offset_seconds": int() | float() as offset}}:
            sign = "-" if offset < 0 else "+"
            return f"session {event}{f'{sign}{duration_text(abs(offset))}' if offset else ''}"
    return json.dumps(when)


def _next(schedule: Json) -> str:
    if not schedule["enabled"]:
        return "disabled"
    return utc(schedule["next_fire_at"]) or "none"


def _settings(schedule: Json) -> list[tuple[str, object]]:
    """Those that every schedule has, and of the others those that have a value."""
    zone = schedule["timezone"]
    rows: list[tuple[str, object]] = [
        ("overlap", schedule["overlap"]),
        ("catch-up", duration_text(schedule["catchup_seconds"])),
        ("jitter", duration_text(schedule["jitter_seconds"])),
        ("priority", schedule["priority"]),
    ]
    optional: list[tuple[str, object]] = [
        ("parameters", json.dumps(schedule["parameters"]) if schedule["parameters"] else None),
        ("labels", ", ".join(f"{key}:{value}" for key, value in schedule["labels"].items())),
        ("start", beside(schedule["start_at"], zone) if schedule["start_at"] else None),
        ("end", beside(schedule["end_at"], zone) if schedule["end_at"] else None),
        ("most runs", schedule["max_runs"]),
        ("on failure", "disabled" if schedule["pause_on_failure"] else None),
        ("most retries", schedule["max_retries"]),
        ("timeout", _optional_duration(schedule["timeout_seconds"])),
        ("result kept", _optional_duration(schedule["result_ttl_seconds"])),
        ("owner", schedule["user_id"]),
        ("created", beside(schedule["created_at"], zone)),
        ("changed", None if schedule["changed_at"] == schedule["created_at"] else beside(schedule["changed_at"], zone)),
    ]
    return rows + [(name, value) for name, value in optional if value not in (None, "")]


def _optional_duration(seconds: float | None) -> str | None:
    return None if seconds is None else duration_text(seconds)


def _runs(to: Console, schedule: Json) -> None:
    """Its last run, those that have not ended, and the past times that are being made up for."""
    zone = schedule["timezone"]
    if schedule["last_fired_at"]:
        say(to, f"Last fired {beside(schedule['last_fired_at'], zone)}")
        say(to, f"  for {beside(schedule['last_nominal_at'], zone)}")
        say(to, f"  task {schedule['last_task_id']}")
    for task_id in schedule["running"]:
        say(to, f"Running: task {task_id}")
    for task_id in schedule["held"]:
        say(to, f"Held: task {task_id}")
    for backfill in schedule["backfills"]:
        say(to, f"Backfill {backfill['backfill_id']}")
        say(to, f"  from {utc(backfill['start'])} to {utc(backfill['end'])} UTC, overlap {backfill['overlap']}")


def _happened(item: Json) -> str:
    """An event, and whatever is known of it: which times, which run, why, who."""
    times = utc(item["nominal_at"])
    if item["last_at"] not in (None, item["nominal_at"]):
        times = f"{times} to {utc(item['last_at'])}"
    words = [
        item["type"].replace("_", " "),
        f"for {times}" if times else "",
        f"({item['kind']})"
        if item["kind"] in ("trigger", "backfill") and not item["type"].startswith("backfill")
        else "",
    ]
    known = [
        times_text(item["count"]) if item["count"] is not None else "",
        (item["reason"] or "").replace("_", " ") if item["type"] == "skipped" else item["reason"],
        f"behind task {item['running_task_id']}" if item["running_task_id"] else "",
        f"task {item['task_id']}" if item["task_id"] else "",
        item["task_state"],
        f"by {item['actor'].removeprefix(_USER)}" if item["actor"].startswith(_USER) else "",
    ]
    return ", ".join([" ".join(word for word in words if word), *(word for word in known if word)])


def times_text(count: int) -> str:
    """So many times."""
    return "1 time" if count == 1 else f"{count} times"

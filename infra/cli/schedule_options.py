"""What `create` and `change` take, and the body that it becomes: only what was given is sent."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

import typer

from infra.cli.arguments import Priority, json_object
from infra.cli.durations import seconds_of
from infra.cli.failures import RefusedError

Json = dict[str, Any]

NOTHING = "none"
"""What is written for an option that is to have no value any more."""

_SESSION = re.compile(r"(open|close)(?:([+-])(.+))?")


class Overlap(StrEnum):
    """What becomes of a time while an earlier run has not ended."""

    SKIP = "skip"
    BUFFER_ONE = "buffer_one"
    BUFFER_ALL = "buffer_all"
    ALLOW_ALL = "allow_all"
    CANCEL_OTHER = "cancel_other"
    TERMINATE_OTHER = "terminate_other"


Cron = Annotated[
    str | None, typer.Option(metavar="TEXT", help="By five fields, '35 9 * * mon-fri', or @daily, @weekly, @hourly.")
]
Every = Annotated[
    str | None, typer.Option(metavar="DURATION", help="At an interval: seconds, or 30s, 15m, 4h; counted from --start.")
]
At = Annotated[str | None, typer.Option(metavar="TIME", help="Once, at a time with its offset: 2026-03-02T14:30:00Z.")]
Session = Annotated[
    str | None, typer.Option(metavar="MOMENT", help="At each session of --calendar: open, open+5m, close-10m.")
]
Timezone = Annotated[
    str | None, typer.Option(metavar="ZONE", help="The zone of --cron, such as America/New_York; UTC by default.")
]
Calendar = Annotated[
    str | None, typer.Option(metavar="CODE", help="An exchange, such as XNYS: nothing on days without a session.")
]
Level = Annotated[Priority | None, typer.Option(help="Its runs' place in the queues; normal by default.")]
Parameters = Annotated[str | None, typer.Option(metavar="JSON", help="An object, for example '{\"fast\": 10}'.")]
Overlaps = Annotated[
    Overlap | None,
    typer.Option(metavar="POLICY", help=f"While an earlier run has not ended: {', '.join(Overlap)}; skip by default."),
]
Catchup = Annotated[
    str | None, typer.Option(metavar="DURATION", help="A time that is later than this is missed; 5m by default.")
]
Jitter = Annotated[
    str | None, typer.Option(metavar="DURATION", help="Each time fires up to this much later; 0s by default.")
]
Start = Annotated[str | None, typer.Option(metavar="TIME", help="No time before this one counts.")]
End = Annotated[str | None, typer.Option(metavar="TIME", help="No time after this one counts.")]
MaxRuns = Annotated[str | None, typer.Option(metavar="COUNT", help="How many of its times give a run.")]
_PAUSE = "Disable it when a run of it has failed."
PauseOnFailure = Annotated[bool, typer.Option("--pause-on-failure", help=_PAUSE)]
PausesOnFailure = Annotated[bool | None, typer.Option("--pause-on-failure/--no-pause", help=_PAUSE)]


@dataclass(frozen=True, kw_only=True)
class Given:
    """The options as they were typed, None where one was not."""

    name: str | None
    strategy: str | None
    symbols: Sequence[str] | None
    cron: str | None
    every: str | None
    at: str | None
    session: str | None
    timezone: str | None
    calendar: str | None
    priority: Priority | None
    parameters: str | None
    overlap: Overlap | None
    catchup: str | None
    jitter: str | None
    start: str | None
    end: str | None
    max_runs: str | None
    pause_on_failure: bool | None

    def body(self) -> Json:
        """The interface's fields for what was given; raises RefusedError for a text that cannot be read."""
        fields = {
            "name": self.name,
            "strategy_id": self.strategy,
            "symbols": list(self.symbols) if self.symbols else None,
            "when": self._when(),
            "timezone": self.timezone,
            "priority": self.priority and self.priority.value,
            "parameters": None if self.parameters is None else json_object(self.parameters),
            "overlap": self.overlap and self.overlap.value,
            "catchup_seconds": None if self.catchup is None else seconds_of("--catchup", self.catchup),
            "jitter_seconds": None if self.jitter is None else seconds_of("--jitter", self.jitter),
            "pause_on_failure": self.pause_on_failure,
        }
        return {name: value for name, value in fields.items() if value is not None} | self._removable()

    def _when(self) -> Json | None:
        options = {"--cron": self.cron, "--every": self.every, "--at": self.at, "--session": self.session}
        given = [(option, text) for option, text in options.items() if text is not None]
        if len(given) > 1:
            raise RefusedError(f"{' and '.join(option for option, _ in given)} are given: a schedule has one of them.")
        match given:
            case [("--cron", text)]:
                return {"cron": text}
            case [("--every" as option, text)]:
                return {"every_seconds": seconds_of(option, text)}
            case [("--at" as option, text)]:
                return {"at": instant(option, text)}
            case [("--session", text)]:
                return {"session": session_of(text)}
        return None

    def _removable(self) -> Json:
        """The fields that may have no value."""
        found: Json = {}
        if self.calendar is not None:
            found["calendar"] = None if self.calendar == NOTHING else self.calendar
        if self.start is not None:
            found["start_at"] = None if self.start == NOTHING else instant("--start", self.start)
        if self.end is not None:
            found["end_at"] = None if self.end == NOTHING else instant("--end", self.end)
        if self.max_runs is not None:
            found["max_runs"] = None if self.max_runs == NOTHING else _count("--max-runs", self.max_runs)
        return found


def instant(option: str, text: str) -> str:
    """A time with its offset from UTC, in ISO 8601; raises RefusedError for one that leaves the offset open."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise RefusedError(
            f"{option} {text} is not a time with its offset from UTC: write for example 2026-03-02T14:30:00Z or "
            "2026-03-02T09:30:00-05:00."
        )
    return found.isoformat()


def session_of(text: str) -> Json:
    """A moment of each session: `open+5m` is five minutes after it opens, `close-10m` ten minutes before it closes."""
    parts = _SESSION.fullmatch(text)
    if parts is None:
        raise RefusedError(
            f"--session {text} is not a moment of a session: write open or close, and how long after or before it, "
            "for example open+5m or close-10m."
        )
    event, sign, duration = parts.groups()
    offset = 0.0 if duration is None else seconds_of("--session", duration)
    return {"event": event, "offset_seconds": -offset if sign == "-" else offset}


def _count(option: str, text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise RefusedError(f"{option} {text} is not a whole number: write for example 20.") from None

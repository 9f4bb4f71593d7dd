"""The bodies about schedules: those of tasks, and when they run."""

from copy import copy
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    WithJsonSchema,
    create_model,
    model_validator,
)

from services.gateway.bodies import WHOLE, Body, TaskRequest
from services.gateway.conditions import moment
from shared.domain.schedule_events import Overlap, ScheduleDefinition
from shared.domain.timing import SessionEvent, SessionMoment, When

EARLIEST, LATEST = datetime(1970, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
LONGEST_CATCHUP_SECONDS = 366 * 24 * 3600
LONGEST_JITTER_SECONDS = 24 * 3600
LONGEST_INTERVAL_SECONDS = 366 * 24 * 3600
LONGEST_OFFSET_SECONDS = 24 * 3600
MOST_RUNS = 1_000_000_000

EXAMPLE: dict[str, Any] = {
    "name": "open-plus-5",
    "strategy_id": "sma-crossover",
    "symbols": ["AAPL", "MSFT"],
    "parameters": {"fast": 20, "slow": 50},
    "when": {"cron": "35 9 * * mon-fri"},
    "timezone": "America/New_York",
    "calendar": "XNYS",
    "overlap": "skip",
    "catchup_seconds": 300,
}


def _within_reach(time: datetime) -> datetime:
    try:
        found = time.astimezone(UTC)
    except OverflowError:  # within a day of the year 1 or 9999
        found = None
    if found is None or not EARLIEST <= found <= LATEST:
        raise ValueError(f"must lie between {EARLIEST:%Y} and {LATEST:%Y}")
    return found


Instant = Annotated[
    datetime,
    BeforeValidator(moment),
    AfterValidator(_within_reach),
    WithJsonSchema({"type": "string", "format": "date-time", "examples": ["2026-01-31T14:30:00Z"]}),
]
"""A time with its zone, kept in UTC."""

_Overlap = Annotated[Overlap, Field(strict=False)]
_Printable = StringConstraints(pattern=r"^[\x20-\x7e]{1,100}$")


class SessionBody(Body):
    """A moment of each session of the calendar."""

    event: Annotated[SessionEvent, Field(strict=False)]
    offset_seconds: float = Field(
        0.0,
        ge=-LONGEST_OFFSET_SECONDS,
        le=LONGEST_OFFSET_SECONDS,
        description="so much after it; below zero, before it",
    )


def _exactly_one(schema: dict[str, Any]) -> None:
    schema["minProperties"] = schema["maxProperties"] = 1
    _without_defaults(schema)


def _without_defaults(schema: dict[str, Any]) -> None:
    """Say in a schema that there is no value for a field that is left out."""
    for field in schema["properties"].values():
        field.pop("default", None)


def _unset(default: Any = None, **facts: Any) -> Any:
    """Return a field that may be left out, and has no value then; null is none of its values."""
    return Field(default, **facts)


class WhenBody(Body):
    """Exactly one of these."""

    model_config = ConfigDict(json_schema_extra=_exactly_one)

    at: Instant = _unset(description="once, at this time")
    cron: Annotated[str, _Printable] = _unset(
        description="minute, hour, day, month and weekday, or @daily, @weekly, @hourly; in the schedule's zone",
        examples=["35 9 * * mon-fri"],
    )
    every_seconds: Annotated[float, Field(gt=0, le=LONGEST_INTERVAL_SECONDS)] = _unset(
        description="at this interval, counted from start_at, or from 1970-01-01T00:00:00Z without one"
    )
    session: SessionBody = _unset(description="at each session of the calendar")

    @model_validator(mode="after")
    def _check_one(self) -> "WhenBody":
        if len(self.model_fields_set) != 1:
            raise ValueError(
                'must have exactly one of at, cron, every_seconds and session, such as {"cron": "35 9 * * mon-fri"}'
            )
        return self

    @property
    def when(self) -> When:
        """Return it in the domain's words."""
        if "session" in self.model_fields_set:
            session = self.session
            return When(session=SessionMoment(event=session.event, offset_seconds=session.offset_seconds))
        return When(**{name: getattr(self, name) for name in self.model_fields_set})


class ScheduleRequest(TaskRequest):
    """Runs of a strategy, and when. What is left out, or null, of a run's choices is the strategy's own at each run."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    name: Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]{1,100}$")] = Field(description="for people")
    when: WhenBody
    timezone: Annotated[str, _Printable] = Field(
        "UTC", description="an IANA name: the zone of cron", examples=["America/New_York"]
    )
    calendar: Annotated[str, _Printable] | None = Field(
        None,
        description="an exchange's code: nothing fires on days without a session, and half days are honoured",
        examples=["XNYS"],
    )
    overlap: _Overlap = Field(Overlap.SKIP, description="what becomes of a time while an earlier run has not ended")
    catchup_seconds: float = Field(
        300.0, ge=0, le=LONGEST_CATCHUP_SECONDS, description="a time that is later than this is missed"
    )
    jitter_seconds: float = Field(
        0.0, ge=0, le=LONGEST_JITTER_SECONDS, description="each time fires up to this much later, but before the next"
    )
    start_at: Instant | None = Field(None, description="no time before this counts")
    end_at: Instant | None = Field(None, description="no time after this counts")
    max_runs: Annotated[int, Field(ge=1, le=MOST_RUNS), WHOLE] | None = Field(
        None, description="how many of its own times give a run"
    )
    pause_on_failure: bool = Field(False, description="disable it when a run of it has failed")
    enabled: bool = Field(True, description="fire by its own times")

    @property
    def definition(self) -> ScheduleDefinition:
        """Return it in the domain's words."""
        return ScheduleDefinition(**_values(self, frozenset(type(self).model_fields)))


def _optional(name: str) -> Any:
    """Return a field of a creation as one that may be left out; null is a value of it if it was one there."""
    field = copy(ScheduleRequest.model_fields[name])
    field.default, field.default_factory = None, None
    return field.annotation, field


_OPTIONAL: dict[str, Any] = {name: _optional(name) for name in ScheduleRequest.model_fields}
_Fields: Any = create_model("_Fields", __base__=Body, **_OPTIONAL)


def _changes(schema: dict[str, Any]) -> None:
    _without_defaults(schema)
    schema["examples"] = [{"when": {"cron": "0 10 * * mon-fri"}, "overlap": "buffer_one"}, {"end_at": None}]


class ScheduleChange(_Fields):
    """What is to be different: the fields of a creation, each as a whole. What is left out stays as it is."""

    model_config = ConfigDict(json_schema_extra=_changes)

    def applied_to(self, definition: ScheduleDefinition) -> ScheduleDefinition:
        """Return a definition with the fields that are given."""
        return msgspec.structs.replace(definition, **_values(self, frozenset(self.model_fields_set)))

    @property
    def enables(self) -> bool | None:
        """Return whether it is to fire, None when that stays as it is."""
        return getattr(self, "enabled", None)


class TriggerRequest(Body):
    """How it fires this once."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"overlap": "allow_all"}]})

    overlap: _Overlap | None = Field(None, description="instead of the schedule's own")


class BackfillRequest(Body):
    """Which of its past times are to fire."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"start": "2026-01-05T00:00:00Z", "end": "2026-01-16T23:59:59Z"}]}
    )

    start: Instant = Field(description="from this time on, itself included")
    end: Instant = Field(description="up to this time, itself included; not in the future")
    overlap: _Overlap = Field(Overlap.BUFFER_ALL, description="instead of the schedule's own")


def _values(body: Body, names: frozenset[str]) -> dict[str, Any]:
    """Return fields of a definition, in the domain's types."""
    values = {name: getattr(body, name) for name in names - {"enabled"}}
    if "when" in values:
        values["when"] = values["when"].when
    if "symbols" in values:
        values["symbols"] = tuple(values["symbols"])
    return values

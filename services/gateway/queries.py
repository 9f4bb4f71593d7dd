"""The query parameters that clients may send; every other one is refused."""

import re
from collections import Counter
from datetime import datetime
from enum import StrEnum
from typing import Annotated

from fastapi import Query
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, WithJsonSchema
from starlette.requests import HTTPConnection

from services.gateway.bodies import STRATEGY_ID, Symbol
from services.gateway.conditions import Name, Reason, TaskConditions, moment
from services.gateway.event_types import PushedTypes, Types
from services.gateway.problems import invalid_input
from shared.domain.alert_events import AlertKind
from shared.domain.errors import FieldError
from shared.domain.orders import OrderState
from shared.domain.priority import Priority
from shared.domain.webhook import DeliveryState

REPEATABLE = frozenset({"label", "types"})
UUID_TEXT = r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$"
POSITION = r"^[0-9]{1,18}$"


def _position_or_moment(value: object) -> int | datetime:
    if isinstance(value, str) and re.fullmatch(POSITION, value):
        return int(value)
    try:
        return moment(value)
    except ValueError:
        raise ValueError(
            "must be a position of the log, such as 1042, or an ISO 8601 time with its zone, such as "
            "2026-01-31T14:30:00Z (in a URL, + is written %2B)"
        ) from None


PositionOrMoment = Annotated[
    int | datetime,
    BeforeValidator(_position_or_moment),
    WithJsonSchema({"type": "string", "anyOf": [{"pattern": POSITION}, {"format": "date-time"}]}),
]


def _true_or_false(value: object) -> object:
    if value not in ("true", "false"):
        raise ValueError("must be true or false")
    return value


_Bool = Annotated[bool, BeforeValidator(_true_or_false)]


class LogLevel(StrEnum):
    """The levels of log lines, lowest first."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"
    CRITICAL = "critical"


class _Query(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    def parameters(self) -> list[tuple[str, str | int]]:
        """Return what was asked, in the form in which the status service takes it."""
        return list(self.model_dump(mode="json", exclude_none=True).items())


class NoQuery(_Query):
    """Nothing can be asked for here."""


class MomentQuery(_Query):
    """At which moment of the past; now if none is given."""

    as_of: PositionOrMoment | None = Field(
        None,
        description="the task as it was then: a position of the log, as `GET /api/tasks/{task_id}/events` tells them, "
        "or an ISO 8601 time with its zone",
        examples=["1042", "2026-01-31T14:30:00Z"],
    )


class CancelQuery(_Query):
    """Why a task is cancelled."""

    reason: Reason | None = Field(None, description="kept with the task, up to 500 characters")


class DisableQuery(_Query):
    """Why a schedule is disabled."""

    reason: Reason | None = Field(None, description="kept with the schedule, up to 500 characters")


class PauseQuery(_Query):
    """Why a queue is paused, or resumed."""

    reason: Reason | None = Field(None, description="kept with the queue, up to 500 characters")


class UpcomingQuery(_Query):
    """How many times to come."""

    n: int = Field(10, ge=1, le=100, description="how many at most")


class PageQuery(_Query):
    """Which part of a list that is counted: events by their position, steps by their place."""

    limit: int = Field(50, ge=1, le=500, description="how many at most")
    cursor: Annotated[str, StringConstraints(pattern=POSITION)] | None = Field(
        None, description="next_cursor of the page before"
    )


class LinesQuery(_Query):
    """Which log lines of a task: those after a line, of a level or above."""

    after: Annotated[str, StringConstraints(pattern=r"^[0-9]{1,18}\.[0-9]{1,4}$")] | None = Field(
        None, description="next_cursor of the page before, or the cursor of the last line that was seen"
    )
    level: LogLevel | None = Field(None, description="the lowest level to tell")
    limit: int = Field(100, ge=1, le=500, description="how many at most")


class ListQuery(_Query):
    """Which part of a list that is sorted by time."""

    limit: int = Field(50, ge=1, le=500, description="how many at most")
    cursor: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_=-]{1,200}$")] | None = Field(
        None, description="next_cursor of the page before"
    )


class TaskQuery(TaskConditions, ListQuery):
    """Which tasks, newest first; all conditions must hold."""


class OrderQuery(ListQuery):
    """Which orders, newest first; all conditions must hold."""

    task_id: Annotated[str, StringConstraints(pattern=UUID_TEXT)] | None = Field(None, description="of this task")
    symbol: Symbol | None = None
    state: OrderState | None = None


class ScheduleQuery(ListQuery):
    """Which schedules, newest first; all conditions must hold."""

    strategy_id: Annotated[str, StringConstraints(pattern=STRATEGY_ID)] | None = Field(
        None, description="of this strategy"
    )
    user_id: Name | None = Field(None, description="of this user")
    enabled: _Bool | None = Field(None, description="those that fire by their own times, or those that do not")


class AlertQuery(ListQuery):
    """Which alerts, raised last first; all conditions must hold."""

    active: _Bool | None = Field(None, description="those that are still wrong, or those that are resolved")
    kind: AlertKind | None = Field(None, description="of this kind")


class NoteQuery(_Query):
    """What to say to others when an alert is acknowledged."""

    note: Reason | None = Field(None, description="kept with the alert, up to 500 characters")


class MetricsQuery(_Query):
    """Which time metrics are about."""

    window_seconds: int = Field(
        3_600, ge=60, le=86_400, description="how far back averages, percentiles and throughput look"
    )


class HistoryQuery(_Query):
    """How many minutes of metrics, and of which tasks."""

    minutes: int = Field(60, ge=1, le=1_440, description="how many minutes, the last of which is the one that runs")
    strategy_id: Annotated[str, StringConstraints(pattern=STRATEGY_ID)] | None = Field(
        None, description="of this strategy"
    )
    priority: Priority | None = Field(None, description="of this level")


class WebhookQuery(ListQuery):
    """Which webhooks, newest first; all conditions must hold."""

    user_id: Name | None = Field(None, description="of this user, for admins")


class DeliveryQuery(PageQuery):
    """Which deliveries, newest event first."""

    state: DeliveryState | None = Field(None, description="such as dead: given up after a day")


_After = Annotated[str, StringConstraints(pattern=POSITION)]
_TYPES = "topics such as execution.succeeded, or all that begin alike such as execution.*; comma-separated, repeatable"


class EventsQuery(_Query):
    """Which part of the log."""

    after: _After = Field("0", description="the position of the page before, or its next_cursor")
    types: Types = Field(default_factory=list, description=_TYPES)
    limit: int = Field(50, ge=1, le=500, description="how many at most")


class LiveQuery(_Query):
    """Which changes, and from where on; all conditions must hold."""

    task_id: Annotated[str, StringConstraints(pattern=UUID_TEXT)] | None = Field(
        None, description="of this task, its branches included"
    )
    user_id: Name | None = Field(None, description="of this user's tasks and schedules")
    types: PushedTypes = Field(default_factory=list, description=_TYPES)
    after: _After | None = Field(
        None, description="the position of the last change that was seen; without it, what comes from now on"
    )


async def refuse_repeated(request: HTTPConnection) -> None:
    """Refuse a query parameter that is given twice where one value counts; raises InvalidInput."""
    counts = Counter(name for name, _ in request.query_params.multi_items())
    twice = sorted(name for name, count in counts.items() if count > 1 and name not in REPEATABLE)
    if twice:
        raise invalid_input(FieldError(name, "is given more than once") for name in twice)


Nothing = Annotated[NoQuery, Query()]
Page = Annotated[PageQuery, Query()]

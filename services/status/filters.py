"""What a list may be narrowed by."""

from typing import Annotated
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

from shared.domain.alert_events import AlertKind
from shared.domain.orders import OrderState
from shared.domain.phases import CeleryState, Phase, Status, celery_state, status
from shared.domain.priority import Priority
from shared.domain.webhook import DeliveryState

MAX_LIMIT = 500
MAX_LIVE = 10_000

# PostgreSQL has no NUL character in text, so nothing can be found by one.
_Text = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00]*$")]
_Label = Annotated[str, StringConstraints(max_length=500, pattern=r"^[^:\x00]+:[^\x00]*$")]


class Page(BaseModel):
    """Which part of a list."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    limit: int = Field(50, ge=1, le=MAX_LIMIT)
    cursor: str | None = Field(None, max_length=200)


class TaskFilter(Page):
    """The query of `GET /tasks`; what is left out does not narrow. `since` is inclusive, `until` is not."""

    state: CeleryState | None = None
    status: Status | None = None
    strategy_id: _Text | None = None
    symbol: _Text | None = None
    user_id: _Text | None = None
    priority: Priority | None = None
    schedule_id: _Text | None = None
    label: list[_Label] = Field(default=[], max_length=20, description="`key:value`; all of several must match")
    since: AwareDatetime | None = Field(None, description="submitted at or after")
    until: AwareDatetime | None = Field(None, description="submitted before")

    @property
    def labels(self) -> dict[str, list[str]]:
        """Return the values asked for by key; two values for one key match nothing."""
        wanted: dict[str, list[str]] = {}
        for label in self.label:
            key, _, value = label.partition(":")
            wanted.setdefault(key, []).append(value)
        return wanted


class LiveFilter(TaskFilter):
    """The query of `GET /tasks/live`: that of a list, with longer pages."""

    limit: int = Field(MAX_LIVE, ge=1, le=MAX_LIVE)


class OrderFilter(Page):
    """The query of `GET /orders`; what is left out does not narrow."""

    task_id: UUID | None = None
    symbol: _Text | None = None
    state: OrderState | None = None


class ScheduleFilter(Page):
    """The query of `GET /schedules`; what is left out does not narrow."""

    strategy_id: _Text | None = None
    user_id: _Text | None = None
    enabled: bool | None = None


class AlertFilter(Page):
    """The query of `GET /alerts`; what is left out does not narrow."""

    active: bool | None = None
    kind: AlertKind | None = None


class WindowFilter(BaseModel):
    """The query of `GET /metrics`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    window_seconds: int = Field(3_600, ge=60, le=86_400)


class HistoryFilter(BaseModel):
    """The query of `GET /metrics/history`; what is left out does not narrow."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    minutes: int = Field(60, ge=1, le=1_440)
    strategy_id: _Text | None = None
    priority: Priority | None = None


class WebhookFilter(Page):
    """The query of `GET /webhooks`; what is left out does not narrow."""

    user_id: _Text | None = None


class DeliveryFilter(Page):
    """The query of `GET /webhooks/{webhook_id}/deliveries`."""

    state: DeliveryState | None = None


def statuses_of(state: CeleryState) -> list[Status]:
    """Return the statuses that Celery's `state` stands for; each belongs to one state only."""
    return sorted({status(phase) for phase in Phase if celery_state(phase) is state})

"""Which tasks are meant: the conditions of lists, and of what is done to many tasks at once."""

from datetime import UTC, datetime
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, WithJsonSchema

from services.gateway.bodies import STRATEGY_ID, Symbol
from shared.domain.execution import WorkflowExecution
from shared.domain.phases import CeleryState, Status, celery_state, status
from shared.domain.priority import Priority

LABEL = r"^[a-z0-9_.-]{1,40}:[^\x00-\x1f\x7f]{0,100}$"


def moment(value: object) -> datetime:
    """Return an ISO 8601 time; raises ValueError for one without a zone, and for anything else."""
    try:
        # Python's parser lets a NUL at the end pass, and anything at all between date and time.
        is_text = isinstance(value, str) and value.isascii() and value.isprintable()
        found = datetime.fromisoformat(str(value)) if is_text else None
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise ValueError("must be an ISO 8601 time with its zone, such as 2026-01-31T14:30:00Z")
    return found


def iso(time: datetime) -> str:
    """Return a time in UTC, in a form that `moment` takes."""
    try:
        return time.astimezone(UTC).isoformat().replace("+00:00", "Z")
    except OverflowError:  # within a day of the year 1 or 9999
        return time.isoformat()


Moment = Annotated[datetime, BeforeValidator(moment), WithJsonSchema({"type": "string", "format": "date-time"})]
Reason = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]{0,500}$")]
"""Why somebody cancels."""

Name = Annotated[str, StringConstraints(pattern=r"^[\x21-\x7e]{1,100}$")]
"""A user, or what else is named in one word."""

_Label = Annotated[str, StringConstraints(pattern=LABEL)]


class TaskConditions(BaseModel):
    """All of them must hold; what is left out does not narrow."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    state: CeleryState | None = None
    status: Status | None = None
    strategy_id: Annotated[str, StringConstraints(pattern=STRATEGY_ID)] | None = None
    symbol: Symbol | None = None
    user_id: Name | None = None
    priority: Priority | None = None
    schedule_id: Name | None = None
    label: list[_Label] = Field(default_factory=list, max_length=20, description="key:value; may be repeated")
    since: Moment | None = Field(None, description="submitted at this time or later")
    until: Moment | None = Field(None, description="submitted before this time")

    def parameters(self) -> list[tuple[str, str | int]]:
        """Return what was asked, in the form in which the status service takes it."""
        given = self.model_dump(mode="json", exclude_none=True, exclude={"label"})
        return [*given.items(), *(("label", label) for label in self.label)]

    def hold_for(self, execution: WorkflowExecution) -> bool:
        """Tell whether a run meets them now, by its own record: what the status service's list says by its tables."""
        submitted = execution.submitted
        exact = (
            (self.state, celery_state(execution.phase)),
            (self.status, status(execution.phase)),
            (self.strategy_id, submitted.strategy_id),
            (self.user_id, submitted.user_id),
            (self.priority, submitted.priority),
            (self.schedule_id, submitted.schedule_id),
        )
        labels = (label.partition(":") for label in self.label)
        return (
            all(wanted is None or wanted == found for wanted, found in exact)
            and (self.symbol is None or self.symbol in submitted.symbols)
            and all(submitted.labels.get(key) == value for key, _, value in labels)
            and (self.since is None or submitted.at >= self.since)
            and (self.until is None or submitted.at < self.until)
        )

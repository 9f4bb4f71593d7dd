"""A run that has not ended, as far as the dispatcher cares."""

from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

import msgspec

from shared.domain.priority import Priority


class RunState(StrEnum):
    """What a run does; one that has ended is never stored.

    A held one waits for its schedule to let it go, a parked one for a place under a limit, and one that is joining for
    its branches.
    """

    HELD = "held"
    PARKED = "parked"
    WAITING = "waiting"
    JOINING = "joining"
    RUNNING = "running"
    CANCELLING = "cancelling"
    RETRYING = "retrying"
    ENDED = "ended"


class LiveRun(msgspec.Struct, kw_only=True):
    """A run that has not ended, or one of its branches. `attempt` is the one that runs, or the next one while it waits.

    `id` is its stream: the task id, or a branch's own; a branch has `opening`, `step` and perhaps `symbol`. For each
    key of `limits` at most so many are at work at once, and `max_parallel` of the branches of one run.
    `since` is the log position of its last move. A waiting run waits since `waiting_since`; one with `sent_at` has a
    pointer in the queue of `sent_level`, which is above its own level if it has waited for long. A running one came
    from that queue; it has started at `started_at`, with `spent_seconds` of its time used up before. Since `asked_at`
    it is asked to stop, for the task `yields_to` or because it is cancelled, by force if `forced`. A joining one has
    `started_at` while at least one of its branches is at work; one that `joined` goes on after them.
    """

    id: UUID
    task_id: UUID
    strategy_id: str
    symbols: tuple[str, ...]
    user_id: str
    level: Priority
    attempt: int
    state: RunState
    since: int
    timeout_seconds: float
    waiting_since: datetime
    trace: str | None = None
    worker: str | None = None
    resumed: bool = False
    due_at: datetime | None = None
    sent_at: datetime | None = None
    sent_level: Priority | None = None
    started_at: datetime | None = None
    spent_seconds: float = 0.0
    asked_at: datetime | None = None
    yields_to: str | None = None
    forced: bool = False
    preemptions: int = 0
    opening: int | None = None
    step: str | None = None
    symbol: str | None = None
    limits: dict[str, int] = {}
    max_parallel: int | None = None
    joined: bool = False

    @property
    def is_branch(self) -> bool:
        """Tell whether it is a member of a stage, and not a run's main line."""
        return self.step is not None

    @property
    def branch_id(self) -> UUID | None:
        """Return the stream of a branch, None for a main line."""
        return self.id if self.is_branch else None

    @property
    def is_under_way(self) -> bool:
        """Tell whether it is part of a run that has begun and has not given way: a pause of its level lets it go on."""
        return self.is_branch or self.joined

    @property
    def is_parked(self) -> bool:
        """Tell whether it waits for a place under a limit."""
        return self.state is RunState.PARKED

    @property
    def waits_here(self) -> bool:
        """Tell whether it waits here, and not in Redis."""
        return self.state is RunState.WAITING and self.sent_at is None

    @property
    def is_sent(self) -> bool:
        """Tell whether it waits in Redis."""
        return self.state is RunState.WAITING and self.sent_at is not None

    @property
    def at_work(self) -> bool:
        """Tell whether a worker has it."""
        return self.state in (RunState.RUNNING, RunState.CANCELLING)

    @property
    def time_left(self) -> timedelta:
        """Return what its next attempt, or the running one from its start, has of the run's time."""
        return timedelta(seconds=self.timeout_seconds - self.spent_seconds)

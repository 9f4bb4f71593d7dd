"""Every error that a command or a query may answer with. Each message says what to do next.

::

    BlotterError
    ├── InvalidInput            the request itself is wrong, field by field
    ├── NotFound                there is no such task, strategy or schedule
    ├── Forbidden               the caller may not do this
    ├── Refused                 right request, wrong moment: the record says no
    │   ├── AlreadyFinished     the task has ended
    │   ├── Archived            the task ended long ago, and its history is closed
    │   ├── KeyReused           an idempotency key came back with another body
    │   ├── NotClaimable        the attempt is not the next one of a waiting task
    │   ├── NotRerunnable       a new run cannot begin where it is to
    │   ├── NotRetrying         the task does not wait for a retry
    │   ├── ScheduleDeleted     the schedule is no more
    │   ├── ScheduleOverlap     a run of the schedule is in the way of another one
    │   ├── StaleAttempt        the attempt is not the one that runs now
    │   ├── TooManyBackfills    the schedule has enough past times to make up for
    │   └── WorkerOffline       the worker has left, or is taken to be gone
    ├── VersionConflict         somebody else appended first: reload and decide again
    └── Unavailable             a part that this needs does not answer: try again
        └── ProjectionBehind    the tables have not taken in all that the answer must know

HTTP status codes are the gateway's business alone (`services.gateway.problems`).
"""

from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID


class FieldError(NamedTuple):
    """One thing wrong with one field; `field` is a dotted path such as `tasks.3.symbols`."""

    field: str
    message: str


class BlotterError(Exception):
    """Base of all; `code` is stable snake_case that clients may match on."""

    code = "internal_error"

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class InvalidInput(BlotterError):
    """The request is wrong; `errors` names each field."""

    code = "invalid_request"

    def __init__(self, detail: str, errors: Sequence[FieldError] = ()) -> None:
        super().__init__(detail)
        self.errors = tuple(errors)


class NotFound(BlotterError):
    """There is nothing under this id; `code` says of which kind."""

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(detail)
        self.code = f"{kind}_not_found"


class Forbidden(BlotterError):
    """The caller is known, and may not do this."""

    code = "forbidden"


class Refused(BlotterError):
    """The record does not allow this now."""

    code = "refused"


class AlreadyFinished(Refused):
    """The task has ended, and an ended task does not change."""

    code = "task_already_finished"


class Archived(Refused):
    """The task's history is in an archive, to which nothing is added."""

    code = "task_archived"


class KeyReused(Refused):
    """An idempotency key stands for another body already."""

    code = "idempotency_key_reused"


class NotClaimable(Refused):
    """This attempt may not start: the task does not wait, or waits for another attempt."""

    code = "not_claimable"


class NotRetrying(Refused):
    """There is no retry to bring forward: the task waits for something else, or runs."""

    code = "not_waiting_for_retry"


class NotRerunnable(Refused):
    """A new run cannot take over what an earlier one has made up to the step that it is to begin with."""

    code = "not_rerunnable"


class ScheduleDeleted(Refused):
    """The schedule was deleted, and fires no more."""

    code = "schedule_deleted"


class ScheduleOverlap(Refused):
    """An earlier run of the schedule has not ended, and its overlap policy allows no other one beside or after it."""

    code = "schedule_overlap"


class StaleAttempt(Refused):
    """A worker that lost its attempt tried to write."""

    code = "stale_attempt"


class TooManyBackfills(Refused):
    """A schedule works through its backfills one after the other, and holds so many of them."""

    code = "too_many_backfills"


class WorkerOffline(Refused):
    """Nobody can be told anything any more under this name."""

    code = "worker_offline"


class VersionConflict(BlotterError):
    """The stream has moved on since it was read."""

    code = "version_conflict"

    def __init__(self, originator_id: UUID) -> None:
        super().__init__(f"{originator_id} was changed by someone else at the same moment; send it again.")
        self.originator_id = originator_id


class Unavailable(BlotterError):
    """A part that the answer needs did not answer in time."""

    code = "unavailable"


class ProjectionBehind(Unavailable):
    """The tables lack events that were in the log when the question came."""

    code = "projection_behind"

"""Every error of the domain has its status, and no other place knows it."""

from __future__ import annotations

from uuid import uuid4

import msgspec
import pytest

from services.gateway.artifacts import ArtifactDamaged, ArtifactGone
from services.gateway.authentication import ForeignHost
from services.gateway.credentials import NotYourSchedule, NotYourTask, Unauthenticated
from services.gateway.problems import problem_of
from shared.domain import errors
from shared.domain.errors import BlotterError, FieldError
from shared.log.runs import task_not_found
from shared.objects.memory import MemoryObjectStore
from shared.objects.store import ObjectCorrupt, StoreUnavailable

CASES: list[tuple[BlotterError, int, str]] = [
    (errors.InvalidInput("x", [FieldError("a", "b")]), 422, "invalid_request"),
    (errors.NotFound("strategy", "x"), 404, "strategy_not_found"),
    (task_not_found(uuid4()), 404, "task_not_found"),
    (ArtifactGone("x"), 410, "artifact_gone"),
    (ArtifactDamaged("x"), 410, "artifact_damaged"),
    (StoreUnavailable("x"), 503, "unavailable"),
    (Unauthenticated("x"), 401, "unauthenticated"),
    (errors.Forbidden("x"), 403, "forbidden"),
    (NotYourSchedule("x"), 403, "not_your_schedule"),
    (NotYourTask("x"), 403, "not_your_task"),
    (ForeignHost("x"), 403, "host_not_allowed"),
    (errors.Refused("x"), 409, "refused"),
    (errors.AlreadyFinished("x"), 409, "task_already_finished"),
    (errors.Archived("x"), 409, "task_archived"),
    (errors.KeyReused("x"), 409, "idempotency_key_reused"),
    (errors.NotClaimable("x"), 409, "not_claimable"),
    (errors.NotRerunnable("x"), 409, "not_rerunnable"),
    (errors.NotRetrying("x"), 409, "not_waiting_for_retry"),
    (errors.ScheduleDeleted("x"), 409, "schedule_deleted"),
    (errors.ScheduleOverlap("x"), 409, "schedule_overlap"),
    (errors.StaleAttempt("x"), 409, "stale_attempt"),
    (errors.TooManyBackfills("x"), 409, "too_many_backfills"),
    (errors.WorkerOffline("x"), 409, "worker_offline"),
    (errors.VersionConflict(uuid4()), 409, "version_conflict"),
    (errors.Unavailable("x"), 503, "unavailable"),
    (errors.ProjectionBehind("x"), 503, "projection_behind"),
]


@pytest.mark.parametrize(("error", "status", "code"), CASES)
def test_an_error_has_one_status_and_keeps_its_code(error: BlotterError, status: int, code: str) -> None:
    """The document repeats status, code and detail."""
    response = problem_of(error)
    document = msgspec.json.decode(response.body)
    assert (response.status_code, document["status"], document["code"]) == (status, status, code)
    assert (document["detail"], document["type"]) == (error.detail, f"urn:blotter:problem:{code}")
    assert response.headers["Content-Type"] == "application/problem+json"


def test_every_error_of_the_domain_is_among_them() -> None:
    """A new kind of error must be given its status on purpose."""
    kinds = {kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, BlotterError)}
    assert kinds - {BlotterError} <= {type(error) for error, _, _ in CASES}


@pytest.mark.parametrize(
    "error", [BlotterError("inner words"), ObjectCorrupt(MemoryObjectStore().put(b"x", "text/plain"))]
)
def test_an_error_without_a_status_tells_nothing(error: BlotterError) -> None:
    """It is ours: 500, and the log has the rest."""
    response = problem_of(error)
    assert response.status_code == 500
    assert error.detail not in bytes(response.body).decode()

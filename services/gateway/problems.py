"""Errors as RFC 9457 problem documents: the only place that knows HTTP status codes of errors."""

from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any

import msgspec
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError, ValidationException
from starlette.exceptions import HTTPException
from starlette.routing import Match

from services.gateway.artifacts import ArtifactGone
from services.gateway.credentials import Unauthenticated
from shared.domain.errors import (
    BlotterError,
    FieldError,
    Forbidden,
    InvalidInput,
    NotFound,
    Refused,
    Unavailable,
    VersionConflict,
)

MEDIA_TYPE = "application/problem+json"
MOST_ERRORS = 100
"""More errors than this are counted, not listed."""

RETRY_AFTER_SECONDS = 1

_STATUS: tuple[tuple[type[BlotterError], HTTPStatus], ...] = (
    (InvalidInput, HTTPStatus.UNPROCESSABLE_ENTITY),
    (NotFound, HTTPStatus.NOT_FOUND),
    (ArtifactGone, HTTPStatus.GONE),
    (Unauthenticated, HTTPStatus.UNAUTHORIZED),
    (Forbidden, HTTPStatus.FORBIDDEN),
    (Refused, HTTPStatus.CONFLICT),
    (VersionConflict, HTTPStatus.CONFLICT),
    (Unavailable, HTTPStatus.SERVICE_UNAVAILABLE),
)
_METHODS = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")


def problem(
    status: int,
    code: str,
    detail: str,
    *,
    errors: Sequence[FieldError] = (),
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Return a problem document; `type` is `urn:blotter:problem:<code>`."""
    document: dict[str, Any] = {
        "type": f"urn:blotter:problem:{code}",
        "title": code.replace("_", " ").capitalize(),
        "status": int(status),
        "detail": detail,
        "code": code,
    }
    if errors:
        document["errors"] = [{"field": error.field, "message": error.message} for error in errors[:MOST_ERRORS]]
    return Response(msgspec.json.encode(document), status_code=status, headers=headers, media_type=MEDIA_TYPE)


def problem_of(error: BlotterError) -> Response:
    """Return the answer that `error` stands for; one without a status of its own is a 500 that tells nothing."""
    status = status_of(error)
    if status is None:
        return internal_error()
    headers = None
    if status is HTTPStatus.SERVICE_UNAVAILABLE:
        headers = {"Retry-After": str(RETRY_AFTER_SECONDS)}
    elif status is HTTPStatus.UNAUTHORIZED:
        headers = {"WWW-Authenticate": "Bearer"}
    errors = error.errors if isinstance(error, InvalidInput) else ()
    return problem(status, error.code, error.detail, errors=errors, headers=headers)


def status_of(error: BlotterError) -> HTTPStatus | None:
    """Return the status that `error` stands for, None when it has none of its own."""
    return next((status for kind, status in _STATUS if isinstance(error, kind)), None)


def internal_error() -> Response:
    """Return the answer to what nobody foresaw; the log has the rest under the same trace id."""
    detail = (
        "Something failed on our side, and is logged. Try again; if it stays, report the X-Trace-Id of this answer."
    )
    return problem(HTTPStatus.INTERNAL_SERVER_ERROR, "internal_error", detail)


def body_too_large(limit: int) -> Response:
    """Return the answer to a body of more than `limit` bytes."""
    detail = f"The body has more than {limit} bytes: send fewer tasks in each request, or smaller parameters."
    return problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "body_too_large", detail)


def invalid_input(errors: Iterable[FieldError]) -> InvalidInput:
    """Return the error for wrong fields, with a detail that points to them."""
    found = tuple(errors)
    more = f" (the first {MOST_ERRORS} of {len(found)} are listed)" if len(found) > MOST_ERRORS else ""
    return InvalidInput(f"Correct the fields named in errors and send the request again{more}.", found)


def invalid_request(error: ValidationException) -> InvalidInput:
    """Return the error for what the framework has found wrong with the fields of a request."""
    return invalid_input(_field_error(detail) for detail in error.errors())


def install(app: FastAPI, *, max_body_bytes: int) -> None:
    """Make `app` answer every error with a problem document."""

    async def domain(_: Request, error: Exception) -> Response:
        assert isinstance(error, BlotterError)
        return problem_of(error)

    async def validation(_: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return problem_of(invalid_request(error))

    async def http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return _http_problem(request, error, max_body_bytes)

    app.add_exception_handler(BlotterError, domain)
    app.add_exception_handler(RequestValidationError, validation)
    app.add_exception_handler(HTTPException, http)


def _field_error(detail: Mapping[str, Any]) -> FieldError:
    """Return what Pydantic says of one field; the path leaves out where the field came from (body, query, header)."""
    where = [str(part) for part in detail["loc"] if part != "[key]"]
    match detail["type"]:
        case "json_invalid":
            return FieldError("body", f"is no JSON: {detail['ctx']['error']} at character {where[-1]}")
        case "missing" if where == ["body"]:
            return FieldError("body", "is missing: send a JSON object, with Content-Type: application/json")
        case "model_attributes_type" | "model_type" if len(where) == 1:
            return FieldError("body", "must be a JSON object, with Content-Type: application/json")
        case "extra_forbidden":
            return FieldError(".".join(where[1:]), "is not known here: remove it, or correct its name")
    message = str(detail["msg"]).removeprefix("Value error, ")
    return FieldError(".".join(where[1:]) or where[0], message)


def _http_problem(request: Request, error: HTTPException, max_body_bytes: int) -> Response:
    """Return the problem for what the framework refuses by itself."""
    path = request.url.path
    match error.status_code:
        case HTTPStatus.NOT_FOUND:
            return problem(404, "route_not_found", f"There is nothing at {path}; /openapi.json lists what there is.")
        case HTTPStatus.METHOD_NOT_ALLOWED:
            allowed = ", ".join(_allowed_methods(request))
            detail = f"{request.method} is not possible at {path}; use one of: {allowed}."
            return problem(405, "method_not_allowed", detail, headers={"Allow": allowed})
        case HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            return body_too_large(max_body_bytes)
        case HTTPStatus.BAD_REQUEST:
            return problem_of(invalid_input([FieldError("body", "is no JSON text in UTF-8, or is nested too deeply")]))
    return problem(error.status_code, "http_error", str(error.detail), headers=error.headers)


def _allowed_methods(request: Request) -> list[str]:
    """Return every method of the path, not only those of the first route that bears it (RFC 9110, 10.2.1).

    A path that is documented as it stands, such as /api/tasks/batch, is not also one of /api/tasks/{task_id}.
    """
    documented = request.app.openapi()["paths"].get(request.url.path)
    if documented:
        return sorted(method.upper() for method in documented)
    routes = request.app.router.routes
    scopes = [(method, {**request.scope, "method": method}) for method in _METHODS]
    return [method for method, scope in scopes if any(route.matches(scope)[0] is Match.FULL for route in routes)]

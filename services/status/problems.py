"""Errors as RFC 9457 `application/problem+json`, in the shape of the public API."""

from collections.abc import Sequence
from http import HTTPStatus

import msgspec
import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from shared.domain.errors import BlotterError, FieldError, InvalidInput, NotFound, Unavailable

MEDIA_TYPE = "application/problem+json"

logger = structlog.get_logger()


def problem(status: HTTPStatus, code: str, detail: str, errors: Sequence[FieldError] = ()) -> Response:
    """Return an answer that says what is wrong and what to do next."""
    document: dict[str, object] = {
        "type": f"urn:blotter:problem:{code}",
        "title": status.phrase,
        "status": int(status),
        "detail": detail,
        "code": code,
    }
    if errors:
        document["errors"] = [error._asdict() for error in errors]
    return Response(msgspec.json.encode(document), status_code=status, media_type=MEDIA_TYPE)


def install(app: FastAPI) -> None:
    """Make every error of `app` a problem document."""
    app.add_exception_handler(BlotterError, _on_blotter_error)
    app.add_exception_handler(RequestValidationError, _on_invalid_request)
    app.add_exception_handler(HTTPException, _on_http_error)


async def _on_blotter_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, BlotterError)
    match error:
        case InvalidInput():
            return problem(HTTPStatus.UNPROCESSABLE_ENTITY, error.code, error.detail, error.errors)
        case NotFound():
            return problem(HTTPStatus.NOT_FOUND, error.code, error.detail)
        case Unavailable():
            logger.warning("status.unavailable", path=request.url.path, error=str(error.__cause__ or error))
            return problem(HTTPStatus.SERVICE_UNAVAILABLE, error.code, error.detail)
        case _:
            logger.error("status.failed", path=request.url.path, exc_info=error)
            return problem(HTTPStatus.INTERNAL_SERVER_ERROR, error.code, error.detail)


async def _on_invalid_request(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    errors = [FieldError(".".join(map(str, each["loc"][1:])), each["msg"]) for each in error.errors()]
    return problem(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        InvalidInput.code,
        "Correct the fields named in errors and send it again.",
        errors,
    )


async def _on_http_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    status = HTTPStatus(error.status_code)
    return problem(status, status.name.lower(), f"{error.detail}. The routes of this service are at /docs.")

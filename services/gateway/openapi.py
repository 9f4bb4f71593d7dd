"""The OpenAPI document: every status that can occur, with a schema and an example."""

from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from services.gateway.answers import Problem
from services.gateway.problems import MEDIA_TYPE

Responses = dict[int | str, dict[str, Any]]

_SCHEMAS = "#/components/schemas/"
_TRACE_ID = {
    "description": "The trace of this request: its 32 hex digits stand in every event and log line it caused.",
    "required": True,
    "schema": {"type": "string", "pattern": "^[0-9a-f]{32}$"},
}
_PROBLEMS: dict[HTTPStatus, tuple[str, str, str]] = {
    HTTPStatus.UNAUTHORIZED: (
        "No known API key",
        "unauthenticated",
        "Send a known API key in the header Authorization: Bearer <key>.",
    ),
    HTTPStatus.FORBIDDEN: (
        "The caller may not do this",
        "forbidden",
        "This needs the role trader; ann is viewer. Ask an admin for a key.",
    ),
    HTTPStatus.NOT_FOUND: (
        "There is nothing under this id",
        "task_not_found",
        "There is no task 5b0f...; check the id, or list tasks with GET /api/tasks.",
    ),
    HTTPStatus.CONFLICT: (
        "The record does not allow this",
        "task_already_finished",
        "Task 5b0f... has already succeeded; there is nothing left to cancel.",
    ),
    HTTPStatus.GONE: (
        "The record knows it, and the object store has it no more, or damaged",
        "artifact_gone",
        "The artifact 'signals.csv' is not in the object store any more. Restore it from a backup, or run the task "
        "again to make it anew; its SHA-256 is 6030....",
    ),
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: (
        "The body is too large",
        "body_too_large",
        "The body has more than 1048576 bytes: send fewer tasks in each request, or smaller parameters.",
    ),
    HTTPStatus.UNPROCESSABLE_ENTITY: (
        "The request is wrong, field by field; JSON that cannot be parsed is reported as the field `body`",
        "invalid_request",
        "Correct the fields named in errors and send the request again.",
    ),
    HTTPStatus.SERVICE_UNAVAILABLE: (
        "A part that this needs does not answer",
        "unavailable",
        "The event log does not answer. Try again in a moment.",
    ),
}
_HEADERS = {
    HTTPStatus.UNAUTHORIZED: {"WWW-Authenticate": {"schema": {"type": "string"}}},
    HTTPStatus.SERVICE_UNAVAILABLE: {
        "Retry-After": {"description": "seconds", "schema": {"type": "string", "pattern": "^[0-9]+$"}}
    },
}
LOCATION = {"Location": {"description": "where it is", "schema": {"type": "string", "format": "uri-reference"}}}


def problems(*statuses: HTTPStatus) -> Responses:
    """Return the responses of a route that may answer with problems of these statuses."""
    return {int(status): _problem_response(status) for status in sorted(statuses)}


def refusal(code: str, detail: str, *, status: HTTPStatus = HTTPStatus.CONFLICT) -> Responses:
    """Return the answer of a route that says no in words of its own: a 409 unless another `status` is given."""
    return {int(status): _problem_response(status, code, detail)}


def answer(description: str, example: Any, *, headers: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """Return a JSON response with an example; `more` is FastAPI's own, such as `model`."""
    content = {"application/json": {"example": example}}
    return {"description": description, "content": content, "headers": headers or {}, **more}


def _problem_response(status: HTTPStatus, *words: str) -> dict[str, Any]:
    description, *usual = _PROBLEMS[status]
    code, detail = words or usual
    example: dict[str, Any] = {
        "type": f"urn:blotter:problem:{code}",
        "title": code.replace("_", " ").capitalize(),
        "status": int(status),
        "detail": detail,
        "code": code,
    }
    if status is HTTPStatus.UNPROCESSABLE_ENTITY:
        example["errors"] = [{"field": "parameters.fast", "message": "'x' is not of type 'integer'"}]
    content = {MEDIA_TYPE: {"schema": {"$ref": f"{_SCHEMAS}Problem"}, "example": example}}
    return {"description": description, "content": content, "headers": _HEADERS.get(status, {})}


USUAL_PROBLEMS = problems(
    HTTPStatus.UNAUTHORIZED,
    HTTPStatus.FORBIDDEN,
    HTTPStatus.UNPROCESSABLE_ENTITY,
    HTTPStatus.SERVICE_UNAVAILABLE,
)
"""What any route under /api may answer."""


class DocumentedApp(FastAPI):
    """An application whose document also has the problem's schema and the trace header."""

    def openapi(self) -> dict[str, Any]:
        """Return the document, made once."""
        if self.openapi_schema is None:
            document = get_openapi(
                title=self.title, version=self.version, description=self.description, routes=self.routes
            )
            self.openapi_schema = _completed(document)
        return self.openapi_schema


def _completed(document: dict[str, Any]) -> dict[str, Any]:
    """Return the framework's document with ours in it: the problem's schema, and a header on every answer."""
    problem = Problem.model_json_schema(ref_template=_SCHEMAS + "{model}")
    document["components"]["schemas"] |= problem.pop("$defs") | {"Problem": problem}
    for operation in (each for path in document["paths"].values() for each in path.values()):
        for parameter in operation.get("parameters", ()):
            parameter["schema"] = _never_null(parameter["schema"])
        for response in operation["responses"].values():
            response["headers"] = {**response.get("headers", {}), "X-Trace-Id": _TRACE_ID}
    return document


def _never_null(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a parameter that may be left out: a query and a header have no way to write null."""
    choices = schema.get("anyOf", [])
    if {"type": "null"} not in choices or len(choices) != 2:
        return schema
    choice: dict[str, Any] = next(choice for choice in choices if choice != {"type": "null"})
    return {name: value for name, value in schema.items() if name != "anyOf"} | choice

"""The gateway's REST interface, as the commands use it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any, Self

import httpx

from infra.cli.failures import RefusedError, UnreachableError

Json = dict[str, Any]
_TIMEOUT_SECONDS = 10.0
_SERVER_ERROR = 500


class Client:
    """Requests to one gateway; every failure is a `CommandError` that says what to do."""

    def __init__(self, url: str, *, key: str | None = None) -> None:
        """`key` is an API key; the local stack needs none."""
        self.url = url.rstrip("/")
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        # Proxies of the environment are for the world outside, a gateway is named by its address.
        self._http = httpx.Client(base_url=self.url, headers=headers, timeout=_TIMEOUT_SECONDS, trust_env=False)

    def __enter__(self) -> Self:
        """Use it as a context manager to close its connections."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close its connections."""
        self._http.close()

    def get(self, path: str, **query: str) -> Json:
        """Read a resource."""
        return self._send("GET", path, params=query)

    def post(
        self,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        query: Mapping[str, str] | None = None,
        timeout_seconds: float = _TIMEOUT_SECONDS,
    ) -> Json:
        """Send a body, or none."""
        return self._send("POST", path, json=body, params=query, timeout=timeout_seconds)

    def put(self, path: str, body: Mapping[str, Any]) -> Json:
        """Replace a resource."""
        return self._send("PUT", path, json=body)

    def patch(self, path: str, body: Mapping[str, Any]) -> Json:
        """Change the named fields of a resource."""
        return self._send("PATCH", path, json=body)

    def delete(self, path: str, **query: str) -> Json:
        """Delete a resource, which cancels a task."""
        return self._send("DELETE", path, params=query)

    def items(self, path: str, **query: str) -> Iterator[Json]:
        """All items of a list, page after page, each asked for when it is needed."""
        while True:
            page = self.get(path, **query)
            yield from page["items"]
            if not page.get("next_cursor"):
                return
            query = query | {"cursor": page["next_cursor"]}

    def _send(self, method: str, path: str, **request: Any) -> Json:
        try:
            answer = self._http.request(method, path, **request)
        except (httpx.TransportError, httpx.InvalidURL) as error:
            raise UnreachableError(
                f"No gateway answers at {self.url} ({error or type(error).__name__}): start the stack with "
                "`blotter up`, or name another with --url or BLOTTER_URL."
            ) from None
        if not answer.is_success:
            raise _failure(answer)
        try:
            document: Json = answer.json()
        except ValueError:
            document = {}
        if not isinstance(document, dict) or not document:
            raise UnreachableError(
                f"What answers at {self.url} is not a Blotter gateway: correct --url or BLOTTER_URL."
            )
        return document


def _failure(answer: httpx.Response) -> RefusedError | UnreachableError:
    """The line for a problem document (RFC 9457), or for whatever else came."""
    try:
        problem = answer.json()
        line = f"{problem['title']}: {problem['detail']}"
        fields = [f"{error['field']}: {error['message']}" for error in problem.get("errors", [])]
    except (ValueError, KeyError, TypeError, AttributeError):
        return UnreachableError(
            f"{answer.url} answered {answer.status_code} {answer.reason_phrase}, which is not how a Blotter "
            "gateway refuses: correct --url or BLOTTER_URL."
        )
    line = " ".join([line, *(f"({field})" for field in fields)])
    return UnreachableError(line) if answer.status_code >= _SERVER_ERROR else RefusedError(line)

"""Databases for tests, copied from a template while the tests before them run."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Self

from tests.servers import Postgres

AHEAD = 2


class Copies:
    """Keeps some copies at hand, and drops those that are given back; a context manager.

    A copy takes a tenth of a second, and half of the tests want one.
    """

    def __init__(self, server: Postgres, template: str) -> None:
        self._server = server
        self._template = template
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="copies")
        self._ready: deque[Future[str]] = deque()
        self._dropped: list[Future[None]] = []

    def __enter__(self) -> Self:
        for _ in range(AHEAD):
            self._begin_one()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        while self._ready:
            self.give_back(self._ready.popleft().result())
        self._worker.shutdown()
        for each in self._dropped:
            each.result()

    def take(self) -> str:
        """Return the URL of a fresh copy; raises what kept it from being made."""
        self._begin_one()
        return self._ready.popleft().result()

    def give_back(self, url: str) -> None:
        """Have a copy dropped."""
        self._dropped.append(self._worker.submit(self._server.drop, url))

    def _begin_one(self) -> None:
        self._ready.append(self._worker.submit(self._server.create, template=self._template))

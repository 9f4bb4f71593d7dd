"""Databases for tests, copied from a template while the tests before them run."""

from __future__ import annotations

import queue
import threading
from types import TracebackType
from typing import Self

from tests.servers import Postgres

AHEAD = 2
PATIENCE = 60


class Copies:
    """Keeps some copies at hand, and drops those that are given back; a context manager.

    A copy takes a tenth of a second, and half of the tests want one.
    """

    def __init__(self, server: Postgres, template: str) -> None:
        self._server = server
        self._template = template
        self._ready: queue.Queue[str | Exception] = queue.Queue()
        self._todo: queue.Queue[str | None] = queue.Queue()
        self._thread = threading.Thread(target=self._work, name="copies", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        for _ in range(AHEAD):
            self._todo.put("")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._todo.put(None)
        self._thread.join()

    def take(self) -> str:
        """Return the URL of a fresh copy."""
        self._todo.put("")
        found = self._ready.get(timeout=PATIENCE)
        if isinstance(found, Exception):
            raise found
        return found

    def give_back(self, url: str) -> None:
        """Have a copy dropped."""
        self._todo.put(url)

    def _work(self) -> None:
        while (url := self._todo.get()) is not None:
            try:
                if url:
                    self._server.drop(url)
                else:
                    self._ready.put(self._server.create(template=self._template))
            except Exception as error:  # the test that is given it fails by it
                self._ready.put(error)

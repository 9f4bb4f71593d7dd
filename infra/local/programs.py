"""Programs of a stack: its servers and its services, ready to be supervised."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from infra.local import postgres, valkey
from infra.local.child import Program
from infra.local.home import Home
from infra.local.processes import Service
from infra.local.spawn import spawn

POSTGRES = "postgres"
VALKEY = "valkey"


@dataclass(kw_only=True)
class Urls:
    """Where the servers are; filled as they come up."""

    database: str
    redis: str


def postgres_program(home: Home, port: int, urls: Urls) -> Program:
    """The embedded PostgreSQL; its URL is known once it has started."""

    def start() -> subprocess.Popen[bytes]:
        server = postgres.start_postgres(home.postgres, port=port, log=home.log(POSTGRES))
        urls.database = server.url
        return server.process

    return Program(
        name=POSTGRES,
        start=start,
        log=home.log(POSTGRES),
        ends_by=postgres.DEATH_SIGNAL,
        dies_by=postgres.DEATH_SIGNAL,
        stops_within=postgres.STOP_WITHIN,
        port=port,
    )


def valkey_program(home: Home, port: int, urls: Urls) -> Program:
    """The embedded Valkey; its URL is known once it has started."""

    def start() -> subprocess.Popen[bytes]:
        server = valkey.start_valkey(home.valkey, port=port, log=home.log(VALKEY))
        urls.redis = server.url
        return server.process

    return Program(
        name=VALKEY,
        start=start,
        log=home.log(VALKEY),
        ends_by=valkey.DEATH_SIGNAL,
        dies_by=valkey.DEATH_SIGNAL,
        stops_within=valkey.STOP_WITHIN,
        port=port,
    )


def service_program(service: Service, home: Home, environment: Mapping[str, str], port: int | None) -> Program:
    """A service of ours. It has nothing to save when the supervisor is killed: the log has it all."""
    return Program(
        name=service.name,
        start=lambda: spawn(
            [sys.executable, "-m", service.module],
            log=home.log(service.name),
            death_signal=signal.SIGKILL,
            environment={**environment, "BLOTTER_PROCESS": service.name},
        ),
        log=home.log(service.name),
        ends_by=signal.SIGTERM,
        dies_by=signal.SIGKILL,
        stops_within=service.stops_within,
        port=port,
        may_leave=service.may_leave,
    )

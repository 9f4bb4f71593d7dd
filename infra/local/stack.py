"""The local stack: servers, schema, services; from the first start to the last stop."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

from infra.local import leftovers, record
from infra.local.child import Program
from infra.local.display import Display
from infra.local.failures import AlreadyRunningError, PortTakenError, StackError, tail
from infra.local.gateway_readiness import Readiness, ask
from infra.local.home import Home
from infra.local.ports import LOOPBACK, is_free, keep_or_choose
from infra.local.processes import SERVICES, Service
from infra.local.programs import POSTGRES, VALKEY, Urls, postgres_program, service_program, valkey_program
from infra.local.record import Phase, ProcessRecord, ProcessState, StackRecord
from infra.local.secrets_key import secrets_key
from infra.local.settings import LocalSettings
from infra.local.signals import Signals, StopAskedError
from infra.local.supervisor import Supervisor
from infra.local.watchdog import Watchdog
from infra.migrations.migrate import migrate

READY_WITHIN = timedelta(seconds=60)
LOOPBACK_NETWORKS = "127.0.0.0/8,::1/128"
ENDS_IN_A_ROW = 5
_TICK_SECONDS = 0.1
_LOGS_OF_PARTS = {
    "log": POSTGRES,
    "database": POSTGRES,
    "redis": VALKEY,
    "catalogue": "dispatcher",
    "results": "dispatcher",
    "orders": "dispatcher",
    "workers": "worker",
}


def up(
    settings: LocalSettings,
    display: Display,
    *,
    services: Sequence[Service] = SERVICES,
    until: Callable[[], bool] = lambda: False,
) -> None:
    """Start the stack, keep it running until a signal (or `until`) asks to stop, stop it.

    Raises a `LocalError` that says what to do if it cannot start; nothing is left running then.
    """
    home = Home.at(settings.home)
    home.make()
    lock = home.open_lock()
    try:
        if not lock.try_take():
            raise AlreadyRunningError(_already(home))
        lock.sign()
        with Signals() as signals:
            _Stack(settings, home, display, signals, services).run(until)
    finally:
        lock.close()


class _Stack:
    """One run of the stack."""

    def __init__(
        self,
        settings: LocalSettings,
        home: Home,
        display: Display,
        signals: Signals,
        services: Sequence[Service],
    ) -> None:
        self._settings = settings
        self._home = home
        self._display = display
        self._signals = signals
        self._services = services
        self._phase = Phase.STARTING
        self._started_at = datetime.now(UTC)
        self._former = record.read(home.record)
        self._urls = Urls(database=settings.database_url or "", redis=settings.redis_url or "")
        self._ports: dict[str, int] = {}

    def run(self, until: Callable[[], bool]) -> None:
        leftovers.clear(self._home)
        if not is_free(self._settings.port):
            raise PortTakenError(
                f"Port {self._settings.port} is taken by another program: set BLOTTER_PORT to a free one, "
                f"for example BLOTTER_PORT={self._settings.port + 1}."
            )
        watchdog = Watchdog(self._home.log("watchdog"))
        self._supervisor = Supervisor(signals=self._signals, watchdog=watchdog, on_change=self._changed)
        try:
            self._start()
            while not (self._signals.stops or until()):
                self._supervisor.tick(1.0)
        except StopAskedError:
            pass
        finally:
            self._stop()
            watchdog.close()

    def _start(self) -> None:
        self._supervisor.start(self._servers())
        with self._signals.interrupting():
            if applied := migrate(self._urls.database):
                self._display.say(f"Applied migrations: {', '.join(applied)}.")
        self._supervisor.start(self._programs())
        self._await_gateway()
        if self._signals.stops:
            return
        self._phase = Phase.READY
        self._changed()
        self._display.settle()
        self._display.say(f"Ready after {self._display.seconds():.1f} s at {self._url}")

    def _servers(self) -> list[Program]:
        programs = []
        if self._settings.database_url is None:
            folder = self._home.postgres
            if not folder.is_relative_to(self._home.path):
                self._display.say(
                    f"PostgreSQL keeps its data in {folder}: it may not run as root, "
                    f"and {self._home.path} is closed to the user nobody."
                )
            programs.append(postgres_program(self._home, self._choose_port(POSTGRES), self._urls))
        if self._settings.redis_url is None:
            programs.append(valkey_program(self._home, self._choose_port(VALKEY), self._urls))
        return programs

    def _programs(self) -> list[Program]:
        ports = {
            service.name: self._settings.port
            if service.port_variable == "BLOTTER_PORT"
            else self._choose_port(service.name)
            for service in self._services
            if service.port_variable is not None
        }
        self._ports |= ports
        environment = {
            **os.environ,
            "DATABASE_URL": self._urls.database,
            "REDIS_URL": self._urls.redis,
            "BLOTTER_HOME": str(self._home.path),
            "BLOTTER_STRATEGIES": self._settings.strategies,
            "PYTHONUNBUFFERED": "1",
        }
        environment.setdefault("BLOTTER_SECRETS_KEY", secrets_key(self._home.secrets_key))
        # Whoever can ask this stack for a webhook can reach this machine's ports anyway.
        environment.setdefault("BLOTTER_WEBHOOK_NETWORKS", LOOPBACK_NETWORKS)
        for service in self._services:
            if service.port_variable is not None:
                environment[service.port_variable] = str(ports[service.name])
        if "status" in ports:
            environment["BLOTTER_STATUS_URL"] = f"http://{LOOPBACK}:{ports['status']}"
        return [
            service_program(service, self._home, environment, ports.get(service.name)) for service in self._services
        ]

    def _choose_port(self, name: str) -> int:
        former = None if self._former is None else self._former.ports.get(name)
        port = keep_or_choose(former)
        self._ports[name] = port
        return port

    def _await_gateway(self) -> None:
        give_up_at = time.monotonic() + READY_WITHIN.total_seconds()
        while not self._signals.stops:
            readiness = ask(self._settings.port)
            if readiness.ready:
                return
            self._refuse_hopeless(give_up_at, readiness)
            self._changed()
            self._supervisor.tick(_TICK_SECONDS)

    def _refuse_hopeless(self, give_up_at: float, readiness: Readiness) -> None:
        for child in self._supervisor.children:
            if child.failures >= ENDS_IN_A_ROW:
                name, log = child.program.name, child.program.log
                raise StackError(
                    f"{name} ended {child.failures} times at start (code {child.last_exit}). {log}:\n{tail(log)}"
                )
        if time.monotonic() > give_up_at:
            raise StackError(self._why_not_ready(readiness))

    def _why_not_ready(self, readiness: Readiness) -> str:
        within = f"within {READY_WITHIN.total_seconds():g} s"
        if not readiness.waiting:
            log = self._home.log("gateway")
            return f"The gateway did not answer {within}. {log}:\n{tail(log)}"
        lines = [f"Not ready {within}:"]
        for part, says in readiness.waiting.items():
            log = self._home.log(_LOGS_OF_PARTS.get(part, part))
            lines.append(f"- {part}: {says}. {log}:\n{tail(log)}")
        return "\n".join(lines)

    def _stop(self) -> None:
        self._phase = Phase.STOPPING
        self._display.settle()
        self._display.say("Stopping.")
        self._supervisor.stop()
        self._phase = Phase.STOPPED
        self._changed()
        self._display.settle()
        self._display.say(f"Stopped. The data stays in {self._home.path}.")

    @property
    def _url(self) -> str:
        return f"http://{LOOPBACK}:{self._settings.port}"

    def _changed(self) -> None:
        processes = [child.record() for child in self._supervisor.children]
        for name, given in ((POSTGRES, self._settings.database_url), (VALKEY, self._settings.redis_url)):
            if given is not None:
                processes.insert(0, ProcessRecord(name=name, state=ProcessState.GIVEN))
        record.write(
            self._home.record,
            StackRecord(
                phase=self._phase,
                supervisor_pid=os.getpid(),
                started_at=self._started_at,
                url=self._url,
                database_url=self._urls.database,
                redis_url=self._urls.redis,
                ports=self._ports,
                processes=processes,
            ),
        )
        if self._phase == Phase.READY:
            self._display.tell(processes)
        else:
            self._display.show(f"{self._phase.value} ({self._display.seconds():.0f} s)", processes)


def _already(home: Home) -> str:
    running = record.read(home.record)
    where = "" if running is None else f" at {running.url}"
    return (
        f"A stack runs already in {home.path}{where} (pid {home.supervisor()}): see `blotter status`, "
        "end it with `blotter down`, or set BLOTTER_HOME and BLOTTER_PORT for a second one."
    )

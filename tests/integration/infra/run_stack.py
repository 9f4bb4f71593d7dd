"""`blotter up` with fake services: the stack under test, in a process of its own."""

from __future__ import annotations

import sys
from datetime import timedelta

from infra.local.display import Display, PatientConsole
from infra.local.failures import LocalError
from infra.local.processes import Service
from infra.local.settings import LocalSettings
from infra.local.stack import up

MODULE = "tests.integration.infra.fake_service"


def service(name: str, port_variable: str | None = None) -> Service:
    """A fake of this name."""
    return Service(
        name=name,
        module=MODULE,
        stops_within=timedelta(seconds=5),
        port_variable=port_variable,
        may_leave=name == "worker",
    )


def main() -> None:
    """Run the services named by the arguments, and a gateway."""
    services = [service(name) for name in sys.argv[1:]] + [service("gateway", "BLOTTER_PORT")]
    try:
        up(LocalSettings.from_environment(), Display(PatientConsole()), services=services)
    except LocalError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()

"""The processes of the stack, in the order they are started; they are stopped in the opposite order.

The container images run the same modules: a test holds the compose file against this table.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

GATEWAY = "gateway"


@dataclass(frozen=True, kw_only=True)
class Service:
    """A process of ours: `python -m <module>`, ended by SIGTERM, killed after `stops_within`.

    `port_variable` names the environment variable of its port, for those that listen. One that `may_leave` ends with
    code 0 only when somebody told it to, and stays away then.
    """

    name: str
    module: str
    stops_within: timedelta
    port_variable: str | None = None
    may_leave: bool = False


SERVICES = (
    Service(name="projector", module="services.status.projector", stops_within=timedelta(seconds=10)),
    Service(name="relay", module="services.status.relay", stops_within=timedelta(seconds=10)),
    Service(name="notifier", module="services.status.notifier", stops_within=timedelta(seconds=30)),
    Service(name="alerter", module="services.status.alerter", stops_within=timedelta(seconds=10)),
    Service(
        name="status",
        module="services.status",
        stops_within=timedelta(seconds=10),
        port_variable="BLOTTER_STATUS_PORT",
    ),
    # Warm: it finishes its step or gives the run back.
    Service(name="worker", module="services.executor.worker", stops_within=timedelta(seconds=30), may_leave=True),
    Service(name="dispatcher", module="services.executor.dispatcher", stops_within=timedelta(seconds=10)),
    Service(name="scheduler", module="services.scheduler", stops_within=timedelta(seconds=10)),
    Service(name=GATEWAY, module="services.gateway", stops_within=timedelta(seconds=10), port_variable="BLOTTER_PORT"),
)

"""Where the commands find the gateway."""

from __future__ import annotations

import os

from infra.cli.client import Client
from infra.local import record
from infra.local.home import Home
from infra.local.ports import LOOPBACK
from infra.local.settings import LocalSettings


def local_home() -> Home:
    """The folder of the local stack, by BLOTTER_HOME."""
    return Home.at(LocalSettings.from_environment().home)


def gateway_url(given: str | None = None) -> str:
    """The gateway's address: as given, of BLOTTER_URL, of the stack that runs in BLOTTER_HOME, or by BLOTTER_PORT."""
    if address := given or os.environ.get("BLOTTER_URL"):
        return address
    settings = LocalSettings.from_environment()
    home = Home.at(settings.home)
    running = record.read(home.record) if home.supervisor() else None
    return f"http://{LOOPBACK}:{settings.port}" if running is None else running.url


def gateway(given: str | None = None) -> Client:
    """A client of that gateway, with the key of BLOTTER_API_KEY if there is one."""
    return Client(gateway_url(given), key=os.environ.get("BLOTTER_API_KEY"))

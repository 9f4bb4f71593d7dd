"""Processes that append as fast as they can."""

from __future__ import annotations

import subprocess
import sys

from shared.log.event_log import EventLog
from tests.builders import running


def start_writer(database_url: str, appends: int) -> subprocess.Popen[bytes]:
    """A process that appends so many runs of two events, and waits for a line on its input before the first."""
    command = [sys.executable, "-m", "tests.writers", database_url, str(appends)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def main() -> None:
    """Say `ready`, wait for a line, append."""
    log = EventLog(sys.argv[1])
    log.head()
    print("ready", flush=True)
    sys.stdin.readline()
    for _ in range(int(sys.argv[2])):
        log.save_execution(running())
    log.close()


if __name__ == "__main__":
    main()

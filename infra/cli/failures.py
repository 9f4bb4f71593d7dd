"""Why a command failed, as one line and an exit code.

CommandError          exit code 1: the run failed, or the stack did
├── RefusedError      exit code 2: the gateway refused the request; change it
└── UnreachableError  exit code 3: nothing answers; start it, or correct the address
"""

from __future__ import annotations

from typing import ClassVar


class CommandError(Exception):
    """The root of this tree; its text is what the person at the terminal reads."""

    exit_code: ClassVar[int] = 1


class RefusedError(CommandError):
    """The gateway refused the request."""

    exit_code = 2


class UnreachableError(CommandError):
    """Nothing answers at the gateway's address, or not what a gateway would answer."""

    exit_code = 3

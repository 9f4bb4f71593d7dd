"""Start a process that dies with its supervisor.

On Linux the kernel does it (`PR_SET_PDEATHSIG`, see prctl(2)): the signal is sent when the *thread* that
started the child ends, so `spawn` is called from the main thread only. Elsewhere, and for grandchildren, the
watchdog does it (`infra.local.watchdog`).
"""

from __future__ import annotations

import ctypes
import os
import pwd
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from infra.local.failures import LocalError

_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, kw_only=True)
class Account:
    """An operating-system user to run a process as."""

    name: str
    uid: int
    gid: int


def unprivileged() -> Account | None:
    """The user `nobody` when we are root (PostgreSQL refuses to run as root), else nothing."""
    if os.geteuid() != 0:
        return None
    try:
        entry = pwd.getpwnam("nobody")
    except KeyError:
        raise LocalError(
            "PostgreSQL refuses to run as root, and there is no user `nobody` here: start as another user, "
            "or set DATABASE_URL."
        ) from None
    return Account(name="nobody", uid=entry.pw_uid, gid=entry.pw_gid)


def spawn(
    argv: Sequence[str | Path],
    *,
    log: Path,
    death_signal: signal.Signals,
    environment: Mapping[str, str] | None = None,
    account: Account | None = None,
    keep: Sequence[int] = (),
) -> subprocess.Popen[bytes]:
    """Start `argv` in a session of its own, output appended to `log`, file descriptors `keep` handed on."""
    if threading.current_thread() is not threading.main_thread():
        raise RuntimeError("spawn() outside the main thread: the child would die with the thread")
    with log.open("ab") as output:
        return subprocess.Popen(
            [str(part) for part in argv],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=None if environment is None else dict(environment),
            start_new_session=True,
            pass_fds=tuple(keep),
            preexec_fn=_dying_with(os.getpid(), death_signal),
            user=None if account is None else account.uid,
            group=None if account is None else account.gid,
            extra_groups=None if account is None else [],
        )


def _dying_with(parent: int, death_signal: signal.Signals) -> Callable[[], None] | None:
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None, use_errno=True)

    def arm() -> None:
        # After the change of user: the kernel forgets the signal when credentials change.
        libc.prctl(_PR_SET_PDEATHSIG, int(death_signal))
        if os.getppid() != parent:  # the supervisor died before the line above
            os._exit(1)

    return arm

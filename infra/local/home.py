"""The folder of one local stack.

::

    <home>/lock          held by the supervisor; its pid is inside
    <home>/stack.json    what runs, where it listens (secret: mode 0600)
    <home>/secrets.key   seals secrets in the log (mode 0600)
    <home>/logs/         a file a process
    <home>/postgres/     data, password, lock (elsewhere if `nobody` cannot reach it)
    <home>/valkey/       append-only file, configuration, lock
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from infra.local.locks import Lock, is_held
from infra.local.postgres import reaches

FALLBACK_PARENT = Path("/var/lib")


@dataclass(frozen=True)
class Home:
    """Paths below the folder of a stack; `path` is absolute."""

    path: Path

    @classmethod
    def at(cls, folder: Path) -> Home:
        """Name a folder without making it."""
        return cls(folder.expanduser().resolve())

    def make(self) -> None:
        """Make what is missing. A folder of ours may be passed through by PostgreSQL's account when we are root."""
        if not self.path.exists():
            self.path.mkdir(parents=True)
            self.path.chmod(0o711 if os.geteuid() == 0 else 0o700)
        (self.path / "logs").mkdir(mode=0o700, exist_ok=True)

    def log(self, process: str) -> Path:
        """The log file of a process."""
        return self.path / "logs" / f"{process}.log"

    @property
    def record(self) -> Path:
        """The file that says what runs."""
        return self.path / "stack.json"

    @property
    def secrets_key(self) -> Path:
        """The file of the key that seals secrets in the log."""
        return self.path / "secrets.key"

    @property
    def valkey(self) -> Path:
        """Valkey's folder."""
        return self.path / "valkey"

    @property
    def postgres(self) -> Path:
        """PostgreSQL's folder: below home, or below /var/lib if its account cannot come in here.

        A choice once made stands, or the data would be lost from sight.
        """
        inside = self.path / "postgres"
        mark = hashlib.sha256(str(self.path).encode()).hexdigest()[:12]
        outside = FALLBACK_PARENT / f"blotter-{mark}"
        if (inside / "data").exists():
            return inside
        return inside if not outside.exists() and reaches(self.path) else outside

    def open_lock(self) -> Lock:
        """The lock that one supervisor holds."""
        return Lock(self.path / "lock")

    def supervisor(self) -> int | None:
        """The pid of the running supervisor, if one runs."""
        file = self.path / "lock"
        if not is_held(file):
            return None
        text = file.read_text().strip()
        return int(text) if text.isdigit() else None

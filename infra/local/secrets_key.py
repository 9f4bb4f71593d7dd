"""The key with which a local stack seals secrets in its log; made once, kept beside the data."""

from __future__ import annotations

import base64
import os
from pathlib import Path

_BYTES = 32


def secrets_key(file: Path) -> str:
    """Return the key in `file`, after making one if there is none: 32 random bytes in URL-safe base64 (Fernet)."""
    if not file.exists():
        fresh = file.with_suffix(".new")
        fresh.unlink(missing_ok=True)
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as new:
            new.write(base64.urlsafe_b64encode(os.urandom(_BYTES)).decode())
            new.flush()
            os.fsync(new.fileno())
        fresh.rename(file)
    return file.read_text().strip()

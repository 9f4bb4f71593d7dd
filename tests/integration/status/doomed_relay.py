"""A relay that dies by SIGKILL between publishing its n-th batch and moving its position; `DIES_AT` is n."""

from __future__ import annotations

import os
import signal
from typing import Any

from services.status import relay
from shared.log.positions import advance


def main() -> None:
    """Relay until then."""
    batches_left = int(os.environ["DIES_AT"])

    def deadly(*args: Any, after: int, position: int) -> None:
        nonlocal batches_left
        batches_left -= position > after
        if not batches_left:
            os.kill(os.getpid(), signal.SIGKILL)
        advance(*args, after=after, position=position)

    setattr(relay, "advance", deadly)  # noqa: B010
    relay.main()


if __name__ == "__main__":
    main()

"""Having a pool of processes replace the children that died."""

from collections.abc import Callable, Iterable
from typing import Any, Protocol


class Pool(Protocol):
    """What is used of Celery's prefork pool."""

    _pool: list[Any]
    """Its children, each with a `pid`; a dead one is among them until it is replaced."""

    def maintain_pool(self) -> None:
        """Replace the children that can be waited for; only the thread of the worker's event loop may call it."""


class Replacing:
    """Has the pool look for exited children until it has replaced those that died.

    Once is not enough: a process whose threads have not all ended is dead already and cannot be waited for yet. The
    pool's own next look would be its regular one, up to five seconds later.
    """

    def __init__(self) -> None:
        self._left: set[int] = set()

    def look(
        self, died: Iterable[int], pool: Callable[[], Pool], call_soon: Callable[[Callable[[], None]], Any]
    ) -> None:
        """Note who died since the last look, and have the event loop maintain the pool if anybody is to be replaced."""
        self._left |= set(died)
        if self._left:
            found = pool()
            call_soon(found.maintain_pool)
            self._left &= {child.pid for child in tuple(found._pool)}

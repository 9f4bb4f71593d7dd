"""The three levels at which a task waits and runs."""

from enum import StrEnum


class Priority(StrEnum):
    """A level, highest first; members compare by `rank`, not as strings."""

    HIGH = "high"
    NORMAL = "normal"
    LOW = "low"

    @property
    def rank(self) -> int:
        """Return 0 for the highest level, counting up."""
        return _RANKS[self]


_RANKS = {level: rank for rank, level in enumerate(Priority)}

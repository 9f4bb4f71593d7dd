"""Consumer groups, made so that they begin with the first entry of their stream."""

from redis.asyncio import Redis
from redis.exceptions import ResponseError

FIRST = "0"
"""The id before the first entry of a stream."""
EXISTS = "BUSYGROUP"


async def ensure_group(redis: Redis, stream: str, group: str) -> bool:
    """Make `group` on `stream`, and the stream if it is not there; return False when the group was there already.

    A new group gets everything that the stream holds. FastStream and most examples make groups at its end instead: what
    was published before, or between a wipe of Redis and the group's return, would pass them by.
    """
    try:
        await redis.xgroup_create(stream, group, id=FIRST, mkstream=True)
    except ResponseError as error:
        if EXISTS not in str(error):
            raise
        return False
    return True

"""The log itself, page by page, for those who poll."""

from collections.abc import Sequence

import msgspec

from services.gateway.problems import invalid_input
from shared.cloud_events import cloud_event
from shared.domain.errors import FieldError, InvalidInput
from shared.log.async_event_log import AsyncEventLog


class EventFeed:
    """Every page is JSON as bytes: `{"items", "next_cursor", "position"}`."""

    def __init__(self, log: AsyncEventLog) -> None:
        self._log = log

    async def page(self, after: int, *, topics: Sequence[str], limit: int) -> bytes:
        """Return up to `limit` events after a position, in order; all of them if there are no `topics`.

        `position` is how far the log was looked through, also where nothing matched: asking again after it neither
        leaves out an event nor repeats one. `next_cursor` is the same as long as there is more to be had now.
        Raises InvalidInput for a position that the log has not reached, and Unavailable.
        """
        # First the head: what is appended meanwhile has a greater position, and is perhaps not among what is read.
        head = await self._log.head()
        if after > head:
            raise not_reached(after, head)
        found = await self._log.read(after, limit=limit + 1, topics=topics)
        page, more = found[:limit], len(found) > limit
        last = page[-1].position if page else after
        position = last if more else max(head, last)
        return msgspec.json.encode(
            {
                "items": [cloud_event(each) for each in page],
                "next_cursor": str(position) if more else None,
                "position": position,
            }
        )


def not_reached(after: int, head: int) -> InvalidInput:
    """Return the error for a position that no event bears yet: to wait for it would be to miss all before it."""
    return invalid_input(
        [FieldError("after", f"{after} is beyond the newest position of the log, {head}; read from there, or from 0")]
    )

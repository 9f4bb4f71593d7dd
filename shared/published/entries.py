"""What an entry of a stream holds: one field, in FastStream's binary format, with the CloudEvent as JSON at its end.

::

    bytes 0-7     89 42 49 4E 0D 0A 1A 0A
    bytes 8-9     1, the version of the format
    bytes 10-13   where the headers begin: 18
    bytes 14-17   where the JSON begins
    from 18 on    how many headers (2 bytes); for each its name, then its value, each after its length (2 bytes)
    then          the JSON, to the end

Numbers are big-endian. The headers are `content-type` (application/json), `message_id` and `correlation_id` (both the
CloudEvent's `id`), and `traceparent` where the event has one: the names by which FastStream and its OpenTelemetry
middleware look for them.
"""

import json
from collections.abc import Mapping
from typing import Any

FIELD = b"__data__"
_JSON_BEGINS = slice(14, 18)


def event_in(fields: Mapping[bytes, bytes]) -> dict[str, Any]:
    """Return the CloudEvent in an entry as redis-py gives it (`decode_responses=False`), for those without FastStream.

    Raises KeyError or ValueError when the entry is not one of the relay's.
    """
    message = fields[FIELD]
    document: dict[str, Any] = json.loads(message[int.from_bytes(message[_JSON_BEGINS], "big") :])
    return document

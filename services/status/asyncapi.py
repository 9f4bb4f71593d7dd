"""The AsyncAPI 3.0 document of the published events: FastStream's for the streams, with each event's own schema."""

from functools import cache
from typing import Any

import msgspec
from faststream.redis import RedisBroker
from faststream.specification import AsyncAPI

from services.status.publishing import JSON
from services.status.relay import TOPICS
from shared.cloud_events import SOURCE, SPEC_VERSION, TYPE_PREFIX
from shared.documents import METADATA
from shared.domain.events import EVENTS, Event
from shared.published.streams import ALERTS, OPERATIONS, SCHEDULES, STREAMS, TASKS, stream_of
from shared.version import VERSION as INSTALLED

VERSION = "3.0.0"
DESCRIPTION = (
    "Every event of the log as a CloudEvent 1.0 in structured JSON, added to one of four Redis Streams in the order of "
    "the log, at least once: an event that comes again has the `source` and `id` that it had before. An entry is one "
    "field, `__data__`, in FastStream's binary format; the JSON begins at the offset that its bytes 14 to 17 hold, "
    "big-endian. Make consumer groups with `XGROUP CREATE <stream> <group> 0 MKSTREAM`."
)
OF_STREAM = {
    TASKS: "What happens to tasks and to the branches of their parallel steps; `subject` is the task.",
    SCHEDULES: "What happens to schedules and their times; `subject` is the schedule.",
    ALERTS: "Alerts that are raised, acknowledged and resolved.",
    OPERATIONS: "All other events: of workers, queues, strategies and clean-ups.",
}
SERVER = {
    "host": "{address}",
    "protocol": "redis",
    "description": "The Redis of REDIS_URL.",
    "variables": {"address": {"default": "127.0.0.1:6379", "description": "Its host and port."}},
}
_SCHEMAS = "#/components/schemas/"
_CLOUD_EVENT = "CloudEvent"


@cache
def document() -> bytes:
    """Return the document as JSON."""
    found = _of_faststream()
    found["servers"] = {"redis": SERVER}
    messages = {topic: _message(EVENTS[topic]) for topic in TOPICS}
    found["components"] = {"messages": messages, "schemas": {_CLOUD_EVENT: _cloud_event_schema(), **_data_schemas()}}
    found["channels"] = {stream: found["channels"][stream] for stream in STREAMS}
    for stream, channel in found["channels"].items():
        channel["servers"] = [{"$ref": "#/servers/redis"}]
        topics = [topic for topic in TOPICS if stream_of(topic) == stream]
        channel["messages"] = {topic: {"$ref": f"#/components/messages/{topic}"} for topic in topics}
    for operation in found["operations"].values():
        del operation["messages"]  # it sends all of its channel's
    return msgspec.json.encode(found)


def _of_faststream() -> dict[str, Any]:
    """Return the document of a broker that publishes to the streams, as FastStream makes it."""
    broker = RedisBroker()
    for stream in STREAMS:
        broker.publisher(stream=stream, title=stream, description=OF_STREAM[stream], schema=dict[str, Any])
    factory = AsyncAPI(broker, title="Blotter", version=INSTALLED, schema_version=VERSION, description=DESCRIPTION)
    found: dict[str, Any] = msgspec.json.decode(factory.to_specification().to_json())
    return found


def _message(event: type[Event]) -> dict[str, Any]:
    """Return the message of an event: what CloudEvents asks for, with its own type and data."""
    kind = f"{TYPE_PREFIX}{event.TOPIC}"
    own = {"type": {"const": kind}, "data": {"$ref": f"{_SCHEMAS}{event.TOPIC}"}}
    return {
        "name": kind,
        "title": event.TOPIC,
        "summary": (event.__doc__ or "").strip().partition("\n\n")[0].replace("\n    ", " "),
        "contentType": JSON,
        "correlationId": {"location": "$message.header#/correlation_id"},
        "headers": {
            "type": "object",
            "properties": {
                "content-type": {"const": JSON},
                "message_id": {"type": "string", "description": "the event's `id`"},
                "correlation_id": {"type": "string", "description": "the event's `id`"},
                "traceparent": {"type": "string"},
            },
            "required": ["content-type", "message_id", "correlation_id"],
        },
        "payload": {
            "allOf": [{"$ref": f"{_SCHEMAS}{_CLOUD_EVENT}"}, {"type": "object", "properties": own, "required": [*own]}]
        },
    }


def _cloud_event_schema() -> dict[str, Any]:
    text = {"type": "string", "minLength": 1}
    required = {
        "specversion": {"const": SPEC_VERSION},
        "id": text | {"description": "the event's stream and version; unique within `source`"},
        "source": {"const": SOURCE},
        "type": text,
        "subject": text | {"format": "uuid", "description": "the task or schedule that it is about, else its stream"},
        "time": text | {"format": "date-time"},
        "datacontenttype": {"const": JSON},
        "position": {"type": "integer", "minimum": 1, "description": "its place in the order of all events"},
        "actor": text | {"description": "`user:<id>` or `<service>:<name>`"},
        "data": {"type": "object"},
    }
    trace = text | {"description": "the W3C trace that it belongs to, if any"}
    return {"type": "object", "properties": required | {"traceparent": trace}, "required": [*required]}


def _data_schemas() -> dict[str, Any]:
    """Return the schema of each event's data under its topic, and those of what is nested in them under their names."""
    events = [EVENTS[topic] for topic in TOPICS]
    own, nested = msgspec.json.schema_components(events, ref_template=f"{_SCHEMAS}{{name}}")
    schemas: dict[str, Any] = dict(nested)
    for event, reference in zip(events, own, strict=True):
        schema = schemas.pop(reference["$ref"].removeprefix(_SCHEMAS))
        schemas[event.TOPIC] = schema | {
            "title": event.TOPIC,
            "properties": {name: each for name, each in schema["properties"].items() if name not in METADATA},
            "required": [name for name in schema["required"] if name not in METADATA],
        }
    return schemas

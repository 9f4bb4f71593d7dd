"""The AsyncAPI document: against the schema of such documents, and against what is really published."""

from __future__ import annotations

import gzip
import json
from functools import cache
from pathlib import Path
from typing import Any

import httpx
from faststream.redis.parser import BinaryMessageFormatV1
from jsonschema import Draft7Validator, Draft202012Validator  # type: ignore[import-untyped]

from services.gateway.published_events import PublishedEvents
from services.gateway.status_client import StatusClient
from services.status import asyncapi
from services.status.app import create_app
from services.status.settings import StatusSettings
from shared.domain.events import EVENTS
from shared.log.runs import Recorded
from shared.published.entries import FIELD, event_in
from shared.published.streams import STREAMS, stream_of
from tests.contract.status_services import BASE_URL
from tests.contract.test_published_events import read_plainly, relay
from tests.event_samples import sampled_events

SPECIFICATION = Path(__file__).parents[1] / "asyncapi" / "3.0.0.json.gz"


@cache
def document() -> dict[str, Any]:
    """The document that is served."""
    found: dict[str, Any] = json.loads(asyncapi.document())
    return found


def errors_of(path: str, value: Any) -> list[str]:
    """What is wrong with a value by the schema at a path of the document."""
    validator = Draft202012Validator(
        document() | {"$ref": f"#/{path}"}, format_checker=Draft202012Validator.FORMAT_CHECKER
    )
    return [error.message for error in validator.iter_errors(value)]


def published_samples(redis_url: str) -> dict[int, tuple[str, dict[bytes, bytes]]]:
    """An event of every kind, as an entry of its stream, by position."""
    relay(redis_url, [[Recorded(number, event) for number, event in enumerate(sampled_events(), start=1)]])
    entries = [(stream, fields) for stream in STREAMS for _, fields in read_plainly(redis_url, stream)]
    return {event_in(fields)["position"]: (stream, fields) for stream, fields in entries}


def test_it_is_a_document_of_asyncapi_3() -> None:
    """By the JSON Schema that the AsyncAPI Initiative publishes."""
    specification = json.loads(gzip.decompress(SPECIFICATION.read_bytes()))
    assert [error.message for error in Draft7Validator(specification).iter_errors(document())] == []
    broken = document() | {"channels": {"blotter.tasks": {"address": 7}}}
    assert list(Draft7Validator(specification).iter_errors(broken)), "the schema refuses what is wrong"


def test_its_references_lead_somewhere() -> None:
    """Each `$ref` names a part of the document itself."""
    references = [each["$ref"] for each in _objects(document()) if "$ref" in each]
    assert len(references) > len(EVENTS.topics)
    for reference in references:
        part: Any = document()
        for key in reference.removeprefix("#/").split("/"):
            part = part[key]


def _objects(value: Any) -> list[dict[str, Any]]:
    match value:
        case dict():
            return [value, *(each for item in value.values() for each in _objects(item))]
        case list():
            return [each for item in value for each in _objects(item)]
    return []


def test_each_stream_is_a_channel_with_the_events_that_go_there() -> None:
    """Every event of the registry stands in one channel, the one that the relay publishes it to."""
    channels = document()["channels"]
    assert list(channels) == list(STREAMS)
    assert {(channel["address"], name) for name, channel in channels.items()} == {(name, name) for name in STREAMS}
    found = {(stream, topic) for stream, channel in channels.items() for topic in channel["messages"]}
    assert found == {(stream_of(topic), topic) for topic in EVENTS.topics}


def test_every_event_that_is_published_is_what_the_document_says(redis_url: str) -> None:
    """Payload and headers of a real entry of every kind; its data has exactly the fields that are described."""
    for stream, fields in published_samples(redis_url).values():
        body, headers = BinaryMessageFormatV1.parse(fields[FIELD])
        event = json.loads(body)
        topic = event["type"].removeprefix("blotter.")
        assert topic in document()["channels"][stream]["messages"]
        assert errors_of(f"components/messages/{topic}/payload", event) == []
        assert errors_of(f"components/messages/{topic}/headers", headers) == []
        assert set(event["data"]) == set(document()["components"]["schemas"][topic]["properties"])


def test_the_schemas_refuse_what_is_no_such_event(redis_url: str) -> None:
    """An event under another's name, without its data, or without an attribute of CloudEvents."""
    _, fields = published_samples(redis_url)[1]
    event = event_in(fields)
    topic = event["type"].removeprefix("blotter.")
    path = f"components/messages/{topic}/payload"
    other = next(each for each in EVENTS.topics if each != topic)
    assert errors_of(f"components/messages/{other}/payload", event)
    assert errors_of(path, event | {"data": {}})
    for name in ("id", "source", "specversion", "type", "time", "position"):
        assert errors_of(path, {key: value for key, value in event.items() if key != name}), name
    assert errors_of(path, event | {"time": "yesterday"}), "formats are checked"


async def test_the_page_shows_every_event_and_loads_nothing_from_elsewhere(
    migrated_database_url: str, tmp_path: Path
) -> None:
    """Made of the real document, with neither Redis nor tables behind the status service."""
    nowhere = StatusSettings(database_url=migrated_database_url, redis_url="redis://127.0.0.1:1/0", home=tmp_path)
    app = create_app(nowhere)
    async with app.router.lifespan_context(app), StatusClient(BASE_URL, transport=httpx.ASGITransport(app)) as client:
        events = PublishedEvents(client)
        assert json.loads(await events.document()) == document()
        page = await events.page()
    for topic in EVENTS.topics:
        assert f"<code>blotter.{topic}</code>" in page
    assert not [word for word in ("http://", "https://", "//", "<script", "src=") if word in page]

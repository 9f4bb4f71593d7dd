"""The AsyncAPI document of the published events, and a page for people made of it."""

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

import msgspec

from services.gateway.status_client import StatusClient
from shared.domain.errors import Unavailable

_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1b1f24}"
    "h2{margin-top:2.5rem;border-bottom:1px solid #d0d7de}code,pre{font:14px/1.45 ui-monospace,monospace}"
    "pre{background:#f6f8fa;padding:1rem;overflow-x:auto}details{margin:.3rem 0}summary{cursor:pointer}"
    "@media(prefers-color-scheme:dark){body{background:#0d1117;color:#e6edf3}pre{background:#161b22}a{color:#58a6ff}}"
)


class PublishedEvents:
    """What the status service tells of the events that it publishes."""

    def __init__(self, status: StatusClient) -> None:
        self._status = status

    async def document(self) -> bytes:
        """Return the AsyncAPI document as JSON. Raises Unavailable."""
        return await self._status.asyncapi()

    async def page(self) -> str:
        """Return the document as a page of HTML that loads nothing from elsewhere. Raises Unavailable."""
        try:
            return page_of(msgspec.json.decode(await self.document(), type=_Document))
        except msgspec.DecodeError as error:
            raise Unavailable("The status service does not describe its events. Try again in a moment.") from error


class _Info(msgspec.Struct):
    title: str
    version: str
    description: str = ""


class _Channel(msgspec.Struct):
    description: str = ""
    messages: dict[str, dict[str, str]] = {}


class _Message(msgspec.Struct):
    name: str
    summary: str = ""


class _Components(msgspec.Struct):
    messages: dict[str, _Message] = {}
    schemas: dict[str, dict[str, Any]] = {}


class _Document(msgspec.Struct):
    info: _Info
    channels: dict[str, _Channel]
    components: _Components = msgspec.field(default_factory=_Components)


def page_of(document: _Document) -> str:
    """Return the page: a section a stream with its events, and the schemas to unfold."""
    info = document.info
    title = escape(f"{info.title} {info.version}: published events")
    return "".join(
        (
            f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>',
            f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head><body><h1>{title}</h1>',
            f'<p>{_text(info.description)}</p><p><a href="asyncapi.json">AsyncAPI 3.0 document</a></p>',
            *(_stream(name, channel, document.components) for name, channel in document.channels.items()),
            *_nested(document),
            "</body></html>",
        )
    )


def _stream(name: str, channel: _Channel, components: _Components) -> str:
    events = "".join(_event(topic, components) for topic in channel.messages)
    return f'<h2 id="{escape(name)}"><code>{escape(name)}</code></h2><p>{_text(channel.description)}</p>{events}'


def _event(topic: str, components: _Components) -> str:
    message = components.messages.get(topic) or _Message(name=topic)
    return _unfolding(message.name, message.summary, components.schemas.get(topic, {}))


def _nested(document: _Document) -> Iterator[str]:
    """Write the schemas that others refer to."""
    yield "<h2>Schemas</h2>"
    for name, schema in document.components.schemas.items():
        if name not in document.components.messages:
            yield _unfolding(name, "", schema)


def _unfolding(name: str, summary: str, schema: Mapping[str, Any]) -> str:
    shown = msgspec.json.format(msgspec.json.encode(schema)).decode()
    head = f"<summary><code>{escape(name)}</code> {_text(summary)}</summary>"
    return f'<details id="{escape(name)}">{head}<pre>{escape(shown)}</pre></details>'


def _text(text: str) -> str:
    """Write plain text, in which what stands between backquotes is code."""
    pieces = escape(text).split("`")
    return "".join(f"<code>{piece}</code>" if number % 2 else piece for number, piece in enumerate(pieces))

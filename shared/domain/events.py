"""The base of every event: which stream, which version, who, when, and under which trace."""

from datetime import datetime
from typing import ClassVar
from uuid import UUID, uuid4

import msgspec


class Stamp(msgspec.Struct, frozen=True, kw_only=True):
    """Who does something, when, and under which trace: the metadata of all events of one append.

    `at` is aware UTC; `actor` is `user:<id>` or `<service>:<name>`; `trace` is a W3C traceparent; `append_id`
    tells whether an append whose acknowledgement was lost has been stored after all.
    """

    at: datetime
    actor: str
    trace: str | None = None
    append_id: UUID = msgspec.field(default_factory=uuid4)


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """A fact in the log. `TOPIC` is its name for ever, whatever becomes of the class and its module."""

    TOPIC: ClassVar[str]

    originator_id: UUID
    originator_version: int
    at: datetime
    actor: str
    append_id: UUID
    trace: str | None = None


class Registry:
    """Topics and their classes, both ways; the only place that turns one into the other."""

    def __init__(self) -> None:
        self._classes: dict[str, type[Event]] = {}

    def add(self, event: type[Event]) -> type[Event]:
        """Register `event` under its own `TOPIC`; usable as a class decorator.

        Raises ValueError when the topic is taken or not declared by the class itself.
        """
        topic = event.__dict__.get("TOPIC")
        if not topic or topic in self._classes:
            raise ValueError(f"{event.__name__} needs a TOPIC of its own; {topic!r} is missing or taken")
        self._classes[topic] = event
        return event

    def __getitem__(self, topic: str) -> type[Event]:
        return self._classes[topic]

    def __contains__(self, topic: str) -> bool:
        return topic in self._classes

    @property
    def topics(self) -> tuple[str, ...]:
        """Return every registered topic, in order of registration."""
        return tuple(self._classes)


EVENTS = Registry()

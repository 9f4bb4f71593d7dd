"""The types of events that clients may ask for: the topics of the log, each alone or all that begin alike."""

from functools import partial
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, WithJsonSchema

from shared.domain.events import EVENTS
from shared.log.mapper import MsgspecMapper

ALL_OF = ".*"
"""After the first word of topics, such as `execution.*`: all of them."""

PROGRESS = "execution.progress"
"""The type of what is pushed of a step while it runs; no event of the log bears it."""

METRICS = "metrics"
"""The type of the figures that are pushed each second to those alone who ask for them by this name."""

_LONGEST_ECHO = 60
_FILLS_THE_REGISTRY = MsgspecMapper

TOPICS = tuple(sorted(EVENTS.topics))
PUSHED = tuple(sorted((*TOPICS, PROGRESS, METRICS)))
"""What live streams know beyond the log."""

FAMILIES = tuple(sorted({topic.partition(".")[0] + ALL_OF for topic in TOPICS}))


def topics_of(types: list[str]) -> tuple[str, ...]:
    """Return the topics that `types` mean, each once and in order; none at all for none, which means all of them."""
    wanted = {topic for each in types for topic in _expanded(each)}
    return tuple(sorted(wanted))


def _expanded(name: str) -> list[str]:
    if name in FAMILIES:
        return [topic for topic in PUSHED if topic.startswith(name.removesuffix("*"))]
    return [name]


def _split(value: Any) -> Any:
    """Take commas apart; what is no list of texts is left to the next check."""
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        return value
    return [part for each in value for part in each.split(",")]


def _known(name: str, names: tuple[str, ...]) -> str:
    if name not in names and name not in FAMILIES:
        families = ", ".join(FAMILIES)
        raise ValueError(
            f"{name[:_LONGEST_ECHO]!r} is no type of events: use one such as execution.succeeded, or all of {families}"
        )
    return name


def _enumeration(names: tuple[str, ...]) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "enum": [*FAMILIES, *names]})


_Type = Annotated[str, AfterValidator(partial(_known, names=TOPICS)), _enumeration(TOPICS)]
_PushedType = Annotated[str, AfterValidator(partial(_known, names=PUSHED)), _enumeration(PUSHED)]

Types = Annotated[list[_Type], BeforeValidator(_split)]
"""A query parameter: comma-separated, and repeatable."""

PushedTypes = Annotated[list[_PushedType], BeforeValidator(_split)]
"""The same for what is pushed."""

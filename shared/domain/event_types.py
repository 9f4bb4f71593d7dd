"""The types of events that people ask for: topics of the log, each alone or all that begin alike."""

from collections.abc import Iterable

ALL_OF = ".*"
"""After the first word of topics, such as `execution.*`: all of them."""

EVERYTHING = "*"

_ALIASES = {"task": "execution"}
"""First words that people may use, and what the log calls them."""


def canonical(name: str) -> str:
    """Return the type as the log names it: `task.failed` is `execution.failed`."""
    family, dot, rest = name.partition(".")
    return f"{_ALIASES.get(family, family)}{dot}{rest}"


def covers(types: Iterable[str], topic: str) -> bool:
    """Tell whether one of the canonical `types` means `topic`."""
    family = topic.partition(".")[0] + ALL_OF
    return any(each in (topic, family, EVERYTHING) for each in types)


def is_known(name: str, topics: Iterable[str]) -> bool:
    """Tell whether a canonical type means anything among `topics`."""
    return name == EVERYTHING or any(covers((name,), topic) for topic in topics)

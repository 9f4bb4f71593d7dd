"""What a JSON value may be if it shall come back from the log, from PostgreSQL and from Redis as it went in."""

import math
from collections.abc import Iterator
from typing import Any

from shared.domain.errors import FieldError

DEEPEST = 32
"""Levels of arrays and objects within each other; far below what any parser on the way refuses."""


def json_errors(value: Any, field: str) -> Iterator[FieldError]:
    """Yield what is wrong with a parsed JSON value, each under its dotted path below `field`.

    Python's parser lets pass what JSON (RFC 8259) does not have: NaN, infinities, halves of surrogate pairs.
    NUL characters are JSON, but PostgreSQL's jsonb refuses them.
    """
    pending: list[tuple[Any, str, int]] = [(value, field, 0)]
    while pending:
        current, path, depth = pending.pop()
        if depth > DEEPEST:
            yield FieldError(path, f"is nested too deeply: use at most {DEEPEST} levels")
            continue
        match current:
            case str() if fault := _text_fault(current):
                yield FieldError(path, fault)
            case float() if not math.isfinite(current):
                yield FieldError(path, "must be a finite number that fits in 64 bits")
            case dict():
                for key, member in current.items():
                    if fault := _text_fault(key):
                        yield FieldError(path, f"has a name that cannot be kept: it {fault}")
                    else:
                        pending.append((member, f"{path}.{key}", depth + 1))
            case list():
                pending.extend((member, f"{path}.{index}", depth + 1) for index, member in enumerate(current))


def _text_fault(text: str) -> str | None:
    if "\x00" in text:
        return "must not contain NUL characters"
    try:
        text.encode()
    except UnicodeEncodeError:
        return "must not contain halves of surrogate pairs"
    return None

"""What several commands take, and how its text is read."""

from __future__ import annotations

import json
from enum import StrEnum
from typing import Annotated, Any

import typer

from infra.cli.failures import RefusedError

Url = Annotated[str | None, typer.Option(help="Address of the gateway; by default that of the local stack.")]
AsJson = Annotated[bool, typer.Option("--json", help="The gateway's answer, for programs.")]


class Priority(StrEnum):
    """The three levels."""

    HIGH = "high"
    NORMAL = "normal"
    LOW = "low"


def json_object(text: str) -> dict[str, Any]:
    """The value of --parameters; raises RefusedError for what is no JSON object."""
    try:
        value = json.loads(text)
        json.dumps(value, allow_nan=False, ensure_ascii=False).encode()  # NaN, and half a character, cannot be sent
    except ValueError as error:
        raise RefusedError(f'--parameters is not JSON ({error}): write an object, such as {{"fast": 10}}.') from None
    if not isinstance(value, dict):
        raise RefusedError('--parameters is not a JSON object: write one, such as {"fast": 10}.')
    return value

"""Which schedule is meant: by its id, or by a name that only one of those that are listed has."""

from __future__ import annotations

import difflib
from uuid import UUID

from infra.cli.client import Client
from infra.cli.failures import RefusedError
from infra.cli.schedule_reports import candidate

PAGE = "500"
_MOST_CANDIDATES = 20


def schedule_id(client: Client, text: str) -> str:
    """The id itself, or that of the one schedule of this name; RefusedError lists those that could be meant."""
    if _is_id(text):
        return text
    listed = list(client.items("/api/schedules", limit=PAGE))
    named = [each for each in listed if each["name"] == text]
    if len(named) == 1:
        return str(named[0]["schedule_id"])
    if named:
        candidates = _listed([candidate(each) for each in named])
        raise RefusedError(f"{len(named)} schedules are named {text!r}; give the id of one: {candidates}.")
    names = sorted({each["name"] for each in listed})
    if not names:
        raise RefusedError(
            f"No schedule is named {text!r}: there is none yet; make one with `blotter schedule create`."
        )
    close = difflib.get_close_matches(text, names, n=_MOST_CANDIDATES)
    ordered = close + [name for name in names if name not in close]
    raise RefusedError(f"No schedule is named {text!r}; there are: {_listed(ordered)}.")


def _is_id(text: str) -> bool:
    """Only as the gateway writes it: a name may be 32 digits in a row."""
    try:
        return str(UUID(text)) == text.lower()
    except ValueError:
        return False


def _listed(candidates: list[str]) -> str:
    more = len(candidates) - _MOST_CANDIDATES
    return "; ".join(candidates[:_MOST_CANDIDATES]) + (f"; and {more} more" if more > 0 else "")

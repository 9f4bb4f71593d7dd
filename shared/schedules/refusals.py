"""Why a schedule's timing is refused, and the words for it."""

from collections.abc import Iterable
from difflib import get_close_matches

MOST_SHOWN = 60
"""Characters of a refused text that a message repeats."""


class Refusal(Exception):
    """One thing wrong with a timing; `message` says what, and what would be right."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


def shown(text: str) -> str:
    """Return a text for a message: shortened, and with what cannot be seen escaped."""
    cut = text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}..."
    return cut if cut.isprintable() else repr(cut)[1:-1]


def suggestion(text: str, known: Iterable[str]) -> str:
    """Return `Did you mean ...?` with up to three of the known names, whatever their case; an empty text for none."""
    if not text or len(text) > MOST_SHOWN:
        return ""
    names = {name.casefold(): name for name in known}
    wanted = text.casefold().replace(" ", "_")
    by_end = [folded for folded in names if folded.rpartition("/")[2] == wanted]
    near = by_end or get_close_matches(wanted, names, n=3, cutoff=0.65)
    if wanted in names:
        near = [wanted]
    return f"Did you mean {' or '.join(names[each] for each in near[:3])}?" if near else ""

"""Durations as people write and read them: `30s`, `15m`, `4h`, `1h30m`."""

from __future__ import annotations

import math
import re
from decimal import Decimal

from infra.cli.failures import RefusedError

_SIZES = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
_NUMBER = r"([0-9]+(?:\.[0-9]+)?)"
_SECONDS = re.compile(_NUMBER)
_UNITS = re.compile("".join(f"(?:{_NUMBER}{unit})?" for unit in _SIZES))


def seconds_of(option: str, text: str) -> float:
    """The seconds that an option says; raises RefusedError, which names the option and shows how to write them."""
    numbers = _SECONDS.fullmatch(text)
    units = _UNITS.fullmatch(text) if text else None
    if numbers is not None:
        exact = Decimal(text)
    elif units is not None:
        pairs = zip(units.groups("0"), _SIZES.values(), strict=True)
        exact = sum((Decimal(number) * size for number, size in pairs), Decimal())
    else:
        raise RefusedError(
            f"{option} {text} is not a duration: write seconds, such as 90, or days, hours, minutes and seconds in "
            "this order, such as 30s, 15m, 4h or 1h30m."
        )
    seconds = float(exact)
    if math.isinf(seconds):
        raise RefusedError(f"{option} {text[:20]}... is too long: write a duration such as 4h.")
    return int(seconds) if seconds.is_integer() else seconds


def duration_text(seconds: float) -> str:
    """The same, written: 5400 is `1h30m`, and nothing is `0s`."""
    rest, parts = Decimal(str(seconds)), []
    for unit, size in _SIZES.items():
        count, rest = divmod(rest, size) if unit != "s" else (rest, Decimal())
        if count:
            parts.append(f"{count.normalize():f}{unit}")
    return "".join(parts) or "0s"

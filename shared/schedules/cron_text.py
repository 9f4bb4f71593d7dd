"""What a cron text may say: the five fields of Vixie cron (crontab(5)), its `@` names, and `L`, `LW` and `#`.

Reading it is ours, so that a refusal tells what is wrong; `shared.schedules.cron` computes with what comes out.
"""

import re
from typing import NamedTuple

from shared.schedules.refusals import Refusal, shown, suggestion

LONGEST = 200
"""Characters of the longest cron text."""

EXAMPLE = "0 9 * * mon-fri"

NICKNAMES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}

MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")

FOREIGN = re.compile(r"[^0-9A-Za-z*,/#@ \t-]")


class Field(NamedTuple):
    """One of the five: its name, its least and greatest number, how many steps there are, and its names by number."""

    name: str
    low: int
    high: int
    steps: int
    names: dict[str, int]


MINUTE = Field("minute", 0, 59, 60, {})
HOUR = Field("hour", 0, 23, 24, {})
DAY_OF_MONTH = Field("day-of-month", 1, 31, 31, {})
MONTH = Field("month", 1, 12, 12, {name: number for number, name in enumerate(MONTHS, 1)})
DAY_OF_WEEK = Field("day-of-week", 0, 7, 7, {name: number for number, name in enumerate(DAYS)})
FIELDS = (MINUTE, HOUR, DAY_OF_MONTH, MONTH, DAY_OF_WEEK)


class CronText(NamedTuple):
    """A cron text that was understood: `fields` in the plainest spelling that means the same.

    `every_hour` tells that its hours are wild (`*` or `*/2`), so that it follows the sun and not the clock's face.
    """

    text: str
    fields: str
    every_hour: bool


def read(text: str) -> CronText:
    """Return what a cron text says. Raises Refusal with a sentence on the first thing that is wrong with it."""
    _check_characters(text)
    plain = " ".join(text.split())
    if plain.startswith("@"):
        return _nickname(plain)
    parts = plain.lower().split()
    if len(parts) != len(FIELDS):
        raise Refusal(_miscounted(plain, len(parts)))
    try:
        fields = [_field(part, field) for part, field in zip(parts, FIELDS, strict=True)]
    except Refusal as refusal:
        raise Refusal(f"{plain}: {refusal.message}") from None
    return CronText(plain, " ".join(fields), every_hour=fields[1].startswith("*"))


def _check_characters(text: str) -> None:
    if len(text) > LONGEST:
        raise Refusal(f"a cron text of {len(text)} characters is too long: write at most {LONGEST}, such as {EXAMPLE}")
    if not text.strip(" \t"):
        raise Refusal(f"the cron text is empty: write five fields, such as {EXAMPLE}")
    foreign = FOREIGN.search(text)
    if foreign is None:
        return
    if foreign.group() == "?":
        raise Refusal(f"{shown(text)}: ? is not known here: write *, such as {EXAMPLE}")
    raise Refusal(f"{shown(text)}: a cron text has no character {foreign.group()!a}: write one such as {EXAMPLE}")


def _nickname(plain: str) -> CronText:
    name = plain.lower()
    fields = NICKNAMES.get(name)
    if fields is not None:
        return CronText(plain, fields, every_hour=fields.split()[1].startswith("*"))
    if name == "@reboot":
        raise Refusal("@reboot: nothing is rebooted here: write when it is to run, such as @daily or */5 * * * *")
    if name.startswith("@every"):
        raise Refusal(f"{shown(plain)}: intervals are not written as cron texts: use every_seconds, such as 300")
    hint = suggestion(plain, NICKNAMES) or f"Use one of {', '.join(NICKNAMES)}."
    raise Refusal(f"{shown(plain)} is not known. {hint}")


def _miscounted(plain: str, count: int) -> str:
    names = " ".join(field.name for field in FIELDS)
    fields = "field" if count == 1 else "fields"
    if count in {6, 7}:
        hint = f"for times finer than a minute use every_seconds; years are not known here; an example is {EXAMPLE}"
    else:
        hint = f"such as {EXAMPLE}"
    return f"{shown(plain)}: {count} {fields}, 5 are needed: {names}; {hint}"


def _field(part: str, field: Field) -> str:
    items = part.split(",")
    if "" in items:
        full = ",".join(item for item in items if item)
        raise Refusal(f"{field.name} {part} has an empty item; write {full or '*'}, without a comma too many")
    return ",".join(_item(item, field) for item in items)


def _item(item: str, field: Field) -> str:
    body, slash, step = item.partition("/")
    if slash:
        return _stepped(item, body, step, field)
    if body == "*":
        return body
    if "-" in body:
        first, last = _range(body, field)
        return f"{first}-{last}"
    return _special(body, field) or str(_number(body, field))


def _stepped(item: str, body: str, step: str, field: Field) -> str:
    example = f"*/{5 if field.steps > 5 else 2}"
    if not step.isdigit():
        raise Refusal(f"{field.name} {item} needs a whole number after the /, such as {example}")
    if not 1 <= int(step) <= field.steps:
        hint = "; for intervals of any length use every_seconds" if field in (MINUTE, HOUR) else ""
        raise Refusal(f"{field.name} {item} has a step of {shown(step)}; write 1 to {field.steps}, as {example}{hint}")
    if body == "*":
        return f"*/{int(step)}"
    if "-" not in body:
        meant = f"{body}-{field.high}/{int(step)}"
        raise Refusal(f"{field.name} {item} steps from a single value; write a range, such as {meant}, or {example}")
    first, last = _range(body, field)
    # cronsim takes the step of a range of one value to run on to the field's end; Vixie cron does not.
    return str(first) if first == last else f"{first}-{last}/{int(step)}"


def _range(body: str, field: Field) -> tuple[int, int]:
    start, _, end = body.partition("-")
    if not start or not end:
        raise Refusal(f"{field.name} {body} needs a value on both sides of the -, such as {field.low}-{field.high}")
    first, last = _number(start, field), _number(end, field)
    if field is DAY_OF_WEEK and last == 0 < first:
        raise Refusal(f"{field.name} {body} runs backwards; write Sunday as 7 at the end of a range, as {first}-7")
    if first > last:
        both = f"{first}-{field.high},{field.low}-{last}"
        raise Refusal(f"{field.name} {body} runs backwards; write {last}-{first}, or {both} for both ends")
    return first, last


def _special(token: str, field: Field) -> str | None:
    """Return what is beyond Vixie cron: a last day (L) or weekday (LW), a last Friday (friL), a third (fri#3)."""
    if field is DAY_OF_MONTH and token in {"l", "lw"}:
        return token.upper()
    if field is not DAY_OF_WEEK:
        return None
    day, hash_, nth = token.partition("#")
    if hash_:
        if nth not in {"1", "2", "3", "4", "5"}:
            raise Refusal(f"{field.name} {token} needs 1 to 5 after the #, such as fri#3 for the third Friday")
        return f"{_number(day, field)}#{nth}"
    if token.endswith("l") and token != "l":
        return f"{_number(token[:-1], field)}L"
    return None


def _number(token: str, field: Field) -> int:
    if token.isdigit():
        number = int(token)
        if number > field.high:
            raise Refusal(f"{field.name} {shown(token)} is past {field.high}; {_allowed(field)}")
        if number < field.low:
            raise Refusal(f"{field.name} {token} is below {field.low}; {_allowed(field)}")
        return number
    if token in field.names:
        return field.names[token]
    hint = suggestion(token[:3] if token[:3] in field.names else token, field.names)
    raise Refusal(f"{field.name} {shown(token)} is not known; {_allowed(field)}{hint and f'. {hint}'}")


def _allowed(field: Field) -> str:
    names = f" or {next(iter(field.names))} to {list(field.names)[-1]}" if field.names else ""
    return f"write {field.low} to {field.high}{names}, such as {EXAMPLE}"

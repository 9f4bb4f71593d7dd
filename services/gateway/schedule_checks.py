"""What a definition of a schedule must be before it is recorded: one that can run, and that has times to come."""

import asyncio
from collections.abc import Iterable, Iterator
from datetime import datetime

from services.gateway.catalogue import Catalogue
from services.gateway.conditions import iso
from services.gateway.json_values import json_errors
from services.gateway.problems import invalid_input
from shared.domain.catalogue import StrategyDescription
from shared.domain.errors import FieldError
from shared.domain.schedule_events import ScheduleDefinition
from shared.domain.timing import Timing
from shared.schedules import times_of, timing_errors


class ScheduleChecks:
    """Checks against the newest catalogue, and against calendars."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    async def check(
        self, definition: ScheduleDefinition, *, now: datetime, before: ScheduleDefinition | None = None
    ) -> None:
        """Raise InvalidInput or NotFound for a definition that cannot be recorded, Unavailable without a catalogue.

        With `before` only what differs from it is looked at: what was right once does not keep the rest from changing.
        """
        _refuse(json_errors(definition.parameters, "parameters"))
        runs_alike = before is not None and _what_runs(before) == _what_runs(definition)
        errors = [] if runs_alike else list(self._parameter_errors(definition))
        if before is None or before.timing != definition.timing:
            known = None if before is None else before.timing
            # In a thread: the first one of a calendar takes half a second.
            errors += await asyncio.to_thread(unfit_times, definition.timing, now=now, before=known)
        _refuse(errors)

    def strategy(self, definition: ScheduleDefinition) -> StrategyDescription:
        """Return the strategy that runs now. Raises NotFound, InvalidInput for its parameters, and Unavailable."""
        _refuse(self._parameter_errors(definition))
        return self._catalogue.require().strategy(definition.strategy_id).description

    def _parameter_errors(self, definition: ScheduleDefinition) -> Iterator[FieldError]:
        strategy = self._catalogue.require().strategy(definition.strategy_id)
        return strategy.check.errors(definition.parameters, "parameters")


def unfit_times(timing: Timing, *, now: datetime, before: Timing | None = None) -> list[FieldError]:
    """Return what is wrong with the times of a schedule; one whose times are all past is wrong too.

    A time that is past, and was there `before`, may stay.
    """
    if errors := timing_errors(timing):
        return list(errors)
    at, end_at = timing.when.at, timing.end_at
    errors = []
    if _is_past(at, now) and (before is None or before.when.at != at):
        errors.append(FieldError("when.at", f"lies in the past: here it is {iso(now)}; give a later time"))
    if _is_past(end_at, now) and (before is None or before.end_at != end_at):
        errors.append(FieldError("end_at", f"lies in the past: here it is {iso(now)}; give a later time, or null"))
    stays_past = _is_past(at, now) or _is_past(end_at, now)
    if not stays_past and times_of(timing).after(now) is None:
        errors.append(
            FieldError("when", f"has no time after {iso(now)}: see whether start_at, end_at and calendar leave any")
        )
    return errors


def _what_runs(definition: ScheduleDefinition) -> tuple[object, ...]:
    return definition.strategy_id, definition.parameters


def _is_past(time: datetime | None, now: datetime) -> bool:
    return time is not None and time <= now


def _refuse(errors: Iterable[FieldError]) -> None:
    if found := list(errors):
        raise invalid_input(found)

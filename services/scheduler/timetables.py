"""The times of schedules that were checked when they were written, and are not trusted to be right for ever."""

from datetime import datetime

import structlog

from shared.domain.errors import InvalidInput
from shared.domain.firing import NominalTimes
from shared.domain.timing import Timing
from shared.schedules import times_of

logger = structlog.get_logger()


class Never:
    """No times at all."""

    def after(self, moment: datetime) -> datetime | None:
        """Return None."""
        return None


class Guarded:
    """The times of one definition, none from where they cannot be computed: that is logged, and stops no other one."""

    def __init__(self, timing: Timing, times: NominalTimes) -> None:
        self._timing = timing
        self._times = times

    def after(self, moment: datetime) -> datetime | None:
        """Return the first time after `moment`."""
        try:
            return self._times.after(moment)
        except Exception:
            logger.exception("schedule.times_unknown", timing=self._timing, after=moment)
            return None


def timetable(timing: Timing) -> NominalTimes:
    """Return the times of a definition; none for one that nobody can compute any more, which is logged.

    A calendar may have left the library since. One such schedule must not keep the others from firing.
    """
    try:
        return Guarded(timing, times_of(timing))
    except InvalidInput as error:
        problems = [f"{each.field}: {each.message}" for each in error.errors]
        logger.error("schedule.times_unknown", problems=problems)
        return Never()

"""Settings of the scheduler."""

from datetime import timedelta

from pydantic import Field

from shared.settings import RESULT_TTL_SECONDS, Settings


class SchedulerSettings(Settings):
    """When the scheduler's own entries fire, and what the runs of schedules are given."""

    probe_every: timedelta = Field(timedelta(seconds=10), description="interval of the projection-lag probe")
    clean_hour: int = Field(3, ge=0, le=23, description="hour, in UTC, of the nightly clean-ups")
    result_ttl_seconds: float = Field(
        RESULT_TTL_SECONDS, gt=0, description="how long results are kept, unless a schedule says"
    )

"""The nominal times of a schedule: instants in UTC, computed from its `Timing` alone, without a clock."""

from shared.schedules.times import Times, known_until, times_of, timing_errors

__all__ = ["Times", "known_until", "times_of", "timing_errors"]

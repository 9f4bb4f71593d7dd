"""Times in buckets, each a quarter of an octave wide: what percentiles are told from, to within 10 %.

Bucket 0 has what took a millisecond or less, bucket n what took at most `BOUNDS[n]` microseconds, and the last one what
took longer than a day and a half. The bounds are whole numbers, so that a time falls into the same bucket wherever it
is counted; every fourth is a power of two of a millisecond.
"""

from bisect import bisect_left
from collections.abc import Mapping

PER_OCTAVE = 4
_OCTAVES = 27
BOUNDS = tuple(round(1_000 * 2 ** (step / PER_OCTAVE)) for step in range(_OCTAVES * PER_OCTAVE + 1))
"""The upper bounds in microseconds."""


def bucket_of(microseconds: int) -> int:
    """Return the bucket of a time; 0 also for one that is less than nothing, whatever the clocks say."""
    return bisect_left(BOUNDS, microseconds)


def percentile(counts: Mapping[int, int], share: float) -> float | None:
    """Return the time in seconds that `share` (0..1) of all are at most, None when there are none.

    It is the geometric middle of its bucket, no more than 10 % away from the exact one; of the first bucket the upper
    bound, of the last one about the lower.
    """
    total = sum(counts.values())
    if not total:
        return None
    rank, seen = share * total, 0
    for bucket in sorted(counts):
        seen += counts[bucket]
        if seen >= rank:
            return _middle(bucket) / 1_000_000
    raise AssertionError("a share is at most 1")


def _middle(bucket: int) -> float:
    upper = BOUNDS[min(bucket, len(BOUNDS) - 1)]
    lower = BOUNDS[bucket - 1] if bucket else upper
    return float((lower * upper) ** 0.5)

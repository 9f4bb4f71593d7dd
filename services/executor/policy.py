"""What the dispatcher decides by, as its settings say it."""

from datetime import timedelta

import msgspec


class PreemptionPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """The least time `slice` that a resumed run keeps its worker, and after how many preemptions it keeps it for good.

    A run that was asked and has not made way after `patience` is not counted on any more.
    """

    slice: timedelta = timedelta(seconds=1)
    limit: int = 5
    patience: timedelta = timedelta(seconds=2)


class DispatchPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """At most `window` runs of a level wait in Redis; a run that lost `max_losses` workers in a row fails.

    A running run that was cancelled has `cancel_grace` to stop by itself. A waiting one of a lower level counts with a
    higher one after `aging`.
    """

    window: int
    max_losses: int
    cancel_grace: timedelta = timedelta(seconds=5)
    aging: timedelta = timedelta(minutes=5)
    preemption: PreemptionPolicy = PreemptionPolicy()

"""When a delivery is tried again, to the second."""

from datetime import datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from services.status.notifier.backoff import GIVES_UP_AFTER, LONGEST_WISH, STEPS, next_try
from tests.builders import NOW

SECONDS = st.floats(0, 1)


def pause(attempts: int, **changes: object) -> timedelta | None:
    """What lies between a failure now and the next try."""
    fields = {"begun_at": NOW, "now": NOW, "chance": 0.5} | changes
    at = next_try(attempts, **fields)  # type: ignore[arg-type]
    return None if at is None else at - NOW


def test_the_pauses_grow_and_the_last_one_repeats() -> None:
    """5 s, 30 s, 2 min, 10 min, 30 min, 1 h, 2 h, 4 h, 4 h."""
    assert [pause(attempts) for attempts in range(1, 10)] == [*STEPS, STEPS[-1]]


@given(st.integers(1, 30), SECONDS)
def test_chance_spreads_a_pause_by_a_tenth(attempts: int, chance: float) -> None:
    """Either way, and no more."""
    middle, found = pause(attempts), pause(attempts, chance=chance)
    assert middle is not None
    assert found is not None
    assert abs(found - middle) <= middle * 0.1 + timedelta(microseconds=1)


def test_after_a_day_it_is_given_up() -> None:
    """Counted from its beginning, whatever the number of tries."""
    assert next_try(9, begun_at=NOW - GIVES_UP_AFTER, now=NOW, chance=0.5) is None
    assert next_try(1, begun_at=NOW - GIVES_UP_AFTER + timedelta(seconds=6), now=NOW, chance=0.5) is not None


def test_a_day_has_room_for_a_dozen_tries() -> None:
    """As many as an outage of some hours needs."""
    at: datetime | None = NOW
    tries = 0
    while at is not None:
        tries += 1
        at = next_try(tries, begun_at=NOW, now=at, chance=0.5)
    assert tries == 13


def test_a_target_that_asks_for_time_is_given_it_within_bounds() -> None:
    """Not less than the pause, not more than four hours."""
    assert pause(1, wish=timedelta(seconds=60)) == timedelta(seconds=60)
    assert pause(3, wish=timedelta(seconds=1)) == STEPS[2]
    assert pause(1, wish=timedelta(days=9)) == LONGEST_WISH

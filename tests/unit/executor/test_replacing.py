"""A pool is asked to replace dead children until it has done so."""

from types import SimpleNamespace
from typing import Any

from services.executor.replacing import Replacing


class SlowPool:
    """A pool whose dead child cannot be waited for at once."""

    def __init__(self, *, refusals: int) -> None:
        self._pool: list[Any] = [SimpleNamespace(pid=pid) for pid in (11, 12)]
        self._refusals = refusals
        self.asked = 0

    def maintain_pool(self) -> None:
        """Replace child 11 by 13, once it has been asked often enough."""
        self.asked += 1
        if self.asked > self._refusals and self._pool[0].pid == 11:
            self._pool[0] = SimpleNamespace(pid=13)


def looks(pool: SlowPool, *died: list[int]) -> None:
    """Look once for each list of those that died since."""
    replacing = Replacing()
    for each in died:
        replacing.look(each, lambda: pool, lambda maintain: maintain())


def test_a_child_that_cannot_be_waited_for_yet_is_replaced_by_a_later_look() -> None:
    """The pool refuses three times: it is asked a fourth time, and not again."""
    pool = SlowPool(refusals=3)
    looks(pool, [11], [], [], [], [], [])

    assert [child.pid for child in pool._pool] == [13, 12]
    assert pool.asked == 4


def test_a_pool_that_was_faster_is_asked_once() -> None:
    """A child that it lists no more needs nobody's help."""
    pool = SlowPool(refusals=0)
    looks(pool, [10], [], [])

    assert pool.asked == 1


def test_a_pool_in_which_nobody_died_is_not_even_looked_up() -> None:
    """Pools of threads have no such list."""

    def no_pool() -> SlowPool:
        raise AssertionError("there is none")

    Replacing().look([], no_pool, lambda maintain: maintain())

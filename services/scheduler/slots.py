"""Which of several beats goes first.

All of them follow the log and may fire; the log lets each firing happen once, whoever is first. So that they do not all
try at the same moment, each holds a place in a row, an advisory lock that goes with its connection, and those further
back act a little later.
"""

from datetime import timedelta

import psycopg

from shared.log.follower import lock_key

MOST = 8
"""Beats beyond these stand together at the end of the row."""
STAGGER = timedelta(milliseconds=250)
"""How much later each place acts than the one before it; so much a firing is late when the first beat hangs."""


class Slot:
    """A place in the row, held on `connection`."""

    def __init__(self, connection: psycopg.Connection) -> None:
        self._connection = connection
        self.number = MOST
        self.move_up()

    @property
    def leads(self) -> bool:
        """Tell whether it is the first one."""
        return self.number == 0

    @property
    def delay(self) -> timedelta:
        """Return how long after the time it acts."""
        return STAGGER * self.number

    def move_up(self) -> None:
        """Take the first free place before this one, if there is one."""
        for number in range(self.number):
            row = self._connection.execute("SELECT pg_try_advisory_lock(%s)", (_key(number),)).fetchone()
            if row and row[0]:
                if self.number < MOST:
                    self._connection.execute("SELECT pg_advisory_unlock(%s)", (_key(self.number),))
                self.number = number
                return


def _key(number: int) -> int:
    return lock_key(f"scheduler.slot.{number}")

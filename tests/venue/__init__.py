"""A trading venue for tests: Alpaca's REST over real HTTP, and faults to order.

In a test: `with serving() as venue:`; beside other processes: `python -m tests.venue --port 9000`.
"""

from tests.venue.faults import Fault, Moment
from tests.venue.server import KEY, Venue, serving

__all__ = ["KEY", "Fault", "Moment", "Venue", "serving"]

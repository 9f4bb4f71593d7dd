"""The venue as a process of its own, as the chaos tests use it."""

import re
import signal
import subprocess
import sys
from decimal import Decimal

from shared.alpaca import connect
from shared.trading.alpaca import AlpacaBroker
from shared.trading.broker import OrderRequest, Side
from tests.venue import KEY, Venue

DEADLINE_SECONDS = 15


def test_the_venue_runs_as_a_process_and_stops_on_sigterm() -> None:
    """It says where it listens, takes orders there, counts them, and leaves when told to."""
    command = [sys.executable, "-m", "tests.venue", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            found = re.search(r"http://\S+", process.stdout.readline())
            assert found is not None
            venue = Venue(found.group())
            with connect(venue.url, KEY) as client:
                request = OrderRequest(client_order_id="order-1", symbol="MSFT", side=Side.BUY, quantity=Decimal(1))
                AlpacaBroker(client).submit(request)
            assert venue.accepted() == {"order-1": 1}
            venue.close()
            process.send_signal(signal.SIGTERM)
            assert process.wait(DEADLINE_SECONDS) in (0, -signal.SIGTERM)
        finally:
            process.kill()

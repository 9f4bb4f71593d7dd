"""Run a workflow in a test: in this process, on the executor's own engine, against fakes.

::

    from shared.testing import FakeBroker, MemoryMarketData, bars, run

    outcome = run(workflow, ["MSFT"], market_data=MemoryMarketData({"MSFT": bars([10, 11, 12])}))
    assert outcome.state == "SUCCESS"
    assert [decision.symbol for decision in outcome.decisions] == ["MSFT"]
"""

from shared.testing.broker import FakeBroker
from shared.testing.market_data import MemoryMarketData, bars
from shared.testing.outcome import Outcome, Retry, StepFailure
from shared.testing.runner import run

__all__ = ["FakeBroker", "MemoryMarketData", "Outcome", "Retry", "StepFailure", "bars", "run"]

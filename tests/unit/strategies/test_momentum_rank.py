"""The momentum strategy: it ranks all symbols, or none."""

from datetime import date
from decimal import Decimal

import pytest

from shared.market_data.files import FileMarketData
from shared.testing import MemoryMarketData, bars, run
from strategies.momentum_rank import Parameters, workflow

SMALL = {"lookback": 3, "skip": 1, "top": 2, "budget": 1_000}
MARKET_DATA = MemoryMarketData(
    {
        "FLAT": bars([100, 100, 100, 100]),
        "UP": bars([100, 110, 150, 300]),
        "DOWN": bars([100, 90, 80, 70]),
        "BEST": bars([100, 110, 200, 50]),
    }
)
"""With a lookback of 3 and a skip of 1 the return is that from the first bar to the third."""


def test_the_strongest_are_bought_for_equal_amounts() -> None:
    """+100 % before +50 %; 1,000 dollars are 20 shares at 50 and 3 at 300."""
    outcome = run(workflow, ["FLAT", "UP", "DOWN", "BEST"], parameters=SMALL, market_data=MARKET_DATA)
    assert [seen.symbol for seen in outcome.outputs["ranking"]] == ["BEST", "UP", "FLAT", "DOWN"]
    assert [(d.symbol, d.quantity) for d in outcome.decisions] == [("BEST", Decimal(20)), ("UP", Decimal(3))]
    assert outcome.decisions[0].reason.startswith("Rank 1 of 4 by momentum: +100.0% from 3 to 1 bars before")


def test_what_has_not_risen_is_not_bought_however_it_ranks() -> None:
    """The best of a falling lot is still falling."""
    outcome = run(workflow, ["FLAT", "DOWN"], parameters=SMALL, market_data=MARKET_DATA)
    assert outcome.decisions == []


def test_a_budget_below_one_share_buys_nothing() -> None:
    """Whole shares only."""
    outcome = run(workflow, ["UP"], parameters=SMALL | {"budget": 299}, market_data=MARKET_DATA)
    assert outcome.decisions == []


def test_one_symbol_without_enough_history_ends_the_run() -> None:
    """A ranking of the others would be another portfolio than the one that was asked for."""
    outcome = run(
        workflow,
        ["AAPL", "FB"],
        parameters={"as_of": date(2012, 12, 31)},
        market_data=FileMarketData(),
    )
    assert outcome.state == "FAILURE"
    assert outcome.error is not None
    assert (outcome.error.step, outcome.error.symbol) == ("bars", "FB")
    assert "FB has 155 bars up to 2012-12-31 and its return needs 253" in outcome.error.failure.message
    assert outcome.orders == []


def test_the_return_leaves_out_the_newest_month() -> None:
    """AAPL's return as of 2010-08-03 runs from 252 to 21 bars before, from closes that anyone can look up."""
    closes = FileMarketData().daily("AAPL", bars=253, until=date(2010, 8, 3))["close"]
    outcome = run(workflow, ["AAPL"], parameters={"as_of": date(2010, 8, 3)}, market_data=FileMarketData())
    assert outcome.outputs["ranking"][0].past_return == pytest.approx(closes[-22] / closes[0] - 1)


@pytest.mark.parametrize(("wrong", "named"), [({"skip": 21, "lookback": 21}, "skip"), ({"top": 0}, "top")])
def test_parameters_that_do_not_fit_are_refused(wrong: dict[str, int], named: str) -> None:
    """The message names the field."""
    with pytest.raises(ValueError, match=named):
        Parameters.model_validate(wrong)

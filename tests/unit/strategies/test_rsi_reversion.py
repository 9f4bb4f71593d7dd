"""The RSI strategy on prices made for it, and on a day that traders remember."""

from datetime import date

import pytest

from shared.market_data.files import FileMarketData
from shared.testing import MemoryMarketData, bars, run
from shared.trading.broker import Side
from strategies.rsi_reversion import Parameters, workflow

SMALL = {"window": 2, "bars": 50}


def sides(closes: list[float]) -> list[Side]:
    """What the strategy does after these closes."""
    outcome = run(workflow, ["X"], parameters=SMALL, market_data=MemoryMarketData({"X": bars(closes)}))
    assert outcome.state == "SUCCESS"
    return [decision.action for decision in outcome.decisions]


def test_a_rise_out_of_oversold_is_bought() -> None:
    """Four falls put the index at 0; a rise of 4 after falls of 1 puts it above 30."""
    assert sides([20, 19, 18, 17, 16, 20]) == [Side.BUY]


def test_a_fall_out_of_overbought_is_sold() -> None:
    """The mirror image."""
    assert sides([20, 21, 22, 23, 24, 20]) == [Side.SELL]


@pytest.mark.parametrize("closes", [[20, 19, 18, 17, 16, 15], [20, 21, 22, 23, 24, 25], [20, 21, 20, 21, 20, 21]])
def test_nothing_is_done_while_the_index_stays_where_it_is(closes: list[float]) -> None:
    """Oversold can become more so: the strategy waits for the turn."""
    assert sides(closes) == []


def test_the_rebound_of_13_october_2008_is_bought() -> None:
    """The index of MSFT and GOOG came back above 30 on the Monday after the week of the great fall."""
    outcome = run(
        workflow,
        ["AAPL", "GOOG", "IBM", "MSFT"],
        parameters={"as_of": date(2008, 10, 13)},
        market_data=FileMarketData(),
    )
    assert [(d.symbol, d.action) for d in outcome.decisions] == [("GOOG", Side.BUY), ("MSFT", Side.BUY)]
    assert outcome.decisions[1].reason == ("RSI(14) rose back above 30: 29.4 to 50.9 on 2008-10-13; last close 20.11.")


@pytest.mark.parametrize(
    ("wrong", "named"),
    [({"oversold": 70, "overbought": 70}, "oversold"), ({"bars": 15}, "bars"), ({"window": 1}, "window")],
)
def test_parameters_that_do_not_fit_are_refused(wrong: dict[str, float], named: str) -> None:
    """The message names the field."""
    with pytest.raises(ValueError, match=named):
        Parameters.model_validate(wrong)

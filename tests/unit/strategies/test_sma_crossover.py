"""The crossover strategy against an independent computation of its dates, and against dates checked by hand."""

from datetime import date
from fractions import Fraction

import pytest

from shared.market_data.files import FileMarketData
from shared.testing import FakeBroker, MemoryMarketData, bars, run
from shared.trading.broker import Side
from strategies.sma_crossover import Crossover, Parameters, with_averages, workflow

WHOLE_HISTORY = 100_000
SHIPPED = FileMarketData()

FALLING_THEN_RISING = [10, 9, 8, 7, 6, 5, 6, 8, 11]
"""With averages of 2 and 4: the fast one is below until the rise, and above from the eighth bar on."""

SMALL = {"fast": 2, "slow": 4, "bars": 50}


def dates_of_msft_in_exact_arithmetic() -> dict[date, Crossover]:
    """MSFT's 20/50 crossovers from the shipped closes: plain Python, fractions, no library's averages."""
    rows = SHIPPED.daily("MSFT", bars=WHOLE_HISTORY).select("date", "close").rows()
    closes = [Fraction(str(close)) for _, close in rows]
    found: dict[date, Crossover] = {}
    for newest in range(50, len(rows)):
        gap_before, gap_now = (
            sum(closes[i - 19 : i + 1]) / 20 - sum(closes[i - 49 : i + 1]) / 50 for i in (newest - 1, newest)
        )
        if gap_before <= 0 < gap_now:
            found[rows[newest][0]] = Crossover.GOLDEN
        elif gap_before >= 0 > gap_now:
            found[rows[newest][0]] = Crossover.DEATH
    return found


def dates_of_msft_by_the_strategy() -> dict[date, Crossover]:
    """The same from the strategy's own columns."""
    averaged = with_averages(SHIPPED.daily("MSFT", bars=WHOLE_HISTORY), 20, 50)
    return {
        day: Crossover.GOLDEN if crossover > 0 else Crossover.DEATH
        for day, crossover in averaged.select("date", "crossover").rows()
        if crossover
    }


def test_all_crossovers_of_msft_agree_with_exact_arithmetic() -> None:
    """Thirteen years, 3,270 closes, 79 crossovers, each on the same day and in the same direction."""
    exact = dates_of_msft_in_exact_arithmetic()
    assert len(exact) == 79
    assert dates_of_msft_by_the_strategy() == exact


@pytest.mark.parametrize(
    ("day", "sums_before", "closes_20", "closes_50"),
    [
        # sum of the 20 and of the 50 closes up to the day before | close that enters, close that leaves | the same
        ("2000-06-23", ("460.565125", "1165.205938"), ("25.858775", "20.470005"), ("25.858775", "26.417956")),
        ("2010-08-03", ("415.373412", "1040.056402"), ("21.455158", "19.536004"), ("21.455158", "22.012861")),
        ("2013-01-25", ("472.983386", "1183.221498"), ("24.422232", "23.528736"), ("24.422232", "24.511948")),
    ],
)
def test_a_golden_cross_of_msft_can_be_checked_by_hand(
    day: str, sums_before: tuple[str, str], closes_20: tuple[str, str], closes_50: tuple[str, str]
) -> None:
    """On 2010-08-03: 415.373412 / 20 < 1040.056402 / 50; add 21.455158, take 19.536004 and 22.012861 away; then >.

    The close that leaves the 20 is that of 20 bars ago (2010-07-06), the 50's is of 2010-05-21.
    """
    sum_20, sum_50 = map(Fraction, sums_before)
    assert sum_20 / 20 <= sum_50 / 50
    sum_20 += Fraction(closes_20[0]) - Fraction(closes_20[1])
    sum_50 += Fraction(closes_50[0]) - Fraction(closes_50[1])
    assert sum_20 / 20 > sum_50 / 50

    history = SHIPPED.daily("MSFT", bars=51, until=date.fromisoformat(day))["close"].to_list()
    assert (history[-1], history[-21], history[-51]) == tuple(map(float, (*closes_20, closes_50[1])))
    assert sum(map(str_fraction, history[-20:])) == sum_20
    assert sum(map(str_fraction, history[-50:])) == sum_50
    assert dates_of_msft_by_the_strategy()[date.fromisoformat(day)] is Crossover.GOLDEN


def str_fraction(value: float) -> Fraction:
    """A price as the decimal that it is written as."""
    return Fraction(str(value))


def test_a_run_as_of_each_crossover_decides_it_and_as_of_the_day_before_does_not() -> None:
    """What a user gets on a day is what the whole history says of that day, with 250 bars as with 3,270."""
    crossovers = dates_of_msft_by_the_strategy()
    days = SHIPPED.daily("MSFT", bars=WHOLE_HISTORY)["date"].to_list()
    for day in sorted(crossovers)[-20:]:
        for as_of in (days[days.index(day) - 1], day):
            expected = crossovers.get(as_of)
            outcome = run(workflow, ["MSFT"], parameters={"as_of": as_of}, market_data=SHIPPED)
            sides = [decision.action for decision in outcome.decisions]
            assert sides == ([Side.BUY if expected is Crossover.GOLDEN else Side.SELL] if expected else [])


def test_the_demo_day_buys_the_three_that_have_crossed() -> None:
    """2010-08-03: GOOG and MSFT crossed that day, IBM four bars before, AAPL fell below eight bars before."""
    outcome = run(
        workflow,
        ["AAPL", "GOOG", "IBM", "MSFT"],
        parameters={"as_of": "2010-08-03", "within": 5},
        market_data=SHIPPED,
        broker=FakeBroker(20),
    )
    assert outcome.state == "SUCCESS"
    assert [(order.symbol, order.side) for order in outcome.orders] == [
        ("GOOG", Side.BUY),
        ("IBM", Side.BUY),
        ("MSFT", Side.BUY),
    ]
    assert {decision.as_of for decision in outcome.decisions} == {date(2010, 8, 3)}
    assert outcome.decisions[2].reason == (
        "Golden cross on 2010-08-03: the 20-day average of the close rose above the 50-day one. "
        "On 2010-08-03 they are 20.86 and 20.79, and the close is 21.46."
    )


def test_a_crossover_counts_only_while_it_is_recent() -> None:
    """The rise above comes with the eighth bar, one before the newest."""
    market_data = MemoryMarketData({"MSFT": bars(FALLING_THEN_RISING)})
    newest_only = run(workflow, ["MSFT"], parameters=SMALL, market_data=market_data)
    assert newest_only.decisions == []
    within_two = run(workflow, ["MSFT"], parameters=SMALL | {"within": 2}, market_data=market_data)
    assert [decision.action for decision in within_two.decisions] == [Side.BUY]


def test_a_symbol_without_enough_history_does_not_stop_the_others() -> None:
    """Its error is collected, and says what to do."""
    market_data = MemoryMarketData({"NEW": bars([1, 2, 3]), "MSFT": bars(FALLING_THEN_RISING[:-1])})
    outcome = run(workflow, ["NEW", "MSFT"], parameters=SMALL, market_data=market_data)
    assert outcome.state == "SUCCESS"
    assert [decision.symbol for decision in outcome.decisions] == ["MSFT"]
    assert [error.symbol for error in outcome.errors] == ["NEW"]
    assert "NEW has 3 bars up to 2024-01-04 and the averages need 5" in outcome.errors[0].failure.message


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"fast": 50, "slow": 50}, "fast"),
        ({"fast": 60}, "fast"),
        ({"bars": 50}, "bars"),
        ({"fast": 1}, "fast"),
        ({"quantity": 0}, "quantity"),
        ({"within": 21}, "within"),
    ],
)
def test_parameters_that_do_not_fit_are_refused(wrong: dict[str, int], named: str) -> None:
    """The message names the field."""
    with pytest.raises(ValueError, match=named):
        Parameters.model_validate(wrong)

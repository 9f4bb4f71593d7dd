"""The workflow on two timeframes: what it decides on the shipped bars, and what it keeps for people."""

import re
from base64 import b64decode
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from shared.domain.catalogue import StepKind
from shared.market_data.files import FileMarketData
from shared.testing import FakeBroker, MemoryMarketData, Outcome, bars, run
from shared.trading.broker import Side
from shared.workflow.registry import load_strategies
from strategies import multi_timeframe
from strategies.multi_timeframe import Parameters, workflow

SHIPPED = FileMarketData()
PNG = b"\x89PNG\r\n\x1a\n"
DEMO_DAY = "2013-01-08"


def decide(day: str, symbols: list[str] | None = None, broker: FakeBroker | None = None, **parameters: Any) -> Outcome:
    """Return what a run as of `day` on the shipped bars comes to; without charts, which take time."""
    return run(
        workflow,
        symbols or SHIPPED.symbols(),
        parameters={"as_of": day, "charts": 0} | parameters,
        market_data=SHIPPED,
        broker=broker or FakeBroker(20),
    )


def sizes(outcome: Outcome) -> list[tuple[str, str, int, int]]:
    """Return symbol, side, wanted and left over of every entry, in the order of importance."""
    return [(size.symbol, size.side, size.wanted, size.quantity) for size in outcome.outputs["risk"]]


def test_the_demo_day_has_decisions_of_every_kind() -> None:
    """A Tuesday: bought in full, sold short, bought but reduced, refused for the number of positions, and no entry."""
    outcome = decide(DEMO_DAY)
    assert outcome.state == "SUCCESS"
    assert sizes(outcome) == [
        ("FB", Side.BUY, 474, 474),
        ("MSFT", Side.SELL, 1124, 859),
        ("GOOG", Side.BUY, 77, 54),
        ("IBM", Side.SELL, 239, 0),
    ]
    assert [(order.symbol, order.side, int(order.quantity)) for order in outcome.orders] == [
        ("FB", Side.BUY, 474),
        ("MSFT", Side.SELL, 859),
        ("GOOG", Side.BUY, 54),
    ]
    assert outcome.decisions[2].reason == (
        "Weekly up-trend: the close of 370.13 on 2013-01-04 is above its average of 345.65, which moved by +1.9%. "
        "MACD rose above its signal line on 2013-01-02; last close 367.79. Stop at 354.89. "
        "77 reduced to 67 shares: at most 25 % of the equity is in one symbol (max_share). "
        "67 reduced to 54 shares: a position is worth $20,000 at most (max_position_value)."
    )
    assert {decision.as_of for decision in outcome.decisions} == {date(2013, 1, 8)}
    summary = outcome.outputs["report"]
    assert (summary.entries, summary.reduced, summary.refused, summary.orders) == (4, 2, 1, {"filled": 3})


def test_symbols_are_worked_on_side_by_side_and_charts_in_a_group() -> None:
    """What the executor is told of it."""
    steps = {step.name: step for step in workflow.describe().steps}
    parallel = [name for name, step in steps.items() if step.kind is StepKind.PARALLEL and step.group is None]
    assert parallel == ["daily", "weekly", "signal"]
    assert [name for name, step in steps.items() if step.group == "charts"] == ["daily_charts", "weekly_charts"]
    assert steps["daily"].limits == {"market-data": 16}


def test_the_week_that_is_not_over_does_not_count() -> None:
    """From Monday to Thursday the trend is last week's; on Friday it is the new one."""
    weeks = [decide(day, ["MSFT"]).outputs["signal"]["MSFT"] for day in ("2013-01-07", "2013-01-10", "2013-01-11")]
    assert [seen.week for seen in weeks] == [date(2013, 1, 4), date(2013, 1, 4), date(2013, 1, 11)]
    monday, thursday, friday = (seen.week_average for seen in weeks)
    assert monday == pytest.approx(thursday, rel=1e-6)
    assert monday != pytest.approx(friday, rel=1e-3)


def test_a_symbol_without_enough_weeks_is_left_out_and_named() -> None:
    """FB has no bars at all in 2010, and 17 weeks in September of 2012."""
    before = decide("2010-08-03")
    assert before.state == "SUCCESS"
    assert before.outputs["report"].without_signal == ["FB"]
    soon_after = decide("2012-09-14")
    [error] = soon_after.errors
    assert (error.step, error.symbol) == ("signal", "FB")
    assert "FB has 17 complete weeks and its signal needs 24" in error.failure.message
    assert "Without a signal, see the errors of the run: FB." in soon_after.artifacts["report.html"].decode()


def test_a_day_without_an_entry_places_no_order_and_still_reports() -> None:
    """2010-08-03: RSI has turned back since on two symbols, and that is no entry any more."""
    outcome = decide("2010-08-03")
    assert outcome.orders == []
    assert "No entry on any symbol." in outcome.artifacts["report.html"].decode()


def test_a_holding_is_closed_when_the_trend_is_against_it() -> None:
    """In full, although the limits allow less, and without a stop."""
    outcome = decide(DEMO_DAY, ["MSFT"], holdings={"MSFT": 5_000}, max_positions=1)
    [size] = outcome.outputs["risk"]
    assert (size.side, size.quantity, size.stop) == (Side.SELL, 5_000, None)
    assert outcome.decisions[0].reason.endswith("Closes the 5,000 shares held.")


def test_what_the_venue_refuses_is_in_the_report() -> None:
    """A rejected order is an outcome, with the venue's words, which are no HTML."""
    outcome = decide(DEMO_DAY, broker=FakeBroker(20, rejects={"MSFT": "not <shortable>"}))
    assert outcome.state == "SUCCESS"
    assert outcome.outputs["report"].orders == {"filled": 2, "rejected": 1}
    assert "not &lt;shortable&gt;" in outcome.artifacts["report.html"].decode()


def test_charts_and_a_page_with_them_are_kept() -> None:
    """Each is a PNG, and the page shows the same; symbols with an entry come first."""
    outcome = decide(DEMO_DAY, ["AAPL", "IBM", "MSFT"], charts=2)
    names = [f"{timeframe}-{symbol}.png" for symbol in ("MSFT", "IBM") for timeframe in ("daily", "weekly")]
    assert sorted(outcome.artifacts) == sorted([*names, "report.html"])
    assert all(outcome.artifacts[name].startswith(PNG) for name in names)
    shown = re.findall(
        r'<img alt="([^"]+)" src="data:image/png;base64,([^"]+)"', outcome.artifacts["report.html"].decode()
    )
    assert [(name, b64decode(image)) for name, image in shown] == [(name, outcome.artifacts[name]) for name in names]
    assert outcome.outputs["report"].charts == 4
    assert [(at.step, said.done) for at, said in outcome.progress if at.step == "daily_charts"] == [
        ("daily_charts", 1),
        ("daily_charts", 2),
    ]


def test_a_symbol_with_a_slash_has_charts_too() -> None:
    """A slash cannot be in the name of an artifact."""
    prices = [20 + number / 10 for number in range(300)]
    market_data = MemoryMarketData({"BTC/USD": bars(prices)})
    outcome = run(workflow, ["BTC/USD"], parameters={"bars": 300}, market_data=market_data)
    assert outcome.state == "SUCCESS"
    assert {"daily-BTC_USD.png", "weekly-BTC_USD.png"} <= outcome.artifacts.keys()


def test_the_file_runs_in_any_folder_with_its_neighbours(tmp_path: Path) -> None:
    """A user who copies it copies the files with an underscore as well, which are no strategies themselves."""
    for file in Path(multi_timeframe.__file__).parent.glob("*.py"):
        (tmp_path / file.name).write_text(file.read_text())
    registry = load_strategies(str(tmp_path), entry_points=False)
    assert registry.broken == ()
    copied = registry.workflows["multi-timeframe"]
    assert copied.definition_hash == workflow.definition_hash
    assert run(copied, ["IBM"], parameters={"as_of": DEMO_DAY}, market_data=SHIPPED).state == "SUCCESS"


def test_no_bar_after_the_day_is_seen() -> None:
    """A run as of a day decides the same when history goes on after it."""
    known = {symbol: SHIPPED.daily(symbol, bars=2_000, until=date(2013, 1, 8)) for symbol in ("GOOG", "MSFT")}
    later = {symbol: SHIPPED.daily(symbol, bars=2_000) for symbol in known}
    seen, also = (
        run(workflow, list(known), parameters={"as_of": DEMO_DAY, "charts": 0}, market_data=MemoryMarketData(frames))
        for frames in (known, later)
    )
    assert seen.decisions == also.decisions != []


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"bars": 129}, r"bars \(129\) must be at least 130"),
        ({"risk_per_trade": 0.1, "max_share": 0.1}, r"risk_per_trade \(0.1\) must be below max_share"),
        ({"equity": 10_000}, r"max_position_value \(20000\) must not be above equity \(10000\)"),
        ({"pullback": 51}, "pullback"),
        ({"stop_atr": 0}, "stop_atr"),
        ({"max_positions": 0}, "max_positions"),
    ],
)
def test_parameters_that_do_not_fit_are_refused(wrong: dict[str, Any], named: str) -> None:
    """The message names the field, and what it would have to be."""
    with pytest.raises(ValueError, match=named):
        Parameters.model_validate(wrong)


def test_a_shorter_trend_needs_fewer_bars() -> None:
    """The daily indicators need some all the same."""
    assert Parameters.model_validate({"bars": 60, "weekly_average": 3, "slope_weeks": 1}).bars == 60


def test_frames_that_a_step_returns_come_back_as_they_are() -> None:
    """Weeks go through the object store with their mark."""
    outcome = decide(DEMO_DAY, ["IBM"])
    weeks = outcome.outputs["weekly"]["IBM"]
    assert weeks["complete"].to_list()[-2:] == [True, False]
    assert weeks.schema["complete"] == pl.Boolean()

"""Sizes by risk, and every limit with its reason."""

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.trading.broker import Side
from strategies._position_sizing import Candidate, Limits, Sized, size_positions

ROOMY: dict[str, Any] = {
    "equity": 100_000,
    "risk_per_trade": 0.01,
    "stop_atr": 2.0,
    "max_share": 1.0,
    "max_position_value": 100_000,
    "max_positions": 10,
    "shorts": True,
}
"""Limits that reduce nothing: a thousand dollars at risk, two ATR from the close."""


def candidate(symbol: str = "MSFT", side: Side = Side.BUY, close: float = 50.0, atr: float = 1.0) -> Candidate:
    """Return a candidate that wants 500 shares, which are worth $25,000."""
    return Candidate(symbol=symbol, side=side, close=close, atr=atr)


def size(*candidates: Candidate, **limits: Any) -> list[Sized]:
    """Return the sizes under roomy limits but for these."""
    return size_positions(candidates, Limits(**(ROOMY | limits)))


@pytest.mark.parametrize(("side", "stop"), [(Side.BUY, 48.0), (Side.SELL, 52.0)])
def test_a_size_loses_the_risk_at_its_stop(side: Side, stop: float) -> None:
    """500 shares, two dollars each: a thousand, which is 1 % of the equity."""
    [sized] = size(candidate(side=side))
    assert (sized.wanted, sized.quantity, sized.stop, sized.notes) == (500, 500, stop, [])
    assert (sized.reduced, sized.refused) == (False, False)


@pytest.mark.parametrize(
    ("limits", "quantity", "note"),
    [
        ({"max_share": 0.2}, 400, "500 reduced to 400 shares: at most 20 % of the equity is in one symbol"),
        ({"max_position_value": 10_000}, 200, r"500 reduced to 200 shares: a position is worth \$10,000 at most"),
        ({"max_position_value": 10_000, "holdings": {"MSFT": 150}}, 50, "500 reduced to 50 shares"),
        ({"max_position_value": 49}, 0, "Refused: not one share is left"),
        ({"max_position_value": 10_000, "holdings": {"MSFT": 900}}, 0, "Refused: not one share is left"),
        ({"max_positions": 1, "holdings": {"IBM": 10}}, 0, "Refused: 1 positions are open already"),
    ],
)
def test_each_limit_says_what_it_did(limits: dict[str, Any], quantity: int, note: str) -> None:
    """What is held already takes its part of the room."""
    [sized] = size(candidate(), **limits)
    assert (sized.wanted, sized.quantity) == (500, quantity)
    assert any(re.match(note, said) for said in sized.notes)
    assert (sized.refused, sized.reduced) == (quantity == 0, quantity > 0)


def test_limits_apply_one_after_the_other() -> None:
    """Each reduction has a sentence of its own, down to the tightest."""
    [sized] = size(candidate(), max_share=0.2, max_position_value=10_000)
    assert [note.partition(" shares")[0] for note in sized.notes] == ["500 reduced to 400", "400 reduced to 200"]


def test_the_most_important_get_the_positions_that_are_left() -> None:
    """A further purchase of what is held needs no new one."""
    sized = size(candidate("A"), candidate("B"), candidate("C"), max_positions=2, holdings={"C": 1})
    assert [(each.symbol, each.refused) for each in sized] == [("A", False), ("B", True), ("C", False)]


def test_a_refused_candidate_takes_no_position() -> None:
    """The next one gets it."""
    sized = size(candidate("A", close=200_000), candidate("B"), max_positions=1)
    assert [each.refused for each in sized] == [True, False]


def test_shorts_may_be_switched_off() -> None:
    """What is held can be sold all the same."""
    sized = size(candidate("A", Side.SELL), candidate("B", Side.SELL), shorts=False, holdings={"B": 7})
    assert [(each.quantity, each.notes[0].partition(":")[0]) for each in sized] == [
        (0, "Refused"),
        (7, "Closes the 7 shares held."),
    ]


def test_what_is_sold_short_is_bought_back() -> None:
    """In full, whatever the limits say."""
    [sized] = size(candidate(), holdings={"MSFT": -1_200}, max_positions=1, max_position_value=10)
    assert (sized.quantity, sized.stop, sized.notes) == (1_200, None, ["Closes the 1,200 shares sold short."])


def test_a_price_that_has_not_moved_is_refused() -> None:
    """Its stop would be at its price, and the size without end."""
    [sized] = size(candidate(atr=0))
    assert sized.refused
    assert "has not moved" in sized.notes[0]


@settings(deadline=None)
@given(
    st.lists(
        st.builds(
            Candidate,
            symbol=st.sampled_from("ABCDEF"),
            side=st.sampled_from(Side),
            close=st.floats(0.01, 5_000),
            atr=st.floats(0, 100),
        ),
        unique_by=lambda each: each.symbol,
        max_size=6,
    ),
    st.dictionaries(st.sampled_from("ABCDEF"), st.integers(-100, 100), max_size=3),
    st.floats(0.02, 1),
    st.integers(1, 50_000),
    st.integers(1, 6),
)
def test_no_limit_is_ever_passed(
    candidates: list[Candidate], holdings: dict[str, int], max_share: float, max_value: int, max_positions: int
) -> None:
    """Whatever the prices, and every difference between wanted and left over has a reason."""
    limits = {"max_share": max_share, "max_position_value": max_value, "max_positions": max_positions}
    opened = {symbol for symbol, shares in holdings.items() if shares}
    for sized in size(*candidates, holdings=holdings, **limits):
        if sized.stop is None or sized.refused:
            assert sized.notes
            continue
        opened.add(sized.symbol)
        assert (sized.quantity + abs(holdings.get(sized.symbol, 0))) * sized.close <= min(
            max_share * 1e5, max_value
        ) * 1.000001
        assert sized.quantity == sized.wanted or sized.notes
    assert len(opened) <= max(max_positions, len({symbol for symbol, shares in holdings.items() if shares}))

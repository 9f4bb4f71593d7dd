"""How many shares: what is at risk up to the stop first, then the limits one after the other, each with its reason."""

from collections.abc import Mapping, Sequence
from math import floor

from pydantic import BaseModel

from shared.workflow import Side

STILL = 1e-6
"""A true range below this share of the price is none: the size would have no end."""


class Limits(BaseModel):
    """The limits of a run, amounts in US dollars; `holdings` are the shares held before, below zero if sold short."""

    equity: int
    risk_per_trade: float
    stop_atr: float
    max_share: float
    max_position_value: int
    max_positions: int
    shorts: bool
    holdings: dict[str, int] = {}


class Candidate(BaseModel):
    """What a signal asks for; price and average true range in US dollars a share."""

    symbol: str
    side: Side
    close: float
    atr: float


class Sized(BaseModel):
    """A candidate's size in shares: `wanted` by the risk, `quantity` by all limits, 0 if it is refused.

    `notes` say why, one sentence for each reduction, or for the refusal. `stop` is None where a holding is closed.
    """

    symbol: str
    side: Side
    close: float
    wanted: int
    quantity: int
    stop: float | None = None
    notes: list[str] = []

    @property
    def refused(self) -> bool:
        """Tell whether nothing is left of it."""
        return self.quantity == 0

    @property
    def reduced(self) -> bool:
        """Tell whether it is smaller than wanted."""
        return 0 < self.quantity < self.wanted

    @property
    def value(self) -> float:
        """Return the size in US dollars at the last close."""
        return self.quantity * self.close


def size_positions(candidates: Sequence[Candidate], limits: Limits) -> list[Sized]:
    """Return all candidates in their order, the most important first, with their sizes.

    A holding is closed in full, whatever the limits say. What is closed makes room for others in the next run only, as
    its order may not be filled.
    """
    opened = {symbol for symbol, shares in limits.holdings.items() if shares}
    sized = []
    for candidate in candidates:
        position = _size(candidate, limits, opened)
        if position.quantity:
            opened.add(candidate.symbol)
        sized.append(position)
    return sized


def _size(candidate: Candidate, limits: Limits, opened: set[str]) -> Sized:
    held = limits.holdings.get(candidate.symbol, 0)
    if held and (held > 0) is (candidate.side is Side.SELL):
        note = f"Closes the {abs(held):,} shares {'held' if held > 0 else 'sold short'}."
        return _sized(candidate, abs(held), abs(held), [note])
    if candidate.atr < STILL * candidate.close:
        return _sized(candidate, 0, 0, ["Refused: the price has not moved, so that no stop can be set."])
    distance = limits.stop_atr * candidate.atr
    wanted = quantity = floor(limits.equity * limits.risk_per_trade / distance)
    refusal = _refusal(candidate, limits, opened)
    if refusal:
        return _sized(candidate, wanted, 0, [refusal])
    notes = []
    for most, why in _caps(candidate.close, abs(held), limits):
        if most < quantity:
            notes.append(f"{quantity:,} reduced to {most:,} shares: {why}.")
            quantity = most
    if quantity == 0:
        notes.append("Refused: not one share is left.")
    stop = candidate.close - distance if candidate.side is Side.BUY else candidate.close + distance
    return _sized(candidate, wanted, quantity, notes, stop=max(stop, 0.0))


def _refusal(candidate: Candidate, limits: Limits, opened: set[str]) -> str | None:
    """Return why the candidate gets nothing at all, if so."""
    if candidate.side is Side.SELL and not limits.shorts:
        return "Refused: none of it is held, and selling short is switched off (shorts)."
    if candidate.symbol not in opened and len(opened) >= limits.max_positions:
        return f"Refused: {limits.max_positions} positions are open already (max_positions)."
    return None


def _caps(close: float, held: int, limits: Limits) -> Sequence[tuple[int, str]]:
    """Return the most shares that each limit leaves beside those held, with its sentence."""
    amounts: Mapping[str, float] = {
        f"at most {100 * limits.max_share:g} % of the equity is in one symbol (max_share)": limits.equity
        * limits.max_share,
        f"a position is worth ${limits.max_position_value:,} at most (max_position_value)": limits.max_position_value,
    }
    return [(max(floor(amount / close) - held, 0), why) for why, amount in amounts.items()]


def _sized(candidate: Candidate, wanted: int, quantity: int, notes: list[str], stop: float | None = None) -> Sized:
    return Sized(
        symbol=candidate.symbol,
        side=candidate.side,
        close=candidate.close,
        wanted=wanted,
        quantity=quantity,
        stop=stop,
        notes=notes,
    )
